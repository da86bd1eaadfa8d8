//! What the two programs are made of: a check of its licences, and its bill of materials.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{
    CargoOpt, DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId,
};
use serde_json::{Value, json};
use spdx::{Expression, Licensee, ParseMode};

/// What is shipped.
const PROGRAMS: [&str; 2] = ["musubi", "musubi-operator"];
/// Where it runs.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Licences that can be kept by whoever passes on the programs: they ask for their text, and no more. MPL-2.0 asks for
/// the source of its own files, which is public.
const ALLOWED: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Fails on a crate whose licence is not allowed.
pub(crate) fn licences() -> Result<()> {
    let shipped = Shipped::read()?;
    let allowed: Vec<Licensee> = ALLOWED
        .iter()
        .map(|name| Licensee::parse(name).with_context(|| format!("licence {name}")))
        .collect::<Result<_>>()?;
    let refused: Vec<String> = shipped
        .packages
        .values()
        .filter_map(|package| {
            let why = refusal(package.license.as_deref(), &allowed)?;
            Some(format!("  {} {}: {why}", package.name, package.version))
        })
        .collect();
    ensure!(
        refused.is_empty(),
        "licences that are not on the list of xtask/src/supply.rs:\n{}\nleave the crate out, or add the licence when \
         whoever passes on the programs can keep it",
        refused.join("\n")
    );
    println!("licences: {} crates, all allowed", shipped.packages.len());
    Ok(())
}

/// Why a licence is not allowed.
fn refusal(licence: Option<&str>, allowed: &[Licensee]) -> Option<String> {
    let Some(licence) = licence else {
        return Some("it names no licence".into());
    };
    // Old crates write `MIT/Apache-2.0`.
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("`{licence}` is no licence expression"));
    };
    let fits = expression.evaluate(|wanted| allowed.iter().any(|one| one.satisfies(wanted)));
    (!fits).then(|| licence.to_owned())
}

/// Writes a bill of materials: CycloneDX 1.6, as JSON.
pub(crate) fn bill(file: &Path) -> Result<()> {
    let shipped = Shipped::read()?;
    let text = serde_json::to_string_pretty(&shipped.bill())?;
    fs::write(file, text + "\n").with_context(|| format!("write {}", file.display()))?;
    println!("{}: {} crates", file.display(), shipped.packages.len());
    Ok(())
}

/// The crates that are compiled into the programs.
struct Shipped {
    packages: BTreeMap<PackageId, Package>,
    needs: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

impl Shipped {
    fn read() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .features(CargoOpt::SomeFeatures(Vec::new()))
            .other_options([
                "--locked".to_owned(),
                format!("--filter-platform={PLATFORM}"),
            ])
            .exec()
            .context("cargo metadata")?;
        Self::of(&metadata)
    }

    fn of(metadata: &Metadata) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("no resolved graph")?;
        let nodes: BTreeMap<&PackageId, &Node> = resolve.nodes.iter().map(|n| (&n.id, n)).collect();
        let ours = metadata.workspace_packages();
        let programs = ours.iter().filter(|p| PROGRAMS.contains(&p.name.as_str()));
        let mut open: Vec<PackageId> = programs.map(|p| p.id.clone()).collect();
        if open.len() != PROGRAMS.len() {
            bail!("{PROGRAMS:?} are not all in the workspace");
        }
        let mut needs = BTreeMap::new();
        while let Some(id) = open.pop() {
            if needs.contains_key(&id) {
                continue;
            }
            let compiled = nodes[&id].deps.iter().filter(|dep| {
                let kinds = &dep.dep_kinds;
                kinds.iter().any(|k| k.kind == DependencyKind::Normal)
            });
            let below: BTreeSet<PackageId> = compiled.map(|dep| dep.pkg.clone()).collect();
            open.extend(below.iter().cloned());
            needs.insert(id, below);
        }
        let packages = metadata.packages.iter();
        let packages = packages
            .filter(|p| needs.contains_key(&p.id))
            .map(|p| (p.id.clone(), p.clone()))
            .collect();
        Ok(Self { packages, needs })
    }

    fn bill(&self) -> Value {
        let reference = |id: &PackageId| {
            let package = &self.packages[id];
            format!("pkg:cargo/{}@{}", package.name, package.version)
        };
        let component = |package: &Package| {
            let program = PROGRAMS.contains(&package.name.as_str());
            let mut component = json!({
                "type": if program { "application" } else { "library" },
                "bom-ref": reference(&package.id),
                "name": package.name,
                "version": package.version.to_string(),
                "purl": reference(&package.id),
            });
            if let Some(licence) = &package.license {
                let expression = licence.replace('/', " OR ");
                component["licenses"] = json!([{ "expression": expression }]);
            }
            if let Some(repository) = &package.repository {
                component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
            }
            component
        };
        let dependencies = self.needs.iter().map(|(id, below)| {
            let below: Vec<String> = below.iter().map(reference).collect();
            json!({ "ref": reference(id), "dependsOn": below })
        });
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": { "component": {
                "type": "container", "bom-ref": "musubi", "name": "musubi", "version": env!("CARGO_PKG_VERSION"),
            } },
            "components": self.packages.values().map(component).collect::<Vec<_>>(),
            "dependencies": dependencies.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use spdx::Licensee;

    use super::{ALLOWED, Shipped, refusal};

    #[test]
    fn what_nobody_can_keep_is_refused() {
        let allowed: Vec<Licensee> = ALLOWED.iter().flat_map(|l| Licensee::parse(l)).collect();
        assert_eq!(allowed.len(), ALLOWED.len());
        let table = [
            (Some("MIT"), true),
            (Some("MIT/Apache-2.0"), true),
            // One of them can be chosen.
            (Some("GPL-3.0-only OR MIT"), true),
            (Some("GPL-3.0-only AND MIT"), false),
            (Some("AGPL-3.0-or-later"), false),
            (Some("Apache-2.0 WITH LLVM-exception"), true),
            (Some("as you like"), false),
            (None, false),
        ];
        for (licence, fits) in table {
            let refused = refusal(licence, &allowed);
            assert_eq!(refused.is_none(), fits, "{licence:?}: {refused:?}");
        }
    }

    #[test]
    fn the_bill_names_what_is_compiled_in_and_nothing_else() {
        let bill = Shipped::read()
            .map(|s| s.bill())
            .unwrap_or_else(|e| panic!("{e:#}"));
        let components = bill["components"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = components
            .iter()
            .filter_map(|c| c["name"].as_str())
            .collect();
        for name in ["musubi", "musubi-operator", "kube-client", "parquet"] {
            assert!(names.contains(&name), "{name}");
        }
        // They serve tests and builds.
        for name in ["insta", "xtask", "proptest", "cc"] {
            assert!(!names.contains(&name), "{name}");
        }
        let refs: Vec<&str> = components
            .iter()
            .filter_map(|c| c["bom-ref"].as_str())
            .collect();
        let needs = bill["dependencies"].as_array().cloned().unwrap_or_default();
        let below = needs
            .iter()
            .flat_map(|d| d["dependsOn"].as_array())
            .flatten();
        for reference in below.filter_map(|r| r.as_str()) {
            assert!(refs.contains(&reference), "{reference}");
        }
    }
}
