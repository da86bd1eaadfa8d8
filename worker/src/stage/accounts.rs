//! What became of every row of the sources (invariant 2): accepted, duplicate, superseded, structural or
//! quarantined. Whether a row that the contract accepted still counts is decided by what it became: it is
//! accepted while anything of it stands.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use arrow::{array::AsArray as _, datatypes::Int64Type};
use futures::TryStreamExt as _;
use musubi_lake::{manifest, parquet};
use serde::{Deserialize, Serialize};

use super::{
    Context,
    clean::{Active, Present},
    losses::{self, Loss, Losses},
    plan::Plan,
    records::Fate,
    versions,
};

/// The rows of a stream by what became of them. Rows of files that a later file replaced are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// Files that count.
    pub files: u64,
    /// Files that later files replaced.
    pub replaced: u64,
    /// Rows of the files that count.
    pub rows: u64,
    /// Rows of which something stands, or that say that something is gone.
    pub accepted: u64,
    /// Repetitions of a row with the same content.
    pub duplicate: u64,
    /// Older versions of a row, and rows that a later one deleted.
    pub superseded: u64,
    /// Headers, trailers, comments, blank lines.
    pub structural: u64,
    /// Rows set aside.
    pub quarantined: u64,
    /// Customer records among what the rows became.
    pub customer_records: u64,
    /// Rows set aside, by reason code.
    pub reasons: BTreeMap<String, u64>,
}

impl Account {
    /// Whether every row is exactly one of the five.
    #[must_use]
    pub fn holds(&self) -> bool {
        let parts = self.accepted + self.duplicate + self.superseded;
        self.rows == parts + self.structural + self.quarantined
    }
}

/// Name in the published state: what was lost of each file.
pub(super) const STATE: &str = "losses";

/// What was lost of a file: a row is lost when nothing stands of all that it became.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Lost {
    /// Fingerprint of the versions that do not stand.
    of: u64,
    /// Rows that were repeated.
    duplicate: u64,
    /// Rows that were replaced.
    superseded: u64,
}

/// What was lost, by mark of the file.
type Known = BTreeMap<u64, Lost>;

/// The account of every stream, and the path of what the next run need not work out again.
///
/// # Errors
/// Those of the storage.
pub(super) async fn accounts(
    context: &Context,
    plan: &Plan,
    present: &Present,
    losses: &Losses,
) -> Result<(Vec<Account>, String)> {
    let before = known(context, plan).await?;
    let (mut accounts, mut begin, mut known) = (Vec::new(), 0, Known::new());
    let stream = |a: &Active| (a.file.source.clone(), a.file.stream.clone());
    for files in present.active.chunk_by(|a, b| stream(a) == stream(b)) {
        let end = begin + files.len() as u32;
        let mut account = account(present, files);
        for of_file in losses.of(begin..end) {
            let active = &present.active[of_file[0].file as usize];
            let (mark, of) = (versions::mark(active), losses::fingerprint(of_file));
            let lost = match before.get(&mark).filter(|lost| lost.of == of) {
                Some(lost) => *lost,
                None => lost_rows(context, active, of_file).await?,
            };
            known.insert(mark, lost);
            account.lose(lost)?;
        }
        accounts.push(account);
        begin = end;
    }
    let path = format!("runs/{}/losses.json", context.run.uid);
    let body = manifest::encode(&path, &known)?;
    context.store.put(&path, body).await?;
    Ok((accounts, path))
}

/// What the version that the run starts from knew; nothing when that is gone.
async fn known(context: &Context, plan: &Plan) -> Result<Known> {
    let Some(path) = plan.state.get(STATE) else {
        return Ok(Known::new());
    };
    match context.store.find(path).await? {
        Some(bytes) => Ok(manifest::decode(path, "what was lost of files", &bytes)?),
        None => Ok(Known::new()),
    }
}

/// The account of the stream that some active files are of, as if every row stood.
fn account(present: &Present, files: &[Active]) -> Account {
    let first = &files[0].file;
    let mut account = Account {
        source: first.source.clone(),
        stream: first.stream.clone(),
        files: files.len() as u64,
        ..Account::default()
    };
    let replaced = present
        .files
        .0
        .iter()
        .filter(|f| f.superseded && f.source == first.source && f.stream == first.stream);
    account.replaced = replaced.count() as u64;
    for cleaned in files.iter().map(|a| &a.cleaned) {
        account.rows += cleaned.rows.total;
        account.structural += cleaned.rows.structural;
        account.quarantined += cleaned.rows.quarantined;
        account.accepted += cleaned.rows.accepted;
        account.customer_records += cleaned.entities.get("customer").map_or(0, |p| p.rows);
        for (code, n) in &cleaned.reasons {
            *account.reasons.entry(code.clone()).or_default() += n;
        }
    }
    account
}

impl Account {
    fn lose(&mut self, lost: Lost) -> Result<()> {
        self.duplicate += lost.duplicate;
        self.superseded += lost.superseded;
        self.accepted = self
            .accepted
            .checked_sub(lost.duplicate + lost.superseded)
            .context("more rows were superseded than were accepted")?;
        Ok(())
    }
}

/// The versions of one row.
#[derive(Clone, Copy, Default)]
struct Versions {
    all: u32,
    lost: u32,
    superseded: bool,
}

/// Counts the rows of a file of which nothing stands.
async fn lost_rows(context: &Context, active: &Active, losses: &[Loss]) -> Result<Lost> {
    let mut versions: Vec<Versions> = Vec::new();
    for (entity, part) in &active.cleaned.entities {
        let mut here = losses.iter().filter(|l| l.entity().as_str() == entity);
        let mut next = here.next();
        let mut at = 0;
        let mut stream = parquet::stream(&context.store, &part.path, Some(&["row"])).await?;
        while let Some(batch) = stream.try_next().await? {
            let rows = batch.column_by_name("row");
            let rows = rows.with_context(|| format!("{} has no column row", part.path))?;
            for row in rows.as_primitive::<Int64Type>().values() {
                let row = usize::try_from(*row)?;
                if versions.len() <= row {
                    versions.resize(row + 1, Versions::default());
                }
                versions[row].all += 1;
                while let Some(loss) = next.filter(|l| l.at == at) {
                    versions[row].lost += 1;
                    versions[row].superseded |= loss.fate() == Fate::Superseded;
                    next = here.next();
                }
                at += 1;
            }
        }
        anyhow::ensure!(next.is_none(), "{} lacks rows", part.path);
    }
    let gone = versions.iter().filter(|v| v.lost > 0 && v.lost == v.all);
    let superseded = gone.clone().filter(|v| v.superseded).count() as u64;
    Ok(Lost {
        of: losses::fingerprint(losses),
        duplicate: gone.count() as u64 - superseded,
        superseded,
    })
}
