//! What `musubi --help` teaches: commands by purpose, examples, exit codes.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Commands by what people want to do; one that stands nowhere here comes last.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Begin", &["demo", "dedupe", "profile", "validate"]),
    ("Run", &["run", "stage", "replay", "rollback"]),
    (
        "Look and mend",
        &[
            "trace",
            "explain",
            "evaluate",
            "identity",
            "quarantine",
            "lake",
        ],
    ),
    (
        "Else",
        &["crds", "reference", "completion", "version", "help"],
    ),
];

const EXAMPLES: &str = "  \
  musubi demo                     a retailer's files, a run over them, its score
  musubi validate -f my-pipeline  everything that is wrong in a folder
  musubi run -f my-pipeline       from files to customers; again for what is new
  musubi run -f my-pipeline -v    the same, with a log";

const EXIT_CODES: &str = "  \
  0   done
  1   not done; the message says why, and what to do
  2   the command line was not understood
  42  this shard of a stage can never succeed (musubi stage)
  43  this run can never succeed: a gate or a limit says no
  Any other code: try again.";

/// The command line with its help.
pub(super) fn command() -> Command {
    let command = Cli::command();
    let template = format!(
        "{{about-with-newline}}\n{} {{usage}}\n{}\n{}\n{{options}}\n\n{}\n{EXAMPLES}\n\n{}\n{EXIT_CODES}\n",
        heading("Usage:"),
        commands(&command),
        heading("Options:"),
        heading("Examples:"),
        heading("Exit codes:"),
    );
    command.help_template(template)
}

fn heading(words: &str) -> String {
    format!("\x1b[1m\x1b[4m{words}\x1b[0m")
}

/// Every command in its group, with its line.
fn commands(command: &Command) -> String {
    let known: Vec<&str> = GROUPS
        .iter()
        .flat_map(|(_, names)| *names)
        .copied()
        .collect();
    let mut out = String::new();
    for (title, names) in GROUPS {
        let last = title == "Else";
        let mut lines = String::new();
        let others = command
            .get_subcommands()
            .map(Command::get_name)
            .filter(|name| last && !known.contains(name));
        for name in others.chain(names.iter().copied()) {
            if name == "help" {
                lines.push_str(&line(name, "Print this, or the help of a command"));
            } else if let Some(found) = command.find_subcommand(name) {
                let about = found.get_about().map(ToString::to_string);
                lines.push_str(&line(name, &short(&about.unwrap_or_default())));
            }
        }
        if !lines.is_empty() {
            out.push_str(&format!("\n{}\n{lines}", heading(&format!("{title}:"))));
        }
    }
    out
}

/// The first sentence, cut where a line of a terminal ends.
fn short(about: &str) -> String {
    const ROOM: usize = 66;
    let sentence = about.split(". ").next().unwrap_or_default();
    let sentence = sentence.trim_end_matches('.');
    if sentence.chars().count() <= ROOM {
        return sentence.to_owned();
    }
    let mut cut = String::new();
    for word in sentence.split(' ') {
        if cut.chars().count() + word.chars().count() + 2 > ROOM {
            break;
        }
        if !cut.is_empty() {
            cut.push(' ');
        }
        cut.push_str(word);
    }
    format!("{cut}…")
}

fn line(name: &str, about: &str) -> String {
    format!("  \x1b[1m{name:<11}\x1b[0m {about}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_command_on_eighty_columns() {
        let help = command().render_help().to_string();
        for name in Cli::command().get_subcommands().map(Command::get_name) {
            let begins = format!("\n  {name} ");
            assert!(help.contains(&begins), "{name} in\n{help}");
        }
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
        }
        for part in [
            "Usage: musubi",
            "Examples:",
            "Exit codes:",
            "Options:",
            "Begin:",
        ] {
            assert!(help.contains(part), "{part} in\n{help}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        let cases = [
            (&["musubi", "valdate", "-f", "."][..], "validate"),
            (&["musubi", "run", "-f", ".", "--alow", "rows"], "--allow"),
        ];
        for (words, meant) in cases {
            let said = command()
                .try_get_matches_from(words)
                .map_or_else(|e| e.to_string(), |_| String::new());
            assert!(said.starts_with("error:") && said.contains(meant), "{said}");
        }
    }
}
