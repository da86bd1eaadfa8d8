//! Connections to PostgreSQL: patient to a limit, and discreet about what the server says.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use musubi_api::{source::TlsMode, warehouse::PostgresWarehouse};
use tokio_postgres::{Client, NoTls};

use crate::warehouse::sql::name;

/// Who connects.
#[derive(Clone)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// How long a server may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects, with the warehouse's schema as the one that names are looked up in.
///
/// # Errors
/// When the server cannot be reached, says nothing, or refuses; with server, database and the way out.
pub async fn connect(server: &PostgresWarehouse, credentials: &Credentials) -> Result<Client> {
    connect_within(PATIENCE, server, credentials).await
}

async fn connect_within(
    patience: Duration,
    server: &PostgresWarehouse,
    credentials: &Credentials,
) -> Result<Client> {
    // The library's own limit ends with the TCP connection: a server may take that and say nothing.
    match tokio::time::timeout(patience, open(server, credentials)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => {
            let way = way_out(&error, server);
            let error = error.context(format!("connect to {} ({way})", place(server)));
            Err(discreet(&error))
        }
        Err(_) => bail!(
            "connect to {}: no answer within {} seconds; see whether the server runs and lets this machine in",
            place(server),
            patience.as_secs()
        ),
    }
}

async fn open(server: &PostgresWarehouse, credentials: &Credentials) -> Result<Client> {
    let mut config = config(server, credentials);
    let client = match server.tls {
        TlsMode::Disable => {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(drive(connection));
            client
        }
        TlsMode::Require => {
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let connector = tokio_postgres_rustls::MakeRustlsConnect::new(tls()?);
            let (client, connection) = config.connect(connector).await?;
            tokio::spawn(drive(connection));
            client
        }
    };
    client
        .batch_execute(&format!(
            "SET search_path TO {}; SET TIME ZONE 'UTC'",
            name(&server.schema)
        ))
        .await?;
    Ok(client)
}

/// A connection whose other end is gone without a word is noticed within about a minute: an idle one by
/// keepalives, one that waits for its bytes to be taken by the time that they may stay untaken.
fn config(server: &PostgresWarehouse, credentials: &Credentials) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&server.host)
        .port(server.port)
        .dbname(&server.database)
        .user(&credentials.username)
        .password(&credentials.password)
        .application_name("musubi")
        .connect_timeout(PATIENCE)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(10))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(60));
    config
}

fn place(server: &PostgresWarehouse) -> String {
    format!(
        "PostgreSQL at {}:{}, database {}",
        server.host, server.port, server.database
    )
}

/// What helps against a connection that did not come about.
fn way_out(error: &anyhow::Error, server: &PostgresWarehouse) -> String {
    let said = error
        .chain()
        .find_map(|c| c.downcast_ref::<tokio_postgres::Error>());
    match said.and_then(tokio_postgres::Error::code) {
        Some(code) if code.code().starts_with("28") => format!(
            "correct username and password in the Secret {}",
            server.credentials.secret
        ),
        Some(code) if code.code() == "3D000" => "correct database".to_owned(),
        Some(code) if code.code().starts_with("53") => {
            "the server has no room for more connections: try again".to_owned()
        }
        _ if said.is_some_and(|e| e.to_string().contains("TLS")) => {
            "the server must offer TLS with a certificate that this machine trusts; tls: disable is for trusted networks"
                .to_owned()
        }
        _ => "see whether the server runs there and lets this machine in; correct host and port".to_owned(),
    }
}

/// An error of work with a server: says which server it was when the connection was lost, and nothing that
/// may be a value of a person.
pub(crate) fn told(error: anyhow::Error, server: &PostgresWarehouse) -> anyhow::Error {
    let error = if is_lost(&error) {
        error.context(format!(
            "the connection to {} was lost; what was under way is undone there, so run again",
            place(server)
        ))
    } else {
        error
    };
    discreet(&error)
}

fn is_lost(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|c| c.downcast_ref());
    causes.any(|e: &tokio_postgres::Error| {
        let by_the_server = e.code().is_some_and(|c| c.code().starts_with("57P"));
        let on_the_way = std::error::Error::source(e).is_some_and(|s| s.is::<std::io::Error>());
        e.is_closed() || by_the_server || on_the_way
    })
}

/// What the server said, without what it quotes: details and messages about data (class 22) may hold values
/// of persons.
fn discreet(error: &anyhow::Error) -> anyhow::Error {
    let mut parts = Vec::new();
    for cause in error.chain() {
        let postgres = cause.downcast_ref::<tokio_postgres::Error>();
        if cause.is::<tokio_postgres::error::DbError>() {
            continue;
        }
        parts.push(
            match postgres.and_then(tokio_postgres::Error::as_db_error) {
                Some(said) if said.code().code().starts_with("22") => {
                    format!("PostgreSQL error {}", said.code().code())
                }
                Some(said) => format!(
                    "PostgreSQL error {}: {}",
                    said.code().code(),
                    said.message()
                ),
                None => cause.to_string(),
            },
        );
    }
    anyhow::anyhow!(parts.join(": "))
}

async fn drive<F: Future<Output = Result<(), tokio_postgres::Error>>>(connection: F) {
    if let Err(error) = connection.await {
        tracing::debug!(code = ?error.code(), "the connection to PostgreSQL ended");
    }
}

fn tls() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!(
            "no root certificate was found on this machine; install ca-certificates, or set tls: disable on a trusted network"
        );
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use musubi_api::source::SecretRef;

    fn server(port: u16) -> PostgresWarehouse {
        PostgresWarehouse {
            host: "127.0.0.1".into(),
            port,
            database: "sales".into(),
            schema: "public".into(),
            credentials: SecretRef {
                secret: "db".into(),
            },
            tls: TlsMode::Disable,
        }
    }

    fn credentials() -> Credentials {
        Credentials {
            username: "loader".into(),
            password: "hunter2".into(),
        }
    }

    #[tokio::test]
    async fn a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for_for_ever() {
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = silent.local_addr().expect("an address").port();
        let patience = Duration::from_millis(50);
        let tried = connect_within(patience, &server(port), &credentials()).await;
        let error = format!("{:#}", tried.expect_err("no answer"));
        let place = format!("PostgreSQL at 127.0.0.1:{port}, database sales: no answer");
        assert!(error.contains(&place), "{error}");
    }

    #[test]
    fn a_connection_whose_other_end_is_gone_is_noticed_within_minutes() {
        let config = config(&server(5432), &credentials());
        let silence = config.get_keepalives_idle()
            + config.get_keepalives_interval().unwrap_or(Duration::MAX)
                * config.get_keepalives_retries().unwrap_or(u32::MAX);
        assert!(
            config.get_keepalives() && silence <= Duration::from_secs(120),
            "{silence:?}"
        );
        let untaken = config.get_tcp_user_timeout();
        assert!(
            untaken.is_some_and(|t| *t <= Duration::from_secs(120)),
            "{untaken:?}"
        );
    }
}
