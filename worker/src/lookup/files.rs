//! Look-ups in what `musubi dedupe` found in plain files.

use anyhow::Result;
use musubi_clean::{cleaner::Cleaner, lookup::Lookups};
use musubi_identity::Index;

use super::{Fields, Said, record};
use crate::{
    dedupe::Again,
    stage::intake::{self, Added},
};

/// Which cluster a record belongs to; records are named by their rows. Nothing is written.
///
/// # Errors
/// When a field does not exist or its value cannot be understood.
pub fn in_files(again: Again, fields: Fields) -> Result<Said> {
    intake::check(&fields)?;
    let spec = intake::spec(Some(&again.country), None)?;
    let cleaner = Cleaner::new(intake::SOURCE, &spec, &spec.streams[0], Lookups::default())?;
    let id = record::lookup_id(&fields);
    let clean = record::clean(&cleaner, Added::new(String::from("?"), fields).row(), &id)?;
    let Again {
        model,
        matcher,
        policy,
        registry,
        ..
    } = again;
    let edges = matcher.shard(&policy, 0, 1, None)?.edges;
    let mut index = Index::new(matcher, &model, &registry, edges, &policy);
    let mut answer = index.lookup(&clean.batch)?;
    for candidate in &mut answer.candidates {
        candidate.record = Again::row(&candidate.record);
    }
    Ok(Said {
        version: None,
        model: model.version(),
        waiting: 0,
        ignored: clean.ignored,
        added: None,
        answer,
    })
}
