//! Ten normal days in ten runs: no gate says no, and every row of every day is accounted for.

use std::{fs, path::Path, sync::Arc};

use musubi::{
    demo::{examples, world::World},
    stage::{Context, publish, runner},
};
use musubi_api::load;

/// Copies the files that a world has by the end of a day: those with its date in their name, and on the
/// first day those without a date.
fn arrive(from: &Path, to: &Path, date: &str, first: bool) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            arrive(&path, &to.join(name), date, first);
        } else if name.contains(date) || (first && !name.contains("_2026")) {
            fs::create_dir_all(to).expect("make a folder");
            fs::copy(&path, to.join(name)).expect("copy a file");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_normal_days_meet_no_gate() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (all, here) = (folder.path().join("all"), folder.path().join("here"));
    World::generate(250, 10, 3, &all).expect("a world");
    examples::write(&here).expect("write the resources");
    for day in 1..=10 {
        arrive(
            &all.join("data"),
            &here.join("data"),
            &format!("202610{day:02}"),
            day == 1,
        );
        let catalog =
            load::load_and_validate(std::slice::from_ref(&here)).unwrap_or_else(|p| panic!("{p}"));
        let now = jiff::Timestamp::now();
        let run = catalog
            .resolve_run(Some("bento"), &format!("run-{day}"), now)
            .unwrap_or_else(|p| panic!("{p}"));
        let context = Context::open(run, catalog.secrets().clone()).expect("open the lake");
        runner::run(&context, 2, Arc::new(()))
            .await
            .unwrap_or_else(|e| panic!("day {day}: {e:#}"));
        let accounts = publish::published_accounts(&context)
            .await
            .expect("accounts");
        assert!(
            accounts.len() > 10 && accounts.iter().all(|a| a.holds()),
            "day {day}: {accounts:#?}"
        );
        let repeated: u64 = accounts.iter().map(|a| a.duplicate + a.superseded).sum();
        assert!(
            day < 3 || repeated > 0,
            "files are sent again and records change"
        );
    }
}
