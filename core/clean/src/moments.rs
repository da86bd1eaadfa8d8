//! Dates and times of a stream: every notation once, and values that come again read once.

use jiff::tz::TimeZone;

use crate::date;
use crate::mapping::days;
use crate::normalised::Normalised;
use crate::recent::Recent;

/// A notation that has been declared; an index into [`Moments`].
pub(crate) type MomentId = usize;

/// The notations of a stream's dates and times.
#[derive(Default)]
pub(crate) struct Moments(Vec<Notation>);

#[derive(PartialEq)]
struct Notation {
    kind: MomentKind,
    format: Option<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum MomentKind {
    Date,
    Timestamp,
}

impl Moments {
    /// Dates; their values are days since 1970.
    pub(crate) fn date(&mut self, format: Option<&str>) -> MomentId {
        self.add(MomentKind::Date, format)
    }

    /// Times; their values are microseconds since 1970.
    pub(crate) fn timestamp(&mut self, format: Option<&str>) -> MomentId {
        self.add(MomentKind::Timestamp, format)
    }

    fn add(&mut self, kind: MomentKind, format: Option<&str>) -> MomentId {
        let format = format.map(str::to_owned);
        let notation = Notation { kind, format };
        let known = self.0.iter().position(|n| *n == notation);
        known.unwrap_or_else(|| {
            self.0.push(notation);
            self.0.len() - 1
        })
    }
}

/// Reads the dates and times of a batch.
pub(crate) struct Clock<'a> {
    moments: &'a Moments,
    zone: &'a TimeZone,
    recent: Vec<Recent<'a, Normalised<i64>>>,
}

impl<'a> Clock<'a> {
    pub(crate) fn new(moments: &'a Moments, zone: &'a TimeZone) -> Self {
        Self {
            moments,
            zone,
            recent: moments.0.iter().map(|_| Recent::new()).collect(),
        }
    }

    pub(crate) fn read(&mut self, moment: MomentId, value: &'a str) -> Normalised<i64> {
        let (notation, zone) = (&self.moments.0[moment], self.zone);
        self.recent[moment].get(value, |value| {
            let format = notation.format.as_deref();
            match notation.kind {
                MomentKind::Date => date::parse(value, format).map(days),
                MomentKind::Timestamp => date::parse_timestamp(value, format, zone),
            }
        })
    }
}
