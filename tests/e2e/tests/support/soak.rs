//! What `cargo xtask soak` and `cargo xtask bench operator` ask of tests: a longer series than the everyday one.

/// The number that a series draws its chances from; nothing when this is no longer series.
pub(crate) fn seed() -> Option<u64> {
    let seed = std::env::var("MUSUBI_SOAK").ok()?;
    Some(seed.parse().expect("MUSUBI_SOAK: a number"))
}

/// One of two values: the everyday one, or that of the longer series.
pub(crate) fn either<T>(everyday: T, longer: T) -> T {
    if seed().is_some() { longer } else { everyday }
}

/// A number that the environment may name.
pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().expect(variable))
}
