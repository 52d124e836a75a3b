//! Where settings come from: text, files, variables, code.

use std::{collections::BTreeMap, ffi::OsString, fs::File, io::Read as _, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    providers::{Format as _, Toml},
    value::{Dict, Map, Value},
};

use super::{
    problem::{Problem, Problems},
    spell::shown,
};

/// Longest file, and longest text, that is read.
const MAX_FILE: u64 = 1 << 20;
/// Longest reason, in characters, that a reader of TOML gives.
const LONGEST_WHY: usize = 200;
/// Most steps of a path: what has more is read step within step, by a stack that has an end.
const MOST_STEPS: usize = 16;

/// Settings that were read already, with where they come from.
pub(super) struct Given {
    pub(super) dict: Dict,
    pub(super) metadata: Metadata,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// Reads TOML of at most 1 MiB; the error names the line, and shows nothing of what stands there.
pub(super) fn toml(text: &str, name: &str, metadata: Metadata) -> Result<Given, Problem> {
    let source = custom(&metadata);
    if text.len() as u64 > MAX_FILE {
        let message = format!("must be at most {MAX_FILE} bytes long, but {} were given", text.len());
        return Err(Problem { path: name.to_owned(), message, source });
    }
    match Toml::from_str::<Dict>(text) {
        Ok(dict) => Ok(Given { dict, metadata }),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) + 1;
            // It may name a key.
            let why: String = error.message().trim().chars().take(LONGEST_WHY).collect();
            let message = format!("is no TOML: {why} in line {line}, column {column}");
            Err(Problem { path: name.to_owned(), message, source })
        }
    }
}

/// Reads a TOML file of at most 1 MiB.
pub(super) fn toml_file(path: &Path) -> Result<Given, Problem> {
    let name = path.display().to_string();
    let problem = |message: String| Problem { path: name.clone(), message, source: None };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| problem(format!("cannot be opened: {}", error.kind())))?;
    let read = file.take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| problem(format!("cannot be read: {}", error.kind())))?;
    if text.len() as u64 > MAX_FILE {
        return Err(problem(format!("must be at most {MAX_FILE} bytes long")));
    }
    toml(&text, &name, Metadata::from("file", Source::File(path.to_owned())))
}

/// Takes the variables of the environment that are texts; those with the prefix that are not are problems.
pub(super) fn texts(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Problems,
) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => texts.push((name, value)),
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                if name.starts_with(prefix) {
                    problems.push(unusable(&name, "is not Unicode".to_owned()));
                }
            }
        }
    }
    texts
}

/// Takes the variables with a prefix: two underscores for each step down, in whatever case. Empty ones are not set.
pub(super) fn variables(
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
    problems: &mut Problems,
) -> Given {
    let (mut dict, mut names) = (Dict::new(), BTreeMap::<String, String>::new());
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(prefix).filter(|_| !text.is_empty()) else { continue };
        let path = path.to_lowercase();
        let steps: Vec<_> = path.split("__").map(str::to_owned).collect();
        if let Err(message) = check_steps(&steps) {
            problems.push(unusable(&name, message));
        } else if let Some(other) = names.get(&path) {
            let other = shown(other).into_owned();
            problems.push(unusable(&name, format!("is set beside {other}, which differs from it in case only")));
        } else if put(&mut dict, &steps, text.into()) {
            names.insert(path, name);
        } else {
            let message = "is set beside another variable that says it is a section".to_owned();
            problems.push(unusable(&name, message));
        }
    }
    let prefix = prefix.to_owned();
    let named = move |_: &Profile, keys: &[&str]| {
        let path = keys.join("__");
        let name = names.get(&path).cloned().unwrap_or_else(|| format!("{prefix}{}", path.to_uppercase()));
        shown(&name).into_owned()
    };
    Given { dict, metadata: Metadata::named("environment variable").interpolater(named) }
}

fn unusable(name: &str, message: String) -> Problem {
    Problem { path: shown(name).into_owned(), message, source: None }
}

/// Takes one value by its path.
pub(super) fn one(path: &str, value: Value, metadata: Metadata) -> Result<Given, Problem> {
    let steps: Vec<_> = path.split('.').map(str::to_owned).collect();
    check_steps(&steps).map_err(|message| Problem {
        path: shown(path).into_owned(),
        message,
        source: custom(&metadata),
    })?;
    let mut dict = Dict::new();
    put(&mut dict, &steps, value);
    Ok(Given { dict, metadata })
}

fn check_steps(steps: &[String]) -> Result<(), String> {
    if steps.len() <= MOST_STEPS {
        return Ok(());
    }
    Err(format!("must be a path of at most {MOST_STEPS} steps, but {} were given", steps.len()))
}

fn custom(metadata: &Metadata) -> Option<String> {
    match &metadata.source {
        Some(Source::Custom(name)) => Some(name.clone()),
        _ => None,
    }
}

/// Puts a value in at a path; `false` if something else is in the way.
pub(super) fn put(dict: &mut Dict, steps: &[String], value: Value) -> bool {
    match steps {
        [] => false,
        [last] => match dict.get(last) {
            Some(Value::Dict(..)) => false,
            _ => {
                dict.insert(last.clone(), value);
                true
            }
        },
        [first, rest @ ..] => {
            let next = dict.entry(first.clone()).or_insert_with(|| Dict::new().into());
            if let Value::Dict(_, next) = next { put(next, rest, value) } else { false }
        }
    }
}

/// Says where a value comes from, for people.
pub(super) fn origin(figment: &Figment, value: &Value, path: &str) -> Option<String> {
    let metadata = figment.get_metadata(value.tag())?;
    let steps: Vec<_> = path.split('.').collect();
    Some(match &metadata.source {
        Some(Source::File(file)) => file.display().to_string(),
        Some(Source::Custom(name)) => name.clone(),
        _ if metadata.name == "environment variable" => {
            format!("{} {}", metadata.name, metadata.interpolate(&Profile::Default, &steps))
        }
        _ => metadata.name.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_unicode_is_a_problem_whichever_part_is_not() {
        use std::os::unix::ffi::OsStringExt as _;

        let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
        let all = [
            (bytes(b"M_CACHE__TTL"), bytes(b"1m")),
            (bytes(b"M_CACHE__TTL\xff"), bytes(b"1m")),
            (bytes(b"M_NEAR__MAX_BYTES"), bytes(b"\xff")),
            (bytes(b"OTHER\xff"), bytes(b"1m")),
            (bytes(b"OTHER"), bytes(b"\xff")),
        ];
        let mut problems = Problems::default();
        let texts = texts("M_", all, &mut problems);
        assert_eq!(texts, [("M_CACHE__TTL".to_owned(), "1m".to_owned())]);
        let told: Vec<_> = problems.into_told().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["M_CACHE__TTL\u{fffd} is not Unicode", "M_NEAR__MAX_BYTES is not Unicode"]);
    }
}
