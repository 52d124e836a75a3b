//! What is authenticated beside the text: the header, and where the value belongs.

use memstache_core::{Address, MAX_LABEL, MAX_NAME};

use super::{COMMITMENT_LEN, HEADER_LEN};

const LABEL: &[u8] = b"mst1/aad";

/// The most that associated data can take.
const LONGEST: usize = LABEL.len() + HEADER_LEN + COMMITMENT_LEN + 3 * size_of::<u32>() + 2 * MAX_LABEL + MAX_NAME;
/// What it takes for most names: as much as is cleared without a call.
const SHORT: usize = 128;

/// Hands over `label ‖ header ‖ lp(tenant) ‖ lp(keyspace) ‖ lp(name)`, where `lp` puts a length of four bytes first.
///
/// Injective: the label is fixed, the header says its own length by its suite, everything else has its length before it.
/// The shared space has an empty tenant, which no tenant has.
#[inline(always)]
pub(crate) fn with<R>(header: &[u8], address: &Address, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let parts = Parts::of(address);
    let len = LABEL.len() + header.len() + parts.len();
    if len > SHORT {
        return with_long(&parts, header, len, use_it);
    }
    let mut room = [0; SHORT];
    use_it(parts.write(header, &mut room[..len]))
}

/// The same for names that are seldom as long: apart, so that what is done with it is inlined where it is short.
#[cold]
#[inline(never)]
fn with_long<R>(parts: &Parts<'_>, header: &[u8], len: usize, use_it: impl FnOnce(&[u8]) -> R) -> R {
    let mut room = [0; LONGEST];
    use_it(parts.write(header, &mut room[..len]))
}

/// Where a value belongs.
struct Parts<'a>([&'a [u8]; 3]);

impl<'a> Parts<'a> {
    #[inline]
    fn of(address: &'a Address) -> Self {
        // `tenant:keyspace:`, and no colon in either.
        let space = address.space_key();
        let tenant = space.iter().position(|byte| *byte == b':').expect("it has two");
        Self([&space[..tenant], &space[tenant + 1..space.len() - 1], address.name()])
    }

    fn len(&self) -> usize {
        self.0.iter().map(|part| size_of::<u32>() + part.len()).sum()
    }

    #[inline(always)]
    fn write<'r>(&self, header: &[u8], room: &'r mut [u8]) -> &'r [u8] {
        let rest = put(&mut *room, LABEL);
        let mut rest = match header.first_chunk::<HEADER_LEN>() {
            // Of a length that is known: no call either.
            Some(fixed) if header.len() == HEADER_LEN => put(rest, fixed),
            _ => put(rest, header),
        };
        for part in self.0 {
            let len = u32::try_from(part.len()).expect("names and labels are short");
            rest = put(put(rest, &len.to_be_bytes()), part);
        }
        debug_assert!(rest.is_empty(), "another length than was reckoned with");
        room
    }
}

#[inline(always)]
fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> &'r mut [u8] {
    let (place, rest) = room.split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    rest
}
