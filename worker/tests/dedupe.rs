//! `musubi dedupe`: files of records in, who is who out; no YAML.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/identity")
        .join(name)
}

fn musubi(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_musubi"))
        .args(args)
        .output()
        .expect("musubi starts")
}

/// A folder with files, in which commands run.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("a file is written");
        path.display().to_string()
    }

    fn out(&self) -> String {
        self.0.path().join("out").display().to_string()
    }

    /// Runs dedupe, which succeeds; gives the figures.
    fn dedupe(&self, args: &[&str]) -> Value {
        let out = self.out();
        let done = musubi(&[&["dedupe", "--out", &out, "-o", "json"], args].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
    }

    /// Runs dedupe, which fails; gives what it said.
    fn refuses(&self, args: &[&str]) -> String {
        let out = self.out();
        let done = musubi(&[&["dedupe", "--out", &out], args].concat());
        assert!(!done.status.success(), "it should have been refused");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    fn table(&self, name: &str) -> Vec<RecordBatch> {
        let file = fs::File::open(self.0.path().join("out").join(name)).expect("the file is there");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet");
        let batches = reader.build().expect("it can be read");
        batches.map(|b| b.expect("a batch")).collect()
    }

    /// Rows by cluster, smallest first.
    fn clusters(&self) -> Vec<Vec<i64>> {
        let mut clusters: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for batch in self.table("clusters.parquet") {
            let rows = batch["row"].as_primitive::<Int64Type>();
            let ids = batch["cluster_id"].as_string::<i32>();
            for at in 0..batch.num_rows() {
                let cluster = clusters.entry(ids.value(at).to_owned()).or_default();
                cluster.push(rows.value(at));
            }
        }
        let mut clusters: Vec<Vec<i64>> = clusters.into_values().collect();
        clusters.sort();
        clusters
    }
}

/// FEBRL with the person as a column of its own.
fn febrl() -> String {
    let text = fs::read_to_string(data("dataset3.csv")).expect("FEBRL 3");
    let mut lines = text.lines();
    let mut out = format!("{}, person\n", lines.next().unwrap_or_default());
    for line in lines {
        let person = line.split('-').nth(1).unwrap_or_default();
        out.push_str(&format!("{line}, {person}\n"));
    }
    out
}

fn number(stats: &Value, path: &str) -> f64 {
    let found = stats.pointer(path).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number at {path} in {stats:#}"))
}

fn roles(stats: &Value) -> BTreeMap<String, String> {
    let columns = stats["inputs"][0]["columns"].as_array().expect("columns");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    columns
        .iter()
        .map(|c| (text(&c["column"]), text(&c["role"])))
        .collect()
}

#[test]
fn febrl_3_without_a_word_about_its_columns() {
    let place = Place::new();
    let file = place.write("people.csv", febrl());
    let stats = place.dedupe(&[&file, "--truth", "person", "--shards", "4"]);
    assert!(
        number(&stats, "/accuracy/pairwise/f1") >= 0.998,
        "{stats:#}"
    );
    assert!(number(&stats, "/accuracy/b_cubed/f1") >= 0.998);
    assert!(number(&stats, "/blocking_recall/value") >= 0.99);
    assert_eq!(stats["blocking_recall"]["estimated"], false);
    for (column, role) in [
        ("rec_id", "id"),
        ("given_name", "given_name"),
        ("surname", "family_name"),
        ("street_number", "block"),
        ("address_1", "town"),
        ("address_2", "building"),
        ("suburb", "city"),
        ("postcode", "postal_code"),
        ("state", "prefecture"),
        ("date_of_birth", "birth_date"),
        ("soc_sec_id", "ignore"),
        ("person", "ignore"),
    ] {
        assert_eq!(roles(&stats)[column], role, "{column}");
    }
    // Every row is in one cluster, and every link joins two rows of one.
    let clusters = place.clusters();
    let mut rows: Vec<i64> = clusters.iter().flatten().copied().collect();
    rows.sort_unstable();
    assert_eq!(rows, (0..5000).collect::<Vec<i64>>());
    let of: BTreeMap<i64, usize> = clusters
        .iter()
        .enumerate()
        .flat_map(|(at, rows)| rows.iter().map(move |r| (*r, at)))
        .collect();
    let mut links = 0;
    for batch in place.table("edges.parquet") {
        let (left, right) = (
            batch["row_l"].as_primitive::<Int64Type>(),
            batch["row_r"].as_primitive::<Int64Type>(),
        );
        links += batch.num_rows();
        for at in 0..batch.num_rows() {
            assert_eq!(of[&left.value(at)], of[&right.value(at)]);
        }
        for name in ["weight", "probability", "rule", "given", "birth", "street"] {
            assert!(batch.column_by_name(name).is_some(), "{name}");
        }
    }
    assert_eq!(links as f64, number(&stats, "/links"));
}

#[test]
fn fake_1000_and_its_model_again() {
    let place = Place::new();
    let file = data("fake_1000.csv").display().to_string();
    let stats = place.dedupe(&[&file, "--truth", "cluster"]);
    assert!(number(&stats, "/accuracy/pairwise/f1") >= 0.96, "{stats:#}");
    is_calibrated(&stats);
    let first = place.clusters();
    let model = place.0.path().join("model.json");
    fs::rename(place.0.path().join("out/model.json"), &model).expect("a model");
    let again = place.dedupe(&[&file, "--model", &model.display().to_string()]);
    assert_eq!(place.clusters(), first);
    assert_eq!(stats["model"], again["model"]);
    assert_eq!(again["blocking_recall"]["estimated"], true);
    let estimate = number(&again, "/blocking_recall/value");
    assert!((0.9..=1.0).contains(&estimate), "{estimate}");
}

/// What is said of probabilities adds up to all scored pairs, and is not far from what is true.
fn is_calibrated(stats: &Value) {
    let found = &stats["accuracy"]["calibration"];
    let bins = found["bins"].as_array().expect("bins");
    let sum: f64 = bins.iter().map(|b| number(b, "/pairs")).sum();
    let all = number(stats, "/pairs");
    assert!((sum - all).abs() <= 0.01 * all, "{sum} of {all}");
    for bin in bins {
        let said = number(bin, "/predicted");
        assert!(
            number(bin, "/from") <= said && said <= number(bin, "/to"),
            "{bin}"
        );
    }
    let (first, last) = (&bins[0], &bins[bins.len() - 1]);
    assert!(number(first, "/observed/value") < 0.1, "{found:#}");
    assert!(number(last, "/observed/value") > 0.98, "{found:#}");
    assert!(number(found, "/error") < 0.1, "{found:#}");
}

#[test]
fn linking_never_joins_two_rows_of_a_file_by_themselves() {
    let place = Place::new();
    let text = febrl();
    let mut files = [String::new(), String::new()];
    for (at, line) in text.lines().enumerate() {
        let original = usize::from(!line.contains("-org"));
        if at == 0 {
            files
                .iter_mut()
                .for_each(|f| f.push_str(&format!("{line}\n")));
        } else {
            files[original].push_str(&format!("{line}\n"));
        }
    }
    let [a, b] = ["originals.csv", "copies.csv"]
        .into_iter()
        .zip(files)
        .map(|(name, text)| place.write(name, text))
        .collect::<Vec<_>>()
        .try_into()
        .expect("two");
    let stats = place.dedupe(&[&a, &b, "--link", "--truth", "person"]);
    assert!(
        number(&stats, "/accuracy/pairwise/f1") >= 0.995,
        "{stats:#}"
    );
    assert_eq!(stats["mode"], "link");
    // The interval is that of pairs across the files.
    let f1 = number(&stats, "/accuracy/pairwise/f1");
    let end = |end: &str| number(&stats, &format!("/accuracy/intervals/pairwise/{end}"));
    assert!(
        end("low") <= f1 && f1 <= end("high") && end("low") < end("high") && end("low") > 0.98,
        "{stats:#}"
    );
    for batch in place.table("edges.parquet") {
        let row = |name: &str| batch[name].as_primitive::<Int64Type>().clone();
        let (left, right) = (row("row_l"), row("row_r"));
        for at in 0..batch.num_rows() {
            assert!(left.value(at) < 2000 && right.value(at) >= 2000);
        }
    }
    let sources: BTreeSet<String> = place
        .table("clusters.parquet")
        .iter()
        .flat_map(|b| {
            let sources = b["source"].as_string::<i32>();
            (0..b.num_rows())
                .map(|r| sources.value(r).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(sources, ["copies", "originals"].map(str::to_owned).into());
}

/// Few records in Japanese, as a shop exports them: CP932, its own headers, an era.
const SHOP: &str = "会員番号,お名前,フリガナ,電話番号,郵便番号,住所,生年月日,備考\n\
    1,山田 太郎,ヤマダ タロウ,090-1111-2222,569-1041,大阪府高槻市奈佐原2-1-3,昭和55年4月3日,\n\
    2,山田　太郎,ﾔﾏﾀﾞ ﾀﾛｳ,09011112222,5691041,大阪府高槻市奈佐原二丁目１番３号,1980/4/3,\n\
    3,鈴木 花子,スズキ ハナコ,06-6333-1111,530-0001,大阪府大阪市北区梅田1-1,1991-12-01,\n\
    4,佐藤 次郎,サトウ ジロウ,080-2222-3333,530-0002,大阪府大阪市北区曽根崎新地1-2,S40.1.2,\n";

#[test]
fn a_japanese_export_of_a_few_rows() {
    let place = Place::new();
    let (bytes, _, broken) = encoding_rs::SHIFT_JIS.encode(SHOP);
    assert!(!broken);
    let file = place.write("会員.csv", bytes);
    let stats = place.dedupe(&[&file]);
    let roles = roles(&stats);
    for (column, role) in [
        ("会員番号", "id"),
        ("お名前", "name"),
        ("フリガナ", "name_kana"),
        ("電話番号", "phone"),
        ("郵便番号", "postal_code"),
        ("住所", "address"),
        ("生年月日", "birth_date"),
        ("備考", "ignore"),
    ] {
        assert_eq!(roles[column], role, "{column}");
    }
    assert_eq!(stats["country"], "jp");
    assert_eq!(place.clusters(), [vec![0, 1], vec![2], vec![3]]);
    let page = fs::read_to_string(place.0.path().join("out/report.html")).expect("a page");
    assert!(page.contains("--sample pairs.csv") && !page.contains("In figures"));
    for value in ["山田", "ヤマダ", "090", "高槻", "1980"] {
        assert!(!page.contains(value), "{value} is a value of a person");
    }
}

#[test]
fn columns_of_any_name_and_dates_of_any_notation() {
    let place = Place::new();
    // Two columns of one name, one without, a date in four notations, and a column of nothing.
    let mut text = String::from("Forename;Last Name;Last Name;DOB;E-Mail;;void\n");
    let people = [
        (
            "Ann",
            "Miller",
            "ann.miller@one.example",
            ["1980-05-14", "14/05/1980", "14 May 1980", "19800514"],
        ),
        (
            "Robert",
            "Tanner",
            "rtanner@two.example",
            ["1971-11-30", "30/11/1971", "30 Nov 1971", "19711130"],
        ),
        (
            "Grace",
            "Okoye",
            "gokoye@three.example",
            ["1990-01-02", "02/01/1990", "2 Jan 1990", "19900102"],
        ),
        (
            "Hugh",
            "Wexford",
            "hughw@four.example",
            ["1965-07-21", "21/07/1965", "21 Jul 1965", "19650721"],
        ),
    ];
    for (given, family, mail, births) in people {
        for birth in births {
            text.push_str(&format!("{given};{family};x;{birth};{mail};y;\n"));
        }
    }
    let file = place.write("odd.txt", text);
    let stats = place.dedupe(&[&file]);
    assert_eq!(roles(&stats)["Last Name_2"], "ignore");
    let understood = &stats["understood"]["birth_date"];
    assert_eq!(understood["given"], understood["understood"], "{stats:#}");
    let expected: Vec<Vec<i64>> = (0..4).map(|p| (4 * p..4 * p + 4).collect()).collect();
    assert_eq!(place.clusters(), expected);
    assert_eq!(roles(&stats)["void"], "ignore");
}

/// Two of three records have the family name first, and no list knows these names.
#[test]
fn whole_names_are_read_in_the_order_in_which_they_are_written() {
    let place = Place::new();
    let (given, family) = (
        [
            "Quiana Ro",
            "Tobin",
            "Merle",
            "Ludo",
            "Yael",
            "Britt",
            "Odile",
        ],
        [
            "Wix",
            "Okafor",
            "Lindqvist",
            "Baptiste",
            "Jurek",
            "Haddad",
            "Pruitt",
            "Selassie",
        ],
    );
    let mut text = String::from("Full Name,Birthday\n");
    for person in 0..56 {
        let (given, family) = (given[person % 7], family[person % 8]);
        let born = format!("19{}-0{}-1{}", 40 + person, 1 + person % 9, person % 10);
        for name in [
            format!("{family}, {given}"),
            format!("{family} {given}"),
            format!("{given} {family}"),
        ] {
            text.push_str(&format!("\"{name}\",{born}\n"));
        }
    }
    let file = place.write("names.csv", text);
    let stats = place.dedupe(&[&file]);
    let expected: Vec<Vec<i64>> = (0..56).map(|p| (3 * p..3 * p + 3).collect()).collect();
    assert_eq!(place.clusters(), expected, "{stats:#}");
    let mut levels = BTreeSet::new();
    for batch in place.table("edges.parquet") {
        for part in ["given", "family"] {
            let column = batch[part].as_string::<i32>().iter();
            levels.extend(column.flatten().map(str::to_owned));
        }
    }
    assert_eq!(levels, BTreeSet::from(["exact".to_owned()]));
}

#[test]
fn a_birth_date_in_three_columns_counts() {
    let place = Place::new();
    let mut text = String::from("fname_c1,lname_c1,by,bm,bd\n");
    for n in 0..40 {
        text.push_str(&format!(
            "NAME{},FAMILY{},19{},{},{}\n",
            n / 2,
            n / 2,
            40 + n / 2,
            1 + n % 12 / 2,
            1 + n / 2
        ));
    }
    let file = place.write("rl.csv", text);
    let stats = place.dedupe(&[&file]);
    assert_eq!(number(&stats, "/understood/birth_date/understood"), 40.0);
    assert_eq!(roles(&stats)["bd"], "birth_day");
}

#[test]
fn bad_rows_are_counted_and_rows_keep_their_numbers() {
    let place = Place::new();
    let file = place.write(
        "bad.csv",
        "\n\nid,name,email,birth_date\n\
         1,Ann Miller,ann@one.example,1980-05-14\n\
         2,too,many,columns,here\n\
         ,,,\n\
         \n\
         4,\"Ann\nMiller\",ann@one.example,1980-05-14\n\
         5,too few\n\
         6,Bob Tanner,bob@two.example,1971-11-30\n",
    );
    let stats = place.dedupe(&[&file]);
    assert_eq!(stats["records"], 6);
    assert_eq!(stats["bad_rows"], 2);
    let lines: Vec<&Value> = stats["bad"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|b| &b["line"])
        .collect();
    assert_eq!(lines, [5, 10]);
    assert_eq!(
        place.clusters(),
        [vec![0, 3], vec![1], vec![2], vec![4], vec![5]]
    );
    let shown = musubi(&["dedupe", &file, "--out", &place.out()]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("bad.csv line 5: 5 columns where the header has 4"),
        "{shown}"
    );
    for line in shown.lines() {
        assert!(
            line.chars().count() <= 80 || line.contains(&place.out()) || line.contains("bad.csv"),
            "{line}"
        );
    }
}

#[test]
fn what_comes_out_is_the_same_for_any_shards_memory_and_threads_and_from_parquet() {
    let place = Place::new();
    let file = data("fake_1000.csv").display().to_string();
    let both = |place: &Place| {
        (
            place.table("clusters.parquet"),
            place.table("edges.parquet"),
        )
    };
    place.dedupe(&[&file, "--shards", "1", "--threads", "1"]);
    let (one, clusters) = (both(&place), place.clusters());
    for more in [
        ["--shards", "16", "--memory", "1GB"],
        ["--threads", "3", "--memory", "130MB"],
    ] {
        place.dedupe(&[&[&*file], &more[..]].concat());
        assert!(both(&place) == one, "{more:?}");
    }
    let parquet = as_parquet(&place, &file);
    place.dedupe(&[&parquet]);
    assert_eq!(place.clusters(), clusters);
}

#[test]
fn records_that_memory_cannot_hold_are_refused_before_they_are_read() {
    const ROWS: usize = 400_000;
    let place = Place::new();
    let mut text = String::from("given_name,family_name,email\n");
    for n in 0..ROWS {
        text.push_str(&format!("Ann,Nobody,p{n:06}@example.com\n"));
    }
    let file = place.write("people.csv", text);
    let began = std::time::Instant::now();
    let said = place.refuses(&[&file, "--memory", "80MB"]);
    let about = |said: &str| {
        let (_, after) = said.split_once("about ")?;
        let (rows, _) = after.split_once(" rows need ")?;
        rows.replace(',', "").parse::<usize>().ok()
    };
    let rows = about(&said).unwrap_or_else(|| panic!("no number of rows in {said}"));
    assert!(rows.abs_diff(ROWS) < ROWS / 20, "{said}");
    assert!(said.contains("--memory allows 80 MB. Allow more"), "{said}");
    assert!(!Path::new(&place.out()).exists(), "{said}");
    assert!(began.elapsed().as_secs() < 30, "all was read: {said}");
}

#[test]
fn a_test_record_of_thousands_of_rows_is_one_person() {
    const COPIES: usize = 5_000;
    let place = Place::new();
    let people = fs::read_to_string(data("fake_1000.csv")).expect("fake_1000");
    let mut lines = people.lines();
    let mut text = lines.next().expect("a header").to_owned() + "\n";
    for line in lines.take(500) {
        text.push_str(&format!("{line}\n"));
    }
    let others = text.lines().count() as i64 - 1;
    for n in 0..COPIES {
        let row = format!(
            "{},Test,Tester,1980-01-01,Utrecht,test@shop.nl,9999\n",
            50_000 + n
        );
        text.push_str(&row);
    }
    let file = place.write("people.csv", text);
    let stats = place.dedupe(&[&file]);
    assert!(number(&stats, "/pairs") < 100_000.0, "{stats}");
    let one = place.clusters();
    let largest = one.iter().max_by_key(|c| c.len()).expect("clusters");
    assert_eq!(largest.len(), COPIES);
    assert!(largest.iter().all(|row| *row >= others));
    for shards in ["4", "16"] {
        place.dedupe(&[&file, "--shards", shards]);
        assert_eq!(place.clusters(), one);
    }
}

fn as_parquet(place: &Place, csv: &str) -> String {
    use arrow::array::{ArrayRef, StringArray};
    let mut reader = csv::Reader::from_path(csv).expect("a file");
    let header: Vec<String> = reader
        .headers()
        .expect("a header")
        .iter()
        .map(str::to_owned)
        .collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let columns = header.iter().enumerate().map(|(at, name)| {
        let values: StringArray = rows
            .iter()
            .map(|r| r.get(at).filter(|v| !v.is_empty()))
            .collect();
        (name, std::sync::Arc::new(values) as ArrayRef, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    let path = place.0.path().join("people.parquet");
    let file = fs::File::create(&path).expect("a file");
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("an end");
    path.display().to_string()
}

#[test]
fn wrong_input_is_answered_with_the_way_out() {
    let place = Place::new();
    let people = place.write(
        "people.csv",
        "name,email\nAnn Miller,a@b.example\nBob Tanner,c@d.example\n",
    );
    let numbers = place.write("numbers.csv", "a,b\n1,2\n3,4\n");
    let empty = place.write("empty.csv", "");
    let header = place.write("header.csv", "name,email\n");
    let json = place.write("people.json", "[{\"name\": \"Ann\"}]");
    let model = place.write("model.json", "{}");
    let missing = place.0.path().join("missing.csv").display().to_string();
    let folder = place.0.path().display().to_string();
    for (args, said) in [
        (&[missing.as_str()][..], "missing.csv: is the path right?"),
        (&[&folder], "is a folder: give its files"),
        (&[&empty], "is empty"),
        (&[&header], "has a header and no rows"),
        (&[&json], "neither CSV nor Parquet but looks like json"),
        (&[&numbers], "--field COLUMN=family_name"),
        (&[&people, &people], "is given twice"),
        (&[&people, "--link"], "--link takes two files"),
        (
            &[&people, "--truth", "who"],
            "no column \"who\" for --truth; its columns are name, email",
        ),
        (
            &[&people, "--field", "nmae=name"],
            "no file has a column \"nmae\"",
        ),
        (&[&people, "--field", "name=nam"], "perhaps name"),
        (&[&people, "--field", "name"], "give COLUMN=ROLE"),
        (
            &[&people, "--threshold", "95"],
            "no probability between 0 and 1",
        ),
        (&[&people, "--memory", "5"], "as in 500MB"),
        (&[&people, "--memory", "32MB"], "--memory allows 32 MB"),
        (&[&people, "--model", &model], "model.json"),
        (&[&people, "--country", "Japan"], "two letters"),
    ] {
        let answer = place.refuses(args);
        assert!(answer.contains(said), "{said} in {answer}");
        assert!(!answer.contains("Ann"), "a value of a person in {answer}");
    }
}

#[test]
fn a_link_of_files_is_explained_by_its_rows() {
    let place = Place::new();
    let file = place.write(
        "people.csv",
        fs::read(data("fake_1000.csv")).expect("a file"),
    );
    place.dedupe(&[&file, "--truth", "cluster"]);
    let out = place.out();
    let path = Path::new(&out);
    let edges = place.table("edges.parquet");
    let row = |name: &str| edges[0][name].as_primitive::<Int64Type>().value(0);
    let (left, right) = (row("row_l"), row("row_r"));
    let weight = &edges[0]["weight"];
    let weight = weight
        .as_primitive::<arrow::datatypes::Float32Type>()
        .value(0);
    let explain =
        |what: &[&str]| musubi(&[&["explain", "--dedupe", &out, "-o", "json"], what].concat());
    let done = explain(&[&left.to_string(), &right.to_string()]);
    let said: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)));
    assert_eq!(said["left"], left.to_string().as_str());
    let explained = said["weight"].as_f64().expect("a weight");
    // A pair that an identifier proves stands with more than its score.
    assert!(explained <= f64::from(weight) + 0.01, "{said}");
    let clusters = place.table("clusters.parquet");
    let id = clusters[0].column_by_name("cluster_id").expect("ids");
    let id = id
        .as_string::<i32>()
        .value(usize::try_from(left).expect("a row"));
    let done = explain(&["customer", id]);
    let said: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let rows: Vec<&str> = said["records"]
        .as_array()
        .expect("records")
        .iter()
        .filter_map(|r| r["record"].as_str())
        .collect();
    assert!(
        rows.contains(&&*left.to_string()) && rows.contains(&&*right.to_string()),
        "{said}"
    );
    let shown = musubi(&[
        "explain",
        "--dedupe",
        &out,
        &left.to_string(),
        &right.to_string(),
    ]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("match weight") && !shown.contains('@'),
        "{shown}"
    );

    // Who is one of its people, by a record of one's own.
    let look = |fields: &[&str]| {
        let done = musubi(
            &[
                &["identity", "lookup", "--dedupe", &out, "-o", "json"],
                fields,
            ]
            .concat(),
        );
        serde_json::from_slice::<Value>(&done.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)))
    };
    let known = look(&[
        "--field",
        "given_name=Robert",
        "--field",
        "family_name=Alan",
        "--field",
        "birth_date=1971-06-24",
    ]);
    let first = &known["candidates"][0];
    assert_eq!(
        (&known["new"], &first["customer"]),
        (&Value::from(false), &known["customer"]),
        "{known}"
    );
    assert_eq!(first["record"], "0", "{known}");
    assert_eq!(
        look(&["--field", "email=nobody@nowhere.example"])["new"],
        true
    );

    // Its graph: every record is a node, every link an edge, the weakest link is marked.
    let drawn = |form: &str| {
        let page = place.0.path().join("who.html").display().to_string();
        let done = musubi(&[
            "explain", "--dedupe", &out, "customer", id, "-o", form, "--html", &page,
        ]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success() && !said.contains('@'), "{said}");
        (said, fs::read_to_string(page).expect("a page"))
    };
    let (records, links) = (rows.len(), said["links"].as_array().map_or(0, Vec::len));
    let (dot, page) = drawn("dot");
    assert_eq!(dot.matches("fillcolor").count(), records, "{dot}");
    assert_eq!(dot.matches(" -- ").count(), links, "{dot}");
    let (mermaid, _) = drawn("mermaid");
    assert_eq!(mermaid.matches("linkStyle").count(), links, "{mermaid}");
    assert_eq!(page.matches("<circle").count(), records, "{page}");
    let table = drawn("table").0;
    assert!(table.contains("weakest"), "{table}");
    let tree = said["links"].as_array().expect("links").iter();
    assert_eq!(tree.filter(|l| l["tree"] == true).count(), records - 1);
    let pair = musubi(&["explain", "--dedupe", &out, "0", "1", "-o", "dot"]);
    let pair = String::from_utf8_lossy(&pair.stderr).into_owned();
    assert!(
        pair.contains("-o dot and -o mermaid draw a customer"),
        "{pair}"
    );

    // From anywhere, and after the input has been moved.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let moved = place.0.path().join("moved.csv");
    fs::rename(&file, &moved).expect("it is moved");
    let ask = |input: &[&str]| {
        let what = ["explain", "--dedupe", &out, "0", "1"];
        let done = Command::new(env!("CARGO_BIN_EXE_musubi"))
            .args([&what, input].concat())
            .current_dir(elsewhere.path())
            .output()
            .expect("musubi starts");
        let said = [done.stdout, done.stderr].concat();
        (
            done.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let moved = moved.display().to_string();
    let (done, said) = ask(&[]);
    assert!(!done && said.contains("--input FILE"), "{said}");
    let (done, said) = ask(&["--input", &moved]);
    assert!(done && said.contains("match weight"), "{said}");
    let (done, said) = ask(&["--input", &moved, "--input", &moved]);
    assert!(!done && said.contains("made from 1 file"), "{said}");
    fs::rename(&moved, &file).expect("it is moved back");
    assert!(ask(&[]).0);

    let refused = |what: &[&str]| String::from_utf8_lossy(&explain(what).stderr).into_owned();
    assert!(refused(&["1000", "1"]).contains("there is no row 1000"));
    assert!(refused(&["0f3a", "1"]).contains("rows are numbered from 0"));
    let shorter = fs::read_to_string(&file).expect("a file");
    fs::write(
        &file,
        shorter.lines().take(900).collect::<Vec<_>>().join("\n"),
    )
    .expect("write");
    assert!(refused(&["1", "2"]).contains("run `musubi dedupe` again"));
    fs::remove_file(&file).expect("remove");
    assert!(refused(&["1", "2"]).contains("which is not there"));
    fs::remove_file(path.join("stats.json")).expect("remove");
    assert!(refused(&["1", "2"]).contains("no folder that `musubi dedupe` wrote"));
}

/// The person of each row of fake_1000.
fn people_of_fake() -> Vec<String> {
    let mut reader = csv::Reader::from_path(data("fake_1000.csv")).expect("fake_1000");
    let rows = reader.records().map(|r| r.expect("a row"));
    rows.map(|r| r.get(6).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn labels_hold_and_the_model_learns_from_them() {
    let place = Place::new();
    let file = data("fake_1000.csv").display().to_string();
    let person = people_of_fake();
    let before = place.dedupe(&[&file]);
    assert!(before.get("labels").is_none());
    let sample = place.0.path().join("pairs.csv").display().to_string();
    let done = musubi(&[
        "evaluate",
        "--dedupe",
        &place.out(),
        "--sample",
        &sample,
        "--each",
        "60",
    ]);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let lines = fs::read_to_string(&sample).expect("a sample");
    let mut lines = lines.lines();
    let mut text = format!("{}\n", lines.next().expect("a header"));
    let (mut yes, mut no) = (Vec::new(), Vec::new());
    for (at, line) in lines.enumerate() {
        let row = |cell: Option<&str>| cell.and_then(|c| c.parse().ok()).expect("a row");
        let mut cells = line.split(',');
        let pair: [usize; 2] = [row(cells.next()), row(cells.next())];
        // Nobody can tell everything.
        let label = match person[pair[0]] == person[pair[1]] {
            _ if at % 7 == 6 => "",
            true => {
                yes.push(pair);
                "yes"
            }
            false => {
                no.push(pair);
                "no"
            }
        };
        text.push_str(&format!("{line}{label}\n"));
    }
    assert!(
        no.len() > 3 && yes.len() > 100,
        "{} and {}",
        no.len(),
        yes.len()
    );
    fs::write(&sample, &text).expect("labels");

    let done = musubi(&[
        "evaluate",
        "--dedupe",
        &place.out(),
        "--labels",
        &sample,
        "-o",
        "json",
    ]);
    let audited: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(audited["recall"]["value"].is_number(), "{audited:#}");

    let after = place.dedupe(&[&file, "--labels", &sample]);
    let labels = &after["labels"];
    assert_eq!(number(labels, "/same"), yes.len() as f64);
    assert_eq!(number(labels, "/different"), no.len() as f64);
    assert!(number(labels, "/open") > 0.0);
    let clusters = place.clusters();
    let of: BTreeMap<i64, usize> = clusters
        .iter()
        .enumerate()
        .flat_map(|(at, rows)| rows.iter().map(move |r| (*r, at)))
        .collect();
    let together = |pair: &[usize; 2]| of[&(pair[0] as i64)] == of[&(pair[1] as i64)];
    assert!(yes.iter().all(together));
    assert!(!no.iter().any(together));
    let rules: BTreeSet<String> = place
        .table("edges.parquet")
        .iter()
        .flat_map(|b| {
            let rules = b["rule"].as_string::<i32>();
            (0..b.num_rows())
                .map(|r| rules.value(r).to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(rules.contains("pin"), "{rules:?}");
    // An explanation knows them.
    let [left, right] = yes[0].map(|row| row.to_string());
    let done = musubi(&["explain", "--dedupe", &place.out(), &left, &right]);
    assert!(done.status.success());
    let shown = musubi(&["dedupe", &file, "--out", &place.out(), "--labels", &sample]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("labels"), "{shown}");
    for line in shown.lines() {
        assert!(
            line.chars().count() <= 80 || line.contains(&place.out()) || line.contains("fake"),
            "{line}"
        );
    }

    // The same by the ids of the records, as other tools write labels.
    let mut by_id =
        String::from("unique_id_l,source_l,unique_id_r,source_r,clerical_match_score\n");
    for (pairs, score) in [(&yes, "1.0"), (&no, "0.0")] {
        for [left, right] in pairs {
            by_id.push_str(&format!("{left},fake_1000,{right},fake_1000,{score}\n"));
        }
    }
    let by_id = place.write("ids.csv", by_id);
    let again = place.dedupe(&[&file, "--labels", &by_id]);
    assert_eq!(again["labels"]["refined"], labels["refined"]);
    assert_eq!(again["model"], after["model"]);
    assert_eq!(place.clusters(), clusters);
}

#[test]
fn wrong_labels_are_refused_with_their_line() {
    let place = Place::new();
    let people = place.write(
        "people.csv",
        "id,name,email\n1,Ann Miller,a@b.example\n2,Bob Tanner,c@d.example\n2,Eve Wood,e@f.example\n",
    );
    let other = place.write("more.csv", "id,name\n1,Ann Miller\n");
    for (labels, said) in [
        (
            "a,b,same\n0,1,yes\n",
            "does not say which records a pair is",
        ),
        ("left,right\n0,1\n", "has no column same with yes and no"),
        ("left,right,same\n0,1,\n", "nobody has labelled a pair yet"),
        (
            "left,right,same\n0,1,yes\n1,2,perhaps\n",
            "labels.csv line 3: column same holds neither yes nor no",
        ),
        (
            "left,right,same\n0,3,yes\n",
            "labels.csv line 2: a pair is two rows, from 0 to 2",
        ),
        (
            "left,right,same\n0,Ann,yes\n",
            "labels.csv line 2: a pair is two rows",
        ),
        ("left,right,same\n1,1,yes\n", "line 2: both sides are row 1"),
        (
            "left,right,same\n0,1,yes\n1,0,no\n",
            "line 3 says another thing of rows 0 and 1 than line 2",
        ),
        ("id_l,id_r,same\n1,7,yes\n", "line 2: no record has this id"),
        (
            "id_l,id_r,same\n1,2,yes\n",
            "line 2: rows 1 and 2 have this id",
        ),
    ] {
        let file = place.write("labels.csv", labels);
        let answer = place.refuses(&[&people, "--labels", &file]);
        assert!(answer.contains(said), "{said} in {answer}");
        assert!(!answer.contains("Ann"), "a value of a person in {answer}");
    }
    let file = place.write("labels.csv", "row_l,row_r,same\n0,1,yes\n");
    let answer = place.refuses(&[&people, &other, "--link", "--labels", &file]);
    assert!(
        answer.contains("line 2: rows 0 and 1 are of one file"),
        "{answer}"
    );
}
