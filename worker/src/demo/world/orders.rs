//! Who buys what, when and where.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{Frame, Resident, day::Day, registers};
use crate::demo::{
    catalog::{CAMPAIGNS, PRODUCTS},
    person::{mix, rng},
    places::{self, Cluster, STORES},
};

/// Where an order is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Store,
    Web,
    App,
}

impl Channel {
    /// The word in every system.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Web => "web",
            Self::App => "app",
        }
    }
}

/// What somebody buys.
#[derive(Clone, Debug)]
pub(crate) struct Basket {
    pub(crate) channel: Channel,
    pub(crate) store: usize,
    /// Seconds after midnight.
    pub(crate) time: u32,
    /// Product (index) and quantity.
    pub(crate) lines: Vec<(usize, i64)>,
    pub(crate) discount: i64,
    /// Coupon: campaign and code.
    pub(crate) coupon: Option<(usize, String)>,
}

impl Basket {
    /// What a resident buys on a day, if anything.
    pub(crate) fn of(frame: &Frame<'_>, day: &Day, who: &Resident) -> Option<Self> {
        let person = &who.person;
        let mut r = rng(frame.seed, 10, person.id, u64::from(day.number));
        let redeems = who
            .coupons
            .iter()
            .position(|c| matches!(c, Some((_, Some(on))) if *on == day.number));
        let cluster = places::cluster_of(person.store);
        let chance = person.rate
            * cluster.demand(day.weekday, day.holiday)
            * person.lift(&who.coupons, day.number)
            * if day.rain { 0.8 } else { 1.0 };
        if redeems.is_none() && !r.random_bool(chance.clamp(0.0, 0.97)) {
            return None;
        }
        let account = registers::account_on(frame, person, day.number).is_some();
        let app = registers::has_app_on(frame, person, day.number);
        let wants_store = match redeems {
            Some(c) => r.random_bool(CAMPAIGNS[c].in_store),
            None => !r.random_bool(person.online),
        };
        let channel = match (wants_store, account, app) {
            (true, ..) | (_, false, false) => Channel::Store,
            (_, true, false) => Channel::Web,
            (_, false, true) => Channel::App,
            _ if r.random_bool(0.6) => Channel::Web,
            _ => Channel::App,
        };
        let away = channel == Channel::Store && r.random_bool(0.12);
        let store = if away {
            r.random_range(0..STORES)
        } else {
            person.store
        };
        let lines = lines(&mut r, store, person.taste, channel != Channel::Store);
        let coupon = redeems.map(|c| (c, coupon_code(person.id, c)));
        Some(Self {
            channel,
            store,
            time: time(&mut r, places::cluster_of(store)),
            discount: coupon.as_ref().map_or(0, |(c, _)| CAMPAIGNS[*c].discount),
            lines,
            coupon,
        })
    }

    /// What a stranger buys.
    pub(crate) fn stranger(r: &mut ChaCha8Rng, store: usize) -> Self {
        let taste = r.random_range(0..7);
        Self {
            channel: Channel::Store,
            store,
            lines: lines(r, store, taste, false),
            time: time(r, places::cluster_of(store)),
            discount: 0,
            coupon: None,
        }
    }

    /// Yen with tax, discount taken off.
    pub(crate) fn total(&self) -> i64 {
        self.sum(8) + self.sum(10) - self.discount
    }

    /// Tax in the total, rounded down per rate. The discount is taken off the food.
    pub(crate) fn tax(&self) -> i64 {
        (self.sum(8) - self.discount) * 8 / 108 + self.sum(10) * 10 / 110
    }

    /// Pieces.
    pub(crate) fn pieces(&self) -> i64 {
        self.lines.iter().map(|(_, quantity)| quantity).sum()
    }

    fn sum(&self, rate: i64) -> i64 {
        self.lines
            .iter()
            .map(|(product, quantity)| (&PRODUCTS[*product], quantity))
            .filter(|(product, _)| product.tax() == rate)
            .map(|(product, quantity)| product.price * quantity)
            .sum()
    }
}

/// Code of the coupon that a campaign gives a person.
pub(crate) fn coupon_code(person: u64, campaign: usize) -> String {
    let code = (person as u32)
        .wrapping_mul(0x9e37_79b1)
        .wrapping_add(mix(campaign as u64) as u32);
    format!("{}{code:08X}", CAMPAIGNS[campaign].prefix)
}

/// A dish first, of the category that the person, the region or the place prefers; then what goes with it.
fn lines(r: &mut ChaCha8Rng, store: usize, taste: usize, online: bool) -> Vec<(usize, i64)> {
    let regional = match places::city_of(store).region {
        "北海道" | "東北" => 2,
        "九州" => 1,
        "近畿" => 0,
        "中部" => 1,
        _ => 3,
    };
    let local = match places::cluster_of(store) {
        Cluster::Hospital => 4,
        Cluster::Tourist => 0,
        Cluster::Suburb => 6,
        Cluster::Station => 5,
        Cluster::Office => 3,
    };
    let dish = match r.random_range(0..10) {
        0..=4 => taste,
        5..=6 => regional,
        7..=8 => local,
        _ => r.random_range(0..6),
    };
    let family = online || places::cluster_of(store) == Cluster::Suburb;
    let quantity = if family { r.random_range(1..=3) } else { 1 };
    let mut lines = vec![(of_category(r, dish), quantity)];
    // A side dish alone is no meal: then a box comes with it, which also carries a coupon's discount.
    if dish == 5 || dish == 6 {
        lines.push((of_category(r, taste.min(4)), 1));
    }
    if r.random_bool(0.4) {
        lines.push((of_category(r, 7), quantity));
    }
    if r.random_bool(0.07) {
        let extra = 8 + usize::from(r.random_bool(0.4));
        lines.push((of_category(r, extra), 1));
    }
    lines
}

fn of_category(r: &mut ChaCha8Rng, category: usize) -> usize {
    let first = PRODUCTS.partition_point(|p| p.category < category);
    let end = PRODUCTS.partition_point(|p| p.category <= category);
    r.random_range(first..end)
}

/// Lunch is the peak, and higher among offices.
fn time(r: &mut ChaCha8Rng, cluster: Cluster) -> u32 {
    let lunch = match cluster {
        Cluster::Office | Cluster::Hospital => 0.75,
        Cluster::Tourist => 0.6,
        Cluster::Station => 0.45,
        Cluster::Suburb => 0.35,
    };
    let (from, to) = match r.random_bool(lunch) {
        true => (11 * 3600, 14 * 3600),
        false if r.random_bool(0.7) => (16 * 3600 + 1800, 20 * 3600 + 1800),
        false => (7 * 3600, 22 * 3600),
    };
    r.random_range(from..to)
}
