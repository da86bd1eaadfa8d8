//! What a value looks like, without saying it.

/// Signs in a shape; what is longer ends in `…`.
const LONGEST: usize = 28;

/// Digits become `9`, letters `A` and `a`, kana `あ`, `ア` and `ｱ`, kanji `漢`; signs and blanks stay. Runs of
/// letters are shortened to `a+`, so that `Taro Yamada` and `Hanako Sato` have one shape.
pub(super) fn shape(value: &str) -> String {
    let mut out = String::new();
    let (mut last, mut run, mut signs) = ('\0', 0, 0);
    for c in value.chars() {
        let sign = class(c);
        run = if sign == last { run + 1 } else { 1 };
        last = sign;
        let letters = matches!(sign, 'a' | 'A');
        let shown = match run {
            2 if letters => Some('+'),
            _ if letters && run > 2 => None,
            _ => Some(sign),
        };
        if let Some(shown) = shown {
            if signs == LONGEST {
                out.push('…');
                break;
            }
            out.push(shown);
            signs += 1;
        }
    }
    out
}

fn class(c: char) -> char {
    match c {
        '0'..='9' => '9',
        '０'..='９' => '９',
        'ぁ'..='ゟ' => 'あ',
        'ァ'..='ヿ' => 'ア',
        'ｦ'..='ﾟ' => 'ｱ',
        '々' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
            '漢'
        }
        c if c.is_uppercase() => 'A',
        c if c.is_alphabetic() => 'a',
        c if c.is_control() => '␣',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn shapes() {
        for (value, expected) in [
            ("090-1234-5678", "999-9999-9999"),
            ("山田 太郎", "漢漢 漢漢"),
            ("佐々木　はな", "漢漢漢　ああ"),
            ("ﾔﾏﾀﾞ", "ｱｱｱｱ"),
            ("taro.y@example.com", "a+.a@a+.a+"),
            ("José", "Aa+"),
            ("SO45080", "A+99999"),
            ("$90,000 ", "$99,999 "),
            (
                "0123456789012345678901234567890",
                "9999999999999999999999999999…",
            ),
            ("", ""),
        ] {
            assert_eq!(shape(value), expected, "{value}");
        }
    }
}
