//! How files are decoded.

use kube_derive::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How rows are decoded. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("[has(self.csv), has(self.fixedWidth), has(self.records), has(self.json), has(self.parquet), has(self.excel)].exists_one(x, x)", "give exactly one of `csv`, `fixedWidth`, `records`, `json`, `parquet` and `excel`")
)]
pub struct Format {
    /// Text with delimiters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvFormat>,
    /// Text with columns at fixed positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_width: Option<FixedWidthFormat>,
    /// Text with several types of records: headers, details, trailers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<RecordsFormat>,
    /// JSON: one object a line, or arrays of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonFormat>,
    /// Parquet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<ParquetFormat>,
    /// Excel and OpenDocument workbooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excel: Option<ExcelFormat>,
}

/// Character encodings of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// From byte order mark and content.
    #[default]
    Auto,
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// Windows-31J, what Japanese systems call Shift_JIS.
    Cp932,
    /// EUC-JP.
    EucJp,
    /// UTF-16, byte order from its mark, else little-endian.
    Utf16,
    /// Windows-1252 (Western European).
    Latin1,
}

/// Text with delimiters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Delimiter: one character, or `tab`. Detected from the header when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Quote character; `none` switches quoting off. Default `"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Lines before the header that are not data.
    #[serde(default)]
    pub skip_lines: u32,
    /// Names of the columns, for files without a header line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub columns: Vec<String>,
    /// Lines that start with this are comments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether lines of nothing but delimiters are rows, for programs that number rows; no resource says it.
    #[serde(skip)]
    pub keep_empty: bool,
}

impl Format {
    /// The types of records of a format that has several, without their widths; none of any other.
    #[must_use]
    pub fn record_types(&self) -> Vec<RecordType> {
        let delimited = self.records.iter().flat_map(|r| r.types.iter().cloned());
        let fixed = self.fixed_width.iter().flat_map(|f| &f.types);
        delimited.chain(fixed.map(RecordType::from)).collect()
    }
}

/// Text with columns at fixed positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("has(self.columns) != has(self.types)", "give `columns`, or `types` for lines of several kinds"),
    validation = ("!has(self.types) || self.types.exists(t, t.role == 'detail')", "at least one type needs `role: detail`: without it there are no rows"),
    validation = ("!has(self.types) || self.types.all(a, self.types.exists_one(b, b.tag == a.tag))", "two types have the same tag: lines could not be told apart"),
    validation = ("!has(self.types) || self.types.all(a, self.types.exists_one(b, b.name == a.name))", "two types have the same name: rename one")
)]
pub struct FixedWidthFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Whether positions count bytes of the file (as mainframes do) or characters.
    #[serde(default)]
    pub unit: WidthUnit,
    /// Lines before the data.
    #[serde(default)]
    pub skip_lines: u32,
    /// The columns, where all lines are of one kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<FixedColumn>,
    /// The types of records, where lines are of several kinds: headers, details, trailers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20))]
    pub types: Vec<FixedRecordType>,
    /// For files with record types: the position at which each line's tag starts.
    #[serde(default = "first_position")]
    #[schemars(range(min = 1))]
    pub tag_start: u32,
}

fn first_position() -> u32 {
    1
}

/// What a width counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum WidthUnit {
    #[default]
    Bytes,
    Characters,
}

/// A column at a fixed position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FixedColumn {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// First position, from 1.
    #[schemars(range(min = 1))]
    pub start: u32,
    /// Width.
    #[schemars(range(min = 1))]
    pub width: u32,
}

/// Delimited text with several types of records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.types.exists(t, t.role == 'detail')", "at least one type needs `role: detail`: without it there are no rows"),
    validation = ("self.types.all(a, self.types.exists_one(b, b.tag == a.tag))", "two types have the same tag: lines could not be told apart"),
    validation = ("self.types.all(a, self.types.exists_one(b, b.name == a.name))", "two types have the same name: rename one")
)]
pub struct RecordsFormat {
    /// Character encoding.
    #[serde(default)]
    pub encoding: Encoding,
    /// Delimiter: one character, or `tab`. Default `,`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Quote character; `none` switches quoting off. Default `"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The types. The first column of each line holds the type's tag.
    #[schemars(length(min = 1, max = 20))]
    pub types: Vec<RecordType>,
}

/// One type of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.role == 'trailer' || !(has(self.count) || has(self.sum))", "`count` and `sum` check a trailer: give them to a type with `role: trailer`")
)]
pub struct RecordType {
    /// Name used in entity mappings (`record: detail`) and, for headers, before the column names that details see: `header.店舗コード`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What stands in the first column.
    #[schemars(length(min = 1, max = 63))]
    pub tag: String,
    /// Role.
    pub role: RecordRole,
    /// Names of the columns after the tag.
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<String>,
    /// For trailers: column that holds the number of detail records since the last trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// For trailers: a sum that must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<TrailerSum>,
}

impl RecordType {
    /// The columns of its rows: its own, then those of the headers that they stand under, as `header.column`.
    #[must_use]
    pub fn row_columns(&self, types: &[Self]) -> Vec<String> {
        let headers = types
            .iter()
            .filter(|t| t.role == RecordRole::Header && t.name != self.name);
        let theirs = headers.flat_map(|h| h.columns.iter().map(|c| format!("{}.{c}", h.name)));
        self.columns.iter().cloned().chain(theirs).collect()
    }
}

/// One type of record whose columns stand at fixed positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    crates(kube_core = "::kube_core"),
    validation = ("self.role == 'trailer' || !(has(self.count) || has(self.sum))", "`count` and `sum` check a trailer: give them to a type with `role: trailer`")
)]
pub struct FixedRecordType {
    /// Name used in entity mappings (`record: detail`) and, for headers, before the column names that details see: `header.店舗コード`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What stands at `tagStart`. Where several tags fit a line, the longest counts.
    #[schemars(length(min = 1, max = 63))]
    pub tag: String,
    /// Role.
    pub role: RecordRole,
    /// The columns; the tag's position is none unless it is named.
    #[schemars(length(min = 1, max = 1000))]
    pub columns: Vec<FixedColumn>,
    /// For trailers: column that holds the number of detail records since the last trailer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// For trailers: a sum that must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<TrailerSum>,
}

impl From<&FixedRecordType> for RecordType {
    fn from(fixed: &FixedRecordType) -> Self {
        Self {
            name: fixed.name.clone(),
            tag: fixed.tag.clone(),
            role: fixed.role,
            columns: fixed.columns.iter().map(|c| c.name.clone()).collect(),
            count: fixed.count.clone(),
            sum: fixed.sum.clone(),
        }
    }
}

/// What a type of record does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordRole {
    /// Its values hold for all records until the next of its kind; it may itself become entities.
    Header,
    /// Data.
    Detail,
    /// Closes a file or group; its count and sum are checked.
    Trailer,
}

/// A sum in a trailer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrailerSum {
    /// Column of the trailer.
    pub column: String,
    /// Column of the details that is summed.
    pub of: String,
}

/// JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JsonFormat {
    /// Path of the array that holds the rows, in files that are one document: `$.data.orders`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
}

/// Parquet has nothing to declare: flat or nested, pages plain or compressed with snappy, gzip, zstd, lz4 or brotli.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParquetFormat {}

/// Workbooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExcelFormat {
    /// Sheet; the first when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Rows before the header.
    #[serde(default)]
    pub skip_rows: u32,
}
