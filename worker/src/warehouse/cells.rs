//! Cells of record batches in the words of a warehouse.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use arrow::{
    array::{Array, AsArray as _, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// Writes a date as `2026-04-01`.
fn date(days: i32, out: &mut String) {
    let day = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days));
    let _ = write!(out, "{day}");
}

/// Writes an instant in UTC as `2026-04-01 09:30:00`, with six places when it has a fraction: such texts
/// sort like the instants.
fn instant(micros: i64, out: &mut String) {
    let Ok(at) = jiff::Timestamp::from_microsecond(micros) else {
        return;
    };
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let (date, time) = (at.date(), at.time());
    let _ = write!(
        out,
        "{date} {:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    );
    let fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        let _ = write!(out, ".{fraction:06}");
    }
}

/// Writes a decimal without loss: `-12.5`, `80`.
fn decimal(units: i128, scale: u32, out: &mut String) {
    let one = 10_i128.pow(scale);
    let (whole, fraction) = (units.abs() / one, units.abs() % one);
    let sign = if units < 0 { "-" } else { "" };
    let _ = write!(out, "{sign}{whole}");
    if fraction != 0 {
        let digits = format!("{fraction:0width$}", width = scale as usize);
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
}

fn places(scale: i8) -> u32 {
    u32::try_from(scale).unwrap_or(0)
}

/// Refuses a column whose type no warehouse knows.
pub(super) fn check(name: &str, kind: &DataType) -> Result<()> {
    match kind {
        DataType::Utf8
        | DataType::Int32
        | DataType::Int64
        | DataType::Boolean
        | DataType::Date32
        | DataType::Float64
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(()),
        DataType::Decimal128(_, scale) if (0..=18).contains(scale) => Ok(()),
        other => bail!("column {name}: type {other} cannot be loaded into a warehouse"),
    }
}

/// A cell for SQLite. A decimal becomes an INTEGER when it is whole and else a REAL that reads back as the
/// same decimal; one that no REAL can hold is refused.
pub(super) fn sqlite(column: &dyn Array, row: usize) -> Result<ToSqlOutput<'_>> {
    if column.is_null(row) {
        return Ok(ToSqlOutput::Owned(Value::Null));
    }
    let mut text = String::new();
    let value = match column.data_type() {
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            return Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())));
        }
        DataType::Int32 => Value::Integer(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Boolean => Value::Integer(column.as_boolean().value(row).into()),
        DataType::Float64 => Value::Real(column.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => {
            date(column.as_primitive::<Date32Type>().value(row), &mut text);
            Value::Text(text)
        }
        DataType::Timestamp(..) => {
            instant(
                column.as_primitive::<TimestampMicrosecondType>().value(row),
                &mut text,
            );
            Value::Text(text)
        }
        DataType::Decimal128(_, scale) => {
            let units = column.as_primitive::<Decimal128Type>().value(row);
            sqlite_decimal(units, places(*scale))?
        }
        other => bail!("type {other} cannot be loaded into SQLite"),
    };
    Ok(ToSqlOutput::Owned(value))
}

fn sqlite_decimal(units: i128, scale: u32) -> Result<Value> {
    let one = 10_i128.pow(scale);
    if units % one == 0
        && let Ok(whole) = i64::try_from(units / one)
    {
        return Ok(Value::Integer(whole));
    }
    if units.unsigned_abs() >= 1 << 53 {
        bail!(
            "a decimal of more than 15 digits with a fraction has no exact place in SQLite; use PostgreSQL"
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 both are exact")]
    Ok(Value::Real(units as f64 / one as f64))
}

/// Writes a row in PostgreSQL's COPY text format, without the line's end. Key columns of text are never
/// null: what is absent is empty.
pub(super) fn copy_row(batch: &RecordBatch, keys: &[bool], row: usize, out: &mut String) {
    for (at, column) in batch.columns().iter().enumerate() {
        if at > 0 {
            out.push('\t');
        }
        if column.is_null(row) {
            if !(keys[at] && *column.data_type() == DataType::Utf8) {
                out.push_str("\\N");
            }
            continue;
        }
        match column.data_type() {
            DataType::Utf8 => escape(column.as_string::<i32>().value(row), out),
            DataType::Int32 => {
                let _ = write!(out, "{}", column.as_primitive::<Int32Type>().value(row));
            }
            DataType::Int64 => {
                let _ = write!(out, "{}", column.as_primitive::<Int64Type>().value(row));
            }
            DataType::Boolean => out.push(if column.as_boolean().value(row) {
                't'
            } else {
                'f'
            }),
            DataType::Float64 => {
                let _ = write!(out, "{}", column.as_primitive::<Float64Type>().value(row));
            }
            DataType::Date32 => date(column.as_primitive::<Date32Type>().value(row), out),
            DataType::Timestamp(..) => {
                instant(
                    column.as_primitive::<TimestampMicrosecondType>().value(row),
                    out,
                );
                out.push_str("+00");
            }
            DataType::Decimal128(_, scale) => {
                let units = column.as_primitive::<Decimal128Type>().value(row);
                decimal(units, places(*scale), out);
            }
            _ => out.push_str("\\N"),
        }
    }
}

/// PostgreSQL's text cannot hold NUL; it is left out.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_lose_nothing() {
        let cases = [
            (0, "0"),
            (800_000, "80"),
            (-125_000, "-12.5"),
            (-1, "-0.0001"),
            (999_999_999_999_999_999, "99999999999999.9999"),
        ];
        for (units, text) in cases {
            let mut out = String::new();
            decimal(units, 4, &mut out);
            assert_eq!(out, text);
        }
        assert_eq!(sqlite_decimal(800_000, 4).ok(), Some(Value::Integer(80)));
        assert_eq!(sqlite_decimal(-125_000, 4).ok(), Some(Value::Real(-12.5)));
        assert!(sqlite_decimal(999_999_999_999_999_999, 4).is_err());
    }

    #[test]
    fn instants_sort_as_text() {
        let mut texts = Vec::new();
        for micros in [-1, 0, 1, 999_999, 1_000_000, 1_500_000] {
            let mut out = String::new();
            instant(micros, &mut out);
            texts.push(out);
        }
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[0], "1969-12-31 23:59:59.999999");
        assert_eq!(texts[1], "1970-01-01 00:00:00");
    }

    #[test]
    fn text_is_escaped_for_copy() {
        let mut out = String::new();
        escape("a\\b\tc\nd\0", &mut out);
        assert_eq!(out, "a\\\\b\\tc\\nd");
    }
}
