//! Row counts and sums per numeric column: what files hold, compared with what a warehouse says.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, Schema},
};
use serde::{Deserialize, Serialize};

/// Rows and sums of a file or a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Rows.
    pub(super) rows: u64,
    /// Sum of each column of whole numbers or decimals, in units of its last place, as text.
    #[serde(with = "exact")]
    pub(super) exact: BTreeMap<String, i128>,
    /// Sum of each column of floating-point numbers.
    pub(super) float: BTreeMap<String, f64>,
}

/// An `i128` is written as text: JSON readers elsewhere lose digits.
mod exact {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<String, i128>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let text: BTreeMap<&str, String> = map
            .iter()
            .map(|(k, v)| (k.as_str(), v.to_string()))
            .collect();
        text.serialize(s)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        d: D,
    ) -> Result<BTreeMap<String, i128>, D::Error> {
        let text = BTreeMap::<String, String>::deserialize(d)?;
        text.into_iter()
            .map(|(k, v)| Ok((k, v.parse().map_err(D::Error::custom)?)))
            .collect()
    }
}

/// Places after the point of a column whose sum is exact; `None` for columns that have no exact sum.
pub(super) fn scale(kind: &DataType) -> Option<u32> {
    match kind {
        DataType::Int32 | DataType::Int64 => Some(0),
        DataType::Decimal128(_, scale) => u32::try_from(*scale).ok(),
        _ => None,
    }
}

impl Sums {
    /// Zero for every numeric column of a schema.
    pub(super) fn zero(schema: &Schema) -> Self {
        let mut sums = Self::default();
        for field in schema.fields() {
            if scale(field.data_type()).is_some() {
                sums.exact.insert(field.name().clone(), 0);
            } else if *field.data_type() == DataType::Float64 {
                sums.float.insert(field.name().clone(), 0.0);
            }
        }
        sums
    }

    /// Adds the rows of a batch.
    pub(super) fn count(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name();
            let exact: i128 = match column.data_type() {
                DataType::Int32 => column
                    .as_primitive::<Int32Type>()
                    .iter()
                    .flatten()
                    .map(i128::from)
                    .sum(),
                DataType::Int64 => column
                    .as_primitive::<Int64Type>()
                    .iter()
                    .flatten()
                    .map(i128::from)
                    .sum(),
                DataType::Decimal128(..) => column
                    .as_primitive::<Decimal128Type>()
                    .iter()
                    .flatten()
                    .sum(),
                DataType::Float64 => {
                    let sum: f64 = column.as_primitive::<Float64Type>().iter().flatten().sum();
                    *self.float.entry(name.clone()).or_default() += sum;
                    continue;
                }
                _ => continue,
            };
            *self.exact.entry(name.clone()).or_default() += exact;
        }
        debug_assert!(batch.columns().iter().all(|c| c.len() == batch.num_rows()));
    }

    /// Adds another file's.
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        for (name, sum) in &other.exact {
            *self.exact.entry(name.clone()).or_default() += sum;
        }
        for (name, sum) in &other.float {
            *self.float.entry(name.clone()).or_default() += sum;
        }
    }

    /// Compares what a warehouse says with what the files hold. Floating-point sums depend on the order of
    /// the rows and are compared to nine digits.
    ///
    /// # Errors
    /// When they differ, with table and column.
    pub(super) fn verify(&self, table: &str, warehouse: &Self) -> Result<()> {
        self.verify_rows(table, warehouse.rows)?;
        for (column, files) in &self.exact {
            let there = warehouse.exact.get(column).copied().unwrap_or_default();
            if *files != there {
                bail!(
                    "table {table}, column {column}: the sum differs between files and warehouse by {} \
                     (in units of its last place); nothing was changed. \
                     If somebody changed the table by hand, load with mode: full",
                    there - files
                );
            }
        }
        for (column, files) in &self.float {
            let there = warehouse.float.get(column).copied().unwrap_or_default();
            if (files - there).abs() > 1e-9 * files.abs().max(1.0) {
                bail!(
                    "table {table}, column {column}: the sum differs between files and warehouse; nothing was changed"
                );
            }
        }
        Ok(())
    }

    /// Compares the number of rows alone.
    ///
    /// # Errors
    /// When it differs.
    pub(super) fn verify_rows(&self, table: &str, rows: u64) -> Result<()> {
        if self.rows == rows {
            return Ok(());
        }
        bail!(
            "table {table}: the files hold {} rows and the warehouse {rows}; nothing was changed. \
             If somebody changed the table by hand, load with mode: full",
            self.rows
        )
    }
}

/// Reads an exact decimal, as a database writes it, in units of 10^-scale.
pub(super) fn parse_exact(text: &str, scale: u32) -> Result<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let places = scale as usize;
    let (kept, rest) = fraction.split_at(fraction.len().min(places));
    if rest.bytes().any(|b| b != b'0') {
        bail!("a sum has more than {scale} places");
    }
    format!("{whole}{kept:0<places$}")
        .parse()
        .context("a sum is not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_sums_are_read_in_units_of_the_last_place() {
        let cases = [
            ("0", 4, 0),
            ("12", 4, 120_000),
            ("-12.5", 4, -125_000),
            ("-0.0500", 4, -500),
            ("7", 0, 7),
        ];
        for (text, scale, units) in cases {
            assert_eq!(parse_exact(text, scale).ok(), Some(units), "{text}");
        }
        assert!(parse_exact("0.00001", 4).is_err());
        assert!(parse_exact("NaN", 4).is_err());
    }

    #[test]
    fn a_difference_names_table_and_column_and_the_way_out() {
        let files = Sums {
            rows: 2,
            exact: [("total".to_owned(), 1_000)].into(),
            ..Sums::default()
        };
        let there = Sums {
            rows: 2,
            exact: [("total".to_owned(), 1_001)].into(),
            ..Sums::default()
        };
        let message = files
            .verify("orders", &there)
            .map_or_else(|e| e.to_string(), |()| String::new());
        assert!(
            message.contains("table orders, column total") && message.contains("mode: full"),
            "{message}"
        );
        assert!(files.verify("orders", &files).is_ok());
    }

    #[test]
    fn sums_survive_being_written_down() -> Result<()> {
        let sums = Sums {
            rows: 1,
            exact: [("a".to_owned(), i128::MAX)].into(),
            float: [("b".to_owned(), 0.5)].into(),
        };
        assert_eq!(
            serde_json::from_str::<Sums>(&serde_json::to_string(&sums)?)?,
            sums
        );
        Ok(())
    }
}
