//! Gender, as systems record it.

use crate::{normalised::Normalised, text};

/// Version of this normaliser; raised when any result changes.
pub const VERSION: u32 = 2;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gender {
    /// Female.
    Female,
    /// Male.
    Male,
    /// Neither of the two.
    Other,
    /// Asked, and not told.
    Unknown,
}

impl Gender {
    /// Its canonical word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

/// A gender from words, titles and letters of several languages and from the codes of ISO 5218 (0 not known, 1 male,
/// 2 female, 9 not applicable). Systems that count otherwise map their codes first.
#[must_use]
pub fn parse(value: &str) -> Normalised<Gender> {
    let folded = text::lowercase(text::fold(value));
    let gender = match folded.trim_end_matches('.') {
        "男" | "男性" | "男子" | "おとこ" | "オトコ" | "m" | "male" | "man" | "mr" | "1" | "01"
        | "♂" | "boy" | "herr" | "herrn" | "mann" | "männlich" | "maennlich" | "monsieur"
        | "homme" | "masculin" | "h" | "hombre" | "masculino" | "señor" | "sr" | "maschio"
        | "maschile" | "signor" | "sig" | "homem" | "senhor" | "dhr" => Gender::Male,
        "女" | "女性" | "女子" | "おんな" | "オンナ" | "f" | "female" | "woman" | "ms" | "mrs"
        | "2" | "02" | "♀" | "girl" | "miss" | "frau" | "w" | "weiblich" | "madame" | "mme"
        | "mlle" | "mademoiselle" | "femme" | "féminin" | "feminin" | "mujer" | "femenino"
        | "femenina" | "señora" | "sra" | "señorita" | "srta" | "femmina" | "femminile"
        | "signora" | "sig.ra" | "mulher" | "feminino" | "senhora" | "vrouw" | "mevr" | "mw" => {
            Gender::Female
        }
        "その他"
        | "o"
        | "other"
        | "x"
        | "ノンバイナリー"
        | "non-binary"
        | "nonbinary"
        | "diverse"
        | "3" => Gender::Other,
        "0" | "9" | "不明" | "無回答" | "回答しない" | "未回答" | "u" | "unknown" | "未設定"
        | "prefer not to say" | "回答なし" => Gender::Unknown,
        word if text::is_blank(word) => return Normalised::absent(),
        _ => return Normalised::meaningless(),
    };
    Normalised::valid(gender)
}
