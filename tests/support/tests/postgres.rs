//! The servers themselves work.
#![allow(clippy::unwrap_used)]

use musubi_testing::Postgres;

#[test]
fn postgres_starts_answers_and_dies_with_its_value() {
    let server = Postgres::start().unwrap();
    assert_eq!(server.sql("SELECT 6 * 7").unwrap(), "42");
    assert!(server.sql("SELECT nonsense").is_err());
    let port = server.port();
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
