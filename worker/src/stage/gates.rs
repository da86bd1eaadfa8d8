//! What must hold before a version is published: every row is accounted for, and nothing moved further than
//! the pipeline's gates allow. All gates that say no are named at once.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use arrow::array::{Array as _, RecordBatch};
use musubi_api::{pipeline::Gates, run::Stage};
use musubi_lake::{delta::DataFile, manifest, pointer};

use super::{
    Context, RunRefused,
    accounts::Account,
    attach::{self, Attached},
    clean::Present,
    link::Linked,
    plan::Plan,
    train::Trained,
};
use crate::report::count;

/// Shares of fewer rows say nothing.
const ENOUGH: u64 = 20;
/// The tag of a data file that says how many values of each column are absent.
pub(super) const NULLS: &str = "nulls";

/// Every row of every source is accounted for, from bytes to tables.
pub(super) fn conservation(
    present: &Present,
    accounts: &[Account],
    trained: &Trained,
    attached: &[Attached],
) -> Result<()> {
    if let Some(account) = accounts.iter().find(|a| !a.holds()) {
        return Err(RunRefused(format!(
            "conservation does not hold: of Source {}, stream {} {} rows came in, and they became {account:?}; nothing was published",
            account.source, account.stream, account.rows
        ))
        .into());
    }
    for active in &present.active {
        if !active.cleaned.rows.holds() {
            let why = format!("{}: {:?}", active.file.path, active.cleaned.rows);
            return Err(RunRefused(format!(
                "conservation does not hold in {why}; nothing was published"
            ))
            .into());
        }
    }
    let clean: u64 = present
        .active
        .iter()
        .flat_map(|a| a.cleaned.entities.values())
        .map(|p| p.rows)
        .sum();
    let mut known: u64 = trained.counts.iter().sum();
    known += attached
        .iter()
        .map(|a| a.current + a.duplicate + a.superseded + a.deleted)
        .sum::<u64>();
    if clean != known {
        let why = format!(
            "{clean} clean rows came in and {known} are accounted for; nothing was published"
        );
        return Err(RunRefused(why).into());
    }
    Ok(())
}

/// A gate that says no.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    gate: String,
    why: String,
}

/// Checks every gate.
///
/// # Errors
/// [`RunRefused`] with all gates that say no and are not passed over.
pub(super) async fn check(
    context: &Context,
    plan: &Plan,
    present: &Present,
    linked: &Linked,
    tables: &BTreeMap<String, Vec<DataFile>>,
) -> Result<()> {
    let mut refusals = quarantined(context, plan, present);
    if plan.base > 0 {
        let gates = &context.run.spec.gates;
        let (before, identity) = base(context, plan).await?;
        let now = tables
            .iter()
            .map(|(name, files)| (name.clone(), Volume::of(files)))
            .collect();
        refusals.extend(volumes(gates, &before, &now));
        refusals.extend(empties(gates, &before, &now));
        if let Some(identity) = identity {
            refusals.extend(links(gates, &identity, linked));
        }
    }
    refusals.retain(|r| !context.run.allow.iter().any(|a| passes(a, &r.gate)));
    refuse(&context.run.pipeline, &refusals)
}

/// `rows/orders` passes by its name and by its kind, `rows`.
fn passes(allowed: &str, gate: &str) -> bool {
    gate.strip_prefix(allowed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn refuse(pipeline: &str, refusals: &[Refusal]) -> Result<()> {
    if refusals.is_empty() {
        return Ok(());
    }
    let mut text =
        format!("CustomerPipeline {pipeline}: nothing was published, because of its gates");
    for Refusal { gate, why } in refusals {
        let _ = write!(text, "\n  {gate}: {why}");
    }
    let allow: Vec<String> = refusals
        .iter()
        .map(|r| format!("--allow {}", r.gate))
        .collect();
    let _ = write!(
        text,
        "\nhint: if this is right, run again with {}; if it is right every day, change the limit",
        allow.join(" ")
    );
    Err(RunRefused(text).into())
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Gate `quarantine/<source>/<stream>`: too many of the rows that this run took were quarantined.
fn quarantined(context: &Context, plan: &Plan, present: &Present) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (name, source) in &context.run.sources {
        for stream in &source.streams {
            let new = present.active.iter().filter(|a| {
                a.file.source == *name
                    && a.file.stream == stream.name
                    && a.file.taken == plan.next_version()
            });
            let (mut rows, mut bad) = (0_u64, 0_u64);
            for active in new {
                rows += active.cleaned.rows.accepted + active.cleaned.rows.quarantined;
                bad += active.cleaned.rows.quarantined;
            }
            let limit = &stream.contract.quarantine_limit;
            let most = limit.percent.unwrap_or(10.0);
            let share = percent(bad, rows);
            let allows = if rows >= ENOUGH && share > most {
                format!("quarantineLimit.percent is {most}")
            } else if let Some(most) = limit.rows.filter(|most| bad > *most) {
                format!("quarantineLimit.rows is {most}")
            } else {
                continue;
            };
            refusals.push(Refusal {
                gate: format!("quarantine/{name}/{}", stream.name),
                why: format!(
                    "{} of {} new rows of Source {name}, stream {} were quarantined ({share:.1} %), and its contract's {allows}; \
                     `musubi quarantine list` shows them",
                    count(bad),
                    count(rows),
                    stream.name
                ),
            });
        }
    }
    refusals
}

/// How much there is of a table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Volume {
    rows: u64,
    /// Absent values by column; `None` when a file does not say.
    nulls: Option<BTreeMap<String, u64>>,
}

impl Volume {
    fn of<'a>(files: impl IntoIterator<Item = &'a DataFile>) -> Self {
        let mut volume = Self {
            rows: 0,
            nulls: Some(BTreeMap::new()),
        };
        for file in files {
            volume.rows += file.rows;
            let counted: Option<BTreeMap<String, u64>> = file
                .tags
                .get(NULLS)
                .and_then(|text| serde_json::from_str(text).ok());
            match (&mut volume.nulls, counted) {
                (Some(sums), Some(counted)) => {
                    for (column, n) in counted {
                        *sums.entry(column).or_default() += n;
                    }
                }
                (nulls, _) => *nulls = None,
            }
        }
        volume
    }
}

/// How many values of each column of a file are absent.
#[derive(Default)]
pub(super) struct Nulls(BTreeMap<String, usize>);

impl Nulls {
    /// Counts those of some rows of the file.
    pub(super) fn add(&mut self, rows: &RecordBatch) {
        let schema = rows.schema();
        for (field, column) in schema.fields().iter().zip(rows.columns()) {
            *self.0.entry(field.name().clone()).or_default() += column.null_count();
        }
    }

    /// The text of the tag [`NULLS`].
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

/// The version that the run starts from: its tables, and its links unless they were swept away.
async fn base(
    context: &Context,
    plan: &Plan,
) -> Result<(BTreeMap<String, Volume>, Option<Linked>)> {
    let base = pointer::version(&context.store, plan.base)
        .await?
        .context("the base version is gone")?;
    let mut volumes = BTreeMap::new();
    for table in base.tables.keys() {
        let files = attach::published_files(context, plan, table).await?;
        volumes.insert(table.clone(), Volume::of(files.values()));
    }
    let linked = manifest::find(&context.store, &base.run, Stage::Link.as_str(), 0).await?;
    Ok((volumes, linked))
}

/// Gate `rows/<table>`.
fn volumes(
    gates: &Gates,
    before: &BTreeMap<String, Volume>,
    now: &BTreeMap<String, Volume>,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (table, before) in before {
        let (before, now) = (before.rows, now.get(table).map_or(0, |v| v.rows));
        let (fallen, risen) = (
            percent(before.saturating_sub(now), before),
            percent(now.saturating_sub(before), before),
        );
        let why = match gates.max_row_rise_percent {
            _ if fallen > gates.max_row_drop_percent => format!(
                "table {table} would fall from {} to {} rows (-{fallen:.1} %), and spec.gates.maxRowDropPercent is {}",
                count(before),
                count(now),
                gates.max_row_drop_percent
            ),
            Some(most) if before >= ENOUGH && risen > most => format!(
                "table {table} would rise from {} to {} rows (+{risen:.1} %), and spec.gates.maxRowRisePercent is {most}",
                count(before),
                count(now)
            ),
            _ => continue,
        };
        refusals.push(Refusal {
            gate: format!("rows/{table}"),
            why,
        });
    }
    refusals
}

/// Gate `nulls/<table>.<column>`.
fn empties(
    gates: &Gates,
    before: &BTreeMap<String, Volume>,
    now: &BTreeMap<String, Volume>,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (table, now) in now {
        let Some(before) = before.get(table) else {
            continue;
        };
        let (Some(were), Some(are)) = (&before.nulls, &now.nulls) else {
            continue;
        };
        if before.rows.min(now.rows) < ENOUGH {
            continue;
        }
        for (column, n) in are {
            let Some(was) = were.get(column) else {
                continue;
            };
            let (was, is) = (percent(*was, before.rows), percent(*n, now.rows));
            if is - was > gates.max_null_rise {
                refusals.push(Refusal {
                    gate: format!("nulls/{table}.{column}"),
                    why: format!(
                        "column {column} of table {table} would be empty in {is:.1} % of the rows, before in {was:.1} %, \
                         and spec.gates.maxNullRise is {} points",
                        gates.max_null_rise
                    ),
                });
            }
        }
    }
    refusals
}

/// Gates `match-rate` and `merged-customers`.
fn links(gates: &Gates, before: &Linked, now: &Linked) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if before.records.min(now.records) >= ENOUGH {
        let (was, is) = (
            percent(before.shared, before.records),
            percent(now.shared, now.records),
        );
        if (is - was).abs() > gates.max_match_rate_change {
            refusals.push(Refusal {
                gate: "match-rate".into(),
                why: format!(
                    "{is:.1} % of the customer records would share their customer with another, before {was:.1} %, \
                     and spec.gates.maxMatchRateChange is {} points",
                    gates.max_match_rate_change
                ),
            });
        }
    }
    let merged = percent(now.merged, before.customers);
    if before.customers >= ENOUGH && merged > gates.max_merged_percent {
        refusals.push(Refusal {
            gate: "merged-customers".into(),
            why: format!(
                "{} of {} known customers would be merged into others ({merged:.1} %), and spec.gates.maxMergedPercent is {}",
                count(now.merged),
                count(before.customers),
                gates.max_merged_percent
            ),
        });
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64, empty: u64) -> BTreeMap<String, Volume> {
        let volume = Volume {
            rows,
            nulls: Some(BTreeMap::from([("email".to_owned(), empty)])),
        };
        BTreeMap::from([("customers".to_owned(), volume)])
    }

    fn names(refusals: &[Refusal]) -> Vec<&str> {
        refusals.iter().map(|r| r.gate.as_str()).collect()
    }

    #[test]
    fn rows_may_move_as_far_as_the_gate_says() {
        let rise = |limit| Gates {
            max_row_rise_percent: limit,
            ..Gates::default()
        };
        let cases = [
            (None, 100, 90, false),
            (None, 100, 89, true),
            (None, 100, 9_000, false),
            (Some(50.0), 100, 150, false),
            (Some(50.0), 100, 151, true),
            (Some(50.0), 10, 90, false),
            (None, 0, 0, false),
        ];
        for (limit, before, now, refused) in cases {
            let found = volumes(&rise(limit), &table(before, 0), &table(now, 0));
            assert_eq!(!found.is_empty(), refused, "{before} to {now}, {limit:?}");
        }
        let gone = volumes(&Gates::default(), &table(5, 0), &BTreeMap::new());
        assert_eq!(names(&gone), ["rows/customers"], "a table that vanishes");
    }

    #[test]
    fn a_column_may_not_run_empty() {
        let cases = [
            ((100, 10), (100, 30), false),
            ((100, 10), (100, 31), true),
            ((100, 90), (100, 10), false),
            ((19, 0), (100, 100), false),
        ];
        for ((rows, empty), (now, more), refused) in cases {
            let found = empties(&Gates::default(), &table(rows, empty), &table(now, more));
            assert_eq!(!found.is_empty(), refused, "{empty}/{rows} to {more}/{now}");
            if refused {
                assert_eq!(names(&found), ["nulls/customers.email"]);
            }
        }
        let mut unknown = table(100, 0);
        unknown.get_mut("customers").expect("a table").nulls = None;
        let found = empties(&Gates::default(), &unknown, &table(100, 100));
        assert!(
            found.is_empty(),
            "a version that does not say is not compared"
        );
    }

    #[test]
    fn a_gate_is_passed_by_name_and_by_kind() {
        let gate = "rows/orders";
        assert!(passes("rows/orders", gate) && passes("rows", gate));
        assert!(!passes("rows/order", gate) && !passes("ro", gate) && !passes("nulls", gate));
    }
}
