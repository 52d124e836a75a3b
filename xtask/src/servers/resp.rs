//! Speaks just enough of Redis's protocol to look after a server.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

/// No answer that we ask for is longer.
const MAX_BYTES: u64 = 16 << 20;
const MAX_ITEMS: u64 = 1 << 20;
const MAX_DEPTH: usize = 8;
/// How long a server on the same machine may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to a server on loopback.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Number(i64),
    Nothing,
    List(Vec<Self>),
    Error(String),
}

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Self> {
        Self::open_within(port, PATIENCE)
    }

    /// With this limit for the connection, and for each answer.
    pub(crate) fn open_within(port: u16, limit: Duration) -> Result<Self> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&at, limit).with_context(|| format!("no connection to {at}"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a command and reads its answer; an error that the server answers is an error here.
    pub(crate) fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.stream.get_mut().write_all(&command(words))?;
        match read(&mut self.stream, MAX_DEPTH)? {
            Reply::Error(text) => bail!("{}: {text}", words.join(" ")),
            reply => Ok(reply),
        }
    }

    /// As [`call`](Self::call), for answers that are a text.
    pub(crate) fn text(&mut self, words: &[&str]) -> Result<String> {
        match self.call(words)? {
            Reply::Text(text) => Ok(text),
            other => bail!("{}: not a text: {other:?}", words.join(" ")),
        }
    }
}

impl Reply {
    /// The texts of a list, those of its parts included; numbers are spelt.
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Self::Text(text) | Self::Error(text) => vec![text.clone()],
            Self::Number(number) => vec![number.to_string()],
            Self::Nothing => Vec::new(),
            Self::List(items) => items.iter().flat_map(Self::texts).collect(),
        }
    }
}

/// `*n`, then each word with its length before it.
fn command(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn read(from: &mut BufReader<impl Read>, depth: usize) -> Result<Reply> {
    ensure!(depth > 0, "an answer with too many levels");
    let line = line(from)?;
    let Some((kind, rest)) = line.split_at_checked(1) else { bail!("an empty line where an answer begins") };
    match kind {
        "+" => Ok(Reply::Text(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => Ok(Reply::Number(rest.parse().context("not a number")?)),
        "$" => bulk(from, rest),
        "*" => list(from, rest, depth),
        _ => bail!("an answer of an unknown kind: {kind:?}"),
    }
}

fn line(from: &mut BufReader<impl Read>) -> Result<String> {
    let mut line = Vec::new();
    from.by_ref().take(MAX_BYTES).read_until(b'\n', &mut line)?;
    ensure!(line.ends_with(b"\r\n"), "the connection ended within an answer");
    Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
}

fn bulk(from: &mut BufReader<impl Read>, length: &str) -> Result<Reply> {
    let Some(length) = size(length, MAX_BYTES)? else { return Ok(Reply::Nothing) };
    let mut bytes = Vec::new();
    from.by_ref().take(length + 2).read_to_end(&mut bytes)?;
    let Some(text) = bytes.strip_suffix(b"\r\n").filter(|text| text.len() as u64 == length) else {
        bail!("the connection ended within an answer");
    };
    Ok(Reply::Text(String::from_utf8_lossy(text).into_owned()))
}

fn list(from: &mut BufReader<impl Read>, length: &str, depth: usize) -> Result<Reply> {
    let Some(length) = size(length, MAX_ITEMS)? else { return Ok(Reply::Nothing) };
    (0..length).map(|_| read(from, depth - 1)).collect::<Result<_>>().map(Reply::List)
}

/// `None` for -1, by which Redis says that there is nothing.
fn size(text: &str, max: u64) -> Result<Option<u64>> {
    if text == "-1" {
        return Ok(None);
    }
    let size = text.parse().with_context(|| format!("not a length: {text:?}"))?;
    ensure!(size <= max, "an answer of {size}, and {max} is the limit");
    Ok(Some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Reply> {
        read(&mut BufReader::new(bytes), MAX_DEPTH)
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    #[test]
    fn a_command_is_a_list_of_words() {
        assert_eq!(command(&["SET", "k", "é"]), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\né\r\n".as_bytes());
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        assert_eq!(parse(b"+PONG\r\n").unwrap(), text("PONG"));
        assert_eq!(parse(b":-7\r\n").unwrap(), Reply::Number(-7));
        assert_eq!(parse(b"$6\r\na\r\nbc\n\r\n").unwrap(), text("a\r\nbc\n"));
        assert_eq!(parse(b"$-1\r\n").unwrap(), Reply::Nothing);
        assert_eq!(parse(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".to_owned()));
        let list = parse(b"*3\r\n+a\r\n*1\r\n:2\r\n$-1\r\n").unwrap();
        assert_eq!(list, Reply::List(vec![text("a"), Reply::List(vec![Reply::Number(2)]), Reply::Nothing]));
        assert_eq!(list.texts(), ["a", "2"]);
    }

    #[test]
    fn what_is_cut_off_or_absurd_is_an_error() {
        for bytes in
            [&b""[..], b"+PO", b"$5\r\nab\r\n", b"*2\r\n+a\r\n", b"?\r\n", b"\r\n", b":x\r\n", b"$99999999999\r\n"]
        {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse("*1\r\n".repeat(20).as_bytes()).unwrap_err().to_string().contains("levels"));
    }

    #[test]
    fn nobody_there_is_an_error_with_the_port() {
        let port = crate::servers::ports::take(1).unwrap()[0];
        let err = Connection::open(port).unwrap_err();
        assert!(format!("{err:#}").contains(&port.to_string()), "{err:#}");
    }
}
