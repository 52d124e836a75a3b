//! Rules for the text of a file: its length, leftovers, spaces at the end of a line.

use super::{File, Finding};

/// From here on a file needs a reason.
const LONG: usize = 350;
/// Here a file ends.
const END: usize = 500;

/// Words that say that something is not done. Put together here so that this file is not found by itself.
const LEFTOVERS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
];

/// Checks one file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    if file.path.ends_with(".rs") {
        found.extend(length(file));
    }
    for (number, line) in file.text.lines().enumerate() {
        let place = || format!("{}:{}", file.path, number + 1);
        if let Some(word) = leftover(line) {
            found.push(Finding::problem(place(), format!("`{word}` is left over")));
        }
        if line.ends_with([' ', '\t']) {
            found.push(Finding::problem(place(), "ends with a space"));
        }
    }
    found
}

fn length(file: &File) -> Option<Finding> {
    if is_test(&file.path) {
        return None;
    }
    let lines = code_lines(&file.text);
    let what = format!("{lines} lines without its tests");
    match lines {
        ..=LONG => None,
        _ if lines <= END => Some(Finding::note(&file.path, what)),
        _ => Some(Finding::problem(&file.path, format!("{what}, and {END} is the end: split it"))),
    }
}

/// Whole files of tests: in a `tests` folder, or the file of a `mod tests;`.
fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Lines before the tests, which the house puts at the end of a file.
fn code_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let opens = |at: usize| {
        let after = lines[at + 1..].iter().find(|line| !line.starts_with("#["));
        lines[at] == "#[cfg(test)]" && after.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    (0..lines.len()).find(|at| opens(*at)).unwrap_or(lines.len())
}

fn leftover(line: &str) -> Option<&'static str> {
    LEFTOVERS.iter().copied().find(|word| line.match_indices(word).any(|(at, _)| is_word(line, at, word.len())))
}

/// Whether the match is a word of its own and not a part of another.
fn is_word(line: &str, at: usize, len: usize) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    !line[..at].ends_with(joins) && !line[at + len..].starts_with(joins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Grade;

    fn found(path: &str, text: &str) -> Vec<(Grade, String)> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|finding| (finding.grade, finding.to_string())).collect()
    }

    #[test]
    fn a_long_file_is_noted_and_an_endless_one_refused() {
        assert!(found("x/src/a.rs", &"a\n".repeat(LONG)).is_empty());
        assert_eq!(found("x/src/a.rs", &"a\n".repeat(LONG + 1))[0].0, Grade::Note);
        assert_eq!(found("x/src/a.rs", &"a\n".repeat(END))[0].0, Grade::Note);
        assert_eq!(found("x/src/a.rs", &"a\n".repeat(END + 1))[0].0, Grade::Problem);
    }

    #[test]
    fn tests_are_not_counted() {
        let tested = format!("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {{\n{}}}\n", "b\n".repeat(END));
        assert!(found("x/src/a.rs", &tested).is_empty());
        assert!(found("x/tests/a.rs", &"a\n".repeat(END + 1)).is_empty());
        assert!(found("x/src/tests.rs", &"a\n".repeat(END + 1)).is_empty());
        let elsewhere = format!("#[cfg(test)]\nmod tests;\n{}", "a\n".repeat(END));
        assert_eq!(found("x/src/a.rs", &elsewhere)[0].0, Grade::Problem, "code after `mod tests;` counts");
    }

    #[test]
    fn prose_may_be_long() {
        assert!(found("README.md", &"a\n".repeat(END + 1)).is_empty());
    }

    #[test]
    fn every_leftover_is_found() {
        for word in LEFTOVERS {
            assert_eq!(found("x/Cargo.toml", &format!("a\n# {word} b\n")).len(), 1, "{word}");
        }
        assert_eq!(
            found("a.rs", &format!("    {}(x);\n", LEFTOVERS[5]))[0].1,
            format!("a.rs:1: `{}` is left over", LEFTOVERS[5])
        );
    }

    #[test]
    fn parts_of_words_are_no_leftovers() {
        assert!(found("a.rs", "let TODOS = 1; debug!(x); a_dbg!(); mastodons\n").is_empty());
    }

    #[test]
    fn a_space_at_the_end_is_found() {
        assert_eq!(found("a.md", "fine\nnot \n"), [(Grade::Problem, "a.md:2: ends with a space".to_owned())]);
        assert_eq!(found("a.md", "tab\t\n").len(), 1);
    }
}
