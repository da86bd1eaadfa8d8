//! Nested rows of a batch. Their values stand in two buffers, so that a row costs no allocation of its own.

mod names;
mod read;

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Error};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub(crate) use self::names::{ByName, Name, Names};
use self::read::Reader;

/// JSON objects, one a row.
#[derive(Clone, Debug, Default)]
pub struct JsonRows {
    rows: Vec<Start>,
    /// Values in the order of the text: a container stands before what it holds.
    nodes: Vec<Node>,
    /// Strings and numbers.
    text: String,
    names: Names,
    /// Whether some object may have a name twice.
    twice: bool,
}

/// Where a row begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    node: u32,
    text: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Its name in the object that holds it.
    name: Name,
    text: Span,
    /// The node behind it and all that it holds.
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// A position in a buffer: 32 bits keep the nodes of a batch in the processor's caches.
fn position<E: Error>(at: usize) -> Result<u32, E> {
    u32::try_from(at).map_err(|_| E::custom("the rows of a batch have more than 4 GiB"))
}

/// What [`JsonRows::read`] met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// An object; it is a row now.
    Object,
    /// Another value, which was passed over.
    Other,
}

impl JsonRows {
    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes that the values take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.text.len() + self.nodes.len() * size_of::<Node>()
    }

    /// No rows yet, and room for as many as another batch had.
    #[must_use]
    pub fn like(other: &Self) -> Self {
        Self {
            rows: Vec::with_capacity(other.rows.len()),
            nodes: Vec::with_capacity(other.nodes.len()),
            text: String::with_capacity(other.text.len()),
            // names of other rows may never come again
            names: Names::default(),
            twice: false,
        }
    }

    /// Reads a text of one value, and adds it when it is an object.
    ///
    /// # Errors
    /// When the text is not one JSON value; then nothing is added.
    pub fn read(&mut self, text: &[u8]) -> serde_json::Result<Met> {
        // text that is known to be UTF-8 is read faster
        match std::str::from_utf8(text) {
            Ok(text) => self.add(|into| whole(serde_json::Deserializer::from_str(text), into)),
            Err(_) => self.add(|into| whole(serde_json::Deserializer::from_slice(text), into)),
        }
    }

    /// Adds what is read when it is an object, and nothing otherwise.
    fn add<E: Error>(&mut self, read: impl FnOnce(Reader<'_>) -> Result<(), E>) -> Result<Met, E> {
        let (nodes, texts) = (self.nodes.len(), self.text.len());
        let start = Start {
            node: position(nodes)?,
            text: position(texts)?,
        };
        let done = read(Reader::new(self));
        let object = |node: &Node| node.kind == Kind::Object;
        if done.is_ok() && self.nodes.get(nodes).is_some_and(object) {
            self.rows.push(start);
            return Ok(Met::Object);
        }
        self.nodes.truncate(nodes);
        self.text.truncate(texts);
        done.map(|()| Met::Other)
    }

    /// A row.
    ///
    /// # Panics
    /// When there are not so many rows.
    #[must_use]
    pub fn row(&self, index: usize) -> Json<'_> {
        Json {
            rows: self,
            at: self.rows[index].node,
        }
    }

    /// The names that members have, at any depth.
    pub(crate) const fn names(&self) -> &Names {
        &self.names
    }

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Json<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// A hash of the strings and numbers of a row.
    pub(crate) fn hash(&self, index: usize, seed: u64) -> u64 {
        let next = self.rows.get(index + 1);
        let end = next.map_or(self.text.len(), |row| row.text as usize);
        let text = &self.text.as_bytes()[self.rows[index].text as usize..end];
        xxh3_64_with_seed(text, seed)
    }
}

/// Values that are objects become rows; others are left out.
impl FromIterator<Value> for JsonRows {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut rows = Self::default();
        for value in values {
            // a value that is there can be read
            let _ = rows.add(|into| into.deserialize(value));
        }
        rows
    }
}

fn whole<'de, R: serde_json::de::Read<'de>>(
    mut input: serde_json::Deserializer<R>,
    into: Reader<'_>,
) -> serde_json::Result<()> {
    into.deserialize(&mut input)?;
    input.end()
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    rows: &'a JsonRows,
    at: u32,
}

impl<'a> Json<'a> {
    fn node(self) -> &'a Node {
        &self.rows.nodes[self.at as usize]
    }

    fn part(self, span: Span) -> &'a str {
        &self.rows.text[span.start as usize..span.end as usize]
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.node().kind == Kind::Null
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(self) -> bool {
        self.node().kind == Kind::Array
    }

    /// The values that an array or object holds, in order.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let node = self.node();
        let holds = matches!(node.kind, Kind::Array | Kind::Object);
        let mut at = if holds { self.at + 1 } else { node.next };
        std::iter::from_fn(move || {
            let item = Json {
                rows: self.rows,
                at,
            };
            (at < node.next).then(|| at = item.node().next)?;
            Some(item)
        })
    }

    /// The members of an object, in order; of a name that occurs twice, both.
    pub fn members(self) -> impl Iterator<Item = (&'a str, Self)> {
        let object = self.node().kind == Kind::Object;
        let items = object.then(|| self.items()).into_iter().flatten();
        items.map(|item| (self.rows.names.text(item.node().name), item))
    }

    /// The name that it has in the object that holds it.
    pub(crate) fn name(self) -> Name {
        self.node().name
    }

    /// The member of an object; of a name that occurs twice, the last.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.member(self.rows.names.find(name)?)
    }

    /// The member of an object, by a name of the batch; of a name that occurs twice, the last.
    pub(crate) fn member(self, name: Name) -> Option<Self> {
        let (rows, object) = (self.rows, self.node());
        let (mut at, mut found) = (self.at + 1, None);
        while object.kind == Kind::Object && at < object.next {
            let member = &rows.nodes[at as usize];
            if member.name == name {
                found = Some(Self { rows, at });
                if !rows.twice {
                    break;
                }
            }
            at = member.next;
        }
        found
    }

    /// The element of an array, from 0.
    #[must_use]
    pub fn element(self, index: usize) -> Option<Self> {
        self.is_array().then(|| self.items().nth(index)).flatten()
    }

    /// Its text: that of a string, JSON of anything else; nothing for null.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        match node.kind {
            Kind::Null => None,
            Kind::False => Some(Cow::Borrowed("false")),
            Kind::True => Some(Cow::Borrowed("true")),
            Kind::Number | Kind::String => Some(Cow::Borrowed(self.part(node.text))),
            Kind::Array | Kind::Object => Some(Cow::Owned(self.value().to_string())),
        }
    }

    /// As a tree of its own.
    #[must_use]
    pub fn value(self) -> Value {
        let node = self.node();
        match node.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            // it was written from a number
            Kind::Number => serde_json::from_str(self.part(node.text)).unwrap_or_default(),
            Kind::String => Value::from(self.part(node.text)),
            Kind::Array => self.items().map(Json::value).collect(),
            Kind::Object => {
                let members = self
                    .members()
                    .map(|(key, item)| (key.to_owned(), item.value()));
                Value::Object(members.collect::<Map<String, Value>>())
            }
        }
    }
}

impl std::fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_comes_out_again() {
        let cases = [
            r#"{}"#,
            r#"{"a":1,"b":-2,"c":18446744073709551615,"d":1.5,"e":1e3,"f":"テ\"\\ス\n","g":null}"#,
            r#"{"a":{"b":{"c":[]}},"d":[1,[true,false],{"e":"f"}],"g":{}}"#,
            r#"{"twice":1,"b":2,"twice":3}"#,
            r#"{"new":1,"":2,"b":3}"#,
            r#"{"":{"":1}}"#,
        ];
        let mut rows = JsonRows::default();
        for text in cases {
            assert_eq!(rows.read(text.as_bytes()).unwrap(), Met::Object);
        }
        for text in ["[1]", "3", "\"a\"", "null"] {
            assert_eq!(rows.read(text.as_bytes()).unwrap(), Met::Other);
        }
        for broken in [&br#"{"a":{"b":"#[..], br#"{"a":1} 2"#, b"{\"a\":\"\xff\"}"] {
            assert!(rows.read(broken).is_err());
        }
        assert_eq!(rows.len(), cases.len());
        for (text, row) in cases.iter().zip(rows.iter()) {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(row.value(), value);
            assert_eq!(row.to_string(), value.to_string());
        }
        let nested = rows.row(2);
        let at = |path: &[&str]| path.iter().try_fold(nested, |v, key| v.get(key));
        assert_eq!(at(&["a", "b", "c"]).unwrap().text().unwrap(), "[]");
        assert_eq!(
            nested.get("d").unwrap().element(1).unwrap().to_string(),
            "[true,false]"
        );
        assert!(nested.get("d").unwrap().element(3).is_none());
        assert!(at(&["a", "x"]).is_none() && at(&["d", "e"]).is_none());
        assert_eq!(rows.row(3).get("twice").unwrap().text().unwrap(), "3");
        assert_eq!(rows.row(3).get("b").unwrap().text().unwrap(), "2");
        let copied: JsonRows = rows.iter().map(Json::value).collect();
        assert_eq!(copied.row(1).to_string(), rows.row(1).to_string());
    }

    #[test]
    fn a_name_means_the_same_member_in_whatever_order_rows_have_theirs() {
        let mut rows = JsonRows::default();
        for text in [
            r#"{"a":1,"b":{"a":2}}"#,
            r#"{"b":{"c":3,"a":4},"a":5}"#,
            r#"{"c":6}"#,
        ] {
            rows.read(text.as_bytes()).unwrap();
        }
        let at = |row: usize, path: &[&str]| {
            let found = path
                .iter()
                .try_fold(rows.row(row), |value, name| value.get(name));
            found.and_then(Json::text)
        };
        assert_eq!(at(0, &["a"]).as_deref(), Some("1"));
        assert_eq!(at(0, &["b", "a"]).as_deref(), Some("2"));
        assert_eq!(at(1, &["a"]).as_deref(), Some("5"));
        assert_eq!(at(1, &["b", "a"]).as_deref(), Some("4"));
        assert_eq!(at(1, &["c"]), None);
        assert_eq!(at(2, &["c"]).as_deref(), Some("6"));
        assert_eq!(at(2, &["a"]), None);
        assert_eq!(at(2, &["x"]), None);
    }
}
