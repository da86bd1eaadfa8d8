//! How pods ended: asked for once, when it is to be known what became of their Job.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ContainerState, ContainerStateTerminated, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ListMeta,
};
use kube::{Resource as _, ResourceExt as _, api::ListParams, core::Request};
use serde::Deserialize;

use crate::{build::pod::CONTAINER, objects::Scope};

/// Annotation that says the place of a pod in its Job.
pub(crate) const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// Pods of an answer, which is held as text: 10 kB each.
const PAGE: u32 = 100;

/// How a pod's worker ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The pod's place in its Job.
    pub(crate) place: Option<u32>,
    pub(crate) how: ContainerStateTerminated,
}

/// Pods as they are listed, less what is not read here: as a whole, a thousand of them take 40 MB.
#[derive(Deserialize)]
struct Page {
    metadata: ListMeta,
    items: Vec<Ended>,
}

#[derive(Deserialize)]
struct Ended {
    metadata: About,
    #[serde(default)]
    status: Said,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    container_statuses: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    name: String,
    #[serde(default)]
    state: ContainerState,
}

impl Ended {
    fn is_of(&self, job: &str) -> bool {
        let mut owners = self.metadata.owner_references.iter();
        owners.any(|owner| owner.uid == job)
    }

    fn end(self) -> Option<End> {
        let mut containers = self.status.container_statuses.into_iter();
        let worker = containers.find(|container| container.name == CONTAINER)?;
        let index = self.metadata.annotations.get(INDEX);
        Some(End {
            place: index.and_then(|index| index.parse().ok()),
            how: worker.state.terminated?,
        })
    }
}

impl Scope {
    /// How the pods of a Job ended, and not those of one that had its name before. A pod that is still there but has
    /// not ended is left out.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub(crate) async fn ends_of(&self, job: &Job) -> Result<Vec<End>, kube::Error> {
        let namespace = job.namespace().unwrap_or_default();
        let pods = Request::new(Pod::url_path(&(), Some(&namespace)));
        let label = format!("batch.kubernetes.io/job-name={}", job.name_any());
        let uid = job.uid().unwrap_or_default();
        let mut ends = Vec::new();
        let mut page = ListParams::default().labels(&label).limit(PAGE);
        loop {
            let list = pods.list(&page).map_err(kube::Error::BuildRequest)?;
            let found: Page = self.client.request(list).await?;
            let own = found.items.into_iter().filter(|pod| pod.is_of(&uid));
            ends.extend(own.filter_map(Ended::end));
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(ends),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Ended, Page};

    fn pod(owner: &str, index: &str, containers: &Value) -> Value {
        json!({
            "metadata": {
                "name": "p", "annotations": { super::INDEX: index },
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner }],
                "managedFields": [{ "manager": "kubelet", "fieldsV1": { "f:status": {} } }],
            },
            "spec": { "containers": [{ "name": "worker", "image": "i" }] },
            "status": { "phase": "Succeeded", "containerStatuses": containers },
        })
    }

    #[test]
    fn of_a_jobs_own_pods_those_that_ended_say_how() {
        let ended = |name: &str, code: i32| {
            let state = json!({ "terminated": { "exitCode": code, "message": "{}" } });
            json!({ "name": name, "image": "i", "state": state })
        };
        let runs = json!({ "name": "worker", "state": { "running": {} } });
        let mut begins = pod("mine", "4", &json!([]));
        begins["status"] = json!({});
        let list = json!({
            "kind": "PodList", "apiVersion": "v1",
            "metadata": { "resourceVersion": "7", "continue": "more" },
            "items": [
                pod("mine", "0", &json!([ended("mesh", 9), ended("worker", 0)])),
                pod("mine", "1", &json!([ended("worker", 137)])),
                pod("another", "2", &json!([ended("worker", 1)])),
                pod("mine", "3", &json!([runs])),
                begins,
            ],
        });
        let page: Page = serde_json::from_value(list).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(page.metadata.continue_.as_deref(), Some("more"));
        let own = page.items.into_iter().filter(|pod| pod.is_of("mine"));
        let ends: Vec<_> = own
            .filter_map(Ended::end)
            .map(|end| (end.place, end.how.exit_code))
            .collect();
        assert_eq!(ends, [(Some(0), 0), (Some(1), 137)]);
    }
}
