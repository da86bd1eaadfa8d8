//! MinHash over the letters of names and addresses, for records of one person that agree in no value as a whole.
//!
//! A record's grams are the pairs of neighbouring letters in its names and in its address. One permutation of all grams
//! is cut into bins, and a bin holds the smallest gram of the record that falls into it (one permutation hashing: Li,
//! Owen and Zhang 2012); an empty bin borrows that of the next one that is not (Shrivastava and Li 2014). Two records
//! have the same in a bin about as often as their sets overlap (Broder 1997). Some bins together are a band, and each
//! band is a key: records that overlap much share one (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4).

use crate::features::{Features, Row, col, dict_of, mix, short};

/// Keys of a record.
pub(super) const BANDS: usize = 4;
/// Bins of a key.
const WIDTH: usize = 6;
const BINS: usize = BANDS * WIDTH;
/// Grams that a record must have: of fewer, too many records have the same.
const FEWEST: usize = 8;

/// Columns whose letters count, with a mark of the kind of text: a name is no street.
const COLUMNS: [(usize, u64); 6] = [
    (col::GIVEN, 1),
    (col::FAMILY, 1),
    (col::TOWN, 2),
    (col::BUILDING, 2),
    (col::CITY, 2),
    (col::BLOCK, 3),
];

/// All columns that may be read.
pub(super) const COLUMNS_READ: [usize; 8] = [
    col::GIVEN,
    col::FAMILY,
    col::GIVEN_READING,
    col::FAMILY_READING,
    col::TOWN,
    col::BUILDING,
    col::CITY,
    col::BLOCK,
];

/// The texts of a record whose letters count, with their marks.
pub(super) struct Texts<'f>([(&'f str, u64); COLUMNS.len()]);

impl<'f> Texts<'f> {
    pub(super) fn of(f: &'f Features, row: &Row) -> Self {
        Self(COLUMNS.map(|(column, kind)| {
            let column = as_read(row, column);
            let text = &f.dicts[dict_of(column)].values[row[column] as usize];
            (text, kind)
        }))
    }
}

/// The values of a record's bands, the same in every run; all are 0 when it has too few grams.
pub(super) fn bands(Texts(texts): &Texts<'_>) -> [u32; BANDS] {
    let mut bins = [u64::MAX; BINS];
    let mut grams = 0;
    for (text, kind) in texts {
        let mut before = 0;
        for letter in text.chars() {
            let gram = mix(kind << 42 | before << 21 | u64::from(letter));
            let bin = &mut bins[(((gram >> 32) * BINS as u64) >> 32) as usize];
            *bin = gram.min(*bin);
            before = u64::from(letter);
            grams += 1;
        }
    }
    if grams < FEWEST {
        return [0; BANDS];
    }
    let full = |bin: usize| bins[bin] != u64::MAX;
    let of_bin = |bin: usize| {
        let steps = (0..BINS).find(|steps| full((bin + steps) % BINS));
        let steps = steps.unwrap_or(0);
        // How far it was borrowed counts too: neighbours that borrow from one bin are not the same thing.
        bins[(bin + steps) % BINS] ^ (steps as u64) << 58
    };
    std::array::from_fn(|band| {
        let bins = band * WIDTH..(band + 1) * WIDTH;
        let value = bins.fold(band as u64 + 1, |value, bin| mix(value ^ of_bin(bin)));
        short(value)
    })
}

/// The column of how a name is read, where that is known, or else the column itself.
fn as_read(row: &Row, column: usize) -> usize {
    match column {
        col::GIVEN if row[col::GIVEN_READING] != 0 => col::GIVEN_READING,
        col::FAMILY if row[col::FAMILY_READING] != 0 => col::FAMILY_READING,
        column => column,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use std::sync::Arc;

    use super::*;

    /// Bands of records with given name, family name, town and city.
    fn of(records: &[[String; 4]]) -> Vec<[u32; BANDS]> {
        let column = |value: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new(
                (0..records.len())
                    .map(|n| Some(value(n)))
                    .collect::<StringArray>(),
            )
        };
        let field = |at: usize| column(&|n| records[n][at].clone());
        let batch = RecordBatch::try_from_iter([
            ("record_id", column(&|n| format!("{n:032x}"))),
            ("source", column(&|_| "a".to_owned())),
            ("given_name", field(0)),
            ("family_name", field(1)),
            ("town", field(2)),
            ("city", field(3)),
        ]);
        let features = Features::build(&[batch.expect("a batch")]).expect("features");
        let rows = features.rows.iter();
        rows.map(|row| bands(&Texts::of(&features, row))).collect()
    }

    fn meet(a: &[u32; BANDS], b: &[u32; BANDS]) -> bool {
        a.iter().zip(b).any(|(a, b)| *a != 0 && a == b)
    }

    /// People whose names and addresses have nothing to do with each other.
    fn people(n: u64) -> Vec<[String; 4]> {
        let word = |person: u64, field: u64, letters: u64| -> String {
            let letter = |at| char::from(b'a' + (mix(person << 16 | field << 8 | at) % 26) as u8);
            (0..letters).map(letter).collect()
        };
        let person = |p| [(1, 6), (2, 8), (3, 14), (4, 9)].map(|(f, letters)| word(p, f, letters));
        (0..n).map(person).collect()
    }

    #[test]
    fn records_that_differ_in_every_field_by_a_letter_meet_and_others_do_not() {
        let people = people(400);
        let slipped = |person: &[String; 4], fields: usize| {
            let mut slipped = person.clone();
            for field in &mut slipped[..fields] {
                field.replace_range(2..3, "_");
            }
            slipped
        };
        let share = |fields: usize| {
            let others: Vec<_> = people.iter().map(|p| slipped(p, fields)).collect();
            let (own, others) = (of(&people), of(&others));
            own.iter().zip(&others).filter(|(a, b)| meet(a, b)).count() * 100 / own.len()
        };
        // Of 33 letters, two slips change four pairs: sets overlap by 31 of 39, three quarters.
        let (none, two, all) = (share(0), share(2), share(4));
        assert!(
            none == 100 && two >= 40 && all >= 10,
            "{none} {two} {all} %"
        );
        let bands = of(&people);
        let strangers = (1..bands.len()).filter(|n| meet(&bands[n - 1], &bands[*n]));
        assert_eq!(strangers.count(), 0);
    }

    #[test]
    fn order_of_names_and_short_records_have_no_say() {
        let records = [
            ["katherine", "lindqvist", "", ""],
            ["lindqvist", "katherine", "", ""],
            ["li", "wu", "", ""],
        ];
        let bands = of(&records.map(|r| r.map(str::to_owned)));
        assert_eq!(bands[0], bands[1]);
        assert_eq!(bands[2], [0; BANDS]);
    }
}
