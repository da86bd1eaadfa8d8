//! What must not be put together, and what must: each guard with the records that make it fire.

mod common;

use anyhow::Result;
use common::made::{Made, batch, id, made, town};
use musubi_identity::{
    Decision, Explanation, Features, Grouped, Guard, Linked, Matcher, Model, Pin, Policy, Registry,
    explain, group, link, train,
};

/// People of the town beside whom the records of a case live.
const TOWN: u32 = 400;
const HOME: &str =
    "postal_code=530-0001; prefecture=大阪府; city=大阪市北区; town=曽根崎一丁目; block=9-9";

struct Case {
    linked: Linked,
    /// Customer of each record of the case, in order.
    customers: Vec<u32>,
    ignored: u64,
}

/// Runs the engine over the town and the records of a case, which are numbered from 900.
fn run(policy: &Policy, records: &[String]) -> Result<Case> {
    run_among(policy, records, None)
}

/// The same, as if pairs of one person were as rare as they are among so many records.
fn run_among(policy: &Policy, records: &[String], population: Option<f64>) -> Result<Case> {
    let numbers = 900..900 + records.len() as u32;
    let own: Vec<Made> = numbers
        .clone()
        .zip(records)
        .map(|(n, r)| made(n, r))
        .collect();
    let features = Features::build(&[batch(&town(TOWN))?, batch(&own)?])?;
    let mut model = train(&features, policy, 1);
    if let Some(population) = population {
        model.lambda_person = 1.0 / population;
        model.lambda_household = 1.0 / population;
    }
    let matcher = Matcher::new(features, &model);
    let features = matcher.features();
    let edges = matcher.shard(policy, 0, 1, None)?;
    let linked = link(&matcher, &edges.edges, &Registry::default(), policy);
    assert_same(&group(&matcher, &edges.edges, policy), &linked, &matcher);
    let customers = numbers
        .map(|n| linked.registry.customer[features.index_of(&id(n)).expect("a record") as usize])
        .collect();
    Ok(Case {
        linked,
        customers,
        ignored: features.ignored.values().sum(),
    })
}

/// A first run comes to the same without what only later runs need.
fn assert_same(grouped: &Grouped, linked: &Linked, matcher: &Matcher) {
    let Linked {
        registry,
        household,
        household_ids,
        guards,
        proofs,
        ..
    } = linked;
    assert_eq!(grouped.customer, registry.customer);
    assert_eq!(&grouped.household, household);
    assert_eq!(&grouped.guards, guards);
    assert_eq!(&grouped.proofs, proofs);
    assert_eq!(grouped.customers(), registry.customers.len());
    assert_eq!(grouped.households(), household_ids.len());
    let ids = grouped.ids(matcher);
    for (number, customer) in (0..).zip(&registry.customers) {
        assert_eq!(ids.customer(number), customer.id);
        assert_eq!(Some(ids.household_of(number)), customer.household);
    }
}

fn at_home(fields: &str) -> String {
    format!("{fields}; {HOME}")
}

#[test]
fn the_town_itself_is_told_apart() -> Result<()> {
    let case = run(&Policy::default(), &[])?;
    let people: std::collections::BTreeSet<u32> = (0..TOWN)
        .map(|n| n / 5 * 2 + u32::from(n % 5 > 2))
        .collect();
    let found = case.linked.registry.customers.len();
    assert!(
        found.abs_diff(people.len()) <= 2,
        "{found} customers of {} people",
        people.len()
    );
    Ok(())
}

#[test]
fn twins_stay_two() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            at_home("name=中島 光; birth_date=1990-04-01; phone=+819055550001"),
            at_home("name=中島 望; birth_date=1990-04-01; phone=+819055550001"),
        ],
    )?;
    assert_ne!(case.customers[0], case.customers[1]);
    assert!(
        case.linked.guards[&Guard::Twins] > 0,
        "{:?}",
        case.linked.guards
    );
    Ok(())
}

#[test]
fn parent_and_child_of_one_name_stay_two() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            at_home("name=中島 薫; birth_date=1955-02-11; phone=+819055550001"),
            at_home("name=中島 薫; birth_date=1988-09-30; phone=+819055550001"),
        ],
    )?;
    assert_ne!(case.customers[0], case.customers[1]);
    assert!(
        case.linked.guards[&Guard::ParentAndChild] > 0,
        "{:?}",
        case.linked.guards
    );
    Ok(())
}

#[test]
fn generations_of_one_name_stay_two_without_birth_dates() -> Result<()> {
    for names in [
        [
            "given_name=John; family_name=Okafor; name_suffix=Sr.",
            "given_name=John; family_name=Okafor; name_suffix=Junior",
        ],
        ["name=John Okafor, Sr.", "name=John Okafor III"],
        ["name=Okafor Sr, John", "name=Okafor Jr., John"],
    ] {
        let at_home = names.map(|name| at_home(&format!("{name}; phone=+819055550001")));
        let case = run(&Policy::default(), &at_home)?;
        assert_ne!(case.customers[0], case.customers[1], "{names:?}");
        assert!(
            case.linked.guards[&Guard::ParentAndChild] > 0,
            "{:?}",
            case.linked.guards
        );
    }
    // The second of a name is the junior.
    let same = ["name=John Okafor II", "name=John Okafor, Jr."];
    let case = run(&Policy::default(), &same.map(at_home))?;
    assert_eq!(case.customers[0], case.customers[1]);
    Ok(())
}

/// The model of the town, with records of a case, which are numbered from 900.
fn trained(records: &[String]) -> Result<(Matcher, Model)> {
    let own: Vec<Made> = (900..).zip(records).map(|(n, r)| made(n, r)).collect();
    let features = Features::build(&[batch(&town(TOWN))?, batch(&own)?])?;
    let model = train(&features, &Policy::default(), 1);
    Ok((Matcher::new(features, &model), model))
}

/// Middle names say who of one name is who, in full or by the initial, and people go by either of their names.
#[test]
fn middle_names_are_evidence() -> Result<()> {
    let record = |names: &str| format!("{names}; family_name=Silva; birth_date=age 41");
    let records = [
        "given_name=Maria; middle_name=Quiteria",
        "given_name=Maria; middle_name=Quiteria",
        "given_name=Maria; middle_name=Q",
        "given_name=Quiteria",
        "given_name=Maria; middle_name=Benedita",
    ];
    let (matcher, model) = trained(&records.map(record))?;
    let explained = |other: u32| explain(&matcher, &model, &id(900), &id(other));
    let part = |of: &Explanation, name: &str| {
        let found = of.comparisons.iter().find(|p| p.comparison == name);
        found.map(|p| (p.level, p.weight + p.frequency))
    };
    let [same, initial, other, namesake] = [901, 902, 903, 904].map(explained);
    let (same, initial, other, namesake) = (same?, initial?, other?, namesake?);
    let middle = |of| part(of, "middle").expect("a middle name");
    assert_eq!(middle(&same).0, "exact");
    assert_eq!(middle(&initial).0, "initial or start");
    assert_eq!(middle(&namesake).0, "different");
    assert!(middle(&same).1 > middle(&initial).1 && middle(&initial).1 > 0.0);
    assert!(middle(&namesake).1 < 0.0);
    assert_eq!(part(&other, "given").map(|p| p.0), Some("swapped"));
    assert_eq!(part(&other, "middle"), None, "it is counted once");
    Ok(())
}

/// Who moved lives in another area and therefore in another street, which is one difference and not two.
#[test]
fn a_move_counts_once() -> Result<()> {
    let person = "given_name=Ottilie; family_name=Quarshie; birth_date=1971-03-09";
    let records = [
        at_home(person),
        format!(
            "{person}; postal_code=060-0001; prefecture=北海道; city=札幌市中央区; town=北一条西; block=2-2"
        ),
    ];
    let (matcher, model) = trained(&records)?;
    let why = explain(&matcher, &model, &id(900), &id(901))?;
    let part = |name: &str| {
        let mut parts = why.comparisons.iter();
        parts.find(|p| p.comparison == name).expect("a comparison")
    };
    assert_eq!(
        (part("area").level, part("street").level),
        ("different", "elsewhere")
    );
    assert!(part("area").weight < 0.0);
    assert_eq!(
        (part("street").weight, part("street").frequency),
        (0.0, 0.0)
    );
    Ok(())
}

/// In a town where every third family has a father and a son of one name, they agree on all but their birth dates: that
/// many pairs must not teach that birth dates are often wrong.
#[test]
fn many_parents_and_children_of_one_name_stay_two() -> Result<()> {
    const FAMILIES: u32 = 130;
    let letters = |n: u32, salt: u32| -> String {
        let letter = |at: u32| (n.wrapping_mul(2_654_435_761) ^ salt).rotate_left(at * 5) % 26;
        (1..7)
            .map(|at| char::from(b'a' + letter(at) as u8))
            .collect()
    };
    let records: Vec<String> = (0..FAMILIES)
        .flat_map(|n| {
            let names = format!(
                "given_name={}; family_name={}",
                letters(n, 1),
                letters(n, 2)
            );
            let home = format!("city=大阪市北区; town=曽根崎{}丁目; block={n}-1", n % 7);
            let born = move |year: u32| format!("{year}-{:02}-{:02}", n % 12 + 1, year % 28 + 1);
            let person = move |year| format!("{names}; {home}; birth_date={}", born(year));
            let father = 1935 + n % 25;
            let (father, son) = (person(father), person(father + 20 + n % 17));
            [father.clone(), father, son.clone(), son]
        })
        .collect();
    let case = run(&Policy::default(), &records)?;
    let families = case.customers.chunks(4);
    let right = families.filter(|of| of[0] == of[1] && of[2] == of[3] && of[0] != of[2]);
    let right = right.count();
    assert!(right >= 115, "{right} of {FAMILIES} families");
    Ok(())
}

#[test]
fn a_couple_that_shares_a_mailbox_stays_two_and_is_one_household() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            at_home("name=中島 薫; email=nakajima@musubi.jp"),
            at_home("name=中島 静; email=nakajima@musubi.jp"),
        ],
    )?;
    let [a, b] = case.customers[..] else {
        panic!("two records")
    };
    assert_ne!(a, b);
    assert!(
        case.linked.guards[&Guard::GivenName] > 0,
        "{:?}",
        case.linked.guards
    );
    assert_eq!(
        case.linked.household[a as usize],
        case.linked.household[b as usize]
    );
    Ok(())
}

#[test]
fn junk_contacts_join_nobody() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            "name=中島 薫; phone=+81000000000; email=test@musubi.jp".to_owned(),
            "name=大山 静; phone=+81000000000; email=test@musubi.jp".to_owned(),
        ],
    )?;
    assert_ne!(case.customers[0], case.customers[1]);
    assert_eq!(case.ignored, 4);
    Ok(())
}

#[test]
fn a_blocked_value_joins_nobody() -> Result<()> {
    let rows = [
        "name=中島; email=front@musubi.jp".to_owned(),
        "name=中島; email=front@musubi.jp".to_owned(),
    ];
    assert_eq!(
        run(&Policy::default(), &rows)?.customers.iter().min(),
        run(&Policy::default(), &rows)?.customers.iter().max()
    );
    let mut policy = Policy {
        match_probability: 0.999_999,
        ..Policy::default()
    };
    for identifier in policy.identifiers.iter_mut().filter(|i| i.field == "email") {
        identifier.blocked.insert("front@musubi.jp".to_owned());
    }
    let case = run(&policy, &rows)?;
    assert_ne!(case.customers[0], case.customers[1]);
    Ok(())
}

#[test]
fn a_company_and_a_person_on_one_phone_stay_two() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            at_home("name=株式会社中島商店; phone=+819055550001"),
            at_home("name=中島 薫; phone=+819055550001"),
        ],
    )?;
    assert_ne!(case.customers[0], case.customers[1]);
    assert!(
        case.linked.guards[&Guard::Business] > 0,
        "{:?}",
        case.linked.guards
    );
    Ok(())
}

#[test]
fn a_person_at_work_is_the_same_person() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            "name=中島 薫; phone=+819055550001; is_business=true".to_owned(),
            "name=中島 薫; phone=+819055550001; is_business=false".to_owned(),
        ],
    )?;
    assert_eq!(case.customers[0], case.customers[1]);
    Ok(())
}

#[test]
fn a_record_between_two_people_does_not_join_them() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            "name=中島 薫; birth_date=1955-02-11; phone=+819055550001".to_owned(),
            "name=中島 薫; birth_date=1955-02-11; phone=+819055550001".to_owned(),
            "phone=+819055550001; phone2=+819055550002".to_owned(),
            "name=大山 静; birth_date=1971-08-23; phone=+819055550002".to_owned(),
            "name=大山 静; birth_date=1971-08-23; phone=+819055550002".to_owned(),
        ],
    )?;
    assert_eq!(case.customers[0], case.customers[1]);
    assert_eq!(case.customers[3], case.customers[4]);
    assert_ne!(case.customers[0], case.customers[3]);
    let stopped: u64 = [Guard::Bridge, Guard::ParentAndChild, Guard::GivenName]
        .iter()
        .filter_map(|g| case.linked.guards.get(g))
        .sum();
    assert!(stopped > 0, "{:?}", case.linked.guards);
    Ok(())
}

#[test]
fn a_cluster_past_its_bound_needs_more_than_a_name() -> Result<()> {
    let rows: Vec<String> = (0..8).map(|_| "name=獅子堂 冴".to_owned()).collect();
    let loose = Policy {
        match_probability: 0.5,
        review_probability: 0.1,
        ..Policy::default()
    };
    let all = run(&loose, &rows)?;
    let strict = run(
        &Policy {
            max_cluster_size: 3,
            ..loose
        },
        &rows,
    )?;
    let size = |case: &Case| {
        let first = case.customers[0];
        case.customers.iter().filter(|c| **c == first).count()
    };
    assert_eq!(size(&all), 8, "{:?}", all.linked.guards);
    assert!(size(&strict) <= 3, "{:?}", strict.linked.guards);
    assert!(
        strict.linked.guards[&Guard::Size] > 0,
        "{:?}",
        strict.linked.guards
    );
    Ok(())
}

#[test]
fn a_customer_has_no_more_cards_than_the_policy_allows() -> Result<()> {
    let rows: Vec<String> = (0..3)
        .map(|n| format!("name=中島 薫; birth_date=1955-02-11; phone=+819055550001; loyalty_number=29000000000{n}"))
        .collect();
    let mut policy = Policy::default();
    policy.identifiers[0].max_per_customer = 2;
    let case = run(&policy, &rows)?;
    assert!(case.customers.iter().any(|c| *c != case.customers[0]));
    assert!(
        case.linked.guards[&Guard::IdentifierLimit] > 0,
        "{:?}",
        case.linked.guards
    );
    Ok(())
}

#[test]
fn a_number_proves_as_much_among_a_hundred_million_as_among_hundreds() -> Result<()> {
    let rows = [
        "name=中島 薫; birth_date=1955-02-11; phone=+819055550001; app_user_id=u-77",
        "name=中島 薫; birth_date=1955-02-11; phone=+819055550001; email=kaoru@example.jp",
        "app_user_id=u-77; device_id=d-1",
    ]
    .map(str::to_owned);
    for population in [1e3, 1e6, 1e8] {
        let case = run_among(&Policy::default(), &rows, Some(population))?;
        assert!(
            case.customers.iter().all(|c| *c == case.customers[0]),
            "among {population}: {:?}, {:?}",
            case.customers,
            case.linked.guards
        );
    }
    Ok(())
}

#[test]
fn stewards_have_the_last_word() -> Result<()> {
    let rows = [
        "name=中島 薫; birth_date=1955-02-11; phone=+819055550001".to_owned(),
        "name=中島 薫; birth_date=1955-02-11; phone=+819055550001".to_owned(),
        "name=大山 静".to_owned(),
    ];
    let pin = |left: u32, right: u32, decision| Pin {
        left: id(left),
        right: id(right),
        decision,
    };
    let pins = vec![
        pin(900, 901, Decision::Never),
        pin(901, 902, Decision::Always),
    ];
    let case = run(
        &Policy {
            pins,
            ..Policy::default()
        },
        &rows,
    )?;
    assert_ne!(case.customers[0], case.customers[1]);
    assert_eq!(case.customers[1], case.customers[2]);
    assert!(
        case.linked.guards[&Guard::Pin] > 0,
        "{:?}",
        case.linked.guards
    );
    Ok(())
}

#[test]
fn one_name_meets_in_kanji_kana_and_letters() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            "name=石田 美咲; phone=+819055550001".to_owned(),
            "name=石田美咲; phone=+819055550001".to_owned(),
            "name_kana=イシダ ミサキ; phone=+819055550001".to_owned(),
            "name=Misaki Ishida; phone=+819055550001".to_owned(),
            "name=美咲; phone=+819055550001".to_owned(),
            "name=石田 健太; phone=+819055550002".to_owned(),
        ],
    )?;
    let first = case.customers[0];
    assert_eq!(
        case.customers,
        [first, first, first, first, first, case.customers[5]]
    );
    assert_ne!(first, case.customers[5]);
    Ok(())
}

#[test]
fn one_person_goes_by_a_name_and_its_short_form() -> Result<()> {
    let case = run(
        &Policy::default(),
        &[
            "given_name=Margaret; family_name=Thornbury; phone=+819055550001".to_owned(),
            "given_name=Peggy; family_name=Thornbury; phone=+819055550001".to_owned(),
            "given_name=Ruth; family_name=Thornbury; phone=+819055550001".to_owned(),
        ],
    )?;
    assert_eq!(case.customers[0], case.customers[1]);
    assert_ne!(case.customers[0], case.customers[2]);
    Ok(())
}

#[test]
fn a_phone_on_many_nameless_records_with_homes_of_their_own_joins_nobody() -> Result<()> {
    let delivered = |to: u32| {
        format!(
            "phone=+81663451234; postal_code=530-0001; prefecture=大阪府; city=大阪市北区; town=曽根崎一丁目; block={to}-{to}"
        )
    };
    // a person who has meals brought home, to the office and to friends
    let few: Vec<String> = [3, 3, 3, 14, 15].map(delivered).into();
    let case = run(&Policy::default(), &few)?;
    assert!(
        case.customers.iter().all(|c| *c == case.customers[0]),
        "{:?}",
        case.customers
    );
    // a switchboard
    let many: Vec<String> = (30..42).map(delivered).collect();
    let case = run(&Policy::default(), &many)?;
    let customers: std::collections::BTreeSet<_> = case.customers.iter().collect();
    assert_eq!(customers.len(), many.len(), "{:?}", case.customers);
    Ok(())
}
