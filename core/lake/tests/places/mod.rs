//! Places for lakes: a folder, and two S3 servers that each test binary starts once.

#![allow(dead_code, reason = "each test uses its part")]

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use musubi_lake::{Location, Patience, Store};
use musubi_testing::{Moto, SeaweedFs};

const BUCKET: &str = "lake";

/// Short, so that a test of what fails is quick.
pub(crate) const PATIENCE: Patience = Patience {
    timeout: Duration::from_secs(20),
    tries: 5,
    first_wait: Duration::from_millis(10),
};

pub(crate) fn folder() -> Store {
    // Its files go with the machine's temporary folder; a test needs it for as long as its store.
    let folder = tempfile::tempdir().expect("a temporary folder").keep();
    Store::open(&Location::Folder(folder)).expect("open")
}

pub(crate) fn weed() -> &'static SeaweedFs {
    static SERVER: OnceLock<SeaweedFs> = OnceLock::new();
    SERVER.get_or_init(|| SeaweedFs::start(&[BUCKET]).unwrap_or_else(|e| panic!("{e}")))
}

pub(crate) fn seaweedfs(prefix: &str) -> Store {
    let server = weed();
    open(&server.endpoint(), server.keys(), prefix, PATIENCE)
}

pub(crate) fn moto(prefix: &str) -> Store {
    static SERVER: OnceLock<Moto> = OnceLock::new();
    let server = SERVER.get_or_init(|| Moto::start(&[BUCKET]).unwrap_or_else(|e| panic!("{e}")));
    open(&server.endpoint(), server.keys(), prefix, PATIENCE)
}

pub(crate) fn open(endpoint: &str, keys: (&str, &str), prefix: &str, patience: Patience) -> Store {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let location = Location::S3 {
        bucket: BUCKET.into(),
        prefix: format!("{prefix}-{number}"),
        region: Some("us-east-1".into()),
        endpoint: Some(endpoint.into()),
        keys: Some((keys.0.into(), keys.1.into())),
    };
    Store::open_with(&location, patience).expect("open")
}
