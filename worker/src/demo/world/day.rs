//! One day: its files, its weather, its counters.

use std::io;

use jiff::civil::Date;

use super::{Frame, is_holiday, pos::Receipt};
use crate::demo::{
    person::mix,
    places::STORES,
    sink::{Shape, Sink},
};

/// One day under way.
pub(crate) struct Day {
    pub(crate) number: u32,
    pub(crate) date: Date,
    /// `20261001`.
    pub(crate) stamp: String,
    /// 1 (Monday) to 7.
    pub(crate) weekday: i8,
    pub(crate) holiday: bool,
    pub(crate) rain: bool,
    pub(crate) receipts: Vec<Vec<Receipt>>,
    pub(crate) web_orders: u32,
    pub(crate) app_orders: u32,
    pub(crate) deliveries: u32,
    pub(crate) tickets: u32,
    pub(crate) logins: u32,
    pub(crate) events: u32,
    pub(crate) oms_planted: bool,
    /// A good order from which bad ones are made.
    pub(crate) good_web_order: Option<serde_json::Value>,
    /// Web orders that come once more, corrected, in a file of their own.
    pub(crate) corrected: Vec<String>,
    pub(crate) files: Files,
}

/// The files of a day that are written while people live it.
pub(crate) struct Files {
    pub(crate) members: Sink,
    pub(crate) web_customers: Sink,
    pub(crate) web_orders: Sink,
    pub(crate) users: Sink,
    pub(crate) devices: Sink,
    pub(crate) logins: Sink,
    pub(crate) events: Sink,
    pub(crate) contacts: Sink,
    pub(crate) tickets: Sink,
    pub(crate) oms: Sink,
    pub(crate) deliveries: Sink,
    pub(crate) issued: Sink,
    pub(crate) redeemed: Sink,
}

/// Columns of the loyalty programme.
const MEMBERS: &str = "会員番号,氏名,フリガナ,性別,生年月日,電話番号,メールアドレス,郵便番号,住所,ランク,ポイント,メール配信,入会日,更新日時";
/// Columns of the delivery partners.
const DELIVERIES: &str = "配送番号,注文番号,配送会社,店舗コード,届先コード,電話番号,届先住所,約束日時,配達日時,状態,配送料";

impl Day {
    pub(crate) fn open(frame: &Frame<'_>, number: u32) -> io::Result<Self> {
        let date = frame.date(number);
        let stamp = date.strftime("%Y%m%d").to_string();
        let open = |source, stream, name: &str, end: &str, shape| {
            Sink::create(
                frame.root,
                source,
                stream,
                format!("{name}_{stamp}.{end}"),
                shape,
            )
        };
        let lines = Shape::Utf8;
        let mut files = Files {
            members: open("loyalty", "members", "members", "csv", lines)?,
            web_customers: open("webshop", "customers", "customers", "jsonl", lines)?,
            web_orders: open("webshop", "orders", "orders", "jsonl", lines)?,
            users: open("app", "users", "users", "jsonl.gz", Shape::Gzip)?,
            devices: open("app", "devices", "devices", "jsonl.gz", Shape::Gzip)?,
            logins: open("app", "logins", "logins", "jsonl.gz", Shape::Gzip)?,
            events: open("app", "events", "events", "jsonl.gz", Shape::Gzip)?,
            contacts: open(
                "crm",
                "contacts",
                "contacts",
                "json",
                Shape::Document("{\"data\":{\"contacts\":[\n", "\n]}}\n"),
            )?,
            tickets: open(
                "support",
                "tickets",
                "tickets",
                "json",
                Shape::Document("[\n", "\n]\n"),
            )?,
            oms: open("oms", "orders", "oms", "jsonl", lines)?,
            deliveries: open("delivery", "deliveries", "haiso", "csv", Shape::Cp932)?,
            issued: open("campaigns", "issued", "issued", "csv", lines)?,
            redeemed: open("campaigns", "redeemed", "redeemed", "csv", lines)?,
        };
        files
            .members
            .bytes(format!("\u{feff}{MEMBERS}").as_bytes())?;
        files.deliveries.line(DELIVERIES)?;
        files.issued.line(
            "coupon_code,campaign_code,channel,recipient_id,recipient_name,email,issued_at",
        )?;
        files
            .redeemed
            .line("coupon_code,campaign_code,channel,recipient_id,order_no,redeemed_at")?;
        Ok(Self {
            number,
            date,
            weekday: date.weekday().to_monday_one_offset(),
            holiday: is_holiday(date),
            rain: mix(frame.seed ^ mix(u64::from(number) + 77)).is_multiple_of(4),
            stamp,
            receipts: vec![Vec::new(); STORES],
            web_orders: 0,
            app_orders: 0,
            deliveries: 0,
            tickets: 0,
            logins: 0,
            events: 0,
            oms_planted: false,
            good_web_order: None,
            corrected: Vec::new(),
            files,
        })
    }

    /// Closes the day's files; then come the file that is sent twice and the file of corrections.
    pub(crate) fn close(self, frame: &Frame<'_>) -> io::Result<()> {
        let Files {
            members,
            web_customers,
            web_orders,
            users,
            devices,
            logins,
            events,
            contacts,
            tickets,
            oms,
            deliveries,
            issued,
            redeemed,
        } = self.files;
        for sink in [
            members,
            web_customers,
            web_orders,
            users,
            devices,
            logins,
            events,
            contacts,
            tickets,
            oms,
            deliveries,
            issued,
            redeemed,
        ] {
            sink.finish()?;
        }
        if self.number % 7 == 1 {
            let folder = frame.root.join("data/webshop");
            std::fs::copy(
                folder.join(format!("customers_{}.jsonl", self.stamp)),
                folder.join(format!("customers_{}_resent.jsonl", self.stamp)),
            )?;
        }
        if !self.corrected.is_empty() {
            let name = format!("orders_{}_corrected.jsonl", self.stamp);
            let mut sink = Sink::create(frame.root, "webshop", "orders", name, Shape::Utf8)?;
            for line in &self.corrected {
                sink.line(line)?;
            }
            sink.finish()?;
        }
        Ok(())
    }

    /// An instant of the day in ISO 8601 with Japan's offset.
    pub(crate) fn instant(&self, seconds: u32) -> String {
        format!("{}T{}+09:00", self.date, clock(seconds))
    }
}

/// Seconds after midnight as `12:34:56`.
pub(crate) fn clock(seconds: u32) -> String {
    let s = seconds.min(86_399);
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}
