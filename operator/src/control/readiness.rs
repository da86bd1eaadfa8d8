//! `Ready` of the kinds that nothing is made from: whether a spec is usable.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{controller::Action, reflector::Store},
};
use musubi_api::{
    Problem, audience::Audience, load_objects, policy::IdentityPolicy, source::Source,
    warehouse::Warehouse,
};
use serde_json::{Value, json};

use crate::{
    build::{
        MANAGER,
        credentials::{self, Key},
    },
    conditions::{self, Say},
    context::{Context, Error},
    objects::{Watched, document, sentence},
};

/// A kind whose status says whether its spec is usable.
pub(crate) trait Judged: Watched {
    /// Conditions, and the generation they speak of.
    fn status(&self) -> (Vec<Condition>, Option<i64>);
    /// Keys of Secrets that it names.
    fn keys(&self) -> BTreeSet<Key> {
        BTreeSet::new()
    }
    /// Documents beside it that it has to be read with.
    fn beside(&self, _: &Context) -> Vec<Value> {
        Vec::new()
    }
}

macro_rules! status {
    () => {
        fn status(&self) -> (Vec<Condition>, Option<i64>) {
            let status = self.status.clone().unwrap_or_default();
            (status.conditions, status.observed_generation)
        }
    };
}

impl Judged for Source {
    status!();
    fn keys(&self) -> BTreeSet<Key> {
        credentials::of_source(&self.spec)
    }
}

impl Judged for IdentityPolicy {
    status!();
    fn beside(&self, context: &Context) -> Vec<Value> {
        near(self.namespace(), &context.objects.sources)
    }
}

impl Judged for Warehouse {
    status!();
    fn keys(&self) -> BTreeSet<Key> {
        credentials::of_warehouse(&self.spec)
    }
}

impl Judged for Audience {
    status!();
    fn beside(&self, context: &Context) -> Vec<Value> {
        near(self.namespace(), &context.objects.warehouses)
    }
}

/// What a kind has in a namespace.
fn near<K: Watched>(namespace: Option<String>, store: &Store<K>) -> Vec<Value> {
    let near = store.state_filter(|object| object.namespace() == namespace);
    near.iter().map(|object| document(&**object)).collect()
}

/// Judges an object.
pub(crate) async fn reconcile<K: Judged>(
    object: Arc<K>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let mut documents = object.beside(&context);
    documents.push(document(&*object));
    let title = format!("{}/{}", K::kind(&()), object.name_any());
    let (_, problems) = load_objects(&documents);
    let own: Vec<&Problem> = problems.iter().filter(|p| p.resource == title).collect();
    let refusal = context.settings.allowed.refuses(&object.keys());
    let generation = object.meta().generation;
    let message;
    let (holds, reason) = match (own.as_slice(), refusal) {
        ([], None) => {
            message = "the spec is usable".to_owned();
            (true, "Usable")
        }
        ([], Some(refusal)) => {
            message = refusal;
            (false, "SecretNotAllowed")
        }
        (wrong, _) => {
            let sentences: Vec<String> = wrong.iter().map(|p| sentence(p)).collect();
            message = sentences.join("\n");
            (false, "Invalid")
        }
    };
    let (mut conditions, observed) = object.status();
    let say = Say {
        kind: "Ready",
        holds,
        reason,
        message: &message,
        generation,
    };
    if conditions::set(&mut conditions, say) || observed != generation {
        let status = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": object.name_any() },
            "status": { "conditions": conditions, "observedGeneration": generation },
        });
        let api = context
            .scope
            .within::<K>(&object.namespace().unwrap_or_default());
        let params = PatchParams::apply(MANAGER).force();
        api.patch_status(&object.name_any(), &params, &Patch::Apply(status))
            .await?;
    }
    // What it refers to may be gone without a word.
    Ok(Action::requeue(Duration::from_secs(300)))
}
