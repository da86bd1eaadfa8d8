//! What comparisons look at before they look at letters, of one record in one place. Values of a pair are random places
//! in memory; a record of a block is compared with all others of it, so that what is gathered once serves many pairs.

use crate::features::{Features, Row, Shape, col, dict_of};

/// Columns whose shapes are of use.
const COLUMNS: [usize; 7] = [
    col::GIVEN,
    col::FAMILY,
    col::EMAIL,
    col::POSTAL,
    col::CITY,
    col::TOWN,
    col::BUILDING,
];

/// Shapes of a record's values.
#[derive(Clone)]
pub(crate) struct Glance {
    shapes: [Shape; COLUMNS.len()],
    /// Hash of what comes before the @.
    pub(super) email_name: u32,
}

impl Glance {
    pub(crate) fn of(f: &Features, row: &Row) -> Self {
        Self {
            shapes: COLUMNS.map(|c| f.dicts[dict_of(c)].shape[row[c] as usize]),
            email_name: f.dicts[col::EMAIL].derived[row[col::EMAIL] as usize],
        }
    }

    /// Of several records, as far as they have something in some columns. Column by column: values are random places in
    /// memory, and the processor waits for many at a time.
    pub(crate) fn of_all(f: &Features, rows: &[&Row], in_use: &[bool; col::WIDTH]) -> Vec<Self> {
        let mut glances = vec![Self::of(f, &Row::default()); rows.len()];
        for (place, c) in COLUMNS.into_iter().enumerate().filter(|(_, c)| in_use[*c]) {
            let shapes = &f.dicts[dict_of(c)].shape;
            for (glance, row) in glances.iter_mut().zip(rows) {
                glance.shapes[place] = shapes[row[c] as usize];
            }
        }
        if in_use[col::EMAIL] {
            let names = &f.dicts[col::EMAIL].derived;
            for (glance, row) in glances.iter_mut().zip(rows) {
                glance.email_name = names[row[col::EMAIL] as usize];
            }
        }
        glances
    }

    /// Shape of the value in one of its columns.
    pub(super) const fn shape(&self, column: usize) -> Shape {
        self.shapes[PLACES[column]]
    }
}

/// Where the shape of a column is.
const PLACES: [usize; col::WIDTH] = {
    let (mut places, mut at) = ([usize::MAX; col::WIDTH], 0);
    while at < COLUMNS.len() {
        places[COLUMNS[at]] = at;
        at += 1;
    }
    places
};

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;
    use crate::compare::{COMPARISONS, Comparing, Likely};
    use crate::features::mix;

    /// Values of each column that are equal, alike, pieces of each other, crossed, in other scripts, and strangers.
    const VALUES: [(&str, &[&str]); 13] = [
        (
            "given_name",
            &[
                "maria",
                "marai",
                "mariam",
                "smith",
                "花子",
                "華子",
                "ハナコ",
                "jo",
                "",
            ],
        ),
        (
            "family_name",
            &[
                "smith",
                "smyth",
                "maria",
                "佐藤",
                "サトウ",
                "smithers",
                "okonkwo",
                "",
            ],
        ),
        ("given_kana", &["ハナコ", "マリア", "", ""]),
        ("family_kana", &["サトウ", "スミス", "", ""]),
        (
            "email",
            &[
                "m.smith@a.example",
                "m.smith@b.example",
                "m.smyth@a.example",
                "zoe@c.example",
                "",
            ],
        ),
        (
            "postal_code",
            &["1500001", "1500010", "1500002", "9876543", ""],
        ),
        ("prefecture", &["tokyo", "osaka", ""]),
        ("city", &["shibuya", "shibuyaku", "kita", ""]),
        ("town", &["jingumae", "jinguame", "umeda", "tower", ""]),
        ("block", &["1-2-3", "4-5", ""]),
        (
            "building",
            &["tower", "towers", "heights", "jingumae", "", ""],
        ),
        (
            "phone",
            &["0312345678", "0312345679", "09011112222", "", ""],
        ),
        (
            "birth_date",
            &["1980-01-02", "1980-02-01", "1999-12-31", ""],
        ),
    ];

    /// Records of such values.
    pub(crate) fn features(records: u64) -> Features {
        let column = |at: usize| -> ArrayRef {
            let values = VALUES[at].1;
            let drawn = |n: u64| values[(mix(n << 8 | at as u64) % values.len() as u64) as usize];
            let values = (0..records).map(|n| Some(drawn(n)));
            Arc::new(values.collect::<StringArray>())
        };
        let text = |of: &dyn Fn(u64) -> String| -> ArrayRef {
            Arc::new((0..records).map(|n| Some(of(n))).collect::<StringArray>())
        };
        let shared = [
            ("record_id", text(&|n| format!("{n:032x}"))),
            ("source", text(&|_| "a".to_owned())),
        ];
        let columns = VALUES.iter().enumerate();
        let columns = columns.map(|(at, (name, _))| (*name, column(at)));
        let batch = RecordBatch::try_from_iter(shared.into_iter().chain(columns));
        Features::build(&[batch.expect("a batch")]).expect("features")
    }

    #[test]
    fn what_is_known_at_a_glance_is_what_letters_say() {
        let features = features(400);
        let glances: Vec<Glance> = features
            .rows
            .iter()
            .map(|row| Glance::of(&features, row))
            .collect();
        let (mut known, mut open) = ([0; COMPARISONS], 0);
        for (a, of_a) in features.rows.iter().zip(&glances) {
            for (b, of_b) in features.rows.iter().zip(&glances) {
                let levels = Comparing::new(&features, a, b).levels();
                let mut glanced = Comparing::at_a_glance(&features, [a, b], Some([of_a, of_b]));
                for (c, level) in levels.iter().enumerate() {
                    let without = Comparing::new(&features, a, b).likely(c);
                    match glanced.likely(c) {
                        Likely::Level(at) => {
                            known[c] += u32::from(without != Likely::Level(at));
                            assert_eq!(at, *level, "comparison {c}");
                        }
                        Likely::From(at) => {
                            open += 1;
                            assert!(*level == 0 || *level >= at, "comparison {c}: {level}");
                        }
                    }
                }
                assert_eq!(glanced.levels(), levels);
            }
        }
        // Names, e-mails and addresses are told apart without their letters; others stay open.
        use crate::compare::{AREA, BUILDING, EMAIL, FAMILY, GIVEN, STREET};
        for c in [GIVEN, FAMILY, EMAIL, AREA, STREET, BUILDING] {
            assert!(known[c] > 100, "comparison {c}: {}", known[c]);
        }
        assert!(open > 1000, "{open}");
    }
}
