//! Every library forbids unsafe code and opens with its README.

use super::{File, Finding};
use crate::workspace::Workspace;

const FORBID: &str = "#![forbid(unsafe_code)]";
const FRONT: &str = "#![doc = include_str!(\"../README.md\")]";

/// Checks the root file of every library.
pub(super) fn check(ws: &Workspace, files: &[File]) -> Vec<Finding> {
    let roots = ws.packages.iter().filter_map(|package| package.library());
    let paths = roots.filter_map(|root| root.src_path.strip_prefix(&ws.root).ok());
    paths.flat_map(|path| check_root(&path.to_string_lossy().replace('\\', "/"), files)).collect()
}

fn check_root(path: &str, files: &[File]) -> Vec<Finding> {
    let Some(root) = files.iter().find(|file| file.path == path) else {
        return vec![Finding::problem(path, "is not among the files of the workspace")];
    };
    let readme = path.replace("src/lib.rs", "README.md");
    let mut found = Vec::new();
    for line in [FORBID, FRONT] {
        if !root.text.lines().any(|it| it == line) {
            found.push(Finding::problem(path, format!("lacks the line {line}")));
        }
    }
    if !files.iter().any(|file| file.path == readme && !file.text.trim().is_empty()) {
        found.push(Finding::problem(readme, "is missing or empty"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lib: &str, readme: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [file("x/src/lib.rs", lib), file("x/README.md", readme)];
        check_root("x/src/lib.rs", &files).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_library_with_both_lines_is_fine() {
        assert!(found(&format!("{FRONT}\n{FORBID}\n"), "# x\n").is_empty());
    }

    #[test]
    fn a_missing_line_is_found() {
        assert_eq!(found(&format!("{FRONT}\n"), "# x\n"), [format!("x/src/lib.rs: lacks the line {FORBID}")]);
        assert_eq!(found(&format!("{FORBID}\n"), "# x\n"), [format!("x/src/lib.rs: lacks the line {FRONT}")]);
        assert_eq!(found(&format!("{FRONT}\n// {FORBID}\n"), "# x\n").len(), 1, "a comment forbids nothing");
    }

    #[test]
    fn an_empty_readme_is_found() {
        assert_eq!(found(&format!("{FRONT}\n{FORBID}\n"), "\n"), ["x/README.md: is missing or empty"]);
    }

    #[test]
    fn a_library_without_its_root_is_found() {
        assert_eq!(check_root("y/src/lib.rs", &[]).len(), 1);
    }
}
