//! What happens online: coupons, browsing, orders, their deliveries, and the tickets of those who waited.

use std::io;

use rand::Rng;
use serde_json::{Value, json};

use super::{
    Frame, Resident,
    day::{Day, clock},
    orders::{Basket, Channel, coupon_code},
    plant, registers,
};
use crate::demo::{
    catalog::{CAMPAIGNS, PRODUCTS},
    person::{mix, rng},
    places,
    sink::{Shape, Sink},
    spell::{self, Contact},
    truth::Truth,
};

/// Writes the campaigns.
pub(crate) fn campaigns(frame: &Frame<'_>) -> io::Result<()> {
    let name = "campaigns.csv".to_owned();
    let mut sink = Sink::create(frame.root, "campaigns", "campaigns", name, Shape::Utf8)?;
    sink.line("campaign_code,name,channel,starts_on,ends_on,budget")?;
    let ends = frame.date(frame.days.max(1) - 1);
    for c in CAMPAIGNS {
        sink.line(&format!(
            "{},{},{},{},{ends},{}",
            c.code,
            c.name,
            c.channel,
            super::START,
            c.budget
        ))?;
    }
    sink.finish()
}

/// Writes the coupons that a person gets on the day.
pub(crate) fn coupons_issued(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
) -> io::Result<()> {
    let person = &who.person;
    for (at, coupon) in who.coupons.iter().enumerate() {
        if !matches!(coupon, Some((issued, _)) if *issued == day.number) {
            continue;
        }
        let contact = Contact::of(person, frame.seed, 8, 0, false);
        let recipient = format!("ML{:08}", person.id);
        let mut r = rng(frame.seed, 38, person.id, 0);
        day.files.issued.line(&format!(
            "{},{},{},{recipient},{},{},{} {}",
            coupon_code(person.id, at),
            CAMPAIGNS[at].code,
            CAMPAIGNS[at].channel,
            contact.full_name(person.latin, &mut r),
            contact.email,
            day.date,
            clock(32_400 + (mix(person.id) % 3600) as u32),
        ))?;
        if truth.first("recipients", person.id) {
            truth.person(
                "campaigns",
                "issued",
                &recipient,
                person.id,
                person.household,
            )?;
        }
    }
    Ok(())
}

/// Writes what a person does in the app on a day without an order.
pub(crate) fn browse(frame: &Frame<'_>, day: &mut Day, who: &Resident) -> io::Result<()> {
    let person = &who.person;
    let mut r = rng(frame.seed, 40, person.id, u64::from(day.number));
    if !person.app
        || !r.random_bool((0.06 + person.rate).min(0.9))
        || !registers::has_app_on(frame, person, day.number)
    {
        return Ok(());
    }
    let user = registers::app_user(person.id);
    let device = registers::device_id(frame, person);
    let platform = if mix(person.id) % 10 < 6 {
        "ios"
    } else {
        "android"
    };
    let mut time = r.random_range(6 * 3600..22 * 3600);
    day.logins += 1;
    let login = format!("L{}-{:07}", day.stamp, day.logins);
    let row =
        json!({ "login_id": login, "user_id": user, "device_id": device, "at": day.instant(time) });
    day.files.logins.line(&row.to_string())?;
    for _ in 0..r.random_range(1..4) {
        time += r.random_range(5..200);
        day.events += 1;
        let kind = [
            "view",
            "view",
            "add_to_cart",
            "favourite",
            "store_search",
            "coupon_view",
        ][r.random_range(0..6)];
        let product = &PRODUCTS[r.random_range(0..PRODUCTS.len())];
        let row = json!({
            "event_id": format!("E{}-{:08}", day.stamp, day.events),
            "user_id": user, "type": kind, "at": day.instant(time), "platform": platform,
            "props": { "sku": product.code, "store": places::code(person.store) },
        });
        day.files.events.line(&row.to_string())?;
    }
    Ok(())
}

/// How an order reaches the person.
struct Fate {
    number: String,
    delivered: bool,
    refunded: bool,
}

/// Writes an order of the web shop or the app: where it was placed, in order management, and what follows.
pub(crate) fn order(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
    basket: &Basket,
) -> io::Result<()> {
    let person = &who.person;
    let mut r = rng(frame.seed, 41, person.id, u64::from(day.number));
    let (prefix, sequence) = match basket.channel {
        Channel::App => ('A', &mut day.app_orders),
        _ => ('W', &mut day.web_orders),
    };
    *sequence += 1;
    let fate = Fate {
        number: format!("{prefix}{:03}{:07}", day.number + 1, sequence),
        delivered: r.random_bool(if basket.channel == Channel::Web {
            0.65
        } else {
            0.25
        }),
        refunded: r.random_bool(0.012),
    };
    let guest = basket.channel == Channel::Web && basket.coupon.is_none() && r.random_bool(0.06);
    if let Some((campaign, code)) = &basket.coupon {
        day.files.redeemed.line(&format!(
            "{code},{},{},ML{:08},{},{} {}",
            CAMPAIGNS[*campaign].code,
            basket.channel.word(),
            person.id,
            fate.number,
            day.date,
            clock(basket.time)
        ))?;
    }
    if basket.channel == Channel::Web {
        web_rows(frame, day, who, basket, &fate, guest)?;
    }
    oms_rows(frame, day, truth, who, basket, &fate, guest)?;
    truth.sold(basket.channel.word(), day.date, basket.total());
    if fate.refunded {
        truth.sold(basket.channel.word(), day.date, -basket.total());
    }
    let late = if fate.delivered {
        delivery(frame, day, truth, who, basket, &fate)?
    } else {
        0
    };
    if r.random_bool(if late > 20 { 0.35 } else { 0.015 }) {
        ticket(frame, day, truth, who, &fate, late > 20)?;
    }
    Ok(())
}

fn coupon(basket: &Basket) -> Value {
    basket.coupon.as_ref().map_or(
        Value::Null,
        |(campaign, code)| json!({ "code": code, "campaign": CAMPAIGNS[*campaign].code }),
    )
}

fn web_rows(
    frame: &Frame<'_>,
    day: &mut Day,
    who: &Resident,
    basket: &Basket,
    fate: &Fate,
    guest: bool,
) -> io::Result<()> {
    let person = &who.person;
    let copy = registers::account_on(frame, person, day.number).unwrap_or(0);
    let items: Vec<Value> = basket
        .lines
        .iter()
        .enumerate()
        .map(|(at, (product, quantity))| {
            let product = &PRODUCTS[*product];
            json!({ "line": at + 1, "sku": product.code, "qty": quantity, "price": product.price,
                    "taxRate": if product.tax() == 8 { "0.08" } else { "0.1" } })
        })
        .collect();
    let payment = ["card", "qr", "cod"][(basket.time % 3) as usize];
    let mut row = json!({
        "orderNo": fate.number,
        "customerId": (!guest).then(|| registers::account(person.id, copy)),
        "kind": "sale", "status": "completed",
        "placedAt": day.instant(basket.time), "businessDate": day.date.to_string(),
        "storeCode": places::code(basket.store),
        "items": items, "quantity": basket.pieces(), "taxRateMax": "0.1",
        "discount": basket.discount, "coupon": coupon(basket),
        "total": basket.total(), "tax": basket.tax(),
        "payment": payment,
        "originalOrder": null, "updatedAt": day.instant(basket.time),
    });
    // On some days the shop first exports wrong totals for a few orders, and corrects them in the evening.
    if day.number % 5 == 2 && day.corrected.len() < 3 {
        day.corrected.push({
            let mut right = row.clone();
            right["updatedAt"] = json!(day.instant(86_000));
            right.to_string()
        });
        row["total"] = json!(basket.total() + 50);
    }
    let text = row.to_string();
    day.files.web_orders.line(&text)?;
    plant::web_order(frame, day, &row)?;
    if fate.refunded {
        row["orderNo"] = json!(format!("{}-R", fate.number));
        row["originalOrder"] = json!(fate.number);
        row["kind"] = json!("refund");
        row["items"] = json!([]);
        row["discount"] = json!(0);
        row["coupon"] = Value::Null;
        row["total"] = json!(-basket.total());
        row["tax"] = json!(-basket.tax());
        row["updatedAt"] = json!(day.instant(86_100));
        day.files.web_orders.line(&row.to_string())?;
    }
    Ok(())
}

fn oms_rows(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
    basket: &Basket,
    fate: &Fate,
    guest: bool,
) -> io::Result<()> {
    let person = &who.person;
    let contact = Contact::of(person, frame.seed, 5, 0, false);
    let mut r = rng(frame.seed, 42, person.id, 0);
    let web = basket.channel == Channel::Web;
    let account = if web {
        let copy = registers::account_on(frame, person, day.number).unwrap_or(0);
        registers::account(person.id, copy)
    } else {
        registers::app_user(person.id)
    };
    let name = contact.full_name(person.latin, &mut r);
    let steps: &[(&str, u32)] = if fate.delivered {
        &[
            ("placed", 0),
            ("cooking", 600),
            ("shipped", 1800),
            ("delivered", 3600),
        ]
    } else {
        &[("placed", 0), ("cooking", 600), ("picked_up", 2400)]
    };
    let history: Vec<Value> = steps
        .iter()
        .map(|(status, after)| json!({ "status": status, "at": day.instant(basket.time + after) }))
        .collect();
    let lines: Vec<Value> = basket
        .lines
        .iter()
        .map(|(product, quantity)| {
            let product = &PRODUCTS[*product];
            json!({ "sku": product.code, "qty": quantity, "price": product.price,
                    "tax_rate": if product.tax() == 8 { "0.08" } else { "0.1" } })
        })
        .collect();
    let customer = if guest {
        Value::Null
    } else {
        json!({ "account": account, "name": name, "email": contact.email, "phone": contact.phone,
                "app_user": (!web).then_some(&account) })
    };
    let ship_to = fate.delivered.then(
        || json!({ "zip": contact.postal, "address": spell::address(&contact.place, &mut r) }),
    );
    let last = steps.last().map_or("placed", |(status, _)| status);
    let mut row = json!({
        "order_no": fate.number, "channel": basket.channel.word(), "kind": "sale", "status": last,
        "ordered_at": day.instant(basket.time), "business_date": day.date.to_string(),
        "customer": customer, "ship_to": if guest { None } else { ship_to },
        "store": places::code(basket.store),
        "amount": { "total": basket.total(), "tax": basket.tax(), "discount": basket.discount },
        "coupon": coupon(basket), "lines": lines, "history": history,
        "original_order": null, "updated_at": day.instant(basket.time + 3600),
    });
    day.files.oms.line(&row.to_string())?;
    plant::oms_order(frame, day, truth, &row)?;
    let index = match (web, registers::account_on(frame, person, day.number)) {
        (true, copy) => person.id * 4 + copy.unwrap_or(0),
        (false, _) => person.id * 4 + 3,
    };
    if !guest && truth.first("oms", index) {
        truth.person("oms", "orders", &account, person.id, person.household)?;
    }
    if fate.refunded {
        row["order_no"] = json!(format!("{}-R", fate.number));
        row["original_order"] = json!(fate.number);
        row["kind"] = json!("refund");
        row["status"] = json!("refunded");
        row["lines"] = json!([]);
        row["history"] = json!([]);
        row["coupon"] = Value::Null;
        row["amount"] = json!({ "total": -basket.total(), "tax": -basket.tax(), "discount": 0 });
        day.files.oms.line(&row.to_string())?;
    }
    Ok(())
}

/// Writes a delivery; gives the minutes back by which it was late.
fn delivery(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
    basket: &Basket,
    fate: &Fate,
) -> io::Result<u32> {
    let person = &who.person;
    let mut r = rng(frame.seed, 43, person.id, u64::from(day.number));
    let (partner, trouble) = match r.random_range(0..10) {
        0..=3 => ("hayate", 0.1),
        4..=7 => ("nekomaru", 0.06),
        _ => ("citybike", if day.rain { 0.45 } else { 0.14 }),
    };
    let trouble: f64 = if day.holiday { trouble * 1.8 } else { trouble };
    let late = if r.random_bool(trouble.min(0.9)) {
        r.random_range(21..90)
    } else {
        r.random_range(0..12)
    };
    let promised = (basket.time + 3600).min(82_000) / 60 * 60;
    let arrived = (promised + late * 60).min(86_340);
    let contact = Contact::of(person, frame.seed, 6, 0, false);
    let mut notation = rng(frame.seed, 44, person.id, 0);
    let consignee = format!("N{:08}", person.id);
    let date = day.date.strftime("%Y/%m/%d");
    day.deliveries += 1;
    let row = format!(
        "D{}-{:05},{},{partner},{},{consignee},{},{},{date} {},{date} {},完了,{}",
        day.stamp,
        day.deliveries,
        fate.number,
        places::code(basket.store),
        contact.phone,
        spell::address(&contact.place, &mut notation),
        &clock(promised)[..5],
        &clock(arrived)[..5],
        if basket.total() > 3000 { 0 } else { 330 },
    );
    day.files.deliveries.line(&row)?;
    if truth.first("consignees", person.id) {
        truth.person(
            "delivery",
            "deliveries",
            &consignee,
            person.id,
            person.household,
        )?;
    }
    plant::delivery(frame, day, truth, &row)?;
    Ok(late)
}

fn ticket(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    who: &Resident,
    fate: &Fate,
    late: bool,
) -> io::Result<()> {
    let person = &who.person;
    let contact = Contact::of(person, frame.seed, 7, 0, false);
    let mut r = rng(frame.seed, 45, person.id, u64::from(day.number));
    let category = if late {
        "late_delivery"
    } else {
        ["missing_item", "quality", "question", "app_problem"][r.random_range(0..4)]
    };
    let requester = format!("Z{:08}", person.id);
    let mut own = rng(frame.seed, 46, person.id, 0);
    let by_phone = own.random_bool(0.4);
    day.tickets += 1;
    let opened: u32 = r.random_range(60_000..80_000);
    let row = json!({
        "ticketId": format!("T{}-{:05}", day.stamp, day.tickets),
        "openedAt": day.instant(opened), "closedAt": day.instant(opened + 3000),
        "category": category, "status": "closed", "orderNo": fate.number,
        "requester": {
            "id": requester, "name": contact.full_name(person.latin, &mut own),
            "email": (!by_phone).then_some(&contact.email),
            "phone": by_phone.then_some(&contact.phone),
        },
        "satisfaction": if late { r.random_range(1..3) } else { r.random_range(3..6) },
    });
    day.files.tickets.line(&row.to_string())?;
    if truth.first("requesters", person.id) {
        truth.person(
            "support",
            "tickets",
            &requester,
            person.id,
            person.household,
        )?;
    }
    plant::ticket(frame, day, truth, &row)
}
