//! YAML and JSON as a tree that remembers the line and column of every key and value.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value as Json};
use serde_saphyr::Spanned;

/// A value and where it starts.
#[derive(Clone, Default)]
pub struct Node {
    /// Where the value starts.
    pub place: Place,
    /// The value.
    pub value: Value,
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

/// A value.
#[derive(Clone, Default)]
#[allow(missing_docs)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// Keys with their places, in the order of the file.
    Map(Vec<(String, Place, Node)>),
}

/// Without the value: it may be a secret's.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}:{})", self.place.line, self.place.column)
    }
}

/// A file that is no YAML.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Where it was noticed.
    pub place: Place,
    /// What the parser says; no content of the file.
    pub message: String,
}

impl Node {
    /// Reads all documents of a text. Empty documents are left out.
    ///
    /// # Errors
    /// The first place that is no YAML.
    pub fn read(text: &str) -> Result<Vec<Self>, Broken> {
        // `y`, `no` and `on` are texts here: columns may be called so.
        let options = serde_saphyr::options! { strict_booleans: true };
        let nodes: Vec<Self> = serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| Broken::new(&error))?;
        Ok(nodes
            .into_iter()
            .filter(|n| !matches!(n.value, Value::Null))
            .collect())
    }

    /// Entry of a map.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, _, node)| node)
    }

    fn entry(&self, key: &str) -> Option<&(String, Place, Self)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _, _)| k == key),
            _ => None,
        }
    }

    /// Text of a text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Without places.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::Text(t) => Json::String(t.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, _, node)| (key.clone(), node.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// Where the field of a path (`spec.streams[0].name`) stands: its value when that is a scalar, else
    /// its key; for a field that is absent, the nearest thing around it.
    #[must_use]
    pub fn find(&self, path: &str) -> Place {
        let mut node = self;
        let mut place = self.place;
        for segment in segments(path) {
            let next = match &node.value {
                Value::List(items) => segment
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| items.get(i))
                    .map(|n| (n.place, n)),
                _ => node
                    .entry(segment)
                    .map(|(_, key, child)| match child.value {
                        Value::Map(_) | Value::List(_) | Value::Null => (*key, child),
                        _ => (child.place, child),
                    }),
            };
            let Some((found, child)) = next else { break };
            (place, node) = (found, child);
        }
        place
    }
}

/// Splits `a.b[0].c` and `a["b"]` into `a`, `b`, `0`, `c`.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']', '"'])
        .filter(|segment| !segment.is_empty())
}

impl Broken {
    fn new(error: &serde_saphyr::Error) -> Self {
        let place = error
            .location()
            .map_or_else(Place::default, |l| place(l.line(), l.column()));
        let text = error.without_snippet().to_string();
        let message = text.lines().next().unwrap_or_default();
        // The place is told beside the message, not in it.
        let message = message.split(" at line ").next().unwrap_or(message);
        let message = message
            .strip_prefix("line ")
            .and_then(|rest| rest.split_once(": "))
            .map_or(message, |(_, rest)| rest);
        let message = match message.strip_prefix("duplicate mapping key: ") {
            Some(rest) => {
                let key = rest.split(',').next().unwrap_or(rest);
                format!("`{key}` is given twice: remove one")
            }
            None => message.to_owned(),
        };
        Self { place, message }
    }
}

fn place(line: u64, column: u64) -> Place {
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        line: narrow(line),
        column: narrow(column),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self {
            place: place(spanned.referenced.line(), spanned.referenced.column()),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom("this number is too large: put it in quotes"))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom("this number is too large: put it in quotes"))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v)
            .map(Value::Number)
            .ok_or_else(|| E::custom("this number is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Place, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if entries.iter().any(|(known, _, _)| *known == key.value) {
                return Err(A::Error::custom(format!("`{}` is given twice", key.value)));
            }
            let at = place(key.referenced.line(), key.referenced.column());
            entries.push((key.value, at, map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = "# note\nkind: A\n---\nkind: B\nspec:\n  list:\n    - name: x\n      '1': two\n    - {}\n  empty:\n";
        let nodes = Node::read(text).expect("valid");
        assert_eq!(nodes.len(), 2);
        let at = |path: &str| {
            let place = nodes[1].find(path);
            (place.line, place.column)
        };
        assert_eq!(at("kind"), (4, 7));
        assert_eq!(at("spec"), (5, 1));
        assert_eq!(at("spec.list[0].name"), (7, 13));
        assert_eq!(at("spec.list[0].1"), (8, 12));
        assert_eq!(at("spec.list[1].absent"), (9, 7));
        assert_eq!(at("spec.empty"), (10, 3));
        assert_eq!(at("spec.absent"), (5, 1));
    }

    #[test]
    fn broken_files_say_where() {
        for (text, line, part) in [
            ("a: 1\nb: [1, 2\nc: 3\n", 3, ""),
            ("a: 1\na: 2\n", 2, "given twice"),
            ("a: b: c\n", 1, ""),
        ] {
            let broken = Node::read(text).expect_err(text);
            assert_eq!(broken.place.line, line, "{text}: {broken:?}");
            assert!(broken.message.contains(part), "{text}: {broken:?}");
            assert!(!broken.message.contains(" line "), "{broken:?}");
        }
    }
}
