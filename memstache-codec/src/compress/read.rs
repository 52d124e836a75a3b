//! Values on their way up.

use std::sync::{Arc, atomic::AtomicU64};

use memstache_core::{Address, Encoding, Entry, Error, ErrorKind, Lookup, Response, Result, Step};
use tokio::runtime::Handle;

use super::{
    Asked, Inner,
    offload::{Budget, offload},
    stats::bump,
};
use crate::compressor::unsupported;

/// Decompresses an answer: here, or from the item on that is too much for this thread elsewhere.
#[inline]
pub(super) fn response(inner: &Arc<Inner>, asked: Asked, mut response: Response) -> Step<Response> {
    // Where it lies: an answer of one value is some hundred bytes that need not be moved.
    match here(inner, &asked, &mut response) {
        None => Step::Now(Ok(response)),
        Some(rest) => elsewhere(inner, asked, response, rest),
    }
}

/// What is left of an answer when this thread has done enough.
struct Rest {
    first: usize,
    runtime: Handle,
    allowance: Allowance,
}

/// Decompresses what is not too much for this thread.
fn here(inner: &Inner, asked: &Asked, response: &mut Response) -> Option<Rest> {
    let Response::Found(found) = response else { return None };
    let mut allowance = Allowance::new(inner);
    let mut budget = Budget::new(inner);
    let most = inner.settings.max_plain as u64;
    for (at, item) in found.iter_mut().enumerate() {
        let Some((entry, len)) = packed(item) else { continue };
        // Longer than anything that is read is refused at once.
        if len <= most && budget.is_exceeded(len) {
            return budget.elsewhere().map(|runtime| Rest { first: at, runtime, allowance });
        }
        if let Err(error) = inner.open(asked.address(at), entry, &mut allowance) {
            *item = Err(error);
        }
    }
    None
}

#[cold]
fn elsewhere(inner: &Arc<Inner>, asked: Asked, mut response: Response, rest: Rest) -> Step<Response> {
    let Rest { first, runtime, mut allowance } = rest;
    offload(inner, runtime, move |inner| {
        if let Response::Found(found) = &mut response {
            for (at, item) in found.iter_mut().enumerate().skip(first) {
                let Some((entry, _)) = packed(item) else { continue };
                if let Err(error) = inner.open(asked.address(at), entry, &mut allowance) {
                    *item = Err(error);
                }
            }
        }
        response
    })
}

/// The entry of an item that carries a compressed value, and its declared length.
fn packed(item: &mut Result<Lookup>) -> Option<(&mut Entry, u64)> {
    let (Ok(Lookup::Hit(entry)) | Ok(Lookup::Stale(entry, _))) = item else { return None };
    let content = &entry.meta.content;
    let len = content.plain_len;
    (content.encoding != Encoding::NONE && !content.sealed).then_some((entry, len))
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
    /// Decompresses a value; the error is what stands in its place if that cannot be.
    fn open(&self, address: Option<&Address>, entry: &mut Entry, allowance: &mut Allowance) -> Result<()> {
        let refused = match self.unpack(address, entry, allowance) {
            Ok(()) => {
                self.counters.decompressed.bump();
                return Ok(());
            }
            Err(refused) => refused,
        };
        Err(match refused {
            Refused::Unreadable(counter, error) => {
                bump(counter);
                error.with_version(entry.meta.version)
            }
            Refused::ByCall => {
                bump(&self.counters.rejected_by_call);
                over_the_call(self.settings.per_call())
            }
        })
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
