//! What came out of a run.

use std::fmt;

use crate::request::Consistency;

/// What came out of every case of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    results: Vec<CaseResult>,
}

/// What came out of one case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CaseResult {
    /// The case, named after its rule.
    pub name: &'static str,
    /// From whom its reads were answered.
    pub consistency: Consistency,
    /// What came out.
    pub verdict: Verdict,
}

/// Whether a case held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The rule is kept.
    Passed,
    /// The rule is broken, with what was seen where.
    Failed(String),
    /// The subject says that it cannot do what the case needs.
    Skipped(&'static str),
}

impl Report {
    pub(super) fn push(&mut self, name: &'static str, consistency: Consistency, verdict: Verdict) {
        self.results.push(CaseResult { name, consistency, verdict });
    }

    /// Returns every result, in the order run.
    pub fn results(&self) -> &[CaseResult] {
        &self.results
    }

    /// Iterates over the failures.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| matches!(result.verdict, Verdict::Failed(_)))
    }

    /// Iterates over what was skipped; each is a rule that is not known to be kept.
    pub fn skipped(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| matches!(result.verdict, Verdict::Skipped(_)))
    }

    /// Returns whether a case failed, for near or authority reads.
    pub fn has_failed(&self, name: &str) -> bool {
        self.failures().any(|result| result.name == name)
    }

    /// Asserts that no case failed.
    ///
    /// # Panics
    /// Panics with every failure if there is one, and if nothing was run.
    #[track_caller]
    pub fn assert_ok(&self) {
        assert!(!self.results.is_empty(), "no case was run");
        assert!(self.failures().next().is_none(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failures().count(), self.skipped().count());
        let passed = self.results.len() - failed - skipped;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        for result in &self.results {
            let (word, text) = match &result.verdict {
                Verdict::Passed => continue,
                Verdict::Failed(text) => ("failed", text.as_str()),
                Verdict::Skipped(reason) => ("skipped", *reason),
            };
            write!(f, "\n{word} {} ({:?}): {text}", result.name, result.consistency)?;
        }
        Ok(())
    }
}
