//! Rows per second of each normaliser over Japanese customers, on one thread.
//!
//!     cargo run --release -p musubi-clean --example throughput -- 200000
//!
//! The rows are made up from a counter: family and given names, readings, phones and the like in mixed notations.

use std::{hint::black_box, time::Instant};

use musubi_clean::{address, date, email, kana, name, phone, postal};

const FAMILY: [(&str, &str); 8] = [
    ("佐藤", "サトウ"),
    ("鈴木", "ｽｽﾞｷ"),
    ("髙橋", "たかはし"),
    ("渡邊", "ワタナベ"),
    ("伊藤", "イトウ"),
    ("山﨑", "ﾔﾏｻﾞｷ"),
    ("小林", "コバヤシ"),
    ("加藤", "カトウ"),
];
const GIVEN: [(&str, &str); 8] = [
    ("太郎", "タロウ"),
    ("花子", "ﾊﾅｺ"),
    ("美咲", "みさき"),
    ("翔太", "ショウタ"),
    ("陽菜", "ヒナ"),
    ("健", "ｹﾝ"),
    ("優子", "ユウコ"),
    ("大輔", "ダイスケ"),
];
const TOWNS: [&str; 8] = [
    "大阪府高槻市奈佐原２丁目",
    "東京都新宿区新小川町",
    "神奈川県横浜市青葉区荏田町",
    "北海道札幌市中央区北三条西３丁目",
    "東京都杉並区善福寺２－",
    "京都府京都市南区唐橋琵琶町",
    "愛知県名古屋市東区白壁4丁目",
    "福岡県福岡市博多区美野島四丁目",
];

struct Row {
    name: String,
    kana: String,
    phone: String,
    email: String,
    postal: String,
    address: String,
    date: String,
}

fn row(i: usize) -> Row {
    let mixed = i.wrapping_mul(0x9e37_79b9) >> 7;
    let (family, given) = (FAMILY[mixed % 8], GIVEN[mixed / 8 % 8]);
    let tail = 10_000_000 + mixed % 89_999_999;
    let (middle, last) = (tail / 10_000, tail % 10_000);
    Row {
        name: format!("{}　{}", family.0, given.0),
        kana: format!("{} {}", family.1, given.1),
        phone: match mixed % 3 {
            0 => format!("090-{middle:04}-{last:04}"),
            1 => format!("０９０－{middle:04}－{last:04}"),
            _ => format!("03-{middle:04}-{last:04}"),
        },
        email: format!("user{mixed}@bento.jp"),
        postal: format!("{:03}-{last:04}", 100 + mixed % 800),
        address: format!(
            "{}{}番{}号",
            TOWNS[mixed / 64 % 8],
            1 + mixed % 40,
            1 + mixed / 40 % 30
        ),
        date: match mixed % 3 {
            0 => format!(
                "{}/{}/{}",
                1950 + mixed % 60,
                1 + mixed % 12,
                1 + mixed % 28
            ),
            1 => format!(
                "昭和{}年{}月{}日",
                2 + mixed % 60,
                1 + mixed % 12,
                1 + mixed % 28
            ),
            _ => format!(
                "{}-{:02}-{:02}",
                1950 + mixed % 60,
                1 + mixed % 12,
                1 + mixed % 28
            ),
        },
    }
}

/// Seconds this thread has spent on a processor, where the system says so (Linux); a busy machine does not blur them.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split(' ').next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

fn measure(kind: &str, rows: &[Row], total: &mut f64, each: impl Fn(&Row) -> bool) {
    // the tables that are unpacked at first use are not what a million rows cost
    black_box(each(&rows[0]));
    let (wall, cpu) = (Instant::now(), cpu_seconds());
    let valid = rows.iter().filter(|row| each(row)).count();
    let seconds = match (cpu, cpu_seconds()) {
        (Some(before), Some(after)) => after - before,
        _ => wall.elapsed().as_secs_f64(),
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    let per_million = seconds / rows.len() as f64 * 1e6;
    *total += per_million;
    println!(
        "{kind:<10} {:>12.0} rows/s  {per_million:.3} s per million  {valid} valid",
        1e6 / per_million
    );
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(200_000);
    let rows: Vec<Row> = (0..count).map(row).collect();
    if rows.is_empty() {
        return;
    }
    let mut total = 0.0;
    measure("name", &rows, &mut total, |row| {
        name::split(black_box(&row.name)).valid
    });
    measure("kana", &rows, &mut total, |row| {
        kana::normalise(black_box(&row.kana)).valid
    });
    measure("phone", &rows, &mut total, |row| {
        phone::normalise(black_box(&row.phone), "JP").valid
    });
    measure("email", &rows, &mut total, |row| {
        email::normalise(black_box(&row.email)).valid
    });
    measure("postal", &rows, &mut total, |row| {
        postal::normalise(black_box(&row.postal), "JP").valid
    });
    measure("address", &rows, &mut total, |row| {
        address::normalise(black_box(&row.address), "JP").valid
    });
    measure("date", &rows, &mut total, |row| {
        date::parse(black_box(&row.date), None).valid
    });
    println!("together   {total:.3} s per million rows");
}
