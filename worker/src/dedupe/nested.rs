//! Columns within columns, of Parquet: the members of structs are columns of their own (`address.street`), of a list its
//! first value is taken; lists of more, and maps, are not read.

use std::sync::Arc;

use anyhow::Result;
use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use musubi_clean::json::{Json, JsonRows};

/// A column of values without parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    path: Vec<String>,
    take: Take,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Take {
    Value,
    First,
    Nothing,
}

impl Leaf {
    /// Whether it holds what is not read.
    pub(super) fn is_unread(&self) -> bool {
        self.take == Take::Nothing
    }
}

/// The columns of a schema whose columns have parts; nothing when none has.
pub(super) fn leaves(schema: &Schema) -> Option<Vec<Leaf>> {
    let nested = schema.fields().iter().any(|f| f.data_type().is_nested());
    let mut out = Vec::new();
    for field in schema.fields() {
        add(field, &[], &mut out);
    }
    nested.then_some(out)
}

fn add(field: &Field, within: &[String], out: &mut Vec<Leaf>) {
    let path = [within, &[field.name().clone()]].concat();
    let take = match field.data_type() {
        DataType::Struct(fields) => {
            return fields.iter().for_each(|field| add(field, &path, out));
        }
        DataType::List(of) | DataType::LargeList(of) if !of.data_type().is_nested() => Take::First,
        kind if kind.is_nested() => Take::Nothing,
        _ => Take::Value,
    };
    out.push(Leaf { path, take });
}

/// Rows as columns of text.
pub(super) fn columns(leaves: &[Leaf], rows: &JsonRows) -> Result<RecordBatch> {
    let field = |leaf: &Leaf| Field::new(leaf.path.join("."), DataType::Utf8, true);
    let values = |leaf: &Leaf| {
        let texts = rows.iter().map(|row| text(leaf, row));
        Arc::new(texts.collect::<StringArray>()) as ArrayRef
    };
    let schema = Schema::new(leaves.iter().map(field).collect::<Vec<_>>());
    let columns = leaves.iter().map(values).collect();
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn text(leaf: &Leaf, row: Json<'_>) -> Option<String> {
    let mut path = leaf.path.iter();
    let value = path.try_fold(row, |value, name| value.get(name))?;
    let value = match leaf.take {
        Take::Value => value,
        Take::First => value.items().find(|value| !value.is_null())?,
        Take::Nothing => return None,
    };
    value.text().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use arrow::array::Array as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_columns_and_lists_give_their_first_value() {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let list = |of: Field| DataType::List(Arc::new(of));
        let pair = DataType::Struct(vec![text("first"), text("last")].into());
        let schema = Schema::new(vec![
            text("id"),
            Field::new("name", pair.clone(), true),
            Field::new("phones", list(text("item")), true),
            Field::new("orders", list(Field::new("item", pair, true)), true),
        ]);
        let leaves = leaves(&schema).unwrap_or_default();
        let unread: Vec<bool> = leaves.iter().map(Leaf::is_unread).collect();
        assert_eq!(unread, [false, false, false, false, true]);
        let rows = JsonRows::from_iter([
            json!({"id": "1", "name": {"first": "Ann", "last": "Day"}, "phones": [null, "03", "04"], "orders": [{"first": "x"}]}),
            json!({"id": "2", "name": null, "phones": null, "orders": null}),
        ]);
        let made = columns(&leaves, &rows).expect("columns");
        let names: Vec<&str> = made
            .schema_ref()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect();
        assert_eq!(names, ["id", "name.first", "name.last", "phones", "orders"]);
        let first = |at: usize| {
            let column = made.column(at).as_any().downcast_ref::<StringArray>();
            column
                .filter(|c| c.is_valid(0))
                .map_or("", |c| c.value(0))
                .to_owned()
        };
        assert_eq!([0, 1, 2, 3, 4].map(first), ["1", "Ann", "Day", "03", ""]);
        assert_eq!(made.column(1).null_count(), 1);
        assert_eq!(super::leaves(&Schema::new(vec![text("id")])), None);
    }
}
