//! Whether a filter is one condition and nothing else.

use anyhow::{Result, bail};

/// Checks that a filter is a single SQL condition: nothing that ends the statement, begins a comment, or
/// closes a parenthesis that it did not open. The filter runs read-only besides, and consent is applied
/// outside of it.
///
/// # Errors
/// With what stands where it may not, and the way out.
pub fn check(filter: &str) -> Result<()> {
    if filter.trim().is_empty() {
        bail!("spec.filter is empty; to take everybody, write 1 = 1");
    }
    let mut depth = 0_i32;
    let mut quote: Option<char> = None;
    let mut previous = ' ';
    for (at, c) in filter.chars().enumerate() {
        let place = at + 1;
        if let Some(open) = quote {
            if c == '\\' {
                bail!(
                    "spec.filter, character {place}: a backslash within quotes is read differently by different databases; leave it out"
                );
            }
            if c == open {
                quote = None;
            }
            previous = ' ';
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '(' => depth += 1,
            ')' if depth == 0 => {
                bail!("spec.filter, character {place}: a parenthesis is closed that was not opened")
            }
            ')' => depth -= 1,
            ';' => bail!(
                "spec.filter, character {place}: a filter is one condition; leave out the semicolon"
            ),
            '`' | '[' | ']' | '$' | '\\' | '?' | '\0' => {
                bail!(
                    "spec.filter, character {place}: {c:?} may not stand outside of quotes; quote names with \""
                )
            }
            '-' if previous == '-' => {
                bail!("spec.filter, character {place}: comments may not stand in a filter")
            }
            '*' if previous == '/' => {
                bail!("spec.filter, character {place}: comments may not stand in a filter")
            }
            _ => {}
        }
        previous = c;
    }
    if quote.is_some() {
        bail!("spec.filter: a quote is opened and not closed");
    }
    if depth != 0 {
        bail!("spec.filter: a parenthesis is opened and not closed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_filter_is_one_condition() {
        let good = [
            "f.order_count >= 5 and c.prefecture = '東京都'",
            "c.rank in ('gold', 'it''s; -- fine')",
            "f.monetary - 5 > -3",
            "exists (select 1 from v_orders o where o.customer_id = c.customer_id)",
        ];
        for filter in good {
            assert!(check(filter).is_ok(), "{filter}");
        }
        let bad = [
            ("", "empty"),
            ("1=1; drop table customers", "semicolon"),
            ("1=1) or (1=1", "not opened"),
            ("(1=1", "not closed"),
            ("1=1 -- and", "comments"),
            ("1=1 /* x */", "comments"),
            ("c.name = 'x", "not closed"),
            ("c.name = E'\\' or 1=1'", "backslash"),
            ("c.name = $$x$$", "outside of quotes"),
        ];
        for (filter, says) in bad {
            let message = check(filter).map_or_else(|e| e.to_string(), |()| String::new());
            assert!(message.contains(says), "{filter}: {message}");
        }
    }
}
