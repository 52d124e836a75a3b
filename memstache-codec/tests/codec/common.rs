//! Values, compressors and stacks that several tests use.

use memstache_codec::{Compress, CompressBuilder};
use memstache_core::{
    Address, Content, Entry, KeyspaceName, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Sequence, Set,
    Space, Step, TenantId, Tick, Transform, Version,
};
use serde::{Deserialize, Serialize};

/// What an application would keep: names, numbers, options, a list, a nested struct.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) active: bool,
    pub(crate) score: f64,
    pub(crate) tags: Vec<String>,
    pub(crate) address: Place,
    pub(crate) visits: Vec<u32>,
    pub(crate) plan: Plan,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) street: String,
    pub(crate) city: String,
    pub(crate) zip: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Plan {
    Free,
    Paid { cents: i64 },
    Trial(u16),
}

/// The n-th user, always the same.
pub(crate) fn user(n: u64) -> User {
    User {
        id: n,
        name: format!("User No. {n}"),
        email: (!n.is_multiple_of(3)).then(|| format!("user{n}@example.org")),
        active: n.is_multiple_of(2),
        score: n as f64 / 7.0,
        tags: (0..n % 4).map(|tag| format!("tag-{tag}")).collect(),
        address: Place { street: format!("{} Main Street", n % 200), city: "Springfield".to_owned(), zip: 12_345 },
        visits: (0..8).map(|visit| (n as u32).wrapping_mul(2_654_435_761) >> (visit * 3)).collect(),
        plan: match n % 3 {
            0 => Plan::Free,
            1 => Plan::Paid { cents: -(n as i64) },
            _ => Plan::Trial(30),
        },
    }
}

/// JSON-like text of at least `len` bytes, cut there; compressible as such text is.
pub(crate) fn text(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 400);
    let mut n = 0;
    while out.len() < len {
        serde_json::to_writer(&mut out, &user(n)).unwrap();
        out.push(b'\n');
        n += 1;
    }
    out.truncate(len);
    out
}

/// Bytes without any pattern.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(step).collect()
}

pub(crate) fn space(tenant: Option<&str>) -> Space {
    let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
    Space::new(tenant.as_ref(), &KeyspaceName::new("users").unwrap())
}

pub(crate) fn address(tenant: Option<&str>) -> Address {
    Address::plain(&space(tenant), "7").unwrap()
}

/// A layer that compresses whatever it can, however small.
pub(crate) fn eager(builder: CompressBuilder) -> Compress {
    builder.threshold(0).min_saving(0.0).build().unwrap()
}

/// What a transform makes of one entry on its way down, on this thread.
pub(crate) fn down(compress: &Compress, address: &Address, entry: NewEntry) -> NewEntry {
    let step = compress.request(Request::Set(Set::one(address.clone(), entry)));
    let Step::Now(Ok((Request::Set(set), _))) = step else { panic!("answered at once: {step:?}") };
    set.items.into_iter().next().unwrap().entry
}

/// What a transform makes of what a store found, on this thread.
pub(crate) fn up(compress: &Compress, address: &Address, entry: Entry) -> memstache_core::Result<Lookup> {
    let get = Request::Get(memstache_core::Get::one(address.clone()));
    let Step::Now(Ok((_, asked))) = compress.request(get) else { panic!("answered at once") };
    let step = compress.response(asked, Response::Found(OneOrMany::One(Ok(Lookup::Hit(entry)))));
    let Step::Now(Ok(Response::Found(found))) = step else { panic!("answered at once: {step:?}") };
    found.into_iter().next().unwrap()
}

/// An entry as a store holds it.
pub(crate) fn stored(value: impl Into<bytes::Bytes>, content: Content) -> Entry {
    let mut entry = NewEntry::new(value, Lifetime::UNLIMITED);
    entry.content = content;
    entry.into_entry(Tick::from_millis(1), Version(9), Sequence(0))
}

/// The value that a lookup found.
pub(crate) fn value(found: memstache_core::Result<Lookup>) -> memstache_core::Result<bytes::Bytes> {
    match found? {
        Lookup::Hit(entry) => Ok(entry.value),
        other => panic!("no hit: {other:?}"),
    }
}
