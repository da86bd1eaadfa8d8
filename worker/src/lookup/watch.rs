//! Whether something newer was published, or handed in by somebody else.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use musubi_lake::pointer;

use super::Desk;
use crate::stage::{
    Context,
    files::Files,
    intake::{self, Added},
};

/// What is other than before.
pub enum News {
    /// Nothing.
    Nothing,
    /// Others handed records in: their paths and what they say.
    Added(Vec<(String, Added)>),
    /// Another version is published.
    Version(Box<Desk>),
}

/// Looks for news.
pub struct Watcher {
    context: Context,
    nonce: String,
    files: Files,
    seen: BTreeSet<String>,
}

impl Watcher {
    /// Of what a desk does not know.
    #[must_use]
    pub fn of(desk: &Desk) -> Self {
        Self {
            context: desk.context.clone(),
            nonce: desk.published.nonce.clone(),
            files: desk.files.clone(),
            seen: desk.seen.clone(),
        }
    }

    /// Looks.
    ///
    /// # Errors
    /// When what is published now cannot be read; it may be later.
    pub async fn look(&mut self) -> Result<News> {
        let store = &self.context.store;
        let (published, _) = pointer::published(store)
            .await?
            .context("nothing is published any more")?;
        if published.nonce != self.nonce {
            let desk = Desk::open(&self.context).await?;
            *self = Self::of(&desk);
            return Ok(News::Version(Box::new(desk)));
        }
        let added = intake::waiting(store, &self.files, &self.seen).await?;
        self.seen.extend(added.iter().map(|(path, _)| path.clone()));
        Ok(match added.is_empty() {
            true => News::Nothing,
            false => News::Added(added),
        })
    }
}
