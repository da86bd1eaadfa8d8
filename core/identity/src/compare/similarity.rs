//! How alike two texts are, with bounds that decide most pairs without looking at the letters.

use rapidfuzz::distance::jaro_winkler::{Args, similarity_with_args};

use crate::features::{Dict, Shape};

/// Jaro-Winkler similarity of two codes of one dictionary, when it reaches `at_least`.
pub(super) fn similarity(dict: &Dict, a: u32, b: u32, at_least: f64) -> Option<f64> {
    let (a, b) = (a as usize, b as usize);
    if !may_reach(dict.shape[a], dict.shape[b], at_least) {
        return None;
    }
    jaro_winkler(&dict.values[a], &dict.values[b], at_least)
}

/// Whether two texts of these shapes may be so similar.
#[inline]
pub(super) fn may_reach(a: Shape, b: Shape, at_least: f64) -> bool {
    // With c letters in common and p at the start, jaro is at most (c/la + c/lb + 1) / 3, and what is asked for is
    // jaro + p/10 (1 - jaro): both sides times 3 la lb, in thousandths, as this is asked of every pair and divisions
    // take their time. One thousandth is for rounding.
    let (la, lb) = (i32::from(a.len), i32::from(b.len));
    let both = (a.mask & b.mask).count_ones() as i32;
    let only = |x: Shape| i32::from(x.letters()) - both;
    let common = (la - only(a)).min(lb - only(b)).max(0);
    let alike = ((a.start ^ b.start).trailing_zeros() / 8).min(4) as i32;
    let at_least = (at_least * 1000.0) as i32;
    common * (la + lb) * (1000 - 100 * alike) + la * lb
        >= la * lb * (3 * at_least - 1000 - 200 * alike)
}

/// Whether one of two texts of these shapes may be a piece of the other.
#[inline]
pub(super) fn may_contain(a: Shape, b: Shape) -> bool {
    only(a, b).contains(&0)
}

/// Whether two texts of these shapes may be one edit apart.
pub(super) fn may_slip(a: Shape, b: Shape) -> bool {
    let one_at_most = |letters: u64| letters & letters.wrapping_sub(1) == 0;
    a.len.abs_diff(b.len) <= 1 && only(a, b).into_iter().all(one_at_most)
}

/// The letters that one of two texts has and the other has not, as sets.
fn only(a: Shape, b: Shape) -> [u64; 2] {
    [a.mask & !b.mask, b.mask & !a.mask]
}

pub(super) fn reaches(dict: &Dict, a: u32, b: u32, at_least: f64) -> bool {
    similarity(dict, a, b, at_least).is_some()
}

fn jaro_winkler(a: &str, b: &str, at_least: f64) -> Option<f64> {
    let args = Args::default().score_cutoff(at_least);
    if a.is_ascii() && b.is_ascii() {
        return similarity_with_args(a.bytes(), b.bytes(), &args);
    }
    similarity_with_args(a.chars(), b.chars(), &args)
}

/// Whether one of two texts in plain letters begins with the other, or holds it as a piece of four letters and more.
pub(super) fn contains(dict: &Dict, a: u32, b: u32) -> bool {
    let (a, b) = (a as usize, b as usize);
    if !may_contain(dict.shape[a], dict.shape[b]) {
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
