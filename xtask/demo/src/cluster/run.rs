//! The run: nodes, load, a kill, a join, the tables, the verdicts.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use memstache_crypto::{Random as _, SystemRandom};
use tokio::time::sleep_until;

use super::{
    agreement::{agreed, reports, settled},
    certificates::Authority,
    child::Child,
    discovery::Way,
    evidence::{Agreed, Evidence, Loaded, Row, Steady},
    load::{Load, Target},
    setup::{Setup, Start},
    table,
};
use crate::{
    args::Args,
    database::Size,
    load::Demand,
    place::{Place, Shop},
    screen::say,
    temporary::Temporary,
};

/// The nodes; their processes are killed when this is dropped.
pub(crate) struct Fleet {
    nodes: Vec<Child>,
    /// As the next one is told who it is.
    setup: Setup,
    authority: Authority,
    /// How many there have ever been.
    made: usize,
    /// Dropped last: nodes may read files in it.
    _folder: Temporary,
}

/// Runs a cluster of so many nodes under load, and shows what is seen; an error if a promise was not kept.
///
/// # Cancellation
/// The nodes are killed.
pub(crate) async fn run(args: &Args, count: usize, database: &Path, size: Size) -> Result<Fleet> {
    let started = Instant::now();
    let mut fleet = Fleet::new(args, database, size)?;
    fleet.grow(count).await?;
    if agreed(&fleet.nodes, started).await?.is_none() {
        bail!("the nodes did not find each other in time");
    }
    settled(&fleet.nodes).await?;
    if !args.quiet {
        let seconds = started.elapsed().as_secs_f64();
        say(format_args!("{count} nodes gossip, speak TLS with each other, and answer after {seconds:.1} s."))?;
    }
    for line in fleet.pages() {
        say(line)?;
    }
    let demand = Arc::new(Demand::new(size, args.zipf));
    let load = Load::start(demand, args.clients, fleet.targets()?);
    let time = Duration::from_secs(args.seconds);

    let (steady, first) = steady(&fleet, &load, size, time).await?;
    say(table::nodes(&steady))?;
    let killed = killed(&mut fleet, &load, time).await?;
    let joined = joined(&mut fleet, &load, time).await?;
    drop(load);
    judge(&Evidence { steady, phases: vec![first, killed, joined] })?;
    Ok(fleet)
}

impl Fleet {
    fn new(args: &Args, database: &Path, size: Size) -> Result<Self> {
        let folder = Temporary::new().context("no temporary folder could be made")?;
        let setup = Setup {
            name: String::new(),
            secret: secret()?,
            folder: folder.path().to_owned(),
            database: std::path::absolute(database)?,
            shops: size.shops,
            products: size.products,
            seed: size.seed,
            distance: args.distance,
            token: args.admin.then(secret).transpose()?,
            way: Way::of(args, folder.path())?,
        };
        let authority = Authority::new(folder.path())?;
        Ok(Self { nodes: Vec::new(), setup, authority, made: 0, _folder: folder })
    }

    /// Adds so many nodes, all at once, and waits until they serve.
    async fn grow(&mut self, count: usize) -> Result<()> {
        let mut new = Vec::with_capacity(count);
        for number in self.made..self.made + count {
            let name = format!("node-{}", number + 1);
            self.authority.sign(&self.setup.folder, &name)?;
            let child = Child::spawn(number, &Setup { name, ..self.setup.clone() }).await?;
            self.setup.way.announce(&child.name, child.gossip)?;
            new.push(child);
        }
        self.made += count;
        let all = || self.nodes.iter().chain(&new);
        let start = Start { seeds: all().map(|node| node.gossip).collect(), quorum: all().count() };
        for node in &mut new {
            node.start(&start)?;
        }
        try_join_all(new.iter_mut().map(Child::ready)).await?;
        self.nodes.extend(new);
        Ok(())
    }

    fn targets(&self) -> Result<Vec<Target>> {
        self.nodes.iter().map(|node| Ok((node.number, node.http()?))).collect()
    }

    /// Lines that say where the admin pages are.
    fn pages(&self) -> impl Iterator<Item = String> {
        let token = self.setup.token.as_deref().unwrap_or_default();
        let page = move |node: &Child| {
            let at = node.admin?;
            Some(format!("The page of {}: http://admin:{token}@{at}/_memstache/admin/", node.name))
        };
        self.nodes.iter().filter_map(page)
    }

    async fn loads(&self) -> Result<u64> {
        Ok(reports(&self.nodes).await?.iter().map(|report| report.loads).sum())
    }

    async fn changes(&self) -> Result<u64> {
        Ok(reports(&self.nodes).await?.iter().map(|report| report.changes).sum())
    }
}

/// Returns 16 random bytes as text.
fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Nobody comes or goes.
async fn steady(fleet: &Fleet, load: &Load, size: Size, time: Duration) -> Result<(Steady, Row)> {
    let changes = fleet.changes().await?;
    tokio::time::sleep(time).await;
    // What is under way would be loaded and not counted yet.
    let _pause = load.pause().await;
    let tally = Arc::new(load.take());
    let (mut of_all, mut nodes) = (HashMap::<Place, u64>::new(), Vec::new());
    for node in &fleet.nodes {
        let mut loaded = Loaded { name: node.name.clone(), loads: 0, distinct: 0 };
        for shop in (1..=size.shops).map(Shop) {
            for (id, loads) in node.loads(shop).await? {
                *of_all.entry(Place { shop, id }).or_default() += loads;
                loaded.loads += loads;
                loaded.distinct += 1;
            }
        }
        nodes.push(loaded);
    }
    let changes = fleet.changes().await? - changes;
    let first = Row {
        what: "steady".to_owned(),
        nodes: nodes.len(),
        tally: Arc::clone(&tally),
        loads: nodes.iter().map(|node| node.loads).sum(),
        agreed: Agreed::Before,
    };
    let (distinct, most) = (of_all.len() as u64, of_all.values().copied().max().unwrap_or_default());
    Ok((Steady { tally, nodes, distinct, most, changes }, first))
}

/// One node is killed: nobody is told but those who ask it.
async fn killed(fleet: &mut Fleet, load: &Load, time: Duration) -> Result<Row> {
    let victim = fleet.nodes.pop().context("there is a node to kill")?;
    let (loads, started) = (fleet.loads().await?, Instant::now());
    let what = format!("{} killed", victim.name);
    load.ask(fleet.targets()?);
    drop(victim);
    let agreed = agreed(&fleet.nodes, started).await?;
    row(fleet, load, what, (started + time, loads), agreed).await
}

/// Another one joins, and is asked once it serves.
async fn joined(fleet: &mut Fleet, load: &Load, time: Duration) -> Result<Row> {
    let (loads, started) = (fleet.loads().await?, Instant::now());
    fleet.grow(1).await?;
    load.ask(fleet.targets()?);
    let agreed = agreed(&fleet.nodes, started).await?;
    let what = fleet.nodes.last().map(|node| format!("{} joined", node.name)).unwrap_or_default();
    row(fleet, load, what, (started + time, loads), agreed).await
}

/// Waits for the end of a phase, and sums it up.
async fn row(
    fleet: &Fleet,
    load: &Load,
    what: String,
    (end, before): (Instant, u64),
    agreed: Option<Duration>,
) -> Result<Row> {
    sleep_until(end.into()).await;
    let (tally, loads) = (Arc::new(load.take()), fleet.loads().await?.saturating_sub(before));
    Ok(Row { what, nodes: fleet.nodes.len(), tally, loads, agreed: agreed.into() })
}

/// Shows the rest; an error if a promise was not kept.
fn judge(seen: &Evidence) -> Result<()> {
    say(table::phases(seen))?;
    say("")?;
    let verdicts = seen.verdicts();
    for verdict in &verdicts {
        say(verdict)?;
    }
    say("")?;
    match verdicts.iter().filter(|verdict| !verdict.kept).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} promises were not kept", verdicts.len()),
    }
}

/// Lines for a terminal, to try the nodes by hand; only their addresses if nobody wants more.
pub(crate) fn try_it(fleet: &Fleet, quiet: bool) -> Result<String> {
    let targets = fleet.targets()?;
    if quiet {
        return Ok(targets.iter().map(|(_, at)| format!("http://{at}")).collect::<Vec<_>>().join("\n"));
    }
    let mut lines = vec!["The nodes are up; Ctrl-C ends them. Try:".to_owned(), String::new()];
    for (node, (_, at)) in fleet.nodes.iter().zip(&targets) {
        let host = Shop(1).host();
        lines.push(format!(
            "  curl -i http://{host}:{}/products/7   # {}, process {}",
            at.port(),
            node.name,
            node.id()
        ));
        lines.push(format!("  curl -s http://{at}/node"));
    }
    lines.extend(fleet.pages().map(|line| format!("  {line}")));
    lines.push(String::new());
    Ok(lines.join("\n"))
}
