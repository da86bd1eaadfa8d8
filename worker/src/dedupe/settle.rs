//! Which column has a role that several may have, and what columns are beside each other.

use super::{
    guess::{Guess, NAMES},
    role::{Part, Role},
};

/// Settles which column has a role that several want: the surest, then the fullest, then the first.
pub(super) fn settle(columns: &mut [Guess]) {
    let of_name = |c: &Guess| NAMES.map(Role::field).contains(&c.role);
    if columns.iter().any(|c| c.sure > 1 && of_name(c)) {
        // Beside named columns, other names are those of other people, or second ones.
        for column in columns.iter_mut().filter(|c| c.sure < 2 && of_name(c)) {
            column.role = Role::Ignored;
            column.why = "names, but other columns are named so".to_owned();
        }
    }
    let has = |columns: &[Guess], name: &str| columns.iter().any(|c| c.role == Role::field(name));
    // Further phones have a field of their own.
    let phone = Role::field("phone");
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&columns[*a], &columns[*b]);
        let filled = || b.filled.total_cmp(&a.filled);
        // Of many people, values tell more than a few that come again and again.
        let various = match b.sure {
            1 => b.distinct.cmp(&a.distinct),
            _ => std::cmp::Ordering::Equal,
        };
        b.sure.cmp(&a.sure).then(various).then_with(filled)
    });
    let mut taken: Vec<Role> = Vec::new();
    for at in order {
        let role = columns[at].role;
        if !role.is_evidence() {
            continue;
        }
        let role = if role == phone && taken.contains(&phone) {
            Role::field("phone2")
        } else {
            role
        };
        if taken.contains(&role) {
            let first = columns.iter().enumerate();
            let mut first = first.filter(|(i, c)| *i != at && c.role == role);
            let other = first
                .next()
                .map_or_else(String::new, |(_, c)| c.name.clone());
            columns[at].role = Role::Ignored;
            columns[at].why = format!("{other} is the {} already", role.as_str());
            continue;
        }
        taken.push(role);
        columns[at].role = role;
    }
    settle_names(columns);
    if has(columns, "family_name") && has(columns, "given_name") {
        drop_whole(columns, "name", "its parts have columns of their own");
    }
    if has(columns, "family_kana") && has(columns, "given_kana") {
        drop_whole(columns, "name_kana", "its parts have columns of their own");
    }
    let parts = [Part::Year, Part::Month, Part::Day].map(Role::Birth);
    let whole = has(columns, "birth_date");
    let is_there = |part: &Role| columns.iter().any(|c| c.role == *part);
    let complete = parts.iter().all(is_there);
    if whole || is_there(&parts[0]) {
        let ages = columns.iter_mut();
        for column in ages.filter(|c| c.role == Role::Birth(Part::Age) && c.sure < 4) {
            column.role = Role::Ignored;
            column.why = "the birth has a column".to_owned();
        }
    }
    if whole || !complete {
        let why = if whole {
            "the whole date has a column"
        } else {
            "a birth date needs year, month and day"
        };
        let left = if whole { &parts[..] } else { &parts[1..] };
        for column in columns.iter_mut().filter(|c| left.contains(&c.role)) {
            column.role = Role::Ignored;
            column.why = why.to_owned();
        }
    }
}

/// Beside one part of a name, a column called name may be the other part; and a part may be all of it.
fn settle_names(columns: &mut [Guess]) {
    let [name, family, given] = NAMES.map(|field| {
        let mut columns = columns.iter();
        columns.position(|c| c.role == Role::field(field))
    });
    let (at, field, beside) = match (name, family, given) {
        (Some(at), Some(part), None) => (at, "given_name", Some(part)),
        (Some(at), None, Some(part)) => (at, "family_name", Some(part)),
        (None, Some(at), None) | (None, None, Some(at)) => (at, "name", None),
        _ => return,
    };
    let (one_word, whole) = columns[at].words;
    let (is_so, why) = match beside {
        Some(part) => (
            one_word >= 0.8,
            format!("one word beside {}", columns[part].name),
        ),
        None => (whole >= 0.5, "names as a whole".to_owned()),
    };
    if is_so && columns[at].sure < 4 {
        columns[at].role = Role::field(field);
        columns[at].why = why;
    }
}

fn drop_whole(columns: &mut [Guess], name: &str, why: &str) {
    for column in columns
        .iter_mut()
        .filter(|c| c.role == Role::field(name) && c.sure < 4)
    {
        column.role = Role::Ignored;
        column.why = why.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::guess::tests::of, *};

    #[test]
    fn one_column_has_a_role() {
        let mut columns = vec![
            of("full_name", &["Ann Day"]),
            of("first_name", &["Ann"]),
            of("surname", &["Day"]),
            of("tel", &["0312345678"]),
            of("mobile", &["09012345678"]),
            of("birth_year", &["1980"]),
            of("surname_2", &["Poe"]),
            of("birth_month", &["12"]),
            of("bairro", &["Centro"]),
            of("cidade", &["Recife"]),
        ];
        settle(&mut columns);
        let roles: Vec<&str> = columns.iter().map(|c| c.role.as_str()).collect();
        assert_eq!(
            roles,
            [
                "ignore",
                "given_name",
                "family_name",
                "phone",
                "phone2",
                "birth_year",
                "ignore",
                "ignore",
                "ignore",
                "city"
            ]
        );
        assert!(columns[6].why.contains("surname is the family_name"));
    }

    #[test]
    fn a_name_beside_a_part_is_the_other_part() {
        for (first, second, roles) in [
            (
                ("Name", "Ann|Mary Lou|Bob|Eve|Kim|Jo"),
                ("Surname", "Day|Poe"),
                ["given_name", "family_name"],
            ),
            (
                ("Name", "Day|Poe"),
                ("Vorname", "Ann|Bob"),
                ["family_name", "given_name"],
            ),
            (
                ("Name", "Ann Day|Bob Poe"),
                ("Surname", "Day|Poe"),
                ["name", "family_name"],
            ),
            (
                ("名前", "花子|一郎"),
                ("姓", "佐藤|鈴木"),
                ["given_name", "family_name"],
            ),
            (
                ("漢字名", "佐藤花子|鈴木一郎"),
                ("city", "Kyoto"),
                ["name", "city"],
            ),
            (
                ("漢字名", "花子|一郎"),
                ("漢字姓", "佐藤|鈴木"),
                ["given_name", "family_name"],
            ),
        ] {
            let column = |(name, values): (&str, &str)| {
                let values: Vec<&str> = values.split('|').collect();
                of(name, &values)
            };
            let mut columns = vec![column(first), column(second)];
            settle(&mut columns);
            let found: Vec<&str> = columns.iter().map(|c| c.role.as_str()).collect();
            assert_eq!(found, roles, "{}", first.0);
        }
    }

    #[test]
    fn of_columns_known_by_values_the_most_various_is_taken() {
        let few = ["Mary Smith"; 6];
        let many = ["Mary Smith", "John Brown", "Ann Day", "Xu Li", "Jo", "Al"];
        let mut columns = vec![of("Company", &many), of("x1", &few), of("x2", &many)];
        settle(&mut columns);
        let roles: Vec<&str> = columns.iter().map(|c| c.role.as_str()).collect();
        assert_eq!(roles, ["ignore", "ignore", "name"]);
    }
}
