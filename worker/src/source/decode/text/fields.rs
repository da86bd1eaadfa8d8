//! The fields of a record.

/// The fields of a record, as text. Used again from record to record.
#[derive(Default)]
pub(crate) struct Fields {
    pub(super) text: String,
    /// Where each field begins and ends in the text.
    spans: Vec<(usize, usize)>,
    /// Room for a record with quotes.
    unquoted: String,
}

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        let text = self.text.as_str();
        self.spans
            .iter()
            .map(move |(start, end)| &text[*start..*end])
    }

    /// A field, from 0.
    pub(crate) fn get(&self, at: usize) -> &str {
        let (start, end) = self.spans[at];
        &self.text[start..end]
    }

    /// Adds fields.
    pub(crate) fn extend<'f>(&mut self, fields: impl Iterator<Item = &'f str>) {
        for field in fields {
            let start = self.text.len();
            self.text.push_str(field);
            self.spans.push((start, self.text.len()));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    /// Leaves the last field out.
    pub(crate) fn pop(&mut self) {
        self.spans.pop();
    }

    /// Splits the text by ASCII signs. A quote opens a field only at its start; a doubled quote inside quotes stands
    /// for one.
    pub(super) fn split(&mut self, delimiter: u8, quote: Option<u8>) {
        self.spans.clear();
        let text = self.text.as_bytes();
        if let Some(quote) = quote.filter(|quote| memchr::memchr(*quote, text).is_some()) {
            return self.split_quoted(delimiter, quote);
        }
        let mut start = 0;
        for at in memchr::memchr_iter(delimiter, text) {
            self.spans.push((start, at));
            start = at + 1;
        }
        self.spans.push((start, text.len()));
    }

    fn split_quoted(&mut self, delimiter: u8, quote: u8) {
        let (text, out) = (self.text.as_str(), &mut self.unquoted);
        out.clear();
        // `begin` is that of the field in `out`; what stands before `from` is done with
        let (mut begin, mut from, mut quoted) = (0, 0, false);
        for at in memchr::memchr2_iter(delimiter, quote, text.as_bytes()) {
            if at < from {
                continue; // the second of a doubled quote
            }
            let sign = text.as_bytes()[at];
            let at_start = at == from && out.len() == begin;
            if sign == delimiter && !quoted {
                out.push_str(&text[from..at]);
                self.spans.push((begin, out.len()));
                begin = out.len();
            } else if sign == quote && quoted && text.as_bytes().get(at + 1) == Some(&quote) {
                out.push_str(&text[from..=at]);
                from = at + 2;
                continue;
            } else if sign == quote && (quoted || at_start) {
                out.push_str(&text[from..at]);
                quoted = !quoted;
            } else {
                continue;
            }
            from = at + 1;
        }
        out.push_str(&text[from..]);
        self.spans.push((begin, out.len()));
        std::mem::swap(&mut self.text, &mut self.unquoted);
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn fields_of_a_record() {
        let cases: [(&str, &[&str]); 12] = [
            ("a,b,c", &["a", "b", "c"]),
            ("a,,", &["a", "", ""]),
            (r#""a,b",c"#, &["a,b", "c"]),
            (r#""say ""hi""",x"#, &[r#"say "hi""#, "x"]),
            ("\"two\nlines\",x", &["two\nlines", "x"]),
            ("5\" pipe,x", &["5\" pipe", "x"]),
            (r#""","#, &["", ""]),
            (r#""""","""""","a""#, &[r#"""#, r#""""#, "a"]),
            (r#""a"b"c,"d"e"#, &[r#"ab"c"#, "de"]),
            (r#"あ,"い,""う""",え"え"#, &["あ", r#"い,"う""#, r#"え"え"#]),
            (r#" "a,b""#, &[r#" "a"#, r#"b""#]),
            (r#""never,closed"#, &["never,closed"]),
        ];
        for (text, expected) in cases {
            let mut fields = Fields {
                text: text.to_owned(),
                ..Fields::default()
            };
            fields.split(b',', Some(b'"'));
            assert_eq!(fields.to_vec(), expected, "{text}");
        }
    }
}
