//! Japanese addresses: prefecture, city, town with chome, block, building.

use super::{
    Address,
    gazetteer::{self, City, Town},
    numerals,
};
use crate::{normalised::Normalised, text};

/// What may stand in a street address of Kyoto between the crossing and the town.
const KYOTO_TURNS: &[&str] = &[
    "上る",
    "上ル",
    "上がる",
    "上ガル",
    "あがる",
    "下る",
    "下ル",
    "下がる",
    "下ガル",
    "さがる",
    "東入る",
    "東入ル",
    "西入る",
    "西入ル",
    "東入",
    "西入",
    "入る",
    "入ル",
];

/// Splits a folded address.
pub(super) fn split(folded: &str) -> Normalised<Address> {
    let (postal_code, rest) = postal_code(folded);
    let mut address = Address {
        postal_code,
        ..Address::default()
    };
    let Some((city, town, rest)) = locate(rest, &mut address) else {
        return Normalised::invalid(address);
    };
    let known = town.is_some();
    finish(&mut address, city, town, rest);
    Normalised::judged(address, known)
}

/// A postal code at the start, and what follows.
fn postal_code(folded: &str) -> (String, &str) {
    let marked = folded.trim_start_matches(['〒', '〶', ' ']);
    let end = marked
        .find(|c: char| !c.is_ascii_digit() && !text::is_dash(c))
        .unwrap_or(marked.len());
    let digits: String = marked[..end].chars().filter(char::is_ascii_digit).collect();
    if digits.len() != 7 {
        return (
            String::new(),
            marked
                .trim_start_matches("日本国")
                .trim_start_matches("日本 "),
        );
    }
    let code = format!("{}-{}", &digits[..3], &digits[3..]);
    let rest = marked[end..].trim_start_matches([' ', ',', '、']);
    (
        code,
        rest.trim_start_matches("日本国")
            .trim_start_matches("日本 "),
    )
}

type Located<'a> = (&'static City, Option<&'static Town>, &'a str);

/// Finds city and town; fills in prefecture and city. When no city is found, everything stays in `building` behind the prefecture.
fn locate<'a>(text: &'a str, address: &mut Address) -> Option<Located<'a>> {
    let gazetteer = gazetteer::get();
    let (prefecture, rest) = gazetteer
        .prefecture(text)
        .map_or((None, text), |(prefecture, rest)| {
            (Some(prefecture), rest.trim_start())
        });
    let mut cities = gazetteer.cities(rest, prefecture);
    if cities.is_empty()
        && prefecture.is_none()
        && let Some((short, rest)) = gazetteer.short_prefecture(text)
    {
        cities = gazetteer.cities(rest.trim_start(), Some(short));
    }
    let best = cities
        .iter()
        .map(|(city, rest)| (*city, town_of(city, rest), *rest))
        .find(|(_, town, _)| town.is_some());
    let chosen = best.or_else(|| {
        let unique = cities.len() == 1 || prefecture.is_some();
        cities
            .first()
            .filter(|_| unique)
            .map(|(city, rest)| (*city, None, *rest))
    });
    let Some((city, town, rest)) = chosen else {
        address.prefecture = prefecture.unwrap_or("").to_owned();
        address.building = rest.to_owned();
        return None;
    };
    address.prefecture = city.prefecture.to_owned();
    address.city = city.name.to_owned();
    Some(match town {
        Some((town, rest)) => (city, Some(town), rest),
        None => (city, None, rest),
    })
}

/// The town of a city that a text names: at its start, or in Kyoto behind the directions from a crossing.
fn town_of<'a>(city: &'static City, rest: &'a str) -> Option<(&'static Town, &'a str)> {
    let rest = without_section(rest);
    if city.name.starts_with("京都市") {
        let turn = KYOTO_TURNS
            .iter()
            .filter_map(|turn| rest.rfind(turn).map(|at| at + turn.len()))
            .max();
        if let Some(found) = turn.and_then(|end| city.town(without_section(&rest[end..]))) {
            return Some(found);
        }
        if turn.is_none()
            && let Some(found) = rest
                .find('通')
                .and_then(|at| city.town(&rest[at + '通'.len_utf8()..]))
            && city.town(rest).is_none()
        {
            return Some(found);
        }
    }
    city.town(rest)
}

/// Without 大字 or 字 in front: whether they are written is habit.
fn without_section(rest: &str) -> &str {
    let rest = rest.trim_start();
    rest.strip_prefix("大字")
        .or_else(|| rest.strip_prefix('字'))
        .unwrap_or(rest)
        .trim_start()
}

fn finish(address: &mut Address, city: &City, town: Option<&Town>, rest: &str) {
    let rest = match town {
        Some(town) => {
            address.town.clone_from(&town.name);
            rest
        }
        None => without_section(rest),
    };
    let rest = hamlet(address, rest);
    let rest = chome(address, city, town, rest);
    let (block, rest) = block(rest, !address.town.ends_with('目'));
    address.block = block;
    address.building = building(rest);
}

/// A hamlet (字, 小字) or unknown town before the number joins the town.
fn hamlet<'a>(address: &mut Address, rest: &'a str) -> &'a str {
    let trimmed = rest.trim_start();
    let named = trimmed
        .strip_prefix("大字")
        .or_else(|| trimmed.strip_prefix('字'))
        .or_else(|| trimmed.strip_prefix("小字"))
        .unwrap_or(trimmed);
    let end = named
        .find(|c: char| c.is_ascii_digit() || c == ' ')
        .unwrap_or(named.len());
    let (name, after) = named.split_at(end);
    let is_place = !name.is_empty()
        && name.chars().count() <= 12
        && name.chars().all(is_place_letter)
        && numerals::number(named).is_none()
        && (starts_block(after) || address.town.is_empty());
    if !is_place {
        return rest;
    }
    // a number in kanji ends the name, unless digits follow it
    let cut = if after.is_empty() {
        kanji_block(name)
    } else {
        None
    };
    let end = cut.unwrap_or(name.len());
    address.town.push_str(&name[..end]);
    &named[end..]
}

fn starts_block(after: &str) -> bool {
    after.starts_with(|c: char| c.is_ascii_digit())
}

/// Where a number in kanji with its counter (`二十三番地`) begins.
fn kanji_block(name: &str) -> Option<usize> {
    name.char_indices().map(|(at, _)| at).find(|at| {
        numerals::number(&name[*at..])
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['番', '丁', '号', 'の']))
    })
}

fn is_place_letter(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{3096}' | '\u{3400}'..='\u{9fff}' | 'ア'..='ン' | 'ー' | 'ヶ' | 'ヵ')
}

/// Moves the chome to the town: written as such (`3丁目`, `三丁`), or the first of several numbers in a town that has chome.
fn chome<'a>(address: &mut Address, city: &City, town: Option<&Town>, rest: &'a str) -> &'a str {
    let trimmed = rest.trim_start_matches([' ', ',', '、']);
    let Some((number, after)) = numerals::number(trimmed) else {
        return rest;
    };
    if number == 0 || number > 99 || address.town.ends_with("丁目") {
        return rest;
    }
    let written = [("丁目", "丁目"), ("丁", "丁")];
    if let Some((counter, after)) = written
        .into_iter()
        .find_map(|(mark, counter)| Some((counter, after.strip_prefix(mark)?)))
    {
        address.town.push_str(&numerals::to_kanji(number));
        address.town.push_str(counter);
        return skip_link(after);
    }
    let counter = if city.name.starts_with("堺市") {
        "丁"
    } else {
        "丁目"
    };
    let named = format!("{}{}{counter}", address.town, numerals::to_kanji(number));
    let divided = town.is_some_and(|town| town.has_chome && town.name == address.town)
        || city.has_town(&named);
    let linked = after
        .chars()
        .next()
        .is_none_or(|c| text::is_dash(c) || matches!(c, 'の' | 'ノ'));
    if !divided || !linked || number > 30 {
        return rest;
    }
    address.town = named;
    skip_link(after)
}

fn skip_link(after: &str) -> &str {
    after.trim_start_matches(|c: char| text::is_dash(c) || matches!(c, ' ' | 'の' | 'ノ'))
}

/// The numbers of block and house joined by hyphens, and what follows. A room behind them is left to the building.
fn block(rest: &str, unnamed_chome: bool) -> (String, &str) {
    let mut block = String::new();
    let mut numbers = 0;
    let most = if unnamed_chome { 3 } else { 2 };
    let mut rest = rest.trim_start_matches([' ', ',', '、']);
    let mut behind_numbers = rest;
    while numbers < most {
        let Some((number, after)) = numerals::number(rest) else {
            break;
        };
        if is_room(after) {
            break;
        }
        if numbers > 0 {
            block.push('-');
        }
        block.push_str(&number.to_string());
        numbers += 1;
        let behind = counter(after);
        behind_numbers = behind;
        match link(behind, behind.len() < after.len()) {
            Some(next) if numerals::number(next).is_some() => rest = next,
            _ => break,
        }
    }
    (block, behind_numbers)
}

/// Whether the number before belongs to a floor, room or building (`3F`, `101号室`, `2階`).
fn is_room(after: &str) -> bool {
    after.starts_with("号室")
        || after.starts_with("号棟")
        || after.starts_with(['階', 'F', 'f', '棟', '室'])
        || after.starts_with("丁目")
        || after.starts_with("番町")
        || after.starts_with("番館")
}

/// Without the counter of a number: 番地, 番, 号, 番戸.
fn counter(after: &str) -> &str {
    for mark in ["番地", "番戸", "番", "号"] {
        if let Some(rest) = after.strip_prefix(mark) {
            return rest;
        }
    }
    after
}

/// What follows the joint of two numbers: a dash of any form, の, or nothing behind a counter (`2番3号`).
fn link(after: &str, counted: bool) -> Option<&str> {
    let rest =
        after.trim_start_matches(|c: char| text::is_dash(c) || matches!(c, 'の' | 'ノ' | '之'));
    (rest.len() < after.len() || counted).then_some(rest)
}

/// What is left: trimmed, with one form of dash between letters and digits of ASCII.
fn building(rest: &str) -> String {
    let trimmed = rest.trim_start_matches(|c: char| text::is_dash(c) || matches!(c, ' ' | ','));
    let mut out = String::with_capacity(trimmed.len());
    let mut before = ' ';
    for c in trimmed.chars() {
        let c = if text::is_dash(c) && (before.is_ascii_alphanumeric()) {
            '-'
        } else {
            c
        };
        out.push(c);
        before = c;
    }
    out.trim_end().to_owned()
}
