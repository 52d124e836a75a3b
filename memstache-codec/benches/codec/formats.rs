//! Formats: size and speed of values of several sizes, and postcard against the bare crate.

use memstache_codec::{Bincode, MessagePack, Postcard};
use memstache_core::{Format, Json};

use crate::{
    common::{User, user},
    rows::{Mark, Row, interleave},
};

/// Users that make about so many bytes in postcard.
const SIZES: [(&str, u64); 3] = [("256 B", 2), ("4 KiB", 42), ("64 KiB", 660)];

fn users(count: u64) -> Vec<User> {
    // Long enough ago that names have six digits.
    (0..count).map(|n| user(100_000 + n)).collect()
}

pub(crate) fn run(rounds: usize) -> Vec<Mark> {
    println!("\n## Formats\n");
    println!(
        "| values | format | bytes | write ns | read ns | allocations to write |\n| --- | --- | ---: | ---: | ---: | ---: |"
    );
    let mut marks = Vec::new();
    for (name, count) in SIZES {
        let users = users(count);
        table(rounds, name, "postcard", &Postcard, &users);
        table(rounds, name, "bincode", &Bincode, &users);
        table(rounds, name, "message-pack", &MessagePack, &users);
        table(rounds, name, "json", &Json, &users);
        marks.extend(postcard_marks(rounds, name, &users));
    }
    marks
}

fn table(rounds: usize, name: &str, label: &str, format: &impl Format, users: &Vec<User>) {
    let bytes = format.encode(users).unwrap();
    let mut rows =
        [Row::new(|_| format.encode(users).unwrap()), Row::new(|_| format.decode_shared::<Vec<User>>(&bytes).unwrap())];
    interleave(rounds, &mut rows);
    let [write, read] = rows;
    let (len, allocations) = (bytes.len(), write.allocations);
    println!("| {name} | {label} | {len} | {:.0} | {:.0} | {allocations} |", write.median(), read.median());
}

fn postcard_marks(rounds: usize, name: &str, users: &Vec<User>) -> [Mark; 2] {
    let bytes = Postcard.encode(users).unwrap();
    let factor = factor(bytes.len());
    let mut rows = [
        Row::new(|_| postcard::to_allocvec(users).unwrap()),
        Row::new(|_| Postcard.encode(users).unwrap()),
        Row::new(|_| postcard::from_bytes::<Vec<User>>(&bytes).unwrap()),
        Row::new(|_| Postcard.decode_shared::<Vec<User>>(&bytes).unwrap()),
    ];
    interleave(rounds, &mut rows);
    let [bare_write, write, bare_read, read] = rows;
    // The value's own strings and lists are the reader's, not the format's.
    let own = bare_read.allocations;
    [
        Mark::new(format!("postcard writes {name}"), &bare_write, &write, factor, 1),
        Mark::new(format!("postcard reads {name}"), &bare_read, &read, factor, own),
    ]
}

/// How many times what bare calls take may be taken.
pub(crate) fn factor(len: usize) -> f64 {
    if len >= 4_000 { 1.05 } else { 1.5 }
}
