//! The truth about a world, written aside: who is who, which rows are bad, and what was sold.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use jiff::civil::Date;

/// The truth under way: `people.csv`, `bad_rows.csv` and `totals.csv` in the folder `truth`.
pub struct Truth {
    people: BufWriter<File>,
    bad: BufWriter<File>,
    totals: BTreeMap<(&'static str, Date), (u64, i64)>,
    folder: std::path::PathBuf,
    seen: BTreeMap<&'static str, Vec<u64>>,
    /// Records of people written.
    pub records: u64,
    /// Bad rows planted.
    pub planted: u64,
}

impl Truth {
    /// Starts `truth` below `root`.
    ///
    /// # Errors
    /// When the folder or a file cannot be made.
    pub fn create(root: &Path) -> io::Result<Self> {
        let folder = root.join("truth");
        fs::create_dir_all(&folder)?;
        let open = |name: &str, header: &str| -> io::Result<BufWriter<File>> {
            let mut file = BufWriter::new(File::create(folder.join(name))?);
            writeln!(file, "{header}")?;
            Ok(file)
        };
        Ok(Self {
            people: open("people.csv", "source,stream,key,person,household")?,
            bad: open("bad_rows.csv", "source,stream,file,row,reason")?,
            totals: BTreeMap::new(),
            folder,
            seen: BTreeMap::new(),
            records: 0,
            planted: 0,
        })
    }

    /// Says whose the customer record with a key is; parts of a key are joined by `|`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn person(
        &mut self,
        source: &str,
        stream: &str,
        key: &str,
        person: u64,
        household: u64,
    ) -> io::Result<()> {
        self.records += 1;
        writeln!(
            self.people,
            "{source},{stream},{key},P{person:08},H{household:08}"
        )
    }

    /// Whether `index` of a `set` is met for the first time.
    pub fn first(&mut self, set: &'static str, index: u64) -> bool {
        let words = self.seen.entry(set).or_default();
        let (word, bit) = ((index / 64) as usize, 1u64 << (index % 64));
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let first = words[word] & bit == 0;
        words[word] |= bit;
        first
    }

    /// Says that a row of a file (line or element, from 1; a header line counts) must end in quarantine.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn bad(
        &mut self,
        source: &str,
        stream: &str,
        file: &str,
        row: u64,
        reason: &str,
    ) -> io::Result<()> {
        self.planted += 1;
        writeln!(self.bad, "{source},{stream},{file},{row},{reason}")
    }

    /// Counts an order: yen with tax, negative for returns and voids.
    pub fn sold(&mut self, channel: &'static str, date: Date, total: i64) {
        let entry = self.totals.entry((channel, date)).or_default();
        entry.0 += 1;
        entry.1 += total;
    }

    /// Writes the totals and closes the files.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> io::Result<()> {
        self.people.flush()?;
        self.bad.flush()?;
        let mut totals = BufWriter::new(File::create(self.folder.join("totals.csv"))?);
        writeln!(totals, "channel,date,orders,total")?;
        for ((channel, date), (orders, total)) in &self.totals {
            writeln!(totals, "{channel},{date},{orders},{total}")?;
        }
        totals.flush()
    }
}
