//! Where servers keep their files.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result};

use super::{Service, Version, pids, state};
use crate::workspace::Workspace;

/// The folder of all servers.
#[derive(Debug)]
pub(crate) struct Home(PathBuf);

/// Held by whoever brings servers up or down.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file lets go")] File);

impl Home {
    pub(crate) fn of(ws: &Workspace) -> Self {
        Self(ws.target.join("servers"))
    }

    /// Waits until no other process brings servers up or down.
    pub(crate) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.0).with_context(|| format!("{} cannot be made", self.0.display()))?;
        let path = self.0.join("lock");
        let file = File::create(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        file.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
        Ok(Lock(file))
    }

    pub(crate) fn certificates(&self) -> PathBuf {
        self.0.join("certificates")
    }

    /// What stays up until somebody brings it down.
    pub(crate) fn up(&self) -> PathBuf {
        self.0.join("up")
    }

    /// What lives as long as this process.
    pub(crate) fn run(&self) -> PathBuf {
        self.0.join(format!("run-{}", process::id()))
    }

    /// Ends what processes left behind that are no more.
    pub(crate) fn reap(&self, _: &Lock) -> Result<()> {
        for folder in subfolders(&self.0)? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let owner = name.strip_prefix("run-").and_then(|pid| pid.parse().ok());
            if owner.is_some_and(|pid| !pids::is_ours(pid, Path::new("xtask"))) {
                state::end_all(&folder)?;
            }
        }
        Ok(())
    }
}

/// The folder of one service among its like.
pub(crate) fn of_service(among: &Path, service: Service, version: Version) -> PathBuf {
    among.join(format!("{}-{}", service.name(), version.name()))
}

/// Folders in a folder; none if it is not there.
pub(crate) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(())
}

/// A folder for one test.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);

#[cfg(test)]
impl Temporary {
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("memstache-xtask-{name}-{}", process::id()));
        remove(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.0).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_owns_is_reaped() {
        let folder = Temporary::new("reap");
        let home = Home(folder.path().to_owned());
        let (left, mine, up) = (folder.path().join("run-4194303"), home.run(), home.up());
        for folder in [&left, &mine, &up] {
            fs::create_dir_all(folder).unwrap();
        }
        home.reap(&home.lock().unwrap()).unwrap();
        assert_eq!((left.exists(), mine.exists(), up.exists()), (false, true, true));
    }

    #[test]
    fn folders_are_found_and_files_are_not() {
        let folder = Temporary::new("subfolders");
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("c"), "").unwrap();
        assert_eq!(subfolders(folder.path()).unwrap(), [folder.path().join("a"), folder.path().join("b")]);
        assert!(subfolders(&folder.path().join("d")).unwrap().is_empty());
    }

    #[test]
    fn versions_of_a_service_lie_apart() {
        let folder = of_service(Path::new("/t"), Service::ClusterTls, Version::Valkey9);
        assert_eq!(folder, Path::new("/t/cluster-tls-valkey9"));
    }
}
