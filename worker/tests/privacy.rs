//! No value of a person leaves the data: not in a log line at any level, not in what a command prints, not in
//! a path, a manifest, a Delta log, a Parquet footer, a report or an error, be the run good or bad.
//!
//! What is looked for comes from the data itself: every personal value of every clean row, as the sources
//! wrote it and as it was normalised, and what bad rows hold that looks like one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use arrow::array::{Array as _, AsArray as _};
use musubi::demo::{examples, world::World};
use musubi_api::entity::Entity;
use musubi_clean::schema;
use musubi_testing::Postgres;
use parquet::file::{reader::FileReader as _, serialized_reader::SerializedFileReader};
use regex::bytes::{Regex, RegexBuilder};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Words that several people share, or that say nothing of one: not looked for.
fn tells(column: &str, value: &str) -> bool {
    const SHARED: [&str; 7] = [
        "country",
        "prefecture",
        "city",
        "gender",
        "language",
        "status",
        "tier",
    ];
    let shared = SHARED.iter().any(|s| column.starts_with(s));
    let long = value.chars().count() >= if value.is_ascii() { 6 } else { 4 };
    !shared && long
}

/// Every personal value in a Parquet file of clean rows.
fn harvest(path: &Path, values: &mut BTreeSet<String>) {
    // Key, attempt, and what it holds.
    let name = path.file_stem().and_then(|name| name.to_str());
    let held = name.and_then(|name| name.rsplit('-').next());
    let Some(entity) = Entity::ALL.into_iter().find(|e| Some(e.as_str()) == held) else {
        return;
    };
    let personal = schema::personal_columns(entity);
    let file = fs::File::open(path).expect("a clean file");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("Parquet")
        .build()
        .expect("Parquet");
    for batch in reader {
        let batch = batch.expect("rows");
        for column in &personal {
            let Some(texts) = batch
                .column_by_name(column)
                .and_then(|c| c.as_string_opt::<i32>())
            else {
                continue;
            };
            for row in (0..texts.len()).filter(|r| texts.is_valid(*r)) {
                let value = texts.value(row).trim();
                if tells(column, value) {
                    values.insert(value.to_owned());
                }
            }
        }
    }
}

/// A pipeline over a small world, and what must never be seen of it.
struct Scene {
    _folder: tempfile::TempDir,
    root: PathBuf,
    values: BTreeSet<String>,
    needles: Vec<Regex>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().to_owned();
        World::generate(150, 3, 5, &root).expect("a world");
        examples::write(&root).expect("write the resources");
        Self {
            _folder: folder,
            root,
            values: BTreeSet::new(),
            needles: Vec::new(),
        }
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_musubi"))
            .arg("run")
            .args(["-f", "."])
            .args(words)
            .current_dir(&self.root)
            .env("RUST_LOG", "trace")
            .output()
            .expect("run musubi")
    }

    fn learn(&mut self) {
        for file in files(&self.root.join("lake/clean")) {
            harvest(&file, &mut self.values);
        }
        let words: Vec<&String> = self.values.iter().collect();
        self.needles = words
            .chunks(2_000)
            .map(|part| {
                let part: Vec<String> = part.iter().map(|w| regex::escape(w)).collect();
                RegexBuilder::new(&part.join("|"))
                    .size_limit(256 << 20)
                    .build()
                    .expect("an expression")
            })
            .collect();
        let found = |value: &String| self.needles.iter().any(|n| n.is_match(value.as_bytes()));
        assert!(self.values.iter().all(found), "every value would be found");
    }

    /// Nothing of a person is in `bytes`; that a name would be found, [`Scene::learn`] has made sure.
    fn assert_clean(&self, place: &str, bytes: &[u8]) {
        for needle in &self.needles {
            if let Some(found) = needle.find(bytes) {
                let (from, to) = (
                    found.start().saturating_sub(120),
                    (found.end() + 60).min(bytes.len()),
                );
                panic!("{place}: {}", String::from_utf8_lossy(&bytes[from..to]));
            }
        }
    }

    fn assert_quiet(&self, what: &str, output: &Output) {
        self.assert_clean(&format!("{what}, standard output"), &output.stdout);
        self.assert_clean(&format!("{what}, standard error"), &output.stderr);
    }

    /// Looks through the lake: every path; all of every file that is no table; footers and statistics of tables.
    fn assert_lake_tells_nothing(&self) -> (usize, usize) {
        let (mut texts, mut tables) = (0, 0);
        let lake = self.root.join("lake");
        for file in files(&lake) {
            let name = file
                .strip_prefix(&lake)
                .expect("below the lake")
                .display()
                .to_string();
            self.assert_clean("a path", name.as_bytes());
            if name.starts_with("raw/") {
                continue;
            }
            let bytes = fs::read(&file).expect("read a file of the lake");
            if name.ends_with(".parquet") {
                tables += 1;
                self.assert_footer_tells_nothing(&name, bytes);
            } else {
                texts += 1;
                self.assert_clean(&name, &bytes);
            }
        }
        (texts, tables)
    }

    fn assert_footer_tells_nothing(&self, name: &str, bytes: Vec<u8>) {
        let tail = bytes.len() - 8;
        let long: [u8; 4] = bytes[tail..tail + 4].try_into().expect("four bytes");
        let footer = tail - u32::from_le_bytes(long) as usize;
        self.assert_clean(&format!("{name}, footer"), &bytes[footer..]);
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("Parquet");
        for group in reader.metadata().row_groups() {
            for column in group.columns() {
                let said = column.statistics();
                let bounds = [
                    said.and_then(|s| s.min_bytes_opt()),
                    said.and_then(|s| s.max_bytes_opt()),
                ];
                // A long value is cut short in a footer.
                for bound in bounds.into_iter().flatten().filter(|b| b.len() >= 32) {
                    let cut = self.values.iter().any(|v| v.as_bytes().starts_with(bound));
                    assert!(!cut, "{name}: statistics of {}", column.column_path());
                }
            }
        }
    }
}

#[test]
fn nothing_that_a_run_leaves_behind_or_says_names_a_person() {
    let mut scene = Scene::new();
    let first = scene.run(&[]);
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    scene.learn();
    let of = |part: &str| scene.values.iter().filter(|v| v.contains(part)).count();
    assert!(scene.values.len() > 1_000, "{} values", scene.values.len());
    assert!(
        of("@") > 50 && of("+81") > 50,
        "addresses and numbers are among them"
    );

    scene.assert_quiet("a run", &first);
    let log = String::from_utf8_lossy(&first.stderr);
    let spans = log
        .lines()
        .filter(|l| l.contains(r#""message":"done""#))
        .count();
    assert!(spans >= 11, "a line for each shard: {spans}");
    assert!(
        log.contains(r#""stage":"clean""#) && log.contains("quarantined"),
        "spans and counts"
    );
    let again = scene.run(&["-o", "json"]);
    assert!(
        again.status.success(),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    scene.assert_quiet("a run that finds nothing new", &again);
    let (texts, tables) = scene.assert_lake_tells_nothing();
    assert!(texts > 60 && tables > 60, "{texts} texts, {tables} tables");

    bad_input(&scene);
    scene.assert_lake_tells_nothing();
}

/// Files as they must not be, each full of values of people.
fn bad_input(scene: &Scene) {
    let data = scene.root.join("data");
    let people: Vec<&str> = scene.values.iter().map(String::as_str).take(400).collect();
    let lines = |between: &str| {
        people
            .chunks(4)
            .map(|c| c.join(between))
            .collect::<Vec<_>>()
    };
    let wrong_json: String = lines("\":")
        .iter()
        .map(|l| format!("{{\"id\":\"{l}\n"))
        .collect();
    let other_columns = format!("a,b,c,d\n{}\n", lines(",").join("\n"));
    let open_quote = format!("\"{}", lines("\",\"").join("\n"));
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03cut short".to_vec();
    let cases: [(&str, &str, Vec<u8>); 8] = [
        (
            "invalid JSON",
            "webshop/customers_20261004.jsonl",
            wrong_json.into_bytes(),
        ),
        (
            "JSON of another shape",
            "webshop/orders_20261004.jsonl",
            serde_json::to_vec(&people).expect("JSON"),
        ),
        (
            "columns of another table",
            "loyalty/members_20261004.csv",
            other_columns.clone().into_bytes(),
        ),
        (
            "an open quote",
            "loyalty/members_20261004.csv",
            open_quote.into_bytes(),
        ),
        (
            "bytes of no encoding",
            "delivery/haiso_20261004.csv",
            [&b"\xff\xfe\xfd"[..], other_columns.as_bytes()].concat(),
        ),
        (
            "records of no type",
            "pos/pos_20261004.csv",
            other_columns.clone().into_bytes(),
        ),
        ("an archive cut short", "app/users_20261004.jsonl.gz", gzip),
        (
            "no archive at all",
            "app/users_20261004.jsonl.gz",
            other_columns.into_bytes(),
        ),
    ];
    let mut failed = 0;
    for (what, file, bytes) in cases {
        let path = data.join(file);
        fs::write(&path, bytes).expect("write a bad file");
        let output = scene.run(&[]);
        scene.assert_quiet(what, &output);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            failed += 1;
            assert_eq!(
                said.matches("error: ").count(),
                1,
                "{what}: said once\n{said}"
            );
        }
        fs::remove_file(&path).expect("remove the bad file");
    }
    assert!(failed >= 4, "bad files stop runs: {failed}");
}

const POSTGRES: &str = "
apiVersion: v1
kind: Secret
metadata: { name: server }
stringData: { username: USER, password: musubi-test }
---
apiVersion: musubi.dev/v1alpha1
kind: Warehouse
metadata: { name: bento-sqlite }
spec:
  postgres: { host: 127.0.0.1, port: PORT, database: musubi, schema: bento, credentials: { secret: server }, tls: disable }
---
";

#[test]
fn a_database_that_refuses_rows_quotes_none_of_them() {
    let mut scene = Scene::new();
    let server = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    let pipeline = scene.root.join("pipeline.yaml");
    let text = fs::read_to_string(&pipeline).expect("the pipeline");
    let (before, after) = text
        .split_once("# A file is a warehouse")
        .expect("the warehouse");
    let (_, after) = after.split_once("---\n").expect("its end");
    let (user, port) = credentials(&server);
    let warehouse = POSTGRES.replace("USER", &user).replace("PORT", &port);
    fs::write(&pipeline, format!("{before}{warehouse}{after}")).expect("write the pipeline");
    let first = scene.run(&[]);
    assert!(
        first.status.success(),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    scene.learn();
    scene.assert_quiet("a run into PostgreSQL", &first);
    // Rows that come now break a rule, and PostgreSQL would quote the first of them.
    server
        .sql("ALTER TABLE bento.customers ADD CONSTRAINT nobody CHECK (email IS NULL) NOT VALID")
        .unwrap_or_else(|e| panic!("{e}"));
    let source = scene.root.join("data/webshop/customers_20261002.jsonl");
    let changed = fs::read_to_string(&source)
        .expect("customers")
        .replace("2026-10-02", "2026-10-03");
    fs::write(
        scene.root.join("data/webshop/customers_20261005.jsonl"),
        changed,
    )
    .expect("write");
    let refused = scene.run(&["--allow", "rows"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("violates check constraint"),
        "{said}"
    );
    scene.learn();
    scene.assert_quiet("a load that is refused", &refused);
}

const TABLE: &str = "
apiVersion: v1
kind: Secret
metadata: { name: server }
stringData: { username: musubi, password: musubi-test }
---
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: crm }
spec:
  system: crm
  connector:
    postgres: { host: 127.0.0.1, port: PORT, database: musubi, credentials: { secret: server }, tls: disable }
  streams:
    - name: people
      table: { name: public.births }
      entities:
        - entity: customer
          key: [id]
          fields: { birth_date: { from: born } }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: crm }
spec:
  sources: [crm]
  lake: { folder: lake }
";

#[test]
fn a_database_that_cannot_read_a_value_of_its_own_is_not_quoted() {
    let server = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    server
        .sql(
            "CREATE TABLE people (id text, note text); INSERT INTO people VALUES ('1', 'Hanako Yamada');
             CREATE VIEW births AS SELECT id, note::date AS born FROM people",
        )
        .unwrap_or_else(|e| panic!("{e}"));
    let (_, port) = credentials(&server);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("crm.yaml"), TABLE.replace("PORT", &port)).expect("write");
    let output = Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(["run", "-f", "."])
        .current_dir(folder.path())
        .env("RUST_LOG", "trace")
        .output()
        .expect("run musubi");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("Source crm") && said.contains("22007"),
        "{said}"
    );
    assert!(!said.contains("Hanako"), "{said}");
}

/// User and port of a server.
fn credentials(server: &Postgres) -> (String, String) {
    let url = url::Url::parse(&server.url()).expect("a URL");
    let port = url.port().expect("a port").to_string();
    (url.username().to_owned(), port)
}
