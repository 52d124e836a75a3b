//! Who takes part.

mod engines;
mod frames;
mod groupcache;
mod peers;

use std::{future::Future, time::Duration};

use anyhow::{Result, ensure};
use fastrand::Rng;
use tokio::runtime::Runtime;

use self::engines::{Batches, Engines};
use super::tls::Certificates;
use crate::closed_loop::{self, Round, Work};

/// Keys that are read.
pub(super) const KEYS: usize = 1_000;
/// Bytes of a value.
pub(super) const LEN: usize = 256;
/// Keys of one batch.
pub(super) const BATCH: usize = 100;

/// A node under load. Clones are the same node.
pub(crate) trait Node: Clone + Send + Sync + 'static {
    /// Reads the value with this number, which another node holds; how many bytes it has.
    fn get(&self, number: usize) -> impl Future<Output = Result<usize>> + Send;
    /// The bytes that one read brings.
    const BYTES: usize = LEN;
}

/// What a contestant is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Frames with a number over one connection: what the transport could do.
    Frames,
    /// Calls between memstache's peers, without an engine.
    Peers,
    /// Reads through an engine of two nodes.
    Engine,
    /// Reads through an engine of three nodes, of keys of all of them.
    Three,
    /// The same keys in batches.
    Batches,
    /// The crate `groupcache`.
    Groupcache,
}

impl Part {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Frames => "bare frames",
            Self::Peers => "memstache peers, no engine",
            Self::Engine => "memstache engine",
            Self::Three => "memstache engine, three nodes",
            Self::Batches => "memstache engine, three nodes, batches of 100",
            Self::Groupcache => "groupcache",
        }
    }

    pub(crate) const fn is_ours(self) -> bool {
        !matches!(self, Self::Frames | Self::Groupcache)
    }
}

/// A [`Node`] of whatever type.
pub(crate) trait Runner {
    fn round(&self, runtime: &Runtime, tasks: usize, span: Duration) -> Result<Round>;
}

/// A contestant.
pub(crate) struct Entrant {
    pub(crate) part: Part,
    pub(crate) runner: Box<dyn Runner>,
}

struct Race<N>(N);

impl<N: Node> Runner for Race<N> {
    fn round(&self, runtime: &Runtime, tasks: usize, span: Duration) -> Result<Round> {
        let reader = |number| Reader { node: self.0.clone(), rng: Rng::with_seed(number) };
        runtime.block_on(closed_loop::round(tasks, span, reader))
    }
}

struct Reader<N> {
    node: N,
    rng: Rng,
}

impl<N: Node> Work for Reader<N> {
    async fn once(&mut self) -> Result<()> {
        let len = self.node.get(self.rng.usize(..KEYS)).await?;
        ensure!(len == N::BYTES, "{len} bytes came back instead of {}", N::BYTES);
        Ok(())
    }
}

/// Starts everybody.
pub(crate) async fn entrants() -> Result<Vec<Entrant>> {
    let certificates = Certificates::new()?;
    let tls = certificates.tls()?;
    let (two, three) = (Engines::start(&tls, 2).await?, Engines::start(&tls, 3).await?);
    let entrant = |part, runner| Entrant { part, runner };
    Ok(vec![
        entrant(Part::Frames, Box::new(Race(frames::Frames::start(&tls).await?))),
        entrant(Part::Peers, Box::new(Race(peers::Echo::start(&tls).await?))),
        entrant(Part::Engine, Box::new(Race(two.of_others()?))),
        entrant(Part::Three, Box::new(Race(three.clone()))),
        entrant(Part::Batches, Box::new(Race(Batches(three)))),
        entrant(Part::Groupcache, Box::new(Race(groupcache::Group::start(&certificates).await?))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_reads_what_another_node_holds() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let entrants = runtime.block_on(entrants()).unwrap();
        assert_eq!(entrants.len(), 6);
        for entrant in &entrants {
            let round = entrant.runner.round(&runtime, 3, Duration::from_millis(30)).unwrap();
            assert!(round.kops > 0.0, "{}: {round:?}", entrant.part.name());
        }
    }
}
