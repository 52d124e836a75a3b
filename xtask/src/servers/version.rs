//! Which server runs, and where its program comes from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Service;
use crate::{process, setup, steps::Steps, tools, wheels::Environment, workspace::Workspace};

const VALKEY_9: &str = include_str!("../../valkey9.txt");
const REDIS_8: &str = include_str!("../../redis8.txt");
const NATS_2: &str = include_str!("../../nats2.txt");

/// A server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Version {
    /// Redis 7, from the system: the one with TLS
    #[default]
    #[value(name = "redis7")]
    Redis7,
    /// Redis 8, from PyPI
    #[value(name = "redis8")]
    Redis8,
    /// Valkey 9, from PyPI
    #[value(name = "valkey9")]
    Valkey9,
    /// NATS 2, from PyPI
    #[value(name = "nats2")]
    Nats2,
    /// NATS 2 as old as the system has it
    #[value(name = "nats-old")]
    #[serde(rename = "nats-old")]
    NatsOld,
    /// BIND 9, from the system
    #[value(name = "bind9")]
    Bind9,
    /// Our own
    #[value(name = "stub")]
    Stub,
}

impl Version {
    pub(crate) const ALL: [Self; 7] =
        [Self::Redis7, Self::Redis8, Self::Valkey9, Self::Nats2, Self::NatsOld, Self::Bind9, Self::Stub];

    /// What runs a service, unless another is asked for.
    pub(crate) fn usual(service: Service) -> Self {
        match service {
            Service::Nats => Self::Nats2,
            Service::Dns => Self::Bind9,
            Service::KubeStub => Self::Stub,
            _ => Self::default(),
        }
    }

    /// Whether it can be this service.
    pub(crate) fn serves(self, service: Service) -> bool {
        match self {
            Self::Redis7 | Self::Redis8 | Self::Valkey9 => service.is_redis(),
            Self::Nats2 | Self::NatsOld => service == Service::Nats,
            Self::Bind9 => service == Service::Dns,
            Self::Stub => service == Service::KubeStub,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis7 => "redis7",
            Self::Redis8 => "redis8",
            Self::Valkey9 => "valkey9",
            Self::Nats2 => "nats2",
            Self::NatsOld => "nats-old",
            Self::Bind9 => "bind9",
            Self::Stub => "stub",
        }
    }

    /// Whether the program that we can have was built with TLS.
    pub(crate) fn has_tls(self) -> bool {
        self == Self::Redis7
    }

    /// What the program says of its version begins so.
    fn prefix(self) -> &'static str {
        match self {
            Self::Redis7 => "v=7.",
            Self::Redis8 => "v=8.",
            Self::Valkey9 => "v=9.",
            Self::Nats2 | Self::NatsOld => "v2.",
            Self::Bind9 => "9.",
            Self::Stub => "xtask",
        }
    }

    /// The program, installed first if it is missing.
    pub(crate) fn program(self, ws: &Workspace, steps: &mut Steps) -> Result<PathBuf> {
        let found = match self {
            // Ourselves.
            Self::Stub => return process::own_program(),
            Self::Bind9 => system(ws, steps, "named")?,
            Self::NatsOld => system(ws, steps, "nats-server")?,
            Self::Nats2 => wheel(ws, steps, &self.environment(ws, NATS_2, "xtask/nats2.txt"), "nats-server")?,
            Self::Redis7 => system(ws, steps, "redis-server")?,
            Self::Redis8 => wheel(ws, steps, &self.environment(ws, REDIS_8, "xtask/redis8.txt"), "redis-server")?,
            Self::Valkey9 => wheel(ws, steps, &self.environment(ws, VALKEY_9, "xtask/valkey9.txt"), "valkey-server")?,
        };
        let ask = if self == Self::Bind9 { "-v" } else { "--version" };
        let said = process::run(Command::new(&found).arg(ask), |_| ())
            .with_context(|| format!("{} cannot be started", found.display()))?;
        self.check(&said.lines.join(" ")).with_context(|| found.display().to_string())?;
        Ok(found)
    }

    fn check(self, said: &str) -> Result<()> {
        if !said.split_whitespace().any(|word| word.starts_with(self.prefix())) {
            bail!("this is not {}, it says {said:?}", self.name());
        }
        Ok(())
    }

    fn environment(self, ws: &Workspace, pins: &'static str, file: &'static str) -> Environment {
        Environment { name: self.name(), home: ws.target.join(self.name()), pins, file }
    }
}

/// A program of the system, installed first if it is missing.
pub(crate) fn system(ws: &Workspace, steps: &mut Steps, program: &str) -> Result<PathBuf> {
    if tools::on_path(program).is_none() {
        setup::install(ws, steps, program);
    }
    tools::on_path(program)
        .with_context(|| format!("{program} is missing; `cargo xtask setup` installs it, or says how"))
}

fn wheel(ws: &Workspace, steps: &mut Steps, environment: &Environment, program: &str) -> Result<PathBuf> {
    if !environment.is_made() && !environment.make(ws, steps) {
        bail!("{} could not be installed: it needs Python 3 with its venv module, and PyPI", environment.name);
    }
    // Where there are both, the one among the programs only calls the other.
    let found = find(&environment.home.join("lib"), program)
        .or_else(|| Some(environment.program(program)).filter(|program| program.is_file()))
        .with_context(|| format!("there is no {program} in {}", environment.home.display()))?;
    runnable(&found)?;
    Ok(found)
}

/// The file of this name, wherever it lies below the folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<_> = fs::read_dir(folder).ok()?.flatten().collect();
    let here = entries.iter().map(fs::DirEntry::path).find(|path| path.is_file() && path.ends_with(name));
    here.or_else(|| {
        let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.map(fs::DirEntry::path).find_map(|folder| find(&folder, name))
    })
}

/// Wheels do not say which of their files are programs.
#[cfg(unix)]
fn runnable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} cannot be made a program", file.display()))
}

#[cfg(not(unix))]
fn runnable(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::folders::Temporary, *};

    #[test]
    fn wheels_are_pinned_and_hashed() {
        crate::wheels::tests::assert_pinned(VALKEY_9, 1);
        crate::wheels::tests::assert_pinned(REDIS_8, 1);
        crate::wheels::tests::assert_pinned(NATS_2, 1);
    }

    #[test]
    fn names_are_what_is_typed() {
        for version in Version::ALL {
            assert_eq!(Version::from_str(version.name(), false), Ok(version));
            assert_eq!(serde_json::to_string(&version).unwrap(), format!("{:?}", version.name()));
        }
    }

    #[test]
    fn every_service_has_its_usual_server() {
        for service in Service::all() {
            assert!(Version::usual(service).serves(service));
            let others = Version::ALL.into_iter().filter(|version| version.serves(service)).count();
            assert_eq!(others, if service.is_redis() { 3 } else { 1 + usize::from(service == Service::Nats) });
        }
    }

    #[test]
    fn another_version_is_refused() {
        let said = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        Version::Redis7.check(said).unwrap();
        assert!(Version::Valkey9.check(said).unwrap_err().to_string().contains("v=7.0.15"));
        assert!(Version::Redis8.check("").is_err());
    }

    #[test]
    fn a_program_is_found_wherever_it_lies() {
        let folder = Temporary::new("find");
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(folder.path().join("valkey-server")).unwrap();
        assert_eq!(find(folder.path(), "valkey-server"), None, "a folder is no program");
        fs::write(deep.join("valkey-server"), "").unwrap();
        assert_eq!(find(folder.path(), "valkey-server"), Some(deep.join("valkey-server")));
    }
}
