//! A run that a newer operator began.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{desk::Desk, support::stalled};

/// An operator that cannot read what the run is pinned to says so, and lets it be cancelled. The run is brought to where a
/// newer operator would have left it while the pipeline is paused, when nobody else looks at it.
pub(crate) fn stands_until_it_is_cancelled(desk: &mut Desk) {
    let older = desk.run_is(|run| run.status.as_ref().is_some_and(|s| s.snapshot.is_some()));
    desk.kubectl(&["annotate", "cpl", "shop", "musubi.dev/paused=true"]);
    desk.begin();
    let run = desk.run_is(|run| run.status.is_some());
    let mut snapshot = older.status.and_then(|s| s.snapshot).expect("a snapshot");
    let map = desk.kubectl(&["get", "configmap", &snapshot.config_map, "--output=json"]);
    let map: ConfigMap = serde_json::from_str(&map).expect("a ConfigMap");
    let yaml = &map.data.expect("its data")["run.yaml"];
    let newer = yaml.replacen("format: 1\n", "format: 99\n", 1);
    assert_ne!(&newer, yaml);
    let digest = Sha256::digest(&newer);
    snapshot.sha256 = Some(digest.iter().map(|b| format!("{b:02x}")).collect());
    snapshot.config_map = format!("{}-newer", run.name_any());
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": { "run.yaml": newer },
        "metadata": { "name": snapshot.config_map, "ownerReferences": [run.controller_owner_ref(&())] },
    });
    desk.create(&map);
    let patch = json!({ "status": { "phase": "Pending", "startTime": run.creation_timestamp(), "snapshot": snapshot } });
    patched(desk, "--subresource=status", &patch);
    desk.run_is(|run| stalled(run) == Some("SnapshotNewer"));
    patched(desk, "--type=merge", &json!({ "spec": { "cancel": true } }));
    desk.ends();
    desk.kubectl(&["annotate", "cpl", "shop", "musubi.dev/paused-"]);
}

fn patched(desk: &Desk, how: &str, patch: &Value) {
    let patch = format!("--patch={patch}");
    desk.kubectl(&["patch", "cplr", &desk.site.run, "--type=merge", how, &patch]);
}
