//! The chores of the workspace, one verb each: `cargo xtask --help`.

#![allow(clippy::disallowed_methods, reason = "a tool that people wait for measures real time")]
#![allow(clippy::print_stderr, reason = "a command-line tool says there what went wrong")]

mod bench;
mod chaos;
mod ci;
mod demo;
mod discovery;
mod features;
mod judge;
mod kube_stub;
mod lint;
mod matrix;
mod peers;
mod process;
mod screen;
mod servers;
mod setup;
mod steps;
mod test;
mod tidy;
mod tools;
mod wheels;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::workspace::Workspace;

/// The chores of the memstache workspace.
///
/// Start with `cargo xtask setup`; before you hand in a change, run `cargo xtask ci`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Setup(setup::Args),
    Test(test::Args),
    Up(servers::UpArgs),
    Down(servers::DownArgs),
    Chaos(chaos::Args),
    Lint(lint::Args),
    Matrix(matrix::Args),
    Tidy(tidy::Args),
    Ci(ci::Args),
    Bench(bench::Args),
    Demo(demo::Args),
    #[command(hide = true)]
    Keep(servers::KeepArgs),
    #[command(hide = true)]
    KubeStub(kube_stub::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // While it is still what stands there; who needs it says so if it was not found.
    drop(process::own_program());
    match run(cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    // These need no workspace, and shall be there at once.
    match &verb {
        Verb::Keep(args) => return servers::keep(args),
        Verb::KubeStub(args) => return kube_stub::run(args),
        _ => {}
    }
    let ws = &Workspace::load()?;
    match verb {
        Verb::Setup(args) => setup::run(ws, &args),
        Verb::Test(args) => test::run(ws, &args),
        Verb::Lint(args) => lint::run(ws, &args),
        Verb::Matrix(args) => matrix::run(ws, &args),
        Verb::Tidy(args) => tidy::run(ws, &args),
        Verb::Ci(args) => ci::run(ws, &args),
        Verb::Bench(args) => bench::run(ws, &args),
        Verb::Demo(args) => demo::run(ws, &args),
        Verb::Up(args) => servers::up(ws, &args),
        Verb::Down(args) => servers::down(ws, &args),
        Verb::Chaos(args) => chaos::run(ws, &args),
        Verb::Keep(args) => servers::keep(&args),
        Verb::KubeStub(args) => kube_stub::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn demo_takes_help_for_itself() {
        let cli = Cli::try_parse_from(["xtask", "demo", "--help", "--exit"]).unwrap();
        let Verb::Demo(args) = cli.verb else { panic!("parsed as another verb") };
        assert_eq!(args.args, ["--help", "--exit"]);
    }

    #[test]
    fn a_comparison_takes_its_own_options() {
        let cli = Cli::try_parse_from(["xtask", "bench", "memory", "--quick", "--rounds", "3"]).unwrap();
        let Verb::Bench(args) = cli.verb else { panic!("parsed as another verb") };
        assert_eq!(args.args, ["memory", "--quick", "--rounds", "3"]);
    }

    #[test]
    fn test_passes_unknown_words_through() {
        let cli = Cli::try_parse_from(["xtask", "test", "-p", "memstache-core", "lease", "--no-capture"]).unwrap();
        let Verb::Test(args) = cli.verb else { panic!("parsed as another verb") };
        assert_eq!(args.packages, ["memstache-core"]);
        assert_eq!(args.args, ["lease", "--no-capture"]);
    }
}
