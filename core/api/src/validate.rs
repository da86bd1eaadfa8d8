//! What neither schema nor CEL can say: references between resources, mappings against the canonical
//! model, expressions, patterns, formats.

mod audience;
mod peaks;
mod policy;
mod source;
mod text;

use crate::{
    catalog::{Catalog, Document},
    pipeline::CustomerPipelineSpec,
    pods::bytes,
    problem::Problem,
    resource::{Kind, Resource},
    run::Stage,
};

/// Everything wrong with one resource.
pub(crate) fn document(catalog: &Catalog, document: &Document) -> Vec<Problem> {
    match &document.resource {
        Resource::Source(spec) => source::check(document, spec),
        Resource::IdentityPolicy(spec) => policy::check(catalog, document, spec),
        Resource::Warehouse(spec) => audience::warehouse(document, spec),
        Resource::Audience(spec) => audience::audience(catalog, document, spec),
        Resource::CustomerPipeline(spec) => pipeline(catalog, document, spec),
        Resource::CustomerPipelineRun(spec) => audience::run(catalog, document, spec),
        Resource::Secret(_) => Vec::new(),
    }
}

/// Everything wrong with a pipeline and what it refers to.
pub(crate) fn pipeline_closure(catalog: &Catalog, pipeline: &Document) -> Vec<Problem> {
    let mut out = document(catalog, pipeline);
    let Resource::CustomerPipeline(spec) = &pipeline.resource else {
        return out;
    };
    let named = [
        (Kind::Source, &spec.sources),
        (Kind::Warehouse, &spec.warehouses),
        (Kind::Audience, &spec.audiences),
    ];
    let policy = spec
        .identity_policy
        .iter()
        .map(|n| (Kind::IdentityPolicy, n));
    let all = named
        .into_iter()
        .flat_map(|(kind, names)| names.iter().map(move |name| (kind, name)));
    for (kind, name) in all.chain(policy) {
        if let Some(found) = catalog.document(kind, name) {
            out.extend(document(catalog, found));
        }
    }
    out
}

fn pipeline(catalog: &Catalog, from: &Document, spec: &CustomerPipelineSpec) -> Vec<Problem> {
    let mut out = references(catalog, from, spec);
    let mut say = |field: &str, found: Result<(), String>| {
        out.extend(found.err().map(|message| from.problem(field, message)));
    };
    if let Some(schedule) = &spec.schedule {
        say("spec.schedule.cron", text::cron(&schedule.cron));
        say(
            "spec.schedule.timeZone",
            text::time_zone(&schedule.time_zone),
        );
    }
    peaks::check(&spec.peaks, &mut say);
    for (i, own) in spec.pods.stages.iter().enumerate() {
        let stage = own.stage;
        let twice = spec.pods.stages[..i].iter().any(|o| o.stage == stage);
        let message = format!(
            "stage {} is listed twice: join its settings into one entry",
            stage.as_str()
        );
        let field = format!("spec.pods.stages[{i}].stage");
        say(&field, if twice { Err(message) } else { Ok(()) });
    }
    for stage in Stage::ALL {
        let share = spec.pods.share(stage);
        let (has, most) = (bytes(share.memory), share.max_memory.and_then(bytes));
        if let Some((has, most)) = has.zip(most)
            && most < has
        {
            let message = format!(
                "stage {} has {} of memory, and repeats shards with at most {}: raise maxMemory",
                stage.as_str(),
                share.memory,
                share.max_memory.unwrap_or_default()
            );
            say("spec.pods", Err(message));
            break;
        }
    }
    if let Some(endpoint) = spec.lake.s3.as_ref().and_then(|s3| s3.endpoint.as_ref()) {
        say("spec.lake.s3.endpoint", text::endpoint(endpoint));
    }
    out
}

fn references(catalog: &Catalog, from: &Document, spec: &CustomerPipelineSpec) -> Vec<Problem> {
    let mut out = Vec::new();
    let lists = [
        ("sources", Kind::Source, &spec.sources),
        ("warehouses", Kind::Warehouse, &spec.warehouses),
        ("audiences", Kind::Audience, &spec.audiences),
    ];
    for (field, kind, names) in lists {
        for (i, name) in names.iter().enumerate() {
            let field = format!("spec.{field}[{i}]");
            if names[..i].contains(name) {
                out.push(from.problem(&field, format!("`{name}` is listed twice: remove one")));
            } else {
                out.extend(catalog.reference(from, &field, kind, name));
            }
        }
    }
    if let Some(name) = &spec.identity_policy {
        out.extend(catalog.reference(from, "spec.identityPolicy", Kind::IdentityPolicy, name));
    }
    out
}
