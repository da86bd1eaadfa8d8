//! Who lives in the world. A person is a pure function of the seed and their number, so that a million
//! of them need no memory.

use jiff::civil::Date;
use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    catalog::CAMPAIGNS,
    names::{self, Name},
    places::{CITIES, STORES},
};

/// A generator for one purpose, the same whenever it is asked for.
#[must_use]
pub fn rng(seed: u64, purpose: u64, a: u64, b: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(seed ^ mix(purpose ^ mix(a ^ mix(b)))))
}

/// SplitMix64's finaliser.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Where somebody lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index into [`CITIES`].
    pub city: usize,
    /// Index into its towns.
    pub town: usize,
    /// 丁目.
    pub chome: u8,
    /// 番.
    pub ban: u8,
    /// 号.
    pub go: u8,
    /// Building (index into [`BUILDINGS`]) and room.
    pub room: Option<(usize, u16)>,
}

/// Names of apartment houses.
pub const BUILDINGS: [&str; 8] = [
    "メゾン青葉",
    "コーポ春日",
    "サンハイツ",
    "グランドール",
    "ハイム富士見",
    "レジデンス桜",
    "第二ひまわり荘",
    "パークサイド南",
];

impl Address {
    fn draw(rng: &mut ChaCha8Rng, city: usize) -> Self {
        Self {
            city,
            town: rng.random_range(0..5),
            chome: rng.random_range(1..=5),
            ban: rng.random_range(1..=40),
            go: rng.random_range(1..=30),
            room: rng.random_bool(0.55).then(|| {
                (
                    rng.random_range(0..BUILDINGS.len()),
                    u16::from(rng.random_range(1..=9u8)) * 100 + rng.random_range(1..=12),
                )
            }),
        }
    }
}

/// A person.
#[derive(Clone, Debug)]
pub struct Person {
    /// Number, from 0.
    pub id: u64,
    /// Household: the number of its first member.
    pub household: u64,
    /// Whether the name is written in Latin letters.
    pub latin: bool,
    /// Family name.
    pub family: &'static Name,
    /// Family name before a marriage; some systems still know it.
    pub maiden: Option<&'static Name>,
    /// Given name.
    pub given: &'static Name,
    /// Gender.
    pub female: bool,
    /// Birth date.
    pub birth: Date,
    /// Digits of the mobile phone: `09012345678`.
    pub mobile: u64,
    /// Digits of the household's fixed telephone after the area code, when it has one.
    pub landline: Option<u64>,
    /// Whether the household reads one mailbox.
    pub family_mailbox: bool,
    /// Address.
    pub address: Address,
    /// Address before a move; some systems still know it.
    pub moved_from: Option<Address>,
    /// Home store (from 0).
    pub store: usize,
    /// Category liked best.
    pub taste: usize,
    /// Orders a day, on average.
    pub rate: f64,
    /// Share of orders made online.
    pub online: f64,
    /// Cards of the loyalty programme: 0 to 2.
    pub cards: u8,
    /// Accounts of the web shop: 0 to 2.
    pub accounts: u8,
    /// Whether the person has the app.
    pub app: bool,
    /// Whether the catering team knows the person.
    pub crm: bool,
}

/// Sizes of the households in a block of four people.
const HOUSEHOLDS: [[u8; 4]; 6] = [
    [1, 1, 1, 1],
    [1, 1, 2, 0],
    [1, 1, 1, 1],
    [2, 2, 0, 0],
    [1, 3, 0, 0],
    [4, 0, 0, 0],
];

impl Person {
    /// The person with a number. `start` is the first day of the world.
    #[must_use]
    pub fn of(seed: u64, id: u64, start: Date) -> Self {
        let (first, member) = place_in_household(seed, id);
        let mut home = rng(seed, 1, first, 0);
        let latin = home.random_bool(0.08);
        let surname: u64 = skewed(&mut home);
        let store = home.random_range(0..STORES);
        let address = Address::draw(&mut home, store / 5 % CITIES.len());
        let landline = home
            .random_bool(0.35)
            .then(|| home.random_range(20_000_000..90_000_000));
        let family_mailbox = home.random_bool(0.06);
        let mut own = rng(seed, 2, id, 0);
        let female = if member < 2 {
            (member == 0) ^ own.random_bool(0.08)
        } else {
            own.random_bool(0.5)
        };
        let family = if latin {
            names::latin_family(surname)
        } else {
            names::family(surname)
        };
        let given_index = skewed(&mut own);
        let given = if latin {
            names::latin_given(female, given_index)
        } else {
            names::given(female, given_index)
        };
        let age = if member < 2 {
            own.random_range(23..74)
        } else {
            own.random_range(16..23)
        };
        let birth = Date::new(
            start.year() - age,
            own.random_range(1..=12),
            own.random_range(1..=28),
        )
        .unwrap_or(start);
        let prefix = [70, 80, 90][own.random_range(0..3)];
        let mobile = prefix * 100_000_000 + own.random_range(10_000_000..99_999_999);
        let maiden = (female && !latin && age < 45 && own.random_bool(0.08))
            .then(|| names::family(own.random()));
        let moved_from = own.random_bool(0.1).then(|| {
            let city = own.random_range(0..CITIES.len());
            Address::draw(&mut own, city)
        });
        let spread: f64 = own.random();
        Self {
            id,
            household: first,
            latin,
            family,
            maiden,
            given,
            female,
            birth,
            mobile,
            landline,
            family_mailbox,
            address,
            moved_from,
            store,
            taste: own.random_range(0..7),
            rate: 0.02 + 0.55 * spread.powi(5),
            online: if own.random_bool(0.45) {
                own.random_range(0.1..0.8)
            } else {
                0.0
            },
            cards: u8::from(own.random_bool(0.55)) * (1 + u8::from(own.random_bool(0.07))),
            accounts: u8::from(own.random_bool(0.42)) * (1 + u8::from(own.random_bool(0.06))),
            app: own.random_bool(0.35),
            crm: own.random_bool(0.08),
        }
    }

    /// Whether a coupon of a campaign reaches the person: the day it is issued and the day it is
    /// redeemed, counted from the start.
    #[must_use]
    pub fn coupon(
        &self,
        rng: &mut ChaCha8Rng,
        campaign: usize,
        days: u32,
    ) -> Option<(u32, Option<u32>)> {
        let c = &CAMPAIGNS[campaign];
        let reachable = if c.channel == "app" {
            self.app
        } else {
            self.cards > 0 || self.accounts > 0
        };
        let reached = rng.random_bool(c.reach);
        let issued = rng.random_range(0..days.div_ceil(2).max(1));
        let redeemed = rng.random_bool(c.redeemed);
        let after = rng.random_range(0..5);
        (reached && reachable).then(|| {
            let on = (redeemed && issued + after < days).then_some(issued + after);
            (issued, on)
        })
    }

    /// Factor on the person's orders on a day, for the campaigns that worked on them.
    #[must_use]
    pub fn lift(&self, coupons: &[Option<(u32, Option<u32>)>], day: u32) -> f64 {
        coupons
            .iter()
            .zip(CAMPAIGNS)
            .filter(|(coupon, _)| matches!(coupon, Some((_, Some(on))) if *on < day))
            .map(|(_, campaign)| campaign.lift)
            .product()
    }
}

/// Index that prefers small values, as names do.
fn skewed(rng: &mut ChaCha8Rng) -> u64 {
    let x: f64 = rng.random();
    (x * x * 190.0) as u64
}

/// First member of a person's household, and the person's place in it.
fn place_in_household(seed: u64, id: u64) -> (u64, u64) {
    let block = id / 4;
    let sizes = HOUSEHOLDS[(mix(seed ^ mix(block)) % 6) as usize];
    let mut first = block * 4;
    for size in sizes {
        let next = first + u64::from(size);
        if id < next {
            return (first, id - first);
        }
        first = next;
    }
    (id, 0)
}
