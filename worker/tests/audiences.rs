//! Audiences: a filter over the warehouse, consent that is not negotiable, a file, and the difference since
//! last time. The same story on SQLite and on PostgreSQL.

use std::path::Path;

use anyhow::Result;
use musubi::activate::{Activation, State, deliver};
use musubi_api::{
    audience::{AudienceSpec, Delivery, Destination, FileDestination},
    source::{SecretRef, TlsMode},
    warehouse::{PostgresWarehouse, SqliteWarehouse, WarehouseSpec},
};
use musubi_testing::Postgres;

const TABLES: &str = "
CREATE TABLE customers (customer_id text, email text, family_name text);
CREATE TABLE customer_features (customer_id text, order_count bigint);
CREATE TABLE customer_consents (customer_id text, purpose text, granted boolean);
INSERT INTO customers VALUES ('c1', 'a@example.com', '=1+1'), ('c2', 'b@example.com', NULL),
  ('c3', 'c@example.com', 'Ito, \"K\"'), ('c4', 'd@example.com', 'Abe');
INSERT INTO customer_features VALUES ('c1', 5), ('c2', 9), ('c3', 7), ('c4', 1);
INSERT INTO customer_consents VALUES ('c1', 'email_marketing', TRUE), ('c2', 'email_marketing', FALSE),
  ('c3', 'email_marketing', TRUE), ('c3', 'post', FALSE), ('c4', 'email_marketing', TRUE);";

const NEXT_DAY: &str = "
UPDATE customer_consents SET granted = FALSE WHERE customer_id = 'c1';
UPDATE customer_consents SET granted = TRUE WHERE customer_id = 'c2';
UPDATE customers SET email = 'new@example.com' WHERE customer_id = 'c3';
UPDATE customer_features SET order_count = 8 WHERE customer_id = 'c4';";

fn audience(folder: &Path, deliver: Delivery) -> AudienceSpec {
    AudienceSpec {
        description: None,
        warehouse: "w".into(),
        filter: "f.order_count >= 3 or c.email is null".into(),
        consent: "email_marketing".into(),
        columns: vec!["email".into(), "family_name".into()],
        destination: Destination {
            file: Some(FileDestination {
                path: folder.display().to_string(),
            }),
            s3: None,
        },
        deliver,
    }
}

fn at<'a>(
    warehouse: &'a WarehouseSpec,
    audience: &'a AudienceSpec,
    version: u64,
    previous: Option<State>,
) -> Activation<'a> {
    Activation {
        name: "loyal",
        audience,
        warehouse,
        version,
        previous,
    }
}

async fn story(warehouse: &WarehouseSpec, execute: impl Fn(&str) -> Result<()>) -> Result<()> {
    let secret = |_: &SecretRef, key: &str| {
        Ok(if key == "username" {
            "musubi"
        } else {
            "musubi-test"
        }
        .to_owned())
    };
    let folder = tempfile::tempdir()?;
    execute(TABLES)?;
    let everything = audience(&folder.path().join("all"), Delivery::Full);
    let difference = audience(&folder.path().join("new"), Delivery::Difference);
    let (receipt, _) = deliver(&at(warehouse, &everything, 1, None), &secret).await?;
    assert_eq!(
        (receipt.segment, receipt.without_consent, receipt.rows),
        (3, 1, 2)
    );
    let file = std::fs::read_to_string(&receipt.file)?;
    let lines = "customer_id,email,family_name\nc1,a@example.com,'=1+1\nc3,c@example.com,\"Ito, \"\"K\"\"\"\n";
    assert_eq!(
        file, lines,
        "who said no is not in it, and a spreadsheet runs nothing"
    );

    let (first, state) = deliver(&at(warehouse, &difference, 1, None), &secret).await?;
    assert_eq!((first.entered, first.left, first.changed), (2, 0, 0));
    let (again, same) = deliver(&at(warehouse, &difference, 1, None), &secret).await?;
    assert_eq!(
        (first, &state),
        (again, &same),
        "the same version gives the same file"
    );

    execute(NEXT_DAY)?;
    let (second, _) = deliver(&at(warehouse, &difference, 2, Some(state.clone())), &secret).await?;
    assert_eq!((second.entered, second.left, second.changed), (2, 1, 1));
    let file = std::fs::read_to_string(&second.file)?;
    let lines: Vec<&str> = file.lines().collect();
    assert_eq!(
        lines,
        [
            "customer_id,email,family_name,change",
            "c2,b@example.com,,entered",
            "c3,new@example.com,\"Ito, \"\"K\"\"\",changed",
            "c4,d@example.com,Abe,entered",
            "c1,,,left",
        ],
        "who withdraws leaves, and nothing of them is sent but the id"
    );

    let late = deliver(
        &at(
            warehouse,
            &difference,
            1,
            Some(State {
                version: 2,
                ..state
            }),
        ),
        &secret,
    )
    .await;
    let late = late.map_or_else(|e| format!("{e:#}"), |_| String::new());
    assert!(
        late.contains("the last delivery was of version 2"),
        "{late}"
    );
    for (filter, says) in [
        ("c.emial is null", "spec.filter"),
        ("1=1; drop table customers", "semicolon"),
    ] {
        let wrong = AudienceSpec {
            filter: filter.into(),
            ..everything.clone()
        };
        let said = deliver(&at(warehouse, &wrong, 3, None), &secret).await;
        let said = said.map_or_else(|e| format!("{e:#}"), |_| String::new());
        assert!(
            said.contains("Audience loyal") && said.contains(says),
            "{filter}: {said}"
        );
    }
    let wrong = AudienceSpec {
        columns: vec!["telephone".into()],
        ..everything.clone()
    };
    let said = deliver(&at(warehouse, &wrong, 3, None), &secret).await;
    let said = said.map_or_else(|e| format!("{e:#}"), |_| String::new());
    assert!(
        said.contains("there are customer_id, email, family_name, order_count"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_delivers_who_consented() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("warehouse.sqlite");
    let warehouse = WarehouseSpec {
        sqlite: Some(SqliteWarehouse {
            path: path.display().to_string(),
        }),
        postgres: None,
        tables: Vec::new(),
        mode: Default::default(),
    };
    let execute = |sql: &str| Ok(rusqlite::Connection::open(&path)?.execute_batch(sql)?);
    story(&warehouse, execute).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_delivers_who_consented() -> Result<()> {
    let server = Postgres::start()?;
    let warehouse = WarehouseSpec {
        sqlite: None,
        postgres: Some(PostgresWarehouse {
            host: "127.0.0.1".into(),
            port: server.port(),
            database: "musubi".into(),
            schema: "shop".into(),
            credentials: SecretRef {
                secret: "server".into(),
            },
            tls: TlsMode::Disable,
        }),
        tables: Vec::new(),
        mode: Default::default(),
    };
    server.sql("CREATE SCHEMA shop")?;
    let execute = |sql: &str| {
        server.sql(&format!("SET search_path TO shop; {sql}"))?;
        Ok(())
    };
    story(&warehouse, execute).await
}
