//! fred with the very commands that memstache's store sends: what the store itself costs is what is left.
//!
//! The commands are what the server's MONITOR shows while the store reads and writes one key; they are repeated with other
//! keys in that one's place. A batch is repeated as it is: to put other keys in so many places is work that the store has not.
//! They are recorded anew before each round, since writes carry the time until which they hold.

use std::{
    io::{BufRead, BufReader, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use fred::{
    clients::Client as Driver,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value},
};

use super::{Client, memstache::OverStore};

/// How long the server may take to show a command.
const PATIENCE: Duration = Duration::from_secs(2);
/// Commands of others that may come before the one that is to be recorded.
const MOST_LINES: usize = 1_000;

/// Repeats what the store sends.
#[derive(Clone)]
pub(super) struct SameCommands {
    driver: Driver,
    store: OverStore,
    server: Arc<str>,
    templates: Arc<Mutex<Arc<Templates>>>,
}

/// Commands, those for one key with its name in them.
#[derive(Debug, Default)]
struct Templates {
    key: String,
    get: Vec<Vec<u8>>,
    set: Vec<Vec<u8>>,
    many: Vec<Vec<Vec<u8>>>,
}

impl SameCommands {
    pub(super) fn new(url: &str, driver: Driver, store: OverStore) -> Result<Self> {
        let server = url.strip_prefix("redis://").context("one server, without TLS")?;
        Ok(Self { driver, store, server: server.trim_end_matches('/').into(), templates: Arc::default() })
    }

    fn templates(&self) -> Arc<Templates> {
        Arc::clone(&self.templates.lock().expect("nothing panics while it is held"))
    }

    async fn send(&self, template: &[Vec<u8>], from: &str, to: &str) -> Result<Value> {
        let put = |arg: &Vec<u8>| if from == to { Bytes::copy_from_slice(arg) } else { replaced(arg, from, to) };
        let (name, args) = template.split_first().context("recorded before the round")?;
        let name = String::from_utf8_lossy(name).into_owned();
        let args: Vec<Value> = args.iter().map(|arg| Value::Bytes(put(arg))).collect();
        Ok(self.driver.custom(CustomCommand::new(name, ClusterHash::FirstKey, false), args).await?)
    }
}

impl Client for SameCommands {
    async fn get(&self, key: &str) -> Result<usize> {
        let templates = self.templates();
        let value = self.send(&templates.get, &templates.key, key).await?;
        ensure!(!value.is_null(), "a key is missing");
        Ok(0)
    }

    async fn set(&self, key: &str, _: &str) -> Result<()> {
        let templates = self.templates();
        self.send(&templates.set, &templates.key, key).await.map(drop)
    }

    async fn get_many(&self, _: &[&str]) -> Result<usize> {
        let templates = self.templates();
        // One after the other on the wire, all under way at once, should they be several.
        let all = templates.many.iter().map(|template| self.send(template, "", ""));
        let values = futures_util::future::try_join_all(all).await?;
        ensure!(values.iter().all(|value| !value.is_null()), "a key is missing");
        Ok(0)
    }

    async fn prepare(&self, keys: &[&str], value: &str) -> Result<()> {
        let key = *keys.first().context("keys to record with")?;
        for key in keys {
            self.store.set(key, value).await?;
        }
        let mut monitor = Monitor::open(&self.server)?;
        self.store.get_many(keys).await?;
        let many = monitor.all(keys)?;
        self.store.get(key).await?;
        let get = monitor.one(&[key])?;
        // Last: it holds for the shortest time.
        self.store.set(key, value).await?;
        let set = monitor.one(&[key])?;
        let recorded = Templates { key: key.to_owned(), get, set, many };
        *self.templates.lock().expect("nothing panics while it is held") = Arc::new(recorded);
        Ok(())
    }
}

/// Everything that the server is asked.
struct Monitor<R = BufReader<TcpStream>>(R);

impl Monitor {
    fn open(server: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"MONITOR\r\n")?;
        let mut monitor = Self(BufReader::new(stream));
        ensure!(monitor.line()?.starts_with("+OK"), "the server does not tell what it is asked");
        Ok(monitor)
    }
}

impl<R: BufRead> Monitor<R> {
    /// The next command with one of the keys in it; what scripts do in turn does not count.
    fn one(&mut self, keys: &[&str]) -> Result<Vec<Vec<u8>>> {
        // Others keep talking, so that the line is never silent for long.
        for _ in 0..MOST_LINES {
            let line = self.line()?;
            if !line.contains(" lua] ") && keys.iter().any(|key| line.contains(key)) {
                return words(&line).with_context(|| format!("not a command: {line:?}"));
            }
        }
        bail!("the server showed {MOST_LINES} commands, and not the one that was to be recorded")
    }

    /// As many commands as it takes until each key was in one of them, in whatever order they were sent.
    fn all(&mut self, keys: &[&str]) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut left = keys.to_vec();
        let mut commands = Vec::new();
        while !left.is_empty() {
            let command = self.one(&left)?;
            let text = command.concat();
            left.retain(|key| !text.windows(key.len()).any(|window| window == key.as_bytes()));
            commands.push(command);
        }
        Ok(commands)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line).context("the server showed no command")? > 0, "the server is gone");
        Ok(line)
    }
}

/// The words of a line of MONITOR: each between quotes, with C's escapes.
fn words(line: &str) -> Result<Vec<Vec<u8>>> {
    let start = line.find("] \"").context("no words")? + 2;
    let mut chars = line[start..].chars();
    let mut words = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => words.push(word(&mut chars)?),
            c if c.is_whitespace() => {}
            other => bail!("{other:?} between words"),
        }
    }
    Ok(words)
}

/// Up to the closing quote.
fn word(chars: &mut impl Iterator<Item = char>) -> Result<Vec<u8>> {
    let mut word = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(word),
            '\\' => word.push(escaped(chars)?),
            c => word.extend(c.to_string().as_bytes()),
        }
    }
    bail!("a word without an end")
}

fn escaped(chars: &mut impl Iterator<Item = char>) -> Result<u8> {
    Ok(match chars.next().context("nothing after a backslash")? {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'a' => 7,
        'b' => 8,
        'x' => {
            let digits: String = chars.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16)?
        }
        c => u8::try_from(c)?,
    })
}

/// The bytes with one text in the place of another.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Bytes {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from.as_bytes()) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_they_were_sent() {
        let line = "+1339518083.107412 [0 127.0.0.1:60866] \"EVALSHA\" \"a b\" \"\\x00\\xff\\n\\\"\\\\\" \"\"\r\n";
        assert_eq!(
            words(line).unwrap(),
            [b"EVALSHA".to_vec(), b"a b".to_vec(), b"\x00\xff\n\"\\".to_vec(), Vec::new()]
        );
        for bad in ["+OK", "+1 [0 a] \"x", "+1 [0 a] \"\\", "+1 [0 a] \"\\xg0\"", "+1 [0 a] \"x\" y"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_of_a_batch_are_recorded_in_whatever_order_they_come() {
        let shown = |commands: &[&str]| {
            let lines = commands.iter().map(|words| format!("+1 [0 a] {words}\r\n"));
            lines.collect::<String>().into_bytes()
        };
        let lines = shown(&[r#""PING""#, r#""MGET" "c" "d""#, r#""GET" "a""#, r#""GET" "b""#]);
        let recorded = Monitor(&lines[..]).all(&["a", "b", "c", "d"]).unwrap();
        let first_words: Vec<_> = recorded.iter().map(|words| String::from_utf8_lossy(&words[1])).collect();
        assert_eq!(first_words, ["c", "a", "b"]);
        let others = shown(&vec![r#""PING""#; MOST_LINES + 1]);
        let error = Monitor(&others[..]).one(&["a"]).unwrap_err().to_string();
        assert!(error.contains("not the one that was to be recorded"), "{error}");
    }

    #[test]
    fn keys_take_each_others_place() {
        assert_eq!(replaced(b"{a:one}one", "one", "three"), "{a:three}three");
        assert_eq!(replaced(b"\xff", "one", "two"), &b"\xff"[..]);
    }
}
