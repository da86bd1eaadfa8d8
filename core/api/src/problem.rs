//! What is wrong with resource files: always all of it at once, each with its place and the way out.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// File, as it was given or found.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column, from 1; 0 when unknown.
    pub column: u32,
    /// Kind and name: `Source/pos`; empty when the resource could not be told.
    pub resource: String,
    /// Path of the field: `spec.streams[0].name`; empty when the document as a whole is meant.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem with a file as a whole.
    #[must_use]
    pub fn file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            resource: String::new(),
            field: String::new(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.file.as_os_str().is_empty() {
            write!(f, "\n  --> {}", self.file.display())?;
            if self.line > 0 {
                write!(f, ":{}:{}", self.line, self.column.max(1))?;
            }
        }
        match (self.resource.as_str(), self.field.as_str()) {
            ("", "") => Ok(()),
            (resource, "") => write!(f, "\n   = {resource}"),
            ("", field) => write!(f, "\n   = {field}"),
            (resource, field) => write!(f, "\n   = {resource}: {field}"),
        }
    }
}

/// Everything that is wrong, in the order of files and lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, sorted by place, each once.
    #[must_use]
    pub fn new(mut all: Vec<Problem>) -> Self {
        all.sort();
        all.dedup();
        Self(all)
    }

    /// `Ok` when there is none.
    ///
    /// # Errors
    /// Itself.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// The problems in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            write!(f, "{problem}\n\n")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            n => write!(f, "{n} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// The candidate that was probably meant, when one is near.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |s: &str| s.to_lowercase().replace(['_', '-', ' '], "");
    let folded = fold(word);
    candidates
        .into_iter()
        .map(|c| (likeness(&folded, &fold(c)), c))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// 0 to 1; one slip of the finger in three characters or more counts as near.
fn likeness(a: &str, b: &str) -> f64 {
    let slip = a.chars().count() >= 3 && strsim::osa_distance(a, b) <= 1;
    strsim::jaro_winkler(a, b).max(if slip { 0.85 } else { 0.0 })
}

/// ` (did you mean `x`?)` or the list of what there is, as a sentence's end.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, all.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if all.is_empty() => "there is none".into(),
        None if all.len() > 40 => format!("there are {}, none of them similar", all.len()),
        None => format!("known are {}", all.join(", ")),
    }
}
