//! `docs/operator.md`, word for word: each file in it is written and each command in it is run, in its order, in a real
//! cluster; and what is shown is what is printed.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each test uses what it needs")]
mod support;

mod desk;
mod document;
mod newer;
mod story;
mod values;

use std::path::{Path, PathBuf};

use desk::Desk;
use document::{Part, is_shown, parts};
use musubi_testing::Cluster;
use story::{NEEDS_KUEUE, STORY, Step};
use support::kueue;
use values::Site;

/// Top folder of the checkout.
fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read() -> Vec<(usize, Part)> {
    let page = std::fs::read_to_string(checkout().join("docs/operator.md"));
    parts(&page.expect("docs/operator.md"))
}

/// The step of the story that a command is; what is wrong when it is none.
fn step(n: usize, line: usize, command: &str) -> &'static Step {
    let known = STORY.get(n).map_or("nothing", |step| step.begins);
    assert!(
        command.starts_with(known),
        "docs/operator.md, line {line}: the story of this test goes on with `{known}`, and not with `{command}`"
    );
    &STORY[n]
}

#[test]
fn every_command_has_its_place_in_the_story_and_nothing_is_left_open() {
    let site = Site {
        images: ["musubi:1", "musubi@sha256:2"].map(str::to_owned),
        ..Site::default()
    };
    let mut commands = 0;
    for (line, part) in read() {
        let filled = match &part {
            Part::Command(command) => {
                step(commands, line, command);
                commands += 1;
                site.fill(command)
            }
            Part::File(_, text) => site.fill(text),
            Part::Shown(_) | Part::Object(..) => continue,
        };
        assert!(filled.is_ok(), "docs/operator.md, line {line}: {filled:?}");
    }
    let left: Vec<&str> = STORY[commands..].iter().map(|step| step.begins).collect();
    assert!(
        left.is_empty(),
        "these are not in docs/operator.md: {left:?}"
    );
}

#[test]
fn what_the_document_says_is_done_as_it_stands() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let mut desk = Desk::new(cluster);
    let (mut commands, mut printed) = (0, String::new());
    for (line, part) in read() {
        match part {
            Part::File(path, text) => desk.write(&path, &text),
            Part::Object(path, text) => desk.put(&path, &text),
            Part::Shown(shown) => assert!(
                is_shown(&shown, &printed),
                "docs/operator.md, line {line} shows\n{shown}\nand this is printed:\n{printed}"
            ),
            Part::Command(command) => {
                let step = step(commands, line, &command);
                commands += 1;
                if step.begins == NEEDS_KUEUE && kueue::define(&desk.world.cluster).is_none() {
                    continue;
                }
                let begun = std::time::Instant::now();
                (step.before)(&mut desk);
                printed = desk.run(&command);
                (step.after)(&mut desk, &printed);
                eprintln!("{:5.1?} {command}", begun.elapsed());
            }
        }
    }
    desk.leave();
}
