//! Of which instant the newest data of each source is: what a run says of its bookmarks outside of the lake. An
//! instant names no person and no path.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use musubi_api::{run::Run, source::SourceSpec};

use super::{
    files::{File, Files},
    intake,
};

/// Bytes of a report that they may take.
const LIMIT: usize = 2800;

/// The instant of the newest data of each source: the cursor of a table where that is a time, the end of the day
/// in a file's name, else when it arrived; never later than that.
pub(super) fn newest(run: &Run, files: &Files) -> BTreeMap<String, Timestamp> {
    let mut newest: BTreeMap<String, Timestamp> = BTreeMap::new();
    for file in &files.0 {
        let Some(source) = run.sources.get(&file.source) else {
            continue;
        };
        if intake::is_ours(&file.source, &file.stream, source) {
            continue;
        }
        if let Some(at) = instant(file, source) {
            let known = newest.entry(file.source.clone()).or_insert(at);
            *known = at.max(*known);
        }
    }
    newest
}

/// As many as a report has room for, in seconds: the oldest, since those are the ones to look at.
pub(super) fn report(newest: &BTreeMap<String, Timestamp>) -> BTreeMap<String, i64> {
    let mut oldest_first: Vec<_> = newest.iter().collect();
    oldest_first.sort_by_key(|(_, at)| **at);
    let mut room = LIMIT;
    let fits = oldest_first.into_iter().take_while(|(name, _)| {
        // Quotes, colon, comma, and the digits of a second.
        let taken = name.len() + 16;
        let fits = taken <= room;
        room = room.saturating_sub(taken);
        fits
    });
    fits.map(|(name, at)| (name.clone(), at.as_second()))
        .collect()
}

fn instant(file: &File, source: &SourceSpec) -> Option<Timestamp> {
    let zone = TimeZone::get(&source.time_zone).unwrap_or(TimeZone::UTC);
    let said = match (&file.bookmark, file.date) {
        (Some(cursor), _) => time(cursor, &zone),
        (None, Some(date)) => {
            let end = date.tomorrow().ok()?;
            Some(end.to_zoned(zone).ok()?.timestamp())
        }
        (None, None) => None,
    };
    match (said, file.arrived) {
        (Some(said), Some(arrived)) => Some(said.min(arrived)),
        (said, arrived) => said.or(arrived),
    }
}

/// A cursor that is a time, as a database writes it. A number is none, although it may look like a day.
fn time(cursor: &str, zone: &TimeZone) -> Option<Timestamp> {
    if !cursor.contains('-') {
        return None;
    }
    let with_zone = cursor.parse::<Timestamp>().ok();
    with_zone.or_else(|| {
        let local = cursor.parse::<DateTime>().ok()?;
        Some(local.to_zoned(zone.clone()).ok()?.timestamp())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use musubi_api::source::SourceSpec;
    use serde_json::{Value, json};

    use super::{instant, report};

    fn seen(file: Value) -> String {
        let mut all = json!({
            "source": "s", "stream": "t", "path": "p", "tag": "", "size": 1, "sha256": "", "raw": "", "taken": 1,
            "arrived": "2026-11-25T00:00:00Z",
        });
        for (key, value) in file.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        let file = serde_json::from_value(all).unwrap_or_else(|e| panic!("{e}"));
        let source: SourceSpec = serde_json::from_value(json!({
            "system": "pos", "connector": { "folder": { "path": "x" } },
            "streams": [{ "name": "t", "files": { "path": "x" }, "format": { "json": {} } }],
        }))
        .unwrap_or_else(|e| panic!("{e}"));
        instant(&file, &source).map_or_else(|| "never".into(), |at| at.to_string())
    }

    #[test]
    fn newest_data_is_as_old_as_what_says_it_best() {
        let arrived = "2026-11-25T00:00:00Z";
        let table = [
            (json!({}), arrived),
            // The day ends at midnight in Tokyo.
            (json!({ "date": "2026-11-23" }), "2026-11-23T15:00:00Z"),
            // Today's file holds nothing of this evening, and a slip of the pen nothing of next year.
            (json!({ "date": "2026-11-25" }), arrived),
            (json!({ "date": "2062-11-25" }), arrived),
            (
                json!({ "bookmark": "2026-11-24 03:30:00+09" }),
                "2026-11-23T18:30:00Z",
            ),
            (
                json!({ "bookmark": "2026-11-24 03:30:00.25" }),
                "2026-11-23T18:30:00.25Z",
            ),
            (json!({ "bookmark": "2026-11-24" }), "2026-11-23T15:00:00Z"),
            (json!({ "bookmark": "20261124" }), arrived),
            (json!({ "bookmark": "C-000123" }), arrived),
        ];
        for (file, expected) in table {
            assert_eq!(seen(file.clone()), expected, "{file}");
        }
    }

    #[test]
    fn a_report_has_room_for_the_oldest() {
        let second = |n: i64| Timestamp::from_second(1_700_000_000 + n).unwrap_or_default();
        let all: BTreeMap<String, Timestamp> = (0..100)
            .map(|n| (format!("{n:02}{}", "x".repeat(61)), second(100 - n)))
            .collect();
        let report = report(&all);
        let bytes = serde_json::to_string(&report).unwrap_or_default().len();
        assert!(
            bytes < 3000 && report.len() > 30,
            "{bytes} bytes for {}",
            report.len()
        );
        assert!(report.contains_key(&format!("99{}", "x".repeat(61))));
    }
}
