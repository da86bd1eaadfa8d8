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
use common::made::{Made, batch, id, made};
use common::{Labelled, Measured};
use musubi_identity::{Features, FeaturesBuilder, Matcher, Model, Policy, explain, train};

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

/// People with a few names: each of a hundred pairs of names belongs to six, who have two records.
fn namesakes(of: impl Fn(u32, &str, &str) -> String) -> Vec<Made> {
    const GIVEN: [&str; 10] = [
        "Quiana", "Tobin", "Merle", "Ludo", "Yael", "Britt", "Casimir", "Odile", "Fenna", "Zeno",
    ];
    const FAMILY: [&str; 10] = [
        "Wix",
        "Okafor",
        "Lindqvist",
        "Baptiste",
        "Jurek",
        "Haddad",
        "Pruitt",
        "Selassie",
        "Vance",
        "Moto",
    ];
    let record = |n: u32| {
        let person = n / 2;
        let (given, family) = (person % 10, person / 10 % 10);
        let fields = of(n, GIVEN[given as usize], FAMILY[family as usize]);
        made(n, &fields)
    };
    (0..1200).map(record).collect()
}

/// People of one name make the same address of it, at one provider or another: that is no sign that they are one person
/// whose birth date is wrong.
#[test]
fn addresses_made_of_a_common_name_teach_nothing() -> Result<()> {
    let records = namesakes(|n, given, family| {
        let person = n / 2;
        let (a, b) = (person.wrapping_mul(7919), person.wrapping_mul(104_729));
        format!(
            "given_name={given}; family_name={family}; email={given}.{family}@p{}.example; birth_date={}-{:02}-{:02}",
            person / 100,
            1930 + a % 70,
            1 + b % 12,
            1 + (a + b) % 28
        )
    });
    let model = train(
        &Features::build(&[batch(&records)?])?,
        &Policy::default(),
        1,
    );
    let birth = model.comparisons.iter().find(|c| c.comparison == "birth");
    let different = birth.and_then(|c| c.levels.last()).expect("a level").m;
    assert!(different < 0.03, "{different}");
    Ok(())
}

/// A few households share a phone and the family name, and some people gave another given name once: the share of households
/// among all pairs does not go to nothing, as nothing would come back from there.
#[test]
fn a_few_households_are_not_lost_among_people_of_two_given_names() -> Result<()> {
    const SOUNDS: [&str; 10] = [
        "bra", "den", "kil", "lor", "mup", "rax", "sif", "tog", "vun", "zey",
    ];
    let sound = |n: u32| SOUNDS[(n % 10) as usize];
    let name = |n: u32| format!("{}{}", sound(n), sound(n / 10));
    let record = |id: u32, given: u32, person: u32| {
        let family = name(person.wrapping_mul(7919) / 13);
        let phone = 10_000_019 + person * 7919;
        let given = name(given);
        let fields = format!("given_name={given}; family_name={family}; phone=+8190{phone:08}");
        made(id, &fields)
    };
    let people = (0..1200u32).flat_map(|person| {
        let given = person.wrapping_mul(104_729) / 17;
        let other = if person % 12 == 0 { given + 55 } else { given };
        [
            record(2 * person, given, person),
            record(2 * person + 1, other, person),
        ]
    });
    let members = (0..1200u32)
        .step_by(12)
        .map(|person| record(10_000 + person, person / 3 + 33, person));
    let records: Vec<Made> = people.chain(members).collect();
    let features = Features::build(&[batch(&records)?])?;
    let model = train(&features, &Policy::default(), 1);
    let (household, person) = (model.lambda_household, model.lambda_person);
    assert!(household > 0.001 * person, "{household} of {person}");
    Ok(())
}

/// Names that changed places are two different ones in neither place, though one of them has a slip as well.
#[test]
fn names_that_changed_places_are_known_in_spite_of_a_slip() -> Result<()> {
    let records = [
        made(0, "given_name=Nancy; family_name=Thornbury"),
        made(1, "given_name=Thornbury; family_name=Nanxy"),
        made(2, "given_name=Thornbury; family_name=Ruth"),
    ];
    let features = Features::build(&[batch(&records)?])?;
    let model = train(&features, &Policy::default(), 1);
    let matcher = Matcher::new(features, &model);
    for (other, want) in [(1, "somewhat similar"), (2, "different")] {
        let told = explain(&matcher, &model, &id(0), &id(other))?;
        let levels: Vec<&str> = told.comparisons.iter().map(|c| c.level).collect();
        assert_eq!(levels, [want, want]);
    }
    Ok(())
}

/// A rare name that changed places tells as much as one that did not, and a common one as little.
#[test]
fn names_that_changed_places_weigh_by_how_frequent_they_are() -> Result<()> {
    let mut records =
        namesakes(|_, given, family| format!("given_name={given}; family_name={family}"));
    for (n, (given, family)) in (5000..).zip([
        ("Quiana", "Wix"),
        ("Wix", "Quiana"),
        ("Aurelio", "Zandvoort"),
        ("Aurelio", "Zandvoort"),
        ("Zandvoort", "Aurelio"),
    ]) {
        records.push(made(
            n,
            &format!("given_name={given}; family_name={family}"),
        ));
    }
    let features = Features::build(&[batch(&records)?])?;
    let model = train(&features, &Policy::default(), 1);
    let matcher = Matcher::new(features, &model);
    let weight =
        |a: u32, b: u32| Ok::<_, anyhow::Error>(explain(&matcher, &model, &id(a), &id(b))?.weight);
    let (rare, rare_swapped) = (weight(5002, 5003)?, weight(5002, 5004)?);
    let (common, common_swapped) = (weight(0, 5000)?, weight(0, 5001)?);
    assert!(
        (rare - rare_swapped).abs() < 1.0,
        "{rare} and {rare_swapped}"
    );
    assert!(
        (common - common_swapped).abs() < 1.0,
        "{common} and {common_swapped}"
    );
    assert!(
        rare_swapped > common_swapped + 4.0,
        "{rare_swapped} and {common_swapped}"
    );
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
