//! Identity policies: fields of the entity `customer`, names of sources.

use crate::{
    catalog::{Catalog, Document},
    entity::Entity,
    policy::{IdentityPolicySpec, Survivor},
    problem::{Problem, hint},
    resource::Kind,
};

pub(super) fn check(catalog: &Catalog, from: &Document, spec: &IdentityPolicySpec) -> Vec<Problem> {
    let identifiers = spec.identifiers.iter().enumerate();
    let identifiers =
        identifiers.map(|(i, r)| (format!("spec.identifiers[{i}].field"), r.field.as_str()));
    let compare = spec.compare.iter().enumerate();
    let compare = compare.map(|(i, f)| (format!("spec.compare[{i}]"), f.as_str()));
    let survivorship = spec.survivorship.iter().enumerate();
    let survivorship =
        survivorship.map(|(i, r)| (format!("spec.survivorship[{i}].field"), r.field.as_str()));
    let mut out: Vec<Problem> = identifiers
        .chain(compare)
        .chain(survivorship)
        .filter(|(_, name)| Entity::Customer.field(name).is_none())
        .map(|(field, name)| {
            let hint = hint(name, Entity::Customer.fields().iter().map(|f| f.name));
            from.problem(
                &field,
                format!("entity customer has no field `{name}`: {hint}"),
            )
        })
        .collect();
    for (i, name) in spec.source_priority.iter().enumerate() {
        let field = format!("spec.sourcePriority[{i}]");
        out.extend(catalog.reference(from, &field, Kind::Source, name));
    }
    for (i, rule) in spec.survivorship.iter().enumerate() {
        if rule.rules.contains(&Survivor::SourcePriority) && spec.source_priority.is_empty() {
            out.push(from.problem(
                &format!("spec.survivorship[{i}].rules"),
                "`source_priority` needs the list `sourcePriority`: name the sources in their order",
            ));
        }
    }
    for (i, pin) in spec.pins.iter().enumerate() {
        for (side, id) in [("left", &pin.left), ("right", &pin.right)] {
            if id.chars().any(char::is_whitespace) {
                // The value itself may say something of a person.
                out.push(from.problem(
                    &format!("spec.pins[{i}].{side}"),
                    "not a record id: copy it from the table `links`",
                ));
            }
        }
    }
    out
}
