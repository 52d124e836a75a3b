//! Python environments under the target folder, with pinned and hashed wheels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{steps::Steps, tools, workspace::Workspace};

/// An environment and what is in it.
#[derive(Debug)]
pub(crate) struct Environment {
    /// For people.
    pub(crate) name: &'static str,
    pub(crate) home: PathBuf,
    /// The text of the file with the pins.
    pub(crate) pins: &'static str,
    /// That file, below the root of the workspace.
    pub(crate) file: &'static str,
}

impl Environment {
    /// Whether it is there with these very pins.
    pub(crate) fn is_made(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|installed| installed == self.pins)
    }

    fn stamp(&self) -> PathBuf {
        self.home.join("installed.txt")
    }

    /// Makes the environment, unless it is there with these very pins. Returns whether it is there.
    pub(crate) fn make(&self, ws: &Workspace, steps: &mut Steps) -> bool {
        if self.is_made() {
            steps.check(&format!("{}: in place", self.name), || Ok(()));
            return true;
        }
        let Some(python) = tools::on_path("python3") else {
            steps.fail(self.name, "python3 is missing");
            return false;
        };
        let mut venv = ws.command(python);
        let mut pip = ws.command(self.program("python"));
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--require-hashes", "--only-binary", ":all:", "-r"]).arg(ws.root.join(self.file));
        let made = steps
            .run(&format!("{}: python environment", self.name), venv.args(["-m", "venv", "--clear"]).arg(&self.home))
            && steps.run(self.name, &mut pip);
        if made {
            steps.check(&format!("{}: remember the pins", self.name), || Ok(fs::write(self.stamp(), self.pins)?));
        }
        made
    }

    /// A program of the environment.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        bin(&self.home).join(name)
    }
}

/// Where an environment has its programs.
pub(crate) fn bin(home: &Path) -> PathBuf {
    home.join(if cfg!(windows) { "Scripts" } else { "bin" })
}

#[cfg(test)]
pub(crate) mod tests {
    /// Every pin names one version, and hashes follow it.
    pub(crate) fn assert_pinned(pins: &str, at_least: usize) {
        let lines: Vec<_> = pins.lines().filter(|line| line.contains("==")).collect();
        assert!(lines.len() >= at_least, "{lines:?}");
        for line in lines {
            assert!(line.ends_with('\\'), "no hash follows {line}");
        }
    }
}
