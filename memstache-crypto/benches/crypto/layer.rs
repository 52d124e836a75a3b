//! Transforms, driven as a stack drives them.

use std::cell::Cell;

use bytes::Bytes;
use memstache_core::{
    Address, Entry, Get, KeyspaceName, Lifetime, Lookup, NewEntry, OneOrMany, Request, Response, Sequence, Set, Space,
    Step, TenantId, Tick, Transform, Version,
};
#[cfg(feature = "aws-lc")]
use memstache_crypto::Backend;
use memstache_crypto::{FixedKeys, Seal, SealBuilder, Secret, Subkeys};

/// How many sealed values take turns: more than are kept prepared, so that a value is opened as if for the first time.
pub(crate) const COUNT: usize = 4_096;

/// A transform, and what it made of one value.
pub(crate) struct Sealed<T> {
    seal: T,
    address: Address,
    plain: Bytes,
    stored: Vec<Entry>,
    next: Cell<usize>,
}

/// Builds the layer over one key.
pub(crate) fn built(build: impl Fn(SealBuilder) -> SealBuilder) -> Seal {
    let keys = FixedKeys::dangerous_one_for_all(Secret::from_bytes([1; 32]));
    build(Seal::builder(keys)).build().unwrap()
}

impl<T: Transform> Sealed<T> {
    pub(crate) fn new(len: usize, seal: T) -> Self {
        let tenant = TenantId::new("acme").unwrap();
        let space = Space::new(Some(&tenant), &KeyspaceName::new("products").unwrap());
        let address = Address::plain(&space, "product/1234567").unwrap();
        let mut made = Self { seal, address, plain: vec![7; len].into(), stored: Vec::new(), next: Cell::new(0) };
        let entry = |_| made.seal().into_entry(Tick::from_millis(1 << 40), Version(1), Sequence(1));
        made.stored = (0..COUNT).map(entry).collect();
        made
    }

    pub(crate) fn seal(&self) -> NewEntry {
        let entry = NewEntry::new(self.plain.clone(), Lifetime::new(std::time::Duration::from_secs(3_600)).unwrap());
        match self.seal.request(Request::Set(Set::one(self.address.clone(), entry))) {
            Step::Now(Ok((Request::Set(set), _))) => set.items.into_one().unwrap().entry,
            _ => panic!("not at once"),
        }
    }

    /// Opens the next of the values.
    pub(crate) fn open(&self) -> Entry {
        let n = self.next.replace(self.next.get() + 1);
        let Step::Now(Ok((_, asked))) = self.seal.request(Request::Get(Get::one(self.address.clone()))) else {
            panic!()
        };
        let found = Response::Found(OneOrMany::One(Ok(Lookup::Hit(self.stored[n % COUNT].clone()))));
        match self.seal.response(asked, found) {
            Step::Now(Ok(Response::Found(found))) => match found.into_one() {
                Some(Ok(Lookup::Hit(entry))) => entry,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// How many bytes a sealed value is longer.
    pub(crate) fn more(&self) -> usize {
        self.seal().value.len() - self.plain.len()
    }
}

/// A key for each entry, or one for all of a writer.
pub(crate) fn policy(builder: SealBuilder, shared: bool) -> SealBuilder {
    if shared { builder.subkeys(Subkeys::per_writer()) } else { builder }
}

/// A way to seal.
pub(crate) struct Way {
    /// Backend, cipher, key, as the table shows them.
    pub(crate) name: &'static str,
    pub(crate) build: fn(SealBuilder) -> SealBuilder,
}

pub(crate) fn ways() -> Vec<Way> {
    vec![
        Way { name: "ring | AES-256-GCM | per entry", build: |builder| builder },
        Way { name: "ring | AES-256-GCM | per writer", build: |builder| policy(builder, true) },
        Way { name: "ring | AES-256-GCM, padded | per entry", build: |builder| builder.padded() },
        Way { name: "ring | AES-256-GCM, committing | per entry", build: |builder| builder.committing() },
        Way { name: "ring | ChaCha20-Poly1305 | per entry", build: |builder| builder.chacha20_poly1305() },
        Way { name: "ring | ChaCha20-Poly1305 | per writer", build: |b| policy(b.chacha20_poly1305(), true) },
        Way { name: "ring | ChaCha20-Poly1305, committing | per entry", build: |b| b.chacha20_poly1305().committing() },
        #[cfg(feature = "aws-lc")]
        Way { name: "AWS-LC | AES-256-GCM | per entry", build: |builder| builder.backend(Backend::aws_lc()) },
        #[cfg(feature = "aws-lc")]
        Way { name: "AWS-LC | AES-256-GCM | per writer", build: |b| policy(b.backend(Backend::aws_lc()), true) },
        #[cfg(feature = "aws-lc")]
        Way {
            name: "AWS-LC | AES-256-GCM, committing | per entry",
            build: |builder| builder.backend(Backend::aws_lc()).committing(),
        },
        #[cfg(feature = "aws-lc")]
        Way {
            name: "AWS-LC | ChaCha20-Poly1305 | per entry",
            build: |builder| builder.backend(Backend::aws_lc()).chacha20_poly1305(),
        },
    ]
}
