//! Twenty tenants over one store with room for half of all they ask for, and one of them that floods it.

use memstache_core::{
    Allowance, FairShare, KeyspaceName, Lifetime, MemoryStore, NewEntry, Parts, Space, TenantId, TinyLfu,
};

/// Tenants; the first is the noisy one.
const TENANTS: usize = 20;
/// Bytes of a value.
const VALUE: usize = 200;
/// What an entry is charged, about.
const ENTRY: usize = VALUE + 170;
/// The noisy one asks so many times as often as the others, for so many times as many keys.
const NOISE: usize = 50;
/// By which popularity falls with the rank: Zipf's law.
const EXPONENT: f64 = 0.9;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// All tenants alike.
    NoNoise,
    /// One floods a store of its own: what it costs that somebody is busy on the same machine.
    Elsewhere,
    /// One floods, and nobody holds it back.
    Unfair,
    /// One floods a store that is fair.
    Fair,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [Self::NoNoise, Self::Elsewhere, Self::Unfair, Self::Fair];

    fn factor(self) -> usize {
        if self == Self::NoNoise { 1 } else { NOISE }
    }
}

/// One store and those who ask it.
pub(crate) struct Play {
    store: MemoryStore,
    /// Where the first tenant asks.
    first: MemoryStore,
    tenants: Vec<Asker>,
    case: Case,
}

/// One tenant: its requests are the same in each case.
struct Asker {
    space: Space,
    zipf: Zipf,
    random: fastrand::Rng,
}

impl Asker {
    fn new(number: usize, keys: usize) -> Self {
        let tenant = TenantId::new(format!("tenant-{number}")).expect("a name");
        let space = Space::new(Some(&tenant), &KeyspaceName::new("products").expect("a name"));
        Self { space, zipf: Zipf::new(keys), random: fastrand::Rng::with_seed(number as u64) }
    }

    /// Reads a key, and fills it if it is missing; says whether it was there. The read goes through `read`.
    fn ask(&mut self, store: &MemoryStore, read: &mut impl FnMut(&dyn Fn() -> bool) -> bool) -> bool {
        let name = self.zipf.draw(&mut self.random).to_le_bytes();
        let key = Parts::new(&self.space, &name).expect("a name");
        let hit = read(&|| store.get_now(&key).is_some());
        if !hit {
            store.set_now(&key, NewEntry::new(vec![0; VALUE], Lifetime::UNLIMITED)).expect("it fits");
        }
        hit
    }
}

impl Play {
    /// Makes a store for tenants with so many keys each.
    pub(crate) fn new(case: Case, keys: usize) -> Self {
        let made = || {
            let builder = MemoryStore::builder().max_bytes(TENANTS * keys * ENTRY / 2).shards(4);
            let builder = builder.policy(|share| TinyLfu::new(share, 7));
            let builder = match case {
                Case::Fair => builder.accountant(FairShare::new(Allowance::new()).expect("an allowance")),
                Case::NoNoise | Case::Elsewhere | Case::Unfair => builder,
            };
            builder.build().expect("good settings")
        };
        let store = made();
        let first = if case == Case::Elsewhere { made() } else { store.clone() };
        let keys_of = |number| if number == 0 { keys * case.factor() } else { keys };
        let tenants = (0..TENANTS).map(|number| Asker::new(number, keys_of(number))).collect();
        Self { store, first, tenants, case }
    }

    /// Lets each of the others ask so many times, and the noisy one as often as it does; returns the others' hit ratio.
    ///
    /// What the others read goes through `read`.
    pub(crate) fn run(&mut self, rounds: usize, read: &mut impl FnMut(&dyn Fn() -> bool) -> bool) -> f64 {
        let mut hits = 0;
        for _ in 0..rounds {
            for (number, asker) in self.tenants.iter_mut().enumerate() {
                if number == 0 {
                    for _ in 0..self.case.factor() {
                        asker.ask(&self.first, &mut |get| get());
                    }
                } else {
                    hits += usize::from(asker.ask(&self.store, read));
                }
            }
        }
        hits as f64 / (rounds * (TENANTS - 1)) as f64
    }
}

/// Ranks whose weight is one by a power of the rank; drawn from a table of sums.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        });
        Self(sums.collect())
    }

    fn draw(&self, random: &mut fastrand::Rng) -> usize {
        let at = random.f64() * self.0[self.0.len() - 1];
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}
