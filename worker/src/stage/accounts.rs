//! What became of every row of the sources (invariant 2): accepted, duplicate, superseded, structural or
//! quarantined. Whether a row that the contract accepted still counts is decided by what it became: it is
//! accepted while anything of it stands.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::Int64Type,
};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::{
    Context,
    clean::{Active, Present},
    records::parse_id,
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

/// One version of what a row became.
struct Version {
    record: u128,
    version: i64,
    content: i64,
    file: u32,
    at: u32,
    row: u32,
    deleted: bool,
}

/// Versions that are held in memory at once, at 56 bytes each.
const PASS: u64 = 4 << 20;

const STANDS: u8 = 1;
const SUPERSEDED: u8 = 2;
const DUPLICATE: u8 = 4;

/// The account of every stream. `lost` are the active files of which a row was replaced or repeated by
/// another; only the streams of those are read for it.
///
/// # Errors
/// Those of the storage.
pub(super) async fn accounts(
    context: &Context,
    present: &Present,
    lost: &BTreeSet<u32>,
) -> Result<Vec<Account>> {
    let (mut accounts, mut begin) = (Vec::new(), 0);
    let stream = |a: &Active| (a.file.source.clone(), a.file.stream.clone());
    for files in present.active.chunk_by(|a, b| stream(a) == stream(b)) {
        let end = begin + files.len() as u32;
        let some_lost = lost.range(begin..end).next().is_some();
        begin = end;
        let marks = if some_lost {
            marks(context, files).await?
        } else {
            Vec::new()
        };
        accounts.push(account(present, files, marks)?);
    }
    Ok(accounts)
}

/// The account of the stream that some active files are of; `marks` as of [`marks`], none when all rows stand.
fn account(present: &Present, files: &[Active], marks: Vec<Vec<u8>>) -> Result<Account> {
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
    for marks in marks {
        for mark in marks {
            let lost = match mark {
                m if m & STANDS != 0 => continue,
                m if m & SUPERSEDED != 0 => &mut account.superseded,
                m if m & DUPLICATE != 0 => &mut account.duplicate,
                _ => continue,
            };
            *lost += 1;
            account.accepted = account
                .accepted
                .checked_sub(1)
                .context("more rows were superseded than were accepted")?;
        }
    }
    Ok(account)
}

/// What became of each row, by file and by number of the row.
async fn marks(context: &Context, files: &[Active]) -> Result<Vec<Vec<u8>>> {
    let mut marks = vec![Vec::new(); files.len()];
    let entities: BTreeMap<&str, u64> = files.iter().flat_map(|a| &a.cleaned.entities).fold(
        BTreeMap::new(),
        |mut rows, (entity, part)| {
            *rows.entry(entity.as_str()).or_default() += part.rows;
            rows
        },
    );
    for (entity, rows) in entities {
        let passes = rows.div_ceil(PASS).max(1);
        for pass in 0..passes {
            let keep = |record: u128| record % u128::from(passes) == u128::from(pass);
            let mut versions = versions(context, files, entity, keep).await?;
            versions.sort_unstable_by_key(|v| (v.record, v.version, v.file, v.at));
            for group in versions.chunk_by(|a, b| a.record == b.record) {
                for pair in group.windows(2) {
                    let same =
                        pair[0].content == pair[1].content && pair[0].deleted == pair[1].deleted;
                    mark(
                        &mut marks,
                        &pair[0],
                        if same { DUPLICATE } else { SUPERSEDED },
                    );
                }
                if let Some(last) = group.last() {
                    mark(&mut marks, last, STANDS);
                }
            }
        }
    }
    Ok(marks)
}

fn mark(marks: &mut [Vec<u8>], version: &Version, as_what: u8) {
    let (rows, row) = (&mut marks[version.file as usize], version.row as usize);
    if rows.len() <= row {
        rows.resize(row + 1, 0);
    }
    rows[row] |= as_what;
}

async fn versions(
    context: &Context,
    files: &[Active],
    entity: &str,
    keep: impl Fn(u128) -> bool,
) -> Result<Vec<Version>> {
    const COLUMNS: [&str; 5] = ["record_id", "row", "version", "deleted", "content"];
    let mut versions = Vec::new();
    for (file, active) in (0..).zip(files) {
        let Some(part) = active.cleaned.entities.get(entity) else {
            continue;
        };
        let mut stream =
            musubi_lake::parquet::stream(&context.store, &part.path, Some(&COLUMNS)).await?;
        let mut at = 0;
        while let Some(batch) = stream.try_next().await? {
            let column = |name: &str| {
                batch
                    .column_by_name(name)
                    .with_context(|| format!("{} has no column {name}", part.path))
            };
            let ids = column("record_id")?.as_string::<i32>();
            let rows = column("row")?.as_primitive::<Int64Type>();
            let numbers = column("version")?.as_primitive::<Int64Type>();
            let contents = column("content")?.as_primitive::<Int64Type>();
            let deleted = column("deleted")?.as_boolean();
            for i in 0..batch.num_rows() {
                let record = parse_id(ids.value(i))?;
                if keep(record) {
                    versions.push(Version {
                        record,
                        version: if numbers.is_valid(i) {
                            numbers.value(i)
                        } else {
                            i64::MIN
                        },
                        content: contents.value(i),
                        file,
                        at,
                        row: u32::try_from(rows.value(i))?,
                        deleted: deleted.value(i),
                    });
                }
                at += 1;
            }
        }
    }
    Ok(versions)
}
