//! How alike two texts are, with bounds that decide most pairs without looking at the letters.

use crate::features::Dict;

/// Jaro-Winkler similarity of two codes of one dictionary, when it reaches `at_least`.
pub(super) fn similarity(dict: &Dict, a: u32, b: u32, at_least: f64) -> Option<f64> {
    let (a, b) = (a as usize, b as usize);
    let (of_a, of_b) = (dict.shape[a], dict.shape[b]);
    let (la, lb) = (f64::from(of_a.len), f64::from(of_b.len));
    let only_a = f64::from((of_a.mask & !of_b.mask).count_ones());
    let only_b = f64::from((of_b.mask & !of_a.mask).count_ones());
    let common = (la - only_a).min(lb - only_b).max(0.0);
    let jaro = (common / la + common / lb + 1.0) / 3.0;
    if jaro + 0.4 * (1.0 - jaro) < at_least {
        return None;
    }
    Some(jaro_winkler(&dict.values[a], &dict.values[b])).filter(|s| *s >= at_least)
}

pub(super) fn reaches(dict: &Dict, a: u32, b: u32, at_least: f64) -> bool {
    similarity(dict, a, b, at_least).is_some()
}

fn jaro_winkler(a: &str, b: &str) -> f64 {
    if a.is_ascii() && b.is_ascii() {
        return rapidfuzz::distance::jaro_winkler::similarity(a.bytes(), b.bytes());
    }
    rapidfuzz::distance::jaro_winkler::similarity(a.chars(), b.chars())
}

/// Whether one of two texts in plain letters begins with the other, or holds it as a piece of four letters and more.
pub(super) fn contains(dict: &Dict, a: u32, b: u32) -> bool {
    let (a, b) = (a as usize, b as usize);
    let masks = [a, b].map(|n| dict.shape[n].mask);
    let either = masks[0] | masks[1];
    if !masks.contains(&either) {
        return false;
    }
    let (x, y) = (&dict.values[a], &dict.values[b]);
    let (short, long) = if x.len() <= y.len() { (x, y) } else { (y, x) };
    short.is_ascii() && (long.starts_with(short) || short.len() >= 4 && long.contains(short))
}

/// Whether two texts are one edit apart: a letter changed, added, dropped, or two neighbours swapped.
pub(super) fn one_slip(a: &str, b: &str) -> bool {
    let (a, b) = if a.len() <= b.len() {
        (a.as_bytes(), b.as_bytes())
    } else {
        (b.as_bytes(), a.as_bytes())
    };
    if b.len() - a.len() > 1 {
        return false;
    }
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let end = a[start..]
        .iter()
        .rev()
        .zip(b[start..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let (ra, rb) = (&a[start..a.len() - end], &b[start..b.len() - end]);
    match (ra, rb) {
        ([], _) | ([_], [_]) => true,
        ([x1, x2], [y1, y2]) => x1 == y2 && x2 == y1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_one_edit() {
        for (a, b, want) in [
            ("12345", "12345", true),
            ("12345", "12354", true),
            ("12345", "1245", true),
            ("12345", "12945", true),
            ("12345", "13254", false),
            ("12345", "123", false),
        ] {
            assert_eq!(one_slip(a, b), want, "{a} {b}");
        }
    }
}
