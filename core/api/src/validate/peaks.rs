//! Peaks: dates, cron expressions, lengths of time.

use jiff::civil::Date;

use super::text::{self, Checked};
use crate::{
    peaks::{DateRange, Peak},
    source::seconds,
};

/// Seconds that a time of a cron expression may last.
const LONGEST: i64 = 31 * 24 * 3600;

pub(super) fn check(peaks: &[Peak], say: &mut impl FnMut(&str, Checked)) {
    for (i, peak) in peaks.iter().enumerate() {
        let field = |name: &str| format!("spec.peaks[{i}].{name}");
        say(&field("timeZone"), text::time_zone(&peak.time_zone));
        if let Some(schedule) = &peak.schedule {
            say(&field("schedule"), text::cron(schedule));
        }
        if let Some(range) = &peak.when.cron {
            say(&field("when.cron.start"), text::cron(&range.start));
            say(&field("when.cron.lasts"), lasts(&range.lasts));
        }
        for (j, range) in peak.when.dates.iter().flatten().enumerate() {
            let DateRange { from, to } = range;
            say(&field(&format!("when.dates[{j}].from")), date(from));
            say(&field(&format!("when.dates[{j}].to")), date(to));
        }
    }
}

fn date(text: &str) -> Checked {
    let day = text.parse::<Date>();
    let wrong = |_| format!("`{text}` is not a day: write one that there is, such as 2026-11-27");
    day.map(|_| ()).map_err(wrong)
}

fn lasts(text: &str) -> Checked {
    text::duration(text)?;
    match seconds(text) {
        Some(seconds) if seconds <= LONGEST => Ok(()),
        _ => Err(format!(
            "`{text}` is longer than 31 days: list such times in `dates`"
        )),
    }
}
