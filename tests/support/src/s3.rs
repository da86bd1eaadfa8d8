//! Two S3 servers: SeaweedFS (checks signatures, real races) and moto (a second opinion).

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{StartError, free_port, guard::Guarded, tools};

/// Access key of the test user.
pub(crate) const ACCESS_KEY: &str = "musubi-test-key";
/// Secret key of the test user.
pub(crate) const SECRET_KEY: &str = "musubi-test-secret";

/// Where servers listen that nobody else shall reach.
const LOOPBACK: &str = "127.0.0.1";

/// A SeaweedFS with S3: up in a few seconds, about 300 MB of memory.
#[derive(Debug)]
pub struct SeaweedFs {
    _server: Guarded,
    _dir: TempDir,
    address: String,
    port: u16,
}

/// A moto server: accepts any credentials.
#[derive(Debug)]
pub struct Moto {
    _server: Guarded,
    _dir: TempDir,
    address: String,
    port: u16,
}

macro_rules! endpoint {
    ($type:ty) => {
        impl $type {
            /// `http://address:port`.
            #[must_use]
            pub fn endpoint(&self) -> String {
                format!("http://{}:{}", self.address, self.port)
            }

            /// Port.
            #[must_use]
            pub const fn port(&self) -> u16 {
                self.port
            }

            /// Access key and secret key.
            #[must_use]
            pub const fn keys(&self) -> (&'static str, &'static str) {
                (ACCESS_KEY, SECRET_KEY)
            }
        }
    };
}
endpoint!(SeaweedFs);
endpoint!(Moto);

impl SeaweedFs {
    /// Starts one with these buckets, on loopback.
    pub fn start(buckets: &[&str]) -> Result<Self, StartError> {
        Self::start_at(LOOPBACK, buckets)
    }

    /// Starts one that listens on one address of this machine, and no other. Somebody else may take one of its eight ports
    /// between its choice and its use: it is tried with others then.
    pub fn start_at(address: &str, buckets: &[&str]) -> Result<Self, StartError> {
        let program = tool("MUSUBI_WEED", "weed")?;
        let mut started = Self::attempt(&program, address, buckets);
        for _ in 0..2 {
            started = started.or_else(|_| Self::attempt(&program, address, buckets));
        }
        started
    }

    fn attempt(program: &Path, address: &str, buckets: &[&str]) -> Result<Self, StartError> {
        let dir = tempfile::Builder::new().prefix("musubi-weed-").tempdir()?;
        let config = dir.path().join("s3.json");
        std::fs::write(&config, identities())?;
        let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
        let grpc = [free_port()?, free_port()?, free_port()?, free_port()?];
        let [master, volume, filer, port] = ports;
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data)?;
        // The default number of volumes runs out with the second bucket.
        let args = vec![
            "server".into(),
            format!("-ip={address}"),
            format!("-ip.bind={address}"),
            format!("-dir={}", data.display()),
            "-volume.max=200".into(),
            "-master.volumeSizeLimitMB=64".into(),
            format!("-master.port={master}"),
            format!("-master.port.grpc={}", grpc[0]),
            format!("-volume.port={volume}"),
            format!("-volume.port.grpc={}", grpc[1]),
            format!("-filer.port={filer}"),
            format!("-filer.port.grpc={}", grpc[2]),
            "-s3".into(),
            format!("-s3.port={port}"),
            format!("-s3.port.grpc={}", grpc[3]),
            // These have ports of their own that would be the same for every server.
            "-s3.port.iceberg=0".into(),
            "-s3.port.lance=0".into(),
            format!("-s3.config={}", config.display()),
        ];
        let log = dir.path().join("log");
        let mut server = Guarded::start(program, &args, &[], None, "TERM", &log)?;
        server.wait("SeaweedFS", &log, Duration::from_secs(90), || {
            answers(address, port, "GET", "/").is_some()
        })?;
        let make = buckets.iter().map(|b| format!("/buckets/{b}/"));
        for path in make {
            server.wait("SeaweedFS (bucket)", &log, Duration::from_secs(60), || {
                answers(address, filer, "POST", &path).is_some_and(|s| s == 200 || s == 201)
            })?;
        }
        Ok(Self {
            _server: server,
            _dir: dir,
            address: address.into(),
            port,
        })
    }
}

impl Moto {
    /// Starts one with these buckets.
    pub fn start(buckets: &[&str]) -> Result<Self, StartError> {
        let program = tool("MUSUBI_MOTO", "moto_server")?;
        let dir = tempfile::Builder::new().prefix("musubi-moto-").tempdir()?;
        let port = free_port()?;
        let args = ["-H", "127.0.0.1", "-p", &port.to_string()].map(String::from);
        let log = dir.path().join("log");
        let mut server = Guarded::start(&program, &args, &[], None, "TERM", &log)?;
        server.wait("moto", &log, Duration::from_secs(90), || {
            answers(LOOPBACK, port, "GET", "/moto-api/").is_some()
        })?;
        for b in buckets {
            server.wait("moto (bucket)", &log, Duration::from_secs(30), || {
                answers(LOOPBACK, port, "PUT", &format!("/{b}")).is_some_and(|s| s == 200)
            })?;
        }
        Ok(Self {
            _server: server,
            _dir: dir,
            address: LOOPBACK.into(),
            port,
        })
    }
}

fn identities() -> String {
    format!(
        r#"{{"identities":[{{"name":"musubi","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    )
}

/// Status of a bare request, if there is an HTTP answer at all.
fn answers(address: &str, port: u16, method: &str, path: &str) -> Option<u16> {
    let to = SocketAddr::new(address.parse().ok()?, port);
    let mut s = TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok()?;
    s.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    s.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 12];
    s.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head)
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

/// A program: by its environment variable, or among the tools from PyPI.
fn tool(variable: &str, name: &str) -> Result<PathBuf, StartError> {
    match std::env::var_os(variable) {
        Some(path) => Ok(path.into()),
        None => tools::program(name),
    }
}
