//! Clean rows of one entity, collected in columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder,
    RecordBatch, StringArray, StringBuilder, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use musubi_api::entity::{Entity, Kind};
use xxhash_rust::xxh3::xxh3_64;

use crate::mapping::{Cell, CompiledEntity, Slot};
use crate::problem::Problem;
use crate::record_id::RecordId;
use crate::schema::{PRECISION, SCALE, clean_schema};

/// The system columns of one row.
#[derive(Clone, Copy)]
pub(crate) struct System {
    pub(crate) record_id: RecordId,
    pub(crate) row: u64,
    pub(crate) ordinal: i32,
    pub(crate) version: Option<i64>,
    pub(crate) deleted: bool,
    pub(crate) customer: Option<RecordId>,
}

pub(crate) struct Columns {
    entity: Entity,
    record_ids: StringBuilder,
    locators: StringBuilder,
    rows: Int64Builder,
    ordinals: Int32Builder,
    versions: Int64Builder,
    deleted: BooleanBuilder,
    contents: Int64Builder,
    customers: StringBuilder,
    fields: Vec<FieldColumn>,
    length: usize,
    /// Rows that there is room for.
    expected: usize,
    /// What a row says, put together.
    said: Vec<u8>,
}

/// A field's column, made when the first value arrives: most mappings leave most fields empty.
struct FieldColumn {
    kind: Kind,
    values: Option<Values>,
    companions: Option<(StringBuilder, BooleanBuilder)>,
}

enum Values {
    Text(StringBuilder),
    Date(Date32Builder),
    Micros(TimestampMicrosecondBuilder),
    Decimal(Decimal128Builder),
    Integer(Int64Builder),
    Flag(BooleanBuilder),
}

impl Columns {
    /// No rows yet, and room for so many.
    pub(crate) fn new(entity: &CompiledEntity, rows: usize) -> Self {
        let entity = entity.entity;
        let fields = entity
            .fields()
            .iter()
            .map(|f| FieldColumn {
                kind: f.kind,
                values: None,
                companions: None,
            })
            .collect();
        Self {
            entity,
            record_ids: texts(rows, RecordId::LENGTH),
            locators: texts(rows, 24),
            rows: Int64Builder::with_capacity(rows),
            ordinals: Int32Builder::with_capacity(rows),
            versions: Int64Builder::with_capacity(rows),
            deleted: BooleanBuilder::with_capacity(rows),
            contents: Int64Builder::with_capacity(rows),
            customers: texts(
                if entity.has_customer() { rows } else { 0 },
                RecordId::LENGTH,
            ),
            fields,
            length: 0,
            expected: rows,
            said: Vec::new(),
        }
    }

    pub(crate) const fn entity(&self) -> Entity {
        self.entity
    }

    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds a row; `locator` in its text form.
    pub(crate) fn push(&mut self, system: &System, locator: &str, slots: &[Slot<'_>]) {
        self.contents
            .append_value(content(system, slots, &mut self.said));
        self.record_ids.append_value(system.record_id.as_str());
        self.locators.append_value(locator);
        self.rows
            .append_value(i64::try_from(system.row).unwrap_or(i64::MAX));
        self.ordinals.append_value(system.ordinal);
        self.versions.append_option(system.version);
        self.deleted.append_value(system.deleted);
        if self.entity.has_customer() {
            let customer = system.customer.as_ref().map(RecordId::as_str);
            self.customers.append_option(customer);
        }
        for (column, slot) in self.fields.iter_mut().zip(slots) {
            column.push(*slot, self.length, self.expected);
        }
        self.length += 1;
    }

    pub(crate) fn finish(
        mut self,
        source: &str,
        stream: &str,
        raw: &str,
    ) -> Result<RecordBatch, Problem> {
        let length = self.length;
        let constant = |text: &str| -> ArrayRef {
            let ends = OffsetBuffer::from_repeated_length(text.len(), length);
            Arc::new(StringArray::new(
                ends,
                text.repeat(length).into_bytes().into(),
                None,
            ))
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.record_ids.finish()),
            constant(source),
            constant(stream),
            constant(raw),
            Arc::new(self.locators.finish()),
            Arc::new(self.rows.finish()),
            Arc::new(self.ordinals.finish()),
            Arc::new(self.versions.finish()),
            Arc::new(self.deleted.finish()),
            Arc::new(self.contents.finish()),
        ];
        if self.entity.has_customer() {
            columns.push(Arc::new(self.customers.finish()));
        }
        let mut nulls = Nulls::new(length);
        for field in self.fields {
            field.finish(&mut nulls, &mut columns);
        }
        RecordBatch::try_new(clean_schema(self.entity), columns).map_err(|error| Problem::Arrow {
            what: format!("clean rows of {}", self.entity.as_str()),
            message: error.to_string(),
        })
    }
}

/// A hash of what a row says, whatever file it stands in: equal for a row that was sent again unchanged.
fn content(system: &System, slots: &[Slot<'_>], said: &mut Vec<u8>) -> i64 {
    said.clear();
    said.push(u8::from(system.deleted));
    if let Some(customer) = &system.customer {
        said.extend_from_slice(customer.as_bytes());
    }
    for (at, slot) in slots.iter().enumerate() {
        if slot.value == Cell::Null && slot.raw.is_none() {
            continue;
        }
        said.extend_from_slice(&[0xff, u8::try_from(at).unwrap_or(u8::MAX)]);
        match slot.value {
            Cell::Null => {}
            Cell::Text(text) => said.extend_from_slice(text.as_bytes()),
            Cell::Int(number) => said.extend_from_slice(&number.to_le_bytes()),
            Cell::Decimal(units) => said.extend_from_slice(&i128::from(units).to_le_bytes()),
            Cell::Flag(flag) => said.push(u8::from(flag)),
        }
        said.push(0xfe);
        said.extend_from_slice(slot.raw.unwrap_or_default().as_bytes());
    }
    xxh3_64(said).cast_signed()
}

impl FieldColumn {
    /// `before` rows are there; there is to be room for `expected`.
    fn push(&mut self, slot: Slot<'_>, before: usize, expected: usize) {
        if slot.value != Cell::Null || self.values.is_some() {
            let kind = self.kind;
            self.values
                .get_or_insert_with(|| Values::new(kind, before, expected))
                .push(slot.value);
        }
        if !self.kind.keeps_raw() {
            return;
        }
        if slot.raw.is_some() || slot.valid.is_some() || self.companions.is_some() {
            let (raws, valids) = self.companions.get_or_insert_with(|| {
                let mut raws = texts(expected, 16);
                let mut valids = BooleanBuilder::with_capacity(expected);
                raws.append_nulls(before);
                valids.append_nulls(before);
                (raws, valids)
            });
            raws.append_option(slot.raw);
            valids.append_option(slot.valid);
        }
    }

    fn finish(self, nulls: &mut Nulls, columns: &mut Vec<ArrayRef>) {
        columns.push(match self.values {
            Some(values) => values.finish(),
            None => nulls.of(&crate::schema::data_type(self.kind)),
        });
        if !self.kind.keeps_raw() {
            return;
        }
        match self.companions {
            Some((mut raws, mut valids)) => {
                columns.push(Arc::new(raws.finish()));
                columns.push(Arc::new(valids.finish()));
            }
            None => {
                columns.push(nulls.of(&DataType::Utf8));
                columns.push(nulls.of(&DataType::Boolean));
            }
        }
    }
}

/// Columns without a value, one for each type.
struct Nulls {
    length: usize,
    made: Vec<ArrayRef>,
}

impl Nulls {
    const fn new(length: usize) -> Self {
        let made = Vec::new();
        Self { length, made }
    }

    fn of(&mut self, data_type: &DataType) -> ArrayRef {
        let known = self.made.iter().find(|a| a.data_type() == data_type);
        known.cloned().unwrap_or_else(|| {
            let array = new_null_array(data_type, self.length);
            self.made.push(array.clone());
            array
        })
    }
}

/// Room for texts of about so many bytes.
fn texts(rows: usize, bytes: usize) -> StringBuilder {
    StringBuilder::with_capacity(rows, rows * bytes)
}

impl Values {
    /// So many nulls, and room for `expected` rows.
    fn new(kind: Kind, nulls: usize, expected: usize) -> Self {
        let mut values = match crate::schema::data_type(kind) {
            DataType::Date32 => Self::Date(Date32Builder::with_capacity(expected)),
            DataType::Timestamp(..) => Self::Micros(
                TimestampMicrosecondBuilder::with_capacity(expected).with_timezone("UTC"),
            ),
            DataType::Decimal128(..) => {
                let data_type = DataType::Decimal128(PRECISION, SCALE);
                Self::Decimal(Decimal128Builder::with_capacity(expected).with_data_type(data_type))
            }
            DataType::Int64 => Self::Integer(Int64Builder::with_capacity(expected)),
            DataType::Boolean => Self::Flag(BooleanBuilder::with_capacity(expected)),
            _ => Self::Text(texts(expected, 12)),
        };
        for _ in 0..nulls {
            values.push(Cell::Null);
        }
        values
    }

    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(b), Cell::Text(text)) => b.append_value(text),
            (Self::Text(b), _) => b.append_null(),
            (Self::Date(b), Cell::Int(days)) => b.append_option(i32::try_from(days).ok()),
            (Self::Date(b), _) => b.append_null(),
            (Self::Micros(b), Cell::Int(micros)) => b.append_value(micros),
            (Self::Micros(b), _) => b.append_null(),
            (Self::Decimal(b), Cell::Decimal(units)) => b.append_value(units.into()),
            (Self::Decimal(b), _) => b.append_null(),
            (Self::Integer(b), Cell::Int(number)) => b.append_value(number),
            (Self::Integer(b), _) => b.append_null(),
            (Self::Flag(b), Cell::Flag(flag)) => b.append_value(flag),
            (Self::Flag(b), _) => b.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut b) => Arc::new(b.finish()),
            Self::Date(mut b) => Arc::new(b.finish()),
            Self::Micros(mut b) => Arc::new(b.finish()),
            Self::Decimal(mut b) => Arc::new(b.finish()),
            Self::Integer(mut b) => Arc::new(b.finish()),
            Self::Flag(mut b) => Arc::new(b.finish()),
        }
    }
}
