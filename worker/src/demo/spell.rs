//! How people and clerks write the same thing: names, phones, addresses, dates, each in many notations.

use jiff::civil::Date;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use wana_kana::ConvertJapanese;

use super::{
    names::{self, Name},
    person::{Address, BUILDINGS, Person, mix, rng},
    places::CITIES,
};

/// A person's particulars as one system got to know them: with its age, its slips and its notation.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Family name.
    pub family: String,
    /// Given name.
    pub given: String,
    /// Reading of family and given name, full-width katakana.
    pub kana: (String, String),
    /// Phone, in one of its notations.
    pub phone: String,
    /// E-mail.
    pub email: String,
    /// Postal code.
    pub postal: String,
    /// Address.
    pub place: Address,
}

impl Contact {
    /// What `system` (and its `copy`-th account) knows; `newest` after the person told it of a change.
    #[must_use]
    pub fn of(person: &Person, seed: u64, system: u64, copy: u64, newest: bool) -> Self {
        let mut r = rng(seed, 100 + system, person.id, copy);
        let stale = !newest && r.random_bool(0.5);
        let family = if stale {
            person.maiden.unwrap_or(person.family)
        } else {
            person.family
        };
        let place = if stale {
            person.moved_from.unwrap_or(person.address)
        } else {
            person.address
        };
        let write = |r: &mut ChaCha8Rng, name: &Name| {
            if r.random_bool(0.15) {
                names::variant(name.text)
            } else {
                name.text.to_owned()
            }
        };
        let written_family = write(&mut r, family);
        let written_given = write(&mut r, person.given);
        let postal = postal(&mut r, &place);
        Self {
            kana: (family.kana.to_owned(), person.given.kana.to_owned()),
            phone: phone(person, &mut r),
            email: email(person, &mut r, copy),
            family: written_family,
            given: written_given,
            postal,
            place,
        }
    }

    /// Whole name as typed into one field.
    #[must_use]
    pub fn full_name(&self, latin: bool, r: &mut ChaCha8Rng) -> String {
        let (family, given) = (&self.family, &self.given);
        match (latin, r.random_range(0..10)) {
            (true, 0..=4) => format!("{given} {family}"),
            (true, 5..=6) => format!("{} {given}", family.to_uppercase()),
            (true, _) => format!("{}・{}", self.kana.1, self.kana.0),
            (false, 0..=4) => format!("{family} {given}"),
            (false, 5..=6) => format!("{family}　{given}"),
            (false, 7) => format!("{family} {given} 様"),
            (false, _) => format!("{family}{given}"),
        }
    }
}

fn phone(person: &Person, r: &mut ChaCha8Rng) -> String {
    if let (Some(line), true) = (person.landline, r.random_bool(0.2)) {
        let area = CITIES[person.address.city].area;
        let digits = if area.len() == 2 {
            format!("{line:08}")
        } else {
            format!("{:07}", line / 10)
        };
        let (exchange, rest) = digits.split_at(digits.len() - 4);
        return match r.random_range(0..4) {
            0 => format!("{area}{digits}"),
            1 => format!("({area}){exchange}-{rest}"),
            _ => format!("{area}-{exchange}-{rest}"),
        };
    }
    let slip = r.random_bool(0.012);
    let number = person.mobile + u64::from(slip) * 10;
    let digits = format!("0{number:010}");
    let parts = (&digits[..3], &digits[3..7], &digits[7..]);
    match r.random_range(0..10) {
        0..=4 => format!("{}-{}-{}", parts.0, parts.1, parts.2),
        5..=6 => digits.clone(),
        7 => format!("+81 {}-{}-{}", &digits[1..3], parts.1, parts.2),
        8 => wide(&format!("{}-{}-{}", parts.0, parts.1, parts.2)),
        _ => format!("{} {} {}", parts.0, parts.1, parts.2),
    }
}

const DOMAINS: [&str; 6] = [
    "example.com",
    "example.jp",
    "example.net",
    "mail.example.jp",
    "mobile.example",
    "webmail.example",
];

fn email(person: &Person, r: &mut ChaCha8Rng, copy: u64) -> String {
    let plain = |name: &Name| -> String {
        let letters = if person.latin {
            name.text.to_owned()
        } else {
            name.kana.to_romaji()
        };
        letters
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect()
    };
    let family = plain(person.maiden.unwrap_or(person.family));
    if person.family_mailbox && r.random_bool(0.6) {
        let tag = mix(person.household) & 0xfff;
        let family = plain(person.family);
        return format!("{family}.family{tag:03x}@{}", DOMAINS[(tag % 6) as usize]);
    }
    let second = copy > 0 || r.random_bool(0.12);
    let tag = mix(person.id ^ if second { 0xabcd } else { 0 });
    let domain = DOMAINS[(tag >> 32) as usize % 6];
    let mut local = format!("{}.{family}{:04x}", plain(person.given), tag & 0xffff);
    if r.random_bool(0.01) {
        local.remove(1); // a letter forgotten
    }
    if r.random_bool(0.08) {
        local = local.to_uppercase();
    }
    format!("{local}@{domain}")
}

fn postal(r: &mut ChaCha8Rng, place: &Address) -> String {
    let code = CITIES[place.city].postal;
    let rest = (place.town + 1) * 10 + usize::from(place.chome);
    match r.random_range(0..10) {
        0..=6 => format!("{code:03}-{rest:04}"),
        7 => format!("〒{code:03}-{rest:04}"),
        8 => wide(&format!("{code:03}-{rest:04}")),
        _ => format!("{code:03}{rest:04}"),
    }
}

/// The address in one line, in one of its notations.
#[must_use]
pub fn address(place: &Address, r: &mut ChaCha8Rng) -> String {
    let city = &CITIES[place.city];
    let (town, chome, ban, go) = (
        city.towns[place.town],
        usize::from(place.chome),
        place.ban,
        place.go,
    );
    let room = place
        .room
        .map(|(building, room)| (BUILDINGS[building], room));
    let head = if r.random_bool(0.12) {
        ""
    } else {
        city.prefecture
    };
    let head = format!("{head}{}", city.city);
    let named = room.map_or(String::new(), |(building, room)| {
        format!(" {building}{room}号室")
    });
    let short = room.map_or(String::new(), |(building, room)| {
        format!(" {building}{room}")
    });
    match r.random_range(0..10) {
        0..=2 => format!("{head}{town}{chome}-{ban}-{go}{short}"),
        3..=4 => format!("{head}{town}{chome}丁目{ban}番{go}号{named}"),
        5 => format!("{head}{town}{}丁目{ban}-{go}{named}", KANJI[chome]),
        6 => format!(
            "{head}{town}{}{short}",
            wide(&format!("{chome}-{ban}-{go}"))
        ),
        7 => format!(
            "{head}{town}{}丁目{ban}番地{go}{named}",
            wide(&chome.to_string())
        ),
        8 => format!("{head} {town} {chome}-{ban}-{go}{short}"),
        _ => format!("{head}{town}{chome}丁目{ban}-{go}{short}"),
    }
}

const KANJI: [&str; 6] = ["〇", "一", "二", "三", "四", "五"];

/// A birth date by imperial era, in one of its notations.
#[must_use]
pub fn wareki(date: Date, r: &mut ChaCha8Rng) -> String {
    let eras = [
        (Date::constant(2019, 5, 1), "令和", "R"),
        (Date::constant(1989, 1, 8), "平成", "H"),
        (Date::constant(1926, 12, 25), "昭和", "S"),
    ];
    let (first, era, letter) = eras
        .into_iter()
        .find(|(first, ..)| date >= *first)
        .unwrap_or(eras[2]);
    let year = date.year() - first.year() + 1;
    let (month, day) = (date.month(), date.day());
    let spoken = if year == 1 {
        "元".into()
    } else {
        year.to_string()
    };
    match r.random_range(0..4) {
        0..=1 => format!("{era}{spoken}年{month}月{day}日"),
        2 => format!("{letter}{year}.{month}.{day}"),
        _ => wide(&format!("{era}{year}年{month}月{day}日")),
    }
}

/// ASCII digits and hyphens as full-width characters.
#[must_use]
pub fn wide(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '0'..='9' => char::from_u32(c as u32 - '0' as u32 + '０' as u32).unwrap_or(c),
            '-' => '－',
            other => other,
        })
        .collect()
}

const FULL: &str = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲンァィゥェォッャュョー・";
const HALF: &str = "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝｧｨｩｪｫｯｬｭｮｰ･";
const VOICED: &str = "ガギグゲゴザジズゼゾダヂヅデドバビブベボヴ";
const UNVOICED: &str = "ｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾊﾋﾌﾍﾎｳ";
const PLOSIVE: &str = "パピプペポ";
const UNPLOSIVE: &str = "ﾊﾋﾌﾍﾎ";

/// Full-width katakana as half-width.
#[must_use]
pub fn half_kana(text: &str) -> String {
    let find = |from: &str, to: &str, c: char| {
        let at = from.chars().position(|f| f == c)?;
        to.chars().nth(at)
    };
    let mut out = String::new();
    for c in text.chars() {
        if let Some(half) = find(FULL, HALF, c) {
            out.push(half);
        } else if let Some(half) = find(VOICED, UNVOICED, c) {
            out.extend([half, 'ﾞ']);
        } else if let Some(half) = find(PLOSIVE, UNPLOSIVE, c) {
            out.extend([half, 'ﾟ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Katakana as hiragana.
#[must_use]
pub fn hiragana(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'ァ'..='ヴ' => char::from_u32(c as u32 - 0x60).unwrap_or(c),
            other => other,
        })
        .collect()
}
