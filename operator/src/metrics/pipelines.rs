//! What pipelines are like at this moment, read from the caches when it is asked for.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use kube::{ResourceExt as _, runtime::reflector::ObjectRef};
use musubi_api::{
    pipeline::{CustomerPipeline, CustomerPipelineRun},
    source::Source,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::{context::lock, objects::Objects};

/// Gauges of every pipeline, from the operator that leads.
pub(super) struct Pipelines(pub(super) Arc<Mutex<Option<Objects>>>);

impl fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipelines")
    }
}

/// One gauge of a pipeline: name, help, value. Instants are seconds since 1970.
type Read = (
    &'static str,
    &'static str,
    fn(&CustomerPipeline, &Objects) -> Option<f64>,
);

const GAUGES: [Read; 8] = [
    (
        "pipeline_ready",
        "Whether the spec is usable",
        |pipeline, _| condition(pipeline, "Ready"),
    ),
    (
        "pipeline_suspended",
        "Whether the schedule rests",
        |pipeline, _| Some(f64::from(u8::from(pipeline.spec.suspend))),
    ),
    (
        "pipeline_last_run_succeeded",
        "Whether the last run that ended is complete",
        |pipeline, _| condition(pipeline, "LastRunSucceeded"),
    ),
    (
        "pipeline_next_schedule_timestamp_seconds",
        "When the next run is due",
        |pipeline, _| instant(pipeline.status.as_ref()?.next_schedule_time.as_ref()),
    ),
    (
        "pipeline_published_timestamp_seconds",
        "The instant that published data speak for",
        |pipeline, _| instant(pipeline.status.as_ref()?.published_as_of.as_ref()),
    ),
    (
        "pipeline_loaded_timestamp_seconds",
        "The instant that data in every warehouse speak for",
        |pipeline, _| instant(pipeline.status.as_ref()?.loaded_as_of.as_ref()),
    ),
    (
        "pipeline_freshness_objective_seconds",
        "How old the newest data of any of its sources may be",
        objective,
    ),
    (
        "pipeline_runs_active",
        "Runs that are not at their end",
        |pipeline, _| Some(pipeline.status.as_ref()?.active.len() as f64),
    ),
];

impl Collector for Pipelines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(objects) = lock(&self.0).clone() else {
            return Ok(());
        };
        let pipelines = objects.pipelines.state();
        for (name, help, read) in GAUGES {
            let values = pipelines.iter().filter_map(|pipeline| {
                let value = read(pipeline, &objects)?;
                Some((labels(pipeline.namespace(), &pipeline.name_any()), value))
            });
            gauges(&mut encoder, name, help, values)?;
        }
        let runs = objects.runs.state();
        let stalled = runs.iter().filter_map(|run| stalled(run)).collect();
        let help = "Runs that something outside of them keeps from going on";
        counted(&mut encoder, "pipeline_runs_stalled", help, stalled)?;
        let rows = runs_rows(&runs);
        let help = "Rows of the last run that cleaned any: accepted or quarantined";
        counted(&mut encoder, "pipeline_last_run_rows", help, rows)
    }
}

type Labels = Vec<(&'static str, String)>;

fn labels(namespace: Option<String>, pipeline: &str) -> Labels {
    vec![
        ("namespace", namespace.unwrap_or_default()),
        ("pipeline", pipeline.to_owned()),
    ]
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels, f64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counted(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(Labels, f64)>,
) -> Result<(), fmt::Error> {
    let mut sums: BTreeMap<Labels, f64> = BTreeMap::new();
    for (labels, value) in values {
        *sums.entry(labels).or_default() += value;
    }
    gauges(encoder, name, help, sums.into_iter())
}

fn condition(pipeline: &CustomerPipeline, kind: &str) -> Option<f64> {
    let conditions = &pipeline.status.as_ref()?.conditions;
    let found = conditions.iter().find(|c| c.type_ == kind)?;
    Some(f64::from(u8::from(found.status == "True")))
}

fn instant(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> Option<f64> {
    time.map(|time| time.0.as_second() as f64)
}

/// The strictest objective of the sources.
fn objective(pipeline: &CustomerPipeline, objects: &Objects) -> Option<f64> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let of = |name: &String| {
        let source = ObjectRef::<Source>::new(name).within(&namespace);
        objects.sources.get(&source)?.spec.freshness_seconds()
    };
    pipeline
        .spec
        .sources
        .iter()
        .filter_map(of)
        .min_by(f64::total_cmp)
}

/// A run that stands still, by the reason of its condition.
fn stalled(run: &CustomerPipelineRun) -> Option<(Labels, f64)> {
    let conditions = &run.status.as_ref()?.conditions;
    let stalled = conditions
        .iter()
        .find(|c| c.type_ == "Stalled" && c.status == "True")?;
    let mut labels = labels(run.namespace(), &run.spec.pipeline);
    labels.push(("reason", stalled.reason.clone()));
    Some((labels, 1.0))
}

/// Rows of each pipeline's last run that cleaned any.
fn runs_rows(runs: &[Arc<CustomerPipelineRun>]) -> Vec<(Labels, f64)> {
    let mut last: BTreeMap<Labels, (_, [f64; 2])> = BTreeMap::new();
    for run in runs {
        let Some(status) = &run.status else { continue };
        let cleaned = status.stages.iter().find(|stage| {
            stage.stage == musubi_api::run::Stage::Clean && stage.counts.contains_key("accepted")
        });
        let Some(cleaned) = cleaned else { continue };
        let rows = ["accepted", "quarantined"]
            .map(|of| cleaned.counts.get(of).copied().unwrap_or_default() as f64);
        let begun = status.start_time.as_ref().map(|t| t.0);
        let of = labels(run.namespace(), &run.spec.pipeline);
        let newer = last.get(&of).is_none_or(|(when, _)| *when < begun);
        if newer {
            last.insert(of, (begun, rows));
        }
    }
    let rows = last.into_iter().flat_map(|(of, (_, rows))| {
        let outcomes = ["accepted", "quarantined"].into_iter().zip(rows);
        outcomes.map(move |(outcome, n)| {
            let mut labels = of.clone();
            labels.push(("outcome", outcome.to_owned()));
            (labels, n)
        })
    });
    rows.collect()
}

#[cfg(test)]
pub(super) mod tests {
    use kube::runtime::{reflector, watcher};
    use musubi_api::{pipeline::CustomerPipelineRun, source::Source};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use crate::{metrics::Metrics, objects::Objects};

    fn store<K>(objects: &[Value]) -> reflector::Store<K>
    where
        K: crate::objects::Watched + DeserializeOwned,
    {
        let (store, mut writer) = reflector::store::<K>();
        for object in objects {
            let object = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}"));
            writer.apply_watcher_event(&watcher::Event::Apply(object));
        }
        store
    }

    fn run(name: &str, begun: &str, rows: [i64; 2], conditions: Value) -> Value {
        json!({
            "metadata": { "name": name, "namespace": "retail" },
            "spec": { "pipeline": "bento" },
            "status": {
                "startTime": begun,
                "conditions": conditions,
                "stages": [{
                    "stage": "clean", "state": "Complete", "shards": 1, "attempt": 1,
                    "counts": { "accepted": rows[0], "quarantined": rows[1] },
                }],
            },
        })
    }

    /// The caches of a namespace with a pipeline and these runs.
    pub(crate) fn objects(runs: &[Value]) -> Objects {
        let source = json!({
            "metadata": { "name": "shop", "namespace": "retail" },
            "spec": {
                "system": "pos", "connector": { "folder": { "path": "x" } }, "streams": [],
                "freshness": "26h",
            },
        });
        let pipeline = json!({
            "metadata": { "name": "bento", "namespace": "retail" },
            "spec": { "sources": ["shop"], "lake": { "folder": "x" } },
            "status": {
                "publishedAsOf": "2026-11-25T00:00:00Z",
                "active": ["second"],
                "conditions": [{
                    "type": "Ready", "status": "False", "reason": "Invalid", "message": "",
                    "lastTransitionTime": "2026-11-25T00:00:00Z",
                }],
            },
        });
        Objects {
            sources: store::<Source>(&[source]),
            policies: store(&[]),
            warehouses: store(&[]),
            audiences: store(&[]),
            pipelines: store(&[pipeline]),
            runs: store::<CustomerPipelineRun>(runs),
            jobs: reflector::store().0,
            pods: reflector::store().0,
        }
    }

    #[test]
    fn a_pipeline_says_how_it_is() {
        let stalled = json!([{
            "type": "Stalled", "status": "True", "reason": "Unschedulable", "message": "",
            "lastTransitionTime": "2026-11-25T00:00:00Z",
        }]);
        let metrics = Metrics::new();
        metrics.leads(Some(objects(&[
            run("first", "2026-11-24T00:00:00Z", [7, 0], json!([])),
            run("second", "2026-11-25T00:00:00Z", [90, 10], stalled),
        ])));
        let text = metrics.text().unwrap_or_default();
        let of = "namespace=\"retail\",pipeline=\"bento\"";
        for line in [
            format!("musubi_pipeline_ready{{{of}}} 0.0"),
            format!("musubi_pipeline_published_timestamp_seconds{{{of}}} 1795564800.0"),
            format!("musubi_pipeline_freshness_objective_seconds{{{of}}} 93600.0"),
            format!("musubi_pipeline_runs_stalled{{{of},reason=\"Unschedulable\"}} 1.0"),
            format!("musubi_pipeline_last_run_rows{{{of},outcome=\"quarantined\"}} 10.0"),
            "musubi_operator_leader 1".into(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
        }
        metrics.leads(None);
        let text = metrics.text().unwrap_or_default();
        assert!(
            !text.contains("retail"),
            "another operator tells of it now: {text}"
        );
    }
}
