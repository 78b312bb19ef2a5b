//! Examples in the documentation, as their readers see them: without the hidden lines.

use std::collections::BTreeSet;

/// What an example needs, but only a hidden line defines. Each with the line where the example begins.
pub fn hidden_but_needed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, example) in examples(text) {
        let (hidden, shown): (Vec<&str>, Vec<&str>) =
            example.iter().partition(|line| is_hidden(line));
        let defined_in = |lines: &[&str]| -> BTreeSet<String> {
            let lines = lines.iter().flat_map(|line| defined(line));
            lines.map(str::to_owned).collect()
        };
        let (shown_defines, hidden_defines) = (defined_in(&shown), defined_in(&hidden));
        let uses: BTreeSet<&str> = shown.iter().flat_map(|line| words(line)).collect();
        let needed = hidden_defines.difference(&shown_defines);
        let needed = needed.filter(|name| uses.contains(name.as_str()));
        found.extend(needed.map(|name| format!("{number}: {name} is hidden")));
    }
    found
}

/// The lines of each example, and the number of the line before them.
fn examples(text: &str) -> Vec<(usize, Vec<&str>)> {
    let (mut found, mut open) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let line = comment.map(|line| line.strip_prefix(' ').unwrap_or(line));
        match (line, &mut open) {
            (None, _) => open = None,
            (Some(line), None) if line.starts_with("```") => open = Some((index + 1, Vec::new())),
            (Some(line), Some(_)) if line.starts_with("```") => found.extend(open.take()),
            (Some(line), Some((_, lines))) => lines.push(line),
            (Some(_), None) => {}
        }
    }
    found
}

fn is_hidden(line: &str) -> bool {
    line == "#" || line.starts_with("# ")
}

/// The names that a line defines, as far as an example needs it: imports, functions with their
/// arguments, and variables that do not stand in a block.
fn defined(line: &str) -> Vec<&str> {
    let line = line.strip_prefix("# ").unwrap_or(line);
    let pattern_of = |rest: &str| rest.find(['=', ':']).unwrap_or(rest.len());
    if let Some(path) = line.trim_start().strip_prefix("use ") {
        let names = path.trim_end_matches(';').rsplit("::").next();
        return words(names.unwrap_or_default()).collect();
    }
    if let Some(rest) = line.strip_prefix("let ") {
        let names = words(&rest[..pattern_of(rest)]);
        return names.filter(|name| *name != "mut").collect();
    }
    if let Some(rest) = line.trim_start().strip_prefix("fn ") {
        let (name, arguments) = rest.split_once('(').unwrap_or((rest, ""));
        let arguments = arguments.split(')').next().unwrap_or_default().split(", ");
        let arguments = arguments.filter_map(|argument| argument.split_once(':'));
        let names = [words(name).next(), None].into_iter().flatten();
        return names
            .chain(arguments.map(|(name, _)| name.trim()))
            .collect();
    }
    Vec::new()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let words = text.split(move |character| !is_part(character));
    words.filter(|word| !word.is_empty() && *word != "_")
}
