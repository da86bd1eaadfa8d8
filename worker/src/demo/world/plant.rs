//! Bad rows, planted: one of every kind in every week, beside the good rows and never in their place.

use std::io;

use serde_json::{Value, json};

use super::{Frame, day::Day};
use crate::demo::{sink::Sink, truth::Truth};

/// Whether the `kind`-th fault is planted on a day: each once a week, and each at least once in a world.
pub(super) fn due(frame: &Frame<'_>, day: u32, kind: u32) -> bool {
    day % 7 == kind % frame.days.clamp(1, 7)
}

/// Lines of a till that no till should write. They count in the trailer, as the till counted them.
pub(crate) fn till_lines(
    frame: &Frame<'_>,
    day: &Day,
    truth: &mut Truth,
    sink: &mut Sink,
    lines: &mut u64,
    sum: &mut i64,
) -> io::Result<()> {
    if due(frame, day.number, 0) {
        sink.bad_line(
            truth,
            "negative_quantity",
            "D,90,B001,ﾏｸﾉｳﾁﾍﾞﾝﾄｳ,-1,680,8,680",
        )?;
        *lines += 1;
        *sum += 680;
    }
    if due(frame, day.number, 1) {
        sink.bad_line(truth, "tax_out_of_range", "D,91,T001,ﾘｮｸﾁｬ,1,130,25,130")?;
        *lines += 1;
        *sum += 130;
    }
    Ok(())
}

/// Receipts without lines that cannot be right.
pub(crate) fn till_receipts(
    frame: &Frame<'_>,
    day: &Day,
    truth: &mut Truth,
    sink: &mut Sink,
) -> io::Result<()> {
    let number = format!("S001-{}-9", day.stamp);
    let date = day.date.strftime("%Y/%m/%d");
    let amounts = "680,630,50,0,,現金";
    if due(frame, day.number, 2) {
        let row = format!("R,{number}0001,2026/02/30 12:00:00,売上,,,,,{amounts}");
        sink.bad_line(truth, "impossible_date", &row)?;
    }
    if due(frame, day.number, 3) {
        let row = format!("R,,{date} 12:00:00,売上,,,,,{amounts}");
        sink.bad_line(truth, "missing_key", &row)?;
    }
    if due(frame, day.number, 4) {
        let row = format!("R,{number}0002,{date} 12:00:00,売上,680");
        sink.bad_line(truth, "wrong_column_count", &row)?;
    }
    if due(frame, day.number, 5) {
        let mut row = format!("R,{number}0003,{date} 12:00:00,").into_bytes();
        row.extend([0x81, 0x20, 0xff]); // no character of Windows-31J
        row.extend(b",,,,,680,630,50,0,,");
        sink.bad(truth, "undecodable_text", &row)?;
    }
    if due(frame, day.number, 6) {
        sink.bad_line(truth, "unknown_record_type", "X,S001,TEST")?;
    }
    Ok(())
}

/// A group whose trailer counts three lines where two stand: nobody knows what is lost, so all of it waits.
pub(crate) fn broken_group(day: &Day, truth: &mut Truth, sink: &mut Sink) -> io::Result<()> {
    let number = format!("S002-{}-90001", day.stamp);
    let date = day.date.strftime("%Y/%m/%d");
    for row in [
        format!("H,S002,{0},{0}233500", day.stamp),
        format!("R,{number},{date} 12:00:00,売上,,,,,810,750,60,0,,現金"),
        "D,1,B001,ﾏｸﾉｳﾁﾍﾞﾝﾄｳ,1,680,8,680".to_owned(),
        "D,2,T001,ﾘｮｸﾁｬ,1,130,8,130".to_owned(),
    ] {
        sink.bad_line(truth, "trailer_count", &row)?;
    }
    sink.line("T,S002,3,810")
}

/// Orders of the web shop made from a good one: once a kind and due day.
pub(crate) fn web_order(frame: &Frame<'_>, day: &mut Day, good: &Value) -> io::Result<()> {
    // The kinds are planted after the first order of the day.
    if day.web_orders == 1 && (0..6).any(|kind| due(frame, day.number, kind)) {
        day.good_web_order = Some(good.clone());
    }
    Ok(())
}

/// The rows that are planted at the end of the day's files.
pub(crate) fn late_rows(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    web_orders(frame, day, truth)?;
    members(frame, day, truth)?;
    app(frame, day, truth)?;
    documents(frame, day, truth)?;
    campaigns(frame, day, truth)
}

fn web_orders(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let Some(good) = day.good_web_order.take() else {
        return Ok(());
    };
    let faults: [(&'static str, &str, Value); 5] = [
        ("missing_key", "orderNo", Value::Null),
        (
            "impossible_date",
            "placedAt",
            json!("2026-02-30T12:00:00+09:00"),
        ),
        ("unknown_store", "storeCode", json!("Z-99")),
        ("tax_out_of_range", "taxRateMax", json!("0.25")),
        ("negative_quantity", "quantity", json!(-2)),
    ];
    let sink = &mut day.files.web_orders;
    for (kind, (reason, field, value)) in (0..).zip(faults) {
        if due(frame, day.number, kind) {
            let mut row = good.clone();
            row["orderNo"] = json!(format!("W{:03}99{:05}", day.number + 1, kind));
            row["customerId"] = Value::Null;
            row[field] = value;
            sink.bad_line(truth, reason, &row.to_string())?;
        }
    }
    if due(frame, day.number, 5) {
        let text = good.to_string();
        let cut = text.find("\"items\"").unwrap_or(20);
        sink.bad_line(truth, "invalid_json", &text[..cut])?;
    }
    Ok(())
}

fn members(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let sink = &mut day.files.members;
    let date = day.date.strftime("%Y/%m/%d").to_string();
    let row = |number: &str, birth: &str| {
        format!(
            "{number},見本 花子,ミホン ハナコ,女,{birth},,,,,一般,0,希望しない,{date},{date} 10:00:00"
        )
    };
    if due(frame, day.number, 0) {
        let row = row("2900-0000-0001", "昭和60年2月30日");
        sink.bad_line(truth, "impossible_date", &row)?;
    }
    if due(frame, day.number, 2) {
        sink.bad_line(truth, "missing_key", &row("", "昭和60年2月3日"))?;
    }
    if due(frame, day.number, 4) {
        sink.bad_line(
            truth,
            "wrong_column_count",
            "2900-0000-0002,見本 花子,ミホン ハナコ,女",
        )?;
    }
    if due(frame, day.number, 6) {
        let mut bytes = b"2900-0000-0003,".to_vec();
        bytes.extend([0xe8, 0xa6, 0x2c, 0xff]); // cut in the middle of a character
        bytes.extend(b",,,,,,,,,0,,,");
        sink.bad(truth, "undecodable_text", &bytes)?;
    }
    Ok(())
}

fn app(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let at = day.instant(40_000);
    let event = |id: Value, kind: &str, at: &str| {
        json!({ "event_id": id, "user_id": "u-000000000000", "type": kind, "at": at,
                "platform": "ios", "props": {} })
        .to_string()
    };
    let id = |n: u32| json!(format!("E{}-9{n:07}", day.stamp));
    let sink = &mut day.files.events;
    if due(frame, day.number, 1) {
        sink.bad_line(truth, "unknown_value", &event(id(1), "???", &at))?;
    }
    if due(frame, day.number, 3) {
        sink.bad_line(truth, "missing_key", &event(Value::Null, "view", &at))?;
    }
    if due(frame, day.number, 5) {
        sink.bad_line(truth, "invalid_json", "{\"event_id\": \"E")?;
    }
    if due(frame, day.number, 6) {
        sink.bad_line(
            truth,
            "impossible_date",
            &event(id(2), "view", "2026-13-01T10:00:00+09:00"),
        )?;
    }
    Ok(())
}

/// Contacts of the CRM that cannot be right.
fn documents(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let modified = day.instant(50_000);
    let row = |id: Value, birth: &str| {
        json!({ "contactId": id, "fullName": "見本 太郎", "fullNameKana": null,
                "phones": { "mobile": null, "home": null }, "email": null, "postal": null,
                "address": null, "birthday": birth, "business": false,
                "modified": modified })
        .to_string()
    };
    if due(frame, day.number, 1) {
        let row = row(json!("K-9999999"), "1985-02-30");
        day.files
            .contacts
            .bad_line(truth, "impossible_date", &row)?;
    }
    if due(frame, day.number, 3) {
        let row = row(Value::Null, "1985-02-03");
        day.files.contacts.bad_line(truth, "missing_key", &row)?;
    }
    Ok(())
}

fn campaigns(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    if due(frame, day.number, 2) {
        let row = "LP00000000,CMP-LUNCHPASS,app,,,,2026-11-31 09:00:00";
        day.files.issued.bad_line(truth, "impossible_date", row)?;
    }
    if due(frame, day.number, 4) {
        let row = "LP00000001,CMP-LUNCHPASS";
        day.files
            .issued
            .bad_line(truth, "wrong_column_count", row)?;
    }
    if due(frame, day.number, 6) {
        let row = format!("LP00000002,CMP-LUNCHPASS,store,,,{} 12:00:00", day.date);
        day.files.redeemed.bad_line(truth, "missing_key", &row)?;
    }
    Ok(())
}

/// An order of order management without its total.
pub(crate) fn oms_order(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    good: &Value,
) -> io::Result<()> {
    if day.oms_planted {
        return Ok(());
    }
    day.oms_planted = true;
    let mut row = good.clone();
    row["order_no"] = json!(format!("W{:03}9800001", day.number + 1));
    row["customer"] = Value::Null;
    if due(frame, day.number, 2) {
        row["amount"]["total"] = Value::Null;
        day.files
            .oms
            .bad_line(truth, "missing_value", &row.to_string())?;
    }
    if due(frame, day.number, 4) {
        let text = row.to_string();
        let cut = text.find("\"amount\"").unwrap_or(20);
        day.files
            .oms
            .bad_line(truth, "invalid_json", &text[..cut])?;
    }
    Ok(())
}

/// Deliveries that cannot be right, after the first of the day.
pub(crate) fn delivery(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    good: &str,
) -> io::Result<()> {
    if day.deliveries != 1 {
        return Ok(());
    }
    let number = format!("D{}-9000", day.stamp);
    let mut columns: Vec<&str> = good.split(',').collect();
    let sink = &mut day.files.deliveries;
    if due(frame, day.number, 1) {
        let id = format!("{number}1");
        columns[0] = &id;
        let kept = std::mem::replace(&mut columns[7], "2026/11/31 12:00");
        sink.bad_line(truth, "impossible_date", &columns.join(","))?;
        columns[7] = kept;
        columns[0] = "";
    }
    if due(frame, day.number, 3) {
        sink.bad_line(
            truth,
            "wrong_column_count",
            &format!("{number}2,W0000000000,hayate"),
        )?;
    }
    if due(frame, day.number, 5) {
        let mut row = format!("{number}3,W0000000000,hayate,S001,N99999999,,").into_bytes();
        row.extend([0x83, 0x20, 0xff]);
        row.extend(b",2026/10/01 12:00,,,330");
        sink.bad(truth, "undecodable_text", &row)?;
    }
    Ok(())
}

/// Tickets that cannot be right, after the first of the day.
pub(crate) fn ticket(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    good: &Value,
) -> io::Result<()> {
    if day.tickets != 1 {
        return Ok(());
    }
    let mut row = good.clone();
    row["requester"] = json!({ "id": null });
    row["ticketId"] = json!(format!("T{}-90001", day.stamp));
    if due(frame, day.number, 0) {
        row["satisfaction"] = json!(9);
        day.files
            .tickets
            .bad_line(truth, "out_of_range", &row.to_string())?;
    }
    if due(frame, day.number, 5) {
        row["satisfaction"] = json!(3);
        row["category"] = json!("???");
        day.files
            .tickets
            .bad_line(truth, "unknown_value", &row.to_string())?;
    }
    Ok(())
}

/// Stock that cannot be right.
pub(crate) fn stock(
    frame: &Frame<'_>,
    day: &Day,
    truth: &mut Truth,
    sink: &mut Sink,
) -> io::Result<()> {
    if due(frame, day.number, 3) {
        let row = format!("S001,Z004,{},-5,0,", day.stamp);
        sink.bad_line(truth, "negative_stock", &row)?;
    }
    if due(frame, day.number, 4) {
        let row = format!("S001,??,{},5,0,", day.stamp);
        sink.bad_line(truth, "unknown_product", &row)?;
    }
    Ok(())
}
