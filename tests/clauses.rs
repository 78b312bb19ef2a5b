//! Every clause of the specification has a test that cites it, or a reason why it is not kept.
//!
//! `clauses.txt` lists the clauses about the loop, the life cycle and the sockets, about HTTP, and
//! about WSGI. A clause is covered if a test names it, in its comment or its code; what a file says
//! of itself as a whole, or in a heading, does not count. `REQ-5 to REQ-9` names five. A clause that
//! is not kept stands in the README's "Differences from Python". To see which file covers what:
//!
//!     cargo test --test clauses -- --nocapture

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CLAUSES: &str = include_str!("clauses.txt");

const DIFFERENCES: &str = "Differences from Python";

#[test]
fn every_clause_is_tested_or_a_difference() {
    let covered = covered();
    let (mut table, mut missing) = (String::new(), Vec::new());
    for clause in CLAUSES.lines() {
        match covered.get(clause) {
            Some(files) => {
                let files: Vec<&str> = files.iter().map(String::as_str).collect();
                table.push_str(&format!("{clause:<10} {}\n", files.join(", ")));
            }
            None => missing.push(clause),
        }
    }
    println!("{table}");
    assert!(missing.is_empty(), "no test cites {missing:?}");
}

#[test]
fn the_reader_of_clauses_can_fail() {
    let found = |text| cited(text).into_iter().collect::<Vec<_>>();
    let text = "//! A-1\n// A-2: a heading\n/// B-2, C-10 to C-12, D-3 to\n/// D-4. assert!(x, \"E-5: y\") F-6x aB-7";
    let expected = ["B-2", "C-10", "C-11", "C-12", "D-3", "D-4", "E-5"];
    assert_eq!(found(text), expected);
    assert_eq!(found("UTF-8, no-1, A- 1, A-"), ["UTF-8"]);
    assert_eq!(
        tests("src/a.rs", "LOOP-1\n#[cfg(test)]\nmod tests {}")
            .lines()
            .count(),
        1
    );
    assert_eq!(tests("tests/a.rs", "// LOOP-1\nfn"), "// LOOP-1\nfn");
}

/// Which files cover a clause.
fn covered() -> BTreeMap<String, BTreeSet<String>> {
    let mut covered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |path: &str, text: &str| {
        for clause in cited(text) {
            covered.entry(clause).or_default().insert(path.to_owned());
        }
    };
    for path in [sources("tests"), sources("src")].concat() {
        // This file names clauses without testing anything.
        if path != "tests/clauses.rs" {
            add(&path, tests(&path, &read(&path)));
        }
    }
    let readme = read("README.md");
    let section = readme
        .split("\n## ")
        .find(|part| part.starts_with(DIFFERENCES));
    add("README.md", section.expect("a list of differences"));
    covered
}

/// The part of a file that is tests: all of it, or what follows the first `#[cfg(test)]`.
fn tests<'a>(path: &str, text: &'a str) -> &'a str {
    if path.starts_with("tests/") || path.ends_with("/tests.rs") {
        return text;
    }
    let start = text
        .find("#[cfg(test)]\nmod ")
        .map(|at| at + "#[cfg(test)]\n".len());
    &text[start.unwrap_or(text.len())..]
}

/// The clauses that a text names, ranges included.
fn cited(text: &str) -> BTreeSet<String> {
    let summary = |line: &&str| line.starts_with("//!") || line.starts_with("// ");
    let lines = text.lines().filter(|line| !summary(line)).map(str::trim);
    // Comment marks are no words, so that a range may go on in the next line.
    let words: Vec<&str> = lines
        .flat_map(|line| line.trim_start_matches('/').split_whitespace())
        .collect();
    let mut cited = BTreeSet::new();
    for (number, word) in words.iter().enumerate() {
        let Some((name, first)) = clause(word) else {
            continue;
        };
        let last = match words[number + 1..] {
            ["to", last, ..] => clause(last).filter(|(other, _)| *other == name),
            _ => None,
        };
        let last = last.map_or(first, |(_, last)| last);
        cited.extend((first..=last).map(|number| format!("{name}-{number}")));
    }
    cited
}

/// `(REQ-5),` is clause 5 of REQ.
fn clause(word: &str) -> Option<(&str, u32)> {
    let word = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let (name, number) = word.split_once('-')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
    is_name.then_some((name, number.parse().ok()?))
}

fn sources(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
