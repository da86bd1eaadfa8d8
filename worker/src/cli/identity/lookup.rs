//! `musubi identity lookup` and `add`: one record, one answer.

use std::{io::Read as _, process::ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Cell;
use serde_json::Value;

use crate::{
    cli::{
        output::{self, Output, table},
        target::{Files, Target},
    },
    lookup::{Desk, Fields, Said, in_files},
    report::count,
};

/// Say which customer a record belongs to.
///
/// The record is held against the published version and what was added since, by the rules and the model of that
/// version. The answer names the customer, the records that may be the same person with weight, probability, rule and
/// levels, and customers that the record would join into one. It holds no value of any record. Nothing is written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi identity lookup --field email=m.sato@example.jp --field 'name=佐藤 美咲'\n  musubi identity lookup -f examples/bento --json '{\"phone\": \"090-1234-5678\"}' -o json\n  echo '{\"phone\": \"090-1234-5678\"}' | musubi identity lookup --json -\n  musubi identity lookup --dedupe out --field email=m.sato@example.jp"
)]
pub(super) struct Lookup {
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    target: Target,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Keep a record, and say which customer it belongs to.
///
/// The record is written to the lake before it is acknowledged, as raw data; a later look-up sees it, and the next
/// run takes it as a row of the source `intake`. Tables, warehouses and audiences change with that run and not
/// before. The last record of an id counts; without --id, a record that says the same is the same one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  musubi identity add --id desk-0017 --field 'name=佐藤 美咲' --field phone=090-1234-5678\n  musubi identity add -f examples/bento --json - < record.json"
)]
pub(super) struct Add {
    /// What the record is called where it comes from.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    record: Record,
    #[command(flatten)]
    target: Target,
    /// How the answer is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A record.
#[derive(Debug, clap::Args)]
struct Record {
    /// A field of the entity customer and its value, as in email=a@example.com; may be given several times.
    #[arg(long = "field", value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// The record as a JSON object; - reads it from standard input.
    #[arg(long, value_name = "JSON")]
    json: Option<String>,
}

impl Record {
    fn read(&self) -> Result<Fields> {
        let mut record = match self.json.as_deref() {
            None => Fields::new(),
            Some(text) => {
                let mut read = String::new();
                let text = if text == "-" {
                    let input = std::io::stdin().read_to_string(&mut read);
                    input.context("read the record from standard input")?;
                    &read
                } else {
                    text
                };
                // What is wrong is said by place: the text holds values.
                let value: Value = serde_json::from_str(text).map_err(|e| {
                    anyhow::anyhow!("--json: no JSON at line {} column {}", e.line(), e.column())
                })?;
                let Value::Object(record) = value else {
                    bail!("--json: give an object, as in {{\"email\": \"a@example.com\"}}");
                };
                record
            }
        };
        for field in &self.fields {
            let (name, value) = field
                .split_once('=')
                .context("--field: give FIELD=VALUE, as in --field email=a@example.com")?;
            let name = name.trim();
            ensure!(
                record.insert(name.to_owned(), value.into()).is_none(),
                "field {name} is given twice"
            );
        }
        Ok(record)
    }
}

/// Runs `lookup`.
///
/// # Errors
/// When the record cannot be understood, or nothing is published.
pub(super) async fn lookup(args: Lookup) -> Result<ExitCode> {
    let record = args.record.read()?;
    crate::stage::intake::check(&record)?;
    let said = match args.files.open().await? {
        Some(again) => tokio::task::spawn_blocking(move || in_files(again, record)).await??,
        None => open(&args.target).await?.lookup(record)?,
    };
    args.output.print(&said, text)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `add`.
///
/// # Errors
/// When the record cannot be understood, or nothing is published.
pub(super) async fn add(args: Add) -> Result<ExitCode> {
    let record = args.record.read()?;
    crate::stage::intake::check(&record)?;
    let mut desk = open(&args.target).await?;
    let (said, _) = desk.add(args.id, record).await?;
    args.output.print(&said, text)?;
    Ok(ExitCode::SUCCESS)
}

async fn open(target: &Target) -> Result<Desk> {
    let context = target.open()?;
    let busy = output::working("reading who is who");
    let desk = Desk::open(&context).await;
    busy.finish_and_clear();
    desk
}

fn text(said: &Said) -> String {
    let answer = &said.answer;
    let mut parts = vec![match answer.new {
        true => format!(
            "Nobody known. It would be a new customer, {}.",
            answer.customer
        ),
        false => format!("Customer {}", answer.customer),
    }];
    if !answer.merges.is_empty() {
        parts.push(format!(
            "With this record, one person with {}: the customers would be merged.",
            answer.merges.join(", ")
        ));
    }
    if !answer.candidates.is_empty() {
        let head = [
            "customer",
            "record",
            "rule",
            "weight",
            "probability",
            "linked",
        ];
        let mut rows = table(&head, 3);
        for c in &answer.candidates {
            let figure =
                |text: String| Cell::new(text).set_alignment(comfy_table::CellAlignment::Right);
            rows.add_row([
                short(&c.customer).into(),
                short(&c.record).into(),
                c.rule.into(),
                figure(format!("{:+.2}", c.weight)),
                figure(format!("{:.6}", c.probability)),
                figure(if c.linked { "yes" } else { "no" }.to_owned()),
            ]);
        }
        parts.push(rows.to_string());
    }
    if !said.ignored.is_empty() {
        parts.push(format!(
            "Not understood and left out: {}",
            said.ignored.join(", ")
        ));
    }
    match said.added {
        Some(true) => parts.push("Kept; the next `musubi run` takes it.".to_owned()),
        Some(false) => {
            parts.push("Just this was handed in before; nothing is to be done.".to_owned())
        }
        None => {}
    }
    let waiting = match said.waiting {
        0 => String::new(),
        n => format!(" and {} waiting for a run", count(n as u64)),
    };
    parts.push(match said.version {
        Some(version) => format!("By version {version}{waiting}, model {}.", said.model),
        None => format!("By model {}.", said.model),
    });
    parts.join("\n")
}

fn short(id: &str) -> String {
    format!("{}…", id.get(..9).unwrap_or(id))
}
