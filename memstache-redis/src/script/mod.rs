//! What runs inside of Redis, and how it is called.

mod args;

use bytes::Bytes;

pub(crate) use self::args::{Args, millis};
use crate::client::{Command, sha1};

const PRELUDE: &str = include_str!("prelude.lua");

/// A script, known to servers by its hash once they have seen it.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    name: &'static str,
    source: Bytes,
    sha: Bytes,
    /// Whether it reads lines by what plain reads go by.
    by_extract: bool,
}

impl Script {
    fn new(name: &'static str, body: &str) -> Self {
        Self::of(name, format!("{PRELUDE}{body}"))
    }

    fn of(name: &'static str, source: String) -> Self {
        Self { name, sha: sha1(&source).into(), source: source.into(), by_extract: false }
    }

    fn by_extract(self) -> Self {
        Self { by_extract: true, ..self }
    }

    /// Returns whether the keys of what plain reads need follow that of the line.
    pub(crate) fn is_by_extract(&self) -> bool {
        self.by_extract
    }

    /// Calls the script by its hash; a server that has not seen it answers NOSCRIPT.
    pub(crate) fn call(&self, keys: &[Bytes], args: &[Bytes]) -> Command {
        self.command("EVALSHA", &self.sha, keys, args)
    }

    /// Calls the script by its source, which the server keeps.
    pub(crate) fn teach(&self, keys: &[Bytes], args: &[Bytes]) -> Command {
        self.command("EVAL", &self.source, keys, args)
    }

    fn command(&self, name: &'static str, script: &Bytes, keys: &[Bytes], args: &[Bytes]) -> Command {
        let count = Bytes::from(keys.len().to_string());
        let args = [script.clone(), count].into_iter().chain(keys.iter().chain(args).cloned());
        Command { script: self.name, ..Command::new(name, args) }
    }

    /// Leaves out every line that is marked as a guard of this name, to show what it is for.
    #[cfg(test)]
    pub(crate) fn without(&self, guard: &str) -> Self {
        let source = std::str::from_utf8(&self.source).unwrap();
        let mark = format!("-- guard: {guard}");
        let kept: Vec<_> = source.lines().filter(|line| !line.ends_with(&mark)).collect();
        Self { by_extract: self.by_extract, ..Self::of(self.name, kept.join("\n")) }
    }
}

/// All scripts.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    pub(crate) get: Script,
    pub(crate) set: Script,
    pub(crate) remove: Script,
    pub(crate) touch: Script,
    pub(crate) line: Script,
    pub(crate) tags: Script,
    pub(crate) invalidate: Script,
    pub(crate) record: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            get: Script::new("get", include_str!("get.lua")),
            set: Script::new("set", include_str!("set.lua")).by_extract(),
            remove: Script::new("remove", include_str!("remove.lua")).by_extract(),
            touch: Script::new("touch", include_str!("touch.lua")),
            line: Script::new("line", include_str!("line.lua")),
            tags: Script::new("tags", include_str!("tags.lua")),
            invalidate: Script::new("invalidate", include_str!("invalidate.lua")),
            record: Script::new("record", include_str!("record.lua")),
        }
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> [&Script; 8] {
        let Self { get, set, remove, touch, line, tags, invalidate, record } = self;
        [get, set, remove, touch, line, tags, invalidate, record]
    }

    /// Leaves out a guard everywhere.
    #[cfg(test)]
    pub(crate) fn without(&self, guard: &str) -> Self {
        Self {
            get: self.get.without(guard),
            set: self.set.without(guard),
            remove: self.remove.without(guard),
            touch: self.touch.without(guard),
            line: self.line.without(guard),
            tags: self.tags.without(guard),
            invalidate: self.invalidate.without(guard),
            record: self.record.without(guard),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_and_come_first() {
        let script = Script::new("get", "return 1");
        let command = script.call(&["k".into(), "l".into()], &["a".into()]);
        assert_eq!(command.name, "EVALSHA");
        assert_eq!(command.args[1..], ["2", "k", "l", "a"]);
        assert_eq!(command.args[0].len(), 40);
        assert!(script.teach(&[], &[]).args[0].ends_with(b"return 1"));
    }

    #[test]
    fn a_guard_is_left_out_line_by_line() {
        let scripts = Scripts::new();
        for guard in ["fence", "version", "tombstone"] {
            let lines = |scripts: &Scripts| {
                [&scripts.set, &scripts.remove].map(|script| script.source.split(|byte| *byte == b'\n').count())
            };
            assert_ne!(lines(&scripts), lines(&scripts.without(guard)), "{guard}");
        }
    }
}
