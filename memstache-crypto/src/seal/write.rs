//! Values on their way down.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use memstache_core::{
    Address, Content, Error, ErrorKind, Lifetime, NewEntry, OneOrMany, Request, Response, Result, Set, SetItem, Step,
};

use super::{
    Layer, Pending,
    keys::{Source, Waits},
    policy::Way,
    stats::bump,
    wall::millis,
};
use crate::{
    envelope::{self, Inner, Opening, Suite},
    key::{DataKey, KeyFailure},
};

/// Seals what a call writes; `None` if every item is sealed, else those that failed, and the keys that others wait for.
#[inline]
pub(super) fn seal(layer: &Layer, set: &mut Set) -> Option<(Failed, Waits)> {
    let (mut failed, mut waits) = (Failed::new(), Waits::default());
    layer.seal_all(set, &mut Source::Ask(&*layer.keys, &mut waits), &mut failed);
    (!waits.is_empty() || !failed.is_empty()).then_some((failed, waits))
}

/// Seals the rest once its keys are here, if it waits for any.
#[cold]
#[inline(never)]
pub(super) fn later(
    layer: &Arc<Layer>,
    mut request: Request,
    mut failed: Failed,
    waits: Waits,
) -> Step<(Request, Pending)> {
    if waits.is_empty() {
        return below(request, failed);
    }
    bump(&layer.counters.waited);
    let layer = Arc::clone(layer);
    Step::Wait(Box::pin(async move {
        let got = waits.all().await;
        if let Request::Set(set) = &mut request {
            layer.seal_all(set, &mut Source::Given(&got), &mut failed);
        }
        // Items that failed at once are among those that failed later.
        failed.sort_by_key(|(at, _)| *at);
        match below(request, failed) {
            Step::Now(result) => result,
            // Nothing was attempted, so the whole call may fail.
            Step::Answer(Response::Stored(answers)) => match answers.into_iter().next() {
                Some(Err(error)) => Err(error),
                _ => Err(Error::new(ErrorKind::Protocol, "nothing is left to be written")),
            },
            _ => Err(Error::new(ErrorKind::Protocol, "a write became something else")),
        }
    }))
}

/// Puts the answers of the items that were not sent back into their places.
pub(super) fn response(failed: Failed, response: Response) -> Step<Response> {
    let stored = match response {
        Response::Stored(stored) if !failed.is_empty() => stored,
        Response::Stored(_) => return Step::Now(Ok(response)),
        _ => return Step::Now(Err(super::foreign())),
    };
    let count = stored.len() + failed.len();
    let (mut stored, mut failed) = (stored.into_iter(), failed.into_iter().peekable());
    let answers = (0..count).filter_map(|at| match failed.next_if(|(place, _)| *place == at) {
        Some((_, error)) => Some(Err(error)),
        None => stored.next(),
    });
    Step::Now(Ok(Response::Stored(OneOrMany::Many(answers.collect()))))
}

/// Items that are not sent down, by their places.
pub(super) type Failed = Vec<(usize, Error)>;

/// What goes down: everything but what failed.
fn below(request: Request, failed: Failed) -> Step<(Request, Pending)> {
    let mut set = match request {
        Request::Set(set) if !failed.is_empty() => set,
        request => return Step::Now(Ok((request, Pending::set(failed)))),
    };
    if failed.len() == set.items.len() {
        let mut errors = failed.into_iter().map(|(_, error)| error);
        let next = |_: SetItem| Err(errors.next().expect("one for each item"));
        return Step::Answer(Response::Stored(set.items.map(next)));
    }
    let mut places = failed.iter().map(|(at, _)| *at).peekable();
    let sent = set.items.into_iter().enumerate().filter(|(at, _)| places.next_if_eq(at).is_none());
    set.items = OneOrMany::Many(sent.map(|(_, item)| item).collect());
    Step::Now(Ok((Request::Set(set), Pending::set(failed))))
}

impl Layer {
    /// Seals every item that is to be sealed and is not yet, and for whose key it does not have to wait.
    fn seal_all(&self, set: &mut Set, source: &mut Source<'_>, failed: &mut Failed) {
        let again = matches!(source, Source::Given(_));
        for (at, item) in set.items.iter_mut().enumerate() {
            // The second time only what waited: it is neither done nor refused.
            if again && (item.entry.content.sealed || failed.iter().any(|(place, _)| *place == at)) {
                continue;
            }
            if let Err((counter, error)) = self.seal_item(&item.address, &mut item.entry, source, again) {
                bump(counter);
                failed.push((at, error));
            }
        }
    }

    #[inline(always)]
    fn seal_item(
        &self,
        address: &Address,
        entry: &mut NewEntry,
        source: &mut Source<'_>,
        again: bool,
    ) -> Result<(), (&AtomicU64, Error)> {
        let counters = &self.counters;
        if entry.content.sealed {
            return Err((&counters.refused_policy, Error::invalid("entry", "not sealed yet", "a sealed one")));
        }
        let (len, most) = (entry.value.len(), self.settings.max_value);
        self.spaces.with(address, |known| match known.policy.way(entry.options) {
            Way::Seal if len <= most => {
                match source.with(&known.space, None, |key| self.seal(key, address, entry)) {
                    // It waits for its key.
                    None => Ok(()),
                    Some(Ok(sealed)) => sealed.map_err(|error| (&counters.refused_failed, error)),
                    Some(Err(failure)) => Err(self.no_key(failure)),
                }
            }
            Way::Seal => {
                let text = format!("a value must be at most {most} bytes long to be sealed, but {len} was given");
                Err((&counters.refused_too_large, Error::new(ErrorKind::TooLarge, text)))
            }
            Way::Leave => {
                if !again {
                    bump(&counters.left_plain);
                }
                Ok(())
            }
            Way::Refuse => {
                let error = Error::invalid("encrypt", "true or unset in a keyspace that is sealed", "false");
                Err((&counters.refused_policy, error))
            }
        })
    }

    #[cold]
    fn no_key(&self, failure: KeyFailure) -> (&AtomicU64, Error) {
        match failure {
            KeyFailure::Unavailable { retry_after } => {
                let error = Error::new(ErrorKind::Unavailable, "the key to seal with cannot be fetched");
                let error = match retry_after {
                    Some(after) => error.with_retry_after(after),
                    None => error,
                };
                (&self.counters.refused_key_unavailable, error.above_store())
            }
            _ => {
                let error = Error::new(ErrorKind::Unavailable, "there is no key to seal with");
                (&self.counters.refused_no_key, error.with_retryable(false).above_store())
            }
        }
    }

    #[inline(always)]
    fn seal(&self, key: &DataKey, address: &Address, entry: &mut NewEntry) -> Result<()> {
        let settings = &self.settings;
        let suite = Suite::new(settings.aead, settings.committing || key.is_committing());
        let (tick, wall) = self.wall.now();
        let inner = self.inner(entry, wall)?;
        let sealed = self.writer.with(tick, key, suite, |fresh, entry_key| {
            let (salt, nonce) = (fresh.salt, fresh.nonce);
            let opening = Opening { suite, padded: settings.padded, key_id: key.id(), salt, nonce };
            envelope::seal(&opening, entry_key, address, &inner, &entry.value)
        })?;
        let sealed = sealed.map_err(|_| Error::new(ErrorKind::TooLarge, "the cipher refused the value"))?;
        self.counters.sealed.bump();
        entry.value = sealed;
        // What it is is said inside; only what stores go by is said outside.
        entry.content = Content { sealed: true, negative: entry.content.negative, ..Content::default() };
        Ok(())
    }

    #[inline(always)]
    fn inner(&self, entry: &NewEntry, written_at: u64) -> Result<Inner> {
        let content = &entry.content;
        if content.negative && !entry.value.is_empty() {
            return Err(Error::invalid("negative entry", "without a value", "one with a value"));
        }
        Ok(Inner {
            format: content.format,
            encoding: content.encoding,
            negative: content.negative,
            schema: content.schema,
            generation: self.settings.generation,
            len: u32::try_from(entry.value.len()).expect("not longer than the longest that may be set"),
            plain_len: content.plain_len,
            written_at,
            deadline: life(&entry.lifetime, content.negative).map(|life| written_at.saturating_add(millis(life))),
        })
    }
}

/// For how long a value may be served at most, its grace included.
fn life(lifetime: &Lifetime, negative: bool) -> Option<Duration> {
    let grace = if negative { Duration::ZERO } else { lifetime.stale_for() };
    lifetime.ttl().map(|ttl| ttl.saturating_add(grace))
}
