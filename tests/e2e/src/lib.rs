//! Tests of the operator and its workers in a real cluster: see `tests/`.
