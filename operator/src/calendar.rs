//! Days of Japan's year, computed from the law: nothing is fetched.

use std::collections::BTreeSet;

use jiff::{
    ToSpan as _,
    civil::{Date, Weekday, date},
};
use musubi_api::peaks::CalendarName;

/// The stretches of days of a calendar that begin in a year: first and last day of each.
pub(crate) fn spans(calendar: CalendarName, year: i16) -> Vec<(Date, Date)> {
    match calendar {
        CalendarName::JapaneseHolidays => holidays(year).into_iter().map(|d| (d, d)).collect(),
        CalendarName::GoldenWeek => vec![golden_week(year)],
        CalendarName::Obon => vec![(date(year, 8, 13), date(year, 8, 16))],
        // As of public offices: Act No. 91 of 1988, article 1.
        CalendarName::YearEnd => vec![(date(year, 12, 29), date(year + 1, 1, 3))],
    }
}

/// The holidays of a year by the Act on National Holidays (Act No. 178 of 1948), as it has stood since 2007, with
/// the exceptions of 2019 to 2021: holidays, their substitutes, and days between two of them. Later exceptions
/// are for laws to come.
pub(crate) fn holidays(year: i16) -> BTreeSet<Date> {
    let named = named(year);
    let mut all = named.clone();
    for day in &named {
        // Article 3 (2): of a Sunday, the next day that is no holiday.
        if day.weekday() == Weekday::Sunday {
            let mut after = days_from(*day, 1);
            all.extend(after.find(|day| !named.contains(day)));
        }
        // Article 3 (3): what lies between two.
        let mut after = days_from(*day, 1);
        if let (Some(between), Some(next)) = (after.next(), after.next())
            && named.contains(&next)
        {
            all.insert(between);
        }
    }
    all
}

/// The holidays that have a name.
fn named(year: i16) -> BTreeSet<Date> {
    let mut days = BTreeSet::from([
        date(year, 1, 1),
        monday(year, 1, 2),
        date(year, 2, 11),
        equinox(year, 3, 20.8431),
        date(year, 4, 29),
        date(year, 5, 3),
        date(year, 5, 4),
        date(year, 5, 5),
        monday(year, 9, 3),
        equinox(year, 9, 23.2488),
        date(year, 11, 3),
        date(year, 11, 23),
    ]);
    // Marine Day, Mountain Day (since 2016) and Sports Day moved for the Olympic games.
    days.extend(match year {
        2020 => [date(year, 7, 23), date(year, 8, 10), date(year, 7, 24)],
        2021 => [date(year, 7, 22), date(year, 8, 8), date(year, 7, 23)],
        _ => [monday(year, 7, 3), date(year, 8, 11), monday(year, 10, 2)],
    });
    if year < 2016 {
        days.remove(&date(year, 8, 11));
    }
    // The Emperor's birthday; in the year of the succession the days of enthronement and ceremony.
    match year {
        ..=2018 => days.extend([date(year, 12, 23)]),
        2019 => days.extend([date(year, 5, 1), date(year, 10, 22)]),
        _ => days.extend([date(year, 2, 23)]),
    }
    days
}

/// The n-th Monday of a month.
fn monday(year: i16, month: i8, n: i8) -> Date {
    let first = date(year, month, 1);
    first
        .nth_weekday_of_month(n, Weekday::Monday)
        .unwrap_or(first)
}

/// The day of an equinox: the customary approximation, right from 1980 to 2099. `base` is the day and its fraction
/// in 1980.
#[allow(clippy::cast_possible_truncation, reason = "a day of a month")]
fn equinox(year: i16, month: i8, base: f64) -> Date {
    let since = year - 1980;
    let day = (base + 0.242_194 * f64::from(since)).floor() - f64::from(since.div_euclid(4));
    date(year, month, (day as i8).clamp(1, 30))
}

/// 29 April to 5 May, with the days off that touch it.
fn golden_week(year: i16) -> (Date, Date) {
    let holidays = holidays(year);
    let off = |day: &Date| {
        holidays.contains(day) || matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
    };
    let (first, last) = (date(year, 4, 29), date(year, 5, 5));
    let before = days_from(first, -1).take_while(off).last();
    let after = days_from(last, 1).take_while(off).last();
    (before.unwrap_or(first), after.unwrap_or(last))
}

/// The days after a day, or before it.
fn days_from(day: Date, step: i64) -> impl Iterator<Item = Date> {
    day.series(step.days()).skip(1)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use musubi_api::peaks::CalendarName;

    use super::{holidays, spans};

    /// As the Cabinet Office lists them; from 2027 on as the law and the observatory's forecast of equinoxes have
    /// them.
    const KNOWN: [(i16, &str); 16] = [
        (
            2015,
            "1/1 1/12 2/11 3/21 4/29 5/3 5/4 5/5 5/6 7/20 9/21 9/22 9/23 10/12 11/3 11/23 12/23",
        ),
        (
            2016,
            "1/1 1/11 2/11 3/20 3/21 4/29 5/3 5/4 5/5 7/18 8/11 9/19 9/22 10/10 11/3 11/23 12/23",
        ),
        (
            2017,
            "1/1 1/2 1/9 2/11 3/20 4/29 5/3 5/4 5/5 7/17 8/11 9/18 9/23 10/9 11/3 11/23 12/23",
        ),
        (
            2018,
            "1/1 1/8 2/11 2/12 3/21 4/29 4/30 5/3 5/4 5/5 7/16 8/11 9/17 9/23 9/24 10/8 11/3 11/23 12/23 12/24",
        ),
        (
            2019,
            "1/1 1/14 2/11 3/21 4/29 4/30 5/1 5/2 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/23 10/14 10/22 11/3 11/4 11/23",
        ),
        (
            2020,
            "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/23 7/24 8/10 9/21 9/22 11/3 11/23",
        ),
        (
            2021,
            "1/1 1/11 2/11 2/23 3/20 4/29 5/3 5/4 5/5 7/22 7/23 8/8 8/9 9/20 9/23 11/3 11/23",
        ),
        (
            2022,
            "1/1 1/10 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/18 8/11 9/19 9/23 10/10 11/3 11/23",
        ),
        (
            2023,
            "1/1 1/2 1/9 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/17 8/11 9/18 9/23 10/9 11/3 11/23",
        ),
        (
            2024,
            "1/1 1/8 2/11 2/12 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/22 9/23 10/14 11/3 11/4 11/23",
        ),
        (
            2025,
            "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/21 8/11 9/15 9/23 10/13 11/3 11/23 11/24",
        ),
        (
            2026,
            "1/1 1/12 2/11 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/20 8/11 9/21 9/22 9/23 10/12 11/3 11/23",
        ),
        (
            2027,
            "1/1 1/11 2/11 2/23 3/21 3/22 4/29 5/3 5/4 5/5 7/19 8/11 9/20 9/23 10/11 11/3 11/23",
        ),
        (
            2028,
            "1/1 1/10 2/11 2/23 3/20 4/29 5/3 5/4 5/5 7/17 8/11 9/18 9/22 10/9 11/3 11/23",
        ),
        (
            2029,
            "1/1 1/8 2/11 2/12 2/23 3/20 4/29 4/30 5/3 5/4 5/5 7/16 8/11 9/17 9/23 9/24 10/8 11/3 11/23",
        ),
        (
            2030,
            "1/1 1/14 2/11 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/23 10/14 11/3 11/4 11/23",
        ),
    ];

    #[test]
    fn holidays_are_those_of_the_law() {
        for (year, known) in KNOWN {
            let days = holidays(year);
            let days: Vec<String> = days
                .iter()
                .map(|d| format!("{}/{}", d.month(), d.day()))
                .collect();
            assert_eq!(days.join(" "), known, "{year}");
        }
    }

    #[test]
    fn golden_week_takes_in_the_days_off_that_touch_it() {
        let week = |year| spans(CalendarName::GoldenWeek, year)[0];
        // A Saturday and a Sunday go before Monday 29 April; a substitute on Monday 6 May comes after.
        assert_eq!(week(2019), (date(2019, 4, 27), date(2019, 5, 6)));
        // Saturday 29 April to Friday 5 May, and the weekend after it.
        assert_eq!(week(2023), (date(2023, 4, 29), date(2023, 5, 7)));
        // Wednesday to Wednesday: the substitute of Sunday 3 May.
        assert_eq!(week(2026), (date(2026, 4, 29), date(2026, 5, 6)));
    }

    #[test]
    fn the_year_ends_in_the_next_one() {
        let span = spans(CalendarName::YearEnd, 2026)[0];
        assert_eq!(span, (date(2026, 12, 29), date(2027, 1, 3)));
        assert_eq!(
            spans(CalendarName::Obon, 2026),
            [(date(2026, 8, 13), date(2026, 8, 16))]
        );
    }
}
