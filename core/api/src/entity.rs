//! The canonical model: which entities exist, and the fields each of them may have.
//!
//! One static table is the single definition. Mappings are validated against it, the Arrow schemas of
//! clean and curated tables are made from it, and warehouses create their columns from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a row of a stream can become.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// A person as one system knows them. The only entity that takes part in identity resolution.
    Customer,
    /// A sale, return or void, with its totals.
    Order,
    /// One line of an order.
    OrderLine,
    /// Something a person did in the app or on the website.
    Event,
    /// A person's yes or no to one purpose, by one channel.
    Consent,
    /// Something that is sold.
    Product,
    /// A place that sells.
    Store,
    /// A campaign.
    Campaign,
    /// A campaign reaching a person: a coupon issued, a mail sent, a redemption.
    CampaignTouch,
    /// A contact with customer support.
    Ticket,
    /// A delivery of an order.
    Delivery,
    /// Stock of a product in a store on a day.
    Inventory,
}

/// The kind of a canonical field: decides its type, its normaliser, and whether a raw value and a
/// validity flag stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text as given, trimmed and NFKC-folded.
    Text,
    /// A person's whole name; split into family and given name where possible.
    PersonName,
    /// A family or given name.
    NamePart,
    /// A reading of a name, folded to full-width katakana.
    Kana,
    /// An e-mail address.
    Email,
    /// A phone number, normalised to E.164.
    Phone,
    /// A postal code.
    PostalCode,
    /// A whole postal address; its parts are derived.
    Address,
    /// Part of a postal address.
    AddressPart,
    /// A calendar date.
    Date,
    /// An instant; UTC microseconds.
    Timestamp,
    /// An amount in the currency of its row; decimal with four places.
    Money,
    /// A decimal number with four places.
    Decimal,
    /// A whole number.
    Integer,
    /// Yes or no.
    Flag,
    /// female, male, other or unknown.
    Gender,
    /// A loyalty card or member number.
    LoyaltyNumber,
    /// The code of a store, product, campaign or coupon: folded, upper case.
    Code,
    /// An identifier that another system assigned; compared exactly.
    Identifier,
    /// A word from a fixed list, lower case.
    Word,
}

impl Kind {
    /// Whether the clean zone keeps `<field>_raw` and `<field>_valid` beside the normalised value.
    #[must_use]
    pub const fn keeps_raw(self) -> bool {
        matches!(
            self,
            Self::PersonName
                | Self::NamePart
                | Self::Kana
                | Self::Email
                | Self::Phone
                | Self::PostalCode
                | Self::Address
                | Self::Date
                | Self::Gender
                | Self::LoyaltyNumber
        )
    }
}

/// One field of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name of the column, in mappings and in every table.
    pub name: &'static str,
    /// Kind of value.
    pub kind: Kind,
    /// Whether a value says something about a person: such columns carry no statistics and are never shown.
    pub personal: bool,
    /// One line for the reference page.
    pub doc: &'static str,
}

const fn f(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        personal: false,
        doc,
    }
}

const fn p(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field {
        name,
        kind,
        personal: true,
        doc,
    }
}

/// Fields of [`Entity::Customer`].
pub const CUSTOMER: &[Field] = &[
    p(
        "name",
        Kind::PersonName,
        "whole name; family and given name are derived when absent",
    ),
    p("family_name", Kind::NamePart, "family name"),
    p("given_name", Kind::NamePart, "given name"),
    p(
        "middle_name",
        Kind::NamePart,
        "further given names, or their initial",
    ),
    p(
        "name_suffix",
        Kind::Word,
        "what tells generations of one name apart: Jr., Sr., III",
    ),
    p(
        "name_kana",
        Kind::Kana,
        "reading of the whole name; split like the name",
    ),
    p("family_kana", Kind::Kana, "reading of the family name"),
    p("given_kana", Kind::Kana, "reading of the given name"),
    p("email", Kind::Email, "e-mail address"),
    p("phone", Kind::Phone, "phone number"),
    p("phone2", Kind::Phone, "further phone number"),
    p("postal_code", Kind::PostalCode, "postal code"),
    p(
        "address",
        Kind::Address,
        "whole address; the parts below are derived when absent",
    ),
    p("country", Kind::Word, "ISO 3166 alpha-2 code, lower case"),
    p(
        "prefecture",
        Kind::AddressPart,
        "prefecture, state or region",
    ),
    p("city", Kind::AddressPart, "city or ward"),
    p(
        "town",
        Kind::AddressPart,
        "town with chome; outside Japan the street",
    ),
    p(
        "block",
        Kind::AddressPart,
        "block and house numbers, with hyphens; outside Japan the house number",
    ),
    p("building", Kind::AddressPart, "building, room, unit"),
    p("birth_date", Kind::Date, "date of birth"),
    p("gender", Kind::Gender, "female, male, other or unknown"),
    p(
        "loyalty_number",
        Kind::LoyaltyNumber,
        "loyalty card or member number",
    ),
    p("app_user_id", Kind::Identifier, "user id of the app"),
    p("device_id", Kind::Identifier, "id of a device"),
    p(
        "external_id",
        Kind::Identifier,
        "id of the person in a further system (with the system's name in front)",
    ),
    f(
        "is_business",
        Kind::Flag,
        "the account belongs to a company",
    ),
    f("language", Kind::Word, "preferred language"),
    f("rank", Kind::Word, "membership rank"),
    f("points", Kind::Integer, "point balance"),
    f(
        "registered_at",
        Kind::Timestamp,
        "when the account was opened",
    ),
    f(
        "updated_at",
        Kind::Timestamp,
        "when the row was last changed in its system",
    ),
];

/// Fields of [`Entity::Order`].
pub const ORDER: &[Field] = &[
    f(
        "order_number",
        Kind::Code,
        "order key across sources: the same number from two systems is one order",
    ),
    f("channel", Kind::Word, "store, web, app, phone, …"),
    f("kind", Kind::Word, "sale, return or void"),
    f(
        "status",
        Kind::Word,
        "placed, paid, shipped, completed, cancelled, …",
    ),
    f("store_code", Kind::Code, "store that sold or hands over"),
    f("ordered_at", Kind::Timestamp, "when the order was placed"),
    f(
        "business_date",
        Kind::Date,
        "the shop's day; derived from ordered_at and the day's end when absent",
    ),
    f("currency", Kind::Word, "ISO 4217 code, lower case"),
    f(
        "total",
        Kind::Money,
        "amount with tax, negative for returns",
    ),
    f("net", Kind::Money, "amount without tax"),
    f("tax", Kind::Money, "tax"),
    f("discount", Kind::Money, "discount given"),
    f("points_used", Kind::Integer, "points paid with"),
    f("points_earned", Kind::Integer, "points granted"),
    f("payment", Kind::Word, "means of payment"),
    f("coupon_code", Kind::Code, "coupon redeemed"),
    f(
        "campaign_code",
        Kind::Code,
        "campaign that the coupon belongs to",
    ),
    f(
        "original_order",
        Kind::Code,
        "for a return or void: the order it reverses",
    ),
    f(
        "updated_at",
        Kind::Timestamp,
        "when the row was last changed in its system",
    ),
];

/// Fields of [`Entity::OrderLine`].
pub const ORDER_LINE: &[Field] = &[
    f("order_number", Kind::Code, "order it belongs to"),
    f("line_number", Kind::Integer, "position in the order"),
    f("business_date", Kind::Date, "the shop's day of the order"),
    f("product_code", Kind::Code, "what was sold"),
    f("quantity", Kind::Decimal, "how many; negative for returns"),
    f("unit_price", Kind::Money, "price of one"),
    f("amount", Kind::Money, "amount of the line with tax"),
    f("net", Kind::Money, "amount of the line without tax"),
    f("tax_rate", Kind::Decimal, "tax rate, 0.08 for 8 %"),
    f("tax", Kind::Money, "tax of the line"),
    f("discount", Kind::Money, "discount of the line"),
];

/// Fields of [`Entity::Event`].
pub const EVENT: &[Field] = &[
    f("event_type", Kind::Word, "login, view, add_to_cart, …"),
    f("occurred_at", Kind::Timestamp, "when"),
    f(
        "business_date",
        Kind::Date,
        "day; derived from occurred_at when absent",
    ),
    f("channel", Kind::Word, "app, web, …"),
    f("store_code", Kind::Code, "store concerned"),
    f("product_code", Kind::Code, "product concerned"),
    f("platform", Kind::Word, "ios, android, web, …"),
];

/// Fields of [`Entity::Consent`].
pub const CONSENT: &[Field] = &[
    f(
        "purpose",
        Kind::Word,
        "what is consented to: email_marketing, sms, push, …",
    ),
    f("granted", Kind::Flag, "yes or no"),
    f("given_at", Kind::Timestamp, "when"),
    f(
        "business_date",
        Kind::Date,
        "day; derived from given_at when absent",
    ),
];

/// Fields of [`Entity::Product`].
pub const PRODUCT: &[Field] = &[
    f(
        "product_code",
        Kind::Code,
        "key of the product across sources",
    ),
    f("name", Kind::Text, "name"),
    f("category", Kind::Text, "category"),
    f("price", Kind::Money, "list price"),
    f("cost", Kind::Money, "cost"),
    f("tax_rate", Kind::Decimal, "tax rate"),
];

/// Fields of [`Entity::Store`].
pub const STORE: &[Field] = &[
    f("store_code", Kind::Code, "key of the store across sources"),
    f("name", Kind::Text, "name"),
    f("region", Kind::Text, "region"),
    f("prefecture", Kind::Text, "prefecture"),
    f("city", Kind::Text, "city"),
    f(
        "cluster",
        Kind::Word,
        "store cluster: office, station, suburb, …",
    ),
    f(
        "phone",
        Kind::Phone,
        "the store's own phone: blocked as an identifier of people",
    ),
    f("opened_on", Kind::Date, "opening day"),
];

/// Fields of [`Entity::Campaign`].
pub const CAMPAIGN: &[Field] = &[
    f("campaign_code", Kind::Code, "key of the campaign"),
    f("name", Kind::Text, "name"),
    f("channel", Kind::Word, "email, app, store, …"),
    f("starts_on", Kind::Date, "first day"),
    f("ends_on", Kind::Date, "last day"),
    f("budget", Kind::Money, "budget"),
];

/// Fields of [`Entity::CampaignTouch`].
pub const CAMPAIGN_TOUCH: &[Field] = &[
    f("campaign_code", Kind::Code, "campaign"),
    f("coupon_code", Kind::Code, "coupon"),
    f(
        "touch_type",
        Kind::Word,
        "sent, opened, clicked, issued, redeemed",
    ),
    f("channel", Kind::Word, "email, app, store, …"),
    f("occurred_at", Kind::Timestamp, "when"),
    f(
        "business_date",
        Kind::Date,
        "day; derived from occurred_at when absent",
    ),
    f("order_number", Kind::Code, "order in which it was redeemed"),
];

/// Fields of [`Entity::Ticket`].
pub const TICKET: &[Field] = &[
    f("ticket_number", Kind::Code, "number"),
    f(
        "category",
        Kind::Word,
        "late_delivery, missing_item, quality, …",
    ),
    f("status", Kind::Word, "open, closed, …"),
    f("opened_at", Kind::Timestamp, "when opened"),
    f("closed_at", Kind::Timestamp, "when closed"),
    f(
        "business_date",
        Kind::Date,
        "day; derived from opened_at when absent",
    ),
    f("order_number", Kind::Code, "order concerned"),
    f("satisfaction", Kind::Integer, "1 to 5"),
];

/// Fields of [`Entity::Delivery`].
pub const DELIVERY: &[Field] = &[
    f("delivery_number", Kind::Code, "number"),
    f("order_number", Kind::Code, "order delivered"),
    f("partner", Kind::Word, "who delivers"),
    f("store_code", Kind::Code, "store it left from"),
    f("status", Kind::Word, "delivered, failed, returned, …"),
    f("promised_at", Kind::Timestamp, "promised time"),
    f("delivered_at", Kind::Timestamp, "real time"),
    f(
        "business_date",
        Kind::Date,
        "day; derived from promised_at when absent",
    ),
    f("fee", Kind::Money, "fee"),
];

/// Fields of [`Entity::Inventory`].
pub const INVENTORY: &[Field] = &[
    f("store_code", Kind::Code, "store"),
    f("product_code", Kind::Code, "product"),
    f("business_date", Kind::Date, "day"),
    f("on_hand", Kind::Integer, "pieces at the day's end"),
    f("wasted", Kind::Integer, "pieces thrown away"),
    f("sold_out_at", Kind::Timestamp, "when it was sold out"),
];

impl Entity {
    /// Every entity, in the order in which tables are listed.
    pub const ALL: [Self; 12] = [
        Self::Customer,
        Self::Order,
        Self::OrderLine,
        Self::Event,
        Self::Consent,
        Self::Product,
        Self::Store,
        Self::Campaign,
        Self::CampaignTouch,
        Self::Ticket,
        Self::Delivery,
        Self::Inventory,
    ];

    /// The fields of the entity.
    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Customer => CUSTOMER,
            Self::Order => ORDER,
            Self::OrderLine => ORDER_LINE,
            Self::Event => EVENT,
            Self::Consent => CONSENT,
            Self::Product => PRODUCT,
            Self::Store => STORE,
            Self::Campaign => CAMPAIGN,
            Self::CampaignTouch => CAMPAIGN_TOUCH,
            Self::Ticket => TICKET,
            Self::Delivery => DELIVERY,
            Self::Inventory => INVENTORY,
        }
    }

    /// A field by its name.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|f| f.name == name)
    }

    /// Name in mappings: `order_line`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Order => "order",
            Self::OrderLine => "order_line",
            Self::Event => "event",
            Self::Consent => "consent",
            Self::Product => "product",
            Self::Store => "store",
            Self::Campaign => "campaign",
            Self::CampaignTouch => "campaign_touch",
            Self::Ticket => "ticket",
            Self::Delivery => "delivery",
            Self::Inventory => "inventory",
        }
    }

    /// Name of the curated table: `order_lines`. Customers become golden records in `customers`.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Customer => "customers",
            Self::Order => "orders",
            Self::OrderLine => "order_lines",
            Self::Event => "events",
            Self::Consent => "consents",
            Self::Product => "products",
            Self::Store => "stores",
            Self::Campaign => "campaigns",
            Self::CampaignTouch => "campaign_touches",
            Self::Ticket => "tickets",
            Self::Delivery => "deliveries",
            Self::Inventory => "inventory",
        }
    }

    /// The field that is the entity's key across sources, when it has one. Rows of two sources with
    /// the same value are one thing, put together field by field by the precedence of their sources.
    #[must_use]
    pub const fn shared_key(self) -> Option<&'static str> {
        match self {
            Self::Order => Some("order_number"),
            Self::Product => Some("product_code"),
            Self::Store => Some("store_code"),
            Self::Campaign => Some("campaign_code"),
            _ => None,
        }
    }

    /// The instant from which `business_date` is derived when it is not mapped.
    #[must_use]
    pub const fn instant(self) -> Option<&'static str> {
        match self {
            Self::Order => Some("ordered_at"),
            Self::Event | Self::CampaignTouch => Some("occurred_at"),
            Self::Consent => Some("given_at"),
            Self::Ticket => Some("opened_at"),
            Self::Delivery => Some("promised_at"),
            _ => None,
        }
    }

    /// Whether curated rows are partitioned by business date.
    #[must_use]
    pub fn is_dated(self) -> bool {
        self != Self::Customer && self.field("business_date").is_some()
    }

    /// Whether rows may belong to a customer (through `customer` in the mapping).
    #[must_use]
    pub const fn has_customer(self) -> bool {
        matches!(
            self,
            Self::Order
                | Self::Event
                | Self::Consent
                | Self::CampaignTouch
                | Self::Ticket
                | Self::Delivery
        )
    }
}
