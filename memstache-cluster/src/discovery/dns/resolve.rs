//! Asks the resolver, and makes addresses of what it says.

use std::net::SocketAddr;

use futures_util::{StreamExt as _, stream};
use hickory_resolver::{
    TokioResolver,
    net::{DnsError, NetError},
    proto::{
        op::ResponseCode,
        rr::{Name, RData},
    },
};
use memstache_core::{BoxFuture, Error, ErrorKind, Result};

/// How many questions are under way at a time.
const AT_ONCE: usize = 8;
/// The most targets of a service that are asked for.
const MAX_TARGETS: usize = 256;
/// The most addresses that are answered.
const MAX_ADDRESSES: usize = 4096;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// The addresses of a name, beside a port; the name may be an address itself.
    Addresses(String, u16),
    /// The hosts and ports of a service.
    Service(Name),
}

#[derive(Clone)]
pub(super) struct Resolver(TokioResolver);

impl Resolver {
    pub(super) fn new(resolver: TokioResolver) -> Self {
        Self(resolver)
    }

    /// Everything that was found; an error if nothing could be asked for.
    pub(super) async fn all(&self, queries: &[Query]) -> Result<Vec<SocketAddr>> {
        let asked: Vec<BoxFuture<'_, _>> = queries.iter().map(|query| Box::pin(self.one(query)) as _).collect();
        some(stream::iter(asked).buffer_unordered(AT_ONCE).collect().await)
    }

    async fn one(&self, query: &Query) -> Result<Vec<SocketAddr>> {
        match query {
            Query::Addresses(name, port) => self.addresses(name, *port).await,
            Query::Service(name) => self.service(name).await,
        }
    }

    async fn addresses(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let found = self.0.lookup_ip(name).await;
        Ok(found_or_none(found)?.iter().flat_map(|found| found.iter().map(|ip| SocketAddr::new(ip, port))).collect())
    }

    fn addresses_of(&self, name: String, port: u16) -> BoxFuture<'_, Result<Vec<SocketAddr>>> {
        Box::pin(async move { self.addresses(&name, port).await })
    }

    async fn service(&self, name: &Name) -> Result<Vec<SocketAddr>> {
        let Some(found) = found_or_none(self.0.srv_lookup(name.clone()).await)? else { return Ok(Vec::new()) };
        let targets = found.answers().iter().filter_map(|record| match &record.data {
            // A root says that there is no such service.
            RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => Some((srv.target.to_string(), srv.port)),
            _ => None,
        });
        let targets: Vec<_> = targets.take(MAX_TARGETS).collect();
        let asked: Vec<_> = targets.into_iter().map(|(target, port)| self.addresses_of(target, port)).collect();
        some(stream::iter(asked).buffer_unordered(AT_ONCE).collect().await)
    }
}

/// What was found; an error only if there was nothing but errors.
fn some(answers: Vec<Result<Vec<SocketAddr>>>) -> Result<Vec<SocketAddr>> {
    let (mut found, mut failed, mut answered) = (Vec::new(), None, answers.is_empty());
    for answer in answers {
        match answer {
            Ok(addresses) => {
                answered = true;
                found.extend(addresses);
            }
            Err(error) => failed = Some(error),
        }
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(MAX_ADDRESSES);
    match failed {
        Some(error) if !answered => Err(error),
        _ => Ok(found),
    }
}

/// What was found; nothing if the name, or such a record of it, is not there.
fn found_or_none<T>(answer: std::result::Result<T, NetError>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            Ok(None)
        }
        Err(error) => {
            Err(Error::new(ErrorKind::Unavailable, "DNS did not answer, or with an error").with_source(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: u8) -> SocketAddr {
        ([10, 0, 0, host], 3322).into()
    }

    #[test]
    fn a_part_is_an_answer_and_errors_alone_are_none() {
        let down = || Err(Error::new(ErrorKind::Unavailable, "down"));
        assert_eq!(some(vec![down(), Ok(vec![at(2), at(1)]), Ok(vec![at(1)])]).unwrap(), [at(1), at(2)]);
        assert_eq!(some(vec![down(), Ok(vec![])]).unwrap(), []);
        assert_eq!(some(vec![]).unwrap(), []);
        assert!(some(vec![down(), down()]).is_err());
    }

    #[test]
    fn there_are_never_too_many() {
        let many = (0..10_000_u32).map(|n| SocketAddr::new(std::net::Ipv4Addr::from(n).into(), 1)).collect();
        assert_eq!(some(vec![Ok(many)]).unwrap().len(), MAX_ADDRESSES);
    }
}
