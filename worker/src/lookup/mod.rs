//! Which customer a single record belongs to, by what is published and what was handed in since.
//!
//! A look-up writes nothing. A record that is added is kept in the raw zone before it is acknowledged, and the next
//! run takes it like any other row; tables, warehouses and audiences change then and not before.

mod files;
mod record;
mod watch;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result};
use musubi_clean::{cleaner::Cleaner, lookup::Lookups};
use musubi_identity::{Answer, Index};
use musubi_lake::pointer::Published;
use serde::Serialize;
use serde_json::{Map, Value};

pub use self::{
    files::in_files,
    watch::{News, Watcher},
};
use crate::stage::{
    Context,
    files::Files,
    intake::{self, Added},
    resolved::Resolved,
};

/// Fields of a record as they are given.
pub type Fields = Map<String, Value>;

/// What is said of a record. It holds ids, levels and weights; no value of any record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Published version that it was held against; none for what `musubi dedupe` found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Version of the model.
    pub model: String,
    /// Records beside the version: handed in, and waiting for a run.
    pub waiting: usize,
    /// Fields whose value says nothing: it could not be understood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
    /// Of a record that is added: whether it is kept now; not when just this was handed in before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<bool>,
    /// Who it is.
    #[serde(flatten)]
    pub answer: Answer,
}

/// A published version, ready for records that come one at a time, and what was handed in beside it.
pub struct Desk {
    context: Context,
    cleaner: Cleaner,
    index: Index,
    published: Published,
    model: String,
    /// Files of the version.
    files: Files,
    /// What was handed in and is beside the version, by path.
    seen: BTreeSet<String>,
    /// Hash of what each of them says, by record id.
    contents: HashMap<String, u64>,
    /// When its papers were read.
    since: Instant,
}

impl Desk {
    /// Reads the published version. `context` is of the resources as they are now.
    ///
    /// # Errors
    /// When nothing is published, what is cannot be read, or a newer version wrote it.
    pub async fn open(context: &Context) -> Result<Self> {
        let (spec, stream) = intake::of(&context.run)?;
        let cleaner = Cleaner::new(intake::SOURCE, spec, stream, Lookups::default())?;
        let since = Instant::now();
        let Resolved {
            published,
            model,
            matcher,
            policy,
            registry,
            edges,
            ..
        } = Resolved::published(context).await?;
        let path = published.state.get("files");
        let files = Files::read(&context.store, path.context("the version has no files")?).await?;
        let version = model.version();
        let work = tokio::task::spawn_blocking(move || {
            let matcher = Arc::try_unwrap(matcher)
                .ok()
                .context("the records are in use")?;
            anyhow::Ok(Index::new(matcher, &model, &registry, edges, &policy))
        });
        let mut desk = Self {
            context: context.clone(),
            cleaner,
            index: work.await??,
            published,
            model: version,
            files,
            seen: BTreeSet::new(),
            contents: HashMap::new(),
            since,
        };
        let waiting = intake::waiting(&context.store, &desk.files, &desk.seen).await?;
        desk.take(waiting);
        Ok(desk)
    }

    /// Takes in what is kept already.
    fn take(&mut self, added: Vec<(String, Added)>) {
        for (path, added) in added {
            let taken = record::clean(&self.cleaner, added.row(), &added.record_id())
                .and_then(|clean| Ok(self.index.add(&clean.batch)?));
            if let Err(error) = taken {
                // It was good when it was handed in: the rules are others now, and the run will say so.
                tracing::warn!(path, %error, "a record that was handed in cannot be used");
            }
            self.note(path, &added);
        }
    }

    fn note(&mut self, path: String, added: &Added) {
        self.contents.insert(added.record_id(), added.content());
        self.seen.insert(path);
    }

    /// Number of the version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.published.version
    }

    /// Records that it knows.
    #[must_use]
    pub fn records(&self) -> usize {
        self.index.len()
    }

    /// Records beside the version.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.seen.len()
    }

    /// Who a record is. Nothing is written.
    ///
    /// # Errors
    /// When a field does not exist or its value cannot be understood.
    pub fn lookup(&mut self, fields: Fields) -> Result<Said> {
        intake::check(&fields)?;
        let id = record::lookup_id(&fields);
        let row = Added::new(String::from("?"), fields).row();
        let clean = record::clean(&self.cleaner, row, &id)?;
        let answer = self.index.lookup(&clean.batch)?;
        Ok(self.said(answer, clean.ignored, None))
    }

    /// Keeps a record and says who it is. `id` is what it is called where it comes from; without, what it says.
    ///
    /// # Errors
    /// When a field does not exist or its value cannot be understood, and those of the storage.
    pub async fn add(
        &mut self,
        id: Option<String>,
        fields: Fields,
    ) -> Result<(Said, Option<Kept>)> {
        intake::check(&fields)?;
        let id = id.map(|id| id.trim().to_owned());
        anyhow::ensure!(
            id.as_ref().is_none_or(|id| !id.is_empty()),
            "the id is empty: leave it out, or give the record's own"
        );
        let id = id.unwrap_or_else(|| record::content_id(&fields));
        let added = Added::new(id, fields);
        let clean = record::clean(&self.cleaner, added.row(), &added.record_id())?;
        let again = self.contents.get(&added.record_id()) == Some(&added.content());
        let mut kept = None;
        if !again {
            let path = intake::keep(&self.context.store, &added).await?;
            self.note(path.clone(), &added);
            kept = Some(Kept {
                path,
                added,
                at: Instant::now(),
            });
        }
        let answer = self.index.add(&clean.batch)?;
        Ok((self.said(answer, clean.ignored, Some(!again)), kept))
    }

    fn said(&self, answer: Answer, ignored: Vec<String>, added: Option<bool>) -> Said {
        Said {
            version: Some(self.version()),
            model: self.model.clone(),
            waiting: self.waiting(),
            ignored,
            added,
            answer,
        }
    }
}

/// A record that this process has kept.
pub struct Kept {
    path: String,
    added: Added,
    at: Instant,
}

/// A desk that stays open: it follows what is published and what others hand in.
pub struct Open {
    desk: Desk,
    /// What was kept here since the desk's papers were read, which a newer desk may not have.
    own: Vec<Kept>,
}

impl Open {
    /// From a desk.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self {
            desk,
            own: Vec::new(),
        }
    }

    /// The desk that answers now.
    pub fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// Keeps a record; see [`Desk::add`].
    ///
    /// # Errors
    /// As [`Desk::add`].
    pub async fn add(&mut self, id: Option<String>, fields: Fields) -> Result<Said> {
        let (said, kept) = self.desk.add(id, fields).await?;
        self.own.extend(kept);
        Ok(said)
    }

    /// Goes on with what was found.
    pub fn follow(&mut self, news: News) {
        match news {
            News::Nothing => {}
            News::Added(added) => self.desk.take(added),
            News::Version(desk) => {
                self.desk = *desk;
                let since = self.desk.since;
                self.own.retain(|kept| kept.at >= since);
                let seen = &self.desk.seen;
                let missing = self.own.iter().filter(|kept| !seen.contains(&kept.path));
                let missing = missing.map(|k| (k.path.clone(), k.added.clone())).collect();
                self.desk.take(missing);
            }
        }
    }
}
