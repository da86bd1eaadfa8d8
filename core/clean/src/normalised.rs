//! What a normaliser answers.

/// A normalised value and whether it is what it should be.
///
/// A value that breaks a rule is still folded as far as possible and kept, with `valid` false: it may
/// identify a person all the same, and a report can count it. `value` is absent only when nothing was
/// given (an empty cell, `-`, `なし`); nothing given is valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalised<T> {
    /// The value, absent when nothing was given or nothing can be made of it.
    pub value: Option<T>,
    /// Whether the value keeps the rules of its kind.
    pub valid: bool,
}

impl<T> Normalised<T> {
    /// A good value.
    pub const fn valid(value: T) -> Self {
        Self {
            value: Some(value),
            valid: true,
        }
    }

    /// A value that is kept although it breaks a rule.
    pub const fn invalid(value: T) -> Self {
        Self {
            value: Some(value),
            valid: false,
        }
    }

    /// A value of which the caller has found whether it is good.
    pub const fn judged(value: T, valid: bool) -> Self {
        Self {
            value: Some(value),
            valid,
        }
    }

    /// Nothing was given.
    #[must_use]
    pub const fn absent() -> Self {
        Self {
            value: None,
            valid: true,
        }
    }

    /// Something was given, and nothing can be made of it.
    #[must_use]
    pub const fn meaningless() -> Self {
        Self {
            value: None,
            valid: false,
        }
    }

    /// The same judgement over another form of the value.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Normalised<U> {
        Normalised {
            value: self.value.map(form),
            valid: self.valid,
        }
    }
}
