//! Which keys of which Secrets a stage needs. The operator names them; it never reads one.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};
use musubi_api::{
    audience::AudienceSpec,
    run::{Run, Stage},
    secrets::variable,
    source::{S3Connector, SecretRef, SourceSpec},
    warehouse::WarehouseSpec,
};

use super::job;

/// A key of a Secret.
pub(crate) type Key = (String, String);

const S3: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
const DATABASE: [&str; 2] = ["username", "password"];

/// The keys that a stage's pods get: those of the lake; of the sources where a stage reads them, of the
/// warehouses where it writes them; all of them where it may go on through every stage.
pub(crate) fn needed(run: &Run, stage: Stage) -> BTreeSet<Key> {
    let mut keys = s3(run.spec.lake.s3.as_ref());
    let all = job::may_go_on(run, stage);
    if matches!(stage, Stage::Plan | Stage::Ingest) {
        keys.extend(run.sources.values().flat_map(of_source));
    }
    if all || matches!(stage, Stage::Load | Stage::Activate) {
        keys.extend(run.warehouses.values().flat_map(of_warehouse));
    }
    if all || stage == Stage::Activate {
        keys.extend(run.audiences.values().flat_map(of_audience));
    }
    keys
}

/// The keys of a source.
pub(crate) fn of_source(source: &SourceSpec) -> BTreeSet<Key> {
    let database = source.connector.postgres.as_ref();
    let mut keys = s3(source.connector.s3.as_ref());
    keys.extend(
        database
            .into_iter()
            .flat_map(|d| pairs(&d.credentials, DATABASE)),
    );
    keys
}

/// The keys of a warehouse.
pub(crate) fn of_warehouse(warehouse: &WarehouseSpec) -> BTreeSet<Key> {
    let database = warehouse.postgres.as_ref();
    database
        .into_iter()
        .flat_map(|d| pairs(&d.credentials, DATABASE))
        .collect()
}

/// The keys of an audience's destination.
pub(crate) fn of_audience(audience: &AudienceSpec) -> BTreeSet<Key> {
    s3(audience.destination.s3.as_ref())
}

/// The keys of a bucket.
pub(crate) fn s3(connector: Option<&S3Connector>) -> BTreeSet<Key> {
    let credentials = connector.and_then(|s3| s3.credentials.as_ref());
    credentials.into_iter().flat_map(|c| pairs(c, S3)).collect()
}

fn pairs<'a>(secret: &'a SecretRef, keys: [&'a str; 2]) -> impl Iterator<Item = Key> + 'a {
    keys.into_iter()
        .map(|key| (secret.secret.clone(), key.to_owned()))
}

/// The variables that a worker looks for, by reference: the kubelet fills them in.
pub(crate) fn environment(keys: &BTreeSet<Key>) -> Vec<EnvVar> {
    keys.iter()
        .map(|key| by_reference(variable(&key.0, &key.1), key))
        .collect()
}

/// A variable that has the value of a key.
pub(crate) fn by_reference(name: String, (secret, key): &Key) -> EnvVar {
    EnvVar {
        name,
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.clone(),
                key: key.clone(),
                optional: Some(false),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// Which Secrets a resource may name: whoever may create a pipeline shall not read every Secret thereby.
#[derive(Clone, Debug)]
pub(crate) struct Allowed {
    patterns: Vec<String>,
    set: GlobSet,
}

impl Allowed {
    /// From patterns such as `musubi-*`.
    ///
    /// # Errors
    /// A pattern that is none.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern)?);
        }
        Ok(Self {
            patterns: patterns.to_vec(),
            set: set.build()?,
        })
    }

    /// Says when one of the Secrets may not be named.
    pub(crate) fn refuses(&self, keys: &BTreeSet<Key>) -> Option<String> {
        let (secret, _) = keys.iter().find(|(secret, _)| !self.set.is_match(secret))?;
        let allowed = self.patterns.join(", ");
        Some(format!(
            "Secret `{secret}` may not be named here: allowed are {allowed}; \
             rename it, or ask who runs the operator to allow it (--allow-secret)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use musubi_api::run::Stage;

    use super::{Allowed, environment, needed};
    use crate::tests::run;

    fn names(stage: Stage) -> Vec<String> {
        let env = environment(&needed(&run(), stage));
        env.into_iter().map(|e| e.name).collect()
    }

    #[test]
    fn a_stage_gets_the_keys_it_needs_and_no_other() {
        let lake = [
            "MUSUBI_SECRET_MUSUBI_LAKE_AWS_ACCESS_KEY_ID",
            "MUSUBI_SECRET_MUSUBI_LAKE_AWS_SECRET_ACCESS_KEY",
        ];
        assert_eq!(names(Stage::Match), lake);
        let shop = [
            "MUSUBI_SECRET_MUSUBI_SHOP_PASSWORD",
            "MUSUBI_SECRET_MUSUBI_SHOP_USERNAME",
        ];
        assert_eq!(names(Stage::Ingest), [lake, shop].concat());
        let warehouse = [
            "MUSUBI_SECRET_MUSUBI_WAREHOUSE_PASSWORD",
            "MUSUBI_SECRET_MUSUBI_WAREHOUSE_USERNAME",
        ];
        assert_eq!(names(Stage::Load), [lake, warehouse].concat());
    }

    #[test]
    fn values_are_never_in_the_environment() {
        let env = environment(&needed(&run(), Stage::Plan));
        assert!(
            env.iter()
                .all(|e| e.value.is_none() && e.value_from.is_some())
        );
    }

    #[test]
    fn a_secret_that_is_not_allowed_is_named_with_the_way_out() {
        let keys = needed(&run(), Stage::Load);
        let allowed = |p: &str| Allowed::new(&[p.to_owned()]).ok();
        assert_eq!(allowed("musubi-*").and_then(|a| a.refuses(&keys)), None);
        let refusal = allowed("team-*").and_then(|a| a.refuses(&keys));
        assert_eq!(
            refusal.as_deref(),
            Some(
                "Secret `musubi-lake` may not be named here: allowed are team-*; \
                 rename it, or ask who runs the operator to allow it (--allow-secret)"
            )
        );
    }
}
