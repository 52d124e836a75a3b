//! `tidy`: the rules of the house that no compiler knows.

mod edges;
mod files;
mod layout;
mod libraries;
mod text;

use std::fmt;

use anyhow::{Result, bail};

use crate::{screen::say, workspace::Workspace};

/// Checks the rules of the house that no compiler knows.
///
/// Crates depend on memstache-core and on no sibling; the top level holds crates and what every Rust project has; files
/// end at 500 lines without their tests; libraries forbid unsafe code and open with their README; no leftovers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(ws: &Workspace, _: &Args) -> Result<()> {
    check(ws)?;
    say("tidy: nothing found");
    Ok(())
}

/// Prints notes; problems are the error.
pub(crate) fn check(ws: &Workspace) -> Result<()> {
    let (notes, problems): (Vec<_>, Vec<_>) = findings(ws)?.into_iter().partition(|found| found.grade == Grade::Note);
    for note in notes {
        say(format_args!("note {note}"));
    }
    if !problems.is_empty() {
        let list: String = problems.iter().map(|problem| format!("\n     {problem}")).collect();
        bail!("{} found{list}", problems.len());
    }
    Ok(())
}

fn findings(ws: &Workspace) -> Result<Vec<Finding>> {
    let files = files::read(&ws.root)?;
    let mut found = edges::check(&ws.packages);
    found.extend(layout::check(&files::top_level(&ws.root)?, &ws.packages));
    found.extend(libraries::check(ws, &files));
    found.extend(files.iter().flat_map(text::check));
    Ok(found)
}

/// A text file of the workspace.
#[derive(Debug)]
struct File {
    /// From the root of the workspace, with `/` between its parts.
    path: String,
    text: String,
}

/// Something that a person should look at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    place: String,
    what: String,
}

/// Whether a finding fails the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Note,
    Problem,
}

impl Finding {
    fn problem(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { grade: Grade::Problem, place: place.into(), what: what.into() }
    }

    fn note(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { grade: Grade::Note, place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
