//! Which peak counts when, and what is different in it.

use std::{str::FromStr as _, time::Duration};

use croner::Cron;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};
use kube::ResourceExt as _;
use musubi_api::{
    peaks::{CalendarRange, CronRange, DateRange, Peak},
    pipeline::CustomerPipelineSpec,
    source::seconds,
    status::{ActivePeak, NextPeak},
};

use crate::{build::job::QUEUE, calendar};

/// How far ahead is looked for what comes next: near first, then a year, since most comes within a week.
pub(crate) const AHEAD: [SignedDuration; 2] = [
    SignedDuration::from_hours(8 * 24),
    SignedDuration::from_hours(400 * 24),
];
/// Times of a cron expression that are looked at.
const MOST: usize = 20_000;

/// A stretch of time, without its end, and the peak that counts in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment<'a> {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) peak: Option<&'a Peak>,
}

/// The peak that counts at an instant.
pub(crate) fn at(peaks: &[Peak], now: Timestamp) -> Option<&Peak> {
    let soon = now + SignedDuration::from_secs(1);
    peaks
        .iter()
        .find(|peak| !windows(peak, now, soon).is_empty())
}

/// A stretch of time in pieces, each with the one peak that counts in it: of those that overlap the first in the
/// list.
pub(crate) fn segments(peaks: &[Peak], from: Timestamp, until: Timestamp) -> Vec<Segment<'_>> {
    let of_each: Vec<(&Peak, Vec<Window>)> = peaks
        .iter()
        .map(|peak| (peak, windows(peak, from, until)))
        .collect();
    let edges = of_each.iter().flat_map(|(_, windows)| windows);
    let edges = edges.flat_map(|&(begins, ends)| [begins, ends]);
    let mut cuts: Vec<Timestamp> = edges.filter(|at| *at > from && *at < until).collect();
    cuts.extend([from, until]);
    cuts.sort();
    cuts.dedup();
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for pair in cuts.windows(2) {
        let (from, until) = (pair[0], pair[1]);
        let counts = of_each.iter().find(|(_, windows)| covers(windows, from));
        let peak = counts.map(|(peak, _)| *peak);
        match segments.last_mut() {
            Some(last) if last.peak == peak => last.until = until,
            _ => segments.push(Segment { from, until, peak }),
        }
    }
    segments
}

/// The peak that counts now, and the one that will next.
pub(crate) fn outlook(peaks: &[Peak], now: Timestamp) -> (Option<ActivePeak>, Option<NextPeak>) {
    if peaks.is_empty() {
        return (None, None);
    }
    let mut active = None;
    for ahead in AHEAD {
        let segments = segments(peaks, now, now + ahead);
        active = segments.first().and_then(|first| {
            Some(ActivePeak {
                name: first.peak?.name.clone(),
                until: (first.until < now + ahead).then_some(Time(first.until)),
            })
        });
        let next = segments.iter().skip(1).find_map(|segment| {
            Some(NextPeak {
                name: segment.peak?.name.clone(),
                from: Time(segment.from),
            })
        });
        if next.is_some() {
            return (active, next);
        }
    }
    (active, None)
}

/// The time until another peak counts, or none; at most so long.
pub(crate) fn change_within(peaks: &[Peak], now: Timestamp, most: Duration) -> Duration {
    let segments = segments(peaks, now, now + most);
    let change = segments.get(1).map(|next| next.from.duration_since(now));
    change.map_or(most, |wait| Duration::try_from(wait).unwrap_or_default())
}

/// What a run that begins at an instant has of the peak that counts then: shard sizes and priority.
pub(crate) fn apply(spec: &mut CustomerPipelineSpec, begins: Timestamp) {
    let Some(peak) = at(&spec.peaks, begins).cloned() else {
        return;
    };
    if let Some(mebibytes) = peak.split_mebibytes {
        spec.sharding.split_mebibytes = mebibytes;
    }
    spec.sharding.shards = peak.shards.or(spec.sharding.shards);
    let pods = &mut spec.pods;
    pods.priority_class_name = peak.priority_class_name.or(pods.priority_class_name.take());
}

/// Pods of a stage that run side by side, at most, in a peak that says so.
pub(crate) fn parallelism(spec: &CustomerPipelineSpec, now: Timestamp) -> Option<i32> {
    at(&spec.peaks, now)?.parallelism
}

/// How many pods of a Job run side by side, and how many it could be in the peak that counts, when that is more. When
/// a peak is over a Job stays as it is: to get back to fewer Kubernetes would end pods that work. What is Kueue's
/// stays too: it admitted a number of pods, and would take them back for another number.
pub(crate) fn wider(spec: &CustomerPipelineSpec, job: &Job, now: Timestamp) -> Option<(i32, i32)> {
    if job.labels().contains_key(QUEUE) {
        return None;
    }
    let of_job = job.spec.as_ref()?;
    let wide = parallelism(spec, now)?;
    let wide = of_job.completions.map_or(wide, |all| wide.min(all));
    let narrow = of_job.parallelism?;
    (narrow < wide).then_some((narrow, wide))
}

/// When something of a peak is, without its end.
type Window = (Timestamp, Timestamp);

/// Whether one of the windows, which are in order and apart, has an instant.
fn covers(windows: &[Window], at: Timestamp) -> bool {
    let after = windows.partition_point(|(from, _)| *from <= at);
    let last = after.checked_sub(1).and_then(|n| windows.get(n));
    last.is_some_and(|(_, until)| at < *until)
}

/// The windows of a peak that touch a stretch of time, in order and apart. What is wrong with a peak stands in
/// `Ready`; it has none.
fn windows(peak: &Peak, from: Timestamp, until: Timestamp) -> Vec<Window> {
    let Ok(zone) = TimeZone::get(&peak.time_zone) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(dates) = &peak.when.dates {
        found.extend(dates.iter().filter_map(|range| of_dates(range, &zone)));
    }
    if let Some(range) = &peak.when.calendar {
        found.extend(of_calendar(range, &zone, from, until));
    }
    if let Some(range) = &peak.when.cron {
        found.extend(of_cron(range, &zone, from, until).unwrap_or_default());
    }
    found.retain(|(begins, ends)| *begins < until && *ends > from);
    found.sort();
    found.dedup_by(|next, last| {
        let touch = next.0 <= last.1;
        if touch {
            last.1 = last.1.max(next.1);
        }
        touch
    });
    found
}

/// From the beginning of a day to the end of another.
fn days(first: Date, last: Date, zone: &TimeZone) -> Option<Window> {
    let begins = |day: Date| Some(day.to_zoned(zone.clone()).ok()?.timestamp());
    Some((begins(first)?, begins(last.tomorrow().ok()?)?))
}

fn of_dates(range: &DateRange, zone: &TimeZone) -> Option<Window> {
    days(range.from.parse().ok()?, range.to.parse().ok()?, zone)
}

fn of_calendar(
    range: &CalendarRange,
    zone: &TimeZone,
    from: Timestamp,
    until: Timestamp,
) -> Vec<Window> {
    let year = |at: Timestamp| at.to_zoned(zone.clone()).year();
    // One that began last year may not be over, and one of the next may have days before it.
    let years = (year(from) - 1)..=(year(until) + 1);
    let spans = years.flat_map(|year| calendar::spans(range.name, year));
    let around = |days: u8| jiff::Span::new().days(days);
    let with_days_around = spans.filter_map(|(first, last)| {
        let first = first.checked_sub(around(range.days_before)).ok()?;
        let last = last.checked_add(around(range.days_after)).ok()?;
        days(first, last, zone)
    });
    with_days_around.collect()
}

fn of_cron(
    range: &CronRange,
    zone: &TimeZone,
    from: Timestamp,
    until: Timestamp,
) -> Option<Vec<Window>> {
    let cron = Cron::from_str(&range.start).ok()?;
    let lasts = SignedDuration::from_secs(seconds(&range.lasts)?);
    let first = (from - lasts).to_zoned(zone.clone());
    let starts = cron.iter_from(first, croner::Direction::Forward);
    let starts = starts.map(|start| start.timestamp()).take(MOST);
    let starts = starts.take_while(|start| *start < until);
    Some(starts.map(|start| (start, start + lasts)).collect())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::api::batch::v1::Job;
    use musubi_api::peaks::Peak;
    use serde_json::{Value, json};

    use super::{apply, at, outlook, parallelism, segments, wider};
    use crate::tests::run;

    fn peaks(all: Value) -> Vec<Peak> {
        serde_json::from_value(all).unwrap_or_else(|e| panic!("{e}"))
    }

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn name(peaks: &[Peak], text: &str) -> String {
        at(peaks, instant(text)).map_or_else(|| "none".into(), |peak| peak.name.clone())
    }

    #[test]
    fn days_begin_and_end_at_midnight_of_their_time_zone() {
        let sale = peaks(json!([{
            "name": "sale", "parallelism": 50,
            "when": { "dates": [{ "from": "2026-11-27", "to": "2026-11-30" }] },
        }]));
        let table = [
            ("2026-11-26T14:59:59Z", "none"),
            ("2026-11-26T15:00:00Z", "sale"),
            ("2026-11-30T14:59:59Z", "sale"),
            ("2026-11-30T15:00:00Z", "none"),
        ];
        for (at, expected) in table {
            assert_eq!(name(&sale, at), expected, "{at}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_its_time_zone_makes_it() {
        // Clocks go forward on 8 March and back on 1 November 2026: days of 23 and of 25 hours.
        let hours = |day: &str| {
            let all = peaks(json!([{
                "name": "day", "parallelism": 50, "timeZone": "America/New_York",
                "when": { "dates": [{ "from": day, "to": day }] },
            }]));
            let (from, until) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
            let segments = segments(&all, instant(from), instant(until));
            assert_eq!(segments.len(), 3);
            segments[1]
                .until
                .duration_since(segments[1].from)
                .as_hours()
        };
        assert_eq!((hours("2026-03-08"), hours("2026-11-01")), (23, 25));
    }

    #[test]
    fn a_cron_window_lasts_as_long_as_it_says_whatever_clocks_do() {
        let night = peaks(json!([{
            "name": "night", "parallelism": 50, "timeZone": "America/New_York",
            "when": { "cron": { "start": "0 1 * * *", "lasts": "3h" } },
        }]));
        // 01:00 is 06:00 UTC, 02:00 does not exist: three hours later it is 05:00 by the clock.
        assert_eq!(name(&night, "2026-03-08T08:59:59Z"), "night");
        assert_eq!(name(&night, "2026-03-08T09:00:00Z"), "none");
        // 01:00 comes twice, at 05:00 and 06:00 UTC: the first counts.
        assert_eq!(name(&night, "2026-11-01T05:00:00Z"), "night");
        assert_eq!(name(&night, "2026-11-01T07:59:59Z"), "night");
        assert_eq!(name(&night, "2026-11-01T08:00:00Z"), "none");
    }

    #[test]
    fn of_peaks_that_overlap_the_first_counts() {
        let both = peaks(json!([
            {
                "name": "year-end", "parallelism": 100,
                "when": { "calendar": { "name": "YearEnd", "daysBefore": 3 } },
            },
            {
                "name": "lunch", "parallelism": 40,
                "when": { "cron": { "start": "0 11 * * *", "lasts": "3h" } },
            },
        ]));
        let (active, next) = outlook(&both, instant("2026-12-25T03:00:00Z"));
        let active = active.unwrap_or_else(|| panic!("none"));
        assert_eq!(
            (active.name.as_str(), active.until.map(|t| t.0)),
            ("lunch", Some(instant("2026-12-25T05:00:00Z")))
        );
        let next = next.unwrap_or_else(|| panic!("none"));
        assert_eq!(
            (next.name.as_str(), next.from.0),
            ("year-end", instant("2026-12-25T15:00:00Z"))
        );
        // Lunch goes by unseen until the new year is three days old.
        let (active, next) = outlook(&both, instant("2026-12-27T02:30:00Z"));
        assert_eq!(
            active.and_then(|a| a.until).map(|t| t.0),
            Some(instant("2027-01-03T15:00:00Z"))
        );
        assert_eq!(
            next.map(|n| n.from.0),
            Some(instant("2027-01-04T02:00:00Z"))
        );
    }

    #[test]
    fn the_next_peak_may_be_a_year_away() {
        let obon = peaks(json!([{
            "name": "obon", "parallelism": 100, "when": { "calendar": { "name": "Obon" } },
        }]));
        let (active, next) = outlook(&obon, instant("2026-08-16T15:00:00Z"));
        assert_eq!(active, None);
        assert_eq!(
            next.map(|n| n.from.0),
            Some(instant("2027-08-12T15:00:00Z"))
        );
        assert_eq!(outlook(&[], instant("2026-08-16T15:00:00Z")), (None, None));
    }

    #[test]
    fn holidays_side_by_side_are_one_window() {
        let days = peaks(json!([{
            "name": "days-off", "parallelism": 100, "when": { "calendar": { "name": "JapaneseHolidays" } },
        }]));
        let (active, _) = outlook(&days, instant("2026-09-21T00:00:00Z"));
        assert_eq!(
            active.and_then(|a| a.until).map(|t| t.0),
            Some(instant("2026-09-23T15:00:00Z"))
        );
    }

    #[test]
    fn a_window_that_begins_before_the_last_is_over_goes_on() {
        let always = peaks(json!([{
            "name": "always", "parallelism": 100, "when": { "cron": { "start": "0 * * * *", "lasts": "1h" } },
        }]));
        let (active, next) = outlook(&always, instant("2026-09-21T00:30:00Z"));
        assert!(active.is_some() && next.is_none());
    }

    #[test]
    fn a_job_is_raised_in_a_peak_and_never_lowered() {
        let mut spec = run().spec;
        spec.peaks = peaks(json!([{
            "name": "sale", "parallelism": 80,
            "when": { "dates": [{ "from": "2026-11-27", "to": "2026-11-27" }] },
        }]));
        let job = |parallelism: i32, completions: i32, labels: Value| -> Job {
            serde_json::from_value(json!({
                "metadata": { "labels": labels },
                "spec": { "parallelism": parallelism, "completions": completions, "template": {} },
            }))
            .unwrap_or_else(|e| panic!("{e}"))
        };
        let none = || json!({});
        let (before, within) = (
            instant("2026-11-26T00:00:00Z"),
            instant("2026-11-27T00:00:00Z"),
        );
        assert_eq!(wider(&spec, &job(20, 500, none()), before), None);
        assert_eq!(wider(&spec, &job(20, 500, none()), within), Some((20, 80)));
        assert_eq!(wider(&spec, &job(20, 30, none()), within), Some((20, 30)));
        assert_eq!(wider(&spec, &job(100, 500, none()), within), None);
        let queued = json!({ "kueue.x-k8s.io/queue-name": "batch" });
        assert_eq!(wider(&spec, &job(20, 500, queued), within), None);
    }

    #[test]
    fn what_is_different_in_a_peak_and_what_is_not() {
        let mut spec = run().spec;
        spec.peaks = peaks(json!([{
            "name": "sale", "shards": 32, "priorityClassName": "urgent", "parallelism": 80,
            "when": { "dates": [{ "from": "2026-11-27", "to": "2026-11-27" }] },
        }]));
        let (before, within) = (
            instant("2026-11-26T00:00:00Z"),
            instant("2026-11-27T00:00:00Z"),
        );
        let plain = spec.clone();
        apply(&mut spec, before);
        assert_eq!(spec, plain);
        apply(&mut spec, within);
        assert_eq!(spec.sharding.shards, Some(32));
        assert_eq!(
            spec.sharding.split_mebibytes,
            plain.sharding.split_mebibytes
        );
        assert_eq!(spec.pods.priority_class_name.as_deref(), Some("urgent"));
        // Width is no part of a run: it follows the clock.
        assert_eq!(spec.pods.parallelism, plain.pods.parallelism);
        assert_eq!(
            (parallelism(&spec, before), parallelism(&spec, within)),
            (None, Some(80))
        );
    }
}
