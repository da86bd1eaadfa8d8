//! Conditions as everybody writes them: a transition time that moves with the status alone.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Bytes that the API server takes of a message.
const MESSAGE: usize = 32_768;

/// What a condition says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Say<'a> {
    /// Its type.
    pub(crate) kind: &'a str,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// One word of the documented list.
    pub(crate) reason: &'a str,
    /// A sentence.
    pub(crate) message: &'a str,
    /// Generation of the object that it speaks of.
    pub(crate) generation: Option<i64>,
}

/// Sets a condition; says whether anything changed.
pub(crate) fn set(conditions: &mut Vec<Condition>, say: Say<'_>) -> bool {
    let status = if say.holds { "True" } else { "False" };
    let message = crate::outcome::cut(say.message, MESSAGE);
    let found = conditions.iter_mut().find(|c| c.type_ == say.kind);
    let before = found.as_ref().map(|c| (*c).clone());
    let since = match &before {
        Some(before) if before.status == status => before.last_transition_time.clone(),
        _ => Time(Timestamp::now()),
    };
    let now = Condition {
        type_: say.kind.into(),
        status: status.into(),
        reason: say.reason.into(),
        message: message.into(),
        observed_generation: say.generation,
        last_transition_time: since,
    };
    if before.as_ref() == Some(&now) {
        return false;
    }
    match found {
        Some(place) => *place = now,
        None => conditions.push(now),
    }
    true
}

/// Removes a condition that is there only while it holds.
pub(crate) fn clear(conditions: &mut Vec<Condition>, kind: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|c| c.type_ != kind);
    conditions.len() != before
}

#[cfg(test)]
mod tests {
    use super::{Say, clear, set};

    #[test]
    fn a_condition_that_says_the_same_again_does_not_change() {
        let mut all = Vec::new();
        let say = Say {
            kind: "Ready",
            holds: true,
            reason: "Usable",
            message: "",
            generation: Some(1),
        };
        assert!(set(&mut all, say));
        assert!(!set(&mut all, say));
        let first = all[0].last_transition_time.clone();
        assert!(set(
            &mut all,
            Say {
                generation: Some(2),
                ..say
            }
        ));
        assert_eq!(
            all[0].last_transition_time, first,
            "the status did not change"
        );
        assert!(set(
            &mut all,
            Say {
                holds: false,
                reason: "Invalid",
                ..say
            }
        ));
        assert_eq!(all.len(), 1);
        assert!(clear(&mut all, "Ready"));
        assert!(!clear(&mut all, "Ready"));
    }
}
