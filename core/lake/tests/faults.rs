//! A storage that answers late, wrongly or not at all. A proxy stands before a real server and fails
//! requests on purpose; also in ways that AWS knows and no local server shows.

mod places;

use std::time::Duration;

use bytes::Bytes;
use musubi_lake::{Error, Patience, Store};
use musubi_testing::proxy::{Fault, Proxy};

/// A store behind a proxy of its own.
fn store(name: &str) -> (Store, Proxy) {
    let server = places::weed();
    let proxy = Proxy::start(server.port()).expect("a proxy");
    let patience = Patience {
        timeout: Duration::from_secs(1),
        ..places::PATIENCE
    };
    let store = places::open(&proxy.endpoint(), server.keys(), name, patience);
    (store, proxy)
}

/// What a server or a wire does for a moment, and a caller should never hear of.
const PASSING: [Fault; 7] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::DoneBut(500),
    Fault::DoneBut(503),
    Fault::Refuse,
    Fault::Cut,
    Fault::Silence,
];

#[tokio::test(flavor = "multi_thread")]
async fn reads_survive_what_passes() {
    let (store, proxy) = store("reads");
    store
        .put("x", Bytes::from_static(b"body"))
        .await
        .expect("put");
    for fault in PASSING {
        proxy.fail("GET", "/x", fault, 1);
        assert_eq!(store.get("x").await.expect("get"), "body", "{fault:?}");
        assert_eq!(proxy.seen("GET"), 2, "{fault:?}");
        proxy.fail("GET", "list-type", fault, 1);
        assert_eq!(store.list("").await.expect("list").len(), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_survive_what_passes() {
    let (store, proxy) = store("writes");
    for fault in PASSING {
        proxy.fail("PUT", "/x", fault, 1);
        store
            .put("x", Bytes::from(format!("{fault:?}")))
            .await
            .expect("put");
        assert_eq!(store.get("x").await.expect("get"), format!("{fault:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_answer_is_lost_is_won() {
    let (store, proxy) = store("creates");
    for fault in PASSING
        .into_iter()
        .chain([Fault::Status(409), Fault::DoneBut(409)])
    {
        let path = format!("{fault:?}");
        let ours = Bytes::from_static(b"ours");
        proxy.fail("PUT", "", fault, 1);
        store
            .create(&path, ours.clone())
            .await
            .unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(store.get(&path).await.expect("get"), ours);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_overtaken_while_its_answer_was_lost_is_not_won() {
    let (store, proxy) = store("overtaken");
    for fault in PASSING.into_iter().chain([Fault::Status(409)]) {
        let path = format!("{fault:?}");
        store
            .create(&path, Bytes::from_static(b"theirs"))
            .await
            .expect("create");
        proxy.fail("PUT", "", fault, 1);
        let error = store
            .create(&path, Bytes::from_static(b"ours"))
            .await
            .expect_err("theirs was first");
        assert!(
            matches!(error, Error::AlreadyExists { .. }),
            "{fault:?}: {error}"
        );
        assert_eq!(store.get(&path).await.expect("get"), "theirs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_whose_answer_is_lost_is_won() {
    let (store, proxy) = store("swaps");
    store
        .create("p", Bytes::from_static(b"begin"))
        .await
        .expect("create");
    for fault in PASSING
        .into_iter()
        .chain([Fault::Status(409), Fault::DoneBut(409)])
    {
        let (_, tag) = store.get_tagged("p").await.expect("get");
        let next = Bytes::from(format!("{fault:?}"));
        proxy.fail("PUT", "", fault, 1);
        store
            .swap("p", next.clone(), &tag)
            .await
            .unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(store.get("p").await.expect("get"), next);
        let late = store.swap("p", Bytes::from_static(b"late"), &tag).await;
        assert!(
            matches!(late, Err(Error::Conflict { .. })),
            "{fault:?}: {late:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_ill_is_given_up_and_said_so() {
    let (store, proxy) = store("ill");
    proxy.fail("PUT", "", Fault::Status(503), 50);
    let error = store
        .create("x", Bytes::from_static(b"1"))
        .await
        .expect_err("it never works");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().starts_with("x: "), "{error}");
    assert_eq!(proxy.seen("PUT"), places::PATIENCE.tries);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_never_ends_is_given_up() {
    let (store, proxy) = store("conflict");
    proxy.fail("PUT", "", Fault::Status(409), 500);
    let error = store
        .create("x", Bytes::from_static(b"1"))
        .await
        .expect_err("it never works");
    assert_eq!(error.to_string(), "x: others write to it all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_repeated_and_says_what_to_check() {
    let (store, proxy) = store("refused");
    proxy.fail("PUT", "", Fault::Status(403), 50);
    for outcome in [
        store.put("x", Bytes::from_static(b"1")).await,
        store.create("x", Bytes::from_static(b"1")).await,
    ] {
        let error = outcome.expect_err("refused");
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
        assert!(
            error.to_string().contains("check the credentials"),
            "{error}"
        );
    }
    assert_eq!(proxy.seen("PUT"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_and_missing_buckets_are_told_apart() {
    let server = places::weed();
    let wrong = (server.keys().0, "not-the-secret");
    let store = places::open(&server.endpoint(), wrong, "wrong", places::PATIENCE);
    let error = store.get("x").await.expect_err("a wrong secret");
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    let error = store.list("").await.expect_err("a wrong secret");
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
    let location = musubi_lake::Location::S3 {
        bucket: "nobody-made-it".into(),
        prefix: String::new(),
        region: None,
        endpoint: Some(server.endpoint()),
        keys: Some((server.keys().0.into(), server.keys().1.into())),
    };
    let store = Store::open_with(&location, places::PATIENCE).expect("open");
    let error = store.list("").await.expect_err("no bucket");
    assert!(
        error.to_string().contains("there is no such bucket"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_survives_what_passes() {
    let (store, proxy) = store("parts");
    let bytes: Vec<u8> = (0..17_u32 << 20).map(|n| (n % 241) as u8).collect();
    for (method, path) in [
        ("POST", "uploads"),
        ("PUT", "partNumber=2"),
        ("POST", "uploadId"),
    ] {
        for fault in [Fault::Status(503), Fault::Cut] {
            proxy.fail(method, path, fault, 1);
            let mut upload = store.upload("big").await.expect("begin");
            upload.write(&bytes);
            upload
                .finish()
                .await
                .unwrap_or_else(|e| panic!("{method} {path} {fault:?}: {e}"));
            assert!(store.get("big").await.expect("get") == bytes);
            store.delete("big").await.expect("delete");
        }
    }
}
