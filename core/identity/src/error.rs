//! What can go wrong. Nothing here carries a value of a record.

use arrow::error::ArrowError;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A column that every batch must have is absent.
    #[error(
        "customer records have no column {0}: identity needs record_id and source on every batch"
    )]
    MissingColumn(&'static str),
    /// A record id is not 32 hexadecimal characters.
    #[error("row {row} of the customer records: record_id must be 32 hexadecimal characters")]
    RecordId {
        /// Row in its batch.
        row: usize,
    },
    /// A customer id is not what this version writes.
    #[error("row {row} of the aliases: a customer id is c and 32 hexadecimal characters")]
    CustomerId {
        /// Row in its batch.
        row: usize,
    },
    /// A pair or record that does not exist was named.
    #[error("no record with id {0} among the features of this run")]
    UnknownRecord(String),
    /// A customer that does not exist was named.
    #[error("no customer with id {0} among those of this version")]
    UnknownCustomer(String),
    /// A shard outside the plan.
    #[error("shard {shard} of {shards} does not exist: shards are numbered from 0")]
    Shard {
        /// Asked for.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// A model that this version cannot read.
    #[error("the model cannot be read: {0}; train a new one or pin a model of this version")]
    Model(String),
    /// A column has another type than expected.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
