//! Yes and no, in the words of many systems.

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 1;

const YES: &[&str] = &[
    "1",
    "true",
    "t",
    "yes",
    "y",
    "on",
    "ok",
    "○",
    "〇",
    "◯",
    "●",
    "◎",
    "✓",
    "✔",
    "☑",
    "レ",
    "有",
    "有り",
    "あり",
    "有効",
    "許可",
    "許諾",
    "同意",
    "同意する",
    "同意済",
    "同意済み",
    "承諾",
    "承諾する",
    "希望",
    "希望する",
    "可",
    "はい",
    "する",
    "受信",
    "受信する",
    "配信",
    "配信希望",
    "配信可",
    "要",
    "opt-in",
    "optin",
    "opt_in",
    "opted in",
    "granted",
    "accepted",
    "subscribed",
    "active",
    "enabled",
    "allow",
    "allowed",
    "真",
];

const NO: &[&str] = &[
    "0",
    "false",
    "f",
    "no",
    "n",
    "off",
    "ng",
    "×",
    "✕",
    "✖",
    "✗",
    "✘",
    "x",
    "無",
    "無し",
    "なし",
    "無効",
    "拒否",
    "不同意",
    "同意しない",
    "非同意",
    "未同意",
    "承諾しない",
    "不承諾",
    "希望しない",
    "不可",
    "いいえ",
    "しない",
    "受信しない",
    "受信拒否",
    "配信停止",
    "配信拒否",
    "配信不可",
    "停止",
    "不要",
    "☐",
    "□",
    "opt-out",
    "optout",
    "opt_out",
    "opted out",
    "denied",
    "rejected",
    "declined",
    "withdrawn",
    "unsubscribed",
    "inactive",
    "disabled",
    "deny",
    "偽",
];

/// A flag; an empty cell says nothing, an unknown word is invalid. `なし` and `無` mean no.
#[must_use]
pub fn parse(value: &str) -> Normalised<bool> {
    let folded = text::lowercase(text::fold(value));
    let word = folded.trim_end_matches('.');
    if YES.contains(&word) {
        return Normalised::valid(true);
    }
    if NO.contains(&word) {
        return Normalised::valid(false);
    }
    match word.parse::<f64>() {
        Ok(1.0) => return Normalised::valid(true),
        Ok(0.0) => return Normalised::valid(false),
        _ => {}
    }
    if text::is_blank(&text::fold(value)) {
        return Normalised::absent();
    }
    Normalised::meaningless()
}
