//! One key: whose it is, and who holds it.

use axum::http::{StatusCode, Uri};
use memstache_core::{Address, OneOrMany, Scope, Tick};
use memstache_core::{Explain, KeyspaceName, Operation as _, Result, Space, TenantId, TierReport};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::millis;
use crate::{
    Engine,
    admin::{answer::Problem, base::BasePath},
    placement::partition_of,
};

/// How many of those are named who want the key most.
const RANKED: usize = 3;

/// Which key is asked for.
#[derive(Debug)]
pub(in crate::admin) struct Question {
    keyspace: KeyspaceName,
    address: Address,
}

impl Question {
    /// Reads `{base}/explain/{keyspace}/{key}?tenant={tenant}`; a key is any bytes, as they are or percent-encoded.
    pub(in crate::admin) fn read(base: &BasePath, uri: &Uri) -> Result<Self, Problem> {
        let missing = || Problem::new(StatusCode::NOT_FOUND, "no keyspace and no key");
        let below = base.strip(uri.path()).and_then(|path| path.strip_prefix("/explain/")).ok_or_else(missing)?;
        let (keyspace, key) = below.split_once('/').ok_or_else(missing)?;
        let keyspace = KeyspaceName::new(decoded("keyspace", keyspace)?)?;
        let fields = uri.query().unwrap_or_default().split('&');
        let tenant = fields.filter_map(|field| field.split_once('=')).find(|(name, _)| *name == "tenant");
        let tenant = match tenant {
            Some((_, tenant)) => Some(TenantId::new(decoded("tenant", tenant)?)?),
            None => None,
        };
        let key: Vec<u8> = percent_decode_str(key).collect();
        let address = Address::plain(&Space::new(tenant.as_ref(), &keyspace), key)?;
        Ok(Self { keyspace, address })
    }
}

fn decoded(field: &'static str, text: &str) -> Result<String, Problem> {
    let text = percent_decode_str(text).decode_utf8();
    let wrong = |_| Problem::new(StatusCode::BAD_REQUEST, format_args!("{field} must be UTF-8"));
    text.map(Into::into).map_err(wrong)
}

/// What is known of one key; neither its name nor its value.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct Explained {
    keyspace: String,
    tenant: Option<String>,
    partition: u16,
    /// By which table this node sees owners.
    epoch: Option<String>,
    /// None where the node stands alone: it holds everything.
    owner: Option<String>,
    is_mine: bool,
    /// Who wants it most, its owner first.
    ranked: Vec<String>,
    /// What its owner holds, from the first asked to the last.
    tiers: Vec<TierTold>,
    /// Why its owner did not say.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct TierTold {
    tier: String,
    /// Whether there is something, alive or not.
    holds: bool,
    /// Why it answers no read.
    reason: Option<&'static str>,
    loading: bool,
    entry: Option<EntryTold>,
}

#[derive(Debug, Serialize)]
struct EntryTold {
    /// As text: 64 bits are more than numbers of JavaScript hold.
    version: String,
    bytes: usize,
    tags: usize,
    sealed: bool,
    negative: bool,
    age_ms: f64,
    /// None: until it is evicted.
    fresh_for_ms: Option<f64>,
}

/// Asks the owner of a key what it holds.
pub(in crate::admin) async fn explain(engine: &Engine, question: &Question) -> Result<Explained> {
    let (node, address) = (&engine.node, &question.address);
    node.ready()?;
    let slot = node.registry.slot(question.keyspace.as_str())?;
    slot.current()?;
    let view = node.cluster().map(|cluster| cluster.view());
    let name = |id| view.as_ref()?.members.get(id).map(|member| member.name.as_str().to_owned());
    let partition = partition_of(address.stored());
    let ranked: Vec<_> = view.iter().flat_map(|view| view.table.ranked(partition, RANKED)).collect();
    let asked = Explain { items: OneOrMany::One(address.clone()), scope: Scope::default() };
    let answer = node.run(&slot, asked.into()).await.and_then(Explain::output);
    let reports = answer.and_then(|items| items.into_iter().next().transpose());
    let now = node.clock.now();
    let (tiers, error) = match reports {
        Ok(reports) => (reports.unwrap_or_default().iter().map(|report| tier(report, now)).collect(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Ok(Explained {
        keyspace: question.keyspace.as_str().to_owned(),
        tenant: address.tenant().map(str::to_owned),
        partition: partition.get(),
        epoch: view.as_ref().map(|view| format!("{:016x}", view.table.epoch())),
        owner: ranked.first().and_then(|id| name(*id)),
        is_mine: view.as_ref().is_none_or(|view| view.owns(address.stored())),
        ranked: ranked.into_iter().filter_map(name).collect(),
        tiers,
        error,
    })
}

fn tier(report: &TierReport, now: Tick) -> TierTold {
    let entry = report.entry.as_ref().map(|entry| {
        let (meta, left) = (&entry.meta, |until: Tick| (until != Tick::NEVER).then(|| millis(until.since(now))));
        EntryTold {
            version: meta.version.0.to_string(),
            bytes: entry.value.len(),
            tags: meta.tags.as_slice().len(),
            sealed: meta.content.sealed,
            negative: meta.content.negative,
            age_ms: millis(now.since(meta.written_at)),
            fresh_for_ms: left(meta.fresh_until),
        }
    });
    TierTold {
        tier: report.tier.to_string(),
        holds: entry.is_some() || report.reason.is_none(),
        reason: report.reason.map(|reason| reason.as_str()),
        loading: report.loading,
        entry,
    }
}
