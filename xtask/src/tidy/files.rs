//! Reads the text files of the workspace.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::File;

/// Folders that hold what programs made, or what is not ours to tidy.
const FOREIGN: &[&str] = &[".git", "target", "corpus", "artifacts", "node_modules"];

/// What people write; anything else is data.
const WRITTEN: &[&str] = &["rs", "toml", "md", "yml", "yaml", "sh", "stderr"];

/// Every text file that people write, in the order of their paths.
pub(super) fn read(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    walk(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Names at the top level, folders with a `/` at their end.
pub(super) fn top_level(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).with_context(|| format!("{} cannot be read", root.display()))? {
        let entry = entry?;
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{slash}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    Ok(names)
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                walk(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if is_written(&path) {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("{path} cannot be read"))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}

fn is_written(path: &str) -> bool {
    path == ".ci/run" || Path::new(path).extension().is_some_and(|ext| WRITTEN.iter().any(|it| ext == *it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_left_alone() {
        assert!(is_written("memstache-core/src/lib.rs") && is_written(".ci/run"));
        assert!(!is_written("memstache-core/fuzz/corpus/0a1b") && !is_written("Cargo.lock"));
    }

    #[test]
    fn this_workspace_is_read() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let files = read(root).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy/files.rs"));
        assert!(files.iter().all(|file| !file.path.contains("target/")));
        assert!(top_level(root).unwrap().contains(&"xtask/".to_owned()));
    }
}
