//! Accuracy on labelled records, through the real normalisers, with default settings and no labels used. The
//! floors are what peers reach after tuning; `examples/measure.rs` prints the figures.

mod common;

use std::path::{Path, PathBuf};

use anyhow::Result;
use common::{Labelled, Measured};
use musubi_identity::{Features, FeaturesBuilder, Model, Policy};

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
