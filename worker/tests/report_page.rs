//! The page: figures that agree, and a browser that finds nothing wrong with it.

use std::fmt::Write as _;

use anyhow::Result;
use musubi::{
    report::{Paint, RunSummary, SourceTotal, StageTime, collect, html, summary},
    stage::accounts::Account,
};
use musubi_testing::{Browser, View};
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
    let stream = |source: &str, stream: &str, rows, bad, people, reasons: &[(&str, u64)]| Account {
        source: source.into(),
        stream: stream.into(),
        files: 40,
        replaced: 1,
        rows,
        accepted: rows - bad - 200,
        duplicate: 20,
        superseded: 100,
        structural: 80,
        quarantined: bad,
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

/// What the sources would say: here, what the table holds.
fn told(warehouse: &Connection) -> Result<Vec<SourceTotal>> {
    let mut totals = warehouse
        .prepare("SELECT source, count(*), sum(total) * 10000 FROM orders GROUP BY 1 ORDER BY 1")?;
    let totals = totals.query_map([], |row| {
        Ok(SourceTotal {
            source: row.get(0)?,
            orders: row.get::<_, i64>(1)?.unsigned_abs(),
            total: row.get(2)?,
            ..SourceTotal::default()
        })
    })?;
    Ok(totals.collect::<Result<_, _>>()?)
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
    let warehouse = warehouse()?;
    let totals = told(&warehouse)?;
    let data = collect(&warehouse, run(), "11 May 2026".into(), weights, totals)?;
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
    assert!(page.contains("equal to the last place"));
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
fn a_difference_to_the_sources_is_said() -> Result<()> {
    let warehouse = warehouse()?;
    let mut totals = told(&warehouse)?;
    totals[0].total += 10_000;
    let data = collect(&warehouse, run(), String::new(), Vec::new(), totals)?;
    assert!(html(&data).contains("Not equal: the chart adds up to"));
    Ok(())
}

#[test]
fn the_summary_fits_a_terminal_and_names_what_a_person_wants_to_know() {
    let text = summary(&run(), Paint::PLAIN);
    println!("{text}");
    for part in [
        "bento, version 3",
        "26,567 records became 9,842 customers",
        "loyalty     6,100",
        "together  163,210",
        "every row is accounted for",
        "out/bento.db",
        "Next",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
    }
    assert!(!text.contains('\u{1b}'), "colour is for terminals");
}

/// Red, green and blue of a computed colour, added up.
fn brightness(browser: &mut Browser, property: &str) -> Result<u64> {
    let sum = format!(
        "getComputedStyle(document.body).{property}.match(/[0-9]+/g).slice(0,3).reduce((a,b)=>a+ +b,0)"
    );
    Ok(browser.ask(&sum)?.as_u64().unwrap_or(0))
}

#[test]
fn a_browser_finds_nothing_wrong_with_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().join("report.html");
    std::fs::write(&target, page()?)?;
    let url = format!("file://{}", target.display());
    let mut browser = Browser::start()?;
    let desktop = View {
        width: 1280,
        phone: false,
        dark: false,
        print: false,
    };
    let views = [
        ("desktop", desktop),
        (
            "dark",
            View {
                dark: true,
                ..desktop
            },
        ),
        (
            "phone",
            View {
                width: 390,
                phone: true,
                ..desktop
            },
        ),
        (
            "print",
            View {
                width: 720,
                dark: true,
                print: true,
                ..desktop
            },
        ),
    ];
    for (name, view) in views {
        browser.open(&url, view)?;
        assert_eq!(
            browser.complaints(),
            Vec::<String>::new(),
            "{name}: the console is quiet"
        );
        assert_eq!(
            browser.requests(),
            [format!("{url:?}")],
            "{name}: nothing is fetched"
        );
        let wide = browser
            .ask("document.documentElement.scrollWidth - document.documentElement.clientWidth")?;
        assert_eq!(wide, 0, "{name}: no scrolling sideways");
        let seen = "[...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().width > 20).length";
        let charts = browser.ask(seen)?.as_u64().unwrap_or(0);
        assert!(charts > 30, "{name}: {charts} charts and bars are seen");
        let (paper, ink) = (
            brightness(&mut browser, "backgroundColor")?,
            brightness(&mut browser, "color")?,
        );
        let dark = view.dark && !view.print;
        assert_eq!(paper < ink, dark, "{name}: paper {paper}, ink {ink}");
        assert!(paper.abs_diff(ink) > 500, "{name}: text can be read");
    }
    browser.open(&url, desktop)?;
    let small = "[...document.querySelectorAll('section')].filter(s => !s.textContent.trim() || s.scrollHeight < 60).length";
    assert_eq!(browser.ask(small)?, 0, "no section is empty");
    let pdf = browser.pdf()?;
    assert!(
        pdf.starts_with("JVBERi0") && pdf.len() > 50_000,
        "it prints"
    );
    Ok(())
}
