//! What a page has its readers do: the commands in it, the files, and what they are shown.

/// A thing that readers do, or see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A command for a shell.
    Command(String),
    /// What the command before it prints, with `…` for what is different each time.
    Shown(String),
    /// A file on the reader's machine.
    File(String, String),
    /// An object in the reader's bucket.
    Object(String, String),
}

/// Programs that readers start.
const PROGRAMS: [&str; 4] = ["cargo", "helm", "kubectl", "musubi"];
/// Commands that the text speaks of, and that nobody is to type as they stand.
const NAMED: [&str; 6] = [
    "helm uninstall",
    "helm upgrade",
    "kubectl apply",
    "musubi lake destroy",
    "musubi rollback",
    "musubi run",
];

/// The parts of a page of Markdown in order, each with its line. Commands stand in blocks without a language, and
/// between backticks; a block of YAML names its file in a comment first, one of CSV its object after the language.
pub(crate) fn parts(page: &str) -> Vec<(usize, Part)> {
    let mut parts = Vec::new();
    let mut prose = String::new();
    let mut prose_from = 1;
    let mut lines = (1..).zip(page.lines());
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        parts.extend(inline(prose_from, &prose));
        let block: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        prose.clear();
        prose_from = number + block.len() + 2;
        let found = within(language, &block.join("\n"));
        let found = found.unwrap_or_else(|| panic!("line {number}: a block of `{language}`"));
        parts.extend(found.into_iter().map(|part| (number, part)));
    }
    parts.extend(inline(prose_from, &prose));
    parts
}

/// What a block says; none when nobody knows what readers do with it.
fn within(language: &str, block: &str) -> Option<Vec<Part>> {
    let text = || format!("{block}\n");
    let part = match language.split_once(' ') {
        None if language.is_empty() => return Some(commands(block)),
        None if language == "text" => Part::Shown(text()),
        None if language == "yaml" => {
            let file = block.lines().next()?.strip_prefix("# ")?;
            Part::File(file.to_owned(), text())
        }
        Some(("csv", object)) => Part::Object(object.to_owned(), text()),
        _ => return None,
    };
    Some(vec![part])
}

/// The commands of a block. A line that ends with `\` goes on in the next.
fn commands(block: &str) -> Vec<Part> {
    let whole = block.replace("\\\n", "");
    let commands = whole.lines().filter(|line| !line.trim().is_empty());
    commands
        .map(|line| Part::Command(line.to_owned()))
        .collect()
}

/// The commands between backticks of a text that begins at a line.
fn inline(from: usize, text: &str) -> Vec<(usize, Part)> {
    let mut line = from;
    let mut found = Vec::new();
    for (n, piece) in text.split('`').enumerate() {
        let said = piece.replace('\n', " ");
        let starts = PROGRAMS.contains(&said.split(' ').next().unwrap_or_default());
        let typed = said.contains(' ') && !NAMED.contains(&said.as_str());
        if n % 2 == 1 && starts && typed {
            found.push((line, Part::Command(said)));
        }
        line += piece.matches('\n').count();
    }
    found
}

/// Whether a command printed what readers are shown: line by line and word by word.
pub(crate) fn is_shown(shown: &str, printed: &str) -> bool {
    let words = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect());
        words.collect()
    };
    let (shown, printed) = (words(shown), words(printed));
    let same = |(shown, printed): (&String, &String)| match shown.split_once('…') {
        Some((begins, ends)) => printed.starts_with(begins) && printed.ends_with(ends),
        None => shown == printed,
    };
    let alike = |(shown, printed): (&Vec<String>, &Vec<String>)| {
        shown.len() == printed.len() && shown.iter().zip(printed).all(same)
    };
    shown.len() == printed.len() && shown.iter().zip(&printed).all(alike)
}

#[test]
fn a_page_is_read_in_order() {
    let page = "Look: `kubectl get\ncplr`, and never `musubi run`.\n\n```\nhelm list \\\n  -q\nkubectl get cpl\n```\n\n\
                ```text\nNAME\n```\n| `x` | `helm test a` |\n\n```yaml\n# a.yaml\nb: 1\n```\n```csv d/e.csv\nid\n```\n";
    let command = |text: &str| Part::Command(text.into());
    let expected = [
        (1, command("kubectl get cplr")),
        (4, command("helm list   -q")),
        (4, command("kubectl get cpl")),
        (10, Part::Shown("NAME\n".into())),
        (13, command("helm test a")),
        (15, Part::File("a.yaml".into(), "# a.yaml\nb: 1\n".into())),
        (19, Part::Object("d/e.csv".into(), "id\n".into())),
    ];
    assert_eq!(parts(page), expected);
}

#[test]
#[should_panic(expected = "line 1: a block of `toml`")]
fn a_block_that_nobody_knows_is_an_error() {
    parts("```toml\na = 1\n```\n");
}

#[test]
fn what_is_shown_is_what_is_printed() {
    let shown = "NAME        AGE\nshop-now-…  …\n";
    assert!(is_shown(shown, "NAME  AGE\nshop-now-1a2b 5s"));
    assert!(!is_shown(shown, "NAME  AGE\nshop-now-1a2b 5s extra"));
    assert!(!is_shown(shown, "NAME  AGE\nother 5s"));
    assert!(!is_shown(shown, "NAME  AGE"));
}
