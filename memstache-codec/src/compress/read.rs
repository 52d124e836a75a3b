//! Values on their way up.

use std::sync::{Arc, atomic::AtomicU64};

use memstache_core::{Address, Encoding, Entry, Error, ErrorKind, Found, Lookup, Response, Result, Step};

use super::{
    Asked, Inner,
    offload::{Budget, offload},
    stats::bump,
};
use crate::compressor::unsupported;

/// Decompresses an answer: here, or from the item on that is too much for this thread elsewhere.
pub(super) fn response(inner: &Arc<Inner>, asked: Asked, mut found: Found) -> Step<Response> {
    let (mut budget, most) = (Budget::new(inner), inner.settings.max_plain as u64);
    let too_much = found.iter_mut().enumerate().position(|(at, item)| match packed(item) {
        None => false,
        // Longer than anything that is read is refused at once.
        Some(len) if len <= most && budget.is_exceeded(len) => true,
        Some(_) => {
            inner.open(asked.address(at), item);
            false
        }
    });
    let Some(first) = too_much else { return Step::Now(Ok(Response::Found(found))) };
    offload(inner, move |inner| {
        for (at, item) in found.iter_mut().enumerate().skip(first) {
            inner.open(asked.address(at), item);
        }
        Response::Found(found)
    })
}

/// The declared length of an item that carries a compressed value.
fn packed(item: &Result<Lookup>) -> Option<u64> {
    let (Ok(Lookup::Hit(entry)) | Ok(Lookup::Stale(entry, _))) = item else { return None };
    let content = &entry.meta.content;
    (content.encoding != Encoding::NONE && !content.sealed).then_some(content.plain_len)
}

impl Inner {
    /// Decompresses an item's value; one that cannot be is an error in its place.
    fn open(&self, address: Option<&Address>, item: &mut Result<Lookup>) {
        let (Ok(Lookup::Hit(entry)) | Ok(Lookup::Stale(entry, _))) = item else { return };
        let content = &entry.meta.content;
        if content.encoding == Encoding::NONE || content.sealed {
            return;
        }
        match self.unpack(address, entry) {
            Ok(()) => bump(&self.counters.decompressed),
            Err((counter, error)) => {
                bump(counter);
                *item = Err(error.with_version(entry.meta.version));
            }
        }
    }

    fn unpack(&self, address: Option<&Address>, entry: &mut Entry) -> Result<(), (&AtomicU64, Error)> {
        let counters = &self.counters;
        let content = &mut entry.meta.content;
        let reader = self.reader(content.encoding);
        let reader = reader.ok_or_else(|| (&counters.rejected_unsupported, unsupported(content.encoding)))?;
        let len = usize::try_from(content.plain_len).ok().filter(|len| *len <= self.settings.max_plain);
        let len = len
            .ok_or_else(|| (&counters.rejected_bombs, bomb("the stored value says to be longer than is read here")))?;
        if content.plain_len > reader.longest(&entry.value) {
            return Err((&counters.rejected_bombs, bomb("the stored value says to be longer than its bytes can be")));
        }
        let broken = |error| (&counters.rejected_broken, error);
        let plain = match self.dictionary_for(address, content.encoding, &entry.value) {
            Dictionary::Unneeded => {
                let mut plain = vec![0; len];
                reader.decompress(&entry.value, &mut plain).map_err(broken)?;
                plain
            }
            #[cfg(feature = "zstd")]
            Dictionary::Here(dictionary) => {
                let mut plain = vec![0; len];
                dictionary.decompress(&entry.value, &mut plain).map_err(broken)?;
                plain
            }
            #[cfg(feature = "zstd")]
            Dictionary::Missing(id) => {
                let what = format!("the stored value needs dictionary {id}, which is not here");
                return Err((&counters.rejected_dictionary, Error::new(ErrorKind::Rejected, what)));
            }
        };
        entry.value = plain.into();
        content.encoding = Encoding::NONE;
        Ok(())
    }

    #[cfg(feature = "zstd")]
    fn dictionary_for(&self, address: Option<&Address>, encoding: Encoding, packed: &[u8]) -> Dictionary {
        let id = (encoding == Encoding::ZSTD).then(|| crate::compressor::zstd::dictionary_of(packed)).flatten();
        let Some(id) = id else { return Dictionary::Unneeded };
        let found = address.and_then(|address| self.dictionaries.for_reading(address.space_key(), id));
        found.map_or(Dictionary::Missing(id), Dictionary::Here)
    }

    #[cfg(not(feature = "zstd"))]
    fn dictionary_for(&self, _: Option<&Address>, _: Encoding, _: &[u8]) -> Dictionary {
        Dictionary::Unneeded
    }
}

/// What a value needs beside its compressor.
enum Dictionary {
    Unneeded,
    #[cfg(feature = "zstd")]
    Here(crate::dictionary::Dictionary),
    #[cfg(feature = "zstd")]
    Missing(u32),
}

fn bomb(what: &'static str) -> Error {
    Error::new(ErrorKind::Rejected, what)
}
