//! What gossip is made of.

use std::{sync::Arc, time::UNIX_EPOCH};

use memstache_core::{Clock, Error, ErrorKind, Result, SystemClock};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{
    Gossip, GossipSecret,
    machine::{Machine, Start},
    seal::Keys,
};
use crate::{
    member::{Incarnation, MAX_MEMBERS, Member},
    membership::{Discovery, StateStream, StaticDiscovery},
    net::Datagrams,
};

/// The most secrets that are accepted at a time.
const MAX_SECRETS: usize = 4;

/// The longest name of a cluster, in bytes.
const MAX_CLUSTER: usize = 64;

const DEFAULT_MAX_MEMBERS: usize = 10_000;

/// Gathers what [`Gossip`] needs. Made by [`Gossip::builder`].
#[derive(Debug)]
#[must_use]
pub struct GossipBuilder {
    cluster: String,
    me: Member,
    secrets: Vec<GossipSecret>,
    plaintext: bool,
    max_members: usize,
    discovery: Arc<dyn Discovery>,
    stream: Option<Arc<dyn StateStream>>,
    clock: Arc<dyn Clock>,
}

impl GossipBuilder {
    pub(super) fn new(cluster: String, me: Member) -> Self {
        Self {
            cluster,
            me,
            secrets: Vec::new(),
            plaintext: false,
            max_members: DEFAULT_MAX_MEMBERS,
            discovery: Arc::new(StaticDiscovery::default()),
            stream: None,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Adds a secret: the first is sent by, all are accepted. To change one, add the new one behind the old one on all nodes, then
    /// in front of it, then leave the old one out. Needed, unless in plaintext. At most 4.
    pub fn secret(mut self, secret: GossipSecret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sends everything in the clear and believes everybody: for tests, and networks that nobody else is in. Default: no.
    pub fn insecure_plaintext(mut self) -> Self {
        self.plaintext = true;
        self
    }

    /// Sets how many members, dead ones included, are kept in mind at most; who is one too many is not taken in.
    /// Default: 10,000. 1 to 65,535.
    pub fn max_members(mut self, max: usize) -> Self {
        self.max_members = max;
        self
    }

    /// Sets where to ask who is there. Default: nowhere, which is right for the first node only.
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.discovery = Arc::new(discovery);
        self
    }

    /// Sets how lists come to other nodes that no datagram holds. Default: over the connections of the peers, once an engine
    /// has any; not at all without an engine.
    pub fn state_stream(mut self, stream: Arc<dyn StateStream>) -> Self {
        self.stream = Some(stream);
        self
    }

    /// Sets the clock. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts to take part, as a task of the current runtime. Nobody is asked before [`join`](crate::membership::Membership::join)
    /// or the first wish of the protocol to do so, which comes at once.
    ///
    /// Errors: `Invalid`, which names everything that is wrong; `Unavailable` if the system has no random bytes.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self, datagrams: Arc<dyn Datagrams>) -> Result<Gossip> {
        self.check()?;
        let Self { cluster, mut me, secrets, max_members, discovery, stream, clock, .. } = self;
        let wall = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        // Two lives within a millisecond are one to nobody, but no life is the first.
        me.incarnation = Incarnation(u64::try_from(wall).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 2));
        let (session, seed) = (random()?, random()?);
        let machine = Machine::new(Start {
            me,
            keys: Keys::new(&cluster, &secrets),
            max_members,
            has_stream: stream.is_some(),
            now: clock.now(),
            session,
            seed,
        });
        Ok(Gossip::spawn(cluster, machine, datagrams, discovery, stream, clock))
    }

    /// All that is wrong, in one error.
    fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let mut expect = |right: bool, what: String| {
            if !right {
                wrong.push(what);
            }
        };
        let visible = self.cluster.bytes().all(|byte| byte.is_ascii_graphic());
        expect(
            visible && (1..=MAX_CLUSTER).contains(&self.cluster.len()),
            format!(
                "cluster must be 1 to {MAX_CLUSTER} visible ASCII characters, but {} bytes was given",
                self.cluster.len()
            ),
        );
        expect(
            self.secrets.len() <= MAX_SECRETS,
            format!("secrets must be at most {MAX_SECRETS}, but {} was given", self.secrets.len()),
        );
        expect(
            self.secrets.is_empty() == self.plaintext,
            if self.plaintext {
                "insecure_plaintext must not be asked for beside a secret".to_owned()
            } else {
                "secrets must be at least one, or insecure_plaintext asked for by name, but none was given".to_owned()
            },
        );
        expect(
            (1..=MAX_MEMBERS).contains(&self.max_members),
            format!("max_members must be 1 to {MAX_MEMBERS}, but {} was given", self.max_members),
        );
        for (field, address) in [("address", self.me.address), ("gossip address", self.me.gossip)] {
            expect(
                address.port() != 0 && !address.ip().is_unspecified(),
                format!("{field} must be one that others can reach, but {address} was given"),
            );
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::new(ErrorKind::Invalid, wrong.join("; "))) }
    }
}

fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    let drawn = SystemRandom::new().fill(&mut bytes);
    drawn.map_err(|_| Error::new(ErrorKind::Unavailable, "the system's randomness is not available"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Checks secrets that take the place of others.
pub(super) fn check_secrets(secrets: &[GossipSecret]) -> Result<()> {
    if secrets.is_empty() || secrets.len() > MAX_SECRETS {
        return Err(Error::invalid("secrets", format_args!("1 to {MAX_SECRETS}"), secrets.len()));
    }
    Ok(())
}
