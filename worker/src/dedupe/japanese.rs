//! Japanese columns told by their values: names in kanji and in kana, addresses and their parts, postal codes.

use std::{collections::HashSet, sync::LazyLock};

use musubi_clean::{
    kana,
    name::is_japanese,
    text::{self, is_dash},
};

/// The most frequent family names in kanji, most frequent first: more than a third of all people have one of them.
const FAMILY: &str = "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 林 斎藤 清水 山崎 森 池田 橋本 阿部 \
    石川 山下 中島 石井 小川 前田 岡田 長谷川 藤田 後藤 近藤 村上 遠藤 青木 坂本 斉藤 福田 太田 西村 藤井 金子 岡本 藤原 中野 三浦 原田 中川 松田 \
    竹内 小野 田村 中山 和田 石田 森田 上田 原 内田 柴田 酒井 宮崎 横山 高木 安藤 宮本 大野 小島 工藤 谷口 今井 高田 増田 丸山 杉山 村田 大塚 新井 \
    小山 平野 河野 藤本 野口 武田 松尾 千葉 菅原 久保 岩崎 桜井 野村 木下 菊地 渡部 浜田 佐野 大西 松井 菊池 島田 水野 高野 松下 市川 古川 杉本 山内 \
    西田 北村 小松 川口 西川 平田 安田 東 川崎 五十嵐 飯田 中田 久保田 吉川 服部 関 福島 樋口 岩田 永井 山中 川村 荒木 辻 本田 田口 大久保 三宅 秋山 \
    中西 望月 松岡 吉村 小池 黒田 大橋 石原 早川 渡邊 渡邉 齋藤 齊藤 髙橋 山﨑";

/// Readings of the most frequent ones.
const READINGS: &str = "サトウ スズキ タカハシ タナカ イトウ ワタナベ ヤマモト ナカムラ コバヤシ カトウ ヨシダ ヤマダ ササキ ヤマグチ マツモト イノウエ \
    キムラ ハヤシ サイトウ シミズ ヤマザキ モリ イケダ ハシモト アベ イシカワ ヤマシタ ナカジマ イシイ オガワ マエダ オカダ ハセガワ フジタ ゴトウ コンドウ ムラカミ \
    エンドウ アオキ サカモト フクダ オオタ ニシムラ フジイ カネコ オカモト フジワラ ナカノ ミウラ ハラダ ナカガワ マツダ";

/// Characters of the longest of them.
const LONGEST: usize = 5;

static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| FAMILY.split(' ').collect());
static KANA: LazyLock<HashSet<&str>> = LazyLock::new(|| READINGS.split(' ').collect());

/// How a text begins with a frequent family name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// It is one.
    Is,
    /// It goes on with a given name.
    GoesOn,
}

fn begins(text: &str, names: &HashSet<&'static str>) -> Option<Begins> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    // The longest that is a name.
    let found = ends
        .take(LONGEST)
        .filter(|end| names.contains(&text[..*end]));
    let rest = text[found.last()?..].trim_start();
    Some(if rest.is_empty() {
        Begins::Is
    } else {
        Begins::GoesOn
    })
}

/// The text without what follows a name: 様, 殿, さん.
fn without_title(folded: &str) -> &str {
    let mut titles = ["様", "さま", "殿", "さん"].into_iter();
    let bare = titles.find_map(|title| folded.strip_suffix(title));
    bare.unwrap_or(folded).trim_end()
}

/// Whether a text may be a name in Japanese letters, or a part of one.
fn may_be_name(name: &str) -> bool {
    let letters = name.chars().filter(|c| *c != ' ').count();
    (1..=8).contains(&letters)
        && name.chars().all(|c| is_japanese(c) || c == ' ')
        && !name.ends_with(['町', '村', '市', '区', '県', '郡', '店', '社', '駅'])
}

/// Whether a value is a family name and a given name: `山田 太郎`, `佐藤花子 様`.
pub(super) fn is_whole_name(value: &str) -> bool {
    let folded = text::fold(value);
    let name = without_title(&folded);
    may_be_name(name) && begins(name, &NAMES) == Some(Begins::GoesOn)
}

/// The role that the values of a column tell, and why. `nameless` says that its name says nothing: then kana need not
/// begin with a family name that is known.
pub(super) fn look<'a>(
    values: impl Iterator<Item = &'a str>,
    nameless: bool,
) -> Option<(&'static str, &'static str)> {
    let mut all = 0u32;
    let mut found = Counts::default();
    for value in values {
        let folded = text::fold(value);
        let folded = folded.trim();
        all += 1;
        found.codes += u32::from(is_postal_code(folded));
        if !folded.chars().any(is_japanese) {
            continue;
        }
        let area = area(folded);
        found.addresses += u32::from(area == Some(Area::Address));
        found.prefectures += u32::from(area == Some(Area::Prefecture));
        found.cities += u32::from(area == Some(Area::City));
        let name = without_title(folded);
        if !may_be_name(name) {
            continue;
        }
        if name.chars().all(|c| matches!(c, 'ぁ'..='ヿ' | ' ')) {
            found.kana += 1;
            let katakana = kana::katakana(name);
            found.read += u32::from(begins(&katakana, &KANA).is_some());
            found.family_read += u32::from(begins(&katakana, &KANA) == Some(Begins::Is));
            continue;
        }
        found.names += 1;
        match begins(name, &NAMES) {
            Some(Begins::Is) => found.family += 1,
            Some(Begins::GoesOn) => found.whole += 1,
            None => {}
        }
    }
    found.role(all, nameless)
}

#[derive(Default)]
struct Counts {
    /// Texts that may be names, and those that begin with a frequent one.
    names: u32,
    family: u32,
    whole: u32,
    /// Texts in kana, and those that begin with the reading of a frequent family name.
    kana: u32,
    read: u32,
    family_read: u32,
    codes: u32,
    addresses: u32,
    prefectures: u32,
    cities: u32,
}

impl Counts {
    fn role(&self, all: u32, nameless: bool) -> Option<(&'static str, &'static str)> {
        // In percent.
        let most = |n: u32, percent: u32| n > 1 && n * 100 >= all * percent;
        let frequent = self.family.max(self.whole);
        Some(match () {
            () if most(self.codes, 90) => ("postal_code", "postal codes"),
            () if most(self.prefectures, 90) => ("prefecture", "prefectures"),
            () if most(self.addresses, 60) => ("address", "addresses"),
            () if most(self.cities, 80) => ("city", "cities"),
            () if most(self.kana, 80) && most(self.family_read, 20) => {
                ("family_kana", "family names in kana")
            }
            () if most(self.kana, 80) && (nameless || most(self.read, 15)) => {
                ("name_kana", "names in kana")
            }
            () if !most(self.names, 80) || !most(frequent, 20) => return None,
            () if self.family > self.whole => ("family_name", "family names"),
            () => ("name", "names of people"),
        })
    }
}

/// Seven digits with their dash or sign: `123-4567`, `〒1234567`.
fn is_postal_code(folded: &str) -> bool {
    let bare = folded.trim_start_matches('〒').trim_start();
    let digits = bare.bytes().filter(u8::is_ascii_digit).count();
    let dashed = bare.chars().nth(3).is_some_and(is_dash) && bare.chars().count() == 8;
    digits == 7 && (dashed || folded.starts_with('〒') && bare.len() == 7)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Address,
    Prefecture,
    City,
}

/// Which part of an address a text is.
fn area(folded: &str) -> Option<Area> {
    let chars: Vec<char> = folded.chars().collect();
    let prefecture = matches!(
        chars[..],
        [_, _, '都' | '道' | '府' | '県', ..] | [_, _, _, '県', ..]
    );
    if prefecture && chars.len() <= 4 {
        return Some(Area::Prefecture);
    }
    let numbered = chars.iter().any(|c| c.is_numeric()) || folded.contains("丁目");
    let places = chars.iter().skip(1).any(|c| "市区郡町村".contains(*c));
    if numbered && (places || prefecture) {
        return Some(Area::Address);
    }
    (places && chars.last().is_some_and(|c| "市区町村".contains(*c))).then_some(Area::City)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_by_their_values() {
        for (values, nameless, want) in [
            (
                "佐藤 花子|渡辺　健太|長谷川翼 様|橘 玲",
                false,
                Some("name"),
            ),
            ("佐藤|鈴木|五十嵐|綾小路", false, Some("family_name")),
            (
                "サトウ ハナコ|ﾜﾀﾅﾍﾞ ｹﾝﾀ|すずきまい",
                false,
                Some("name_kana"),
            ),
            ("サトウ|スズキ|ヒビキ", false, Some("family_kana")),
            ("ボールペン|ノート|ケシゴム", false, None),
            ("ハナコ|ケンタ|マイ", true, Some("name_kana")),
            (
                "東京都港区芝1-2-3|横浜市中区山下町５－６|港区芝一丁目2",
                false,
                Some("address"),
            ),
            ("東京都|神奈川県|北海道", false, Some("prefecture")),
            ("千葉市|新宿区|池田町", false, Some("city")),
            (
                "123-4567|〒1234567|１２３－４５６７",
                false,
                Some("postal_code"),
            ),
            ("1234567|2345678", false, None),
            ("山田商店|会社|品切れ|交換済", false, None),
        ] {
            let found = look(values.split('|'), nameless);
            assert_eq!(found.map(|(role, _)| role), want, "{values}");
        }
    }

    #[test]
    fn a_whole_name_is_more_than_a_family_name() {
        for (value, whole) in [
            ("山田 太郎", true),
            ("佐藤花子 様", true),
            ("佐藤", false),
            ("太郎", false),
        ] {
            assert_eq!(is_whole_name(value), whole, "{value}");
        }
    }
}
