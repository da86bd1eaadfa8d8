//! Golden records: of each field the value that survives, with the source, the record, the time and the rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array},
    compute,
    datatypes::{SchemaRef, TimestampMicrosecondType},
};
use hashbrown::HashSet;
use musubi_api::entity::{Entity, Kind};
use musubi_clean::schema;
use musubi_identity::{
    Survivor,
    survivorship::{self, DEFAULT_RULES, Records},
};
use musubi_lake::parquet;

use super::{
    Member, Part, Writer, batch, numbers,
    reuse::{MADE_OF, digest, made_of, remember, reuse},
    sources, strings,
};
use crate::stage::{
    clean::Active,
    gather::{self, Place},
    train,
};

/// Identifiers that the table `identifiers` lists.
const IDENTIFIERS: [&str; 7] = [
    "loyalty_number",
    "email",
    "phone",
    "phone2",
    "app_user_id",
    "device_id",
    "external_id",
];

/// Records that are worked on at once: what is told of where each field comes from makes them large.
const CHUNK: usize = 16 << 10;

/// Writes `customers` and `identifiers` of a group, unless the version before has them. Customers that are
/// made of the same as before are taken over row by row; only the others are worked out anew.
pub(super) async fn write(
    writer: &mut Writer<'_>,
    active: &[Active],
    group: Part<'_>,
) -> Result<()> {
    let made_of = made_of(writer, active, group)?;
    let digest = digest(&made_of);
    if writer.keep("customers", &digest) {
        // A group in which nobody has an identifier has no such file.
        writer.keep("identifiers", &digest);
        return Ok(());
    }
    let mut customers = writer.open("customers", digest.clone());
    let mut known_by = writer.open("identifiers", digest);
    let mut order = reuse(writer, &made_of, group, &mut customers, &mut known_by).await?;
    let same: HashSet<u128> = order.iter().copied().collect();
    let of = |m: &Member| made_of[(m.customer - group.first) as usize];
    let changed = group.members.iter().filter(|m| !same.contains(&of(m)));
    let members: Vec<Member> = changed.cloned().collect();
    let places: Vec<Place> = members.iter().map(|m| (m.file, m.at)).collect();
    let families = || members.chunk_by(|a, b| a.customer == b.customer);
    order.extend(families().map(|family| of(&family[0])));
    let ends = gather::ends(CHUNK, families().map(<[_]>::len));
    let context = writer.context;
    let entity = Entity::Customer;
    let mut rows = gather::gather(context, active, entity, &input(), &places, &ends).await?;
    let mut begin = 0;
    for (chunk, end) in ends.iter().enumerate() {
        let part = Chosen::of(group, &members[begin..*end]);
        begin = *end;
        let rows = rows.take(chunk)?;
        let part = part.part();
        customers.write(&golden(writer, part, &rows)?).await?;
        known_by.write(&identifiers(part, &rows)?).await?;
    }
    customers.tag(MADE_OF, remember(context, &order).await?);
    writer.close(customers).await?;
    writer.close(known_by).await
}

/// Some customers of a group by themselves.
struct Chosen {
    ids: Vec<String>,
    households: Vec<Option<String>>,
    members: Vec<Member>,
}

impl Chosen {
    /// The customers of these members, which are ordered by customer.
    fn of(group: Part<'_>, members: &[Member]) -> Self {
        let mut chosen = Self {
            ids: Vec::new(),
            households: Vec::new(),
            members: Vec::with_capacity(members.len()),
        };
        for family in members.chunk_by(|a, b| a.customer == b.customer) {
            let at = (family[0].customer - group.first) as usize;
            let customer = chosen.ids.len() as u32;
            chosen.ids.push(group.ids[at].clone());
            chosen.households.push(group.households[at].clone());
            let members = family.iter().cloned();
            chosen
                .members
                .extend(members.map(|m| Member { customer, ..m }));
        }
        chosen
    }

    fn part(&self) -> Part<'_> {
        Part {
            first: 0,
            ids: &self.ids,
            households: &self.households,
            members: &self.members,
        }
    }
}

/// The clean columns that golden records are made of.
fn input() -> SchemaRef {
    let clean = schema::clean_schema(Entity::Customer);
    let fields = Entity::Customer.fields().iter();
    let valid: Vec<String> = fields
        .clone()
        .map(|f| format!("{}_valid", f.name))
        .collect();
    let mut names = vec!["record_id", "source"];
    names.extend(fields.map(|f| f.name));
    names.extend(valid.iter().map(String::as_str));
    parquet::project(&clean, &names).into()
}

pub(super) fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name)
        .with_context(|| format!("clean customers have no column {name}"))
}

fn golden(writer: &Writer<'_>, group: Part<'_>, rows: &RecordBatch) -> Result<RecordBatch> {
    let policy = train::policy(&writer.context.run.policy);
    let text = |name| Ok::<_, anyhow::Error>(column(rows, name)?.as_string::<i32>());
    let (source, record) = (text("source")?, text("record_id")?);
    let updated = column(rows, "updated_at")?.as_primitive_opt::<TimestampMicrosecondType>();
    let changed: Vec<i64> = (0..rows.num_rows())
        .map(|r| {
            updated
                .filter(|u| u.is_valid(r))
                .map_or(i64::MIN, |u| u.value(r))
        })
        .collect();
    let members = group.members.iter();
    let customer: Vec<u32> = members.map(|m| m.customer - group.first).collect();
    let order: Vec<u32> = (0..u32::try_from(rows.num_rows())?).collect();
    let rank = survivorship::ranks(source, &policy.source_priority);
    let shared = Records {
        customer: &customer,
        customers: group.ids.len(),
        rank: &rank,
        changed: &changed,
        order: &order,
    };
    let mut counts = vec![0_i64; group.ids.len()];
    let mut from: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); group.ids.len()];
    for (row, customer) in customer.iter().enumerate() {
        counts[*customer as usize] += 1;
        from[*customer as usize].insert(source.value(row));
    }
    let mut columns: Vec<ArrayRef> = vec![
        strings(group.ids.iter().cloned().map(Some)),
        strings(group.households.iter().cloned()),
        numbers(counts.into_iter().map(Some)),
        strings(from.into_iter().map(|s| Some(sources(s.into_iter())))),
    ];
    let mut provenance = vec![Provenance::default(); group.ids.len()];
    for field in Entity::Customer.fields() {
        let values = column(rows, field.name)?;
        let valid = rows
            .column_by_name(&format!("{}_valid", field.name))
            .and_then(|c| c.as_boolean_opt());
        let named = policy
            .survivorship
            .iter()
            .find(|(name, _)| name == field.name)
            .map(|(_, rules)| rules.as_slice());
        let rules = named.unwrap_or(if field.kind == Kind::Timestamp {
            &[Survivor::MostRecent]
        } else {
            &DEFAULT_RULES
        });
        let winners = survivorship::golden(shared, values, valid, rules)?;
        columns.push(compute::take(
            values,
            &winners.row.iter().copied().collect::<UInt32Array>(),
            None,
        )?);
        for (customer, row) in winners.row.iter().enumerate() {
            if let Some(row) = row {
                let (rule, values) = (winners.rule[customer], winners.distinct[customer]);
                provenance[customer].won(field.name, *row as usize, rule, values);
            }
        }
    }
    let told = provenance
        .iter()
        .map(|p| Some(p.tell(source, record, &changed)));
    columns.push(strings(told));
    batch("customers", columns)
}

/// Which record won each field of a customer, and why.
#[derive(Clone, Default)]
struct Provenance(Vec<Won>);

/// The fields that one record won by one rule.
#[derive(Clone)]
struct Won {
    row: usize,
    rule: Option<Survivor>,
    /// How many values there were of each, in JSON.
    fields: String,
}

impl Provenance {
    /// Notes that a row won a field. A customer has few records, and of them few win.
    fn won(&mut self, field: &str, row: usize, rule: Option<Survivor>, values: u32) {
        let known = self.0.iter_mut().find(|w| w.row == row && w.rule == rule);
        let (fields, comma) = match known {
            Some(won) => (&mut won.fields, ","),
            None => {
                let fields = String::new();
                let won = self.0.push_mut(Won { row, rule, fields });
                (&mut won.fields, "")
            }
        };
        // Writing to a text cannot fail.
        let _ = write!(fields, r#"{comma}"{field}":{values}"#);
    }

    /// Says it in JSON; names of sources, fields and rules hold nothing that JSON would escape. A record is
    /// told once for all fields that it won: told with every field, it would be most of the table.
    fn tell(&self, source: &StringArray, record: &StringArray, changed: &[i64]) -> String {
        let mut told = String::from("[");
        for Won { row, rule, fields } in &self.0 {
            let row = *row;
            let at = jiff::Timestamp::from_microsecond(changed[row])
                .ok()
                .filter(|_| changed[row] != i64::MIN)
                .map_or_else(|| "null".to_owned(), |at| format!("\"{at}\""));
            let rule = rule.map_or("only_value", rule_name);
            let comma = if told.len() > 1 { "," } else { "" };
            let (source, record) = (source.value(row), record.value(row));
            let _ = write!(
                told,
                r#"{comma}{{"source":"{source}","record":"{record}","at":{at},"rule":"{rule}","fields":{{{fields}}}}}"#
            );
        }
        told.push(']');
        told
    }
}

fn rule_name(rule: Survivor) -> &'static str {
    match rule {
        Survivor::SourcePriority => "source_priority",
        Survivor::MostRecent => "most_recent",
        Survivor::MostFrequent => "most_frequent",
        Survivor::MostComplete => "most_complete",
        Survivor::VerifiedFirst => "verified_first",
    }
}

fn identifiers(group: Part<'_>, rows: &RecordBatch) -> Result<RecordBatch> {
    let mut found: BTreeMap<(u32, &str, &str), i64> = BTreeMap::new();
    for name in IDENTIFIERS {
        let values = column(rows, name)?.as_string::<i32>();
        let kind = if name == "phone2" { "phone" } else { name };
        for (row, member) in group
            .members
            .iter()
            .enumerate()
            .filter(|(row, _)| values.is_valid(*row))
        {
            *found
                .entry((member.customer, kind, values.value(row)))
                .or_default() += 1;
        }
    }
    let columns: Vec<ArrayRef> = vec![
        strings(
            found
                .keys()
                .map(|(c, ..)| Some(group.ids[(*c - group.first) as usize].clone())),
        ),
        strings(found.keys().map(|(_, kind, _)| Some((*kind).to_owned()))),
        strings(found.keys().map(|(.., value)| Some((*value).to_owned()))),
        numbers(found.values().map(|n| Some(*n))),
    ];
    batch("identifiers", columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_once_for_all_fields_that_it_won_by_one_rule() {
        let source = StringArray::from(vec!["crm", "app"]);
        let record = StringArray::from(vec!["0a", "0b"]);
        let changed = [i64::MIN, 1_775_000_000_000_000];
        let mut provenance = Provenance::default();
        assert_eq!(provenance.tell(&source, &record, &changed), "[]");
        provenance.won("name", 0, None, 1);
        provenance.won("email", 1, Some(Survivor::MostRecent), 2);
        provenance.won("phone", 0, None, 1);
        provenance.won("city", 0, Some(Survivor::MostRecent), 3);
        let told = concat!(
            r#"[{"source":"crm","record":"0a","at":null,"rule":"only_value","fields":{"name":1,"phone":1}},"#,
            r#"{"source":"app","record":"0b","at":"2026-03-31T23:33:20Z","rule":"most_recent","fields":{"email":2}},"#,
            r#"{"source":"crm","record":"0a","at":null,"rule":"most_recent","fields":{"city":3}}]"#,
        );
        assert_eq!(provenance.tell(&source, &record, &changed), told);
    }
}
