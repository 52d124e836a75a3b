//! Whether a value looks as if it were compressed already.

/// How many bytes are looked at, in pieces spread over the value.
const SAMPLE: usize = 512;
const PIECES: usize = 8;
/// The fewest bytes that say anything about how bytes are spread.
const TOO_FEW: usize = 256;

/// How compressed and otherwise dense files begin, and where.
const MAGIC: &[(usize, &[u8])] = &[
    (0, b"\x1f\x8b\x08"),           // gzip
    (0, b"\x28\xb5\x2f\xfd"),       // zstd
    (0, b"\x04\x22\x4d\x18"),       // lz4 frame
    (0, b"\xff\x06\x00\x00sNaPpY"), // snappy frame
    (0, b"BZh"),                    // bzip2
    (0, b"\xfd7zXZ\x00"),           // xz
    (0, b"7z\xbc\xaf\x27\x1c"),     // 7z
    (0, b"PK\x03\x04"),             // zip, and what is made of it
    (0, b"Rar!\x1a\x07"),           // rar
    (0, b"\x89PNG\r\n\x1a\n"),      // png
    (0, b"\xff\xd8\xff"),           // jpeg
    (0, b"GIF8"),                   // gif
    (8, b"WEBP"),                   // webp
    (4, b"ftyp"),                   // mp4, avif, heic
    (0, b"\x1a\x45\xdf\xa3"),       // webm, matroska
    (0, b"OggS"),                   // ogg
    (0, b"fLaC"),                   // flac
    (0, b"ID3"),                    // mp3
    (0, b"wOFF"),                   // woff
    (0, b"wOF2"),                   // woff2
];

/// Looks at the first bytes and at how often each byte comes in a sample. Cheap: 512 bytes at most are read.
///
/// Wrong about dense bytes that repeat at a distance: ask for those with the entry's `compress` option.
pub(crate) fn looks_compressed(value: &[u8]) -> bool {
    is_known(value) || is_dense(value)
}

fn is_known(value: &[u8]) -> bool {
    MAGIC.iter().any(|(at, magic)| value.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
}

/// Whether two bytes of a sample are alike no more often than chance has it.
///
/// The sum of the squared counts is n + n(n-1)/256 for random bytes, within a few percent; text has several times that.
fn is_dense(value: &[u8]) -> bool {
    if value.len() < TOO_FEW {
        return false;
    }
    let mut counts = [0u16; 256];
    let mut seen = 0u32;
    let piece = SAMPLE / PIECES;
    let step = (value.len() / PIECES).max(piece);
    for part in value.chunks(step).take(PIECES) {
        for byte in &part[..part.len().min(piece)] {
            counts[usize::from(*byte)] += 1;
            seen += 1;
        }
    }
    let pairs: u32 = counts.iter().map(|count| u32::from(*count) * u32::from(*count)).sum();
    let chance = seen + seen * (seen - 1) / 256;
    pairs <= chance + chance / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let step = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(step).collect()
    }

    #[test]
    fn random_bytes_are_dense_at_every_size() {
        for len in [256, 300, 511, 512, 513, 1_000, 4_096, 100_000] {
            let dense = (0..200).filter(|seed| looks_compressed(&random(len, *seed))).count();
            assert!(dense >= 195, "{len}: {dense} of 200");
        }
    }

    #[test]
    fn text_numbers_and_short_values_are_not() {
        let json = br#"{"id":12345,"name":"tea no. 7","tags":["green","loose"],"cents":349,"stock":[1,2,3]}"#.repeat(9);
        assert!(!looks_compressed(&json));
        let base64: Vec<u8> = random(4_096, 5).iter().map(|byte| b'A' + byte % 64).collect();
        assert!(!looks_compressed(&base64), "six bits of eight");
        let numbers: Vec<u8> = (0..1_000u32).flat_map(u32::to_le_bytes).collect();
        assert!(!looks_compressed(&numbers));
        assert!(!looks_compressed(&random(255, 3)) && !looks_compressed(&[]));
    }

    #[test]
    fn known_files_are_known() {
        for (at, magic) in MAGIC {
            let file = [&vec![b' '; *at], *magic, &[b' '; 300]].concat();
            assert!(looks_compressed(&file), "{magic:?}");
            assert!(!looks_compressed(&file[..at + magic.len() - 1]));
        }
    }
}
