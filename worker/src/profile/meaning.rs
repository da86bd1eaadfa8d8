//! What a column probably holds: its name says it, and its values do not gainsay.

use serde::Serialize;

use super::column::{ColumnReport, Kind};

/// What a column probably holds, in the words of the canonical model where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Meaning {
    CustomerId,
    Name,
    FamilyName,
    GivenName,
    NameKana,
    Email,
    Phone,
    PostalCode,
    Address,
    City,
    Prefecture,
    BirthDate,
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
    ("フリガナ", Meaning::NameKana),
    ("カナ", Meaning::NameKana),
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
    ("birth", Meaning::BirthDate),
    ("生年月日", Meaning::BirthDate),
    ("誕生日", Meaning::BirthDate),
    ("gender", Meaning::Gender),
    ("性別", Meaning::Gender),
    ("firstname", Meaning::GivenName),
    ("givenname", Meaning::GivenName),
    ("lastname", Meaning::FamilyName),
    ("familyname", Meaning::FamilyName),
    ("surname", Meaning::FamilyName),
    ("fullname", Meaning::Name),
    ("customername", Meaning::Name),
    ("氏名", Meaning::Name),
    ("お名前", Meaning::Name),
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
    ("住所", Meaning::Address),
    ("streetaddress", Meaning::Address),
    ("都道府県", Meaning::Prefecture),
    ("prefecture", Meaning::Prefecture),
    ("市区町村", Meaning::City),
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
    ("name", Meaning::Name),
    ("名前", Meaning::Name),
    ("姓", Meaning::FamilyName),
    ("名", Meaning::GivenName),
    ("family", Meaning::FamilyName),
    ("given", Meaning::GivenName),
    ("sex", Meaning::Gender),
    ("zip", Meaning::PostalCode),
    ("postal", Meaning::PostalCode),
    ("address", Meaning::Address),
    ("city", Meaning::City),
    ("state", Meaning::Prefecture),
    ("total", Meaning::Total),
    ("tax", Meaning::Tax),
    ("price", Meaning::UnitPrice),
    ("status", Meaning::Status),
    ("ステータス", Meaning::Status),
    ("line", Meaning::LineNumber),
];

/// Whether a name is one that columns have.
pub(super) fn is_known(name: &str) -> bool {
    named(name).is_some() || name.to_lowercase().ends_with("id")
}

fn named(name: &str) -> Option<Meaning> {
    let last = name.rsplit(['.', ']']).next().unwrap_or(name);
    let bare = |text: &str| {
        let kept = text.chars().filter(|c| c.is_alphanumeric());
        kept.collect::<String>().to_lowercase()
    };
    let (last, whole) = (bare(last), bare(name));
    let alone = WHOLE.iter().find(|(word, _)| *word == last);
    let among = || {
        let mut words = WORDS.iter();
        words.find(|(word, _)| last.contains(word) || whole.ends_with(word))
    };
    alone.or_else(among).map(|(_, meaning)| *meaning)
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
        Meaning::NameKana => column.kana_percent >= 50.0,
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
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}
