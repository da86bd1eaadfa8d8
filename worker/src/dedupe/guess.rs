//! What columns hold: guessed from names and values, then corrected by what the user said.

use arrow::array::StringArray;

use super::{
    dates::{self, Dates},
    names::{self, Names},
    role::{Part, Role},
};
use crate::profile::{ColumnReport, Kind, Meaning, meaning};

/// A column with its guess.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    /// Name in the file.
    pub(super) name: String,
    /// What it is used as.
    pub(super) role: Role,
    /// Why, in a few words.
    pub(super) why: String,
    /// Notations of dates that have to be declared.
    pub(super) format: Option<String>,
    /// How sure the guess is: 0 none, 1 by values alone, 2 by a part of the name, 3 by the name, 4 said by the user.
    pub(super) sure: u8,
    /// Share of rows with a value in the sample.
    pub(super) filled: f64,
}

/// A column as it was looked at.
pub(super) struct Seen<'a> {
    pub(super) report: &'a ColumnReport,
    pub(super) values: Vec<&'a StringArray>,
}

impl Seen<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let all = self.values.iter().flat_map(|c| c.iter().flatten());
        all.map(str::trim).filter(|v| !v.is_empty())
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn share(&self, of: impl Fn(&str) -> bool) -> f64 {
        let (hits, all) = self.texts().fold((0u64, 0u64), |(hits, all), v| {
            (hits + u64::from(of(v)), all + 1)
        });
        hits as f64 / all.max(1) as f64
    }
}

/// Words of columns that number the person, the household or the block: what is to be found, not evidence for it.
const ANSWERS: [&str; 17] = [
    "cluster",
    "clusterid",
    "personid",
    "entityid",
    "trueid",
    "truth",
    "label",
    "identity",
    "groupid",
    "masterid",
    "goldenid",
    "householdid",
    "familyid",
    "matchid",
    "dupeid",
    "ncid",
    "世帯番号",
];

/// Words of numbers that a state gives its people, and of blocks.
const UNUSED: [&str; 15] = [
    "socsecid",
    "ssn",
    "socialsecurity",
    "nationalid",
    "nino",
    "passport",
    "taxid",
    "mynumber",
    "マイナンバー",
    "個人番号",
    "blockingnumber",
    "drivinglicence",
    "driverslicense",
    "licensenumber",
    "insurancenumber",
];

fn bare(name: &str) -> String {
    let folded = musubi_clean::text::fold(name).to_lowercase();
    folded.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Whether a column looks as if it numbered the people.
pub(super) fn is_answer(name: &str) -> bool {
    ANSWERS.contains(&bare(name).as_str())
}

/// What a column holds, by itself.
pub(super) fn guess(seen: &Seen<'_>, month_first: bool) -> Guess {
    let report = seen.report;
    let of = |role: Role, why: &str, sure: u8| Guess {
        name: report.name.clone(),
        role,
        why: why.to_owned(),
        format: None,
        sure,
        filled: (100.0 - report.null_percent) / 100.0,
    };
    let ignored = |why: &str| of(Role::Ignored, why, 0);
    let name = bare(&report.name);
    if report.null_percent >= 100.0 {
        return ignored("empty");
    }
    if is_answer(&report.name) {
        return ignored("numbers people: --truth scores with it");
    }
    // Short words stand within others: classname.
    let unused = |word: &str| name == word || (word.len() > 5 && name.contains(word));
    if UNUSED.into_iter().any(unused) {
        return ignored("national or blocking number: told only");
    }
    let dates = || {
        let sample = seen.texts().take(2000);
        dates::look(sample, month_first)
    };
    if let Some((meant, exactly)) = meaning::said(&report.name)
        && let Some((role, why, format)) = by_name(seen, meant, &dates)
    {
        let why = if why.is_empty() { "by its name" } else { why };
        return Guess {
            format,
            ..of(role, why, 2 + u8::from(exactly))
        };
    }
    if is_row_id(report, &name) {
        return of(Role::Id, "a number of the row", 3);
    }
    by_values(seen, &dates).map_or_else(
        || ignored("nothing known of a person"),
        |(role, why, format)| Guess {
            format,
            ..of(role, why, 1)
        },
    )
}

fn is_row_id(report: &ColumnReport, name: &str) -> bool {
    let named = name.ends_with("id") || name.ends_with("no") || name.ends_with("key");
    let named =
        named || name.ends_with("番号") || name.ends_with("コード") || name.starts_with("id");
    let unique = report.distinct >= report.rows * 99 / 100;
    named
        || (unique
            && report.rows > 1
            && report.of_type_percent >= 99.0
            && report.kind == Kind::Integer)
}

/// Role, why, notations of dates.
type Found = (Role, &'static str, Option<String>);

/// What the name says, where the values may be that.
fn by_name(seen: &Seen<'_>, meant: Meaning, dates: &impl Fn() -> Dates) -> Option<Found> {
    let report = seen.report;
    let field = |name: &str| (Role::field(name), "", None);
    let likely = |share: f64, name: &str| (share >= 20.0).then(|| field(name));
    let letters = || seen.share(|v| v.chars().any(char::is_alphabetic)) >= 0.5;
    // 12 High Street, Hauptstrasse 12.
    let numbered = || {
        let digit =
            |word: Option<&str>| word.is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
        let ends = |v: &str| digit(v.split(' ').next()) || digit(v.rsplit(' ').next());
        seen.share(ends) >= 0.5
    };
    let latin = || seen.share(|v| !v.chars().any(musubi_clean::name::is_japanese)) >= 0.5;
    match meant {
        Meaning::Name => letters().then(|| field("name")),
        Meaning::FamilyName => letters().then(|| field("family_name")),
        Meaning::GivenName => letters().then(|| field("given_name")),
        Meaning::MiddleName => letters().then(|| field("middle_name")),
        Meaning::NameSuffix => {
            let told = seen.share(|v| musubi_identity::tells_generation(v));
            (told >= 0.5).then(|| field("name_suffix"))
        }
        Meaning::NameKana => letters().then(|| field("name_kana")),
        Meaning::FamilyKana => letters().then(|| field("family_kana")),
        Meaning::GivenKana => letters().then(|| field("given_kana")),
        Meaning::Email => likely(report.email_percent, "email"),
        Meaning::Phone => {
            // Numbers without their area have seven digits and more.
            let long = seen.share(|v| v.bytes().filter(u8::is_ascii_digit).count() >= 7);
            (long >= 0.3).then(|| field("phone"))
        }
        Meaning::PostalCode => {
            let long = seen.share(|v| v.len() >= 4 && v.len() <= 12);
            (long >= 0.5).then(|| field("postal_code"))
        }
        Meaning::Address => Some(field("address")),
        Meaning::Town if latin() && numbered() => Some((
            Role::field("address"),
            "streets with their house numbers",
            None,
        )),
        Meaning::Town if latin() => Some(field("town")),
        Meaning::Town => {
            // 住所1 and the like hold all but the building.
            let whole = seen.share(|v| v.chars().any(|c| "県府都道市区町村".contains(c))) >= 0.5;
            Some(field(if whole { "address" } else { "town" }))
        }
        Meaning::Block => Some(field("block")),
        Meaning::Building => Some(field("building")),
        Meaning::City => Some(field("city")),
        Meaning::Prefecture => letters().then(|| field("prefecture")),
        Meaning::BirthDate => {
            let small = seen.share(|v| v.parse::<u8>().is_ok_and(|n| (1..=31).contains(&n)));
            if small >= 0.9 {
                return Some((Role::Birth(Part::Day), "", None));
            }
            let found = dates();
            (found.understood >= 0.2).then(|| {
                let why = if found.ambiguous {
                    "by its name; day and month cannot be told apart"
                } else {
                    ""
                };
                (Role::field("birth_date"), why, found.format)
            })
        }
        Meaning::Age => {
            let years = seen.share(|v| age(v).is_some());
            (years >= 0.9).then_some((Role::Birth(Part::Age), "", None))
        }
        Meaning::BirthYear => Some((Role::Birth(Part::Year), "", None)),
        Meaning::BirthMonth => Some((Role::Birth(Part::Month), "", None)),
        Meaning::BirthDay => Some((Role::Birth(Part::Day), "", None)),
        Meaning::Gender => {
            let known = seen.share(|v| musubi_clean::gender::parse(v).value.is_some());
            (known >= 0.5).then(|| field("gender"))
        }
        Meaning::LoyaltyNumber => {
            // A number that every row has for itself is its key.
            let own = report.distinct >= report.rows * 99 / 100 && report.null_percent < 1.0;
            Some(if own {
                (Role::Id, "a number of the row", None)
            } else {
                field("loyalty_number")
            })
        }
        Meaning::CustomerId => Some((Role::Id, "a number of a system: used only when told", None)),
        _ => None,
    }
}

/// An age in years, where the value may be one.
pub(super) fn age(value: &str) -> Option<u32> {
    let value = value.trim().trim_end_matches(".0");
    value.parse().ok().filter(|age| (1..120).contains(age))
}

/// What the values say where the name says nothing.
fn by_values(seen: &Seen<'_>, dates: &impl Fn() -> Dates) -> Option<Found> {
    let report = seen.report;
    if report.email_percent >= 80.0 {
        return Some((Role::field("email"), "e-mail addresses", None));
    }
    // Ids are bare digits as a rule.
    let written = seen.share(|v| v.starts_with(['+', '0', '(']) || v.contains(['-', ' ', '.']));
    if report.phone_percent >= 90.0 && written >= 0.8 {
        return Some((Role::field("phone"), "phone numbers", None));
    }
    let nameless = report.name.starts_with("column_");
    if nameless && report.kana_percent >= 90.0 {
        return Some((Role::field("name_kana"), "kana", None));
    }
    if nameless {
        let found = dates();
        // Dates of birth reach far back, others do not.
        if found.understood >= 0.9 {
            return Some((Role::field("birth_date"), "dates", found.format));
        }
    }
    if seen.share(is_postcode) >= 0.9 {
        return Some((Role::field("postal_code"), "postcodes", None));
    }
    if seen.share(is_street) >= 0.8 {
        return Some((Role::field("address"), "house numbers and streets", None));
    }
    let names = names::look(seen.texts().take(2000))?;
    let role = match names {
        Names::Given => "given_name",
        Names::Family => "family_name",
        Names::Whole => "name",
    };
    Some((Role::field(role), "names of people", None))
}

/// Whether a value is a postcode with letters and digits, as in the United Kingdom (`EX2 5DW`) and Canada (`K1A 0B1`).
fn is_postcode(value: &str) -> bool {
    let kinds: String = value
        .chars()
        .filter(|c| *c != ' ')
        .map(|c| match c {
            '0'..='9' => '9',
            'a'..='z' | 'A'..='Z' => 'A',
            _ => '-',
        })
        .collect();
    let area = kinds.strip_suffix("9AA");
    let area = area.or_else(|| kinds.strip_suffix("9A9"));
    area.is_some_and(|area| ["A9", "A99", "AA9", "AA99", "A9A", "AA9A"].contains(&area))
}

/// Whether a value begins with the number of a house and goes on with a street: `12 High Street`.
fn is_street(value: &str) -> bool {
    const KINDS: [&str; 24] = [
        "street",
        "st",
        "road",
        "rd",
        "avenue",
        "ave",
        "lane",
        "ln",
        "drive",
        "dr",
        "court",
        "ct",
        "place",
        "pl",
        "close",
        "way",
        "blvd",
        "boulevard",
        "terrace",
        "crescent",
        "circle",
        "parade",
        "highway",
        "hwy",
    ];
    let value = value.to_lowercase();
    let mut words = value.split([' ', ',', '.']).filter(|w| !w.is_empty());
    let number = words
        .next()
        .is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    number && words.skip(1).any(|word| KINDS.contains(&word))
}

/// Settles which column has a role that several want: the surest, then the fullest, then the first.
pub(super) fn settle(columns: &mut [Guess]) {
    let names: Vec<&str> = vec!["family_name", "given_name"];
    let of_name = |c: &Guess| {
        ["name", "family_name", "given_name"]
            .map(Role::field)
            .contains(&c.role)
    };
    if columns.iter().any(|c| c.sure > 1 && of_name(c)) {
        // Beside named columns, other names are those of other people, or second ones.
        for column in columns.iter_mut().filter(|c| c.sure == 1 && of_name(c)) {
            column.role = Role::Ignored;
            column.why = "names, but other columns are named so".to_owned();
        }
    }
    let has = |columns: &[Guess], name: &str| columns.iter().any(|c| c.role == Role::field(name));
    // Further phones have a field of their own.
    let phone = Role::field("phone");
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&columns[*a], &columns[*b]);
        b.sure.cmp(&a.sure).then(b.filled.total_cmp(&a.filled))
    });
    let mut taken: Vec<Role> = Vec::new();
    for at in order {
        let role = columns[at].role;
        if !role.is_evidence() {
            continue;
        }
        let role = if role == phone && taken.contains(&phone) {
            Role::field("phone2")
        } else {
            role
        };
        if taken.contains(&role) {
            let first = columns.iter().enumerate();
            let mut first = first.filter(|(i, c)| *i != at && c.role == role);
            let other = first
                .next()
                .map_or_else(String::new, |(_, c)| c.name.clone());
            columns[at].role = Role::Ignored;
            columns[at].why = format!("{other} is the {} already", role.as_str());
            continue;
        }
        taken.push(role);
        columns[at].role = role;
    }
    if names.iter().all(|n| has(columns, n)) {
        drop_whole(columns, "name", "its parts have columns of their own");
    }
    if has(columns, "family_kana") && has(columns, "given_kana") {
        drop_whole(columns, "name_kana", "its parts have columns of their own");
    }
    let parts = [Part::Year, Part::Month, Part::Day].map(Role::Birth);
    let whole = has(columns, "birth_date");
    let is_there = |part: &Role| columns.iter().any(|c| c.role == *part);
    let complete = parts.iter().all(is_there);
    if whole || is_there(&parts[0]) {
        let ages = columns.iter_mut();
        for column in ages.filter(|c| c.role == Role::Birth(Part::Age) && c.sure < 4) {
            column.role = Role::Ignored;
            column.why = "the birth has a column".to_owned();
        }
    }
    if whole || !complete {
        let why = if whole {
            "the whole date has a column"
        } else {
            "a birth date needs year, month and day"
        };
        let left = if whole { &parts[..] } else { &parts[1..] };
        for column in columns.iter_mut().filter(|c| left.contains(&c.role)) {
            column.role = Role::Ignored;
            column.why = why.to_owned();
        }
    }
}

fn drop_whole(columns: &mut [Guess], name: &str, why: &str) {
    for column in columns
        .iter_mut()
        .filter(|c| c.role == Role::field(name) && c.sure < 4)
    {
        column.role = Role::Ignored;
        column.why = why.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::column::Column;

    fn of(name: &str, values: &[&str]) -> Guess {
        let column: StringArray = values.iter().map(|v| Some(*v)).collect();
        let mut counts = Column::default();
        let given = values.iter().filter(|v| !v.is_empty());
        given.for_each(|v| counts.add(v));
        let report = counts.report(name, values.len() as u64);
        let seen = Seen {
            report: &report,
            values: vec![&column],
        };
        guess(&seen, false)
    }

    #[test]
    fn columns_are_known_by_name_and_value() {
        for (name, values, role) in [
            ("given_name", &["ann", "bob"][..], "given_name"),
            ("fname_c1", &["ANN", "BOB"], "given_name"),
            ("lname", &["Day", "Poe"], "family_name"),
            ("氏名", &["山田 太郎", "鈴木花子"], "name"),
            ("姓(カナ)", &["ヤマダ", "スズキ"], "family_kana"),
            ("お名前（フリガナ）", &["ヤマダ タロウ"], "name_kana"),
            ("携帯電話", &["090-1234-5678"], "phone"),
            ("street_number", &["7", "12a"], "block"),
            ("address_1", &["wallaby place"], "town"),
            ("Address 1", &["7 Wallaby Place", "1 High St"], "address"),
            ("住所1", &["大阪府高槻市奈佐原2-1"], "address"),
            ("住所2", &["コーポ高槻101"], "building"),
            ("suburb", &["cleveland"], "city"),
            ("date_of_birth", &["19560409", "1956040"], "birth_date"),
            ("DOB", &["04/09/1956"], "birth_date"),
            ("bd", &["4", "31"], "birth_day"),
            ("birth_day", &["4", "31"], "birth_day"),
            ("sex", &["f", "m"], "gender"),
            ("soc_sec_id", &["1804974"], "ignore"),
            ("blocking_number", &["1"], "ignore"),
            ("rec_id", &["rec-1-org", "rec-1-dup-0"], "id"),
            ("cluster", &["0", "0"], "ignore"),
            ("customer_id", &["1", "1"], "id"),
            ("contact", &["a@b.example", "c@d.example"], "email"),
            ("age", &["31"], "ignore"),
            ("culture", &["usa"], "ignore"),
            ("phone", &["", ""], "ignore"),
        ] {
            assert_eq!(of(name, values).role.as_str(), role, "{name}");
        }
    }

    #[test]
    fn one_column_has_a_role() {
        let mut columns = vec![
            of("full_name", &["Ann Day"]),
            of("first_name", &["Ann"]),
            of("surname", &["Day"]),
            of("tel", &["0312345678"]),
            of("mobile", &["09012345678"]),
            of("birth_year", &["1980"]),
            of("surname_2", &["Poe"]),
            of("birth_month", &["12"]),
        ];
        settle(&mut columns);
        let roles: Vec<&str> = columns.iter().map(|c| c.role.as_str()).collect();
        assert_eq!(
            roles,
            [
                "ignore",
                "given_name",
                "family_name",
                "phone",
                "phone2",
                "birth_year",
                "ignore",
                "ignore"
            ]
        );
        assert!(columns[6].why.contains("surname is the family_name"));
    }
}
