//! A PostgreSQL of our own.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    StartError, free_port,
    guard::{Guarded, listens},
};

/// A PostgreSQL server with an empty database `musubi`, user `musubi`, password `musubi-test`.
#[derive(Debug)]
pub struct Postgres {
    // Dropped in this order: server first, then its folder.
    _server: Guarded,
    _dir: TempDir,
    port: u16,
}

/// Password of the test user.
const PASSWORD: &str = "musubi-test";

impl Postgres {
    /// Starts one: about two seconds.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(&[])
    }

    /// Starts one with more settings (`("wal_level", "logical")`).
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, StartError> {
        Self::begin(None, settings)
    }

    /// Starts one that listens on one more address of this machine, and answers whoever reaches it there and knows
    /// the password.
    pub fn start_at(address: &str) -> Result<Self, StartError> {
        Self::begin(Some(address), &[])
    }

    fn begin(address: Option<&str>, settings: &[(&str, &str)]) -> Result<Self, StartError> {
        let bin = bin()?;
        let dir = tempfile::Builder::new().prefix("musubi-pg-").tempdir()?;
        let user = unprivileged(dir.path())?;
        let data = dir.path().join("data");
        initdb(&bin, dir.path(), &data, user)?;
        let mut addresses = "127.0.0.1".to_owned();
        if let Some(address) = address {
            addresses = format!("{addresses},{address}");
            let rule = "host all all samenet scram-sha-256\n";
            let mut rules = OpenOptions::new()
                .append(true)
                .open(data.join("pg_hba.conf"))?;
            rules.write_all(rule.as_bytes())?;
        }
        let port = free_port()?;
        let log = dir.path().join("log");
        let mut args: Vec<String> = ["-D", &data.display().to_string(), "-p", &port.to_string()]
            .map(String::from)
            .into();
        let sockets = dir.path().display().to_string();
        let fixed = [
            ("listen_addresses", addresses.as_str()),
            ("unix_socket_directories", sockets.as_str()),
            ("fsync", "off"),
            ("max_connections", "100"),
            ("shared_buffers", "32MB"),
        ];
        for (k, v) in fixed.iter().chain(settings) {
            args.extend(["-c".into(), format!("{k}={v}")]);
        }
        let program = bin.join("postgres");
        let mut server = Guarded::start(&program, &args, &[("LC_ALL", "C")], user, "INT", &log)?;
        let ready = data.join("postmaster.pid");
        server.wait("PostgreSQL", &log, Duration::from_secs(60), || {
            listens(port)
                && std::fs::read_to_string(&ready)
                    .is_ok_and(|t| t.lines().any(|l| l.trim() == "ready"))
        })?;
        let this = Self {
            _server: server,
            _dir: dir,
            port,
        };
        this.psql(&bin, "postgres", "CREATE DATABASE musubi")?;
        Ok(this)
    }

    /// Its port, on every address.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Name and password of the test user.
    #[must_use]
    pub const fn keys(&self) -> (&'static str, &'static str) {
        ("musubi", PASSWORD)
    }

    /// `postgres://…` with user, password and database.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://musubi:{PASSWORD}@127.0.0.1:{}/musubi",
            self.port
        )
    }

    /// `host=… port=…` form, as tokio-postgres also takes it.
    #[must_use]
    pub fn dsn(&self) -> String {
        format!(
            "host=127.0.0.1 port={} user=musubi password={PASSWORD} dbname=musubi",
            self.port
        )
    }

    /// Runs SQL in the database `musubi` and gives what psql prints (unaligned, tuples only).
    pub fn sql(&self, sql: &str) -> Result<String, StartError> {
        self.psql(&bin()?, "musubi", sql)
    }

    fn psql(&self, bin: &Path, database: &str, sql: &str) -> Result<String, StartError> {
        let port = self.port.to_string();
        let out = Command::new(bin.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "musubi",
                "-d",
                database,
            ])
            .args(["-v", "ON_ERROR_STOP=1", "-AtXqc", sql])
            .env("PGPASSWORD", PASSWORD)
            .output()?;
        if !out.status.success() {
            return Err(StartError(format!(
                "psql: {}",
                String::from_utf8_lossy(&out.stderr)
            )));
        }
        Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned())
    }
}

fn initdb(bin: &Path, dir: &Path, data: &Path, user: Option<(u32, u32)>) -> Result<(), StartError> {
    let secret = dir.join("password");
    std::fs::write(&secret, PASSWORD)?;
    own(&secret, user)?;
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("-D")
        .arg(data)
        .args(["-U", "musubi", "-A", "scram-sha-256", "-E", "UTF8"])
        .args(["--locale=C", "--no-sync"])
        .arg(format!("--pwfile={}", secret.display()))
        .current_dir(dir);
    #[cfg(unix)]
    if let Some((uid, gid)) = user {
        use std::os::unix::process::CommandExt;
        command.uid(uid).gid(gid);
    }
    let out = command.output()?;
    if out.status.success() {
        return Ok(());
    }
    Err(StartError(format!(
        "initdb: {}",
        String::from_utf8_lossy(&out.stderr)
    )))
}

/// The folder with `initdb` and `postgres`: `MUSUBI_PG_BIN`, else the newest one Debian installed.
fn bin() -> Result<PathBuf, StartError> {
    if let Some(dir) = std::env::var_os("MUSUBI_PG_BIN") {
        return Ok(dir.into());
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .filter(|p| p.join("initdb").exists() && p.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().ok_or_else(|| {
        StartError(
            "PostgreSQL's server is not installed: apt-get install -y postgresql, or set MUSUBI_PG_BIN to the folder that holds initdb".into(),
        )
    })
}

/// PostgreSQL refuses to run as root: then it runs as `postgres` (or `nobody`), who gets the folder.
#[cfg(unix)]
fn unprivileged(dir: &Path) -> Result<Option<(u32, u32)>, StartError> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata(dir)?.uid() != 0 {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let id = |name: &str| {
        let line = passwd.lines().find(|l| l.split(':').next() == Some(name))?;
        let mut f = line.split(':').skip(2);
        Some((f.next()?.parse().ok()?, f.next()?.parse().ok()?))
    };
    let user = id("postgres").or_else(|| id("nobody"));
    own(dir, user)?;
    Ok(user)
}

#[cfg(not(unix))]
fn unprivileged(_: &Path) -> Result<Option<(u32, u32)>, StartError> {
    Ok(None)
}

fn own(path: &Path, user: Option<(u32, u32)>) -> Result<(), StartError> {
    #[cfg(unix)]
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
    }
    #[cfg(not(unix))]
    let _ = (path, user);
    Ok(())
}
