//! Nested rows of a batch. Their values stand in two buffers, so that a row costs no allocation of its own.

use std::{borrow::Cow, fmt::Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// JSON objects, one a row.
#[derive(Clone, Debug, Default)]
pub struct JsonRows {
    rows: Vec<Start>,
    /// Values in the order of the text: a container stands before what it holds.
    nodes: Vec<Node>,
    /// Keys, strings and numbers.
    text: String,
}

/// Where a row begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    node: usize,
    text: usize,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Its name in the object that holds it.
    key: Span,
    text: Span,
    /// The node behind it and all that it holds.
    next: usize,
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
    start: usize,
    end: usize,
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

    /// No rows yet, and room for as many as another batch had.
    #[must_use]
    pub fn like(other: &Self) -> Self {
        Self {
            rows: Vec::with_capacity(other.rows.len()),
            nodes: Vec::with_capacity(other.nodes.len()),
            text: String::with_capacity(other.text.len()),
        }
    }

    /// Reads a text of one value, and adds it when it is an object.
    ///
    /// # Errors
    /// When the text is not one JSON value; then nothing is added.
    pub fn read(&mut self, text: &[u8]) -> serde_json::Result<Met> {
        // text that is known to be UTF-8 is read faster
        match std::str::from_utf8(text) {
            Ok(text) => self.add(|rows| whole(serde_json::Deserializer::from_str(text), rows)),
            Err(_) => self.add(|rows| whole(serde_json::Deserializer::from_slice(text), rows)),
        }
    }

    /// Adds what is read when it is an object, and nothing otherwise.
    fn add<E>(&mut self, read: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<Met, E> {
        let start = Start {
            node: self.nodes.len(),
            text: self.text.len(),
        };
        let done = read(self);
        let object = |node: &Node| node.kind == Kind::Object;
        if done.is_ok() && self.nodes.get(start.node).is_some_and(object) {
            self.rows.push(start);
            return Ok(Met::Object);
        }
        self.nodes.truncate(start.node);
        self.text.truncate(start.text);
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

    /// All rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Json<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// A hash of the keys and values of a row.
    pub(crate) fn hash(&self, index: usize, seed: u64) -> u64 {
        let end = self.rows.get(index + 1).map_or(self.text.len(), |r| r.text);
        xxh3_64_with_seed(&self.text.as_bytes()[self.rows[index].text..end], seed)
    }

    fn write(&mut self, write: impl FnOnce(&mut String)) -> Span {
        let start = self.text.len();
        write(&mut self.text);
        Span {
            start,
            end: self.text.len(),
        }
    }

    fn leaf(&mut self, kind: Kind, key: Span, text: Span) {
        let next = self.nodes.len() + 1;
        self.nodes.push(Node {
            kind,
            key,
            text,
            next,
        });
    }
}

/// Values that are objects become rows; others are left out.
impl FromIterator<Value> for JsonRows {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        let mut rows = Self::default();
        for value in values {
            let key = Span::default();
            // a value that is there can be read
            let _ = rows.add(|rows| Reader { rows, key }.deserialize(value));
        }
        rows
    }
}

fn whole<'de, R: serde_json::de::Read<'de>>(
    mut input: serde_json::Deserializer<R>,
    rows: &mut JsonRows,
) -> serde_json::Result<()> {
    let key = Span::default();
    Reader { rows, key }.deserialize(&mut input)?;
    input.end()
}

/// A value of a row.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a> {
    rows: &'a JsonRows,
    at: usize,
}

impl<'a> Json<'a> {
    fn node(self) -> &'a Node {
        &self.rows.nodes[self.at]
    }

    fn part(self, span: Span) -> &'a str {
        &self.rows.text[span.start..span.end]
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
        items.map(|item| (item.part(item.node().key), item))
    }

    /// The member of an object; of a name that occurs twice, the last.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        let object = self.node();
        let (mut at, mut found) = (self.at + 1, None);
        while object.kind == Kind::Object && at < object.next {
            let member = &self.rows.nodes[at];
            if self.part(member.key) == key {
                found = Some(at);
            }
            at = member.next;
        }
        let rows = self.rows;
        found.map(|at| Self { rows, at })
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

/// Reads one value into the buffers.
struct Reader<'r> {
    rows: &'r mut JsonRows,
    key: Span,
}

impl Reader<'_> {
    fn number(self, number: impl std::fmt::Display) {
        let text = self.rows.write(|text| {
            // writing to a string cannot fail
            let _ = write!(text, "{number}");
        });
        self.rows.leaf(Kind::Number, self.key, text);
    }

    fn leaf(self, kind: Kind) {
        self.rows.leaf(kind, self.key, Span::default());
    }

    /// A container: its node, and behind it those of all that `fill` reads.
    fn container<E>(
        self,
        kind: Kind,
        fill: impl FnOnce(&mut JsonRows) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = self.rows.nodes.len();
        self.rows.leaf(kind, self.key, Span::default());
        fill(self.rows)?;
        self.rows.nodes[at].next = self.rows.nodes.len();
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf(Kind::Null);
        Ok(())
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.leaf(if value { Kind::True } else { Kind::False });
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // JSON writes fractions in a way of its own
        self.number(Value::from(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let text = self.rows.write(|text| text.push_str(value));
        self.rows.leaf(Kind::String, self.key, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.container(Kind::Array, |rows| {
            let key = Span::default();
            while items.next_element_seed(Reader { rows, key })?.is_some() {}
            Ok(())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.container(Kind::Object, |rows| {
            while let Some(key) = members.next_key_seed(KeyReader(rows))? {
                members.next_value_seed(Reader { rows, key })?;
            }
            Ok(())
        })
    }
}

struct KeyReader<'r>(&'r mut JsonRows);

impl<'de> DeserializeSeed<'de> for KeyReader<'_> {
    type Value = Span;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Span, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyReader<'_> {
    type Value = Span;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Span, E> {
        Ok(self.0.write(|text| text.push_str(key)))
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
        let copied: JsonRows = rows.iter().map(Json::value).collect();
        assert_eq!(copied.row(1).to_string(), rows.row(1).to_string());
    }
}
