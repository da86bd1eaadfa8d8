//! Whether the data of a source is as new as it is promised to be.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use musubi_api::source::{Bookmark, SourceSpec, seconds};

/// What is said of a source that promises something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// Whether the promise is kept.
    pub(crate) holds: bool,
    /// A word of the documented list.
    pub(crate) reason: &'static str,
    /// A sentence. It stays the same while nothing changes.
    pub(crate) message: String,
    /// When it will be broken unless newer data comes.
    pub(crate) until: Option<Duration>,
}

/// Judges a source; nothing when it promises nothing.
pub(crate) fn of(
    spec: &SourceSpec,
    bookmark: Option<&Bookmark>,
    now: Timestamp,
) -> Option<Freshness> {
    let objective = spec.freshness.as_deref()?;
    let most = SignedDuration::from_secs(seconds(objective)?);
    let Some(bookmark) = bookmark else {
        return Some(Freshness {
            holds: false,
            reason: "NoData",
            message: "no run has published anything of this source yet".into(),
            until: None,
        });
    };
    let newest = bookmark.newest.0;
    let left = most - now.duration_since(newest);
    let holds = left >= SignedDuration::ZERO;
    let published = format!("the newest data that is published is of {newest}");
    Some(Freshness {
        holds,
        reason: if holds { "WithinObjective" } else { "Stale" },
        message: if holds {
            format!("{published}, within {objective}")
        } else {
            format!(
                "{published}, which is more than {objective} ago: see whether the system still delivers, and whether \
                 runs succeed (the last that published was {})",
                bookmark.run
            )
        },
        until: Duration::try_from(left).ok().filter(|_| holds),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use musubi_api::source::{Bookmark, SourceSpec};
    use serde_json::json;

    use super::of;

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn source(freshness: Option<&str>) -> SourceSpec {
        serde_json::from_value(json!({
            "system": "pos", "connector": { "folder": { "path": "x" } }, "freshness": freshness,
            "streams": [{ "name": "a", "files": { "path": "x" }, "format": { "json": {} } }],
        }))
        .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn a_source_is_fresh_until_its_newest_data_is_too_old() {
        let bookmark = Bookmark {
            newest: Time(instant("2026-11-24T15:00:00Z")),
            run: "bento-1".into(),
        };
        let seen = |now: &str| of(&source(Some("26h")), Some(&bookmark), instant(now));
        let fresh = seen("2026-11-25T16:59:00Z").unwrap_or_else(|| panic!("nothing"));
        assert_eq!((fresh.holds, fresh.reason), (true, "WithinObjective"));
        assert_eq!(fresh.until.map(|d| d.as_secs()), Some(60));
        let later = seen("2026-11-25T16:00:00Z").map(|f| f.message);
        assert_eq!(later, Some(fresh.message), "time alone changes nothing");
        let stale = seen("2026-11-25T17:00:01Z").unwrap_or_else(|| panic!("nothing"));
        assert_eq!(
            (stale.holds, stale.reason, stale.until),
            (false, "Stale", None)
        );
        assert!(stale.message.starts_with(
            "the newest data that is published is of 2026-11-24T15:00:00Z, which is more than 26h ago: see"
        ));
    }

    #[test]
    fn who_promises_nothing_is_not_judged_and_who_has_nothing_is_not_fresh() {
        let now = instant("2026-11-25T00:00:00Z");
        assert_eq!(of(&source(None), None, now), None);
        assert_eq!(
            of(&source(Some("3d")), None, now).map(|f| f.reason),
            Some("NoData")
        );
    }
}
