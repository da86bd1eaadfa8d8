//! Runs as they were written last, where the cache is behind: what begins from an old version is refused in the end,
//! and has to begin again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use kube::ResourceExt as _;
use musubi_api::pipeline::CustomerPipelineRun;

use crate::context::lock;

/// What was written and not seen again yet, by uid.
#[derive(Default)]
pub(crate) struct Ahead(Mutex<HashMap<String, Written>>);

struct Written {
    run: Arc<CustomerPipelineRun>,
    /// Versions that were written over.
    before: Vec<String>,
}

impl Ahead {
    /// A run was written, over a version of it.
    pub(crate) fn wrote(&self, over: Option<String>, run: &CustomerPipelineRun) {
        let mut all = lock(&self.0);
        let known = all.remove(&run.uid().unwrap_or_default());
        let mut before = known.map_or_else(Vec::new, |known| known.before);
        before.extend(over);
        let run = Arc::new(run.clone());
        all.insert(run.uid().unwrap_or_default(), Written { run, before });
    }

    /// The newer of two: a run as the cache has it, and as it was written last. What the cache has caught up with, or
    /// what somebody else wrote since, is known from there alone.
    pub(crate) fn newest(&self, cached: Arc<CustomerPipelineRun>) -> Arc<CustomerPipelineRun> {
        let mut all = lock(&self.0);
        let uid = cached.uid().unwrap_or_default();
        let Some(written) = all.get(&uid) else {
            return cached;
        };
        let version = cached.resource_version();
        if version.is_some_and(|version| written.before.contains(&version)) {
            return written.run.clone();
        }
        all.remove(&uid);
        cached
    }

    /// Nothing more will be written of a run.
    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.0).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::ResourceExt as _;
    use musubi_api::pipeline::CustomerPipelineRun;
    use serde_json::json;

    use super::Ahead;

    fn run(version: &str) -> Arc<CustomerPipelineRun> {
        let run = json!({
            "apiVersion": "musubi.dev/v1alpha1", "kind": "CustomerPipelineRun",
            "metadata": { "name": "r", "uid": "u", "resourceVersion": version }, "spec": { "pipeline": "p" },
        });
        Arc::new(serde_json::from_value(run).unwrap_or_else(|e| panic!("{e}")))
    }

    #[test]
    fn what_was_written_counts_until_the_cache_has_it() {
        let ahead = Ahead::default();
        let newest = |cached: &str| ahead.newest(run(cached)).resource_version();
        assert_eq!(newest("1").as_deref(), Some("1"));
        ahead.wrote(Some("1".into()), &run("2"));
        ahead.wrote(Some("2".into()), &run("3"));
        assert_eq!(newest("1").as_deref(), Some("3"));
        assert_eq!(newest("2").as_deref(), Some("3"));
        assert_eq!(newest("3").as_deref(), Some("3"));
        // It is not kept any longer.
        assert_eq!(newest("2").as_deref(), Some("2"));
        ahead.wrote(Some("3".into()), &run("4"));
        // Somebody else wrote after that.
        assert_eq!(newest("5").as_deref(), Some("5"));
        ahead.wrote(Some("5".into()), &run("6"));
        ahead.forget("u");
        assert_eq!(newest("5").as_deref(), Some("5"));
    }
}
