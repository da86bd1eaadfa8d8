//! Access to the values of a raw row by column, path, position or look-up.

use std::borrow::Cow;

use arrow::array::{Array, RecordBatch, StringArray};
use musubi_api::source::{FILE_DATE, FILE_PATH};
use serde_json::Value;

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
pub(crate) fn walk<'a>(mut value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    for step in steps {
        value = match step {
            Step::Key(key) => value.get(key.as_str())?,
            Step::Index(index) => value.get(*index)?,
        };
    }
    Some(value)
}

/// The text of a JSON value; nothing for null.
pub(crate) fn json_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

/// The rows of a batch, with every reference bound to its column.
pub(crate) enum Rows<'a> {
    Flat {
        batch: &'a RecordBatch,
        bound: Vec<Option<&'a StringArray>>,
    },
    Json(&'a [Value]),
}

impl<'a> Rows<'a> {
    pub(crate) fn bind(rows: &'a RawRows, references: &References) -> Self {
        match rows {
            RawRows::Json(rows) => Self::Json(rows),
            RawRows::Columns(batch) => {
                let bound = references
                    .list
                    .iter()
                    .map(|r| {
                        batch
                            .column_by_name(r.plain())
                            .and_then(|c| c.as_any().downcast_ref())
                    })
                    .collect();
                Self::Flat { batch, bound }
            }
        }
    }

    /// Whether the rows can have a value there: flat rows that lack the column cannot.
    pub(crate) fn has(&self, id: Id) -> bool {
        match self {
            Self::Flat { bound, .. } => bound[id].is_some(),
            Self::Json(_) => true,
        }
    }

    /// A hash of all that stands in a row.
    pub(crate) fn hash(&self, index: usize, number: u64) -> u64 {
        let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(number);
        match self {
            Self::Json(rows) => hasher.update(rows[index].to_string().as_bytes()),
            Self::Flat { batch, .. } => {
                for column in batch.columns() {
                    if let Some(text) = column.as_any().downcast_ref::<StringArray>()
                        && text.is_valid(index)
                    {
                        hasher.update(text.value(index).as_bytes());
                    }
                    hasher.update(&[0x1f]);
                }
            }
        }
        hasher.digest()
    }

    /// The whole row as a JSON object, for quarantine.
    pub(crate) fn json(&self, index: usize) -> String {
        match self {
            Self::Json(rows) => rows[index].to_string(),
            Self::Flat { batch, .. } => {
                let mut map = serde_json::Map::new();
                for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                    let text = column
                        .as_any()
                        .downcast_ref::<StringArray>()
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
    pub(crate) index: usize,
    pub(crate) element: Option<&'a Value>,
    /// Position of the element, from 1; 1 without an array.
    pub(crate) position: usize,
    /// For each look-up the row that was found.
    pub(crate) found: &'a [Option<u32>],
    /// References whose values are taken as empty.
    pub(crate) blank: &'a [Id],
}

impl<'a> Row<'a> {
    /// The value, when there is one that is not blank.
    pub(crate) fn get(&self, id: Id) -> Option<Cow<'a, str>> {
        if self.blank.contains(&id) {
            return None;
        }
        let reference = &self.references.list[id];
        let text = match &reference.target {
            Target::Position => Some(Cow::Owned(self.position.to_string())),
            Target::Path => Some(Cow::Borrowed(self.origin.path.as_str())),
            Target::Date => self.origin.date.map(|d| Cow::Owned(d.to_string())),
            Target::Found { lookup, column } => self
                .found
                .get(*lookup)
                .copied()
                .flatten()
                .and_then(|row| self.lookups.cell(*lookup, row, *column))
                .map(Cow::Borrowed),
            Target::Column { path, root } => match self.rows {
                Rows::Flat { bound, .. } => bound[id]
                    .filter(|c| c.is_valid(self.index))
                    .map(|c| Cow::Borrowed(c.value(self.index))),
                Rows::Json(rows) => {
                    let start = match self.element {
                        Some(element) if !root => element,
                        _ => &rows[self.index],
                    };
                    // a key may itself have a dot in its name
                    let whole = (path.len() > 1)
                        .then(|| start.get(reference.plain()))
                        .flatten();
                    whole.or_else(|| walk(start, path)).and_then(json_text)
                }
            },
        };
        text.filter(|t| !t.trim().is_empty())
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
