//! Tables of cases: phones, e-mail, postal codes, names, readings.

use musubi_clean::{Normalised, email, kana, name, phone, postal};

/// `-` stands for no value; a value in front of `!` is kept and invalid.
fn shown(result: Normalised<String>) -> String {
    let value = result.value.unwrap_or_else(|| "-".to_owned());
    if result.valid {
        value
    } else {
        format!("{value}!")
    }
}

#[track_caller]
fn check(table: &[(&str, &str)], normalise: impl Fn(&str) -> String) {
    let wrong: Vec<String> = table
        .iter()
        .map(|(given, wanted)| (given, wanted, normalise(given)))
        .filter(|(_, wanted, found)| **wanted != found)
        .map(|(given, wanted, found)| format!("{given:?}: wanted {wanted:?}, found {found:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn phones() {
    let table = [
        ("090-8765-4320", "+819087654320"),
        ("09087654320", "+819087654320"),
        ("０９０−８７６５−４３２０", "+819087654320"),
        ("090ー8765ー4320", "+819087654320"),
        ("０９０ｰ８７６５ｰ４３２０", "+819087654320"),
        ("090―8765—4320", "+819087654320"),
        ("090.8765.4320", "+819087654320"),
        ("090 8765 4320", "+819087654320"),
        ("(090)8765-4320", "+819087654320"),
        ("9087654320", "+819087654320"),
        ("+81-90-8765-4320", "+819087654320"),
        ("+81 (0)90-8765-4320", "+819087654320"),
        ("＋８１ ９０ ８７６５ ４３２０", "+819087654320"),
        ("819087654320", "+819087654320"),
        ("0081-90-8765-4320", "+819087654320"),
        ("010-81-90-8765-4320", "+819087654320"),
        ("03-3581-2291", "+81335812291"),
        ("03（3581）2291", "+81335812291"),
        ("335812291", "+81335812291"),
        ("06-6208-8181", "+81662088181"),
        ("0120-444-113", "+81120444113"),
        ("050-5541-8600", "+815055418600"),
        ("03-3581-2291 内線12", "+81335812291"),
        ("TEL:03-3581-2291", "+81335812291"),
        ("+1 650-253-0000", "+16502530000"),
        ("+44 20 7031 3000", "+442070313000"),
        ("0000000000", "0000000000!"),
        ("090-8765-4321", "09087654321!"),
        ("09000000000", "09000000000!"),
        ("090-1234-5678", "09012345678!"),
        ("090-1111-1111", "09011111111!"),
        ("03-1", "031!"),
        ("", "-"),
        ("なし", "-"),
        ("-", "-"),
        ("電話なし", "-!"),
    ];
    check(&table, |value| shown(phone::normalise(value, "JP")));
    assert_eq!(
        shown(phone::normalise("(650) 253-0000", "US")),
        "+16502530000"
    );
    assert_eq!(
        shown(phone::normalise("020 7031 3000", "gb")),
        "+442070313000"
    );
}

#[test]
fn countries_of_phones() {
    for (number, country) in [
        ("+44 7507 836552", Some("gb")),
        ("+1 (212) 456-7890", Some("us")),
        ("+81-90-1234-5678", Some("jp")),
        ("07507 836552", None),
        ("+0", None),
        ("", None),
    ] {
        assert_eq!(phone::country(number).as_deref(), country, "{number}");
    }
}

#[test]
fn emails() {
    let table = [
        ("Hanako@Bento.example", "hanako@bento.example"),
        (" hanako@bento.example ", "hanako@bento.example"),
        ("ｈａｎａｋｏ＠ｂｅｎｔｏ．ｊｐ", "hanako@bento.jp"),
        ("mailto:hanako@bento.jp", "hanako@bento.jp"),
        ("山田花子 <hanako@bento.jp>", "hanako@bento.jp"),
        ("hanako @ bento.jp", "hanako@bento.jp"),
        ("hanako@bento.jp;", "hanako@bento.jp"),
        ("a..b@docomo.ne.jp", "a..b@docomo.ne.jp!"),
        ("ab.@docomo.ne.jp", "ab.@docomo.ne.jp!"),
        ("hanako@bento", "hanako@bento!"),
        ("hanako", "hanako!"),
        ("test@bento.jp", "test@bento.jp!"),
        ("noreply@bento.jp", "noreply@bento.jp!"),
        ("hanako@gmial.com", "hanako@gmial.com"),
        ("hanako@日本.jp", "hanako@日本.jp"),
        ("NULL", "-"),
        ("なし", "-"),
    ];
    check(&table, |value| shown(email::normalise(value)));
    let folded = [
        ("ha.na.ko+x@gmail.com", "hanako@gmail.com"),
        ("hanako@googlemail.com", "hanako@gmail.com"),
        ("ha.nako+shop@bento.jp", "ha.nako@bento.jp"),
        ("+x@bento.jp", "+x@bento.jp"),
    ];
    check(&folded, email::provider_folded);
}

#[test]
fn postal_codes() {
    let table = [
        ("150-0001", "150-0001"),
        ("1500001", "150-0001"),
        ("〒150-0001", "150-0001"),
        ("〒１５０−０００１", "150-0001"),
        ("１５０ー０００１", "150-0001"),
        ("150 0001", "150-0001"),
        ("600001", "060-0001"),
        ("150", "150!"),
        ("0000000", "000-0000!"),
        ("111-1111", "111-1111!"),
        ("SW1A 1AA", "SW1A 1AA!"),
        ("", "-"),
        ("不明", "-"),
    ];
    check(&table, |value| shown(postal::normalise(value, "JP")));
    assert_eq!(shown(postal::normalise("627040001", "US")), "62704-0001");
    assert_eq!(shown(postal::normalise("sw1a1aa", "GB")), "SW1A 1AA");
    assert_eq!(shown(postal::normalise("k1a0b1", "CA")), "K1A 0B1");
}

#[test]
fn readings() {
    let table = [
        ("ヤマダ タロウ", "ヤマダ タロウ"),
        ("ﾔﾏﾀﾞ ﾀﾛｳ", "ヤマダ タロウ"),
        ("やまだ　たろう", "ヤマダ タロウ"),
        ("ｶﾞｷﾞｸﾞﾊﾟﾋﾟ", "ガギグパピ"),
        ("サト-", "サトー"),
        ("ｻﾄｰ", "サトー"),
        ("ジョン・スミス", "ジョン・スミス"),
        ("カ゛", "ガ"),
        ("ヴァン", "ヴァン"),
        ("いすゞ", "イスヾ"),
        ("山田", "山田!"),
        ("Yamada", "Yamada!"),
        ("なし", "-"),
        ("", "-"),
    ];
    check(&table, |value| shown(kana::normalise(value)));
    let same = [
        ("ヨウコ", "ヨーコ"),
        ("ヨオコ", "ヨーコ"),
        ("ユウコ", "ユーコ"),
        ("ケイコ", "ケーコ"),
        ("オオノ", "オーノ"),
        ("ミヅキ", "ミズキ"),
        ("カヲリ", "カオリ"),
        ("シュンイチ", "シユンイチ"),
        ("ﾊｯﾄﾘ", "ハツトリ"),
        ("ヴァイオリン", "バイオリン"),
        ("ヤマダ タロウ", "ヤマダタロー"),
        ("ゐのうえ", "イノウエ"),
    ];
    for (left, right) in same {
        assert_eq!(
            kana::skeleton(left),
            kana::skeleton(right),
            "{left} and {right}"
        );
    }
    for (left, right) in [
        ("ヨウコ", "ヨシコ"),
        ("ハナ", "ハンナ"),
        ("サトウ", "サイトウ"),
    ] {
        assert_ne!(
            kana::skeleton(left),
            kana::skeleton(right),
            "{left} and {right}"
        );
    }
    let romaji = [
        ("サトウ タロウ", "sato taro"),
        ("シンジ", "shinji"),
        ("ハットリ", "hattori"),
        ("エッチュウ", "etchu"),
        ("オオノ ジュンイチ", "ono junichi"),
    ];
    check(&romaji, kana::romaji_hepburn);
    for (latin, reading) in [
        ("Satoh Taro", "サトウ タロウ"),
        ("OHNO", "オオノ"),
        ("Homma", "ホンマ"),
        ("Junichi", "ジュニチ"),
    ] {
        let bridged = kana::from_romaji(latin).map(|found| kana::skeleton(&found));
        assert_eq!(bridged, Some(kana::skeleton(reading)), "{latin}");
    }
    assert_eq!(kana::from_romaji("Smith"), None);
}

/// Family and given name with `|` between, or the whole name alone.
fn parts(value: &str) -> String {
    let result = name::split(value);
    let name = result.value.unwrap_or_default();
    let text = match (name.family, name.given) {
        (Some(family), Some(given)) => format!("{family}|{given}"),
        _ => name.full,
    };
    if result.valid {
        text
    } else {
        format!("{text}!")
    }
}

#[test]
fn names() {
    let table = [
        ("山田 太郎", "山田|太郎"),
        ("山田　太郎", "山田|太郎"),
        ("  山田   太郎 ", "山田|太郎"),
        ("山田太郎", "山田太郎"),
        ("山田 太郎 様", "山田|太郎"),
        ("山田太郎様", "山田太郎"),
        ("山田 太郎先生", "山田|太郎"),
        ("山田 太郎 さん", "山田|太郎"),
        ("山田 太郎殿", "山田|太郎"),
        ("ヤマダ タロウ サマ", "ヤマダ|タロウ"),
        ("やまだ たろう", "やまだ|たろう"),
        ("山田 花子（旧姓 鈴木）", "山田|花子"),
        ("髙橋 﨑子", "髙橋|﨑子"),
        ("ジョン・スミス", "スミス|ジョン"),
        ("ﾔﾏﾀﾞ ﾀﾛｳ", "ヤマダ|タロウ"),
        ("金 美 英", "金|美 英"),
        ("Taro Yamada", "Yamada|Taro"),
        ("TARO YAMADA", "Yamada|Taro"),
        ("YAMADA Taro", "Yamada|Taro"),
        ("Taro YAMADA", "Yamada|Taro"),
        ("Yamada, Taro", "Yamada|Taro"),
        ("YAMADA, TARO", "Yamada|Taro"),
        ("Mr. Taro Yamada", "Yamada|Taro"),
        ("Mrs Mary Ann O'Neil", "O'Neil|Mary Ann"),
        ("Dr. John Smith Jr.", "Smith|John"),
        ("ｔａｒｏ　ｙａｍａｄａ", "Yamada|Taro"),
        ("Ronald McDonald", "McDonald|Ronald"),
        ("jean-luc picard", "Picard|Jean-Luc"),
        ("Müller, Jürgen", "Müller|Jürgen"),
        ("Madonna", "Madonna"),
        ("12345", "12345!"),
        ("", ""),
        ("なし", ""),
        ("NULL", ""),
    ];
    check(&table, parts);
    let keys = [
        ("渡邊", "渡辺"),
        ("渡邉", "渡辺"),
        ("齋藤", "斎藤"),
        ("齊藤", "斉藤"),
        ("斎藤", "斉藤"),
        ("髙橋", "高橋"),
        ("山﨑", "山崎"),
        ("澤田", "沢田"),
        ("濱田", "浜田"),
        ("嶋田", "島田"),
        ("廣瀨", "広瀬"),
        ("國井", "国井"),
        ("櫻井", "桜井"),
        ("龍馬", "竜馬"),
        ("冨田", "富田"),
        ("眞子", "真子"),
        ("惠", "恵"),
        ("榮", "栄"),
        ("條", "条"),
        ("德川", "徳川"),
        ("𠮷田", "吉田"),
        ("Müller", "muller"),
        ("O'Neil", "oneil"),
        ("ＴＡＲＯ", "taro"),
    ];
    for (left, right) in keys {
        assert_eq!(name::key(left), name::key(right), "{left} and {right}");
    }
    for (left, right) in [
        ("島田", "鳥田"),
        ("太田", "大田"),
        ("伊東", "伊藤"),
        ("阪本", "板本"),
    ] {
        assert_ne!(name::key(left), name::key(right), "{left} and {right}");
    }
}
