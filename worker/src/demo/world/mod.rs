//! The world: writes the exports of ten systems, day by day, and the truth about them.
//!
//! Everything is drawn from the seed and a number (person, day, store), so the same arguments give the
//! same bytes, and memory holds one day of receipts, not the people.

mod day;
mod erp;
mod online;
mod orders;
mod plant;
mod pos;
mod registers;
mod workbook;

use std::{io, path::Path};

use jiff::{ToSpan, civil::Date};

use self::{day::Day, orders::Basket};
use super::{
    catalog::CAMPAIGNS,
    person::{Person, rng},
    truth::Truth,
};

/// First day of every world.
pub const START: Date = Date::constant(2026, 10, 1);
/// People of whom the world remembers who they are instead of drawing them again each day.
const REMEMBERED: u64 = 100_000;

/// What a world came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// People.
    pub customers: u64,
    /// Days.
    pub days: u32,
    /// Seed.
    pub seed: u64,
    /// Records of people in all systems.
    pub records: u64,
    /// Bad rows planted.
    pub planted: u64,
}

/// A person and the coupons they get.
pub(crate) struct Resident {
    pub(crate) person: Person,
    pub(crate) coupons: Vec<Option<(u32, Option<u32>)>>,
}

/// What every part of the world needs to know.
pub(crate) struct Frame<'a> {
    pub(crate) seed: u64,
    pub(crate) customers: u64,
    pub(crate) days: u32,
    pub(crate) root: &'a Path,
}

impl Frame<'_> {
    fn resident(&self, id: u64) -> Resident {
        let person = Person::of(self.seed, id, START);
        let mut draw = rng(self.seed, 3, id, 0);
        let coupons = (0..CAMPAIGNS.len())
            .map(|c| person.coupon(&mut draw, c, self.days))
            .collect();
        Resident { person, coupons }
    }

    /// The date of a day, counted from 0.
    pub(crate) fn date(&self, day: u32) -> Date {
        START.saturating_add(i64::from(day).days())
    }
}

/// Days on which nobody works in an office.
pub(crate) fn is_holiday(date: Date) -> bool {
    matches!(
        (date.month(), date.day()),
        (10, 12) | (11, 3 | 23) | (12, 29..=31) | (1, 1..=3)
    )
}

impl World {
    /// Writes `data/` and `truth/` below `root`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn generate(customers: u64, days: u32, seed: u64, root: &Path) -> io::Result<Self> {
        let frame = Frame {
            seed,
            customers,
            days,
            root,
        };
        let mut truth = Truth::create(root)?;
        erp::masters(&frame)?;
        online::campaigns(&frame)?;
        let remembered: Option<Vec<Resident>> = (customers <= REMEMBERED)
            .then(|| (0..customers).map(|id| frame.resident(id)).collect());
        for number in 0..days {
            let mut day = Day::open(&frame, number)?;
            for id in 0..customers {
                match &remembered {
                    Some(all) => live(&frame, &mut day, &mut truth, &all[id as usize])?,
                    None => live(&frame, &mut day, &mut truth, &frame.resident(id))?,
                }
            }
            pos::strangers(&frame, &mut day);
            pos::close_tills(&frame, &mut day, &mut truth)?;
            erp::stock(&frame, &mut day, &mut truth)?;
            plant::late_rows(&frame, &mut day, &mut truth)?;
            day.close(&frame)?;
        }
        let (records, planted) = (truth.records, truth.planted);
        truth.finish()?;
        Ok(Self {
            customers,
            days,
            seed,
            records,
            planted,
        })
    }
}

/// One person's day.
fn live(frame: &Frame<'_>, day: &mut Day, truth: &mut Truth, who: &Resident) -> io::Result<()> {
    registers::sign_up(frame, day, truth, who)?;
    online::coupons_issued(frame, day, truth, who)?;
    online::browse(frame, day, who)?;
    let Some(basket) = Basket::of(frame, day, who) else {
        return Ok(());
    };
    match basket.channel {
        orders::Channel::Store => {
            day.receipts[basket.store].push(pos::Receipt::member(frame, day.number, who, basket));
            Ok(())
        }
        orders::Channel::Web => online::order(frame, day, truth, who, &basket),
        orders::Channel::App => online::order(frame, day, truth, who, &basket),
    }
}
