//! `spec.peaks`: times at which a pipeline runs wider, in finer shards, or more often. A laptop does not look
//! at them.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time at which a pipeline runs wider, in finer shards, or more often. Of peaks that overlap the first in
/// the list counts, with all that it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("has(self.parallelism) || has(self.splitMebibytes) || has(self.shards) || has(self.schedule) || has(self.priorityClassName)", "a peak that changes nothing: give at least one of `parallelism`, `splitMebibytes`, `shards`, `schedule` and `priorityClassName`")
)]
pub struct Peak {
    /// What events and status call it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it is. Exactly one field is set.
    pub when: PeakTime,
    /// IANA time zone of `when`.
    #[serde(default = "default_zone")]
    #[schemars(length(max = 63))]
    pub time_zone: String,
    /// Pods of a stage that run side by side, at most, instead of `spec.pods.parallelism`. A Job that runs when
    /// the peak begins is raised to it. When the peak ends only Jobs that have not begun are narrower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub parallelism: Option<i32>,
    /// Source bytes for one ingest or clean shard, in MiB, of runs that begin in the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub split_mebibytes: Option<u32>,
    /// Shards of match, attach and curate, of runs that begin in the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub shards: Option<u32>,
    /// Cron expression in place of `spec.schedule.cron`. Its time zone and policies are those of `spec.schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub schedule: Option<String>,
    /// PriorityClass of the pods of runs that begin in the peak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// When a peak is. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.dates), has(self.cron), has(self.calendar)].exists_one(x, x)", "give exactly one of `dates`, `cron` and `calendar`")
)]
pub struct PeakTime {
    /// Days by date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 50))]
    pub dates: Option<Vec<DateRange>>,
    /// Again and again: from each time that a cron expression names, for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronRange>,
    /// Days of Japan's year, computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarRange>,
}

/// Days from one to another, both among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.from <= self.to", "`from` is after `to`: swap them")
)]
pub struct DateRange {
    /// First day: `2026-11-27`.
    #[schemars(regex(pattern = DATE), length(max = 10))]
    pub from: String,
    /// Last day: `2026-11-30`.
    #[schemars(regex(pattern = DATE), length(max = 10))]
    pub to: String,
}

/// A calendar day.
const DATE: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

/// From each time that a cron expression names, for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CronRange {
    /// Cron expression of five fields: `30 10 * * 1-5`.
    #[schemars(length(min = 1, max = 100))]
    pub start: String,
    /// How long each time lasts, 31 days at most: `4h`, `2d`.
    #[schemars(length(min = 1, max = 30))]
    pub lasts: String,
}

/// Days of Japan's year, and some around them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CalendarRange {
    /// Which days: `JapaneseHolidays` (by law, with substitute and citizens' holidays), `GoldenWeek` (29 April to
    /// 5 May, with the holidays and weekends that touch it), `Obon` (13 to 16 August), `YearEnd` (29 December to 3
    /// January).
    pub name: CalendarName,
    /// Days before that belong to it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 31))]
    pub days_before: u8,
    /// Days after that belong to it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 31))]
    pub days_after: u8,
}

/// A calendar with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum CalendarName {
    JapaneseHolidays,
    GoldenWeek,
    Obon,
    YearEnd,
}

fn default_zone() -> String {
    "Asia/Tokyo".into()
}
