//! The arithmetic of `compute`: exact decimals over columns.
//!
//! ```text
//! expression := product (("+" | "-") product)*
//! product    := factor (("*" | "/") factor)*
//! factor     := "-" factor | number | column | function "(" arguments ")" | "(" expression ")"
//! column     := letters, digits, "_", "." and "#" of any script, also with "$." in front; or anything in [ ]
//! function   := round(x, places) | floor(x) | ceil(x) | abs(x) | neg(x)
//! ```
//!
//! Parsing happens here, so that a wrong expression is found before anything runs; evaluation is
//! cleaning's. An empty column makes the whole result empty, as does a division by zero.

use rust_decimal::Decimal;

/// How deep expressions may nest: evaluation recurses.
const MAX_DEPTH: usize = 64;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A literal.
    Number(Decimal),
    /// The value of a column, by name or path.
    Column(String),
    /// A function of one argument.
    Call(Function, Box<Expr>),
    /// Rounded half away from zero to so many places (at most 4).
    Round(Box<Expr>, u32),
    /// Two operands.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Largest whole number that is not above.
    Floor,
    /// Smallest whole number that is not below.
    Ceil,
    /// Without its sign.
    Abs,
    /// With the other sign; also written `-x`.
    Neg,
}

/// Operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Why an expression could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {message}")]
pub struct ExprError {
    /// Character, from 1.
    pub at: usize,
    /// What is wrong, and the way out.
    pub message: String,
}

impl Expr {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first character that does not fit, and what would.
    pub fn parse(text: &str) -> Result<Self, ExprError> {
        let tokens = tokens(text)?;
        let end = text.chars().count() + 1;
        let mut parser = Parser {
            tokens: &tokens,
            next: 0,
            depth: 0,
            end,
        };
        let expr = parser.sum()?;
        match parser.peek() {
            None => Ok(expr),
            Some(Token::Close) => Err(parser.error("this `)` closes nothing: remove it")),
            Some(_) => Err(parser.error("an operator (`+ - * /`) is missing before this")),
        }
    }

    /// The columns that the expression reads, in order of appearance, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Column(name) if found.contains(&name.as_str()) => {}
            Self::Column(name) => found.push(name),
            Self::Call(_, inner) | Self::Round(inner, _) => inner.collect(found),
            Self::Binary(_, left, right) => {
                left.collect(found);
                right.collect(found);
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(Decimal),
    Word(String),
    Bracketed(String),
    Sign(char),
    Open,
    Close,
    Comma,
}

fn fail<T>(at: usize, message: impl Into<String>) -> Result<T, ExprError> {
    Err(ExprError {
        at,
        message: message.into(),
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '#' | '$')
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExprError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        let at = i + 1;
        let token = match c {
            c if c.is_whitespace() => {
                i += 1;
                continue;
            }
            '+' | '-' | '*' | '/' => Token::Sign(c),
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            '[' => {
                let Some(length) = chars[at..].iter().position(|c| *c == ']') else {
                    return fail(
                        at,
                        "this `[` is never closed: add `]` after the column's name",
                    );
                };
                let name: String = chars[at..at + length].iter().collect();
                if name.trim().is_empty() {
                    return fail(at, "a column's name must stand between `[` and `]`");
                }
                i += length + 1;
                Token::Bracketed(name)
            }
            c if is_word(c) => {
                let length = chars[i..].iter().take_while(|c| is_word(**c)).count();
                let word: String = chars[i..i + length].iter().collect();
                i += length - 1;
                if c.is_ascii_digit() {
                    number(at, &word)?
                } else {
                    Token::Word(word)
                }
            }
            '×' | '＊' => return fail(at, "write `*` to multiply"),
            '÷' | '／' => return fail(at, "write `/` to divide"),
            c => {
                return fail(
                    at,
                    format!(
                        "`{c}` is not known here: put a column's name that holds it in square brackets, `[…]`"
                    ),
                );
            }
        };
        out.push((at, token));
        i += 1;
    }
    Ok(out)
}

fn number(at: usize, word: &str) -> Result<Token, ExprError> {
    match Decimal::from_str_exact(word) {
        Ok(value) if word.chars().all(|c| c.is_ascii_digit() || c == '.') => {
            Ok(Token::Number(value))
        }
        _ => fail(
            at,
            format!(
                "`{word}` is not a number; a column whose name starts with a digit stands in square brackets: `[{word}]`"
            ),
        ),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    next: usize,
    depth: usize,
    end: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn error(&self, message: impl Into<String>) -> ExprError {
        ExprError {
            at: self.tokens.get(self.next).map_or(self.end, |(at, _)| *at),
            message: message.into(),
        }
    }

    fn sign(&mut self, choices: &[(char, Operator)]) -> Option<Operator> {
        let Some(Token::Sign(c)) = self.peek() else {
            return None;
        };
        let found = choices.iter().find(|(sign, _)| sign == c).map(|(_, o)| *o);
        self.next += usize::from(found.is_some());
        found
    }

    fn sum(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.product()?;
        while let Some(operator) = self.sign(&[('+', Operator::Add), ('-', Operator::Subtract)]) {
            left = Expr::Binary(operator, left.into(), self.product()?.into());
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Expr, ExprError> {
        let mut left = self.factor()?;
        while let Some(operator) = self.sign(&[('*', Operator::Multiply), ('/', Operator::Divide)])
        {
            left = Expr::Binary(operator, left.into(), self.factor()?.into());
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expr, ExprError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let expr = self.bare_factor();
        self.depth -= 1;
        expr
    }

    fn bare_factor(&mut self) -> Result<Expr, ExprError> {
        let Some(token) = self.peek().cloned() else {
            return Err(self.error("a number, a column or `(` is missing at the end"));
        };
        match token {
            Token::Number(value) => {
                self.next += 1;
                Ok(Expr::Number(value))
            }
            Token::Bracketed(name) => {
                self.next += 1;
                Ok(Expr::Column(name))
            }
            Token::Word(name) => {
                let start = self.next;
                self.next += 1;
                if self.peek() == Some(&Token::Open) {
                    self.call(&name, start)
                } else {
                    Ok(Expr::Column(name))
                }
            }
            Token::Open => {
                self.next += 1;
                let inner = self.sum()?;
                self.close()?;
                Ok(inner)
            }
            Token::Sign('-') => {
                self.next += 1;
                Ok(Expr::Call(Function::Neg, self.factor()?.into()))
            }
            _ => Err(self.error("a number, a column or `(` is missing before this")),
        }
    }

    fn call(&mut self, name: &str, start: usize) -> Result<Expr, ExprError> {
        let function = match name {
            "round" => None,
            "floor" => Some(Function::Floor),
            "ceil" => Some(Function::Ceil),
            "abs" => Some(Function::Abs),
            "neg" => Some(Function::Neg),
            _ => {
                self.next = start;
                return Err(self.error(format!(
                    "there is no function `{name}`: use round, floor, ceil, abs or neg"
                )));
            }
        };
        self.next += 1; // the parenthesis
        let inner = Box::new(self.sum()?);
        let expr = match function {
            Some(function) => Expr::Call(function, inner),
            None => Expr::Round(inner, self.places()?),
        };
        self.close()?;
        Ok(expr)
    }

    /// The second argument of `round`.
    fn places(&mut self) -> Result<u32, ExprError> {
        if self.peek() != Some(&Token::Comma) {
            return Err(self.error("`round` needs the number of places: `round(x, 0)`"));
        }
        self.next += 1;
        let places = match self.peek() {
            Some(Token::Number(n)) => u32::try_from(*n)
                .ok()
                .filter(|p| *p <= 4 && Decimal::from(*p) == *n),
            _ => None,
        };
        let Some(places) = places else {
            return Err(self.error("the places of `round` are a whole number from 0 to 4"));
        };
        self.next += 1;
        Ok(places)
    }

    fn close(&mut self) -> Result<(), ExprError> {
        match self.peek() {
            Some(Token::Close) => {
                self.next += 1;
                Ok(())
            }
            Some(Token::Comma) => Err(self.error("one argument too many")),
            _ => Err(self.error("`)` is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes an expression with every parenthesis, so that precedence shows.
    fn show(expr: &Expr) -> String {
        match expr {
            Expr::Number(n) => n.to_string(),
            Expr::Column(c) => format!("[{c}]"),
            Expr::Call(f, x) => format!("{}({})", format!("{f:?}").to_lowercase(), show(x)),
            Expr::Round(x, n) => format!("round({},{n})", show(x)),
            Expr::Binary(o, l, r) => {
                let sign = match o {
                    Operator::Add => '+',
                    Operator::Subtract => '-',
                    Operator::Multiply => '*',
                    Operator::Divide => '/',
                };
                format!("({}{sign}{})", show(l), show(r))
            }
        }
    }

    #[test]
    fn reads() {
        for (text, tree) in [
            ("数量 * 単価", "([数量]*[単価])"),
            ("a - b - c", "(([a]-[b])-[c])"),
            ("a + b * c", "([a]+([b]*[c]))"),
            ("(a + b) * -c", "(([a]+[b])*neg([c]))"),
            ("round(価格 * 1.08, 0)", "round(([価格]*1.08),0)"),
            ("$.total / 2", "([$.total]/2)"),
            ("[単価(税込)] * line.qty", "([単価(税込)]*[line.qty])"),
            ("[1st] + # + ceil(x)", "(([1st]+[#])+ceil([x]))"),
            ("floor", "[floor]"),
            ("--1", "neg(neg(1))"),
        ] {
            let parsed = Expr::parse(text).map(|e| show(&e));
            assert_eq!(parsed.as_deref(), Ok(tree), "{text}");
        }
    }

    #[test]
    fn refuses_with_the_place_and_the_way_out() {
        for (text, at, part) in [
            ("", 1, "missing at the end"),
            ("a +", 4, "missing at the end"),
            ("a b", 3, "an operator"),
            ("a)", 2, "closes nothing"),
            ("(a", 3, "`)` is missing"),
            ("a ** b", 4, "before this"),
            ("数量 × 単価", 4, "write `*`"),
            ("[a", 1, "never closed"),
            ("[ ]", 1, "must stand between"),
            ("2x + 1", 1, "[2x]"),
            ("1.2.3", 1, "not a number"),
            ("rund(a, 0)", 1, "no function `rund`"),
            ("round(a)", 8, "number of places"),
            ("round(a, 5)", 10, "0 to 4"),
            ("round(a, 0.5)", 10, "0 to 4"),
            ("abs(a, b)", 6, "too many"),
            ("単価（税込）", 3, "square brackets"),
        ] {
            let error = Expr::parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
        let deep = format!("{}1{}", "(".repeat(100), ")".repeat(100));
        assert!(Expr::parse(&deep).is_err());
    }

    #[test]
    fn names_each_column_once() {
        let expr = Expr::parse("a * b + round(a, 2) - c").expect("valid");
        assert_eq!(expr.columns(), ["a", "b", "c"]);
    }
}
