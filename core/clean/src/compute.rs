//! Evaluates the arithmetic of `compute` in exact decimals.

use musubi_api::expr::{Expr, Function, Operator};
use rust_decimal::{Decimal, RoundingStrategy};

/// Why an expression gave no number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The column holds something that is no number.
    NotANumber(String),
    /// The result does not fit into 28 digits.
    Overflow,
}

/// The value of an expression; nothing when a column that it reads is empty, or it divides by zero.
///
/// # Errors
/// [`Failure`] when a column is no number or the result is too large.
pub fn evaluate<'a>(
    expr: &Expr,
    column: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<Option<Decimal>, Failure> {
    Ok(Some(match expr {
        Expr::Number(number) => *number,
        Expr::Column(name) => {
            let Some(text) = column(name) else {
                return Ok(None);
            };
            let parsed = crate::money::parse(text);
            match parsed.value {
                Some(number) if parsed.valid => number,
                None if parsed.valid => return Ok(None),
                _ => return Err(Failure::NotANumber(name.clone())),
            }
        }
        Expr::Call(function, inner) => {
            let Some(x) = evaluate(inner, column)? else {
                return Ok(None);
            };
            match function {
                Function::Floor => x.floor(),
                Function::Ceil => x.ceil(),
                Function::Abs => x.abs(),
                Function::Neg => -x,
            }
        }
        Expr::Round(inner, places) => {
            let Some(x) = evaluate(inner, column)? else {
                return Ok(None);
            };
            x.round_dp_with_strategy(*places, RoundingStrategy::MidpointAwayFromZero)
        }
        Expr::Binary(operator, left, right) => {
            let (Some(a), Some(b)) = (evaluate(left, column)?, evaluate(right, column)?) else {
                return Ok(None);
            };
            let result = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Subtract => a.checked_sub(b),
                Operator::Multiply => a.checked_mul(b),
                Operator::Divide if b.is_zero() => return Ok(None),
                Operator::Divide => a.checked_div(b),
            };
            result.ok_or(Failure::Overflow)?
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_exact() {
        let columns = |name: &str| -> Option<&'static str> {
            match name {
                "数量" => Some("3"),
                "単価" => Some("1,198.05"),
                "bad" => Some("abc"),
                "zero" => Some("0"),
                _ => None,
            }
        };
        for (text, expected) in [
            ("数量 * 単価", Ok(Some("3594.15"))),
            ("0.1 + 0.2", Ok(Some("0.3"))),
            ("round(単価 * 1.08, 0)", Ok(Some("1294"))),
            ("-数量 + 1", Ok(Some("-2"))),
            ("floor(2.5) + ceil(2.5) + abs(-1)", Ok(Some("6"))),
            ("数量 / zero", Ok(None)),
            ("数量 + empty", Ok(None)),
            ("数量 + bad", Err(Failure::NotANumber("bad".into()))),
        ] {
            let expr = Expr::parse(text).unwrap();
            let expected = expected.map(|v| v.map(|v| v.parse::<Decimal>().unwrap()));
            let got = evaluate(&expr, &columns).map(|v| v.map(|d| d.normalize()));
            assert_eq!(got, expected, "{text}");
        }
    }
}
