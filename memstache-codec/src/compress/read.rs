//! Values on their way up.

use std::sync::{Arc, atomic::AtomicU64};

use memstache_core::{Address, Encoding, Entry, Error, ErrorKind, Lookup, Response, Result, Step};

use super::{
    Asked, Inner,
    offload::{Budget, offload},
    stats::bump,
};
use crate::compressor::unsupported;

/// Decompresses an answer: here, or from the item on that is too much for this thread elsewhere.
pub(super) fn response(inner: &Arc<Inner>, asked: Asked, mut response: Response) -> Step<Response> {
    // Where it lies: an answer of one value is some hundred bytes that need not be moved.
    let Response::Found(found) = &mut response else { return Step::Now(Ok(response)) };
    let (mut budget, most) = (Budget::new(inner), inner.settings.max_plain as u64);
    let mut allowance = Allowance::new(inner);
    let too_much = found.iter_mut().enumerate().position(|(at, item)| match packed(item) {
        None => false,
        // Longer than anything that is read is refused at once.
        Some(len) if len <= most && budget.is_exceeded(len) => true,
        Some(_) => {
            inner.open(asked.address(at), item, &mut allowance);
            false
        }
    });
    let (Some(first), Some(runtime)) = (too_much, budget.elsewhere()) else {
        return Step::Now(Ok(response));
    };
    offload(inner, runtime, move |inner| {
        if let Response::Found(found) = &mut response {
            for (at, item) in found.iter_mut().enumerate().skip(first) {
                inner.open(asked.address(at), item, &mut allowance);
            }
        }
        response
    })
}

/// The declared length of an item that carries a compressed value.
fn packed(item: &Result<Lookup>) -> Option<u64> {
    let (Ok(Lookup::Hit(entry)) | Ok(Lookup::Stale(entry, _))) = item else { return None };
    let content = &entry.meta.content;
    (content.encoding != Encoding::NONE && !content.sealed).then_some(content.plain_len)
}

/// How many bytes of values a call may still make.
struct Allowance(usize);

impl Allowance {
    fn new(inner: &Inner) -> Self {
        Self(inner.settings.per_call())
    }

    /// Whether so many bytes are left; they are taken.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

/// Why a value is not handed up.
enum Refused<'a> {
    /// It cannot be opened: its version goes with the error, so that it can be loaded anew.
    Unreadable(&'a AtomicU64, Error),
    /// It does not fit into the call.
    ByCall,
}

impl Inner {
    /// Decompresses an item's value; one that cannot be is an error in its place.
    fn open(&self, address: Option<&Address>, item: &mut Result<Lookup>, allowance: &mut Allowance) {
        let (Ok(Lookup::Hit(entry)) | Ok(Lookup::Stale(entry, _))) = item else { return };
        let content = &entry.meta.content;
        if content.encoding == Encoding::NONE || content.sealed {
            return;
        }
        match self.unpack(address, entry, allowance) {
            Ok(()) => bump(&self.counters.decompressed),
            Err(Refused::Unreadable(counter, error)) => {
                bump(counter);
                *item = Err(error.with_version(entry.meta.version));
            }
            Err(Refused::ByCall) => {
                bump(&self.counters.rejected_by_call);
                *item = Err(over_the_call(self.settings.per_call()));
            }
        }
    }

    fn unpack(
        &self,
        address: Option<&Address>,
        entry: &mut Entry,
        allowance: &mut Allowance,
    ) -> Result<(), Refused<'_>> {
        let counters = &self.counters;
        let content = &mut entry.meta.content;
        let reader = self.reader(content.encoding);
        let reader =
            reader.ok_or_else(|| Refused::Unreadable(&counters.rejected_unsupported, unsupported(content.encoding)))?;
        let len = usize::try_from(content.plain_len).ok().filter(|len| *len <= self.settings.max_plain);
        let bomb = |what| Refused::Unreadable(&counters.rejected_bombs, Error::new(ErrorKind::Rejected, what));
        let len = len.ok_or_else(|| bomb("the stored value says to be longer than is read here"))?;
        if content.plain_len > reader.longest(&entry.value) {
            return Err(bomb("the stored value says to be longer than its bytes can be"));
        }
        let dictionary = self.dictionary_for(address, content.encoding, &entry.value);
        #[cfg(feature = "zstd")]
        if let Dictionary::Missing(id) = dictionary {
            let what = format!("the stored value needs dictionary {id}, which is not here");
            let error = Error::new(ErrorKind::Rejected, what);
            return Err(Refused::Unreadable(&counters.rejected_dictionary, error));
        }
        if !allowance.take(len) {
            return Err(Refused::ByCall);
        }
        let mut plain = vec![0; len];
        match dictionary {
            #[cfg(feature = "zstd")]
            Dictionary::Here(dictionary) => dictionary.decompress(&entry.value, &mut plain),
            _ => reader.decompress(&entry.value, &mut plain),
        }
        .map_err(|error| Refused::Unreadable(&counters.rejected_broken, error))?;
        entry.value = plain.into();
        content.encoding = Encoding::NONE;
        Ok(())
    }

    #[cfg(feature = "zstd")]
    fn dictionary_for(&self, address: Option<&Address>, encoding: Encoding, packed: &[u8]) -> Dictionary {
        let id = (encoding == Encoding::ZSTD).then(|| crate::compressor::zstd::dictionary_of(packed)).flatten();
        let Some(id) = id else { return Dictionary::Unneeded };
        let all = self.dictionaries.as_ref();
        let found = all.zip(address).and_then(|(all, address)| all.for_reading(address.space_key(), id));
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

/// Without a version: what is sound need not be loaded anew.
fn over_the_call(limit: usize) -> Error {
    let what = format!("the values of one call would be more than max_plain_per_call, {limit} bytes: ask for fewer");
    Error::new(ErrorKind::TooLarge, what)
}
