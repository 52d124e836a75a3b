//! `test`: every test of the workspace, and every example in its docs.

use std::{collections::BTreeMap, time::Instant};

use anyhow::Result;

use crate::{
    discovery,
    judge::JUDGES,
    process,
    screen::say,
    servers::{Session, Version},
    steps::Steps,
    tools,
    workspace::{DEMO, Workspace, selection},
};

/// The packages whose tests need servers: this, and the demo.
const REDIS: &str = "memstache-redis";
/// Tests that need servers lie in modules of this name.
const WITH_REDIS: &str = "with_redis::";

/// Runs every test of the workspace, then every example in its docs; between them, what others wrote judges what we send:
/// Azure's Python SDK the Key Vault emulator, an OpenTelemetry collector and promtool the telemetry, Chromium and slowhttptest the
/// admin page.
///
/// Starts the servers that memstache-redis is tested with, single, TLS, Sentinel and Cluster, and ends them afterwards; what
/// `cargo xtask up` left up is used instead. Then the tests of discovery, each with a NATS, a name server or a stub of Kubernetes of
/// its own.
///
/// Uses nextest if it is there (`cargo xtask setup` installs it), else `cargo test`. All features are on unless you choose.
/// The last line sums up: N passed, N failed, N skipped.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Test only this package (repeatable)
    #[arg(short, long = "package", value_name = "NAME")]
    pub(crate) packages: Vec<String>,
    /// Use these features and the default ones instead of all
    #[arg(short = 'F', long, value_name = "FEATURES")]
    features: Option<String>,
    /// Leave the default features out, and use only those of --features
    #[arg(long)]
    no_default_features: bool,
    /// Build with optimisations
    #[arg(short, long)]
    release: bool,
    /// Run only the examples in the docs; with words after it, those whose names contain them
    #[arg(long)]
    doc: bool,
    /// Leave out the judges (Azure's Python SDK, a collector, promtool, a browser), which need Python 3, PyPI and the tools
    /// of `setup`
    #[arg(long)]
    no_judge: bool,
    /// Leave out the tests that need Redis servers
    #[arg(long)]
    no_redis: bool,
    /// Leave out the tests that need NATS, BIND, kubectl or promtool
    #[arg(long)]
    no_discovery: bool,
    /// The server to test with; Redis 7 where it has no TLS
    #[arg(long, value_enum, default_value_t, value_name = "VERSION")]
    redis: Version,
    /// Names of tests and options of the test runner; examples in the docs are then left out
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

pub(crate) fn run(ws: &Workspace, args: &Args) -> Result<()> {
    ws.select(&args.packages)?;
    let mut steps = Steps::new();
    let mut counts = Counts::default();
    if !args.doc {
        counts.add(&with_servers(ws, args, &mut steps));
        if args.wants_discovery() {
            counts.add(&discovery::run(ws, args.release, &mut steps));
        } else if args.no_discovery {
            steps.skip("discovery", "--no-discovery was given");
        }
        for judge in JUDGES.iter().filter(|judge| args.wants_judges() && judge.judges(&args.packages)) {
            counts.add(&judge.run(ws, args.release, &mut steps));
        }
    }
    if args.doc || args.args.is_empty() {
        counts.add(&examples(ws, args, &mut steps));
    } else {
        steps.skip("examples in docs", "words for the test runner were given; see --doc");
    }
    let result = steps.finish("test");
    say(format_args!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped));
    result
}

/// Runs the tests while the servers that they need are up.
fn with_servers(ws: &Workspace, args: &Args, steps: &mut Steps) -> Vec<String> {
    if args.no_redis {
        steps.skip("tests that need Redis", "--no-redis was given");
    }
    if !args.wants_redis() {
        return tests(ws, args, steps, &BTreeMap::new());
    }
    let started = Instant::now();
    let session = match Session::start(ws, steps, args.redis) {
        Ok(session) => session,
        Err(err) => {
            steps.fail("servers", &format!("{err:#}\n     --no-redis leaves out the tests that need them"));
            return tests(ws, args, steps, &BTreeMap::new());
        }
    };
    steps.pass("servers", started.elapsed());
    let lines = tests(ws, args, steps, &session.variables());
    steps.check("servers: end", || session.end());
    lines
}

fn tests(ws: &Workspace, args: &Args, steps: &mut Steps, variables: &BTreeMap<&str, String>) -> Vec<String> {
    let mut command = match tools::subcommand(ws, "nextest", &["run", "--no-tests", "warn"]) {
        Ok(command) => command,
        // Everything but the examples in docs, which come next, and benches.
        Err(_) => ws.cargo(["test", "--tests", "--examples", "--no-fail-fast"]),
    };
    steps.watch("tests", command.args(args.build()).args(args.words()).envs(variables))
}

fn examples(ws: &Workspace, args: &Args, steps: &mut Steps) -> Vec<String> {
    let packages = ws.select(&args.packages).unwrap_or_default();
    let libraries: Vec<_> = packages.into_iter().filter(|package| package.library().is_some()).collect();
    if libraries.is_empty() {
        steps.skip("examples in docs", "only libraries have any");
        return Vec::new();
    }
    let names = libraries.iter().map(|package| package.name.clone()).collect();
    // All packages if none was chosen, as for the tests: another choice of packages is another choice of their dependencies'
    // features, and everything would be built anew. Cargo passes by those without a library.
    let packages = if args.packages.is_empty() { Vec::new() } else { names };
    let chosen = Args { packages, ..args.choice() };
    let mut command = ws.cargo(["test", "--doc", "--no-fail-fast"]);
    command.args(chosen.build());
    if !args.args.is_empty() {
        command.arg("--").args(&args.args);
    }
    steps.watch("examples in docs", &mut command)
}

impl Args {
    /// The options that say how to build, for cargo and nextest alike.
    fn build(&self) -> Vec<&str> {
        let mut out = selection(&self.packages);
        if self.features.is_none() && !self.no_default_features {
            out.push("--all-features");
        }
        if self.no_default_features {
            out.push("--no-default-features");
        }
        if let Some(features) = &self.features {
            out.extend(["--features", features]);
        }
        if self.release {
            out.push("--release");
        }
        out
    }

    /// Whether the whole of what was chosen is tested.
    fn is_whole(&self) -> bool {
        self.features.is_none() && !self.no_default_features && self.args.is_empty()
    }

    fn wants_judges(&self) -> bool {
        self.is_whole() && !self.no_judge
    }

    fn wants_discovery(&self) -> bool {
        let chosen = self.packages.is_empty() || self.packages.iter().any(|name| name == discovery::PACKAGE);
        self.is_whole() && chosen && !self.no_discovery
    }

    /// Whether servers are to be started: without them, what needs them fails.
    fn wants_redis(&self) -> bool {
        !self.no_redis && (self.packages.is_empty() || self.packages.iter().any(|name| name == REDIS || name == DEMO))
    }

    /// The words for the test runner. Nextest and cargo's own take those after `--` alike.
    fn words(&self) -> Vec<&str> {
        let mut out: Vec<_> = self.args.iter().map(String::as_str).collect();
        if self.no_redis {
            out.extend((!out.contains(&"--")).then_some("--"));
            out.extend(["--skip", WITH_REDIS]);
        }
        out
    }

    /// A copy without packages and words.
    fn choice(&self) -> Self {
        Self { packages: Vec::new(), features: self.features.clone(), args: Vec::new(), ..*self }
    }
}

/// What the test runners counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    /// Reads the closing lines of nextest and of cargo's own test runner.
    fn add(&mut self, lines: &[String]) {
        for line in lines.iter().map(|line| process::plain(line)) {
            if line.starts_with("test result:") || line.trim_start().starts_with("Summary [") {
                self.passed += before(&line, "passed");
                self.failed += before(&line, "failed") + before(&line, "timed out");
                self.skipped += before(&line, "skipped") + before(&line, "ignored");
            }
        }
    }
}

/// The number right before a word: 12 in `12 passed`; 0 if there is none.
fn before(line: &str, word: &str) -> u64 {
    let Some(at) = line.find(word) else { return 0 };
    line[..at].split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(line: &str) -> (u64, u64, u64) {
        let mut counts = Counts::default();
        counts.add(&[line.to_owned()]);
        (counts.passed, counts.failed, counts.skipped)
    }

    #[test]
    fn closing_lines_are_read() {
        assert_eq!(counted("     Summary [   0.034s] 9 tests run: 8 passed (1 slow), 1 failed, 2 skipped"), (8, 1, 2));
        assert_eq!(counted("     Summary [   0.034s] 3 tests run: 2 passed, 1 timed out, 0 skipped"), (2, 1, 0));
        assert_eq!(
            counted("test result: FAILED. 3 passed; 1 failed; 4 ignored; 0 measured; 5 filtered out; finished in 0s"),
            (3, 1, 4)
        );
        assert_eq!(
            counted("\u{1b}[32;1m     Summary\u{1b}[0m [ 1s] 1 test run: \u{1b}[1m1\u{1b}[0m passed"),
            (1, 0, 0)
        );
        assert_eq!(counted("12 passed by here"), (0, 0, 0));
    }

    #[test]
    fn a_judge_comes_with_the_whole_of_its_crate() {
        let judged = |packages: &[&str]| {
            let packages: Vec<_> = packages.iter().map(|&it| it.to_owned()).collect();
            let args = Args { packages, ..Args::default() };
            assert!(args.wants_judges());
            JUDGES.iter().filter(|judge| judge.judges(&args.packages)).map(|judge| judge.name).collect::<Vec<_>>()
        };
        assert_eq!(judged(&[]), ["judge", "telemetry", "admin page"]);
        assert_eq!(judged(&["memstache-core", "memstache-codec"]), ["telemetry"]);
        assert_eq!(judged(&["memstache-demo"]), ["telemetry"]);
        assert_eq!(judged(&["memstache-codec"]), [""; 0]);
        for less in [
            Args { no_judge: true, ..Args::default() },
            Args { features: Some("json".to_owned()), ..Args::default() },
            Args { args: vec!["lease".to_owned()], ..Args::default() },
        ] {
            assert!(!less.wants_judges());
        }
    }

    #[test]
    fn servers_come_with_the_crate_that_needs_them() {
        let of = |package: &str| Args { packages: vec![package.to_owned()], ..Args::default() };
        assert!(Args::default().wants_redis() && of(REDIS).wants_redis());
        assert!(!of("memstache-core").wants_redis());
        assert!(!Args { no_redis: true, ..Args::default() }.wants_redis());
    }

    #[test]
    fn discovery_comes_with_the_whole_of_its_crate() {
        let of = |package: &str| Args { packages: vec![package.to_owned()], ..Args::default() };
        assert!(Args::default().wants_discovery() && of("memstache-cluster").wants_discovery());
        assert!(!of("memstache-core").wants_discovery());
        let some = Args { args: vec!["lease".to_owned()], ..Args::default() };
        assert!(!some.wants_discovery() && !Args { no_discovery: true, ..Args::default() }.wants_discovery());
    }

    #[test]
    fn without_redis_what_needs_it_is_skipped() {
        let words = |no_redis, words: &[&str]| {
            let args = words.iter().map(|it| (*it).to_owned()).collect();
            Args { no_redis, args, ..Args::default() }.words().join(" ")
        };
        assert_eq!(words(false, &["lease"]), "lease");
        assert_eq!(words(true, &[]), "-- --skip with_redis::");
        assert_eq!(words(true, &["lease", "--", "--exact"]), "lease -- --exact --skip with_redis::");
    }

    #[test]
    fn all_features_unless_some_are_chosen() {
        assert_eq!(Args::default().build(), ["--workspace", "--all-features"]);
        let some = Args { features: Some("json".to_owned()), no_default_features: true, ..Args::default() };
        assert_eq!(some.build(), ["--workspace", "--no-default-features", "--features", "json"]);
    }
}
