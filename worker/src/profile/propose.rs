//! A `Source` to begin with, as YAML with remarks: what was found, as resources that run.

use std::fmt::Write as _;

use serde_json::Value;

use super::{ColumnReport, Kind, Meaning, Profile, SourceReport, StreamReport};

/// The resources: each source, and a pipeline over all of them.
#[must_use]
pub fn propose(profile: &Profile) -> String {
    let mut out = Yaml::default();
    for source in &profile.sources {
        source_yaml(&mut out, source);
    }
    let names: Vec<String> = profile.sources.iter().map(|s| s.name.clone()).collect();
    out.text("---\napiVersion: musubi.dev/v1alpha1\nkind: CustomerPipeline\nmetadata: { name: customers }\nspec:");
    out.line(1, &format!("sources: [{}]", list(&names)));
    out.line(1, "lake: { folder: ./lake }");
    out.0.trim_start_matches("---\n").to_owned()
}

/// Text of resources, line by line.
#[derive(Default)]
struct Yaml(String);

impl Yaml {
    fn text(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.0, "{}{text}", "  ".repeat(depth));
    }
}

/// A text as YAML writes it: plain where that is safe, else in quotes.
fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let plain = chars.next().is_some_and(char::is_alphabetic)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_lowercase().as_str());
    if plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

fn list(texts: &[String]) -> String {
    texts
        .iter()
        .map(|t| quoted(t))
        .collect::<Vec<_>>()
        .join(", ")
}

fn source_yaml(out: &mut Yaml, source: &SourceReport) {
    let system = serde_json::to_value(source.system).ok();
    let system = system.as_ref().and_then(Value::as_str).unwrap_or("crm");
    out.text("---\n# Proposed by `musubi profile`. Names, keys and meanings are guesses from the data: correct what is wrong.");
    out.text(&format!(
        "apiVersion: musubi.dev/v1alpha1\nkind: Source\nmetadata: {{ name: {} }}\nspec:",
        quoted(&source.name)
    ));
    out.line(1, &format!("system: {system}"));
    if !source.japanese {
        out.line(
            1,
            "# Of times without an offset, and of phones and addresses without a country.",
        );
        out.line(1, "timeZone: UTC");
        out.line(1, "country: us");
    }
    let folder = source
        .folder
        .as_ref()
        .map_or_else(|| ".".into(), |f| f.to_string_lossy());
    out.line(
        1,
        &format!("connector: {{ folder: {{ path: {} }} }}", quoted(&folder)),
    );
    out.line(1, "streams:");
    for stream in &source.streams {
        stream_yaml(out, source, stream);
    }
}

fn stream_yaml(out: &mut Yaml, source: &SourceReport, stream: &StreamReport) {
    let entities = entities(source, stream);
    out.line(2, &format!("- name: {}", quoted(&stream.name)));
    out.line(3, &format!("files: {{ path: {} }}", quoted(&stream.path)));
    out.line(3, &format!("format: {}", stream.format));
    if let Some(key) = &stream.key {
        let columns = key.columns.join(", ");
        match key.duplicates {
            0 => out.line(
                3,
                &format!("# key: {columns}; unique in {} rows", key.of_rows),
            ),
            n => out.line(
                3,
                &format!(
                    "# key: {columns}; but {n} of {} rows repeat one: look at them",
                    key.of_rows
                ),
            ),
        }
    }
    let rules: Vec<String> = stream
        .columns
        .iter()
        .filter_map(|c| rule(stream, c, &entities))
        .collect();
    if !rules.is_empty() {
        out.line(3, "contract:");
        out.line(4, "columns:");
        rules
            .iter()
            .for_each(|rule| out.line(5, &format!("- {{ {rule} }}")));
    }
    if entities.is_empty() {
        return out.line(3, "# Nothing in it is known to be a customer, an order or a product: add `entities`, or use it in look-ups.");
    }
    out.line(3, "entities:");
    for entity in &entities {
        out.line(4, &format!("- entity: {}", entity.name));
        if let Some(each) = &entity.each {
            out.line(5, &format!("each: {}", quoted(each)));
        }
        out.line(5, &format!("key: [{}]", list(&entity.key)));
        if let Some((other, key)) = &entity.customer {
            let other = other
                .as_ref()
                .map(|o| format!("stream: {}, ", quoted(o)))
                .unwrap_or_default();
            out.line(5, &format!("customer: {{ {other}key: [{}] }}", quoted(key)));
        }
        out.line(5, "fields:");
        for (field, mapping) in &entity.fields {
            out.line(6, &format!("{field}: {{ {mapping} }}"));
        }
    }
}

/// A rule for a column that is mapped or part of a key, as far as all its values keep it.
fn rule(stream: &StreamReport, column: &ColumnReport, entities: &[Proposal]) -> Option<String> {
    if column.name.contains("[]") {
        return None;
    }
    let from = format!("from: {}", quoted(&column.name));
    let mapped = entities
        .iter()
        .flat_map(|e| &e.fields)
        .any(|(_, m)| *m == from || m.starts_with(&format!("{from},")));
    let in_key = entities
        .iter()
        .any(|e| e.each.is_none() && e.key.contains(&column.name));
    let mut rule = format!("name: {}", quoted(&column.name));
    let typed =
        column.kind != Kind::Text && column.kind != Kind::Flag && column.of_type_percent >= 100.0;
    if mapped && typed {
        let _ = write!(rule, ", type: {}", column.kind.as_str());
        if let Some(format) = column
            .format()
            .filter(|_| matches!(column.kind, Kind::Date | Kind::Timestamp))
        {
            let _ = write!(rule, ", format: {}", quoted(&format));
        }
    }
    if in_key && column.null_percent == 0.0 && stream.rows > 0 {
        rule.push_str(", required: true");
    }
    (rule.contains(',')).then_some(rule)
}

/// An entity that rows of a stream may become.
struct Proposal {
    name: &'static str,
    each: Option<String>,
    key: Vec<String>,
    customer: Option<(Option<String>, String)>,
    fields: Vec<(&'static str, String)>,
}

/// Fields of the canonical model by meaning, for each entity.
const CUSTOMER: &[(&str, Meaning)] = &[
    ("name", Meaning::Name),
    ("family_name", Meaning::FamilyName),
    ("given_name", Meaning::GivenName),
    ("middle_name", Meaning::MiddleName),
    ("name_suffix", Meaning::NameSuffix),
    ("name_kana", Meaning::NameKana),
    ("family_kana", Meaning::FamilyKana),
    ("given_kana", Meaning::GivenKana),
    ("email", Meaning::Email),
    ("phone", Meaning::Phone),
    ("postal_code", Meaning::PostalCode),
    ("address", Meaning::Address),
    ("city", Meaning::City),
    ("prefecture", Meaning::Prefecture),
    ("town", Meaning::Town),
    ("block", Meaning::Block),
    ("building", Meaning::Building),
    ("birth_date", Meaning::BirthDate),
    ("gender", Meaning::Gender),
    ("loyalty_number", Meaning::LoyaltyNumber),
    ("registered_at", Meaning::RegisteredAt),
    ("updated_at", Meaning::UpdatedAt),
];
const ORDER: &[(&str, Meaning)] = &[
    ("order_number", Meaning::OrderNumber),
    ("ordered_at", Meaning::OrderedAt),
    ("total", Meaning::Total),
    ("tax", Meaning::Tax),
    ("discount", Meaning::Discount),
    ("status", Meaning::Status),
    ("store_code", Meaning::StoreCode),
];
const LINE: &[(&str, Meaning)] = &[
    ("line_number", Meaning::LineNumber),
    ("product_code", Meaning::ProductCode),
    ("quantity", Meaning::Quantity),
    ("unit_price", Meaning::UnitPrice),
];
const PRODUCT: &[(&str, Meaning)] = &[
    ("product_code", Meaning::ProductCode),
    ("name", Meaning::ProductName),
    ("category", Meaning::Category),
    ("price", Meaning::UnitPrice),
];
const STORE: &[(&str, Meaning)] = &[
    ("store_code", Meaning::StoreCode),
    ("name", Meaning::StoreName),
];

/// Columns of a stream at one level: of its rows, or of the elements of an array.
struct Level<'a> {
    stream: &'a StreamReport,
    prefix: String,
}

impl<'a> Level<'a> {
    fn rows(stream: &'a StreamReport) -> Self {
        Self {
            stream,
            prefix: String::new(),
        }
    }

    fn columns(&self) -> impl Iterator<Item = (&'a ColumnReport, &'a str)> {
        let prefix = self.prefix.clone();
        self.stream.columns.iter().filter_map(move |c| {
            let rest = c.name.strip_prefix(prefix.as_str())?;
            (!rest.contains("[]")).then_some((c, rest))
        })
    }

    /// The column with a meaning; a declared record type has none, since its names are made up.
    fn find(&self, meaning: Meaning) -> Option<(&'a ColumnReport, &'a str)> {
        if self.stream.format.get("records").is_some() {
            return None;
        }
        self.columns().find(|(c, _)| c.meaning == Some(meaning))
    }

    fn name(&self, meaning: Meaning) -> Option<&'a str> {
        self.find(meaning).map(|(_, name)| name)
    }

    fn fields(&self, table: &'static [(&'static str, Meaning)]) -> Vec<(&'static str, String)> {
        let found = table
            .iter()
            .filter_map(|(field, meaning)| Some((*field, self.find(*meaning)?)));
        found
            .map(|(field, (column, name))| (field, mapping(column, name)))
            .collect()
    }
}

fn mapping(column: &ColumnReport, name: &str) -> String {
    let from = format!("from: {}", quoted(name));
    match column
        .format()
        .filter(|_| matches!(column.kind, Kind::Date | Kind::Timestamp))
    {
        Some(format) => format!("{from}, format: {}", quoted(&format)),
        None => from,
    }
}

fn entities(source: &SourceReport, stream: &StreamReport) -> Vec<Proposal> {
    let rows = Level::rows(stream);
    let key = stream.key.as_ref().map(|k| k.columns.clone());
    let order_number = rows.name(Meaning::OrderNumber);
    let mut out = Vec::new();
    let own = customer(&rows, key.as_deref(), order_number.is_some());
    let customer = own.as_ref().map(|c| (None, c.key[0].clone()));
    let customer = customer.or_else(|| elsewhere(source, stream, &rows));
    out.extend(own);
    if let Some(number) = order_number {
        let line =
            rows.find(Meaning::ProductCode).is_some() && rows.find(Meaning::Quantity).is_some();
        out.push(Proposal {
            name: "order",
            each: None,
            key: vec![number.to_owned()],
            customer,
            fields: rows.fields(if line { &ORDER[..2] } else { ORDER }),
        });
        if line {
            let key = key.unwrap_or_else(|| {
                vec![
                    number.to_owned(),
                    rows.name(Meaning::ProductCode).unwrap_or(number).to_owned(),
                ]
            });
            let mut fields = vec![("order_number", format!("from: {}", quoted(number)))];
            fields.extend(rows.fields(LINE));
            out.push(Proposal {
                name: "order_line",
                each: None,
                key,
                customer: None,
                fields,
            });
        }
        out.extend(lines(stream, number));
    } else if let Some(code) = rows
        .name(Meaning::ProductCode)
        .filter(|_| rows.find(Meaning::ProductName).is_some())
    {
        out.push(Proposal {
            name: "product",
            each: None,
            key: vec![code.to_owned()],
            customer: None,
            fields: rows.fields(PRODUCT),
        });
    } else if let Some(code) = rows
        .name(Meaning::StoreCode)
        .filter(|_| rows.find(Meaning::StoreName).is_some())
    {
        out.push(Proposal {
            name: "store",
            each: None,
            key: vec![code.to_owned()],
            customer: None,
            fields: rows.fields(STORE),
        });
    }
    out
}

/// A customer, when a row says two things of a person, or has an address to write to.
fn customer(rows: &Level<'_>, key: Option<&[String]>, in_order: bool) -> Option<Proposal> {
    let fields = rows.fields(CUSTOMER);
    let personal = fields.iter().filter(|(name, _)| {
        !matches!(
            *name,
            "registered_at"
                | "updated_at"
                | "middle_name"
                | "name_suffix"
                | "gender"
                | "city"
                | "prefecture"
                | "town"
                | "block"
                | "building"
        )
    });
    let contact = fields
        .iter()
        .any(|(name, _)| matches!(*name, "email" | "phone" | "loyalty_number"));
    let said = personal.count();
    let is_shop =
        rows.find(Meaning::StoreName).is_some() && !fields.iter().any(|(f, _)| f.contains("name"));
    if (said < 2 && !contact) || is_shop {
        return None;
    }
    let id = rows
        .name(Meaning::CustomerId)
        .or_else(|| rows.name(Meaning::LoyaltyNumber));
    let single = key
        .filter(|k| k.len() == 1 && !in_order)
        .map(|k| k[0].as_str());
    let reach = || {
        rows.name(Meaning::Email)
            .or_else(|| rows.name(Meaning::Phone))
    };
    let key = if in_order {
        id.or_else(reach)
    } else {
        single.or(id).or_else(reach)
    }?;
    Some(Proposal {
        name: "customer",
        each: None,
        key: vec![key.to_owned()],
        customer: None,
        fields,
    })
}

/// The stream of the same source whose customers this one's rows point to.
fn elsewhere(
    source: &SourceReport,
    stream: &StreamReport,
    rows: &Level<'_>,
) -> Option<(Option<String>, String)> {
    let pointer = rows.name(Meaning::CustomerId)?;
    source
        .streams
        .iter()
        .filter(|other| other.name != stream.name)
        .find_map(|other| {
            let level = Level::rows(other);
            let in_order = level.name(Meaning::OrderNumber).is_some();
            let key = other.key.as_ref().map(|k| k.columns.as_slice());
            let customer = customer(&level, key, in_order)?;
            let same = customer.key[0] == pointer
                || level
                    .name(Meaning::CustomerId)
                    .is_none_or(|id| id == customer.key[0]);
            same.then(|| (Some(other.name.clone()), pointer.to_owned()))
        })
}

/// Lines in an array of a row: its elements have a product or a quantity.
fn lines(stream: &StreamReport, number: &str) -> Option<Proposal> {
    let arrays = stream
        .columns
        .iter()
        .filter_map(|c| c.name.split_once("[].").map(|(array, _)| array));
    let mut arrays: Vec<&str> = arrays.collect();
    arrays.dedup();
    let array = arrays.into_iter().find(|array| {
        let level = Level {
            stream,
            prefix: format!("{array}[]."),
        };
        level.find(Meaning::ProductCode).is_some() && level.find(Meaning::Quantity).is_some()
    })?;
    let level = Level {
        stream,
        prefix: format!("{array}[]."),
    };
    let mut fields = vec![(
        "order_number",
        format!("from: {}", quoted(&format!("$.{number}"))),
    )];
    fields.extend(level.fields(LINE));
    if !fields.iter().any(|(name, _)| *name == "line_number") {
        fields.push(("line_number", "from: \"#\"".into()));
    }
    Some(Proposal {
        name: "order_line",
        each: Some(array.to_owned()),
        key: vec![format!("$.{number}"), "#".into()],
        customer: None,
        fields,
    })
}
