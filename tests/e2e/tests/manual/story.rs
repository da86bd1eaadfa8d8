//! The commands of the document in its order, and what each does to the cluster.

use musubi_api::pipeline::CustomerPipelineRun;
use serde_json::json;

use crate::{desk::Desk, newer, support};

/// The second day's file.
const SECOND_DAY: &str = "id,name,email,birthday\n1005,田中 翔,sho@example.jp,2001-07-15\n";

/// A command, as it begins.
pub(crate) struct Step {
    pub(crate) begins: &'static str,
    /// What happens before somebody reaches for it.
    pub(crate) before: fn(&mut Desk),
    /// What has to be true afterwards; with what it printed.
    pub(crate) after: fn(&mut Desk, &str),
}

/// A command that has to succeed.
const fn run(begins: &'static str) -> Step {
    then(begins, |_, _| {})
}

/// A command after which something has to be true.
const fn then(begins: &'static str, after: fn(&mut Desk, &str)) -> Step {
    given(begins, |_| {}, after)
}

/// A command for something that has happened.
const fn given(begins: &'static str, before: fn(&mut Desk), after: fn(&mut Desk, &str)) -> Step {
    Step {
        begins,
        before,
        after,
    }
}

/// Every command of the document.
pub(crate) const STORY: &[Step] = &[
    // Install
    then("helm install musubi-crds", deployed),
    then("helm install musubi", deployed),
    run("kubectl get deployment musubi"),
    then("helm test musubi", |_, said| has(said, "Succeeded")),
    then("kubectl label namespace", |_, said| has(said, "namespace/")),
    run("kubectl apply --server-side -f crds/"),
    then(
        "kubectl apply --server-side -k deploy/kustomize",
        |desk, _| {
            let namespace = format!("--namespace={}", desk.other);
            let ready = [
                "rollout",
                "status",
                "deployment/musubi",
                "--timeout=5m",
                &namespace,
            ];
            desk.world.tool("kubectl", &ready);
            desk.world.tool(
                "kubectl",
                &["delete", "namespace", &desk.other, "--wait=false"],
            );
        },
    ),
    then("cargo xtask licences", |_, said| has(said, "all allowed")),
    then("cargo xtask sbom", |_, said| has(said, "musubi.cdx.json")),
    // First pipeline
    run("musubi validate"),
    run("kubectl config set-context"),
    then("kubectl apply -f retail/", |_, said| {
        has(said, "customerpipeline.musubi.dev/shop created")
    }),
    run("kubectl wait cpl/shop"),
    run("kubectl get cpl"),
    run("kubectl annotate cpl shop musubi.dev/run-now"),
    run("kubectl wait cpl/shop"),
    then("kubectl get cplr", |desk, _| {
        desk.fresh();
        assert_eq!(desk.customers(), "2");
    }),
    run("musubi lake log"),
    then("musubi quarantine list", |_, said| has(said, "birthday")),
    // Credentials
    given(
        "kubectl create secret generic musubi-lake",
        |desk| desk.secret("musubi-lake", "AWS_SECRET_ACCESS_KEY", "of yesterday"),
        |desk, _| {
            assert_eq!(
                desk.kubectl(&["get", "secret", "musubi-lake", KEY]),
                desk.site.keys[1]
            )
        },
    ),
    // Runs
    given(
        "kubectl annotate cpl PIPELINE musubi.dev/run-now",
        |desk| {
            desk.put("loyalty/members_20261102.csv", SECOND_DAY);
            desk.secret("musubi-warehouse", "password", "of yesterday");
            desk.change(&json!({ "pods": { "retries": 0 } }));
        },
        |desk, _| {
            desk.fresh();
            let run = desk.ends();
            assert_eq!(reason(&run), "ShardFailed", "{:#?}", run.status);
        },
    ),
    then("kubectl get cplr", |desk, said| has(said, &desk.site.run)),
    then("kubectl describe cplr RUN", |_, said| {
        has(said, "ShardFailed")
    }),
    given(
        "kubectl annotate cplr RUN musubi.dev/retry",
        |desk| desk.secret("musubi-warehouse", "password", &desk.site.login[1]),
        |desk, _| {
            desk.run_is(|run| reason(run) == "Complete");
            assert_eq!(desk.customers(), "3");
        },
    ),
    given(
        "kubectl patch cplr RUN",
        |desk| {
            desk.hold(true);
            desk.begin();
            desk.run_is(|run| run.status.as_ref().is_some_and(|s| !s.stages.is_empty()));
        },
        |desk, _| cancelled(desk),
    ),
    then("kubectl patch cpl PIPELINE", |desk, _| {
        desk.until("the schedule rests", |desk| {
            desk.get("cpl/shop", NEXT).is_empty()
        });
        desk.change(&json!({ "suspend": false }));
        desk.until("the schedule goes on", |desk| {
            !desk.get("cpl/shop", NEXT).is_empty()
        });
    }),
    then(
        "kubectl annotate cpl PIPELINE musubi.dev/paused=true",
        |desk, _| {
            desk.until("the pipeline is paused", |desk| {
                desk.get("cpl/shop", PAUSED) == "True"
            });
            let runs = desk.runs();
            desk.kubectl(&[
                "annotate",
                "cpl",
                "shop",
                "musubi.dev/run-now=paused",
                "--overwrite",
            ]);
            std::thread::sleep(std::time::Duration::from_secs(2));
            assert_eq!(desk.runs(), runs, "nothing is made");
        },
    ),
    then(
        "kubectl annotate cpl PIPELINE musubi.dev/paused-",
        |desk, _| {
            desk.fresh();
        },
    ),
    then("kubectl create -f run.yaml", |desk, said| {
        let run = desk.fresh();
        has(said, &format!("{run} created"));
        desk.completes();
    }),
    // Peaks
    then(
        "kubectl patch cpl shop --type merge --patch-file",
        |desk, _| {
            desk.until("a peak", |desk| {
                !desk.get("cpl/shop", "{.status.nextPeak.from}").is_empty()
            });
        },
    ),
    then("kubectl get cpl shop -o wide", |desk, said| {
        has(said, "PEAK");
        // Whatever day it is, what follows does not happen in one.
        desk.change(&json!({ "peaks": null }));
    }),
    // Upgrade
    then("helm upgrade musubi-crds", deployed),
    then("helm upgrade musubi", |desk, said| {
        deployed(desk, said);
        assert_eq!(desk.get("deployment/musubi", IMAGE), desk.site.images[1]);
    }),
    // Rollback
    then("helm history musubi", |_, said| has(said, "superseded")),
    then("helm rollback musubi", |desk, _| {
        assert_eq!(desk.get("deployment/musubi", IMAGE), desk.site.images[0]);
        newer::stands_until_it_is_cancelled(desk);
    }),
    run("kubectl annotate cpl shop musubi.dev/paused=true"),
    run("musubi lake log"),
    then(
        "musubi rollback -f retail/ --to 1 --dry-run",
        |desk, said| {
            has(said, "Would publish the content of version 1");
            assert_eq!(desk.customers(), "3");
        },
    ),
    then("musubi rollback -f retail/ --to 1", |desk, said| {
        has(said, "with the content of version 1");
        assert_eq!(desk.customers(), "2");
    }),
    run("kubectl annotate cpl shop musubi.dev/paused-"),
    // What conditions say
    then(NEEDS_KUEUE, |_, _| {}),
    // Troubleshooting by symptom
    then("kubectl get cpl,cplr", |_, said| {
        has(said, "customerpipeline.musubi.dev/shop")
    }),
    given(
        "kubectl get pods -l app.kubernetes.io/name=musubi-operator",
        |desk| {
            desk.kubectl(&["set", "image", "deployment/musubi", NOWHERE]);
            desk.until("an image is missed", |desk| {
                desk.kubectl(&["get", "pods"]).contains("ImagePull")
            });
        },
        |_, said| has(said, "ImagePull"),
    ),
    then("kubectl describe deployment musubi", |desk, said| {
        has(said, "1 unavailable");
        desk.kubectl(&["rollout", "undo", "deployment/musubi"]);
        desk.until("two operators are left", |desk| {
            desk.kubectl(&OPERATORS).lines().count() == 2
        });
    }),
    then("kubectl get lease musubi", |_, said| has(said, "musubi-")),
    then(
        "kubectl logs -l app.kubernetes.io/name=musubi-operator",
        |_, said| has(said, "{\""),
    ),
    run("musubi validate"),
    given(
        "kubectl get cpl PIPELINE -o jsonpath='{.status.conditions[?(@.type==\"Ready\")]",
        |desk| {
            desk.change(&json!({ "sources": ["loyalty", "nobody"] }));
            desk.until("it is not ready", |desk| {
                desk.get("cpl/shop", READY) == "False"
            });
        },
        |desk, said| {
            has(said, "nobody");
            desk.change(&json!({ "sources": ["loyalty"] }));
        },
    ),
    given(
        "kubectl get cpl PIPELINE -o wide",
        |desk| desk.change(&json!({ "suspend": true })),
        |desk, said| {
            has(said, "true");
            desk.change(&json!({ "suspend": false }));
        },
    ),
    then(
        "kubectl events --for customerpipeline/PIPELINE",
        |_, said| has(said, "RunCreated"),
    ),
    then("kubectl get cplr --sort-by", |desk, said| {
        has(said, &desk.site.run)
    }),
    given(
        "kubectl get cplr RUN -o jsonpath='{.status.conditions[?(@.type==\"Stalled\")]",
        Desk::stuck,
        |_, said| has(said, "finds no node"),
    ),
    then(
        "kubectl get pods -l musubi.dev/pipeline=PIPELINE",
        |_, said| has(said, "Pending"),
    ),
    then("kubectl events --types=Warning", |desk, said| {
        has(said, "FailedScheduling");
        desk.kubectl(&["patch", "cplr", &desk.site.run, "--type=merge", CANCEL]);
        cancelled(desk);
    }),
    then("kubectl describe cplr RUN", |_, said| {
        has(said, "Cancelled")
    }),
    run("kubectl logs -l musubi.dev/pipeline=PIPELINE"),
    then(
        "kubectl get cpl PIPELINE -o jsonpath='{.status.publishedAsOf}",
        |_, said| {
            let instants: Vec<&str> = said.split(' ').collect();
            assert_eq!(instants.len(), 2, "{said}");
            assert_eq!(instants[0], instants[1], "every warehouse has it");
        },
    ),
    then("kubectl get sources", |_, said| has(said, "loyalty")),
    then("musubi quarantine list", |_, said| has(said, "birthday")),
    run("musubi lake log"),
    then("musubi quarantine export", |desk, _| {
        let bad = std::fs::read_to_string(desk.file("bad.csv")).expect("bad.csv");
        has(&bad, "1990-02-30");
        let good = bad.replace("1990-02-30", "1990-02-28");
        std::fs::write(desk.file("bad.csv"), good).expect("bad.csv");
    }),
    run("musubi quarantine replay"),
    then("kubectl annotate cpl shop musubi.dev/run-now", |desk, _| {
        desk.fresh();
        desk.completes();
        // The second day's file is taken again, and so is the row that was handed in.
        assert_eq!(desk.customers(), "4");
    }),
    // Monitoring
    then(
        "kubectl get cplr RUN -o jsonpath='{.metadata.uid}'",
        |_, said| {
            let digits = said.trim().chars().filter(char::is_ascii_hexdigit).count();
            assert_eq!((digits, said.trim().len()), (32, 32), "{said}");
        },
    ),
    // Uninstall
    then("helm uninstall musubi --namespace retail", |desk, _| {
        has(&desk.get("cpl", "{.items[*].metadata.name}"), "shop")
    }),
    then("helm uninstall musubi-crds", |desk, _| {
        has(&desk.get("cpl", "{.items[*].metadata.name}"), "shop")
    }),
];

/// What only runs where a Kueue was built.
pub(crate) const NEEDS_KUEUE: &str = "kubectl describe workloads";
const PENDING: [&str; 5] = [
    "get",
    "pods",
    "--field-selector=status.phase=Pending",
    "--selector=musubi.dev/pipeline=shop",
    "--output=name",
];
const OPERATORS: [&str; 4] = [
    "get",
    "pods",
    "--selector=app.kubernetes.io/name=musubi-operator",
    "--output=name",
];
const NEXT: &str = "{.status.nextScheduleTime}";
const PAUSED: &str = "{.status.conditions[?(@.type==\"Paused\")].status}";
const READY: &str = "{.status.conditions[?(@.type==\"Ready\")].status}";
const IMAGE: &str = "{.spec.template.spec.containers[0].image}";
const KEY: &str = "--output=go-template={{.data.AWS_SECRET_ACCESS_KEY | base64decode}}";
const NOWHERE: &str = "operator=localhost/musubi:nowhere";
const CANCEL: &str = "--patch={\"spec\":{\"cancel\":true}}";

fn has(said: &str, what: &str) {
    assert!(said.contains(what), "{what} is not in:\n{said}");
}

fn deployed(_: &mut Desk, said: &str) {
    has(said, "STATUS: deployed");
}

/// A run that found no node is over, and the next one finds one.
fn cancelled(desk: &mut Desk) {
    assert_eq!(reason(&desk.ends()), "Cancelled");
    desk.until("its pods are gone", |desk| {
        desk.kubectl(&PENDING).is_empty()
    });
    desk.hold(false);
}

/// Why a run is over; nothing while it is not.
fn reason(run: &CustomerPipelineRun) -> &str {
    let of = |kind: &str| support::reason(run.status.iter().flat_map(|s| &s.conditions), kind);
    of("Complete").or_else(|| of("Failed")).unwrap_or_default()
}
