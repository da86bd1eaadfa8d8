//! The page: figures that agree, and a browser that finds nothing wrong with it.

use std::{fmt::Write as _, path::Path, process::Command};

use anyhow::{Context as _, Result};
use musubi::report::{RunSummary, StageTime, StreamSummary, collect, html, summary};
use rusqlite::Connection;

/// A small retailer: 400 customers, 40 days, three channels, two partners.
fn warehouse() -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    let mut sql = String::from(
        "CREATE TABLE customers (customer_id TEXT, email TEXT, phone TEXT, city TEXT, birth_date TEXT);
         CREATE TABLE customer_features (customer_id TEXT, channels TEXT, channel_count INT, monetary ANY, order_count INT);
         CREATE TABLE customer_consents (customer_id TEXT, purpose TEXT, granted INT);
         CREATE TABLE links (record_id TEXT, customer_id TEXT);
         CREATE TABLE orders (record_id TEXT, source TEXT, order_number TEXT, channel TEXT, kind TEXT, store_code TEXT,
           ordered_at TEXT, business_date TEXT, currency TEXT, total ANY, customer_record TEXT);
         CREATE TABLE order_lines (order_number TEXT, product_code TEXT, amount ANY);
         CREATE TABLE stores (store_code TEXT, region TEXT, cluster TEXT);
         CREATE TABLE products (product_code TEXT, category TEXT);
         CREATE TABLE campaigns (campaign_code TEXT, name TEXT);
         CREATE TABLE campaign_touches (campaign_code TEXT, occurred_at TEXT, customer_record TEXT);
         CREATE TABLE deliveries (order_number TEXT, partner TEXT, status TEXT, promised_at TEXT, delivered_at TEXT);
         CREATE TABLE tickets (order_number TEXT, satisfaction INT);
         CREATE TABLE quality (source TEXT, stream TEXT, rows INT, quarantined INT);
         CREATE VIEW v_orders AS SELECT o.*, l.customer_id FROM orders o LEFT JOIN links l ON l.record_id = o.customer_record;
         INSERT INTO quality VALUES ('pos', 'receipts', 1000, 12);
         INSERT INTO campaigns VALUES ('C1', '春のお花見弁当'), ('C2', 'Welcome <back> & hello');
         INSERT INTO products VALUES ('P0', '弁当'), ('P1', 'おにぎり'), ('P2', '飲料');",
    );
    for (i, region) in ["関東", "関西", "東北"].into_iter().enumerate() {
        for cluster in ["office", "station"] {
            write!(
                sql,
                "INSERT INTO stores VALUES ('S{i}{cluster}', '{region}', '{cluster}');"
            )?;
        }
    }
    let sets = ["store", "app,store", "web", "app,store,web", "store,web"];
    for c in 0..400 {
        let set = sets[(c * c) % 5];
        let money = 900 + (c * 7919) % 40_000;
        let email = if c % 5 == 0 {
            "NULL"
        } else {
            "'someone@example.test'"
        };
        write!(
            sql,
            "INSERT INTO customers VALUES ('c{c}', {email}, 'x', 'y', NULL);
             INSERT INTO customer_features VALUES ('c{c}', '{set}', {}, {money}, {});",
            set.split(',').count(),
            1 + c % 9
        )?;
        for r in 0..=(c % 4) {
            write!(sql, "INSERT INTO links VALUES ('r{c}-{r}', 'c{c}');")?;
        }
        for o in 0..(1 + c % 4) {
            let day = jiff::civil::date(2026, 4, 1)
                .saturating_add(jiff::Span::new().days(((c + o * 5) % 40) as i64));
            let channel = ["store", "app", "web"][(c + o) % 3];
            let source = ["pos", "oms", "shop"][(c + o) % 3];
            let cluster = ["office", "station"][c % 2];
            let total = if (c + o) % 37 == 0 {
                -800
            } else {
                500 + ((c * 31 + o * 17) % 900) as i64
            };
            write!(
                sql,
                "INSERT INTO orders VALUES ('o{c}-{o}', '{source}', 'N{c}-{o}', '{channel}', 'sale', 'S{}{cluster}',
                   '{day} 03:00:00', '{day}', 'jpy', {total}, 'r{c}-0');
                 INSERT INTO order_lines VALUES ('N{c}-{o}', 'P{}', {total});
                 INSERT INTO deliveries VALUES ('N{c}-{o}', '{}', 'delivered', '{day} 03:00:00', '{day} 03:{:02}:00');",
                c % 3, (c + o) % 3, ["hayai", "yukkuri"][o % 2], (c * o) % 50
            )?;
        }
        write!(
            sql,
            "INSERT INTO campaign_touches VALUES ('C{}', '2026-04-02 00:00:00', 'r{c}-0');",
            1 + c % 2
        )?;
        if c % 9 == 0 {
            write!(sql, "INSERT INTO tickets VALUES ('N{c}-0', {});", 1 + c % 5)?;
        }
    }
    db.execute_batch(&sql)?;
    Ok(db)
}

fn run() -> RunSummary {
    let stream =
        |source: &str, stream: &str, rows, bad, people, reasons: &[(&str, u64)]| StreamSummary {
            source: source.into(),
            stream: stream.into(),
            files: 40,
            rows,
            accepted: rows - bad,
            quarantined: bad,
            structural: 80,
            customer_records: people,
            reasons: reasons.iter().map(|(r, n)| ((*r).to_owned(), *n)).collect(),
        };
    RunSummary {
        pipeline: "bento".into(),
        run: "0196a0".into(),
        version: Some(3),
        streams: vec![
            stream(
                "pos",
                "receipts",
                48_210,
                61,
                0,
                &[("bad_date", 40), ("unknown_store", 21)],
            ),
            stream(
                "shop",
                "orders",
                12_400,
                14,
                9_000,
                &[("negative_quantity", 14)],
            ),
            stream("app", "events", 88_000, 0, 3_100, &[]),
            stream(
                "crm",
                "people",
                5_200,
                120,
                5_080,
                &[("bad_email", 80), ("too_long", 40)],
            ),
            stream("loyalty", "members", 6_100, 4, 6_096, &[("bad_date", 4)]),
            stream("delivery", "runs", 3_300, 9, 3_291, &[("bad_phone", 9)]),
        ],
        records: 26_567,
        customers: 9_842,
        tables: vec![
            ("customers".into(), 9_842),
            ("orders".into(), 51_000),
            ("order_lines".into(), 141_000),
        ],
        places: vec![
            ("lake".into(), "out/lake".into()),
            ("warehouse".into(), "out/bento.db".into()),
        ],
        stages: [
            "plan", "ingest", "clean", "train", "match", "link", "attach", "curate", "publish",
            "load",
        ]
        .into_iter()
        .enumerate()
        .map(|(i, s)| StageTime {
            stage: s.into(),
            shards: 4,
            reused: 0,
            millis: 120 + (i as u64 * 977) % 4_000,
        })
        .collect(),
        next: vec![(
            "musubi trace customers/<id>/email".into(),
            "where a value comes from".into(),
        )],
    }
}

fn page() -> Result<String> {
    let weights = (-10..30)
        .map(|w| {
            (
                f64::from(w),
                (1_000 / (1 + (w - 18_i32).unsigned_abs().pow(2))).into(),
            )
        })
        .collect();
    let data = collect(&warehouse()?, run(), "2026-05-11".into(), weights)?;
    let drawn: i64 = data.sales.iter().map(|s| s.amount).sum();
    let sources: i64 = data.source_totals.iter().map(|s| s.2).sum();
    assert_eq!(drawn, sources);
    assert_eq!(data.answers.len(), 5);
    for answer in &data.answers {
        assert!(!answer.rows.is_empty(), "{}", answer.question);
        assert!(answer.rows.iter().all(|r| r.len() == answer.columns.len()));
    }
    Ok(html(&data))
}

#[test]
fn the_page_holds_no_value_of_a_person_and_asks_nobody() -> Result<()> {
    let page = page()?;
    assert!(!page.contains("example.test"));
    assert!(page.contains("Equal to the last place"));
    assert!(
        page.contains("Welcome &lt;back&gt; &amp; hello"),
        "text is escaped"
    );
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    Ok(())
}

#[test]
fn the_summary_names_what_a_person_wants_to_know() {
    let text = summary(&run());
    for part in [
        "26,567 records became 9,842 customers",
        "published as version 3",
        "loyalty",
        "out/bento.db",
        "together",
        "Next",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    println!("{text}");
}

fn chromium(page: &Path, width: u32, folder: &Path) -> Result<(String, String)> {
    let profile = folder.join(format!("profile-{width}"));
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--v=0",
            "--dump-dom",
        ])
        .args([
            "--virtual-time-budget=2000",
            "--run-all-compositor-stages-before-draw",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", page.display()))
        .output()
        .context("run chromium; install it with: apt-get install chromium")?;
    Ok((
        String::from_utf8_lossy(&output.stdout).into(),
        String::from_utf8_lossy(&output.stderr).into(),
    ))
}

#[test]
fn a_browser_finds_nothing_wrong_with_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("report.html");
    std::fs::write(&target, page()?)?;
    // A window is at least 500 wide; a frame of 390 inside of it is what a phone sees.
    let phone = folder.path().join("phone.html");
    std::fs::write(
        &phone,
        "<!doctype html><body style='margin:0'><iframe src=report.html style='width:390px;height:800px;border:0'></iframe>\
         <script>onload=()=>{const d=document.querySelector('iframe').contentDocument;\
         document.body.dataset.overflow=d?d.documentElement.dataset.overflow:'?'}</script>",
    )?;
    let (dom, log) = chromium(&target, 1280, folder.path())?;
    assert!(!log.contains("CONSOLE"), "{log}");
    assert!(
        dom.contains("data-overflow=\"0\""),
        "no horizontal overflow at 1280 px"
    );
    assert!(dom.contains("data-requests=\"0\""), "no request");
    let charts = dom
        .split("data-charts=\"")
        .nth(1)
        .and_then(|t| t.split('"').next())
        .context("the page's script ran")?;
    assert!(charts.parse::<u32>()? > 30, "{charts} charts and bars");
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--allow-file-access-from-files",
        ])
        .arg("--virtual-time-budget=2000")
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile-phone").display()
        ))
        .arg(format!("file://{}", phone.display()))
        .output()?;
    let dom = String::from_utf8_lossy(&output.stdout);
    assert!(
        dom.contains("data-overflow=\"0\""),
        "no horizontal overflow at 390 px: {dom}"
    );
    if let Ok(keep) = std::env::var("MUSUBI_KEEP_REPORT") {
        std::fs::copy(&target, keep)?;
    }
    Ok(())
}
