//! What a column may be: a field of a customer, the id of its row, or nothing.

use std::str::FromStr;

/// What a column is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A field of the canonical customer; its number in [`FIELDS`].
    Field(usize),
    /// Year, month or day of birth, or the age, in a column of its own.
    Birth(Part),
    /// The id of the row in its file. It says nothing about the person.
    Id,
    /// Not used.
    Ignored,
}

/// A part of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Year.
    Year,
    /// Month.
    Month,
    /// Day.
    Day,
    /// Age in years, when the record was written.
    Age,
}

/// Fields of a customer that are evidence, with further words for them.
pub(super) const FIELDS: [(&str, &[&str]); 24] = [
    ("name", &["full_name"]),
    ("family_name", &["surname", "last_name"]),
    ("given_name", &["first_name", "forename"]),
    ("middle_name", &["middle_initial"]),
    ("name_suffix", &["suffix", "generation"]),
    ("name_kana", &["kana"]),
    ("family_kana", &[]),
    ("given_kana", &[]),
    ("email", &["mail"]),
    ("phone", &["tel"]),
    ("phone2", &["mobile"]),
    ("postal_code", &["postcode", "zip"]),
    ("address", &[]),
    ("prefecture", &["state", "region"]),
    ("city", &["suburb"]),
    ("town", &["street"]),
    ("block", &["street_number", "house_number"]),
    ("building", &["unit"]),
    ("birth_date", &["dob"]),
    ("gender", &["sex"]),
    ("loyalty_number", &["member_number"]),
    ("app_user_id", &[]),
    ("device_id", &[]),
    ("external_id", &[]),
];

const OTHERS: [(&str, Role); 6] = [
    ("birth_year", Role::Birth(Part::Year)),
    ("birth_month", Role::Birth(Part::Month)),
    ("birth_day", Role::Birth(Part::Day)),
    ("age", Role::Birth(Part::Age)),
    ("id", Role::Id),
    ("ignore", Role::Ignored),
];

impl Role {
    /// The field of this name.
    pub(super) fn field(name: &str) -> Self {
        let at = FIELDS.iter().position(|(field, _)| *field == name);
        at.map_or(Self::Ignored, Self::Field)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Field(at) => FIELDS[at].0,
            other => OTHERS
                .iter()
                .find(|(_, role)| *role == other)
                .map_or("ignore", |(name, _)| name),
        }
    }

    /// Whether it is evidence of who a person is.
    #[must_use]
    pub const fn is_evidence(self) -> bool {
        matches!(self, Self::Field(_) | Self::Birth(_))
    }
}

/// A word that is no role.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0:?} is no role{1}; roles are {roles}", roles = words())]
pub struct NoRole(String, String);

/// All roles, for people.
fn words() -> String {
    let fields = FIELDS.iter().map(|(name, _)| *name);
    let all: Vec<&str> = fields.chain(OTHERS.iter().map(|(name, _)| *name)).collect();
    all.join(", ")
}

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        let wanted = word.trim().to_lowercase().replace([' ', '-'], "_");
        let field = FIELDS
            .iter()
            .position(|(name, more)| *name == wanted || more.contains(&wanted.as_str()));
        let other = || OTHERS.iter().find(|(name, _)| *name == wanted);
        field
            .map(Self::Field)
            .or_else(|| other().map(|(_, role)| *role))
            .ok_or_else(|| {
                let likely = nearest(&wanted, FIELDS.iter().map(|(name, _)| *name));
                let hint = likely.map_or_else(String::new, |name| format!(", perhaps {name}"));
                NoRole(word.to_owned(), hint)
            })
    }
}

/// The likeliest word that was meant.
fn nearest<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    words
        .map(|word| (strsim::jaro_winkler(written, word), word))
        .filter(|(similar, _)| *similar >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_their_words() {
        for (word, role) in [
            ("given_name", "given_name"),
            ("First-Name", "given_name"),
            ("state", "prefecture"),
            ("street number", "block"),
            ("birth_year", "birth_year"),
            ("id", "id"),
        ] {
            assert_eq!(word.parse::<Role>().map(Role::as_str).ok(), Some(role));
        }
        let wrong = "birth".parse::<Role>().map_err(|e| e.to_string());
        let said = wrong.err().unwrap_or_default();
        assert!(
            said.contains("perhaps birth_date") && said.contains("postal_code"),
            "{said}"
        );
    }
}
