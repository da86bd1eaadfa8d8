//! Golden records: of each field the value that survives, with the source, the record, the time and the rule.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array},
    compute,
    datatypes::TimestampMicrosecondType,
};
use musubi_api::entity::{Entity, Kind};
use musubi_clean::schema;
use musubi_identity::{
    Survivor,
    survivorship::{self, DEFAULT_RULES, Records, Winners},
};
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::{Group, Writer, batch, numbers, sources, strings};
use crate::stage::{clean::Active, records, train};

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

/// Writes `customers` and `identifiers` of a group, unless the version before has them.
pub(super) async fn write(writer: &mut Writer<'_>, active: &[Active], group: &Group) -> Result<()> {
    let digest = digest(writer, active, group)?;
    if writer.keep("customers", &digest) {
        // A group in which nobody has an identifier has no such file.
        writer.keep("identifiers", &digest);
        return Ok(());
    }
    let context = writer.context;
    let clean = schema::clean_schema(Entity::Customer);
    let places: Vec<(u32, u32)> = group.members.iter().map(|m| (m.file, m.at)).collect();
    let rows = records::gather(context, active, Entity::Customer, &clean, &places).await?;
    let customers = golden(writer, group, &rows)?;
    writer
        .write_as("customers", customers, digest.clone())
        .await?;
    writer
        .write_as("identifiers", identifiers(group, &rows)?, digest)
        .await
}

/// What the customers of a group are made of.
fn digest(writer: &Writer<'_>, active: &[Active], group: &Group) -> Result<String> {
    let run = &writer.context.run;
    let mut text = serde_json::to_vec(&(&run.policy.survivorship, &run.policy.source_priority))?;
    for (id, household) in group.ids.iter().zip(&group.households) {
        text.extend(id.bytes());
        text.extend(household.iter().flat_map(|h| h.bytes()));
    }
    for member in &group.members {
        text.extend(member.customer.to_le_bytes());
        text.extend(member.record.to_le_bytes());
        text.extend(member.content.to_le_bytes());
        text.extend(active[member.file as usize].file.sha256.bytes());
    }
    Ok(format!("{:032x}", xxh3_128(&text)))
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name)
        .with_context(|| format!("clean customers have no column {name}"))
}

fn golden(writer: &Writer<'_>, group: &Group, rows: &RecordBatch) -> Result<RecordBatch> {
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
    let customer: Vec<u32> = group.members.iter().map(|m| m.customer).collect();
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
    let mut provenance: Vec<serde_json::Map<String, serde_json::Value>> =
        vec![Default::default(); group.ids.len()];
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
        explain(
            &mut provenance,
            field.name,
            &winners,
            source,
            record,
            &changed,
        );
    }
    let told = provenance
        .into_iter()
        .map(|p| Some(serde_json::Value::Object(p).to_string()));
    columns.push(strings(told));
    batch("customers", columns)
}

/// Notes for each customer which record won a field, and why.
fn explain(
    provenance: &mut [serde_json::Map<String, serde_json::Value>],
    field: &str,
    winners: &Winners,
    source: &StringArray,
    record: &StringArray,
    changed: &[i64],
) {
    for (customer, row) in winners.row.iter().enumerate() {
        let Some(row) = row.map(|r| r as usize) else {
            continue;
        };
        let at = jiff::Timestamp::from_microsecond(changed[row])
            .ok()
            .filter(|_| changed[row] != i64::MIN);
        let rule = winners.rule[customer].map(rule_name);
        let note = json!({
            "source": source.value(row),
            "record": record.value(row),
            "at": at.map(|t| t.to_string()),
            "rule": rule.unwrap_or("only_value"),
            "values": winners.distinct[customer],
        });
        provenance[customer].insert(field.to_owned(), note);
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

fn identifiers(group: &Group, rows: &RecordBatch) -> Result<RecordBatch> {
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
                .map(|(c, ..)| Some(group.ids[*c as usize].clone())),
        ),
        strings(found.keys().map(|(_, kind, _)| Some((*kind).to_owned()))),
        strings(found.keys().map(|(.., value)| Some((*value).to_owned()))),
        numbers(found.values().map(|n| Some(*n))),
    ];
    batch("identifiers", columns)
}
