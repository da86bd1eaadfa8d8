//! Colour on a terminal, plain text anywhere else.

use std::io::IsTerminal as _;

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// No colour.
    pub const PLAIN: Self = Self { colour: false };

    /// Colour where standard output is a terminal, unless `NO_COLOR` is set (no-color.org).
    #[must_use]
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Self {
            colour: !unwanted && !dumb && std::io::stdout().is_terminal(),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// What is to be seen first.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What stands behind.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What wants a look.
    #[must_use]
    pub fn warm(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What can be used.
    #[must_use]
    pub fn cool(self, text: &str) -> String {
        self.with("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::Paint;

    #[test]
    fn plain_stays_plain() {
        assert_eq!(Paint::PLAIN.bold("x"), "x");
        assert_eq!(Paint { colour: true }.good("x"), "\x1b[32mx\x1b[0m");
    }
}
