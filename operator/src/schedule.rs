//! When runs are due.

use std::str::FromStr;

use croner::Cron;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use musubi_api::{peaks::Peak, pipeline::Schedule};

use crate::peaks::{self, Segment};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How far back peaks are looked at.
const YEAR: SignedDuration = SignedDuration::from_hours(400 * 24);

/// What a schedule says at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The latest due time that is not dealt with. Earlier ones that were missed are made up for by it: a run
    /// takes whatever is new.
    pub(crate) due: Option<Timestamp>,
    /// Whether it is so late that the starting deadline has passed.
    pub(crate) too_late: bool,
    /// The next due time.
    pub(crate) next: Option<Timestamp>,
}

/// Looks at a schedule. `since` is the due time that was dealt with last, or the pipeline's creation. While a peak
/// counts that has a schedule, that is the one.
///
/// A time that the clock jumps over is due at the first instant after the jump; of a time that comes twice
/// the first counts, unless the hour is a wildcard.
///
/// # Errors
/// What is wrong with an expression or the time zone.
pub(crate) fn look(
    schedule: &Schedule,
    peaks: &[Peak],
    since: Timestamp,
    now: Timestamp,
) -> Result<Look, String> {
    let zone = TimeZone::get(&schedule.time_zone).map_err(|e| e.to_string())?;
    let cron = |text: &str| Cron::from_str(text).map_err(|e| e.to_string());
    let general = cron(&schedule.cron)?;
    let of_peaks: Vec<(&Peak, Cron)> = peaks
        .iter()
        .filter_map(|peak| Some((peak, peak.schedule.as_deref()?)))
        .map(|(peak, text)| Ok((peak, cron(text)?)))
        .collect::<Result<_, String>>()?;
    // Peaks that leave the schedule as it is need not be looked at.
    let peaks = if of_peaks.is_empty() { &[] } else { peaks };
    let of = |segment: &Segment<'_>| {
        let own = of_peaks
            .iter()
            .find(|(peak, _)| segment.peak == Some(*peak));
        own.map_or(&general, |(_, cron)| cron)
    };
    // A date that never comes, such as 30 February, has neither.
    let find = |cron: &Cron, at: Timestamp, inclusive: bool, forward: bool| {
        let here = at.to_zoned(zone.clone());
        let found = if forward {
            cron.find_next_occurrence(&here, inclusive)
        } else {
            cron.find_previous_occurrence(&here, inclusive)
        };
        found.ok().map(|at| at.timestamp())
    };

    let past = peaks::segments(peaks, since.clamp(now - YEAR, now), now + SECOND);
    let due = past.iter().enumerate().rev().find_map(|(n, segment)| {
        // What was due before the first segment is found in it: it has no peak before it.
        let due = find(
            of(segment),
            segment.until.min(now),
            segment.until > now,
            false,
        )?;
        (n == 0 || due >= segment.from).then_some(due)
    });
    let due = due.filter(|at| *at > since);
    let deadline = schedule.starting_deadline_seconds;
    let too_late = due
        .zip(deadline)
        .is_some_and(|(due, deadline)| now.as_second().saturating_sub(due.as_second()) > deadline);

    // Who looked before may have had a clock that is ahead of this one.
    let from = now.max(since);
    let next_until = |until: Timestamp, is_far: bool| {
        let future = peaks::segments(peaks, from, until);
        future.iter().enumerate().find_map(|(n, segment)| {
            let next = find(of(segment), segment.from, n > 0, true)?;
            let last = is_far && n + 1 == future.len();
            (last || next < segment.until).then_some(next)
        })
    };
    let [near, far] = peaks::AHEAD;
    let next = next_until(from + near, peaks.is_empty()).or_else(|| next_until(from + far, true));
    Ok(Look {
        due,
        too_late,
        next,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use musubi_api::{
        peaks::Peak,
        pipeline::{ConcurrencyPolicy, Schedule},
    };

    use super::{Look, look};

    fn schedule(cron: &str, zone: &str) -> Schedule {
        Schedule {
            cron: cron.into(),
            time_zone: zone.into(),
            concurrency_policy: ConcurrencyPolicy::Forbid,
            starting_deadline_seconds: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn seen(schedule: &Schedule, since: &str, now: &str) -> Look {
        look(schedule, &[], at(since), at(now)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Every four hours on two days of a sale.
    fn sale() -> Vec<Peak> {
        let sale = serde_json::json!([{
            "name": "sale", "schedule": "0 */4 * * *",
            "when": { "dates": [{ "from": "2026-11-27", "to": "2026-11-28" }] },
        }]);
        serde_json::from_value(sale).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn in_a_peak_its_schedule_counts() {
        let night = schedule("30 4 * * *", "Asia/Tokyo");
        let seen = |since: &str, now: &str| {
            look(&night, &sale(), at(since), at(now)).unwrap_or_else(|e| panic!("{e}"))
        };
        // The evening before: the first run of the peak is at its first midnight.
        let before = seen("2026-11-25T19:30:00Z", "2026-11-26T10:00:00Z");
        assert_eq!(
            (before.due, before.next),
            (None, Some(at("2026-11-26T15:00:00Z")))
        );
        let first = seen("2026-11-25T19:30:00Z", "2026-11-26T15:00:00Z");
        assert_eq!(first.due, Some(at("2026-11-26T15:00:00Z")));
        assert_eq!(first.next, Some(at("2026-11-26T19:00:00Z")));
        // 04:30 of the first day is not due: the peak has another schedule.
        let morning = seen("2026-11-26T19:00:00Z", "2026-11-26T20:00:00Z");
        assert_eq!(
            (morning.due, morning.next),
            (None, Some(at("2026-11-26T23:00:00Z")))
        );
        // The last evening: the next run is that of every night.
        let last = seen("2026-11-28T11:00:00Z", "2026-11-28T14:00:00Z");
        assert_eq!(
            (last.due, last.next),
            (None, Some(at("2026-11-28T19:30:00Z")))
        );
        // After a downtime over its end: the last that was due in it.
        let late = seen("2026-11-26T19:00:00Z", "2026-11-28T16:00:00Z");
        assert_eq!(late.due, Some(at("2026-11-28T11:00:00Z")));
    }

    #[test]
    fn a_night_in_tokyo() {
        let night = schedule("30 4 * * *", "Asia/Tokyo");
        let before = seen(&night, "2026-11-24T19:30:00Z", "2026-11-25T19:29:59Z");
        assert_eq!(before.due, None);
        assert_eq!(before.next, Some(at("2026-11-25T19:30:00Z")));
        let on_time = seen(&night, "2026-11-24T19:30:00Z", "2026-11-25T19:30:00Z");
        assert_eq!(on_time.due, Some(at("2026-11-25T19:30:00Z")));
        assert_eq!(on_time.next, Some(at("2026-11-26T19:30:00Z")));
        let dealt_with = seen(&night, "2026-11-25T19:30:00Z", "2026-11-25T19:31:00Z");
        assert_eq!(dealt_with.due, None);
    }

    /// Who dealt with it had a clock that is ahead.
    #[test]
    fn what_was_dealt_with_is_neither_due_nor_next() {
        let often = schedule("* * * * *", "Asia/Tokyo");
        let look = seen(&often, "2026-11-25T00:04:00Z", "2026-11-25T00:00:30Z");
        assert_eq!(look.due, None);
        assert_eq!(look.next, Some(at("2026-11-25T00:05:00Z")));
    }

    #[test]
    fn after_a_year_of_rest_one_run_is_due() {
        let often = schedule("*/5 * * * *", "Asia/Tokyo");
        let look = seen(&often, "2025-11-25T00:00:00Z", "2026-11-25T00:03:00Z");
        assert_eq!(look.due, Some(at("2026-11-25T00:00:00Z")));
        assert!(!look.too_late);
    }

    #[test]
    fn a_start_that_is_too_late_is_told() {
        let mut night = schedule("30 4 * * *", "Asia/Tokyo");
        night.starting_deadline_seconds = Some(3600);
        let since = "2026-11-24T19:30:00Z";
        assert!(!seen(&night, since, "2026-11-25T20:30:00Z").too_late);
        assert!(seen(&night, since, "2026-11-25T20:30:01Z").too_late);
    }

    #[test]
    fn when_clocks_go_forward_the_missing_hour_is_made_up_for_at_its_end() {
        // New York has no 02:30 on 8 March 2026: 01:59:59 is followed by 03:00, 07:00 UTC.
        let night = schedule("30 2 * * *", "America/New_York");
        let look = seen(&night, "2026-03-07T07:30:00Z", "2026-03-08T12:00:00Z");
        assert_eq!(look.due, Some(at("2026-03-08T07:00:00Z")));
        assert_eq!(look.next, Some(at("2026-03-09T06:30:00Z")));
    }

    #[test]
    fn when_clocks_go_back_the_hour_that_comes_twice_counts_once() {
        // New York has 01:30 twice on 1 November 2026, at 05:30 and 06:30 UTC.
        let night = schedule("30 1 * * *", "America/New_York");
        let first = seen(&night, "2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z");
        assert_eq!(first.due, Some(at("2026-11-01T05:30:00Z")));
        assert_eq!(first.next, Some(at("2026-11-02T06:30:00Z")));
        let second = seen(&night, "2026-11-01T05:30:00Z", "2026-11-01T06:45:00Z");
        assert_eq!(second.due, None, "it was dealt with an hour before");
    }

    #[test]
    fn a_date_that_never_comes_is_never_due() {
        let never = schedule("0 0 30 2 *", "Asia/Tokyo");
        let look = seen(&never, "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z");
        assert_eq!((look.due, look.next), (None, None));
    }
}
