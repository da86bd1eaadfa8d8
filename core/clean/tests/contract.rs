//! Contracts, through the real cleaner: which rows they let in, and what a change of shape does.

use std::{path::Path, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use musubi_api::load_text;
use musubi_clean::{
    cleaner::Cleaner,
    contract::DriftKind,
    lookup::Lookups,
    raw::{Locator, RawBatch, RawRows, SourceFile},
};

/// What became of each row of a file with these columns: `ok`, or a reason code. Or the message that stops the run.
fn judged(
    contract: &str,
    header: &[&str],
    rows: &[&[&str]],
) -> Result<(Vec<String>, Vec<DriftKind>), String> {
    let text = format!(
        "apiVersion: musubi.dev/v1alpha1\nkind: Source\nmetadata: {{name: it}}\nspec: {{system: pos, connector: {{folder: {{path: x}}}}, streams: [{{name: s, files: {{path: x}}, format: {{csv: {{}}}}, contract: {contract}, entities: [{{entity: product, key: [id], fields: {{name: {{from: x}}}}}}]}}]}}\n"
    );
    let catalog = load_text(Path::new("it.yaml"), &text).unwrap_or_else(|p| panic!("{p}"));
    let spec = catalog.source("it").expect("the source");
    let cleaner = Cleaner::new("it", spec, &spec.streams[0], Lookups::default())
        .unwrap_or_else(|e| panic!("{e}"));
    let mut state = cleaner.start_file(SourceFile::default());
    let mut out = Vec::new();
    for (number, row) in (1..).zip(rows) {
        let cells = header.iter().zip(*row).map(|(name, cell)| {
            let cell: ArrayRef =
                Arc::new(StringArray::from(vec![(!cell.is_empty()).then_some(*cell)]));
            (*name, cell)
        });
        let batch = RawBatch {
            record: None,
            rows: RawRows::Columns(
                RecordBatch::try_from_iter_with_nullable(cells.map(|(n, c)| (n, c, true)))
                    .expect("a batch"),
            ),
            locators: vec![Locator::Bytes {
                member: None,
                start: number,
                end: number,
            }],
            numbers: vec![number],
        };
        let cleaned = cleaner
            .clean(&batch, "00", &mut state)
            .map_err(|e| e.to_string())?;
        let reason = cleaned.counts.reasons.keys().next().cloned();
        out.push(reason.unwrap_or_else(|| "ok".into()));
    }
    Ok((out, state.drift().iter().map(|d| d.kind).collect()))
}

#[test]
fn each_rule_lets_in_what_it_says() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("{required: true}", &[("1", "ok"), ("", "required")]),
        (
            "{type: integer}",
            &[
                ("12", "ok"),
                ("1,200", "ok"),
                ("12.0", "ok"),
                ("12.5", "wrong_type"),
                ("x", "wrong_type"),
                ("", "ok"),
            ],
        ),
        (
            "{type: decimal}",
            &[
                ("12.5", "ok"),
                ("￥1,080", "ok"),
                ("$90,000 ", "ok"),
                ("half", "wrong_type"),
            ],
        ),
        (
            "{type: decimal, min: '0', max: '100'}",
            &[
                ("0", "ok"),
                ("100", "ok"),
                ("-0.01", "out_of_range"),
                ("100.01", "out_of_range"),
            ],
        ),
        (
            "{type: date, format: '%m/%d/%Y'}",
            &[
                ("04/08/1966", "ok"),
                ("5/14/1965", "ok"),
                ("14/5/1965", "wrong_type"),
            ],
        ),
        (
            "{type: date, min: '2026-01-01'}",
            &[("2026/1/1", "ok"), ("2025-12-31", "out_of_range")],
        ),
        (
            "{type: date, format: wareki}",
            &[("昭和60年4月3日", "ok"), ("1985-04-03", "wrong_type")],
        ),
        (
            "{type: timestamp, max: '2026-11-24T00:00:00Z'}",
            &[
                ("2026-11-24 08:59", "ok"),
                ("2026-11-24 09:01", "out_of_range"),
            ],
        ),
        (
            "{type: flag}",
            &[("はい", "ok"), ("0", "ok"), ("maybe", "wrong_type")],
        ),
        (
            "{pattern: 'S[0-9]{3}'}",
            &[("S001", "ok"), ("S0011", "pattern"), ("xS001", "pattern")],
        ),
        (
            "{oneOf: [売上, 返品]}",
            &[("売上", "ok"), (" 返品 ", "ok"), ("取消", "not_allowed")],
        ),
    ];
    for (rule, cases) in table {
        let contract = format!("{{columns: [{{name: x, {}]}}", &rule[1..]);
        for (cell, expected) in *cases {
            let cell = *cell;
            let (found, _) =
                judged(&contract, &["id", "x"], &[&["1", cell]]).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(found[0], *expected, "{rule} on {cell:?}");
        }
    }
}

#[test]
fn unique_columns_are_unique_in_a_file_taken_together() {
    let rows: &[&[&str]] = &[
        &["1", "1"],
        &["1", "2"],
        &[" 1", "2 "],
        &["", ""],
        &["", ""],
    ];
    let (found, _) = judged("{unique: [id, x]}", &["id", "x"], rows).expect("judged");
    assert_eq!(
        found,
        ["ok", "ok", "not_unique", "missing_key", "missing_key"]
    );
}

#[test]
fn a_change_of_shape_does_what_the_contract_says() {
    let new: (&[&str], &[&str]) = (&["id", "x", "colour"], &["1", "2", "red"]);
    let missing: (&[&str], &[&str]) = (&["id"], &["1"]);
    let changed: (&[&str], &[&str]) = (&["id", "x"], &["1", "two"]);
    let typed = "columns: [{name: x, type: integer}]";
    for (contract, (header, row), expected) in [
        ("newColumns: evolve".to_owned(), new, "ok New"),
        ("newColumns: quarantine".to_owned(), new, "new_column New"),
        ("newColumns: freeze".to_owned(), new, "stop: column colour"),
        (
            format!("{typed}, missingColumns: evolve"),
            missing,
            "ok Missing",
        ),
        (
            format!("{typed}, missingColumns: quarantine"),
            missing,
            "missing_column Missing",
        ),
        (
            format!("{typed}, missingColumns: freeze"),
            missing,
            "stop: column x",
        ),
        (typed.to_owned(), missing, "stop: column x"),
        (
            format!("{typed}, changedColumns: evolve"),
            changed,
            "ok Changed",
        ),
        (
            format!("{typed}, changedColumns: quarantine"),
            changed,
            "wrong_type Changed",
        ),
        (
            format!("{typed}, changedColumns: freeze"),
            changed,
            "stop: values of column x",
        ),
    ] {
        let found = match judged(&format!("{{{contract}}}"), header, &[row]) {
            Ok((rows, drift)) => format!("{} {:?}", rows[0], drift[0]),
            Err(message) => format!("stop: {}", message.split(": ").nth(1).unwrap_or(&message)),
        };
        assert!(
            found.starts_with(expected),
            "{contract}: wanted {expected}, found {found}"
        );
    }
}
