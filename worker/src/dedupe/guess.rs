//! What columns hold: guessed from names and values, or said by the user.

use std::collections::BTreeMap;

use arrow::array::StringArray;
use musubi_clean::{name::is_japanese, text};

use super::{
    by_value,
    dates::{self, Dates},
    japanese,
    role::{Part, Role},
};
use crate::profile::{ColumnReport, Kind, Meaning, meaning, words};

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
    /// How sure the guess is: 0 none or where no other column has the role, 1 by values alone, 2 by a part of the
    /// name, 3 by the name, 4 said by the user.
    pub(super) sure: u8,
    /// Share of rows with a value in the sample.
    pub(super) filled: f64,
    /// Values that mean others than normalisers take them for.
    pub(super) map: BTreeMap<&'static str, &'static str>,
    /// Different values in the sample.
    pub(super) distinct: u64,
    /// Of a column of names: the share that is one word, and the share that is a Japanese name as a whole.
    pub(super) words: (f64, f64),
}

impl Guess {
    /// Takes the role that the user said.
    pub(super) fn tell(&mut self, role: Role, values: &[&StringArray], month_first: bool) {
        self.role = role;
        self.sure = 4;
        self.why = "as you said".to_owned();
        (self.format, self.map) = (None, BTreeMap::new());
        let texts = || texts(values);
        if role == Role::field("birth_date") {
            self.format = dates::look(texts().take(2000), month_first, true).format;
        }
        if role == Role::field("gender") {
            self.map = genders(texts);
        }
    }
}

/// The values that are given.
fn texts<'a>(values: &[&'a StringArray]) -> impl Iterator<Item = &'a str> {
    let all = values.iter().flat_map(|c| c.iter().flatten());
    all.map(str::trim).filter(|v| !v.is_empty())
}

/// The share of texts that are such ones.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share<'a>(texts: impl Iterator<Item = &'a str>, of: impl Fn(&str) -> bool) -> f64 {
    let (hits, all) = texts.fold((0u64, 0u64), |(hits, all), v| {
        (hits + u64::from(of(v)), all + 1)
    });
    hits as f64 / all.max(1) as f64
}

/// A column as it was looked at.
pub(super) struct Seen<'a> {
    pub(super) report: &'a ColumnReport,
    pub(super) values: Vec<&'a StringArray>,
}

impl Seen<'_> {
    /// The values that are given.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        texts(&self.values)
    }

    /// The share of the values that are such ones.
    pub(super) fn share(&self, of: impl Fn(&str) -> bool) -> f64 {
        share(self.texts(), of)
    }

    /// Whether the values rise from row to row, as numbers of rows do.
    pub(super) fn rising(&self) -> bool {
        let values: Vec<&str> = self.texts().take(2000).collect();
        let rises = values.windows(2).filter(|pair| {
            let [before, after] = [pair[0], pair[1]];
            (before.len(), before) <= (after.len(), after)
        });
        values.len() > 9 && rises.count() * 10 >= values.len() * 9
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
        map: BTreeMap::new(),
        distinct: report.distinct,
        words: (0.0, 0.0),
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
    if words::is_of_somebody_else(&report.name) {
        return ignored("about somebody else");
    }
    let look = |said| dates::look(seen.texts().take(2000), month_first, said);
    let (dates, said_dates) = (|| look(false), || look(true));
    let found = |(role, why, format): Found, sure: u8| {
        let mut guess = Guess {
            format,
            ..of(role, why, sure)
        };
        if NAMES.map(Role::field).contains(&role) {
            guess.words = (seen.share(is_one_word), seen.share(japanese::is_whole_name));
        }
        if role == Role::field("gender") {
            guess.map = genders(|| seen.texts());
        }
        guess
    };
    if words::is_person(&report.name) && are_letters(seen) {
        return found((Role::field("name"), "a word for the person", None), 2);
    }
    let said = meaning::said(&report.name);
    if let Some((meant, exactly)) = said
        && let Some((role, why, format)) = by_name(seen, meant, &said_dates)
    {
        let why = if why.is_empty() { "by its name" } else { why };
        return found((role, why, format), 2 + u8::from(exactly));
    }
    if words::is_title(&report.name) && gender_share(seen) >= 0.5 {
        return found((Role::field("gender"), "titles", None), 2);
    }
    if is_row_id(report, &name) {
        return of(Role::Id, "a number of the row", 3);
    }
    if words::is_quarter(&report.name) {
        return found((Role::field("city"), "parts of towns", None), 0);
    }
    let guess = by_value::look(seen, &dates).map(|by_value| found(by_value, 1));
    let is_email = |guess: &Guess| guess.role == Role::field("email");
    // A part of a word may have said it: `tel` in `hotel`.
    let surely =
        said.is_some_and(|(meant, exactly)| exactly || words::meaning(&report.name) == Some(meant));
    match guess {
        Some(guess) if is_email(&guess) => guess,
        Some(_) if surely => ignored("its values are not what its name says"),
        Some(guess) if guess.role == Role::field("name") && words::is_company(&report.name) => {
            Guess { sure: 0, ..guess }
        }
        Some(_) if words::is_of_another(&report.name) => ignored("about something else"),
        Some(guess) => guess,
        None => ignored("nothing known of a person"),
    }
}

/// Fields of a name that people have.
pub(super) const NAMES: [&str; 3] = ["name", "family_name", "given_name"];

/// Whether a column of a word for the person holds names: letters, of many people.
fn are_letters(seen: &Seen<'_>) -> bool {
    let is_name = |v: &str| {
        v.chars().any(char::is_alphabetic) && !v.chars().any(|c| c.is_numeric() || c == '@')
    };
    seen.report.distinct * 10 >= seen.report.rows && seen.share(is_name) >= 0.8
}

/// Whether a name is one word. Japanese ones stand without a space between: a given name has three characters at most.
fn is_one_word(value: &str) -> bool {
    let folded = text::fold(value);
    if folded.chars().any(is_japanese) {
        return folded.chars().count() <= 3 && !japanese::is_whole_name(&folded);
    }
    !folded.contains([' ', ','])
}

fn gender_share(seen: &Seen<'_>) -> f64 {
    seen.share(|v| musubi_clean::gender::parse(v).value.is_some())
}

/// What letters of genders mean beside each other: with H (hombre), M is mujer.
fn genders<'a, T: Iterator<Item = &'a str>>(
    texts: impl Fn() -> T,
) -> BTreeMap<&'static str, &'static str> {
    let of = |letter: &str| share(texts(), |v| v.eq_ignore_ascii_case(letter));
    let (h, m) = (of("h"), of("m"));
    if h < 0.05 || m < 0.05 || h + m < 0.9 {
        return BTreeMap::new();
    }
    [
        ("H", "male"),
        ("h", "male"),
        ("M", "female"),
        ("m", "female"),
    ]
    .into()
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
pub(super) type Found = (Role, &'static str, Option<String>);

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
            let told = seen.share(musubi_identity::tells_generation);
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
        Meaning::Gender => (gender_share(seen) >= 0.5).then(|| field("gender")),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::profile::column::Column;

    /// The guess for a column of these values.
    pub(in crate::dedupe) fn of(name: &str, values: &[&str]) -> Guess {
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
            ("age", &["31"], "age"),
            ("お客様名", &["山田 太郎"], "name"),
            ("名義", &["山田 太郎", "林 修"], "name"),
            ("ヨミガナ", &["ヤマダ タロウ"], "name_kana"),
            ("〒", &["100-0001"], "postal_code"),
            ("〒番号", &["100-0001"], "postal_code"),
            ("所在地", &["東京都港区芝1-2"], "address"),
            ("番地住所", &["港区芝1-2"], "address"),
            ("男女", &["男", "女"], "gender"),
            ("県", &["千葉県"], "prefecture"),
            ("市区", &["港区"], "city"),
            ("c1", &["佐藤 花子", "鈴木一郎"], "name"),
            ("項目2", &["サトウ ハナコ", "スズキ"], "name_kana"),
            ("field_3", &["100-0001", "150-0002"], "postal_code"),
            ("c4", &["東京都港区芝1-2", "千葉市中央区3"], "address"),
            ("c5", &["男", "女", "女"], "gender"),
            ("bemerkt", &["m", "f", "f"], "gender"),
            ("c6", &["昭和55年1月2日", "1999/3/4"], "birth_date"),
            ("since", &["2019-01-02", "2020-03-04"], "ignore"),
            ("wann", &["1949-01-02", "1970-03-04"], "birth_date"),
            ("c7", &["01012345678", "0212345678"], "phone"),
            ("total", &["01012345678", "0212345678"], "ignore"),
            ("dob", &["19800102.0", "19810203.0"], "birth_date"),
            ("dob", &["0312345678", "0312345679"], "ignore"),
            ("Customer", &["Xu Li", "Ann Day"], "name"),
            ("Kunde", &["Xu Li", "Ann Day"], "name"),
            ("customer", &["17", "18"], "id"),
            ("contact", &["03-1234-5678"], "phone"),
            ("Account Manager", &["Mary Smith", "John Brown"], "ignore"),
            ("担当者名", &["佐藤 花子", "鈴木一郎"], "ignore"),
            ("Company", &["Smith", "Brown"], "ignore"),
            ("Company", &["Global Wu", "Thomas Hardware"], "name"),
            ("Emergency Phone", &["03-1234-5678"], "ignore"),
            ("Business Phone", &["03-1234-5678"], "phone"),
            ("Title", &["Mr", "Mrs", "Dr"], "gender"),
            ("Anrede", &["Herr", "Frau"], "gender"),
            ("book", &["Smith", "Brown", "Jones"], "family_name"),
            ("Bairro", &["Centro", "Jardim"], "city"),
            ("hotel_guest", &["Mary Smith", "John Brown"], "name"),
            ("culture", &["usa"], "ignore"),
            ("phone", &["", ""], "ignore"),
        ] {
            assert_eq!(of(name, values).role.as_str(), role, "{name}");
        }
    }

    #[test]
    fn a_role_that_is_told_has_its_notations() {
        let mut births = of("x", &["13.02.1980"]);
        let column = StringArray::from(vec!["13.02.1980"]);
        births.tell(Role::field("birth_date"), &[&column], false);
        assert!(births.format.is_some_and(|f| f.contains("%d.%m.%Y")));
        let mut genders = of("x", &["H", "M"]);
        let column = StringArray::from(vec!["H", "M"]);
        genders.tell(Role::field("gender"), &[&column], false);
        assert_eq!(genders.map.get("M"), Some(&"female"));
        let french = of("Sexe", &["H", "F"]);
        assert_eq!((french.role, french.map.len()), (Role::field("gender"), 0));
    }
}
