//! Who is known to which system: cards, accounts, app users, contacts; opened before the first day or
//! during it, sometimes twice, sometimes corrected.

use std::io;

use jiff::{ToSpan, civil::Date};
use rand::Rng;
use serde_json::json;

use super::{Frame, Resident, START, day::Day};
use crate::demo::{
    person::{Person, mix, rng},
    places::CITIES,
    sink::Sink,
    spell::{self, Contact},
    truth::Truth,
};

/// Number of a card: 4-4-4 digits.
pub(crate) fn card(person: u64, copy: u64) -> String {
    // Multiplying by a number prime to the modulus scatters without collisions.
    let n = (person * 2 + copy + 1) * 7_368_787 % 9_999_999_967;
    format!(
        "29{:02}-{:04}-{:04}",
        n / 100_000_000,
        n / 10_000 % 10_000,
        n % 10_000
    )
}

/// Id of a web account.
pub(crate) fn account(person: u64, copy: u64) -> String {
    format!("C{:08}", person * 2 + copy)
}

/// Id of an app user.
pub(crate) fn app_user(person: u64) -> String {
    format!(
        "u-{:012x}",
        (person + 1).wrapping_mul(0x5851_f42d_4c95) & 0xffff_ffff_ffff
    )
}

/// Systems that register people.
#[derive(Clone, Copy, Debug)]
enum System {
    Loyalty = 1,
    Web = 2,
    App = 3,
    Crm = 4,
}

/// Day on which an account is opened (0: before the world starts), and the later day of a change.
fn opened(frame: &Frame<'_>, person: &Person, system: System, copy: u64) -> (u32, Option<u32>) {
    let draw = mix(frame.seed ^ mix(person.id ^ mix(1000 + 10 * system as u64 + copy)));
    let last = u64::from(frame.days.max(2) - 1);
    let day = if draw % 100 < 88 {
        0
    } else {
        1 + (draw >> 8) % last
    };
    let change = ((draw >> 40) % 100 < 4).then(|| day + 1 + (draw >> 48) % 5);
    (
        day as u32,
        change
            .filter(|c| *c < u64::from(frame.days))
            .map(|c| c as u32),
    )
}

/// Whether a card exists on a day.
pub(crate) fn has_card_on(frame: &Frame<'_>, person: &Person, copy: u64, day: u32) -> bool {
    copy < u64::from(person.cards) && opened(frame, person, System::Loyalty, copy).0 <= day
}

/// The newest web account on a day.
pub(crate) fn account_on(frame: &Frame<'_>, person: &Person, day: u32) -> Option<u64> {
    (0..u64::from(person.accounts))
        .rev()
        .find(|copy| opened(frame, person, System::Web, *copy).0 <= day)
}

/// Whether the person has the app on a day.
pub(crate) fn has_app_on(frame: &Frame<'_>, person: &Person, day: u32) -> bool {
    person.app && opened(frame, person, System::App, 0).0 <= day
}

/// Writes the accounts that are opened or changed on the day.
pub(crate) fn sign_up(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
) -> io::Result<()> {
    let person = &who.person;
    let number = day.number;
    let today = |system, copy| {
        let (first, change) = opened(frame, person, system, copy);
        (first == number, change == Some(number))
    };
    for copy in 0..u64::from(person.cards) {
        let (new, changed) = today(System::Loyalty, copy);
        if new || changed {
            let key = card(person.id, copy);
            member(
                frame,
                day.date,
                &mut day.files.members,
                person,
                copy,
                changed,
            )?;
            if new {
                truth.person("loyalty", "members", &key, person.id, person.household)?;
            }
        }
    }
    for copy in 0..u64::from(person.accounts) {
        let (new, changed) = today(System::Web, copy);
        if new || changed {
            web_customer(frame, day, person, copy, changed)?;
        }
        if new {
            let key = account(person.id, copy);
            truth.person("webshop", "customers", &key, person.id, person.household)?;
        }
    }
    if person.app {
        let (new, changed) = today(System::App, 0);
        if new || changed {
            user(frame, day, person, changed)?;
        }
        if new {
            device(frame, day, truth, person)?;
        }
    }
    if person.crm {
        let (new, changed) = today(System::Crm, 0);
        if new || changed {
            contact(frame, day, person, changed)?;
        }
        if new {
            let key = format!("K-{:07}", person.id);
            truth.person("crm", "contacts", &key, person.id, person.household)?;
        }
    }
    Ok(())
}

/// When a row was last changed: on the day, or some time before the world began.
fn touched(frame: &Frame<'_>, date: Date, person: &Person, system: u64) -> (Date, Date, u32) {
    let mut r = rng(frame.seed, 30 + system, person.id, 0);
    let ago: i64 = r.random_range(5..900);
    let opened = if date == START {
        date.saturating_sub(ago.days())
    } else {
        date
    };
    (opened, date, r.random_range(0..86_400))
}

fn member(
    frame: &Frame<'_>,
    date: Date,
    sink: &mut Sink,
    person: &Person,
    copy: u64,
    changed: bool,
) -> io::Result<()> {
    let contact = Contact::of(person, frame.seed, 1, copy, changed);
    let mut r = rng(frame.seed, 31, person.id, copy);
    let (opened, at, time) = touched(frame, date, person, copy);
    let name = contact.full_name(person.latin, &mut r);
    let kana = format!("{} {}", contact.kana.0, contact.kana.1);
    let kana = match r.random_range(0..10) {
        0..=6 => kana,
        7 => spell::half_kana(&kana),
        8 => spell::hiragana(&kana),
        _ => String::new(),
    };
    let gender = match (r.random_range(0..10), person.female) {
        (0, _) => "",
        (1..=6, true) => "女性",
        (_, true) => "女",
        (1..=6, false) => "男性",
        _ => "男",
    };
    let birth = if r.random_bool(0.85) {
        spell::wareki(person.birth, &mut r)
    } else {
        String::new()
    };
    let email = if r.random_bool(0.6) {
        contact.email.as_str()
    } else {
        ""
    };
    let phone = if r.random_bool(0.93) {
        contact.phone.as_str()
    } else {
        ""
    };
    let rank = ["ゴールド", "シルバー", "一般"]
        [(person.rate < 0.2) as usize + (person.rate < 0.06) as usize];
    let consent = ["希望する", "希望しない"][usize::from(r.random_bool(0.35))];
    sink.line(&format!(
        "{},{name},{kana},{gender},{birth},{phone},{email},{},\"{}\",{rank},{},{consent},{},{} {}",
        card(person.id, copy),
        contact.postal,
        spell::address(&contact.place, &mut r),
        r.random_range(0..3000),
        opened.strftime("%Y/%m/%d"),
        at.strftime("%Y/%m/%d"),
        super::day::clock(time),
    ))
}

fn web_customer(
    frame: &Frame<'_>,
    day: &mut Day,
    person: &Person,
    copy: u64,
    changed: bool,
) -> io::Result<()> {
    let contact = Contact::of(person, frame.seed, 2, copy, changed);
    let mut r = rng(frame.seed, 32, person.id, copy);
    let (opened, at, time) = touched(frame, day.date, person, 10 + copy);
    let place = &contact.place;
    let city = &CITIES[place.city];
    let line2 = place.room.map_or(String::new(), |(building, room)| {
        format!("{}{room}", crate::demo::person::BUILDINGS[building])
    });
    let member = (person.cards > 0 && r.random_bool(0.3)).then(|| card(person.id, 0));
    let stamp = format!("{at}T{}+09:00", super::day::clock(time));
    let row = json!({
        "id": account(person.id, copy),
        "name": { "family": contact.family, "given": contact.given },
        "kana": r.random_bool(0.7).then(|| format!("{} {}", contact.kana.0, contact.kana.1)),
        "email": contact.email,
        "phone": r.random_bool(0.9).then_some(&contact.phone),
        "address": {
            "zip": contact.postal, "pref": city.prefecture, "city": city.city,
            "line1": format!("{}{}-{}-{}", city.towns[place.town], place.chome, place.ban, place.go),
            "line2": line2,
        },
        "birthday": r.random_bool(0.6).then(|| person.birth.to_string()),
        "gender": if person.female { "F" } else { "M" },
        "memberNo": member,
        "consents": [
            { "purpose": "email_marketing", "granted": r.random_bool(0.55), "at": stamp },
            { "purpose": "sms", "granted": r.random_bool(0.2), "at": stamp },
        ],
        "createdAt": format!("{opened}T10:00:00+09:00"),
        "updatedAt": stamp,
    });
    day.files.web_customers.line(&row.to_string())
}

fn user(frame: &Frame<'_>, day: &mut Day, person: &Person, changed: bool) -> io::Result<()> {
    let contact = Contact::of(person, frame.seed, 3, 0, changed);
    let mut r = rng(frame.seed, 33, person.id, 0);
    let (opened, at, time) = touched(frame, day.date, person, 20);
    let by_email = r.random_bool(0.75);
    let stamp = format!("{at}T{}+09:00", super::day::clock(time));
    let name = match r.random_range(0..10) {
        0..=6 => contact.full_name(person.latin, &mut r),
        _ => contact.given.clone(),
    };
    let row = json!({
        "user_id": app_user(person.id),
        "display_name": name,
        "contact": {
            "email": by_email.then_some(&contact.email),
            "phone": (!by_email || r.random_bool(0.5)).then_some(&contact.phone),
        },
        "card": (person.cards > 0 && r.random_bool(0.6))
            .then(|| card(person.id, u64::from(person.cards) - 1)),
        "birthday": r.random_bool(0.5).then(|| person.birth.to_string()),
        "language": if person.latin { "en" } else { "ja" },
        "consents": [{ "purpose": "push", "granted": r.random_bool(0.6), "at": stamp }],
        "created_at": format!("{opened}T09:00:00+09:00"),
        "updated_at": stamp,
    });
    day.files.users.line(&row.to_string())?;
    Ok(())
}

fn device(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth, person: &Person) -> io::Result<()> {
    let user = app_user(person.id);
    truth.person("app", "users", &user, person.id, person.household)?;
    let device = device_id(frame, person);
    let platform = if mix(person.id) % 10 < 6 {
        "ios"
    } else {
        "android"
    };
    let row = json!({
        "device_id": device, "user_id": user, "platform": platform,
        "model": format!("model-{}", mix(person.id) % 40),
        "first_seen": day.instant(36_000),
    });
    day.files.devices.line(&row.to_string())?;
    let key = format!("{user}|{device}");
    truth.person("app", "devices", &key, person.id, person.household)
}

/// The phone in the person's pocket, or, seldom, the tablet of the household.
pub(crate) fn device_id(frame: &Frame<'_>, person: &Person) -> String {
    let shared = mix(person.id ^ 0x7ab1e7).is_multiple_of(25);
    let owner = if shared {
        person.household | 1 << 40
    } else {
        person.id
    };
    format!("{:016x}", mix(frame.seed ^ mix(owner)))
}

fn contact(frame: &Frame<'_>, day: &mut Day, person: &Person, changed: bool) -> io::Result<()> {
    let contact = Contact::of(person, frame.seed, 4, 0, changed);
    let mut r = rng(frame.seed, 34, person.id, 0);
    let (_, at, time) = touched(frame, day.date, person, 30);
    let kana = format!("{} {}", contact.kana.0, contact.kana.1);
    let row = json!({
        "contactId": format!("K-{:07}", person.id),
        "fullName": contact.full_name(person.latin, &mut r),
        "fullNameKana": r.random_bool(0.6).then_some(kana),
        "phones": { "mobile": contact.phone, "home": null },
        "email": r.random_bool(0.85).then_some(&contact.email),
        "postal": contact.postal,
        "address": spell::address(&contact.place, &mut r),
        "birthday": r.random_bool(0.25).then(|| person.birth.to_string()),
        "business": r.random_bool(0.3),
        "modified": format!("{at}T{}+09:00", super::day::clock(time)),
    });
    day.files.contacts.line(&row.to_string())
}
