//! Codes of values that came later than the dictionaries.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::features::{Features, Row, col, dict_of};
use crate::identifiers::Holders;
use crate::lexicon::Reader;

/// The values behind the sorted ones of each dictionary.
pub(super) struct Late(Vec<HashMap<Box<str>, u32>>);

/// How many values each dictionary had.
pub(super) struct Mark(Vec<usize>);

const NAMES: [usize; 4] = [
    col::GIVEN,
    col::FAMILY,
    col::GIVEN_READING,
    col::FAMILY_READING,
];

impl Late {
    pub(super) fn of(features: &Features) -> Self {
        let late = features.dicts.iter().map(|dict| {
            let late = dict.late();
            late.map(|(code, text)| (text.into(), code)).collect()
        });
        Self(late.collect())
    }

    pub(super) fn mark(&self, features: &Features) -> Mark {
        Mark(features.dicts.iter().map(|d| d.values.len()).collect())
    }

    /// Forgets the values that came since.
    pub(super) fn forget(&mut self, features: &mut Features, holders: &mut [Holders], mark: Mark) {
        let dicts = features.dicts.iter_mut().zip(&mut self.0).zip(mark.0);
        for (at, ((dict, late), len)) in dicts.enumerate() {
            if dict.values.len() > len {
                for (_, text) in dict.late().filter(|(code, _)| *code as usize >= len) {
                    late.remove(text);
                }
                Arc::make_mut(dict).truncate(len);
                let mine = holders.iter_mut();
                let mine = mine.filter(|h| h.columns.iter().any(|c| dict_of(*c) == at));
                mine.for_each(|h| h.forget(len));
            }
        }
    }

    fn code(
        &mut self,
        features: &mut Features,
        column: usize,
        text: &str,
        learnt: &mut impl FnMut(usize, u32, &str),
    ) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = dict_of(column);
        let dict = &mut features.dicts[at];
        let code = match dict.code(text) {
            0 => self.0[at].get(text).copied().unwrap_or(0),
            code => code,
        };
        if code != 0 {
            return code;
        }
        let dict = Arc::make_mut(dict);
        let code = dict.values.len() as u32;
        dict.extend([text.to_owned()], at);
        self.0[at].insert(text.into(), code);
        learnt(column, code, text);
        code
    }

    /// The row of a record, by the codes of the index; values that nobody has get new ones. `one` has the record
    /// alone, `learnt` is told of new values.
    pub(super) fn row(
        &mut self,
        features: &mut Features,
        reader: &Reader,
        one: &Features,
        mut learnt: impl FnMut(usize, u32, &str),
    ) -> Row {
        let own = one.rows[0];
        let text = |column: usize| one.text(column, own[column]).unwrap_or_default();
        let names = reader.read(NAMES.map(text));
        let mut row = own;
        row[col::BIRTH] = reader.birth(own[col::BIRTH]);
        for (column, name) in NAMES.into_iter().zip(&names) {
            row[column] = self.code(features, column, name, &mut learnt);
        }
        for (column, code) in row.iter_mut().enumerate().skip(col::MIDDLE) {
            if !matches!(column, col::BIRTH | col::BUSINESS) {
                *code = self.code(features, column, &text(column), &mut learnt);
            }
        }
        row
    }
}
