//! The tills: receipts by store, closed every night.

use std::{fmt::Write as _, io};

use rand::Rng;

use super::{
    Frame, Resident,
    day::{Day, clock},
    orders::Basket,
    plant, registers,
};
use crate::demo::{
    catalog::{CAMPAIGNS, PRODUCTS},
    person::rng,
    places::{self, STORES},
    sink::{Shape, Sink},
    spell,
    truth::Truth,
};

/// A receipt before it has its number.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    basket: Basket,
    /// Card number, half-width reading, person, household, and the card's place among all cards.
    member: Option<Member>,
    redeems: Option<u64>,
    undone: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Member {
    card: String,
    kana: String,
    person: u64,
    household: u64,
    index: u64,
}

impl Receipt {
    /// A resident's receipt; the card is not always shown.
    pub(crate) fn member(frame: &Frame<'_>, day: u32, who: &Resident, basket: Basket) -> Self {
        let person = &who.person;
        let mut r = rng(frame.seed, 20, person.id, u64::from(day));
        let copy = u64::from(person.cards == 2 && r.random_bool(0.4));
        let shown = registers::has_card_on(frame, person, copy, day)
            && (basket.coupon.is_some() || r.random_bool(0.65));
        let member = shown.then(|| Member {
            card: registers::card(person.id, copy),
            kana: spell::half_kana(&format!("{} {}", person.family.kana, person.given.kana)),
            person: person.id,
            household: person.household,
            index: person.id * 2 + copy,
        });
        Self {
            redeems: basket.coupon.as_ref().map(|_| person.id),
            undone: undone(&mut r),
            basket,
            member,
        }
    }
}

fn undone(r: &mut impl Rng) -> Option<&'static str> {
    match r.random_range(0..1000) {
        0..=7 => Some("返品"),
        8..=11 => Some("取消"),
        _ => None,
    }
}

/// People who show no card and are nobody to any system.
pub(crate) fn strangers(frame: &Frame<'_>, day: &mut Day) {
    let per_store = frame.customers as f64 * 0.09 / STORES as f64;
    for store in 0..STORES {
        let mut r = rng(frame.seed, 21, store as u64, u64::from(day.number));
        let demand = places::cluster_of(store).demand(day.weekday, day.holiday);
        let expected = per_store * demand * r.random_range(0.8..1.2);
        let count = expected as usize + usize::from(r.random_bool(expected.fract()));
        for _ in 0..count {
            let receipt = Receipt {
                basket: Basket::stranger(&mut r, store),
                member: None,
                redeems: None,
                undone: undone(&mut r),
            };
            day.receipts[store].push(receipt);
        }
    }
}

/// One store's group under way.
struct Till<'a> {
    sink: &'a mut Sink,
    store: usize,
    number: u32,
    lines: u64,
    sum: i64,
}

/// Writes the night file: a group for each store. On some days one store's group comes two days late, in
/// a file of its own.
pub(crate) fn close_tills(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth) -> io::Result<()> {
    let file = |name: String| Sink::create(frame.root, "pos", "sales", name, Shape::Cp932);
    let mut sink = file(format!("pos_{}.csv", day.stamp))?;
    let late_store = (day.number % 6 == 3).then_some(STORES - 1);
    for store in 0..STORES {
        let mut receipts = std::mem::take(&mut day.receipts[store]);
        receipts.sort_by_key(|r| r.basket.time);
        if late_store == Some(store) {
            let later = frame.date(day.number + 2).strftime("%Y%m%d").to_string();
            let mut late = file(format!("pos_{later}_late.csv"))?;
            group(frame, day, truth, &mut late, store, &receipts)?;
            late.finish()?;
        } else {
            group(frame, day, truth, &mut sink, store, &receipts)?;
        }
    }
    sink.finish()?;
    if plant::due(frame, day.number, 4) {
        let mut broken = file(format!("pos_{}_broken.csv", day.stamp))?;
        plant::broken_group(day, truth, &mut broken)?;
        broken.finish()?;
    }
    Ok(())
}

fn group(
    frame: &Frame<'_>,
    day: &mut Day,
    truth: &mut Truth,
    sink: &mut Sink,
    store: usize,
    receipts: &[Receipt],
) -> io::Result<()> {
    let code = places::code(store);
    sink.line(&format!("H,{code},{0},{0}233000", day.stamp))?;
    let mut till = Till {
        sink,
        store,
        number: 0,
        lines: 0,
        sum: 0,
    };
    for receipt in receipts {
        till.receipt(day, truth, receipt)?;
    }
    if store == 0 && !receipts.is_empty() {
        plant::till_lines(frame, day, truth, till.sink, &mut till.lines, &mut till.sum)?;
        plant::till_receipts(frame, day, truth, till.sink)?;
    }
    let (lines, sum) = (till.lines, till.sum);
    sink.line(&format!("T,{code},{lines},{sum}"))
}

impl Till<'_> {
    fn receipt(&mut self, day: &mut Day, truth: &mut Truth, receipt: &Receipt) -> io::Result<()> {
        let sold = self.write(day, truth, receipt, "売上", "", receipt.basket.time)?;
        if let Some(member) = &receipt.member
            && truth.first("pos", member.index)
        {
            truth.person(
                "pos",
                "sales",
                &member.card,
                member.person,
                member.household,
            )?;
        }
        if let (Some(person), Some((campaign, code))) = (receipt.redeems, &receipt.basket.coupon) {
            day.files.redeemed.line(&format!(
                "{code},{},store,ML{person:08},{sold},{} {}",
                CAMPAIGNS[*campaign].code,
                day.date,
                clock(receipt.basket.time)
            ))?;
        }
        if let Some(kind) = receipt.undone {
            self.write(day, truth, receipt, kind, &sold, receipt.basket.time + 420)?;
        }
        Ok(())
    }

    /// Writes a receipt and its lines; gives its number back.
    fn write(
        &mut self,
        day: &Day,
        truth: &mut Truth,
        receipt: &Receipt,
        kind: &str,
        original: &str,
        time: u32,
    ) -> io::Result<String> {
        self.number += 1;
        let basket = &receipt.basket;
        let number = format!(
            "{}-{}-{:05}",
            places::code(self.store),
            day.stamp,
            self.number
        );
        let sign = if original.is_empty() { "" } else { "-" };
        let (card, kana) = receipt
            .member
            .as_ref()
            .map_or(("", ""), |m| (m.card.as_str(), m.kana.as_str()));
        let coupon = basket.coupon.as_ref().map_or("", |(_, code)| code);
        let (total, tax) = (basket.total(), basket.tax());
        let payment = ["現金", "カード", "電子マネー", "QR"][(time % 4) as usize];
        self.sink.line(&format!(
            "R,{number},{} {},{kind},{sign},{original},{card},{kana},{total},{},{tax},{},{coupon},{payment}",
            day.date.strftime("%Y/%m/%d"),
            clock(time),
            total - tax,
            basket.discount,
        ))?;
        let mut text = String::new();
        for (at, (product, quantity)) in basket.lines.iter().enumerate() {
            let product = &PRODUCTS[*product];
            let amount = product.price * quantity;
            text.clear();
            let _ = write!(
                text,
                "D,{},{},{},{quantity},{},{},{amount}",
                at + 1,
                product.code,
                product.till,
                product.price,
                product.tax()
            );
            self.sink.line(&text)?;
            self.lines += 1;
            self.sum += amount;
        }
        let signed = if original.is_empty() { total } else { -total };
        truth.sold("store", day.date, signed);
        Ok(number)
    }
}
