//! Whether a value looks as if it were compressed already.

/// How many bytes are looked at, in pieces spread over the value.
const SAMPLE: usize = 128;
const PIECES: usize = 8;
/// The fewest bytes that say anything about how bytes are spread.
const TOO_FEW: usize = 256;
/// Of 128 random bytes 101 differ, give or take 4; of text some 40, and of base64 never more than 64.
const DENSE: u8 = 85;

/// Looks at the first bytes and at how many bytes of a sample differ. Cheap: 128 bytes at most are read.
///
/// Wrong about dense bytes that repeat at a distance: ask for those with the entry's `compress` option.
pub(crate) fn looks_compressed(value: &[u8]) -> bool {
    is_known(value) || is_dense(value)
}

/// How compressed and otherwise dense files begin.
fn is_known(value: &[u8]) -> bool {
    match value {
        [0x1f, 0x8b, 0x08, ..]                                  // gzip
        | [0x28, 0xb5, 0x2f, 0xfd, ..]                          // zstd
        | [0x04, 0x22, 0x4d, 0x18, ..]                          // lz4 frame
        | [0xff, 0x06, 0x00, 0x00, b's', b'N', b'a', ..]        // snappy frame
        | [b'B', b'Z', b'h', b'1'..=b'9', ..]                   // bzip2
        | [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..]              // xz
        | [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..]              // 7z
        | [b'P', b'K', 0x03, 0x04, ..]                          // zip, and what is made of it
        | [b'R', b'a', b'r', b'!', 0x1a, 0x07, ..]              // rar
        | [0x89, b'P', b'N', b'G', b'\r', b'\n', ..]            // png
        | [0xff, 0xd8, 0xff, ..]                                // jpeg
        | [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..]       // gif
        | [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] // webp
        | [_, _, _, _, b'f', b't', b'y', b'p', ..]              // mp4, avif, heic
        | [0x1a, 0x45, 0xdf, 0xa3, ..]                          // webm, matroska
        | [b'O', b'g', b'g', b'S', 0x00, ..]                    // ogg
        | [b'f', b'L', b'a', b'C', 0x00, ..]                    // flac
        | [b'I', b'D', b'3', 0x02..=0x04, ..]                   // mp3
        | [b'w', b'O', b'F', b'F' | b'2', ..] => true,          // woff
        _ => false,
    }
}

fn is_dense(value: &[u8]) -> bool {
    if value.len() < TOO_FEW {
        return false;
    }
    // A byte for each, not a bit: no store has to wait for the one before it.
    let mut seen = [0u8; 256];
    let piece = SAMPLE / PIECES;
    for part in value.chunks_exact(value.len() / PIECES).take(PIECES) {
        for byte in &part[..piece] {
            seen[usize::from(*byte)] = 1;
        }
    }
    seen.iter().sum::<u8>() >= DENSE
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
    fn known_files_are_known_and_what_begins_like_them_is_not() {
        let known: [&[u8]; 20] = [
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"\x04\x22\x4d\x18",
            b"\xff\x06\0\0sNaPpY",
            b"BZh9",
            b"\xfd7zXZ\0",
            b"7z\xbc\xaf\x27\x1c",
            b"PK\x03\x04",
            b"Rar!\x1a\x07",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"RIFF1234WEBP",
            b"\0\0\0\x20ftyp",
            b"\x1a\x45\xdf\xa3",
            b"OggS\0",
            b"fLaC\0",
            b"ID3\x04",
            b"wOFF",
            b"wOF2",
        ];
        for magic in known {
            assert!(looks_compressed(&[magic, &[b' '; 300]].concat()), "{magic:?}");
            assert!(!looks_compressed(&magic[..2]), "{magic:?}");
        }
        assert!(
            !looks_compressed(b"BZhang,7") && !looks_compressed(b"ID3: a number") && !looks_compressed(b"RIFFraff")
        );
    }
}
