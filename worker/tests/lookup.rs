//! `musubi identity lookup`, `add` and `serve`: who a single record is, on a real lake and in real processes.

#[path = "support/shop.rs"]
mod shop;
mod support;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use musubi::{
    lookup::{Desk, News, Open, Watcher},
    stage::Context,
};
use musubi_testing::SeaweedFs;
use serde_json::{Value, json};
use support::{World, musubi};

/// Asks `lookup` or `add` for JSON.
fn ask(world: &World, what: &str, args: &[&str]) -> Value {
    let args = [&["identity", what, "-o", "json"], args].concat();
    let (code, out, error) = musubi(world, &args);
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

/// A process that stays.
struct Warm {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Warm {
    fn start(world: &World) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_musubi"))
            .args(["identity", "serve", "--refresh", "3600"])
            .current_dir(world.path("."))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start musubi");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            input: child.stdin.take(),
            child,
            output,
        }
    }

    fn say(&mut self, line: &str) -> Value {
        let input = self.input.as_mut().expect("it is open");
        writeln!(input, "{line}").expect("write a request");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("read an answer");
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    fn ask(&mut self, request: Value) -> Value {
        self.say(&request.to_string())
    }

    /// Closes its input; gives what it said on standard error.
    fn end(mut self) -> String {
        drop(self.input.take());
        let mut said = String::new();
        let mut error = self.child.stderr.take().expect("its errors");
        std::io::Read::read_to_string(&mut error, &mut said).expect("read");
        assert!(self.child.wait().expect("an end").success());
        said
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn published(days: u32) -> World {
    let world = World::new(shop::RESOURCES);
    (1..=days).for_each(|day| shop::day(&world, day));
    world.run("r1", 2).await.expect("a run");
    world
}

/// Customer of a record in the published table `links`.
async fn customer_of(world: &World, record: &str) -> Option<String> {
    let links = world.values("links", &["record_id", "customer_id"]).await;
    let found = links.iter().find_map(|row| row.strip_prefix(record));
    found.map(|rest| rest.trim_start_matches('|').to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_person_is_found_and_nothing_is_written() {
    let world = published(2).await;
    let before = files(&world);
    let said = ask(&world, "lookup", &["--field", "email=person5@example.com"]);
    assert_eq!((&said["new"], &said["version"]), (&json!(false), &json!(1)));
    let first = &said["candidates"][0];
    assert_eq!(
        (&first["rule"], &first["linked"]),
        (&json!("identifier"), &json!(true)),
        "{said}"
    );
    assert_eq!(first["customer"], said["customer"]);
    assert_eq!(first["levels"]["email"], "exact");
    let record = first["record"].as_str().expect("an id");
    assert_eq!(
        customer_of(&world, record).await.as_deref(),
        said["customer"].as_str()
    );
    let homes = world
        .values("customers", &["customer_id", "household_id"])
        .await;
    let text = |field: &str| said[field].as_str().expect("an id").to_owned();
    assert!(homes.contains(&format!("{}|{}", text("customer"), text("household"))));
    let nobody = ask(
        &world,
        "lookup",
        &["--json", r#"{"email":"stranger@example.org"}"#],
    );
    assert_eq!(
        (&nobody["new"], &nobody["candidates"]),
        (&json!(true), &json!([]))
    );
    let (_, table, _) = musubi(
        &world,
        &["identity", "lookup", "--field", "email=person5@example.com"],
    );
    assert!(
        table.contains("Customer c") && table.contains("identifier"),
        "{table}"
    );
    assert!(!table.contains("person5") && !said.to_string().contains("person5"));
    assert_eq!(files(&world), before);
}

fn files(world: &World) -> Vec<String> {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => walk(&path, found),
                path => found.push(path.display().to_string()),
            }
        }
    }
    let mut found = Vec::new();
    walk(&world.path("lake"), &mut found);
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_is_seen_at_once_and_by_the_next_run() {
    let world = published(2).await;
    let add = [
        "--id",
        "desk-1",
        "--field",
        "name=山田 5子",
        "--field",
        "email=person5@example.com",
        "--field",
        "phone=080-7777-0001",
    ];
    let added = ask(&world, "add", &add);
    assert_eq!(
        (&added["added"], &added["new"]),
        (&json!(true), &json!(false))
    );
    let customer = added["customer"].as_str().expect("an id").to_owned();
    let record = added["record"].as_str().expect("an id").to_owned();
    // Its phone leads to the customer now, though no run has seen it.
    let said = ask(&world, "lookup", &["--field", "phone=+81 80 7777 0001"]);
    assert_eq!(
        (said["customer"].as_str(), &said["waiting"]),
        (Some(&*customer), &json!(1))
    );
    assert_eq!(said["candidates"][0]["record"].as_str(), Some(&*record));
    // Handed in again it changes nothing; a correction of the same id does.
    let kept = files(&world);
    let again = ask(&world, "add", &add);
    assert_eq!(
        (&again["added"], &again["customer"]),
        (&json!(false), &json!(customer))
    );
    assert_eq!(files(&world), kept);
    let other = ask(
        &world,
        "add",
        &[
            "--id",
            "desk-1",
            "--field",
            "email=person5@example.com",
            "--field",
            "phone=080-7777-0002",
        ],
    );
    assert_eq!(
        (&other["added"], &other["record"]),
        (&json!(true), &json!(record))
    );
    assert_eq!(
        ask(&world, "lookup", &["--field", "phone=080-7777-0001"])["new"],
        true
    );

    assert_eq!(
        customer_of(&world, &record).await,
        None,
        "runs own what is published"
    );
    world.run("r2", 2).await.expect("a run");
    assert_eq!(
        customer_of(&world, &record).await.as_deref(),
        Some(&*customer)
    );
    let said = ask(&world, "lookup", &["--field", "phone=080-7777-0002"]);
    assert_eq!(
        (
            said["customer"].as_str(),
            &said["waiting"],
            &said["version"]
        ),
        (Some(&*customer), &json!(0), &json!(2))
    );
    let traced = musubi(&world, &["trace", &format!("customers/{customer}")]).1;
    assert!(traced.contains("intake"), "{traced}");

    // A run with nothing new changes nothing, and what is handed in later on the same day comes too.
    let tables = world.tables().await;
    world.run("r3", 2).await.expect("a run");
    assert_eq!(world.tables().await, tables);
    let late = ask(&world, "add", &["--field", "email=person6@example.com"]);
    assert_eq!(late["waiting"], 1, "those before are in the version");
    world.run("r4", 2).await.expect("a run");
    let late_record = late["record"].as_str().expect("an id");
    assert_eq!(
        customer_of(&world, late_record).await.as_deref(),
        late["customer"].as_str()
    );
    assert_eq!(
        customer_of(&world, &record).await.as_deref(),
        Some(&*customer)
    );

    // What was handed in is raw: a rebuild has it.
    let before = world.tables().await;
    let (code, _, error) = musubi(&world, &["replay"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(world.tables().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_process_answers_follows_and_may_be_killed() {
    let world = published(2).await;
    let mut warm = Warm::start(&world);
    let lookup = json!({ "lookup": { "email": "person5@example.com" }, "ref": 7 });
    let said = warm.ask(lookup.clone());
    assert_eq!(
        (&said["ref"], &said["new"], &said["version"]),
        (&json!(7), &json!(false), &json!(1))
    );
    let one_shot = ask(&world, "lookup", &["--field", "email=person5@example.com"]);
    for field in ["customer", "candidates", "household", "lookedAt", "record"] {
        assert_eq!(said[field], one_shot[field], "{field}");
    }
    // Two adds of one record, from here and from elsewhere.
    let add =
        json!({ "add": { "email": "person5@example.com", "phone": "080-7777-0003" }, "id": 17 });
    assert_eq!(warm.ask(add.clone())["added"], true);
    assert_eq!(warm.ask(add.clone())["added"], false);
    let phone = json!({ "lookup": { "phone": "080-7777-0003" } });
    assert_eq!(warm.ask(phone.clone())["customer"], said["customer"]);
    let elsewhere = ask(
        &world,
        "add",
        &[
            "--id",
            "x",
            "--field",
            "name=Zed Quux",
            "--field",
            "email=zq@example.org",
        ],
    );
    let seen = warm.ask(json!({ "refresh": true }));
    assert_eq!((&seen["waiting"], &seen["version"]), (&json!(2), &json!(1)));
    let found = warm.ask(json!({ "lookup": { "email": "zq@example.org" } }));
    assert_eq!(found["customer"], elsewhere["customer"]);

    // What is wrong with a request is its answer, and no value is in it.
    for (line, part) in [
        (
            r#"{"lookup": {"emial": "secret@example.com"}}"#,
            "did you mean email?",
        ),
        (
            r#"{"lookup": {"registered_at": "secret"}}"#,
            "registered_at: is no time",
        ),
        (
            r#"{"lookup": {"email": ["secret"]}}"#,
            "field email: give a text",
        ),
        (r#"{"lookup": {}}"#, "no values"),
        (
            r#"{"lookup": {"email": "a@b.example"}, "add": {"email": "secret"}}"#,
            "one request a line",
        ),
        (r#"{"find": {"email": "secret"}}"#, "not understood"),
        (r#"{"lookup": {"email": "secret"#, "no JSON at column"),
    ] {
        let error = warm.say(line)["error"].to_string();
        assert!(
            error.contains(part) && !error.contains("secret"),
            "{line}: {error}"
        );
    }
    // A value that cannot be used is named by its field.
    assert_eq!(
        warm.ask(json!({ "lookup": { "email": "person5@example.com", "phone": "none" } }))["ignored"],
        json!(["phone"])
    );

    // Killed, it has lost nothing that it acknowledged.
    drop(warm);
    let mut warm = Warm::start(&world);
    assert_eq!(warm.ask(phone.clone())["customer"], said["customer"]);
    assert_eq!(warm.ask(add)["added"], false);
    // It follows a version that is published beside it.
    shop::day(&world, 3);
    world.run("r2", 2).await.expect("a run");
    let now = warm.ask(json!({ "refresh": true }));
    assert_eq!((&now["version"], &now["waiting"]), (&json!(2), &json!(0)));
    let new = warm.ask(json!({ "lookup": { "email": "person13@example.com" } }));
    assert_eq!((&new["new"], &new["version"]), (&json!(false), &json!(2)));
    assert_eq!(warm.ask(phone)["customer"], said["customer"]);
    let said = warm.end();
    assert!(
        said.contains("ready: version 1") && !said.contains('@'),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_with_the_way_out() {
    let world = World::new(shop::RESOURCES);
    let email = ["--field", "email=person5@example.com"];
    let fails = |args: &[&str], parts: &[&str]| {
        let (code, out, error) = musubi(&world, args);
        assert_eq!((code, &*out), (Some(1), ""), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("person5"), "{error}");
    };
    let lookup = [&["identity", "lookup"][..], &email].concat();
    fails(&lookup, &["nothing is published", "musubi run"]);
    shop::day(&world, 1);
    world.run("r1", 2).await.expect("a run");
    fails(&["identity", "lookup"], &["no values"]);
    fails(
        &["identity", "lookup", "--field", "mail=person5@example.com"],
        &["no field \"mail\"", "email"],
    );
    fails(
        &["identity", "lookup", "--field", "person5"],
        &["FIELD=VALUE"],
    );
    fails(
        &["identity", "lookup", "--json", "{\"email\": person5}"],
        &["no JSON at line 1 column"],
    );
    fails(
        &[
            "identity",
            "add",
            "--id",
            " ",
            "--field",
            "email=person5@example.com",
        ],
        &["the id is empty"],
    );
    // A lake, a model and a record that a newer version wrote.
    let path = "lake/raw/intake/records/added/2026-11-24/120000000000-00000000000000000000000000000001.json";
    world.write(path, br#"{"format": 9, "id": "a", "what": "else"}"#);
    fails(&lookup, &["a newer musubi wrote it (format 9"]);
    let refused = world
        .run("r2", 2)
        .await
        .expect_err("a record that cannot be read");
    assert!(format!("{refused:#}").contains("format 9"), "{refused:#}");
    std::fs::remove_file(world.path(path)).expect("remove");
    for entry in std::fs::read_dir(world.path("lake/identity/models"))
        .expect("models")
        .flatten()
    {
        let model = std::fs::read_to_string(entry.path()).expect("a model");
        let newer = model.replacen("\"format\": ", "\"format\": 9", 1);
        std::fs::write(entry.path(), newer).expect("write");
    }
    fails(&lookup, &["its format is 9"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_bucket_answers_too() {
    let server = SeaweedFs::start(&["bento"]).unwrap_or_else(|e| panic!("{e}"));
    let (access, secret) = server.keys();
    let lake = format!(
        "lake: {{ s3: {{ bucket: bento, prefix: lake, endpoint: '{}', region: us-east-1, credentials: {{ secret: bucket }} }} }}",
        server.endpoint()
    );
    let resources = shop::RESOURCES.replace("lake: { folder: lake }", &lake);
    let world = World::new(&format!(
        "{resources}---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: bucket }}\n\
         stringData: {{ AWS_ACCESS_KEY_ID: '{access}', AWS_SECRET_ACCESS_KEY: '{secret}' }}\n"
    ));
    shop::day(&world, 1);
    world.run("r1", 2).await.expect("a run");
    let open = || {
        let (run, secrets) = world.resolve("asked", 2);
        Context::open(run, secrets).expect("the lake")
    };
    let record = |value: Value| value.as_object().cloned().expect("fields");
    let mut desk = Desk::open(&open()).await.expect("a desk");
    let known = record(json!({ "email": "person5@example.com" }));
    let said = desk.lookup(known.clone()).expect("an answer");
    assert!(!said.answer.new, "{said:?}");
    let mut watcher = Watcher::of(&desk);
    let mut warm = Open::new(desk);

    // Somebody else adds, and a run publishes: the open desk follows both.
    let mut other = Desk::open(&open()).await.expect("a desk");
    let fields = record(json!({ "email": "person5@example.com", "phone": "080-7777-0009" }));
    let (added, _) = other.add(None, fields).await.expect("it is kept");
    assert_eq!(added.answer.customer, said.answer.customer);
    let news = watcher.look().await.expect("a look");
    assert!(matches!(news, News::Added(_)));
    warm.follow(news);
    let phone = record(json!({ "phone": "080-7777-0009" }));
    let found = warm.desk().lookup(phone.clone()).expect("an answer");
    assert_eq!(found.answer.customer, said.answer.customer);
    assert!(matches!(
        watcher.look().await.expect("a look"),
        News::Nothing
    ));
    world.run("r2", 2).await.expect("a run");
    let news = watcher.look().await.expect("a look");
    assert!(matches!(news, News::Version(_)));
    warm.follow(news);
    let found = warm.desk().lookup(phone).expect("an answer");
    assert_eq!((found.version, found.waiting), (Some(2), 0));
    assert_eq!(found.answer.customer, said.answer.customer);
}
