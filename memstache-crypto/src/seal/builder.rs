//! Building the layer: every setting is checked, all at once.

use std::{fmt, sync::Arc, time::Duration};

use memstache_core::{Clock, Error, ErrorKind, KeyspaceName, Result, SystemClock};

use super::{
    Layer, Seal, Settings, Subkeys,
    policy::{Policies, Spaces},
    prepared::Prepared,
    stats::Counters,
    wall::{Wall, millis},
    writer::Writer,
};
use crate::{
    backend::{Aead, Backend, TAG_LEN},
    envelope::{COMMITMENT_LEN, HEADER_LEN, INNER_LEN, padme},
    key::DataKeys,
    random::{Random, SystemRandom},
};

const DEFAULT_MAX_VALUE: usize = 16 << 20;
/// Sealed values are whole messages: what is longer belongs into pieces.
const MOST_VALUE: usize = 1 << 30;
const DEFAULT_MAX_SKEW: Duration = Duration::from_secs(300);
const MOST_SKEW: Duration = Duration::from_secs(24 * 3600);

/// Builds a [`Seal`].
///
/// Nothing is checked before [`build`](Self::build); its error names every wrong setting.
///
/// ```
/// use memstache_core::KeyspaceName;
/// use memstache_crypto::{FixedKeys, Seal, Secret, Subkeys, SystemRandom};
///
/// let keys = FixedKeys::dangerous_one_for_all(Secret::random(&SystemRandom::new())?);
/// let seal = Seal::builder(keys)
///     .chacha20_poly1305()
///     .subkeys(Subkeys::per_writer())
///     .plain(&KeyspaceName::new("thumbnails")?)
///     .padded()
///     .max_value(1 << 20)
///     .build()?;
/// # let _ = seal;
/// # Ok::<(), memstache_core::Error>(())
/// ```
#[must_use = "nothing is built before `build`"]
pub struct SealBuilder {
    keys: Arc<dyn DataKeys>,
    settings: Settings,
    policies: Policies,
    subkeys: Subkeys,
    max_skew: Duration,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
}

impl SealBuilder {
    pub(super) fn new(keys: Arc<dyn DataKeys>) -> Self {
        Self {
            keys,
            settings: Settings {
                backend: Backend::ring(),
                aead: Aead::Aes256Gcm,
                committing: false,
                padded: false,
                generation: 0,
                max_skew: 0,
                max_value: DEFAULT_MAX_VALUE,
                max_sealed: 0,
            },
            policies: Policies::default(),
            subkeys: Subkeys::PerEntry,
            max_skew: DEFAULT_MAX_SKEW,
            random: Arc::new(SystemRandom::new()),
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Writes under AES-256-GCM. Default. Values of all suites are read.
    pub fn aes_256_gcm(mut self) -> Self {
        self.settings.aead = Aead::Aes256Gcm;
        self
    }

    /// Writes under ChaCha20-Poly1305: for machines without instructions for AES. Values of all suites are read.
    pub fn chacha20_poly1305(mut self) -> Self {
        self.settings.aead = Aead::ChaCha20Poly1305;
        self
    }

    /// Writes with an explicit commitment to the key, 32 bytes longer, whatever the key. Default: only under keys that
    /// [ask for it](crate::DataKey::committing).
    pub fn committing(mut self) -> Self {
        self.settings.committing = true;
        self
    }

    /// Chooses how often a key is derived on writes. Default: for each entry.
    pub fn subkeys(mut self, subkeys: Subkeys) -> Self {
        self.subkeys = subkeys;
        self
    }

    /// Chooses the library. Default: ring.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.settings.backend = backend;
        self
    }

    /// Pads values, so that their lengths tell less: at most 12 % longer (Padmé). Default: not padded. Both are read.
    pub fn padded(mut self) -> Self {
        self.settings.padded = true;
        self
    }

    /// Leaves the values of a keyspace plain, unless they ask to be sealed.
    pub fn plain(mut self, keyspace: &KeyspaceName) -> Self {
        self.policies.set(keyspace, true);
        self
    }

    /// Seals all values of a keyspace: for use after [`plain_by_default`](Self::plain_by_default).
    pub fn sealed(mut self, keyspace: &KeyspaceName) -> Self {
        self.policies.set(keyspace, false);
        self
    }

    /// Leaves every keyspace plain that is not named. Default: sealed.
    pub fn plain_by_default(mut self) -> Self {
        self.policies.plain_by_default = true;
        self
    }

    /// Writes values of a generation, and rejects those of earlier ones: raised, it makes everything that was sealed before
    /// a miss, also what somebody has kept a copy of. Default: 0.
    pub fn generation(mut self, generation: u32) -> Self {
        self.settings.generation = generation;
        self
    }

    /// Sets how far the clocks of writers and readers may differ, at most a day: so long after its deadline a value is
    /// still opened. Default: 5 minutes.
    pub fn max_skew(mut self, skew: Duration) -> Self {
        self.max_skew = skew;
        self
    }

    /// Sets how long a value may be, from 1 byte to 1 GiB, as it comes from the layer above; longer ones are neither
    /// written nor read, and no memory is allocated for them. Default: 16 MiB.
    pub fn max_value(mut self, bytes: usize) -> Self {
        self.settings.max_value = bytes;
        self
    }

    /// Chooses the source of randomness. Default: the operating system's.
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Chooses the clock; it must be the stack's. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the layer.
    ///
    /// Errors: [`Invalid`](ErrorKind::Invalid) for settings out of their limits.
    pub fn build(self) -> Result<Seal> {
        let wrong = self.wrong();
        match wrong.as_slice() {
            [] => {}
            [one] => return Err(one.clone()),
            many => {
                let lines: Vec<_> = many.iter().map(ToString::to_string).collect();
                return Err(Error::new(ErrorKind::Invalid, lines.join("; ")));
            }
        }
        let Self { keys, mut settings, policies, subkeys, max_skew, random, clock } = self;
        settings.max_skew = millis(max_skew);
        settings.max_sealed = HEADER_LEN + COMMITMENT_LEN + padme(INNER_LEN + settings.max_value) + TAG_LEN;
        Ok(Seal(Arc::new(Layer {
            keys,
            spaces: Spaces::new(policies),
            writer: Writer::new(subkeys, settings.backend, random),
            prepared: Prepared::new(),
            settings,
            wall: Wall::new(clock),
            counters: Counters::default(),
        })))
    }

    fn wrong(&self) -> Vec<Error> {
        let (max_skew, max_value) = (self.max_skew, self.settings.max_value);
        let mut wrong: Vec<_> = self.subkeys.wrong().collect();
        if max_skew > MOST_SKEW {
            wrong.push(Error::invalid("max_skew", "at most 24 h", format_args!("{max_skew:?}")));
        }
        if !(1..=MOST_VALUE).contains(&max_value) {
            wrong.push(Error::invalid("max_value", format_args!("from 1 to {MOST_VALUE}"), max_value));
        }
        wrong
    }
}

impl fmt::Debug for SealBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealBuilder")
            .field("settings", &self.settings)
            .field("policies", &self.policies)
            .field("subkeys", &self.subkeys)
            .field("max_skew", &self.max_skew)
            .finish_non_exhaustive()
    }
}
