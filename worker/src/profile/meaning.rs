//! What a column probably holds: its name says it, and its values do not gainsay.

use serde::Serialize;

use super::column::{ColumnReport, Kind};
use super::words;

/// What a column probably holds, in the words of the canonical model where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Meaning {
    CustomerId,
    Name,
    FamilyName,
    GivenName,
    MiddleName,
    NameSuffix,
    NameKana,
    FamilyKana,
    GivenKana,
    Email,
    Phone,
    PostalCode,
    Address,
    City,
    Prefecture,
    Town,
    Block,
    Building,
    BirthDate,
    BirthYear,
    BirthMonth,
    BirthDay,
    Age,
    Gender,
    LoyaltyNumber,
    RegisteredAt,
    UpdatedAt,
    OrderNumber,
    LineNumber,
    OrderedAt,
    Total,
    Tax,
    Discount,
    Status,
    ProductCode,
    ProductName,
    Category,
    Quantity,
    UnitPrice,
    StoreCode,
    StoreName,
}

/// Words in names of columns, most telling first. All parts of an entry must be in the name.
const WORDS: &[(&str, Meaning)] = &[
    ("email", Meaning::Email),
    ("mailaddress", Meaning::Email),
    ("メール", Meaning::Email),
    ("familykana", Meaning::FamilyKana),
    ("lastnamekana", Meaning::FamilyKana),
    ("givenkana", Meaning::GivenKana),
    ("firstnamekana", Meaning::GivenKana),
    ("フリガナ", Meaning::NameKana),
    ("ふりがな", Meaning::NameKana),
    ("カナ", Meaning::NameKana),
    ("ヨミガナ", Meaning::NameKana),
    ("よみがな", Meaning::NameKana),
    ("読み仮名", Meaning::NameKana),
    ("読みがな", Meaning::NameKana),
    ("振り仮名", Meaning::NameKana),
    ("kana", Meaning::NameKana),
    ("phone", Meaning::Phone),
    ("mobile", Meaning::Phone),
    ("tel", Meaning::Phone),
    ("電話", Meaning::Phone),
    ("携帯", Meaning::Phone),
    ("postalcode", Meaning::PostalCode),
    ("postcode", Meaning::PostalCode),
    ("zip", Meaning::PostalCode),
    ("郵便", Meaning::PostalCode),
    ("birthyear", Meaning::BirthYear),
    ("yearofbirth", Meaning::BirthYear),
    ("birthmonth", Meaning::BirthMonth),
    ("monthofbirth", Meaning::BirthMonth),
    ("birthday", Meaning::BirthDate),
    ("birth", Meaning::BirthDate),
    ("生年月日", Meaning::BirthDate),
    ("誕生日", Meaning::BirthDate),
    ("出生日", Meaning::BirthDate),
    ("出生年月日", Meaning::BirthDate),
    ("男女区分", Meaning::Gender),
    ("gender", Meaning::Gender),
    ("性別", Meaning::Gender),
    ("middlename", Meaning::MiddleName),
    ("middleinitial", Meaning::MiddleName),
    ("midlname", Meaning::MiddleName),
    ("namesuff", Meaning::NameSuffix),
    ("namesufx", Meaning::NameSuffix),
    ("firstname", Meaning::GivenName),
    ("forename", Meaning::GivenName),
    ("givenname", Meaning::GivenName),
    ("lastname", Meaning::FamilyName),
    ("familyname", Meaning::FamilyName),
    ("surname", Meaning::FamilyName),
    ("fullname", Meaning::Name),
    ("customername", Meaning::Name),
    ("氏名", Meaning::Name),
    ("お名前", Meaning::Name),
    ("お客様名", Meaning::Name),
    ("契約者名", Meaning::Name),
    ("名義人", Meaning::Name),
    ("申込者名", Meaning::Name),
    ("患者名", Meaning::Name),
    ("社員名", Meaning::Name),
    ("従業員名", Meaning::Name),
    ("利用者名", Meaning::Name),
    ("顧客名", Meaning::Name),
    ("会員名", Meaning::Name),
    ("会員番号", Meaning::LoyaltyNumber),
    ("memberno", Meaning::LoyaltyNumber),
    ("membernumber", Meaning::LoyaltyNumber),
    ("loyalty", Meaning::LoyaltyNumber),
    ("カード番号", Meaning::LoyaltyNumber),
    ("customerid", Meaning::CustomerId),
    ("customerkey", Meaning::CustomerId),
    ("customerno", Meaning::CustomerId),
    ("customernumber", Meaning::CustomerId),
    ("userid", Meaning::CustomerId),
    ("contactid", Meaning::CustomerId),
    ("顧客番号", Meaning::CustomerId),
    ("顧客id", Meaning::CustomerId),
    ("addressline1", Meaning::Address),
    ("streetnumber", Meaning::Block),
    ("housenumber", Meaning::Block),
    ("丁目番地", Meaning::Block),
    ("番地", Meaning::Block),
    ("addressline2", Meaning::Building),
    ("住所2", Meaning::Building),
    ("建物", Meaning::Building),
    ("住所", Meaning::Address),
    ("所在地", Meaning::Address),
    ("居住地", Meaning::Address),
    ("streetaddress", Meaning::Address),
    ("都道府県", Meaning::Prefecture),
    ("prefecture", Meaning::Prefecture),
    ("市区町村", Meaning::City),
    ("市町村", Meaning::City),
    ("suburb", Meaning::City),
    ("町名", Meaning::Town),
    ("町域", Meaning::Town),
    ("ordernumber", Meaning::OrderNumber),
    ("orderno", Meaning::OrderNumber),
    ("orderid", Meaning::OrderNumber),
    ("receiptno", Meaning::OrderNumber),
    ("伝票番号", Meaning::OrderNumber),
    ("注文番号", Meaning::OrderNumber),
    ("受注番号", Meaning::OrderNumber),
    ("orderlineitem", Meaning::LineNumber),
    ("linenumber", Meaning::LineNumber),
    ("行番号", Meaning::LineNumber),
    ("orderdate", Meaning::OrderedAt),
    ("orderedat", Meaning::OrderedAt),
    ("placedat", Meaning::OrderedAt),
    ("取引日時", Meaning::OrderedAt),
    ("注文日", Meaning::OrderedAt),
    ("受注日", Meaning::OrderedAt),
    ("購入日", Meaning::OrderedAt),
    ("productsku", Meaning::ProductCode),
    ("productcode", Meaning::ProductCode),
    ("productid", Meaning::ProductCode),
    ("productkey", Meaning::ProductCode),
    ("商品コード", Meaning::ProductCode),
    ("sku", Meaning::ProductCode),
    ("productname", Meaning::ProductName),
    ("商品名", Meaning::ProductName),
    ("category", Meaning::Category),
    ("分類", Meaning::Category),
    ("カテゴリ", Meaning::Category),
    ("storecode", Meaning::StoreCode),
    ("storeid", Meaning::StoreCode),
    ("店舗コード", Meaning::StoreCode),
    ("storename", Meaning::StoreName),
    ("店舗名", Meaning::StoreName),
    ("quantity", Meaning::Quantity),
    ("qty", Meaning::Quantity),
    ("数量", Meaning::Quantity),
    ("unitprice", Meaning::UnitPrice),
    ("productprice", Meaning::UnitPrice),
    ("単価", Meaning::UnitPrice),
    ("価格", Meaning::UnitPrice),
    ("合計", Meaning::Total),
    ("totalamount", Meaning::Total),
    ("消費税", Meaning::Tax),
    ("discount", Meaning::Discount),
    ("値引", Meaning::Discount),
    ("updatedat", Meaning::UpdatedAt),
    ("modified", Meaning::UpdatedAt),
    ("更新日", Meaning::UpdatedAt),
    ("registeredat", Meaning::RegisteredAt),
    ("createdat", Meaning::RegisteredAt),
    ("入会日", Meaning::RegisteredAt),
    ("登録日", Meaning::RegisteredAt),
];

/// Names that say it alone, as a whole.
const WHOLE: &[(&str, Meaning)] = &[
    ("mail", Meaning::Email),
    ("mailadr", Meaning::Email),
    ("電子メール", Meaning::Email),
    ("cell", Meaning::Phone),
    ("cellphone", Meaning::Phone),
    ("連絡先", Meaning::Phone),
    ("contactno", Meaning::Phone),
    ("contactnumber", Meaning::Phone),
    ("name", Meaning::Name),
    ("person", Meaning::Name),
    ("firstandsurname", Meaning::Name),
    ("名前", Meaning::Name),
    ("姓", Meaning::FamilyName),
    ("名", Meaning::GivenName),
    ("名字", Meaning::FamilyName),
    ("苗字", Meaning::FamilyName),
    ("氏", Meaning::FamilyName),
    ("family", Meaning::FamilyName),
    ("last", Meaning::FamilyName),
    ("lname", Meaning::FamilyName),
    ("lnamec1", Meaning::FamilyName),
    ("sname", Meaning::FamilyName),
    ("nachname", Meaning::FamilyName),
    ("given", Meaning::GivenName),
    ("first", Meaning::GivenName),
    ("fname", Meaning::GivenName),
    ("fnamec1", Meaning::GivenName),
    ("gname", Meaning::GivenName),
    ("vorname", Meaning::GivenName),
    ("prenom", Meaning::GivenName),
    ("姓カナ", Meaning::FamilyKana),
    ("姓かな", Meaning::FamilyKana),
    ("姓フリガナ", Meaning::FamilyKana),
    ("姓ふりがな", Meaning::FamilyKana),
    ("名カナ", Meaning::GivenKana),
    ("名かな", Meaning::GivenKana),
    ("名フリガナ", Meaning::GivenKana),
    ("名ふりがな", Meaning::GivenKana),
    ("姓漢字", Meaning::FamilyName),
    ("名漢字", Meaning::GivenName),
    ("漢字氏名", Meaning::Name),
    ("漢字姓", Meaning::FamilyName),
    ("漢字名", Meaning::GivenName),
    ("カナ姓", Meaning::FamilyKana),
    ("カナ名", Meaning::GivenKana),
    ("kana", Meaning::NameKana),
    ("読み", Meaning::NameKana),
    ("ヨミ", Meaning::NameKana),
    ("よみ", Meaning::NameKana),
    ("セイ", Meaning::FamilyKana),
    ("せい", Meaning::FamilyKana),
    ("kanasei", Meaning::FamilyKana),
    ("seikana", Meaning::FamilyKana),
    ("メイ", Meaning::GivenKana),
    ("めい", Meaning::GivenKana),
    ("kanamei", Meaning::GivenKana),
    ("meikana", Meaning::GivenKana),
    ("sei", Meaning::FamilyName),
    ("mei", Meaning::GivenName),
    ("middle", Meaning::MiddleName),
    ("midl", Meaning::MiddleName),
    ("mname", Meaning::MiddleName),
    ("minit", Meaning::MiddleName),
    ("mi", Meaning::MiddleName),
    ("fnamec2", Meaning::MiddleName),
    ("zweitername", Meaning::MiddleName),
    ("suffix", Meaning::NameSuffix),
    ("age", Meaning::Age),
    ("年齢", Meaning::Age),
    ("dob", Meaning::BirthDate),
    ("born", Meaning::BirthDate),
    ("bday", Meaning::BirthDate),
    ("geburtsdatum", Meaning::BirthDate),
    ("bdate", Meaning::BirthDate),
    ("生年", Meaning::BirthYear),
    ("by", Meaning::BirthYear),
    ("byear", Meaning::BirthYear),
    ("yob", Meaning::BirthYear),
    ("bm", Meaning::BirthMonth),
    ("bmonth", Meaning::BirthMonth),
    ("bd", Meaning::BirthDay),
    ("birthdayofmonth", Meaning::BirthDay),
    ("dayofbirth", Meaning::BirthDay),
    ("sex", Meaning::Gender),
    ("geschlecht", Meaning::Gender),
    ("mf", Meaning::Gender),
    ("男女", Meaning::Gender),
    ("zip", Meaning::PostalCode),
    ("pcode", Meaning::PostalCode),
    ("plz", Meaning::PostalCode),
    ("areacode", Meaning::PostalCode),
    ("postal", Meaning::PostalCode),
    ("番地住所", Meaning::Address),
    ("居所", Meaning::Address),
    ("address", Meaning::Address),
    ("addr", Meaning::Address),
    ("adresse", Meaning::Address),
    ("street", Meaning::Town),
    ("streetname", Meaning::Town),
    ("address1", Meaning::Town),
    ("addr1", Meaning::Town),
    ("add1", Meaning::Town),
    ("strasse", Meaning::Town),
    ("stno", Meaning::Block),
    ("streetno", Meaning::Block),
    ("houseno", Meaning::Block),
    ("hno", Meaning::Block),
    ("address2", Meaning::Building),
    ("addr2", Meaning::Building),
    ("add2", Meaning::Building),
    ("building", Meaning::Building),
    ("unit", Meaning::Building),
    ("apartment", Meaning::Building),
    ("マンション名", Meaning::Building),
    ("city", Meaning::City),
    ("town", Meaning::City),
    ("locality", Meaning::City),
    ("municipality", Meaning::City),
    ("ort", Meaning::City),
    ("birthplace", Meaning::City),
    ("市", Meaning::City),
    ("市区", Meaning::City),
    ("市区郡", Meaning::City),
    ("郡市区", Meaning::City),
    ("県", Meaning::Prefecture),
    ("府県", Meaning::Prefecture),
    ("都府県", Meaning::Prefecture),
    ("state", Meaning::Prefecture),
    ("province", Meaning::Prefecture),
    ("region", Meaning::Prefecture),
    ("county", Meaning::Prefecture),
    ("total", Meaning::Total),
    ("tax", Meaning::Tax),
    ("price", Meaning::UnitPrice),
    ("status", Meaning::Status),
    ("ステータス", Meaning::Status),
    ("line", Meaning::LineNumber),
];

/// Whether a name is one that columns have.
pub(crate) fn is_known(name: &str) -> bool {
    named(name).is_some() || name.to_lowercase().ends_with("id")
}

fn named(name: &str) -> Option<Meaning> {
    said(name).map(|(meaning, _)| meaning)
}

/// What a name says, and whether it says nothing else.
pub(crate) fn said(name: &str) -> Option<(Meaning, bool)> {
    let last = name.rsplit(['.', ']']).next().unwrap_or(name);
    if name.contains('〒') {
        return Some((Meaning::PostalCode, true));
    }
    let bare = |text: &str| {
        let folded = musubi_clean::text::fold(text).to_lowercase();
        let kept = folded.chars().filter(|c| c.is_alphanumeric());
        kept.collect::<String>()
    };
    let (last, whole) = (bare(last), bare(name));
    let alone = WHOLE
        .iter()
        .find(|(word, _)| *word == last || *word == whole);
    let among = || {
        let mut words = WORDS.iter();
        words.find(|(word, _)| last.contains(word) || whole.ends_with(word))
    };
    let found = alone.or_else(among);
    let found = found.map(|(word, meaning)| (*meaning, *word == last || *word == whole));
    let another = words::is_of_somebody_else(name);
    if found.is_some_and(|(meaning, _)| another && meaning.is_of_person()) {
        return None;
    }
    found.or_else(|| Some((words::meaning(name)?, false)))
}

/// What a column probably holds.
pub(super) fn of(column: &ColumnReport) -> Option<Meaning> {
    if column.email_percent >= 80.0 {
        return Some(Meaning::Email);
    }
    let meaning = named(&column.name)?;
    fits(meaning, column).then_some(meaning)
}

/// Whether the values may be what the name says.
fn fits(meaning: Meaning, column: &ColumnReport) -> bool {
    let temporal = matches!(column.kind, Kind::Date | Kind::Timestamp);
    let number = matches!(column.kind, Kind::Integer | Kind::Decimal);
    match meaning {
        Meaning::Email => column.email_percent >= 50.0,
        Meaning::Phone => column.phone_percent >= 50.0,
        Meaning::NameKana | Meaning::FamilyKana | Meaning::GivenKana => column.kana_percent >= 50.0,
        Meaning::BirthYear | Meaning::BirthMonth | Meaning::BirthDay => number,
        Meaning::BirthDate | Meaning::OrderedAt | Meaning::UpdatedAt | Meaning::RegisteredAt => {
            temporal
        }
        Meaning::Total
        | Meaning::Tax
        | Meaning::Discount
        | Meaning::Quantity
        | Meaning::UnitPrice => {
            // `1` alone is a flag to the eye
            number || column.kind == Kind::Flag
        }
        Meaning::Category | Meaning::ProductName | Meaning::StoreName => column.kind == Kind::Text,
        Meaning::LineNumber => column.kind == Kind::Integer || column.kind == Kind::Flag,
        Meaning::Name | Meaning::FamilyName | Meaning::GivenName => column.kind == Kind::Text,
        _ => !temporal,
    }
}

/// Whether a value has the form of an e-mail address.
pub(super) fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.contains(['@', ' '])
            && !local.contains(' ')
    })
}

impl Meaning {
    /// Whether it says who somebody is or how to reach them.
    const fn is_of_person(self) -> bool {
        (self as u8) <= (Self::Gender as u8) && !matches!(self, Self::CustomerId)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}
