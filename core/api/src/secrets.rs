//! Secrets by reference: from `Secret` manifests beside the resources, or from the environment. Never printed.

use std::{collections::BTreeMap, env, fmt};

use k8s_openapi::ByteString;
use serde::Deserialize;

use crate::source::SecretRef;

/// What a `Secret` manifest holds.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretData {
    data: BTreeMap<String, ByteString>,
    string_data: BTreeMap<String, String>,
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretData(…)")
    }
}

/// Resolves references to secrets.
#[derive(Clone, Default)]
pub struct Secrets {
    manifests: BTreeMap<String, SecretData>,
}

/// A secret that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither a manifest nor the environment has it.
    #[error(
        "secret `{secret}` has no key `{key}`: add a Secret manifest with it, or set the environment variable {variable}"
    )]
    Missing {
        /// Name of the secret.
        secret: String,
        /// Key.
        key: String,
        /// The environment variable that would give it.
        variable: String,
    },
    /// It is not UTF-8.
    #[error("key `{key}` of secret `{secret}` is not UTF-8 text")]
    NotText {
        /// Name of the secret.
        secret: String,
        /// Key.
        key: String,
    },
}

impl Secrets {
    /// Secrets of the environment alone.
    #[must_use]
    pub fn environment() -> Self {
        Self::default()
    }

    pub(crate) fn add(&mut self, name: &str, data: SecretData) {
        self.manifests.insert(name.to_owned(), data);
    }

    /// One value. The environment goes before manifests.
    ///
    /// # Errors
    /// [`SecretError`]; it names the secret and the key, never a value.
    pub fn get(&self, secret: &SecretRef, key: &str) -> Result<String, SecretError> {
        let variable = variable(&secret.secret, key);
        if let Ok(value) = env::var(&variable) {
            return Ok(value);
        }
        self.manifest(&secret.secret, key)
            .ok_or_else(|| SecretError::Missing {
                secret: secret.secret.clone(),
                key: key.to_owned(),
                variable,
            })?
    }

    fn manifest(&self, secret: &str, key: &str) -> Option<Result<String, SecretError>> {
        let manifest = self.manifests.get(secret)?;
        if let Some(text) = manifest.string_data.get(key) {
            return Some(Ok(text.clone()));
        }
        let bytes = manifest.data.get(key)?.0.clone();
        Some(String::from_utf8(bytes).map_err(|_| SecretError::NotText {
            secret: secret.to_owned(),
            key: key.to_owned(),
        }))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// `MUSUBI_SECRET_<NAME>_<KEY>`, upper case, `-` and `.` as `_`.
#[must_use]
pub fn variable(secret: &str, key: &str) -> String {
    format!("MUSUBI_SECRET_{secret}_{key}")
        .to_uppercase()
        .replace(['-', '.'], "_")
}
