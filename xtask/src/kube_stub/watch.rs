//! Watches: changes from a version on, as they come.

use std::{
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Answer,
    cluster::{Change, Cluster, Contents, Kind, Upset, selects},
    http::{Reply, Request, failure},
};

/// How often a watch is told how far it is.
const BOOKMARK: Duration = Duration::from_secs(2);
/// The longest watch.
const LONGEST: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Watch {
    kind: Kind,
    namespace: Option<String>,
    selector: Option<String>,
    version: u64,
    bookmarks: bool,
    end: Instant,
    upsets: u64,
}

/// What is to be done next.
enum Next {
    Say(Vec<Value>),
    Upset(Upset),
    End,
}

impl Watch {
    pub(super) fn begin(request: &Request, kind: Kind, namespace: Option<String>, cluster: &Cluster) -> Answer {
        let mut contents = cluster.lock();
        contents.watches += 1;
        // None, or 0: from the objects that there are.
        let from = request.query("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
        if from != 0 && from < contents.forgotten {
            let message = format!("too old resource version: {from} ({})", contents.version);
            return Answer::Reply(Reply::failure(410, "Expired", &message));
        }
        let seconds = request.query("timeoutSeconds").and_then(|seconds| seconds.parse().ok());
        Answer::Watch(Self {
            kind,
            namespace,
            selector: request.query("labelSelector").map(str::to_owned),
            version: from,
            bookmarks: request.is_set("allowWatchBookmarks"),
            end: Instant::now() + seconds.map_or(LONGEST, Duration::from_secs).min(LONGEST),
            upsets: contents.upsets(),
        })
    }

    /// Tells of changes until its time is over.
    pub(super) fn run(mut self, mut stream: &TcpStream, cluster: &Cluster) -> Result<()> {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")?;
        if self.version == 0 {
            let events = self.present(&cluster.lock());
            events.iter().try_for_each(|event| say(stream, event))?;
        }
        loop {
            match self.next(cluster) {
                Next::Say(events) => events.iter().try_for_each(|event| say(stream, event))?,
                Next::End => {
                    stream.write_all(b"0\r\n\r\n")?;
                    return Ok(());
                }
                Next::Upset(Upset::Cut) => {
                    chunk(stream, br#"{"type":"MODIFIED","object":{"kind":"Po"#)?;
                    return Ok(());
                }
                Next::Upset(Upset::Stall) => {
                    // As long as the longest watch, whatever the client asked for: it has to notice.
                    thread::sleep(LONGEST);
                    return Ok(());
                }
                Next::Upset(Upset::Expire) => {
                    let gone = failure(410, "Expired", "too old resource version");
                    say(stream, &json!({"type": "ERROR", "object": gone}))?;
                    stream.write_all(b"0\r\n\r\n")?;
                    return Ok(());
                }
            }
        }
    }

    /// The objects that there are, as events.
    fn present(&mut self, contents: &Contents) -> Vec<Value> {
        self.version = contents.version;
        let of_kind = contents.objects.iter().filter(|((kind, _, _), object)| self.wants(*kind, object));
        of_kind.map(|(_, object)| json!({"type": "ADDED", "object": object})).collect()
    }

    fn next(&mut self, cluster: &Cluster) -> Next {
        let bookmark = Instant::now() + BOOKMARK;
        let mut contents = cluster.lock();
        loop {
            if let Some((count, upset)) = contents.upset.filter(|(count, _)| *count > self.upsets) {
                self.upsets = count;
                return Next::Upset(upset);
            }
            let new = contents.changes.iter().filter(|change| change.version > self.version);
            let events: Vec<_> = new.filter(|change| self.wants(change.kind, &change.object)).map(event).collect();
            self.version = self.version.max(contents.changes.back().map_or(0, |change| change.version));
            if !events.is_empty() {
                return Next::Say(events);
            }
            let now = Instant::now();
            if now >= self.end {
                return Next::End;
            }
            if now >= bookmark && self.bookmarks {
                self.version = contents.version;
                let metadata = json!({"resourceVersion": self.version.to_string(), "creationTimestamp": null});
                let object = json!({"kind": self.kind.name(), "apiVersion": self.kind.version(), "metadata": metadata});
                return Next::Say(vec![json!({"type": "BOOKMARK", "object": object})]);
            }
            contents = cluster.wait(contents, self.end.min(bookmark));
        }
    }

    fn wants(&self, kind: Kind, object: &Value) -> bool {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        kind == self.kind
            && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
            && selects(self.selector.as_deref(), object).unwrap_or(false)
    }
}

fn event(change: &Change) -> Value {
    json!({"type": change.what, "object": change.object})
}

fn say(stream: &TcpStream, event: &Value) -> Result<()> {
    chunk(stream, format!("{event}\n").as_bytes())
}

fn chunk(mut stream: &TcpStream, bytes: &[u8]) -> Result<()> {
    let head = format!("{:x}\r\n", bytes.len());
    stream.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat())?;
    Ok(())
}
