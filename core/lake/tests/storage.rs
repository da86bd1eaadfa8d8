//! What every storage must do, said once and held against a folder, SeaweedFS and moto.

mod places;

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use musubi_lake::{Error, Result, Store};

/// Makes each function of this file a test of each place.
macro_rules! every_place {
    ($($case:ident)*) => {
        mod a_folder { $(#[tokio::test(flavor = "multi_thread")] async fn $case() -> musubi_lake::Result<()> { super::$case(crate::places::folder()).await })* }
        mod seaweedfs { $(#[tokio::test(flavor = "multi_thread")] async fn $case() -> musubi_lake::Result<()> { super::$case(crate::places::seaweedfs(stringify!($case))).await })* }
        mod moto { $(#[tokio::test(flavor = "multi_thread")] async fn $case() -> musubi_lake::Result<()> { super::$case(crate::places::moto(stringify!($case))).await })* }
    };
}

every_place! {
    what_is_written_is_read
    what_is_not_there_is_said_so
    one_of_many_creates_wins
    one_of_many_swaps_wins
    swaps_lose_no_count
    a_write_of_our_own_is_no_rival
    a_swap_of_what_is_gone_is_a_conflict
    listings_are_sorted_and_stay_below_the_prefix
    listings_show_every_key_of_many
    ranges_are_exact
    large_objects_come_whole_or_not_at_all
}

async fn what_is_written_is_read(store: Store) -> Result<()> {
    store.put("a/b", Bytes::from_static(b"one")).await?;
    store.put("a/b", Bytes::from_static(b"two")).await?;
    assert_eq!(store.get("a/b").await?, "two");
    let meta = store.head("a/b").await?.expect("it is there");
    assert_eq!((meta.path.as_str(), meta.size), ("a/b", 3));
    store.delete("a/b").await?;
    store.delete("a/b").await?;
    assert!(store.find("a/b").await?.is_none());
    Ok(())
}

async fn what_is_not_there_is_said_so(store: Store) -> Result<()> {
    let error = store.get("no/such").await.expect_err("nothing is there");
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert_eq!(error.to_string(), "no/such: not found in the lake");
    assert!(store.head("no/such").await?.is_none());
    assert!(store.list("no").await?.is_empty());
    Ok(())
}

async fn one_of_many_creates_wins(store: Store) -> Result<()> {
    for round in 0..2 {
        let path = format!("race/{round}");
        let rivals = (0..16).map(|me: u8| {
            let (store, path) = (store.clone(), path.clone());
            tokio::spawn(async move { (me, store.create(&path, Bytes::from(vec![me])).await) })
        });
        let mut won = Vec::new();
        for rival in join_all(rivals).await {
            match rival.expect("no panic") {
                (me, Ok(())) => won.push(me),
                (_, Err(Error::AlreadyExists { .. })) => {}
                (_, Err(error)) => return Err(error),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: winners {won:?}");
        assert_eq!(store.get(&path).await?, won);
    }
    Ok(())
}

async fn one_of_many_swaps_wins(store: Store) -> Result<()> {
    store
        .create("pointer", Bytes::from_static(b"begin"))
        .await?;
    for round in 0..2 {
        let (_, tag) = store.get_tagged("pointer").await?;
        let rivals = (0..16).map(|me: u8| {
            let (store, tag) = (store.clone(), tag.clone());
            let body = Bytes::from(format!("{round} {me}"));
            tokio::spawn(async move { (me, store.swap("pointer", body, &tag).await) })
        });
        let mut won = Vec::new();
        for rival in join_all(rivals).await {
            match rival.expect("no panic") {
                (me, Ok(())) => won.push(me),
                (_, Err(Error::Conflict { .. })) => {}
                (_, Err(error)) => return Err(error),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: winners {won:?}");
        assert_eq!(store.get("pointer").await?, format!("{round} {}", won[0]));
    }
    Ok(())
}

async fn swaps_lose_no_count(store: Store) -> Result<()> {
    store.create("count", Bytes::from_static(b"0 -")).await?;
    let counters = (0..4).map(|me| {
        let store = store.clone();
        tokio::spawn(async move {
            for at in 0..4 {
                loop {
                    let (now, tag) = store.get_tagged("count").await?;
                    let text = String::from_utf8_lossy(&now).into_owned();
                    let n: u32 = text
                        .split(' ')
                        .next()
                        .and_then(|n| n.parse().ok())
                        .expect("a count");
                    let next = Bytes::from(format!("{} {me}/{at}", n + 1));
                    match store.swap("count", next, &tag).await {
                        Ok(()) => break,
                        Err(Error::Conflict { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(())
        })
    });
    for counter in join_all(counters).await {
        counter.expect("no panic")?;
    }
    let end = store.get("count").await?;
    assert!(end.starts_with(b"16 "), "{end:?}");
    Ok(())
}

async fn a_write_of_our_own_is_no_rival(store: Store) -> Result<()> {
    let ours = Bytes::from_static(b"ours");
    store.create("once", ours.clone()).await?;
    store.create("once", ours.clone()).await?;
    let (_, tag) = store.get_tagged("once").await?;
    let next = Bytes::from_static(b"next");
    store.swap("once", next.clone(), &tag).await?;
    store.swap("once", next, &tag).await?;
    let error = store
        .create("once", ours)
        .await
        .expect_err("it is another now");
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    Ok(())
}

async fn a_swap_of_what_is_gone_is_a_conflict(store: Store) -> Result<()> {
    store.create("gone", Bytes::from_static(b"1")).await?;
    let (_, tag) = store.get_tagged("gone").await?;
    store.delete("gone").await?;
    let swapped = store.swap("gone", Bytes::from_static(b"2"), &tag).await;
    assert!(
        matches!(swapped, Err(Error::Conflict { .. })),
        "{swapped:?}"
    );
    assert!(store.find("gone").await?.is_none());
    Ok(())
}

async fn listings_are_sorted_and_stay_below_the_prefix(store: Store) -> Result<()> {
    for path in [
        "t/b",
        "t/a/2",
        "t/a/10",
        "t/日付=2026-11-01/x",
        "ta/x",
        "t2",
        "u/t/a",
    ] {
        store.put(path, Bytes::from_static(b".")).await?;
    }
    // A conditional write leaves nothing beside itself that a listing shows.
    store.create("t/c", Bytes::from_static(b"1")).await?;
    let (_, tag) = store.get_tagged("t/c").await?;
    store.swap("t/c", Bytes::from_static(b"2"), &tag).await?;
    let paths =
        |metas: Vec<musubi_lake::Meta>| metas.into_iter().map(|m| m.path).collect::<Vec<_>>();
    assert_eq!(
        paths(store.list("t").await?),
        ["t/a/10", "t/a/2", "t/b", "t/c", "t/日付=2026-11-01/x"]
    );
    assert_eq!(paths(store.list("t/a").await?), ["t/a/10", "t/a/2"]);
    assert_eq!(store.list("").await?.len(), 8);
    Ok(())
}

async fn listings_show_every_key_of_many(store: Store) -> Result<()> {
    let wanted: BTreeSet<String> = (0..1_020)
        .map(|n| format!("many/{:02}/{n:04}", n % 7))
        .collect();
    let mut puts = stream::iter(wanted.clone())
        .map(|path| {
            let store = store.clone();
            async move { store.put(&path, Bytes::from_static(b"x")).await }
        })
        .buffer_unordered(32);
    while let Some(put) = puts.next().await {
        put?;
    }
    let found: Vec<String> = store
        .list("many")
        .await?
        .into_iter()
        .map(|m| m.path)
        .collect();
    assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
    Ok(())
}

async fn ranges_are_exact(store: Store) -> Result<()> {
    store
        .put("digits", Bytes::from_static(b"0123456789"))
        .await?;
    assert_eq!(store.get_range("digits", 0..1).await?, "0");
    assert_eq!(store.get_range("digits", 3..7).await?, "3456");
    assert_eq!(store.get_range("digits", 9..10).await?, "9");
    assert_eq!(
        store.get_range("digits", 8..20).await?,
        "89",
        "the end is cut at the object's end"
    );
    assert!(
        store.get_range("digits", 10..12).await.is_err(),
        "nothing is there"
    );
    Ok(())
}

async fn large_objects_come_whole_or_not_at_all(store: Store) -> Result<()> {
    let bytes: Vec<u8> = (0..19_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut upload = store.upload("large/begun").await?;
    upload.write(&bytes[..9 << 20]);
    assert!(store.find("large/begun").await?.is_none(), "unfinished");
    upload.abort().await.expect("abort");
    assert!(store.list("large").await?.is_empty());
    let mut upload = store.upload("large/done").await?;
    for chunk in bytes.chunks(3 << 20) {
        upload.write(chunk);
    }
    upload.finish().await.expect("finish");
    assert!(store.get("large/done").await? == bytes);
    assert_eq!(
        store
            .get_range("large/done", (16 << 20)..(16 << 20) + 5)
            .await?,
        bytes[16 << 20..(16 << 20) + 5]
    );
    Ok(())
}
