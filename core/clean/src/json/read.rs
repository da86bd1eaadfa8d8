//! From JSON text, or a tree, into the buffers of [`JsonRows`].

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{JsonRows, Kind, Name, Node, Span, position};

/// Reads one value into the buffers.
pub(super) struct Reader<'r> {
    rows: &'r mut JsonRows,
    name: Name,
}

impl<'r> Reader<'r> {
    /// Reads a value that has no name.
    pub(super) fn new(rows: &'r mut JsonRows) -> Self {
        let name = Name::NONE;
        Self { rows, name }
    }

    fn leaf<E: Error>(self, kind: Kind, text: &str) -> Result<(), E> {
        let start = position(self.rows.text.len())?;
        self.rows.text.push_str(text);
        let text = Span {
            start,
            end: position(self.rows.text.len())?,
        };
        let next = position(self.rows.nodes.len() + 1)?;
        self.rows.nodes.push(Node {
            kind,
            name: self.name,
            text,
            next,
        });
        Ok(())
    }

    /// A container: its node, and behind it those of all that `fill` reads.
    fn container<E: Error>(
        self,
        kind: Kind,
        fill: impl FnOnce(&mut JsonRows) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { rows, name } = self;
        let at = rows.nodes.len();
        Reader { rows, name }.leaf(kind, "")?;
        fill(rows)?;
        rows.nodes[at].next = position(rows.nodes.len())?;
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
        self.leaf(Kind::Null, "")
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.leaf(if value { Kind::True } else { Kind::False }, "")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.leaf(Kind::Number, itoa::Buffer::new().format(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.leaf(Kind::Number, itoa::Buffer::new().format(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // JSON writes fractions in a way of its own
        self.leaf(Kind::Number, &Value::from(value).to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.leaf(Kind::String, value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.container(Kind::Array, |rows| {
            while items.next_element_seed(Reader::new(rows))?.is_some() {}
            Ok(())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.container(Kind::Object, |rows| {
            let mut met: u128 = 0;
            while let Some(name) = members.next_key_seed(NameReader(rows))? {
                rows.twice |= met & name.bit() != 0;
                met |= name.bit();
                members.next_value_seed(Reader { rows, name })?;
            }
            Ok(())
        })
    }
}

struct NameReader<'r>(&'r mut JsonRows);

impl<'de> DeserializeSeed<'de> for NameReader<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Name, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameReader<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Name, E> {
        Ok(self.0.names.meet(key))
    }
}
