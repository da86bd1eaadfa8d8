//! Real Japanese addresses against the parts that a person found in them.

use std::path::PathBuf;

use musubi_clean::{
    address::{self, Address},
    text,
};

/// Shares reached; raise them with the normaliser.
const PLACE_FLOOR: f64 = 0.97;
const WHOLE_FLOOR: f64 = 0.95;

/// One line of the file, columns 住所, 都道府県, 市区町村, 町字, 番地号, その他.
struct Expected {
    address: String,
    place: [String; 3],
    rest: String,
}

fn expected() -> Option<Vec<Expected>> {
    let shared = std::env::var_os("MUSUBI_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join("data/japan/addresses.csv");
    let Ok(mut reader) = csv::Reader::from_path(&path) else {
        eprintln!("not run: the addresses are not at MUSUBI_SHARED/data/japan/addresses.csv");
        return None;
    };
    let rows = reader.records().map(|row| {
        let row = row.expect("the file is CSV");
        Expected {
            address: row[0].to_owned(),
            place: [row[1].to_owned(), row[2].to_owned(), row[3].to_owned()],
            rest: joined(&row[4], &row[5]),
        }
    });
    Some(rows.collect())
}

/// Number and rest together; where one ends and the other begins is a matter of taste.
fn joined(number: &str, rest: &str) -> String {
    let number = number.trim_end_matches('-');
    let link = if !number.is_empty() && rest.starts_with(|c: char| c.is_ascii_digit()) {
        "-"
    } else {
        ""
    };
    text::fold(&format!("{number}{link}{rest}")).replace(' ', "")
}

fn place(found: &Address) -> [String; 3] {
    [
        found.prefecture.clone(),
        found.city.clone(),
        found.town.clone(),
    ]
}

#[test]
fn real_addresses_are_split_as_a_person_splits_them() {
    let Some(rows) = expected() else { return };
    let (mut places, mut wholes, mut sections) = (0, 0, 0);
    for row in &rows {
        let found = address::normalise(&row.address, "JP")
            .value
            .unwrap_or_default();
        let rest = joined(&found.block, &found.building);
        let right = place(&found) == row.place;
        let mut bare = row.place.clone();
        bare[2] = bare[2]
            .trim_start_matches("大字")
            .trim_start_matches('字')
            .to_owned();
        places += usize::from(right);
        sections += usize::from(place(&found) == bare);
        wholes += usize::from(right && rest == row.rest);
        if !right || rest != row.rest {
            println!(
                "{} -> {} | {rest}; expected {} | {}",
                row.address,
                place(&found).join(" "),
                row.place.join(" "),
                row.rest
            );
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of a small file")]
    let share = |count: usize| count as f64 / rows.len() as f64;
    println!(
        "{} addresses: prefecture, city and town {:.4} (大字 aside {:.4}); number and rest too {:.4}",
        rows.len(),
        share(places),
        share(sections),
        share(wholes),
    );
    assert!(
        share(places) >= PLACE_FLOOR,
        "prefecture, city and town: {:.4}",
        share(places)
    );
    assert!(share(wholes) >= WHOLE_FLOOR, "whole: {:.4}", share(wholes));
}

#[test]
fn the_number_of_a_house_stands_where_its_country_puts_it() {
    for (address, want) in [
        (
            "12 High Street Apt 3, Springfield, IL 62704",
            ["12", "High Street", "Springfield", "62704"],
        ),
        ("Hauptstrasse 5, Ulm", ["5", "Hauptstrasse", "Ulm", ""]),
        ("63, rue Jean Jaurès", ["63", "rue Jean Jaurès", "", ""]),
        (
            "12 bis, rue Pasteur, 34500 Béziers",
            ["12 bis", "rue Pasteur", "Béziers", "34500"],
        ),
        (
            "Calle Mayor, 12, Madrid",
            ["12", "Calle Mayor", "Madrid", ""],
        ),
        (
            "Calle Mayor 12, 28013 Madrid",
            ["12", "Calle Mayor", "Madrid", "28013"],
        ),
        ("7", ["", "7", "", ""]),
    ] {
        let found = address::normalise(address, "zz").value.unwrap_or_default();
        let parts = [found.block, found.town, found.city, found.postal_code];
        assert_eq!(parts, want, "{address}");
    }
}
