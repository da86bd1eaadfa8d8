//! Texts with a grammar of their own: each function says what is wrong in a sentence.

use std::str::FromStr;

/// The outcome: nothing, or what is wrong.
pub(super) type Checked = Result<(), String>;

/// A cron expression of five fields.
pub(super) fn cron(text: &str) -> Checked {
    if text.split_whitespace().count() != 5 {
        return Err(format!(
            "`{text}` is not a cron expression of five fields (minute hour day month weekday): `0 4 * * *`"
        ));
    }
    croner::Cron::from_str(text)
        .map(|_| ())
        .map_err(|e| format!("`{text}` is not a cron expression: {e}"))
}

/// An IANA time zone.
pub(super) fn time_zone(text: &str) -> Checked {
    jiff::tz::TimeZone::get(text).map(|_| ()).map_err(|_| {
        format!("there is no time zone `{text}`: write an IANA name such as Asia/Tokyo")
    })
}

/// A length of time: `26h`, `3d`, `1h 30m`.
pub(super) fn duration(text: &str) -> Checked {
    let span = text
        .parse::<jiff::Span>()
        .map_err(|_| format!("`{text}` is not a length of time: write `10m`, `26h` or `3d`"))?;
    if span.is_negative() || span.is_zero() {
        return Err(format!("`{text}` must be longer than nothing"));
    }
    Ok(())
}

/// A regular expression.
pub(super) fn regex(text: &str) -> Checked {
    regex::Regex::new(text).map(|_| ()).map_err(|e| {
        let reason = e.to_string();
        let reason = reason.lines().last().unwrap_or_default();
        format!(
            "`{text}` is not a regular expression: {}",
            reason.trim_start_matches("error: ")
        )
    })
}

/// Date formats, separated by ` | `.
pub(super) fn date_format(text: &str) -> Checked {
    text.split(" | ").try_for_each(|one| match one {
        "wareki" | "unix" | "unix-ms" => Ok(()),
        _ if !one.contains('%') => Err(format!(
            "`{one}` is not a date format: write it in strptime notation such as `%Y/%m/%d %H:%M`, or `wareki`, `unix`, `unix-ms`"
        )),
        _ => jiff::fmt::strtime::format(one, &jiff::Zoned::default())
            .map(|_| ())
            .map_err(|e| format!("`{one}` is not a date format: {e}")),
    })
}

/// A glob with date patterns in braces.
pub(super) fn file_pattern(text: &str) -> Checked {
    crate::source::FilePattern::new(text).map(|_| ())
}

/// An S3 endpoint: `https`, or `http` to loopback and private names.
pub(super) fn endpoint(text: &str) -> Checked {
    if text
        .strip_prefix("https://")
        .is_some_and(|host| !host.is_empty())
    {
        return Ok(());
    }
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(format!(
            "`{text}` is not an endpoint: it starts with https://"
        ));
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let private = host == "localhost"
        || host.starts_with("127.")
        || host.starts_with("10.")
        || host.starts_with("192.168.")
        || rest.starts_with("[::1]")
        || [
            ".local",
            ".internal",
            ".svc",
            ".cluster.local",
            ".localhost",
        ]
        .iter()
        .any(|end| host.ends_with(end))
        || (!host.is_empty() && !host.contains('.'));
    if private {
        Ok(())
    } else {
        Err(format!(
            "a plain http endpoint is allowed for loopback and private names only: use https:// for `{host}`"
        ))
    }
}

/// One character, or one of the words.
pub(super) fn one_character(text: &str, word: &str) -> Checked {
    if text == word || (text.len() == 1 && text.is_ascii()) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is not one ASCII character; write one, or `{word}`"
    ))
}

/// A single SQL condition.
pub(super) fn sql_condition(text: &str) -> Checked {
    let mut depth = 0_i32;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' if !chars.by_ref().any(|other| other == c) => {
                return Err(format!("a quote {c} is never closed"));
            }
            '(' => depth += 1,
            ')' => depth -= 1,
            ';' => return Err("a filter is one condition: remove `;`".into()),
            '-' if chars.peek() == Some(&'-') => {
                return Err("comments are not allowed in a filter: remove `--`".into());
            }
            _ => {}
        }
        if depth < 0 {
            return Err("a `)` closes nothing: remove it".into());
        }
    }
    match text
        .split_whitespace()
        .next()
        .map(str::to_lowercase)
        .as_deref()
    {
        _ if depth > 0 => Err("a `(` is never closed: add `)`".into()),
        None => Err("is empty: write a condition such as `f.order_count >= 5`".into()),
        Some("select" | "where" | "with" | "insert" | "update" | "delete" | "drop") => Err(
            "a filter is the condition alone, without SELECT or WHERE: `f.order_count >= 5`".into(),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammars() {
        type Check = fn(&str) -> Checked;
        let table: &[(Check, &[&str], &[&str])] = &[
            (
                cron,
                &["0 4 * * *", "*/5 1-3 * * MON#1"],
                &["0 4 * *", "61 4 * * *", "a b c d e"],
            ),
            (time_zone, &["Asia/Tokyo", "UTC"], &["Asia/Tokio", "JST9"]),
            (
                duration,
                &["10m", "26h", "3d", "1h 30m"],
                &["10", "ten", "-3d", "0h", ""],
            ),
            (regex, &[r"\d{4}", "^[A-Z]+$"], &["(", "[a"]),
            (
                date_format,
                &["%Y%m%d", "%Y/%m/%d %H:%M | wareki", "unix-ms"],
                &["yyyyMMdd", "%Q%", "%Y | "],
            ),
            (
                file_pattern,
                &[
                    "*.csv",
                    "a/**/x_{yyyyMMdd}.csv.gz",
                    "{yyyy-MM-dd}/*.{csv,txt}",
                ],
                &[
                    "x_{yyyymmdd}.csv",
                    "x_{date}.csv",
                    "{yyyyMMdd",
                    "/abs/*.csv",
                    "../x.csv",
                    "[a",
                ],
            ),
            (
                endpoint,
                &[
                    "https://s3.example.com",
                    "http://127.0.0.1:8333",
                    "http://minio:9000",
                    "http://s3.lake.svc",
                ],
                &["http://s3.example.com", "s3.example.com", "https://"],
            ),
            (
                sql_condition,
                &["f.order_count >= 5 and c.city = 'a;b'", "(a or b)"],
                &[
                    "a; drop table x",
                    "(a",
                    "a)",
                    "",
                    "a = 'x",
                    "a -- b",
                    "select 1",
                    "WHERE a",
                ],
            ),
        ];
        for (check, good, bad) in table {
            for text in *good {
                assert_eq!(check(text), Ok(()), "{text}");
            }
            for text in *bad {
                assert!(check(text).is_err(), "{text} passes");
            }
        }
    }
}
