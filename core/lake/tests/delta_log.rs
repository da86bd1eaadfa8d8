//! A Delta log: commits, checkpoints, versions of the past.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema};
use musubi_lake::{
    Location, Store,
    delta::{self, Commit, DataFile, Snapshot},
};

const TABLE: &str = "curated/orders";

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&Location::Folder(dir.path().into())).expect("a store");
    (dir, store)
}

fn file(n: u64) -> DataFile {
    DataFile {
        path: format!("{n}.parquet"),
        size: 100 + n,
        rows: n,
        range: BTreeMap::from([(
            "business_date".into(),
            ("2026-11-01".into(), "2026-11-02".into()),
        )]),
        tags: BTreeMap::from([("digest".to_owned(), format!("d{n}"))]),
    }
}

async fn commit(store: &Store, transaction: u64, files: Vec<DataFile>) -> u64 {
    let schema = Schema::new(vec![Field::new("id", DataType::Utf8, true)]);
    let second = 1_700_000_000 + i64::try_from(transaction).expect("small");
    let commit = Commit {
        table: TABLE,
        schema: &schema,
        application: "shop/orders",
        transaction,
        files,
        at: jiff::Timestamp::from_second(second).expect("a time"),
    };
    delta::commit(store, &commit).await.expect("a commit")
}

async fn read(store: &Store, version: Option<u64>) -> Snapshot {
    let snapshot = delta::snapshot(store, TABLE, version).await;
    snapshot.expect("readable").expect("there")
}

/// Files that the table has after a transaction: a window that moves on.
fn window(transaction: u64) -> Vec<DataFile> {
    (transaction..transaction + 3).map(file).collect()
}

#[tokio::test]
async fn a_version_is_the_same_with_and_without_a_checkpoint() {
    let (dir, store) = store();
    for transaction in 1..=25 {
        assert_eq!(
            commit(&store, transaction, window(transaction)).await,
            transaction - 1
        );
    }
    let newest = dir.path().join(TABLE).join("_delta_log/_last_checkpoint");
    let text = std::fs::read_to_string(&newest).expect("a checkpoint");
    assert!(text.contains("\"version\":20"), "{text}");
    let mut with = Vec::new();
    for version in 0..25 {
        let snapshot = read(&store, Some(version)).await;
        assert_eq!(snapshot.version, version);
        let files: Vec<DataFile> = snapshot.files.values().cloned().collect();
        let mut wanted = window(version + 1);
        wanted.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(files, wanted, "version {version}");
        assert_eq!(snapshot.transactions["shop/orders"], version + 1);
        with.push(snapshot);
    }
    std::fs::remove_file(newest).expect("removed");
    for with in with {
        let without = read(&store, Some(with.version)).await;
        assert_eq!(without, with, "version {}", with.version);
    }
}

#[tokio::test]
async fn what_a_checkpoint_holds_need_not_be_in_the_log() {
    let (dir, store) = store();
    for transaction in 1..=12 {
        commit(&store, transaction, window(transaction)).await;
    }
    let log = dir.path().join(TABLE).join("_delta_log");
    for version in 0..=10 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).expect("removed");
    }
    let newest = read(&store, None).await;
    assert_eq!((newest.version, newest.rows()), (11, 12 + 13 + 14));
    let again = commit(&store, 12, window(12)).await;
    assert_eq!(again, 11, "a transaction happens once");
    assert_eq!(commit(&store, 13, window(13)).await, 12);
}

#[tokio::test]
async fn rivals_make_one_version() {
    let (_dir, store) = store();
    commit(&store, 1, window(1)).await;
    let store = Arc::new(store);
    let rivals = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { commit(&store, 2, window(2)).await })
    });
    for rival in futures::future::join_all(rivals).await {
        assert_eq!(rival.expect("no panic"), 1);
    }
    assert_eq!(read(&store, None).await.version, 1);
}
