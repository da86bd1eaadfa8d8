//! What unit tests build on: a run with a lake on S3, a source and a warehouse in databases.

use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use musubi_api::{load_text, run::Run};

const RESOURCES: &str = r#"
apiVersion: musubi.dev/v1alpha1
kind: Source
metadata: { name: shop }
spec:
  system: ecommerce
  connector:
    postgres: { host: db.example.com, database: shop, credentials: { secret: musubi-shop } }
  streams:
    - name: customers
      table: { name: customers, cursor: updated_at }
      changes: upsert
      entities:
        - entity: customer
          key: [id]
          fields: { email: { from: email } }
---
apiVersion: musubi.dev/v1alpha1
kind: Warehouse
metadata: { name: reports }
spec:
  postgres: { host: db.example.com, database: reports, credentials: { secret: musubi-warehouse } }
---
apiVersion: musubi.dev/v1alpha1
kind: CustomerPipeline
metadata: { name: bento, namespace: retail }
spec:
  sources: [shop]
  lake:
    s3: { bucket: lake, prefix: bento, region: eu-central-1, credentials: { secret: musubi-lake } }
  warehouses: [reports]
"#;

/// A run.
pub(crate) fn run() -> Run {
    let as_of = "2026-11-25T04:30:00+09:00".parse().unwrap_or_default();
    let catalog = load_text(Path::new("bento.yaml"), RESOURCES);
    catalog
        .and_then(|c| c.resolve_run(None, &owner().uid, as_of))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The object that owns what a run makes.
pub(crate) fn owner() -> OwnerReference {
    OwnerReference {
        api_version: "musubi.dev/v1alpha1".into(),
        kind: "CustomerPipelineRun".into(),
        name: "bento-1".into(),
        uid: "6f1f4e0c-9d0e-4d3f-8a55-1f2f3c4d5e6f".into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
