//! Reads recorded requests.

use std::{
    collections::HashMap,
    fs::{self, File},
    hash::Hash,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use lzma_rust2::XzReader;

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A big-endian 32-bit number a request
    Be32,
    /// A key a line, any text; a line with nothing but `*` is left out, as in the traces of LIRS
    Text,
    /// `first count ...` a line: that many keys, one after the other, as in the traces of ARC
    Arc,
}

/// Requests in their order; keys are numbered by when they first came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) requests: Vec<u32>,
    pub(crate) distinct: usize,
}

impl Trace {
    pub(crate) fn of<K: Eq + Hash>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut numbers = HashMap::new();
        let requests: Vec<_> = keys
            .into_iter()
            .map(|key| {
                let next = numbers.len() as u32;
                *numbers.entry(key).or_insert(next)
            })
            .collect();
        Self { requests, distinct: numbers.len() }
    }
}

/// Reads the first `limit` requests; a file that ends in `.xz` is unpacked.
pub(crate) fn read(path: &Path, format: Option<Format>, limit: usize) -> Result<Trace> {
    let told = || format!("the trace {} cannot be read", path.display());
    let file = BufReader::new(File::open(path).with_context(told)?);
    let packed = path.extension().is_some_and(|ext| ext == "xz");
    let input: Box<dyn BufRead> =
        if packed { Box::new(BufReader::new(XzReader::new(file, true))) } else { Box::new(file) };
    let trace = parse(input, format.unwrap_or_else(|| guess(path)), limit).with_context(told)?;
    if trace.requests.is_empty() {
        bail!("{}: it has no requests", told());
    }
    Ok(trace)
}

/// The traces in a folder and below, by name.
pub(crate) fn find(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(find(&path));
        } else if [".trace", ".trace.xz"].iter().any(|end| path.to_string_lossy().ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The file's name without its endings.
pub(crate) fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or(&name).to_owned()
}

/// The `.trace` files of cache2k are numbers in binary; anything else is text unless it is said.
fn guess(path: &Path) -> Format {
    if path.to_string_lossy().trim_end_matches(".xz").ends_with(".trace") { Format::Be32 } else { Format::Text }
}

fn parse(input: impl BufRead, format: Format, limit: usize) -> Result<Trace> {
    match format {
        Format::Be32 => be32(input, limit),
        Format::Text => text(input, limit),
        Format::Arc => arc(input, limit),
    }
}

fn be32(mut input: impl Read, limit: usize) -> Result<Trace> {
    let mut bytes = Vec::new();
    input.by_ref().take(limit as u64 * 4).read_to_end(&mut bytes)?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        bail!("it ends within a number");
    }
    Ok(Trace::of(numbers.iter().map(|number| u32::from_be_bytes(*number))))
}

fn text(input: impl BufRead, limit: usize) -> Result<Trace> {
    let lines = lines(input)?;
    let keys = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && *line != "*");
    Ok(Trace::of(keys.take(limit)))
}

fn arc(input: impl BufRead, limit: usize) -> Result<Trace> {
    let mut keys = Vec::new();
    for (number, line) in lines(input)?.iter().enumerate() {
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        let (first, count) = match (words.next(), words.next()) {
            (None, _) => continue,
            (Some(Ok(first)), Some(Ok(count))) => (first, count),
            _ => bail!("line {} does not begin with a first key and a count", number + 1),
        };
        keys.extend((0..count).take(limit - keys.len()).map(|key| first + key));
        if keys.len() >= limit {
            break;
        }
    }
    Ok(Trace::of(keys))
}

fn lines(input: impl BufRead) -> Result<Vec<String>> {
    Ok(input.lines().collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(input: impl AsRef<[u8]>, format: Format, limit: usize) -> Result<(Vec<u32>, usize)> {
        parse(input.as_ref(), format, limit).map(|trace| (trace.requests, trace.distinct))
    }

    #[test]
    fn big_endian_numbers() {
        let bytes = [[0, 0, 1, 0], [255, 255, 255, 255], [0, 0, 1, 0]].concat();
        assert_eq!(parsed(&bytes, Format::Be32, 10).unwrap(), (vec![0, 1, 0], 2));
        assert_eq!(parsed(&bytes, Format::Be32, 2).unwrap(), (vec![0, 1], 2));
        assert!(parsed(&bytes[..7], Format::Be32, 10).is_err());
    }

    #[test]
    fn a_key_a_line() {
        assert_eq!(parsed("17\nabc\n\n*\n17 \n", Format::Text, 10).unwrap(), (vec![0, 1, 0], 2));
        assert_eq!(parsed("17\n*\nabc\n17\n", Format::Text, 2).unwrap(), (vec![0, 1], 2));
    }

    #[test]
    fn runs_of_keys() {
        assert_eq!(parsed("10 3 0 1\n\n11 1 0 2\n", Format::Arc, 10).unwrap(), (vec![0, 1, 2, 1], 3));
        assert_eq!(parsed("10 3 0 1\n11 1 0 2\n", Format::Arc, 2).unwrap(), (vec![0, 1], 2));
        let error = parsed("10 3\nten 3\n", Format::Arc, 10).unwrap_err().to_string();
        assert_eq!(error, "line 2 does not begin with a first key and a count");
    }

    #[test]
    fn the_name_tells_the_format() {
        assert_eq!(guess(Path::new("a/web07.trace.xz")), Format::Be32);
        assert_eq!(guess(Path::new("a/cs.txt.xz")), Format::Text);
        assert_eq!(name(Path::new("a/web07.trace.xz")), "web07");
    }
}
