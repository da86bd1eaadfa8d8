//! Columns of names told by their values, where nothing else tells them: of any people, some have a name that is
//! frequent somewhere.

use musubi_clean::text;

/// Frequent given names in plain letters: English, German, French, Spanish, Portuguese, Italian.
const GIVEN: &str = "james mary robert patricia john jennifer michael linda david elizabeth william barbara richard susan \
    joseph jessica thomas sarah charles karen christopher lisa daniel nancy matthew betty anthony sandra mark margaret \
    donald ashley steven kimberly andrew emily paul donna joshua michelle kenneth carol kevin amanda brian melissa george \
    deborah timothy stephanie ronald rebecca jason laura edward sharon jeffrey cynthia ryan kathleen jacob amy nicholas \
    angela eric shirley jonathan anna stephen brenda emma samuel pamela benjamin nicole alexander samantha jack oliver \
    harry sophie chloe peter hans klaus wolfgang ursula monika sabine petra stefan andreas martin julia katrin jean pierre \
    marie michel jacques nathalie isabelle francois philippe catherine nicolas camille maria jose carmen antonio manuel \
    francisco juan ana javier carlos miguel lucia luis pedro pablo isabel joao paulo francesco giuseppe giovanni luca marco";

/// Frequent family names in plain letters, of the same countries.
const FAMILY: &str = "smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez \
    wilson anderson thomas taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson \
    walker young allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell mitchell \
    carter roberts phillips evans turner parker edwards collins stewart morris murphy cook rogers morgan cooper peterson \
    reed bailey bell kelly howard ward cox richardson wood watson brooks bennett gray hughes price patel khan singh muller \
    mueller schmidt schneider fischer weber meyer wagner becker schulz hoffmann koch bauer richter klein wolf neumann schwarz \
    bernard dubois durand moreau laurent simon michel lefebvre leroy roux david fernandez gomez diaz moreno alvarez romero \
    silva santos ferreira pereira oliveira costa rossi russo ferrari esposito bianchi romano colombo";

/// Frequent family names of Korea, China and Vietnam in plain letters, which most people there have. Two letters that
/// stand for states elsewhere, and words of places, are left out.
const EASTERN: &str = "kim lee choi jung kang cho yoon jang lim han seo shin kwon hwang ahn yoo li wang zhang liu chen \
    yang zhao huang zhou wu xu hu zhu gao lin guo luo nguyen tran pham hoang phan dang bui duong";

/// Whether a word in plain small letters is a frequent family name somewhere, and a given name.
pub(super) fn known(word: &str) -> [bool; 2] {
    [is(word, FAMILY) || is(word, EASTERN), is(word, GIVEN)]
}

/// Whether a word stands in a list.
fn is(word: &str, list: &str) -> bool {
    list.split(' ').any(|name| name == word)
}

/// A column of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Given,
    Family,
    /// Given name and family name.
    Whole,
}

/// What a column of texts holds, if it holds names.
pub(super) fn look<'a>(values: impl Iterator<Item = &'a str>) -> Option<Names> {
    let (mut all, mut given, mut family, mut whole) = (0u32, 0u32, 0u32, 0u32);
    for value in values {
        let plain = any_ascii::any_ascii(&text::fold(value)).to_lowercase();
        all += 1;
        let mut words = plain.split([' ', ',']).filter(|w| !w.is_empty());
        match (words.next(), words.next_back()) {
            (Some(one), None) => {
                let [is_family, is_given] = known(one);
                given += u32::from(is_given);
                family += u32::from(is_family);
            }
            (Some(first), Some(last)) => {
                let letters = last.chars().all(char::is_alphabetic);
                let turned = is(first, FAMILY) && is(last, GIVEN);
                let eastern = is(first, EASTERN) || is(last, EASTERN);
                whole += u32::from((is(first, GIVEN) || eastern) && letters || turned);
            }
            _ => {}
        }
    }
    // One in eight, and more of one kind than of the others: streets and towns are named after people too.
    let (most, names) = [
        (given, Names::Given),
        (family, Names::Family),
        (whole, Names::Whole),
    ]
    .into_iter()
    .max_by_key(|(n, _)| *n)?;
    (most > 1 && most * 8 >= all).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_other_texts() {
        let of = |values: &str| look(values.split('|'));
        for (values, want) in [
            ("MARY|KYLEE|JOSÉ|Zsófia|John", Some(Names::Given)),
            ("Smith|Okonkwo|MÜLLER|Quibaford", Some(Names::Family)),
            ("Mary Okonkwo|Smith, John|Xu Li", Some(Names::Whole)),
            ("Kim|Jang|Mi-kyung|Seo", Some(Names::Family)),
            (
                "Mi-kyung Kim|Seo-jun Jang|Nguyễn Văn Anh",
                Some(Names::Whole),
            ),
            (
                "Raleigh|Durham|Cary|Wilmington|Asheville|Concord|Monroe|Kinston|Sanford",
                None,
            ),
            ("called twice|asked for refund|", None),
        ] {
            assert_eq!(of(values), want, "{values}");
        }
    }
}
