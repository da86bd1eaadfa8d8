//! `musubi validate`: says everything that is wrong with resource files, before anything runs.

use std::{path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use comfy_table::Table;
use musubi_api::{Catalog, Problem, load_and_validate};

use super::output;

/// Check resource files: schema, rules, references, mappings. Prints every problem at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files and folders with resources.
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "PATH")]
    files: Vec<PathBuf>,
    /// How the outcome is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Sentences with file, line and column.
    Text,
    /// A table, one problem a row.
    Table,
    /// JSON for machines.
    Json,
    /// YAML for machines.
    Yaml,
}

/// Checks and prints. The exit code is 1 when anything is wrong.
///
/// # Errors
/// When the outcome cannot be written in the form asked for.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let outcome = load_and_validate(&args.files);
    let problems = outcome.as_ref().err().map_or(&[][..], |p| p.as_slice());
    let form = match args.output {
        Output::Text => {
            match &outcome {
                Ok(catalog) => println!("{}", summary(catalog)),
                Err(problems) => eprintln!("{problems}"),
            }
            return Ok(ExitCode::from(u8::from(outcome.is_err())));
        }
        Output::Table => output::Output::Table,
        Output::Json => output::Output::Json,
        Output::Yaml => output::Output::Yaml,
    };
    form.print(&report(problems), |_| table(problems).to_string())?;
    Ok(ExitCode::from(u8::from(outcome.is_err())))
}

fn report(problems: &[Problem]) -> serde_json::Value {
    serde_json::json!({ "valid": problems.is_empty(), "problems": problems })
}

fn summary(catalog: &Catalog) -> String {
    let mut lines: Vec<String> = catalog
        .documents()
        .map(|d| {
            let kind = d.resource.kind().as_str();
            format!("  {kind}/{} ({}:{})", d.name, d.file.display(), d.line())
        })
        .collect();
    let count = lines.len();
    lines.push(match count {
        1 => "1 resource is valid".into(),
        n => format!("{n} resources are valid"),
    });
    lines.join("\n")
}

fn table(problems: &[Problem]) -> Table {
    let mut table = output::table(&["place", "resource", "field", "problem"], 4);
    for p in problems {
        let place = format!("{}:{}:{}", p.file.display(), p.line, p.column);
        table.add_row([&place, &p.resource, &p.field, &p.message]);
    }
    table
}
