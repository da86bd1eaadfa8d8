//! What an operator asked of the API server, as a gateway saw it pass.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use hyper::Method;
use serde_json::Value;

/// Calls by what they are: `POST jobs`, `WATCH pods`, `PUT customerpipelineruns/status`.
#[derive(Default)]
pub(crate) struct Ledger {
    calls: BTreeMap<String, usize>,
    /// How long answers took to begin.
    took: BTreeMap<String, Vec<Duration>>,
    /// What the status of each run said last, without how far its stages are.
    said: HashMap<String, Value>,
}

/// A status that says how far a stage is, and nothing else that is new.
const PROGRESS: &str = "progress of customerpipelineruns";

impl Ledger {
    /// Notes a call, and says what it is.
    pub(super) fn note(
        &mut self,
        method: &Method,
        resource: &str,
        path: &str,
        watches: bool,
        body: &[u8],
    ) -> String {
        let kind = match resource {
            _ if watches => format!("WATCH {resource}"),
            "customerpipelineruns/status" if self.is_progress(path, body) => PROGRESS.to_owned(),
            _ => format!("{method} {resource}"),
        };
        *self.calls.entry(kind.clone()).or_default() += 1;
        kind
    }

    /// Notes how long the answer to a call of a kind took to begin.
    pub(super) fn answered(&mut self, kind: String, took: Duration) {
        self.took.entry(kind).or_default().push(took);
    }

    /// How long answers took since the last time this was asked, by what was called; sorted.
    pub(super) fn answers(&mut self) -> BTreeMap<String, Vec<Duration>> {
        let mut took = std::mem::take(&mut self.took);
        took.values_mut().for_each(|all| all.sort());
        took
    }

    fn is_progress(&mut self, path: &str, body: &[u8]) -> bool {
        let mut run: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut status = run["status"].take();
        for stage in status["stages"].as_array_mut().into_iter().flatten() {
            for field in ["done", "failed"] {
                stage.as_object_mut().map(|stage| stage.remove(field));
            }
        }
        let before = self.said.insert(path.to_owned(), status.clone());
        before.as_ref() == Some(&status)
    }

    /// What was asked since an earlier count.
    pub(crate) fn since(&self, earlier: &Calls) -> Calls {
        let news = self.calls.iter().map(|(kind, n)| {
            let before = earlier.0.get(kind).copied().unwrap_or_default();
            (kind.clone(), n - before)
        });
        Calls(news.filter(|(_, n)| *n > 0).collect())
    }
}

/// A count of calls by what they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(BTreeMap<String, usize>);

impl Calls {
    /// Those that a stage costs: all but watches, leases and progress.
    pub(crate) fn of_stages(&self) -> BTreeMap<&str, usize> {
        let calls = self.0.iter().map(|(kind, n)| (kind.as_str(), *n));
        calls
            .filter(|(kind, _)| !kind.starts_with("WATCH ") && !kind.ends_with(" leases"))
            .filter(|(kind, _)| *kind != PROGRESS)
            .collect()
    }

    /// Those that change something, leases aside.
    pub(crate) fn writes(&self) -> BTreeMap<&str, usize> {
        let calls = self.0.iter().map(|(kind, n)| (kind.as_str(), *n));
        calls
            .filter(|(kind, _)| !["WATCH ", "GET "].iter().any(|read| kind.starts_with(read)))
            .filter(|(kind, _)| !kind.ends_with(" leases"))
            .collect()
    }
}
