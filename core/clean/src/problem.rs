//! What can stop cleaning altogether.

/// Why a stream cannot be cleaned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The resource says something that cannot work.
    #[error("source {system}, stream {stream}, {field}: {message}")]
    Spec {
        /// Name of the source.
        system: String,
        /// Name of the stream.
        stream: String,
        /// Field of the resource.
        field: String,
        /// What is wrong, and the way out.
        message: String,
    },
    /// The shape of a file changed, and the contract says `freeze`.
    #[error(
        "source {system}, stream {stream}: {message}; the contract freezes the stream: correct the file, or change the contract and run again"
    )]
    Frozen {
        /// Name of the source.
        system: String,
        /// Name of the stream.
        stream: String,
        /// What changed, naming columns and no values.
        message: String,
    },
    /// Something that came from outside could not be read.
    #[error("{0}")]
    Input(String),
    /// Arrow refused to build a batch; a fault of musubi.
    #[error("building a batch of {what}: {message}")]
    Arrow {
        /// What was built.
        what: String,
        /// What Arrow says.
        message: String,
    },
}

/// A row's reason to be quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) code: String,
    pub(crate) field: Option<String>,
    pub(crate) rule: String,
    pub(crate) shape: Option<String>,
}

impl Reject {
    pub(crate) fn new(
        code: &str,
        field: &str,
        rule: impl Into<String>,
        value: Option<&str>,
    ) -> Self {
        Self {
            code: code.to_owned(),
            field: Some(field.to_owned()),
            rule: rule.into(),
            shape: value.map(shape),
        }
    }
}

/// What a value looks like, without saying it: `12 characters, Latin letters and digits`.
#[must_use]
pub fn shape(value: &str) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for c in value.trim().chars() {
        let kind = match c {
            '0'..='9' | '０'..='９' => "digits",
            'ぁ'..='ヿ' | 'ｦ'..='ﾟ' => "kana",
            '\u{3400}'..='\u{9fff}' => "kanji",
            c if c.is_alphabetic() => "Latin or other letters",
            c if c.is_whitespace() => "spaces",
            _ => "signs",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.sort_unstable();
    let length = value.trim().chars().count();
    if length == 0 {
        return "empty".to_owned();
    }
    format!("{length} characters: {}", kinds.join(", "))
}
