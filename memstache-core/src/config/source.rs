//! Where settings come from: text, files, variables, code.

use std::{fs::File, io::Read as _, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    providers::{Format as _, Toml},
    value::{Dict, Map, Value},
};

use super::problem::Problem;

/// Longest file that is read.
const MAX_FILE: u64 = 1 << 20;

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

/// Reads TOML; the error names the line, and shows nothing of what stands there.
pub(super) fn toml(text: &str, name: &str, metadata: Metadata) -> Result<Given, Problem> {
    match Toml::from_str::<Dict>(text) {
        Ok(dict) => Ok(Given { dict, metadata }),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) + 1;
            let message = format!("is no TOML: {} in line {line}, column {column}", error.message().trim());
            Err(Problem { path: name.to_owned(), message, source: None })
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

/// Takes the variables with a prefix: two underscores for each step down, in whatever case.
pub(super) fn variables(prefix: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Given, Problem> {
    let mut dict = Dict::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(prefix) else { continue };
        let steps: Vec<_> = path.split("__").map(str::to_lowercase).collect();
        if !put(&mut dict, &steps, text.into()) {
            let message = "is set beside another variable that says it is a section".to_owned();
            return Err(Problem { path: name, message, source: None });
        }
    }
    let prefix = prefix.to_owned();
    let named = move |_: &Profile, keys: &[&str]| format!("{prefix}{}", keys.join("__").to_uppercase());
    Ok(Given { dict, metadata: Metadata::named("environment variable").interpolater(named) })
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
