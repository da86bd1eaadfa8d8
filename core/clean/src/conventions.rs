//! What a source means where its values do not say.

use jiff::tz::TimeZone;
use musubi_api::source::{SourceSpec, Stream};

/// What values of a source without further word mean.
#[derive(Clone)]
pub(crate) struct Conventions {
    pub(crate) zone: TimeZone,
    /// Lower case.
    pub(crate) country: String,
    /// How many seconds after midnight the shop's day ends.
    pub(crate) day_ends: i64,
}

impl Conventions {
    /// Those of a stream.
    ///
    /// # Errors
    /// The field that means nothing, and why.
    pub(crate) fn new(spec: &SourceSpec, stream: &Stream) -> Result<Self, (String, String)> {
        let zone = TimeZone::get(&spec.time_zone).map_err(|_| {
            (
                "timeZone".to_owned(),
                format!(
                    "{} is no IANA time zone, such as Asia/Tokyo",
                    spec.time_zone
                ),
            )
        })?;
        let day_ends = match &stream.day_ends_at {
            None => Some(0),
            Some(text) => text.split_once(':').and_then(|(hours, minutes)| {
                let hours: i64 = hours.parse().ok().filter(|h| (0..24).contains(h))?;
                let minutes: i64 = minutes.parse().ok().filter(|m| (0..60).contains(m))?;
                Some(hours * 3600 + minutes * 60)
            }),
        };
        let day_ends = day_ends.ok_or_else(|| {
            (
                "dayEndsAt".to_owned(),
                "is no time of day, such as 03:00".to_owned(),
            )
        })?;
        Ok(Self {
            zone,
            country: spec.country.to_lowercase(),
            day_ends,
        })
    }
}
