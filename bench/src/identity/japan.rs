//! A seeded generator of the customers of a Japanese retailer: the people of the demo world, with their
//! households, marriages and moves, as five systems got to know them, each in notations of its own.

use jiff::civil::Date;
use musubi::demo::{
    person::{Person, rng},
    spell::{self, Contact},
};
use rand::Rng;

use super::Row;

/// Columns as the systems export them.
pub(crate) const COLUMNS: [&str; 9] = [
    "member", "name", "kana", "birth", "gender", "phone", "mail", "zip", "address",
];

const START: Date = Date::constant(2026, 1, 1);

/// Calls `take` for every record of as many people as it takes, with its person and household.
pub(crate) fn each(seed: u64, records: u64, mut take: impl FnMut(u32, u32, Row)) {
    let mut left = records;
    for id in 0.. {
        let person = Person::of(seed, id, START);
        let mut systems: Vec<(u64, u64)> = Vec::new();
        systems.extend((0..u64::from(person.cards)).map(|copy| (0, copy)));
        systems.extend((0..u64::from(person.accounts)).map(|copy| (1, copy)));
        systems.extend(person.app.then_some((2, 0)));
        systems.extend(person.crm.then_some((3, 0)));
        let mut r = rng(seed, 9, id, 0);
        systems.extend(r.random_bool(0.2).then_some((4, 0)));
        for (system, copy) in systems {
            if left == 0 {
                return;
            }
            left -= 1;
            let row = record(&person, seed, system, copy);
            take(person.id as u32, person.household as u32, row);
        }
    }
}

/// Records of so many people, evenly chosen among the first ones, as a further delivery service wrote them down.
pub(crate) fn some(seed: u64, people: u64, count: u64) -> Vec<Row> {
    let step = (people / count.max(1)).max(1);
    let ids = (0..count).map(|n| n * step % people.max(1));
    ids.map(|id| record(&Person::of(seed, id, START), seed, 4, 7))
        .collect()
}

/// What a system knows of a person: the loyalty programme, the web shop, the app, the CRM, the delivery service.
fn record(person: &Person, seed: u64, system: u64, copy: u64) -> Row {
    let mut r = rng(seed, 50 + system, person.id, copy);
    let contact = Contact::of(person, seed, system, copy, false);
    let name = contact.full_name(person.latin, &mut r);
    let kana = format!("{} {}", contact.kana.0, contact.kana.1);
    let iso = person.birth.to_string();
    let address = spell::address(&contact.place, &mut r);
    let gender = if person.female { "女性" } else { "男性" };
    let some = |value: &str| Some(value.to_owned());
    let mut row: Row = vec![None; COLUMNS.len()];
    let mut set = |column: usize, value: Option<String>| row[column] = value;
    match system {
        0 => {
            set(1, Some(name));
            set(
                2,
                Some(if r.random_bool(0.3) {
                    spell::half_kana(&kana)
                } else {
                    kana
                }),
            );
            set(
                3,
                r.random_bool(0.9)
                    .then(|| spell::wareki(person.birth, &mut r)),
            );
            set(4, some(gender));
            set(5, r.random_bool(0.9).then(|| contact.phone.clone()));
            set(6, r.random_bool(0.4).then(|| contact.email.clone()));
            set(7, Some(contact.postal.clone()));
            set(8, Some(address));
        }
        1 => {
            set(1, Some(name));
            set(2, r.random_bool(0.6).then(|| spell::hiragana(&kana)));
            set(3, r.random_bool(0.3).then_some(iso));
            set(5, Some(contact.phone.clone()));
            set(6, Some(contact.email.clone()));
            set(7, Some(contact.postal.clone()));
            set(8, Some(address));
        }
        2 => {
            set(1, r.random_bool(0.5).then_some(name));
            set(3, r.random_bool(0.5).then_some(iso));
            set(5, r.random_bool(0.7).then(|| contact.phone.clone()));
            set(6, Some(contact.email.clone()));
        }
        3 => {
            set(1, Some(name));
            set(5, Some(contact.phone.clone()));
            set(6, r.random_bool(0.6).then(|| contact.email.clone()));
            set(8, r.random_bool(0.5).then_some(address));
        }
        _ => {
            set(1, Some(name));
            set(5, Some(contact.phone.clone()));
            set(8, Some(address));
        }
    }
    row
}
