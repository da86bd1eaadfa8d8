//! `Ready` of the kinds that nothing is made from: whether a spec is usable.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{controller::Action, events::EventType, reflector::Store},
};
use musubi_api::{
    Problem,
    audience::Audience,
    load_objects,
    policy::IdentityPolicy,
    source::{Bookmark, Source},
    warehouse::Warehouse,
};
use serde_json::{Map, Value, json};

use crate::{
    build::{
        MANAGER,
        credentials::{self, Key},
    },
    conditions::{self, Say},
    context::{Context, Error},
    freshness::{self, Freshness},
    objects::{Watched, document, sentence},
};

/// What it refers to may be gone without a word: it is looked at again after this time.
const SAFETY: Duration = Duration::from_secs(300);

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
    /// What else its status says.
    fn further(&self, _: &Context) -> Further {
        Further::default()
    }
}

/// What else a status says.
#[derive(Default)]
pub(crate) struct Further {
    /// Fields beside the conditions.
    fields: Map<String, Value>,
    /// Whether they are other than they were.
    changed: bool,
    /// A condition that is there only while there is something to say.
    condition: Option<(&'static str, Option<Freshness>)>,
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
    fn further(&self, context: &Context) -> Further {
        let bookmark = bookmark(self, context);
        let freshness = freshness::of(&self.spec, bookmark.as_ref(), Timestamp::now());
        let known = self.status.as_ref().and_then(|s| s.bookmark.as_ref());
        let changed = bookmark.as_ref() != known;
        let bookmark = bookmark.and_then(|b| serde_json::to_value(b).ok());
        Further {
            changed,
            fields: bookmark
                .map(|b| ("bookmark".to_owned(), b))
                .into_iter()
                .collect(),
            condition: Some(("Fresh", freshness)),
        }
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
    fn keys(&self) -> BTreeSet<Key> {
        credentials::of_audience(&self.spec)
    }
    fn beside(&self, context: &Context) -> Vec<Value> {
        near(self.namespace(), &context.objects.warehouses)
    }
}

/// How far what was published of a source has come: what its status knows, or what a run says that is newer.
fn bookmark(source: &Source, context: &Context) -> Option<Bookmark> {
    let (name, namespace) = (source.name_any(), source.namespace());
    let known = source.status.as_ref().and_then(|s| s.bookmark.clone());
    let runs = context.objects.runs.state_filter(|run| {
        let status = run.status.as_ref();
        run.namespace() == namespace && status.is_some_and(|s| s.bookmarks.contains_key(&name))
    });
    let said = runs.iter().filter_map(|run| {
        Some(Bookmark {
            newest: run.status.as_ref()?.bookmarks.get(&name)?.clone(),
            run: run.name_any(),
        })
    });
    // Of the same instant the first that said so counts, or the status would change with every run.
    let newest = said.min_by_key(|b| (Reverse(b.newest.0), b.run.clone()));
    match (known, newest) {
        (Some(known), Some(newest)) if newest.newest.0 > known.newest.0 => Some(newest),
        (known, newest) => known.or(newest),
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
    let mut changed = conditions::set(&mut conditions, say) || observed != generation;
    let further = object.further(&context);
    let mut wait = SAFETY;
    let mut news = None;
    if let Some((kind, judged)) = further.condition {
        let before = conditions
            .iter()
            .find(|c| c.type_ == kind)
            .map(|c| c.reason.clone());
        changed |= match &judged {
            Some(judged) => {
                let say = Say {
                    kind,
                    holds: judged.holds,
                    reason: judged.reason,
                    message: &judged.message,
                    generation,
                };
                conditions::set(&mut conditions, say)
            }
            None => conditions::clear(&mut conditions, kind),
        };
        // A moment later it is over for sure.
        let until = judged.as_ref().and_then(|judged| judged.until);
        wait = until.map_or(wait, |until| wait.min(until + Duration::from_secs(1)));
        news = judged.filter(|judged| before.is_some_and(|before| before != judged.reason));
    }
    if changed || further.changed {
        let mut status = further.fields;
        status.insert("conditions".into(), json!(conditions));
        status.insert("observedGeneration".into(), json!(generation));
        let status = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": object.name_any() },
            "status": status,
        });
        let api = context
            .scope
            .within::<K>(&object.namespace().unwrap_or_default());
        let params = PatchParams::apply(MANAGER).force();
        api.patch_status(&object.name_any(), &params, &Patch::Apply(status))
            .await?;
    }
    if let Some(judged) = news {
        let kind = if judged.holds {
            EventType::Normal
        } else {
            EventType::Warning
        };
        let (reason, message) = (judged.reason, &judged.message);
        context
            .event(&*object, "freshness", kind, reason, message)
            .await;
    }
    Ok(Action::requeue(wait))
}
