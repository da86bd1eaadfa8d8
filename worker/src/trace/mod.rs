//! From a curated value back to the bytes that it was made from.
//!
//! A value of a fact is copied from one row; a value of a golden record is the one that survived; everything else
//! is derived from several rows, and then all of them are named.

mod address;
mod clean;
mod customers;
mod derived;
mod facts;
mod object;

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use musubi_lake::{parquet, pointer::Published};
use serde::Serialize;

pub use address::{Address, value};
pub use object::Object;

use crate::{
    source::decode::Found,
    stage::{edits::Edits, view::View},
};
use clean::CleanRows;

/// What a trace shows of values and bytes, which may be of persons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show {
    /// The values.
    pub values: bool,
    /// The bytes of the source rows.
    pub raw: bool,
}

/// Where the values of a row come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The curated table.
    pub table: String,
    /// The row's key, without values of persons.
    pub key: String,
    /// The id that was asked for, where another stands for it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The published version that was looked at.
    pub version: u64,
    /// The run that made it.
    pub run: String,
    /// The values.
    pub columns: Vec<Column>,
    /// The source rows that the columns name by their place in this list, from 0.
    pub rows: Vec<Origin>,
}

/// Where one value comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Name of the column.
    pub column: String,
    /// The value, on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether it says something about a person.
    pub personal: bool,
    /// How it was chosen or derived.
    pub rule: String,
    /// The column of the clean rows that it was copied from; absent when it is derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The rows that it comes from.
    pub won: Vec<usize>,
    /// The rows that had a say and lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<usize>,
}

/// A row of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Source.
    pub source: String,
    /// Stream.
    pub stream: String,
    /// What the row became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Its record id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// When it was changed last, or when what it tells happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<jiff::Timestamp>,
    /// Whether a later version of the row, or the same row sent again, counts instead.
    pub superseded: bool,
    /// The file in the source; for a table, the read.
    pub file: String,
    /// The table of a database, and the columns of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// Number of the row in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Where it stands in the raw object; absent when the whole object is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locator: Option<String>,
    /// The raw object in the lake.
    pub object: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
    /// The instant of the run that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<jiff::Timestamp>,
    /// The correction of the row, where somebody corrected it in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<CorrectionNote>,
    /// The row itself, on request. Its object was held against the SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

/// A table of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// Name of the table.
    pub table: String,
    /// Columns of its key.
    pub key: Vec<String>,
    /// Their values in the row, on request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, serde_json::Value>,
}

/// Which correction a row comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CorrectionNote {
    /// Where it is in the lake.
    pub object: String,
    /// The columns that are other than in the source.
    pub columns: Vec<String>,
}

/// The bytes of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Raw {
    /// As hexadecimal digits; absent for rows of sheets and row groups, which have no bytes of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
    /// As text, or the row as JSON.
    pub text: String,
}

/// Follows the values of one curated row, or one of them.
///
/// # Errors
/// When there is no such row, or what it came from cannot be read.
pub async fn trace(view: &View, address: &Address, show: Show) -> Result<Trace> {
    let published = view.published.as_ref().context("nothing is published")?;
    let (row, alias) = find(view, published, address).await?;
    let mut tracer = Tracer {
        view,
        published,
        table: address.table.name,
        row: row.clone(),
        columns: Vec::new(),
        rows: Vec::new(),
        known: HashMap::new(),
    };
    tracer.follow().await?;
    let Tracer {
        mut columns,
        mut rows,
        ..
    } = tracer;
    for column in &mut columns {
        column.personal = address.table.personal.contains(&column.column);
        column.value = match show.values {
            true => value(&row, &column.column, 0)?,
            false => None,
        };
    }
    if let Some(name) = &address.column {
        columns.retain(|c| c.column == *name);
        keep_used(&mut columns, &mut rows);
    }
    enrich(view, &mut rows, show).await?;
    let key = address
        .table
        .key
        .iter()
        .map(|column| {
            Ok(if address.table.personal.contains(*column) {
                format!("<{column}>")
            } else {
                value(&row, column, 0)?.unwrap_or_default()
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Trace {
        table: address.table.name.to_owned(),
        key: key.join("/"),
        alias,
        version: published.version,
        run: published.run.clone(),
        columns,
        rows,
    })
}

/// The row that an address names; and the id that was asked for, when another stands for it.
async fn find(
    view: &View,
    published: &Published,
    address: &Address,
) -> Result<(RecordBatch, Option<String>)> {
    let store = &view.context.store;
    let by_key = async |key: &[String]| {
        let wanted = |batch: &RecordBatch, row: usize| {
            for (column, wanted) in address.table.key.iter().zip(key) {
                if value(batch, column, row)?.unwrap_or_default() != *wanted {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let found = address::rows(
            store,
            published,
            address.table.name,
            address.table.key,
            wanted,
        )
        .await?;
        anyhow::Ok(found.into_iter().next())
    };
    if let Some(row) = by_key(&address.key).await? {
        return Ok((row, None));
    }
    if address.table.key.first() == Some(&"customer_id")
        && let Some(now) = current_id(view, published, &address.key[0]).await?
    {
        let mut key = address.key.clone();
        let asked = std::mem::replace(&mut key[0], now);
        if let Some(row) = by_key(&key).await? {
            return Ok((row, Some(asked)));
        }
    }
    anyhow::bail!(
        "{} has no row {} in version {}; the published tables list what there is",
        address.table.name,
        address.shown_key(),
        published.version
    )
}

/// The id that stands for a customer id that is gone, through any number of merges.
async fn current_id(view: &View, published: &Published, id: &str) -> Result<Option<String>> {
    let Some(path) = published.state.get("aliases") else {
        return Ok(None);
    };
    let aliases = parquet::read(&view.context.store, path, None).await?;
    let mut registry = musubi_identity::Registry::default();
    registry.read_aliases(&aliases)?;
    let Ok(asked) = id.parse() else {
        return Ok(None);
    };
    let now = registry.resolve(asked);
    Ok((now != asked).then(|| now.to_string()))
}

/// Drops rows that no column names.
fn keep_used(columns: &mut [Column], rows: &mut Vec<Origin>) {
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut kept = Vec::new();
    for column in columns {
        for at in column.won.iter_mut().chain(&mut column.lost) {
            *at = *places.entry(*at).or_insert_with(|| {
                kept.push(rows[*at].clone());
                kept.len() - 1
            });
        }
    }
    *rows = kept;
}

/// Adds what only the raw zone knows: corrections, and on request the bytes.
async fn enrich(view: &View, rows: &mut [Origin], show: Show) -> Result<()> {
    let mut by_object: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let key = (row.object.clone(), row.file.clone());
        by_object.entry(key).or_default().push(at);
    }
    for ((object, path), places) in by_object {
        let active = &view.present.active;
        let found = active
            .iter()
            .find(|a| a.file.raw == object && a.file.path == path);
        let file = &found
            .with_context(|| format!("{object} is not in the lake's list"))?
            .file;
        let edits = Edits::of(&view.context.store, file).await?;
        for at in &places {
            let locator = rows[*at].locator.as_deref().unwrap_or_default();
            rows[*at].correction = edits.find(locator).map(|(row, path)| CorrectionNote {
                object: path.clone(),
                columns: row.changed.clone(),
            });
        }
        let places: Vec<usize> = places
            .into_iter()
            .filter(|at| rows[*at].locator.is_some())
            .collect();
        let keys = show.values && places.iter().any(|at| rows[*at].database.is_some());
        if places.is_empty() || !(show.raw || keys) {
            continue;
        }
        let locators: Vec<String> = places
            .iter()
            .filter_map(|at| rows[*at].locator.clone())
            .collect();
        let found = Object::fetch(&view.context, file).await?.at(&locators)?;
        for (at, found) in places.into_iter().zip(found) {
            show_bytes(&mut rows[at], found, show);
        }
    }
    Ok(())
}

fn show_bytes(row: &mut Origin, found: Found, show: Show) {
    if let Some(database) = &mut row.database
        && let Ok(serde_json::Value::Object(content)) = serde_json::from_str(&found.text)
    {
        let key = database.key.iter();
        let values = key.filter_map(|name| Some((name.clone(), content.get(name)?.clone())));
        database.values = values.collect();
    }
    row.raw = show.raw.then(|| Raw {
        hex: found.bytes.map(hex::encode),
        text: found.text,
    });
}

/// A trace that is being made.
struct Tracer<'a> {
    view: &'a View,
    published: &'a Published,
    table: &'static str,
    row: RecordBatch,
    columns: Vec<Column>,
    rows: Vec<Origin>,
    known: HashMap<(u32, String, String), usize>,
}

impl Tracer<'_> {
    async fn follow(&mut self) -> Result<()> {
        match self.table {
            "customers" => self.customer().await,
            "customer_features" => self.features().await,
            "customer_consents" => self.consents().await,
            "identifiers" => self.identifier().await,
            "links" => self.link().await,
            "households" => self.household().await,
            "id_changes" => self.id_change().await,
            "review" => self.review().await,
            "quality" => self.quality(),
            table => self.fact(table).await,
        }
    }

    /// The value of a column of the row.
    fn value(&self, column: &str) -> Result<Option<String>> {
        value(&self.row, column, 0)
    }

    /// Names of the row's columns that have a value.
    fn filled(&self) -> Vec<String> {
        let fields = self
            .row
            .schema_ref()
            .fields()
            .iter()
            .zip(self.row.columns());
        fields
            .filter(|(_, values)| !values.is_null(0))
            .map(|(field, _)| field.name().clone())
            .collect()
    }

    /// The place of a clean row in the list of rows.
    fn origin(&mut self, clean: &CleanRows, row: usize) -> usize {
        let version = &clean.rows[row].version;
        let record = format!("{:032x}", version.record);
        let locator = clean.text(row, "locator").unwrap_or_default().to_owned();
        let key = (version.file, locator.clone(), record.clone());
        if let Some(at) = self.known.get(&key) {
            return *at;
        }
        let origin = Origin {
            entity: Some(clean.entity.as_str().to_owned()),
            record: Some(record),
            time: clean.time(row),
            superseded: !clean.rows[row].stands,
            row: Some(clean.number(row)),
            locator: Some(locator),
            ..self.object(version.file)
        };
        self.rows.push(origin);
        self.known.insert(key, self.rows.len() - 1);
        self.rows.len() - 1
    }

    /// A whole object, by its place among the active files.
    fn object(&self, at: u32) -> Origin {
        let file = &self.view.present.active[at as usize].file;
        let run = &self.view.context.run;
        let stream = crate::stage::files::stream(run, &file.source, &file.stream);
        let database = stream.and_then(|s| s.table.as_ref()).map(|table| Database {
            table: table.name.clone(),
            key: table.key.clone(),
            values: BTreeMap::new(),
        });
        Origin {
            source: file.source.clone(),
            stream: file.stream.clone(),
            file: file.path.clone(),
            database,
            object: file.raw.clone(),
            sha256: file.sha256.clone(),
            size: file.size,
            arrived: file.arrived,
            ..Origin::default()
        }
    }

    /// Says of some columns that they are derived from some rows.
    fn derived(&mut self, columns: &[&str], rule: &str, won: &[usize]) {
        let filled = self.filled();
        for column in columns.iter().filter(|c| filled.iter().any(|f| f == *c)) {
            self.columns.push(Column {
                column: (*column).to_owned(),
                value: None,
                personal: false,
                rule: rule.to_owned(),
                field: None,
                won: won.to_vec(),
                lost: Vec::new(),
            });
        }
    }
}
