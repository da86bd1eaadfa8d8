//! What memory a run needs at least, said before it begins.

use anyhow::{Result, ensure};

use super::{clock::bytes, table::Table};
use crate::report::count;

/// The program itself once it has looked at a sample: 44 MB, measured.
const BASE: u64 = 44_000_000;

/// What every record takes whatever it says, in bytes: its codes (80), its id and source (22), and while it is put together
/// its copy, its place among links and its customer and household (28). Its values and links come on top.
const RECORD: u64 = 130;

/// Sees that there is room for the records, as far as their number shows beforehand. `given` says whether somebody
/// set the memory.
///
/// # Errors
/// When there is not, with what is needed and the way out.
pub(super) fn ensure_enough(tables: &[Table], memory: u64, given: bool) -> Result<()> {
    let rows: u64 = tables.iter().filter_map(|table| table.rows).sum();
    let least = least(rows);
    let (allowed, more) = match given {
        true => ("--memory allows", "Allow more"),
        false => ("free are", "Use a machine with more"),
    };
    ensure!(
        least <= memory,
        "about {} rows need {} of memory at least, and {allowed} {}. {more}, or split the files by a column that one \
         person has one value of, such as the country",
        count(rows),
        bytes(least),
        bytes(memory)
    );
    Ok(())
}

/// What so many records need at least.
fn least(records: u64) -> u64 {
    BASE + RECORD * records
}
