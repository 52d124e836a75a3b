//! Responses of a stack.

use memstache_core::{OneOrMany, Reason, Response, Result, Sequence, TierReport, Version, Written};

use super::{
    super::{
        reader::{Reader, malformed},
        writer::{Writer, cut, unsupported},
    },
    address::get_short,
    entry,
    lookup::{self, get_item, put_item},
    request::items,
};

/// Longest name of a tier that crosses.
const MAX_TIER: usize = 64;

/// The numbers of the reasons; they never change. Zero is none.
const REASONS: [(Reason, u8); 12] = [
    (Reason::NeverStored, 1),
    (Reason::NotHeld, 2),
    (Reason::Removed, 3),
    (Reason::Expired, 4),
    (Reason::Tag, 5),
    (Reason::Cleared, 6),
    (Reason::Evicted, 7),
    (Reason::TooOld, 8),
    (Reason::Schema, 9),
    (Reason::Rejected, 10),
    (Reason::Unverified, 11),
    (Reason::Unavailable, 12),
];

// Response:
//   1  1 found, 2 stored, 3 removed, 4 touched, 5 invalidated, 6 explained
//   v  number of items, each 0xff and an error, or:
//      found:             lookup
//      stored:            1 (0 stored, 1 refused, 2 near only); v version if stored
//      removed, touched:  1 (0 no, 1 yes)
//      invalidated:       1 zero; v sequence
//      explained:         1 zero; v number of reports
pub(super) fn put<'c>(w: &mut Writer<'_, 'c>, response: &'c Response) -> Result<()> {
    match response {
        Response::Found(items) => {
            w.out.byte(1);
            put_items(w, items, lookup::put)
        }
        Response::Stored(items) => {
            w.out.byte(2);
            put_items(w, items, put_written)
        }
        Response::Removed(items) => {
            w.out.byte(3);
            put_items(w, items, put_bool)
        }
        Response::Touched(items) => {
            w.out.byte(4);
            put_items(w, items, put_bool)
        }
        Response::Invalidated(items) => {
            w.out.byte(5);
            put_items(w, items, put_sequence)
        }
        Response::Explained(items) => {
            w.out.byte(6);
            put_items(w, items, put_reports)
        }
        _ => Err(unsupported("a response of a new kind")),
    }
}

pub(super) fn get(r: &mut Reader<'_>) -> Result<Response> {
    Ok(match r.byte()? {
        1 => Response::Found(get_items(r, lookup::get)?),
        2 => Response::Stored(get_items(r, get_written)?),
        3 => Response::Removed(get_items(r, get_bool)?),
        4 => Response::Touched(get_items(r, get_bool)?),
        5 => Response::Invalidated(get_items(r, get_sequence)?),
        6 => Response::Explained(get_items(r, get_reports)?),
        _ => return Err(malformed("a response")),
    })
}

pub(super) fn put_items<'c, T>(
    w: &mut Writer<'_, 'c>,
    items: &'c OneOrMany<Result<T>>,
    mut put: impl FnMut(&mut Writer<'_, 'c>, &'c T) -> Result<()>,
) -> Result<()> {
    w.many(items.as_slice(), |w, item| put_item(w, item, &mut put))
}

pub(super) fn get_items<T>(
    r: &mut Reader<'_>,
    mut get: impl FnMut(&mut Reader<'_>, u8) -> Result<T>,
) -> Result<OneOrMany<Result<T>>> {
    items(r, 1, |r| get_item(r, &mut get))
}

fn put_written<'c>(w: &mut Writer<'_, 'c>, written: &'c Written) -> Result<()> {
    match written {
        Written::Stored(version) => {
            w.out.byte(0);
            w.out.number(version.0);
        }
        Written::Refused => w.out.byte(1),
        Written::NearOnly => w.out.byte(2),
        _ => return Err(unsupported("a new outcome of a write")),
    }
    Ok(())
}

fn get_written(r: &mut Reader<'_>, first: u8) -> Result<Written> {
    Ok(match first {
        0 => Written::Stored(Version(r.number()?)),
        1 => Written::Refused,
        2 => Written::NearOnly,
        _ => return Err(malformed("the outcome of a write")),
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as its siblings")]
fn put_bool<'c>(w: &mut Writer<'_, 'c>, yes: &'c bool) -> Result<()> {
    w.out.byte(u8::from(*yes));
    Ok(())
}

fn get_bool(_: &mut Reader<'_>, first: u8) -> Result<bool> {
    if first > 1 { Err(malformed("a yes or no")) } else { Ok(first == 1) }
}

fn put_sequence<'c>(w: &mut Writer<'_, 'c>, sequence: &'c Sequence) -> Result<()> {
    w.out.byte(0);
    w.out.number(sequence.0);
    Ok(())
}

fn get_sequence(r: &mut Reader<'_>, first: u8) -> Result<Sequence> {
    if first == 0 { r.number().map(Sequence) } else { Err(malformed("a sequence")) }
}

// Report:
//   1  length, n name of the tier
//   1  reason
//   1  1 if it is being loaded, 2 if an entry follows
//   entry
#[expect(clippy::ptr_arg, reason = "as its siblings")]
fn put_reports<'c>(w: &mut Writer<'_, 'c>, reports: &'c Vec<TierReport>) -> Result<()> {
    w.out.byte(0);
    w.many(reports, |w, report| {
        w.short(cut(&report.tier, MAX_TIER));
        // A reason that is newer than this build: it is not held, whyever.
        let code = |reason| REASONS.iter().find(|(known, _)| *known == reason).map_or(2, |(_, code)| *code);
        w.out.byte(report.reason.map_or(0, code));
        w.out.byte(u8::from(report.loading) | u8::from(report.entry.is_some()) << 1);
        report.entry.as_ref().map_or(Ok(()), |entry| entry::put(w, entry))
    })
}

fn get_reports(r: &mut Reader<'_>, first: u8) -> Result<Vec<TierReport>> {
    if first != 0 {
        return Err(malformed("a report"));
    }
    r.many(3, |r| {
        let tier = get_short(r)?;
        if tier.len() > MAX_TIER {
            return Err(malformed("the name of a tier"));
        }
        let tier = tier.to_owned();
        let [code, flags] = r.array()?;
        let reason = match code {
            0 => None,
            code => Some(REASONS.iter().find(|(_, known)| *known == code).ok_or_else(|| malformed("a reason"))?.0),
        };
        if flags > 3 {
            return Err(malformed("flags"));
        }
        let mut report = TierReport::live(tier).with_loading(flags & 1 != 0);
        report.reason = reason;
        report.entry = if flags & 2 == 0 { None } else { Some(entry::get(r)?) };
        Ok(report)
    })
}
