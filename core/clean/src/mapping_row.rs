//! Access to the values of a raw row by column, path, position or look-up.

use std::borrow::Cow;
use std::collections::BTreeSet;

use arrow::array::{Array, RecordBatch, StringArray};
use bumpalo::Bump;
use musubi_api::source::{FILE_DATE, FILE_PATH};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::json::{ByName, Json, JsonRows, Name, Names};
use crate::lookup::Lookups;
use crate::raw::{RawRows, SourceFile};

/// A reference that has been compiled; an index into [`References`].
pub(crate) type Id = usize;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Member of an object.
    Key(String),
    /// Element of an array, from 0.
    Index(usize),
}

#[derive(Clone, Debug)]
enum Target {
    Column {
        path: Vec<Step>,
        root: bool,
    },
    Position,
    /// The path of the file.
    Path,
    /// The date in the path of the file.
    Date,
    Found {
        lookup: usize,
        column: usize,
    },
}

#[derive(Clone, Debug)]
struct Reference {
    text: String,
    target: Target,
}

impl Reference {
    fn plain(&self) -> &str {
        self.text.strip_prefix("$.").unwrap_or(&self.text)
    }
}

/// Every column that a stream's contract and mappings read, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    list: Vec<Reference>,
}

impl References {
    /// Compiles a reference: `col`, `a.b[0]`, `$.a` (from the row), `#`, `#path`, `#date`, `alias.column`.
    pub(crate) fn add(&mut self, text: &str, lookups: &Lookups) -> Id {
        if let Some(id) = self.list.iter().position(|r| r.text == text) {
            return id;
        }
        let target = if text == "#" {
            Target::Position
        } else if text == FILE_PATH {
            Target::Path
        } else if text == FILE_DATE {
            Target::Date
        } else if let Some((lookup, column)) = lookups.resolve(text) {
            Target::Found { lookup, column }
        } else {
            let (root, name) = text.strip_prefix("$.").map_or((false, text), |t| (true, t));
            Target::Column {
                path: steps(name),
                root,
            }
        };
        self.list.push(Reference {
            text: text.to_owned(),
            target,
        });
        self.list.len() - 1
    }

    pub(crate) fn text(&self, id: Id) -> &str {
        &self.list[id].text
    }
}

/// Cuts `a.b[0].c` into steps.
pub(crate) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.trim_start_matches("$.").split('.') {
        let mut rest = part;
        let mut indexes = Vec::new();
        while let Some(open) = rest.rfind('[') {
            let Some(index) = rest[open + 1..]
                .strip_suffix(']')
                .and_then(|digits| digits.parse().ok())
            else {
                break;
            };
            indexes.push(Step::Index(index));
            rest = &rest[..open];
        }
        if !rest.is_empty() {
            steps.push(Step::Key(rest.to_owned()));
        }
        steps.extend(indexes.into_iter().rev());
    }
    steps
}

/// Follows a path.
pub(crate) fn walk<'a>(mut value: Json<'a>, steps: &[Step]) -> Option<Json<'a>> {
    for step in steps {
        value = match step {
            Step::Key(key) => value.get(key)?,
            Step::Index(index) => value.element(*index)?,
        };
    }
    Some(value)
}

/// A text that lives as long as the batch: as it stands there, or put beside it.
pub(crate) fn keep<'a>(arena: &'a Bump, text: Cow<'a, str>) -> &'a str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => arena.alloc_str(&text),
    }
}

/// The rows of a batch, with every reference bound to its column.
pub(crate) enum Rows<'a> {
    Flat {
        batch: &'a RecordBatch,
        /// The columns of text, in the batch's order.
        columns: Vec<Option<&'a StringArray>>,
        /// The column of each reference.
        bound: Vec<Option<&'a StringArray>>,
    },
    Json {
        rows: &'a JsonRows,
        /// The members of each reference.
        bound: Vec<Members>,
        /// Which names neither contract nor mapping knows.
        strange: ByName<bool>,
    },
}

/// The members that a reference may name, among those of a batch.
#[derive(Default)]
pub(crate) struct Members {
    /// One whose own name has the dots of the path.
    whole: Option<Name>,
    /// The way along the path; `None` when some name of it does not occur.
    path: Option<Vec<Hop>>,
}

/// One step of a path in a batch.
enum Hop {
    Member(Name),
    Element(usize),
}

impl Members {
    fn of(reference: &Reference, names: &Names) -> Self {
        let Target::Column { path, .. } = &reference.target else {
            return Self::default();
        };
        let hop = |step: &Step| match step {
            Step::Key(key) => names.find(key).map(Hop::Member),
            Step::Index(at) => Some(Hop::Element(*at)),
        };
        let dotted = path.len() > 1;
        Self {
            whole: dotted.then(|| names.find(reference.plain())).flatten(),
            path: path.iter().map(hop).collect(),
        }
    }

    fn find<'a>(&self, start: Json<'a>) -> Option<Json<'a>> {
        let whole = self.whole.and_then(|name| start.member(name));
        whole.or_else(|| {
            let mut path = self.path.as_ref()?.iter();
            path.try_fold(start, |value, hop| match hop {
                Hop::Member(name) => value.member(*name),
                Hop::Element(at) => value.element(*at),
            })
        })
    }
}

impl<'a> Rows<'a> {
    /// `known` are the names that are no news.
    pub(crate) fn bind(
        rows: &'a RawRows,
        references: &References,
        known: &BTreeSet<String>,
    ) -> Self {
        let references = references.list.iter();
        match rows {
            RawRows::Json(rows) => Self::Json {
                rows,
                bound: references.map(|r| Members::of(r, rows.names())).collect(),
                strange: ByName::new(rows.names(), |name| !known.contains(name)),
            },
            RawRows::Columns(batch) => {
                let columns: Vec<Option<&StringArray>> = batch
                    .columns()
                    .iter()
                    .map(|column| column.as_any().downcast_ref())
                    .collect();
                let fields = batch.schema_ref().fields();
                let bound = references
                    .map(|r| fields.find(r.plain()).and_then(|(at, _)| columns[at]))
                    .collect();
                Self::Flat {
                    batch,
                    columns,
                    bound,
                }
            }
        }
    }

    /// Whether the rows can have a value there: flat rows that lack the column cannot.
    pub(crate) fn has(&self, id: Id) -> bool {
        match self {
            Self::Flat { bound, .. } => bound[id].is_some(),
            Self::Json { .. } => true,
        }
    }

    /// A hash of all that stands in a row; `buffer` is written over.
    pub(crate) fn hash(&self, index: usize, number: u64, buffer: &mut Vec<u8>) -> u64 {
        match self {
            Self::Json { rows, .. } => rows.hash(index, number),
            Self::Flat { columns, .. } => {
                buffer.clear();
                for column in columns {
                    if let Some(text) = column.filter(|c| c.is_valid(index)) {
                        buffer.extend_from_slice(text.value(index).as_bytes());
                    }
                    buffer.push(0x1f);
                }
                xxh3_64_with_seed(buffer, number)
            }
        }
    }

    /// The whole row as a JSON object, for quarantine.
    pub(crate) fn json(&self, index: usize) -> String {
        match self {
            Self::Json { rows, .. } => rows.row(index).to_string(),
            Self::Flat { batch, columns, .. } => {
                let mut map = serde_json::Map::new();
                for (field, column) in batch.schema_ref().fields().iter().zip(columns) {
                    let text = column
                        .filter(|c| c.is_valid(index))
                        .map_or(Value::Null, |c| Value::from(c.value(index)));
                    map.insert(field.name().clone(), text);
                }
                Value::Object(map).to_string()
            }
        }
    }
}

/// One row, or one element of an array in it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) rows: &'a Rows<'a>,
    pub(crate) references: &'a References,
    pub(crate) lookups: &'a Lookups,
    pub(crate) origin: &'a SourceFile,
    /// Where texts stand that are made from those of the batch.
    pub(crate) arena: &'a Bump,
    pub(crate) index: usize,
    pub(crate) element: Option<Json<'a>>,
    /// Position of the element, from 1; 1 without an array.
    pub(crate) position: usize,
    /// For each look-up the row that was found.
    pub(crate) found: &'a [Option<u32>],
    /// References whose values are taken as empty.
    pub(crate) blank: &'a [Id],
}

impl<'a> Row<'a> {
    /// The value, when there is one that is not blank.
    pub(crate) fn get(&self, id: Id) -> Option<&'a str> {
        if self.blank.contains(&id) {
            return None;
        }
        let reference = &self.references.list[id];
        let text = match &reference.target {
            Target::Position => Some(&*self.arena.alloc_str(&self.position.to_string())),
            Target::Path => Some(self.origin.path.as_str()),
            Target::Date => {
                let text = |date: jiff::civil::Date| &*self.arena.alloc_str(&date.to_string());
                self.origin.date.map(text)
            }
            Target::Found { lookup, column } => self
                .found
                .get(*lookup)
                .copied()
                .flatten()
                .and_then(|row| self.lookups.cell(*lookup, row, *column)),
            Target::Column { root, .. } => match self.rows {
                Rows::Flat { bound, .. } => bound[id]
                    .filter(|c| c.is_valid(self.index))
                    .map(|c| c.value(self.index)),
                Rows::Json { rows, bound, .. } => {
                    let start = match self.element {
                        Some(element) if !root => element,
                        _ => rows.row(self.index),
                    };
                    let found = bound[id].find(start);
                    found
                        .and_then(Json::text)
                        .map(|text| keep(self.arena, text))
                }
            },
        };
        text.filter(|text| !is_blank(text))
    }

    /// The same row without its element.
    pub(crate) fn whole(self) -> Self {
        Self {
            element: None,
            position: 1,
            ..self
        }
    }
}

/// A text without white space at its ends; most have none.
pub(crate) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [only] | [only, .., _] if !only.is_ascii_graphic() => text.trim(),
        [.., last] if last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

/// Whether a text is nothing but white space.
pub(crate) fn is_blank(text: &str) -> bool {
    let shown = text.as_bytes().first().is_some_and(u8::is_ascii_graphic);
    !shown && text.trim().is_empty()
}
