//! Connectors and decoders: from listed objects to batches of raw rows.
