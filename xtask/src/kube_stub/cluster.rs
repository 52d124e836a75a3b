//! What there is in the cluster, and what goes wrong in it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::http::Reply;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Pods,
    Slices,
}

impl Kind {
    pub(super) fn of(object: &Value) -> Option<Self> {
        match object["kind"].as_str()? {
            "Pod" => Some(Self::Pods),
            "EndpointSlice" => Some(Self::Slices),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pods => "Pod",
            Self::Slices => "EndpointSlice",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Pods => "v1",
            Self::Slices => "discovery.k8s.io/v1",
        }
    }
}

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) kind: Kind,
    pub(super) what: &'static str,
    pub(super) object: Value,
}

/// What live watches are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upset {
    /// End in the middle of a line.
    Cut,
    /// Say nothing any more, and stay.
    Stall,
    /// Say that their version is too old, and end.
    Expire,
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) objects: BTreeMap<(Kind, String, String), Value>,
    pub(super) version: u64,
    pub(super) changes: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    pub(super) forgotten: u64,
    /// What happened to watches, and the count by which they know that it is new.
    pub(super) upset: Option<(u64, Upset)>,
    upsets: u64,
    token: Option<String>,
    refusals: VecDeque<u16>,
    /// Lists and watches that were asked for.
    pub(super) lists: u64,
    pub(super) watches: u64,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    contents: Mutex<Contents>,
    changed: Condvar,
}

impl Cluster {
    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("nobody panics with the lock")
    }

    /// Changes something, and wakes who watches.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits for the next change, and no longer than until then.
    pub(super) fn wait<'a>(&self, contents: MutexGuard<'a, Contents>, until: Instant) -> MutexGuard<'a, Contents> {
        let left = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
        self.changed.wait_timeout(contents, left).expect("nobody panics with the lock").0
    }

    /// What is answered instead, if the request is refused.
    pub(super) fn refusal(&self, token: Option<&str>) -> Option<Reply> {
        let mut contents = self.lock();
        if contents.token.is_some() && contents.token.as_deref() != token {
            return Some(Reply::failure(401, "Unauthorized", "Unauthorized"));
        }
        match contents.refusals.pop_front()? {
            429 => Some(Reply::failure(429, "TooManyRequests", "too many requests").with_retry_after(1)),
            403 => Some(Reply::failure(403, "Forbidden", "pods is forbidden")),
            status => Some(Reply::failure(status, "InternalError", "an error on purpose")),
        }
    }
}

impl Contents {
    /// Puts an object in the place of the one of its name.
    pub(super) fn apply(&mut self, kind: Kind, mut object: Value) {
        self.version += 1;
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or("default").to_owned();
        let key = (kind, text("namespace"), text("name"));
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert(key, object.clone());
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.changes.push_back(Change { version: self.version, kind, what, object });
    }

    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> bool {
        let Some(mut object) = self.objects.remove(&(kind, namespace.to_owned(), name.to_owned())) else {
            return false;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.changes.push_back(Change { version: self.version, kind, what: "DELETED", object });
        true
    }

    /// Forgets what has changed: who asks for it is told to list anew.
    pub(super) fn compact(&mut self) {
        self.version += 1;
        self.forgotten = self.version;
        self.changes.clear();
    }

    pub(super) fn upset(&mut self, upset: Upset) {
        self.upsets += 1;
        self.upset = Some((self.upsets, upset));
    }

    /// The count of what happened to watches so far.
    pub(super) fn upsets(&self) -> u64 {
        self.upsets
    }

    pub(super) fn set_token(&mut self, token: Option<String>) {
        self.token = token;
    }

    pub(super) fn refuse(&mut self, status: u16, times: usize) {
        self.refusals = std::iter::repeat_n(status, times).collect();
    }
}

/// Whether an object has the labels: `a=b,c=d`. `None` for a selector of another form.
pub(super) fn selects(selector: Option<&str>, object: &Value) -> Option<bool> {
    let Some(selector) = selector else { return Some(true) };
    let labels = &object["metadata"]["labels"];
    let mut all = true;
    for part in selector.split(',') {
        let (name, value) = part.split_once('=')?;
        if name.is_empty() || name.ends_with('!') || value.contains([' ', '(']) {
            return None;
        }
        all &= labels[name.trim()].as_str() == Some(value.trim_start_matches('=').trim());
    }
    Some(all)
}
