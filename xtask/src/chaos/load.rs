//! The program that makes the load and judges what it saw: an example of memstache-redis.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{steps::Steps, workspace::Workspace};

const NAME: &str = "chaos";

/// What it tells at its end; times are milliseconds after `started`, which is in milliseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) started: u64,
    pub(super) plain: Tally,
    pub(super) near: Tally,
    pub(super) loaded: Tally,
    pub(super) writes: Tally,
    pub(super) judged: u64,
    pub(super) violations: u64,
    pub(super) told: Vec<String>,
}

/// What came of one kind of operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) errors: u64,
    pub(super) kinds: BTreeMap<String, u64>,
    pub(super) first_error: Option<u64>,
    pub(super) last_error: Option<u64>,
    pub(super) slowest: u64,
}

/// Builds it; where it is then.
pub(super) fn build(ws: &Workspace, steps: &mut Steps) -> Option<PathBuf> {
    let mut command = ws.cargo(["build", "-p", "memstache-redis", "--all-features", "--example", NAME]);
    let built = steps.run("build the load", &mut command);
    built.then(|| ws.target.join("debug").join("examples").join(NAME))
}

/// The program at work.
#[derive(Debug)]
pub(super) struct Load {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Load {
    /// Starts it, and waits until the first read was answered.
    pub(super) fn start(program: &Path, words: &[String]) -> Result<Self> {
        let mut command = Command::new(program);
        let mut child = command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("its output is read by us")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let load = Self { child, output };
        ensure!(line.trim() == "ready", "the load did not begin");
        Ok(load)
    }

    /// Waits for its end.
    pub(super) fn end(mut self) -> Result<Summary> {
        let mut text = String::new();
        self.output.read_to_string(&mut text)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the load failed ({status})");
        serde_json::from_str(&text).context("the load's summary cannot be read")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Nothing to do if it has ended, as it has after `end`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_load_is_ready_and_then_tells() {
        let words = |script: &str| ["-c".to_owned(), script.to_owned()];
        let shell = Path::new("/bin/sh");
        let tally = r#"{"answered":1,"errors":0,"kinds":{},"first_error":null,"last_error":7,"slowest":3}"#;
        let told = format!(
            r#"{{"started":5,"plain":{tally},"near":{tally},"loaded":{tally},"writes":{tally},"judged":9,"violations":0,"told":[]}}"#
        );
        let summary = Load::start(shell, &words(&format!("echo ready; echo '{told}'"))).unwrap().end().unwrap();
        assert_eq!((summary.started, summary.plain.last_error, summary.judged), (5, Some(7), 9));
        assert!(Load::start(shell, &words("exit 1")).is_err());
        assert!(Load::start(shell, &words("echo ready; exit 1")).unwrap().end().is_err());
        assert!(Load::start(shell, &words("echo ready; echo '{}'")).unwrap().end().is_err());
    }

    #[test]
    fn the_example_is_there() {
        let ws = Workspace::load().unwrap();
        let redis = ws.select(&["memstache-redis".to_owned()]).unwrap()[0];
        assert!(redis.targets.iter().any(|target| target.name == NAME && target.kind == ["example"]));
    }
}
