//! Normalisers, contracts and mappings: from raw rows to clean entities.

pub mod address;
pub mod cleaner;
mod cleaner_columns;
pub mod code;
pub mod compute;
pub mod contract;
mod conventions;
mod counts;
pub mod date;
mod elements;
pub mod email;
pub mod flag;
pub mod gender;
pub mod json;
pub mod kana;
pub mod lookup;
pub mod loyalty;
pub mod mapping;
mod mapping_row;
mod mapping_value;
mod memo;
mod moments;
pub mod money;
pub mod name;
pub mod normalised;
pub mod phone;
mod positions;
pub mod postal;
pub mod problem;
pub mod quarantine;
pub mod raw;
mod recent;
mod record_id;
pub mod schema;
pub mod text;

pub use normalised::Normalised;

/// Version of all normalisers together: part of the key under which cleaned rows are kept, so that a raised
/// version cleans again what it touches.
#[must_use]
pub fn normalisers_version() -> String {
    let parts: [(&str, u32); 13] = [
        ("address", address::VERSION),
        ("code", code::VERSION),
        ("date", date::VERSION),
        ("email", email::VERSION),
        ("flag", flag::VERSION),
        ("gender", gender::VERSION),
        ("kana", kana::VERSION),
        ("loyalty", loyalty::VERSION),
        ("money", money::VERSION),
        ("name", name::VERSION),
        ("phone", phone::VERSION),
        ("postal", postal::VERSION),
        ("text", text::VERSION),
    ];
    parts
        .map(|(kind, version)| format!("{kind}{version}"))
        .join(".")
}
