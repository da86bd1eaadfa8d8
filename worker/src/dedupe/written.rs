//! Dates whose month is a word of English, German, French, Spanish, Portuguese, Italian or Dutch.

use jiff::civil::Date;

/// Months and what they are called, in lower case and without accents.
const MONTHS: [&str; 12] = [
    "jan january januar jaenner janvier janv enero ene janeiro gennaio gen januari",
    "feb february februar fevrier fevr fev febrero fevereiro febbraio februari",
    "mar march marz maerz mrz mars marzo marco maart mrt",
    "apr april avril avr abril abr aprile",
    "may mai mayo maio maggio mag mei",
    "jun june juni juin junio junho giugno giu",
    "jul july juli juillet juil julio julho luglio lug",
    "aug august aout agosto ago augustus",
    "sep sept september septembre septiembre setembro set settembre",
    "oct october oktober okt octobre octubre outubro out ottobre ott",
    "nov november novembre noviembre novembro",
    "dec december dezember dez decembre diciembre dic dezembro dicembre",
];

/// Words beside: of, the, and days of the week.
const BESIDE: &str = "de del do of the le den th st nd rd er \
    monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur fri sat sun \
    montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag \
    lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves viernes sabado domingo \
    segunda terca quarta quinta sexta feira lunedi martedi mercoledi giovedi venerdi domenica";

/// The date that a text says: `2. Januar 1980`, `2 de enero de 1980`, `Monday, January 02, 1980`, `02JAN1980`.
/// A year of two digits is the last one that has begun by the year `now`.
pub(super) fn read(text: &str, now: i16) -> Option<Date> {
    let plain = any_ascii::any_ascii(text).to_lowercase();
    let is = |word: &str, words: &str| words.split(' ').any(|w| w == word);
    let mut month = None;
    let mut numbers: Vec<&str> = Vec::new();
    for word in runs(&plain) {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            numbers.push(word);
        } else if let Some(at) = MONTHS.iter().position(|words| is(word, words)) {
            if month.replace(at + 1).is_some() {
                return None;
            }
        } else if !is(word, BESIDE) {
            return None;
        }
    }
    let (year, day) = match numbers[..] {
        [year, day] if year.len() == 4 => (year, day),
        [day, year] => (year, day),
        _ => return None,
    };
    let short = year.len() == 2;
    let year: i16 = year.parse().ok().filter(|_| short || year.len() == 4)?;
    let year = match (short, year + now / 100 * 100) {
        (false, _) => year,
        (true, this) if this > now => this - 100,
        (true, this) => this,
    };
    Date::new(year, i8::try_from(month?).ok()?, day.parse().ok()?).ok()
}

/// Runs of letters and runs of digits.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
    parts.flat_map(|part| {
        let bytes = part.as_bytes();
        bytes
            .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
            .filter_map(|run| std::str::from_utf8(run).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_words() {
        for (text, want) in [
            ("2. Januar 1980", "1980-01-02"),
            ("12. März 1980", "1980-03-12"),
            ("1er août 1975", "1975-08-01"),
            ("2 de enero de 1980", "1980-01-02"),
            ("3 de Março de 1980", "1980-03-03"),
            ("Monday, January 02, 1980", "1980-01-02"),
            ("Jan. 2nd 1980", "1980-01-02"),
            ("02JAN1980", "1980-01-02"),
            ("02.Jan.1980", "1980-01-02"),
            ("1980 Dez 31", "1980-12-31"),
            ("2-Mar-45", "1945-03-02"),
            ("2-Mar-20", "2020-03-02"),
            ("30 February 1980", ""),
            ("May 5", ""),
            ("called in May 5, 1980", ""),
        ] {
            let found = read(text, 2026).map_or_else(String::new, |d| d.to_string());
            assert_eq!(found, want, "{text}");
        }
    }
}
