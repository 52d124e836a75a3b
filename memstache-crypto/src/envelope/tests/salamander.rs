//! A text that opens under two keys, built by algebra (Dodis, Grubbs, Ristenpart, Woodage, "Fast Message Franking: From
//! Invisible Salamanders to Encryptment", 2018, §3): GCM accepts it, envelopes do not.

use super::*;
use crate::{backend::TAG_LEN, key::KeyId};

/// An element of GCM's field (NIST SP 800-38D, §6.3): the first bit of a block is the highest of the number.
#[derive(Clone, Copy, PartialEq)]
struct Block(u128);

const ONE: Block = Block(1 << 127);

impl Block {
    fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    fn times(self, other: Self) -> Self {
        let (mut product, mut shifted) = (0, other.0);
        for bit in (0..128).rev() {
            product ^= if self.0 >> bit & 1 == 1 { shifted } else { 0 };
            shifted = (shifted >> 1) ^ if shifted & 1 == 1 { 0xE1 << 120 } else { 0 };
        }
        Self(product)
    }

    fn to_the(self, mut exponent: u128) -> Self {
        let (mut power, mut result) = (self, ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.times(power);
            }
            power = power.times(power);
            exponent >>= 1;
        }
        result
    }

    /// All non-zero elements have the order 2^128 - 1.
    fn inverse(self) -> Self {
        self.to_the(u128::MAX - 1)
    }

    /// Squaring is a permutation, and 128 of them are none.
    fn root(self) -> Self {
        (0..127).fold(self, |power, _| power.times(power))
    }
}

fn blocks(bytes: &[u8]) -> Vec<Block> {
    let padded = |chunk: &[u8]| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        Block(u128::from_be_bytes(block))
    };
    bytes.chunks(16).map(padded).collect()
}

/// GHASH of associated data and text (§6.4).
fn ghash(h: Block, aad: &[u8], text: &[u8]) -> Block {
    let lengths = Block(((aad.len() as u128 * 8) << 64) | (text.len() as u128 * 8));
    let all = blocks(aad).into_iter().chain(blocks(text)).chain([lengths]);
    all.fold(Block(0), |sum, block| sum.add(block).times(h))
}

/// What GCM's tag is made of, found by asking for tags alone: the hash key, and the mask of our nonce.
fn secrets(key: &EntryKey) -> (Block, Block) {
    let tag = |aad: &[u8]| Block(u128::from_be_bytes(key.cipher.seal(NONCE, aad, &mut []).unwrap()));
    // Two tags of one block each differ by (their difference) · h².
    let h = tag(&ONE.0.to_be_bytes()).add(tag(&[0; 16])).root();
    (h, tag(b""))
}

/// A tag, and a text whose free block was chosen so that it is the tag under both keys.
fn salamander(keys: [&EntryKey; 2], aad: &[u8], text_len: usize) -> (Vec<u8>, [u8; TAG_LEN]) {
    let mut text = vec![0x5A; text_len];
    let free = text_len - 16;
    text[free..].fill(0);
    let [(h1, mask1), (h2, mask2)] = keys.map(secrets);
    let gap = ghash(h1, aad, &text).add(mask1).add(ghash(h2, aad, &text)).add(mask2);
    // The last block of the text is multiplied twice: once for itself, once with the lengths.
    let block = gap.times(h1.times(h1).add(h2.times(h2)).inverse());
    text[free..].copy_from_slice(&block.0.to_be_bytes());
    let tag = ghash(h1, aad, &text).add(mask1);
    (text, tag.0.to_be_bytes())
}

/// An envelope of a suite that says to be of `id`, whose text two entry keys open.
fn envelope(suite: Suite, id: KeyId, keys: [&EntryKey; 2], at: &Address) -> Vec<u8> {
    let mut out = vec![MAGIC, VERSION, suite.byte(), PADDED];
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(&SALT);
    out.extend_from_slice(&NONCE);
    out.extend_from_slice(keys[0].commitment());
    let aad = associated_data(&out, at);
    let (text, tag) = salamander(keys, &aad, 96);
    out.extend_from_slice(&text);
    out.extend_from_slice(&tag);
    out
}

#[test]
fn the_field_is_that_of_gcm() {
    let (a, b) = (Block(0x0388_dace_60b6_a392_f328_c2b9_71b2_fe78), Block(0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e));
    // Test case 2 of the GCM specification: the ciphertext block times the hash key.
    assert!(a.times(b) == Block(0x5e2e_c746_9170_6288_2c85_b068_5353_deb7));
    assert!(a.times(ONE) == a && a.times(a.inverse()) == ONE && a.times(a).root() == a);
}

#[test]
fn a_text_of_two_keys_opens_under_both_in_gcm_and_under_one_in_a_committing_suite() {
    let (one, two, at) = (data_key(1), data_key(2), address("t", "k", b"n"));
    for suite in [Suite::Aes256Gcm, Suite::CommittingAes256Gcm] {
        let keys = [&one, &two].map(|key| EntryKey::derive(Backend::ring(), key, suite, &SALT));
        let bytes = envelope(suite, one.id(), [&keys[0], &keys[1]], &at);
        let parsed = parse(&bytes).unwrap();
        // The attack is real: both keys accept the tag.
        for key in &keys {
            let (mut text, aad) = (parsed.text.to_vec(), associated_data(parsed.header, &at));
            assert_eq!(key.cipher.open(NONCE, &aad, &mut text, *parsed.tag), Ok(()), "{suite:?}");
        }
        // The key that is named gets as far as the inner header, which the attacker cannot choose for both.
        assert_eq!(open(&parsed, &keys[0], &at), Err(Reason::Inner));
        let expected = if suite.is_committing() { Reason::Commitment } else { Reason::Inner };
        assert_eq!(open(&parsed, &keys[1], &at), Err(expected), "{suite:?}");
    }
}
