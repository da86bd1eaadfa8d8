//! `musubi dedupe`: from plain files to who is who, in one process and without any resource. The normalisers are
//! those of stage clean, the engine is that of train, match and link.

mod again;
mod by_value;
mod clock;
mod dates;
mod guess;
mod japanese;
mod labels;
mod names;
mod need;
mod nested;
mod order;
mod page;
mod records;
mod role;
mod settle;
mod stats;
mod summary;
mod table;
mod write;
mod written;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use musubi_identity::{
    COMPARISON, Diagnostic, Edge, Edges, Grouped, Matcher, Model, Policy, Room, group, train_within,
};

pub use self::{
    again::Again,
    clock::Phase,
    role::{NoRole, Role},
    stats::Stats,
    summary::{columns, summary},
    table::BadRow,
};
use self::{
    clock::Clock,
    guess::Guess,
    labels::Labels,
    records::{Answers, Records},
    table::Table,
};
use crate::memory;

/// What to do.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Files of records.
    pub files: Vec<PathBuf>,
    /// Folder for what comes out.
    pub out: PathBuf,
    /// Columns whose role the user knows.
    pub fields: Vec<(String, Role)>,
    /// Whether only pairs across two files count.
    pub link: bool,
    /// Column with the true person, to score with.
    pub truth: Option<String>,
    /// File of pairs of which somebody said whether they are one person.
    pub labels: Option<PathBuf>,
    /// Column with the true household, to score with.
    pub household: Option<String>,
    /// Memory to stay within, in bytes.
    pub memory: Option<u64>,
    /// Threads; one for each core without.
    pub threads: Option<usize>,
    /// Parts that matching is cut into.
    pub shards: Option<u32>,
    /// Match probability from which two records are one person.
    pub threshold: Option<f64>,
    /// A model from before, in place of training.
    pub model: Option<PathBuf>,
    /// Country of phones, postal codes and addresses that do not say it.
    pub country: Option<String>,
}

/// Is told how far the work has come.
pub trait Watch: Sync {
    /// The columns are known; work begins.
    fn columns(&self, inputs: &[Input]);
    /// A phase begins.
    fn phase(&self, name: &str);
    /// So many rows were read.
    fn rows(&self, rows: u64);
}

/// A file, and what its columns were found to be.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Input {
    /// Path, as it was given.
    pub file: String,
    /// The same from the root, to find it again from anywhere.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Name among the sources.
    pub source: String,
    /// How it is read.
    pub format: String,
    /// Columns, in their order.
    pub columns: Vec<ColumnUse>,
}

/// A column and its use.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ColumnUse {
    /// Name.
    pub column: String,
    /// Role.
    pub role: String,
    /// Why.
    pub why: String,
    /// Percent of rows of a sample with a value.
    pub filled_percent: u8,
}

/// Runs it all.
///
/// # Errors
/// When an input cannot be used, with the way out.
pub fn run(settings: &Settings, watch: &dyn Watch) -> Result<Stats> {
    let threads = settings.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.context("start the threads")?;
    pool.install(|| whole(settings, watch))
}

fn whole(settings: &Settings, watch: &dyn Watch) -> Result<Stats> {
    check(settings)?;
    let mut clock = Clock::default();
    let began = std::time::Instant::now();
    watch.phase("looking at the columns");
    let (tables, country) = clock.time("look", || tables(settings))?;
    let inputs = inputs(&tables);
    watch.columns(&inputs);
    ensure_evidence(&tables)?;
    let most = settings.memory.unwrap_or_else(memory::available);
    need::ensure_enough(&tables, most, settings.memory.is_some())?;
    std::fs::create_dir_all(&settings.out)
        .with_context(|| format!("cannot make the folder {}", settings.out.display()))?;
    let mut policy = policy(settings);
    let labels = settings.labels.as_deref();
    let labels = labels.map(|path| Labels::read(path, &tables)).transpose()?;
    let answers = Answers {
        truth: settings.truth.as_deref(),
        household: settings.household.as_deref(),
    };
    watch.phase("reading and normalising");
    let mut records = records::read(&tables, &country, &answers, most, &mut clock, watch)?;
    if let Some(labels) = &labels {
        policy.pins = labels.pins(&tables, &records.source, settings.link)?;
    }
    let known = match &settings.model {
        Some(path) => Some(read_model(path)?),
        None => None,
    };
    let mut features = std::mem::take(&mut records.features);
    let room = Room(most.saturating_sub(memory::resident()));
    let model = match known {
        Some(model) => model,
        None => {
            watch.phase("training");
            clock.time("train", || train_within(room, &mut features, &policy, 1))
        }
    };
    watch.phase("matching");
    let shards = settings.shards.unwrap_or(1);
    let (matcher, Edges { edges, pairs, .. }) = clock.time("match", || {
        let matcher = Matcher::new(features, &model).within(room);
        let found = matcher.shards_without_copies(&policy, shards);
        (matcher, found)
    });
    watch.phase("putting together");
    let grouped = clock.time("link", || group(&matcher, &edges, &policy));
    let found = Found {
        matcher,
        model,
        edges,
        pairs,
        grouped,
        policy,
        shards,
    };
    watch.phase("writing");
    clock.time("write", || {
        write::clusters(&settings.out, &tables, &records, &found)?;
        write::edges(&settings.out, found.links())?;
        write::text(&settings.out, "model.json", &found.model.to_json()?)
    })?;
    watch.phase("judging");
    let wall = began.elapsed().as_secs_f64();
    let mut stats = stats::judge(settings, inputs, &records, &found, &mut clock);
    stats.labels = labels.map(|labels| stats::Labelled::of(settings, &found, labels.open));
    stats.wall_seconds = wall;
    stats.country = country;
    stats.memory_limit_bytes = most;
    let page = page::html(&stats, &found);
    write::text(&settings.out, "report.html", &page)?;
    write::text(
        &settings.out,
        "stats.json",
        &serde_json::to_string_pretty(&stats)?,
    )?;
    Ok(stats)
}

/// What was found.
struct Found {
    matcher: Matcher,
    model: Model,
    /// Pairs that were kept.
    edges: Vec<Edge>,
    /// Pairs that were scored.
    pairs: u64,
    grouped: Grouped,
    policy: Policy,
    shards: u32,
}

impl Found {
    /// Customer of each row, numbered.
    fn customer(&self) -> &[u32] {
        &self.grouped.customer
    }

    /// What is to be known of comparisons that the records have values for.
    fn doubts(&self, records: &Records) -> impl Iterator<Item = &Diagnostic> {
        let given = |doubt: &&Diagnostic| {
            let comparison = COMPARISON.iter().find(|c| c.name == doubt.parameter);
            comparison.is_none_or(|c| c.fields.iter().any(|f| records.has(f)))
        };
        self.model.diagnostics.iter().filter(given)
    }

    /// The links that stand, ordered by records: scored pairs within one customer, and those that an identifier proves or a
    /// label says, as which a pair stands that is both.
    fn links(&self) -> impl Iterator<Item = &Edge> {
        let customer = self.customer();
        let same = |e: &&Edge| customer[e.left as usize] == customer[e.right as usize];
        let mut scored = self.edges.iter().filter(same).peekable();
        let mut proved = self.grouped.proofs.iter().peekable();
        let pair = |e: &&Edge| (e.left, e.right);
        std::iter::from_fn(move || {
            let next = proved.peek().map(pair);
            if next.is_none_or(|next| scored.peek().is_some_and(|e| pair(e) < next)) {
                return scored.next();
            }
            scored.next_if(|e| Some(pair(e)) == next);
            proved.next()
        })
    }
}

fn check(settings: &Settings) -> Result<()> {
    let files = settings.files.len();
    ensure!(
        !settings.link || files == 2,
        "--link takes two files and finds who of one is in the other; {files} {} given. Leave --link out to find \
         duplicates in all of them together",
        if files == 1 { "was" } else { "were" }
    );
    if let Some(threshold) = settings.threshold {
        ensure!(
            threshold > 0.0 && threshold < 1.0,
            "--threshold {threshold} is no probability between 0 and 1: 0.7 joins what is 70 % sure to be one person"
        );
    }
    let mut seen = std::collections::HashSet::new();
    for file in &settings.files {
        let whole = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
        ensure!(
            seen.insert(whole),
            "{} is given twice: every record would match itself",
            file.display()
        );
    }
    if settings.out.is_file() {
        bail!("{} is a file; --out names a folder", settings.out.display());
    }
    Ok(())
}

/// Values of one identifier from which on a person is too many.
const MOST_VALUES: u32 = 50;

fn policy(settings: &Settings) -> Policy {
    let mut policy = Policy {
        across_sources: settings.link,
        ..Policy::default()
    };
    // Nobody said how many addresses and numbers a person of these files may have; slips count as well.
    let contacts = policy.identifiers.iter_mut();
    for contact in contacts.filter(|i| ["email", "phone"].contains(&i.field.as_str())) {
        contact.max_per_customer = MOST_VALUES;
    }
    if let Some(threshold) = settings.threshold {
        policy.match_probability = threshold;
        policy.review_probability = policy.review_probability.min(threshold);
    }
    policy
}

/// Opens the files, settles the country, and applies what the user said of columns.
fn tables(settings: &Settings) -> Result<(Vec<Table>, String)> {
    let mut tables = Vec::new();
    let mut sources: Vec<String> = Vec::new();
    for file in &settings.files {
        let stem = file.file_name().map_or_else(String::new, |n| {
            let name = n.to_string_lossy();
            name.split('.').next().unwrap_or_default().to_owned()
        });
        let mut source = stem.clone();
        let mut number = 2;
        while sources.contains(&source) {
            source = format!("{stem}-{number}");
            number += 1;
        }
        sources.push(source.clone());
        tables.push(Table::open(file, source, settings.country.as_deref())?);
    }
    say(&mut tables, settings)?;
    let japanese = tables.iter().any(|t| t.japanese);
    let of_phones = || tables.iter().find_map(|t| t.country.clone());
    // `zz` is no country: numbers and codes are taken as they are.
    let guessed = || match japanese {
        true => "jp".to_owned(),
        false => of_phones().unwrap_or_else(|| "zz".to_owned()),
    };
    let country = settings.country.clone().unwrap_or_else(guessed);
    Ok((tables, country.to_lowercase()))
}

/// Applies --field, --ignore, --truth and --household.
fn say(tables: &mut [Table], settings: &Settings) -> Result<()> {
    let answers = [
        ("--truth", &settings.truth),
        ("--household", &settings.household),
    ];
    for (option, column) in answers {
        let Some(column) = column else { continue };
        for table in tables.iter_mut() {
            let Some(found) = table.columns.iter_mut().find(|c| c.name == *column) else {
                bail!(
                    "{}: there is no column {column:?} for {option}; {}",
                    table.path.display(),
                    names(&table.columns)
                );
            };
            found.role = Role::Ignored;
            found.sure = 4;
            found.why = format!("{option}: to score with, never to match by");
        }
    }
    for (column, role) in &settings.fields {
        let mut found = false;
        for table in tables.iter_mut() {
            if let Some(at) = table.columns.iter().position(|c| c.name == *column) {
                table.tell(at, *role)?;
                found = true;
            }
        }
        let first = tables
            .first()
            .map_or_else(String::new, |t| names(&t.columns));
        ensure!(found, "no file has a column {column:?}; {first}");
    }
    for table in tables.iter_mut() {
        settle::settle(&mut table.columns);
        let path = table.path.display();
        if let Some(lost) = table
            .columns
            .iter()
            .find(|c| c.sure == 4 && c.role == Role::Ignored && c.why.contains(" is the "))
        {
            bail!(
                "{path}: column {:?} cannot have its role: {}; give one of them another, or --ignore it",
                lost.name,
                lost.why
            );
        }
    }
    Ok(())
}

fn names(columns: &[Guess]) -> String {
    const SHOWN: usize = 30;
    let all: Vec<&str> = columns
        .iter()
        .take(SHOWN)
        .map(|c| c.name.as_str())
        .collect();
    let more = if columns.len() > SHOWN { ", …" } else { "" };
    format!("its columns are {}{more}", all.join(", "))
}

fn inputs(tables: &[Table]) -> Vec<Input> {
    tables
        .iter()
        .map(|table| Input {
            file: table.path.display().to_string(),
            path: std::fs::canonicalize(&table.path).unwrap_or_else(|_| table.path.clone()),
            bytes: std::fs::metadata(&table.path).map_or(0, |m| m.len()),
            source: table.source.clone(),
            format: table.format.clone(),
            columns: table
                .columns
                .iter()
                .map(|c| ColumnUse {
                    column: c.name.clone(),
                    role: c.role.as_str().to_owned(),
                    why: c.why.clone(),
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a percentage"
                    )]
                    filled_percent: (c.filled * 100.0).round() as u8,
                })
                .collect(),
        })
        .collect()
}

fn ensure_evidence(tables: &[Table]) -> Result<()> {
    for table in tables {
        ensure!(
            table.columns.iter().any(|c| c.role.is_evidence()),
            "{}: no column is known to say anything of a person; name those that do, as in \
             --field COLUMN=family_name --field COLUMN=birth_date; {}",
            table.path.display(),
            names(&table.columns)
        );
    }
    Ok(())
}

fn read_model(path: &Path) -> Result<Model> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the model {}", path.display()))?;
    Model::from_json(&text).with_context(|| format!("{}", path.display()))
}

impl Records {
    /// Whether any record has a value of a field, or of one that it is a part of.
    fn has(&self, field: &str) -> bool {
        let given = |name: &str| self.understood.get(name).is_some_and(|u| u.0 > 0);
        let within_address = [
            "postal_code",
            "prefecture",
            "city",
            "town",
            "block",
            "building",
        ];
        given(field) || (given("address") && within_address.contains(&field))
    }
}

/// The rows with a label: what can be judged.
fn judged(labels: &[u32]) -> impl Iterator<Item = usize> {
    (0..labels.len()).filter(|row| labels[*row] != records::UNKNOWN)
}
