//! The kinds that files may hold.

use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;
use serde_json::Value as Json;

use crate::{
    audience::{Audience, AudienceSpec},
    pipeline::{
        CustomerPipeline, CustomerPipelineRun, CustomerPipelineRunSpec, CustomerPipelineSpec,
    },
    policy::{IdentityPolicy, IdentityPolicySpec},
    secrets::SecretData,
    source::{Source, SourceSpec},
    warehouse::{Warehouse, WarehouseSpec},
};

/// API version of every kind of musubi.
pub const API_VERSION: &str = "musubi.dev/v1alpha1";

/// A kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Source,
    IdentityPolicy,
    Warehouse,
    Audience,
    CustomerPipeline,
    CustomerPipelineRun,
    /// Core `v1`; read on a laptop only.
    Secret,
}

impl Kind {
    /// The kinds of musubi.
    pub const MUSUBI: [Self; 6] = [
        Self::Source,
        Self::IdentityPolicy,
        Self::Warehouse,
        Self::Audience,
        Self::CustomerPipeline,
        Self::CustomerPipelineRun,
    ];

    /// Name, as in `kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::IdentityPolicy => "IdentityPolicy",
            Self::Warehouse => "Warehouse",
            Self::Audience => "Audience",
            Self::CustomerPipeline => "CustomerPipeline",
            Self::CustomerPipelineRun => "CustomerPipelineRun",
            Self::Secret => "Secret",
        }
    }

    /// The definition that a cluster gets; none for `Secret`.
    #[must_use]
    pub fn definition(self) -> Option<CustomResourceDefinition> {
        let mut definition = match self {
            Self::Source => Source::crd(),
            Self::IdentityPolicy => IdentityPolicy::crd(),
            Self::Warehouse => Warehouse::crd(),
            Self::Audience => Audience::crd(),
            Self::CustomerPipeline => CustomerPipeline::crd(),
            Self::CustomerPipelineRun => CustomerPipelineRun::crd(),
            Self::Secret => return None,
        };
        for version in &mut definition.spec.versions {
            let schema = version.schema.as_mut();
            if let Some(schema) = schema.and_then(|s| s.open_api_v3_schema.as_mut()) {
                tidy(schema);
            }
        }
        Some(definition)
    }

    /// Its OpenAPI schema; null for `Secret`.
    #[must_use]
    pub fn schema(self) -> &'static Json {
        static SCHEMAS: [OnceLock<Json>; 7] = [const { OnceLock::new() }; 7];
        SCHEMAS[self as usize].get_or_init(|| {
            self.definition()
                .and_then(|crd| serde_json::to_value(crd).ok())
                .map(|mut crd| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take())
                .unwrap_or_default()
        })
    }
}

/// Names formats as the API server knows them: it has no unsigned numbers, and warns of each. Bounds keep them
/// from being negative. Fields of Kubernetes itself lose their descriptions: a definition has to stay small, and
/// they are explained where `externalDocs` points to.
fn tidy(schema: &mut JSONSchemaProps) {
    match schema.format.as_deref() {
        Some("uint8" | "uint16") => schema.format = Some("int32".into()),
        Some("uint32" | "uint64" | "uint") => schema.format = Some("int64".into()),
        _ => {}
    }
    let elsewhere = schema.external_docs.is_some();
    for below in below(schema) {
        if elsewhere {
            undescribed(below);
        }
        tidy(below);
    }
}

fn undescribed(schema: &mut JSONSchemaProps) {
    schema.description = None;
    below(schema).into_iter().for_each(undescribed);
}

/// The schemas within a schema.
fn below(schema: &mut JSONSchemaProps) -> Vec<&mut JSONSchemaProps> {
    let mut found: Vec<&mut JSONSchemaProps> = Vec::new();
    found.extend(schema.properties.iter_mut().flat_map(|p| p.values_mut()));
    if let Some(JSONSchemaPropsOrBool::Schema(below)) = &mut schema.additional_properties {
        found.push(below);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(below)) => found.push(below),
        Some(JSONSchemaPropsOrArray::Schemas(below)) => found.extend(below),
        None => {}
    }
    for several in [&mut schema.all_of, &mut schema.any_of, &mut schema.one_of] {
        found.extend(several.iter_mut().flatten());
    }
    found
}

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Resource {
    Source(Box<SourceSpec>),
    IdentityPolicy(Box<IdentityPolicySpec>),
    Warehouse(Box<WarehouseSpec>),
    Audience(Box<AudienceSpec>),
    CustomerPipeline(Box<CustomerPipelineSpec>),
    CustomerPipelineRun(Box<CustomerPipelineRunSpec>),
    Secret(SecretData),
}

impl Resource {
    /// Reads the `spec` of a document (for a Secret, the document).
    ///
    /// # Errors
    /// What serde says; a document that passed its schema is read.
    pub fn read(kind: Kind, document: &Json) -> Result<Self, serde_json::Error> {
        use serde::Deserialize;
        let spec = &document["spec"];
        Ok(match kind {
            Kind::Source => Self::Source(Deserialize::deserialize(spec)?),
            Kind::IdentityPolicy => Self::IdentityPolicy(Deserialize::deserialize(spec)?),
            Kind::Warehouse => Self::Warehouse(Deserialize::deserialize(spec)?),
            Kind::Audience => Self::Audience(Deserialize::deserialize(spec)?),
            Kind::CustomerPipeline => Self::CustomerPipeline(Deserialize::deserialize(spec)?),
            Kind::CustomerPipelineRun => Self::CustomerPipelineRun(Deserialize::deserialize(spec)?),
            Kind::Secret => Self::Secret(Deserialize::deserialize(document)?),
        })
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Source(_) => Kind::Source,
            Self::IdentityPolicy(_) => Kind::IdentityPolicy,
            Self::Warehouse(_) => Kind::Warehouse,
            Self::Audience(_) => Kind::Audience,
            Self::CustomerPipeline(_) => Kind::CustomerPipeline,
            Self::CustomerPipelineRun(_) => Kind::CustomerPipelineRun,
            Self::Secret(_) => Kind::Secret,
        }
    }
}
