//! Accuracy on labelled records, through the real normalisers, with default settings and no labels used. The
//! floors are what peers reach after tuning; `examples/measure.rs` prints the figures.

mod common;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use common::{Labelled, Measured};
use musubi_identity::{Features, FeaturesBuilder, Model, Policy, train};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/identity")
        .join(name)
}

fn fake() -> Result<Labelled> {
    common::load_fake(&data("fake_1000.csv"))
}

#[test]
fn fake_1000() -> Result<()> {
    let (m, p) = (
        Measured::of(&fake()?, 1)?,
        Measured::of(&fake()?, 1)?.pairwise(),
    );
    assert!(p.f1 >= 0.95 && p.precision >= 0.99, "pairwise {p:?}");
    assert!(m.b_cubed().f1 >= 0.95, "B-cubed {:?}", m.b_cubed());
    assert!(m.exact().f1 >= 0.75, "exact clusters {:?}", m.exact());
    Ok(())
}

#[test]
fn febrl_3() -> Result<()> {
    let file = data("dataset3.csv");
    let m = Measured::of(&common::load_febrl(&[&file], "au")?, 1)?;
    let p = m.pairwise();
    assert!(p.f1 >= 0.999 && p.precision >= 0.999, "pairwise {p:?}");
    let recall = musubi_identity::evaluate::blocking_recall(&m.matcher, &m.truth);
    assert!(recall >= 0.99, "blocking recall {recall}");
    Ok(())
}

#[test]
fn febrl_4_linked() -> Result<()> {
    let files = [data("dataset4a.csv"), data("dataset4b.csv")];
    let files = files.each_ref().map(PathBuf::as_path);
    let policy = Policy {
        across_sources: true,
        ..Policy::default()
    };
    let found = Measured::under(&policy, &common::load_febrl(&files, "au")?, 1)?;
    let p = found.pairwise();
    assert!(p.f1 >= 0.999 && p.precision >= 0.999, "pairwise {p:?}");
    Ok(())
}

/// A file of fifty records is linked with one of five thousand, which has duplicates of its own: pairs within a file cannot
/// match, and teach nothing.
#[test]
fn linked_files_teach_by_pairs_across_them() -> Result<()> {
    let mut set = common::load_febrl(&[&data("dataset3.csv")], "au")?;
    let mut people: HashMap<String, [u64; 2]> = HashMap::new();
    for batch in &mut set.batches {
        let ids = batch.column_by_name("record_id").expect("ids").clone();
        let ids = ids.as_any().downcast_ref::<StringArray>().expect("texts");
        let is_few =
            |n: usize| u128::from_str_radix(ids.value(n), 16).is_ok_and(|id| id % 100 == 0);
        let names = (0..ids.len()).map(|n| if is_few(n) { "few" } else { "many" });
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
        for n in 0..ids.len() {
            let person = set.truth[ids.value(n)].0.clone();
            people.entry(person).or_default()[usize::from(is_few(n))] += 1;
        }
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| match field.name().as_str() {
            "source" => names.clone(),
            _ => column.clone(),
        });
        *batch = RecordBatch::try_new(schema.clone(), columns.collect())?;
    }
    let [many, few] = people
        .values()
        .fold([0, 0], |sum, of| [sum[0] + of[0], sum[1] + of[1]]);
    let matches: u64 = people.values().map(|[many, few]| many * few).sum();
    assert!(few > 30 && matches > 20, "{few} records, {matches} pairs");
    let policy = Policy {
        across_sources: true,
        ..Policy::default()
    };
    let model = train(&Features::build(&set.batches)?, &policy, 1);
    let share = matches as f64 / (many * few) as f64;
    let said = model.lambda_person;
    assert!(
        (0.7 * share..1.4 * share).contains(&said),
        "{said} for {share}"
    );
    Ok(())
}

/// Names that changed places tell no more than names that did not.
#[test]
fn swapped_names_weigh_no_more_than_equal_ones() -> Result<()> {
    let model = Measured::of(&fake()?, 1)?.model;
    for comparison in &model.comparisons[..2] {
        let weight = |level: &str| {
            let levels = &comparison.levels;
            let level = levels.iter().find(|l| l.level == level).expect("a level");
            (level.m / level.u).log2()
        };
        let (exact, swapped) = (weight("exact"), weight("swapped"));
        assert!(swapped <= exact + 1e-3, "{swapped} and {exact}");
    }
    Ok(())
}

#[test]
fn neither_the_order_of_records_nor_the_number_of_shards_changes_anything() -> Result<()> {
    let forward = fake()?;
    let mut backward = fake()?;
    let rows = backward.batches[0].num_rows() as u32;
    let order = arrow::array::UInt32Array::from_iter_values((0..rows).rev());
    backward.batches[0] = arrow::compute::take_record_batch(&backward.batches[0], &order)?;
    let one = Measured::of(&forward, 1)?;
    for (set, shards) in [(&forward, 16), (&backward, 4)] {
        let other = Measured::of(set, shards)?;
        assert_eq!(one.model.version(), other.model.version());
        assert_eq!(one.pairs, other.pairs, "{shards} shards");
        assert_eq!(one.linked.registry.customer, other.linked.registry.customer);
        assert_eq!(
            one.linked.registry.customers,
            other.linked.registry.customers
        );
        assert_eq!(one.linked.household_ids, other.linked.household_ids);
    }
    Ok(())
}

#[test]
fn features_and_model_survive_being_written() -> Result<()> {
    let m = Measured::of(&fake()?, 1)?;
    let features = m.matcher.features().to_batch()?;
    let again = Features::build(std::slice::from_ref(&features))?;
    assert_eq!(again.to_batch()?, features);
    let mut as_they_are = FeaturesBuilder::default();
    as_they_are.push_built(&features, |_| true)?;
    assert_eq!(as_they_are.finish().to_batch()?, features);
    let model = Model::from_json(&m.model.to_json()?)?;
    assert!(model == m.model && model.version() == m.model.version());
    Ok(())
}
