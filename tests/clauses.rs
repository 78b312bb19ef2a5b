//! The specification and what cites it.
//!
//! The clauses are the headings of `src/spec/*.md`. Every clause has a test that cites it, or a reason
//! why it is not kept, and every clause that is cited exists.
//!
//! A clause is covered if a test names it, in its comment or its code; what a file says of itself as a
//! whole, or in a heading, does not count. `REQ-5 to REQ-9` names five, and `REQ-5, -7` two. A clause
//! that is not kept stands in `src/guide/differences.md`, or says so itself. To see which file covers
//! what:
//!
//!     cargo test --test clauses -- --nocapture

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{files_ending, is_of_tests, read, sources};

const DIFFERENCES: &str = "src/guide/differences.md";

/// How the specification begins the sentence about a clause, or a part of it, that is not kept.
const NOT_KEPT: &str = "\nNot kept yet: ";

/// Words that look like clauses.
const NO_CLAUSES: [&str; 1] = ["UTF-8"];

#[test]
fn every_clause_is_tested_or_a_difference() {
    let covered = covered();
    let (mut table, mut missing) = (String::new(), Vec::new());
    for (clause, text) in headings() {
        if clause.starts_with("Law ") {
            continue;
        }
        match covered.get(&clause) {
            Some(files) => {
                let files: Vec<&str> = files.iter().map(String::as_str).collect();
                table.push_str(&format!("{clause:<10} {}\n", files.join(", ")));
            }
            None if text.contains(NOT_KEPT) => table.push_str(&format!("{clause:<10} not kept\n")),
            None => missing.push(clause),
        }
    }
    println!("{table}");
    assert!(missing.is_empty(), "no test cites {missing:?}");
}

#[test]
fn every_clause_and_law_that_is_cited_exists() {
    let headings: BTreeSet<String> = headings().into_iter().map(|(name, _)| name).collect();
    let mut unknown = Vec::new();
    let folders = ["src", "tests", "examples", "benches", "fuzz"];
    let mut paths: Vec<String> = folders.into_iter().flat_map(sources).collect();
    paths.extend(files_ending("src", ".md"));
    paths.extend(files_ending("tests/against_cpython", ".jsonl"));
    paths.extend(["README.md".to_owned(), "CHANGELOG.md".to_owned()]);
    // This file names clauses that do not exist.
    for path in paths.iter().filter(|path| *path != "tests/clauses.rs") {
        let words = words(&read(path));
        for name in cited(&words).into_iter().chain(cited_laws(&words)) {
            if !headings.contains(&name) && !NO_CLAUSES.contains(&&*name) {
                unknown.push(format!("{path}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "not in src/spec: {unknown:#?}");
}

/// In the rendered documentation, a citation leads to its clause. Code, tables and headings are left
/// as they are.
#[test]
fn every_citation_in_a_doc_comment_is_a_link() {
    let mut faults = Vec::new();
    for path in sources("src") {
        if path == "src/spec.rs" || is_of_tests(&path) {
            continue;
        }
        let text = read(&path);
        // Tests are not rendered.
        let rendered = text.split("#[cfg(test)]\nmod tests {").next();
        for block in doc_blocks(rendered.unwrap_or_default()) {
            let found = faults_of_links(&block);
            faults.extend(found.into_iter().map(|fault| format!("{path}: {fault}")));
        }
    }
    for path in files_ending("src", ".md") {
        if !path.starts_with("src/spec/") {
            let found = faults_of_links(&read(&path));
            faults.extend(found.into_iter().map(|fault| format!("{path}: {fault}")));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_reader_of_links_can_fail() {
    let faults = |text: &str| faults_of_links(text);
    let fine = "[A-1], `A-2`, [x](crate::x#A-3), `a` \n[A-4][]: y, [design\nlaw 5] and laws [6][law 6]\n\n\
                | A-5 |\n# A-6\n```text\nA-7\n```\n\n    A-8\n\n[A-1]: crate::spec#a-1\n\
                [A-4]: crate::spec#a-4\n[design law 5]: crate::spec#law-5\n[law 6]: crate::spec#law-6";
    assert_eq!(faults(fine), Vec::<String>::new());
    assert_eq!(faults("A-1, law 2"), ["A-1 is no link", "Law 2 is no link"]);
    assert_eq!(faults("[A-1]"), ["A-1 leads nowhere"]);
    assert_eq!(faults("x\n\n[A-1]: crate::spec#a-1"), ["A-1 is not cited"]);
    assert_eq!(
        faults("[A-1]\n\n[A-1]: crate::spec#a-2"),
        ["A-1 leads to crate::spec#a-2"]
    );
    let blocks = "/// a\n///  b\nfn\n    //! c\n    /// d\n//// e\n// f";
    assert_eq!(doc_blocks(blocks), ["a\n b", "c", "d"]);
}

/// The numbers of each name go up from 1, so no clause is there twice, and none is forgotten.
#[test]
fn the_specification_is_whole() {
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    let names: Vec<String> = headings().into_iter().map(|(name, _)| name).collect();
    assert!(names.len() > 250, "{names:?}");
    for name in &names {
        let (family, number) = name.split_once(['-', ' ']).expect("a name and a number");
        let last = last.entry(family.to_owned()).or_default();
        *last += 1;
        assert_eq!(number.parse(), Ok(*last), "{name}");
    }
    // A search for any of them finds the page.
    let page = read("src/spec.rs");
    let aliases = page
        .lines()
        .filter_map(|line| line.strip_prefix("#![doc(alias("));
    let aliases: Vec<&str> = aliases
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .collect();
    assert_eq!(aliases, names);
    // The parts are on the page.
    for path in parts() {
        let include = format!("include_str!(\"{}\")", path.trim_start_matches("src/"));
        assert!(page.contains(&include), "{path}");
    }
}

#[test]
fn the_reader_of_clauses_can_fail() {
    let found = |text: &str| cited(&words(text)).into_iter().collect::<Vec<_>>();
    let text = "//! A-1\n// A-2: a heading\n/// B-2, C-10 to C-12, D-3 to\n/// D-4. assert!(x, \"E-5: y\") F-6x aB-7";
    let expected = ["B-2", "C-10", "C-11", "C-12", "D-3", "D-4", "E-5"];
    assert_eq!(found(&tested_lines(text)), expected);
    let all = [
        "A-1", "A-2", "B-2", "C-10", "C-11", "C-12", "D-3", "D-4", "E-5",
    ];
    assert_eq!(found(text), all);
    assert_eq!(found("UTF-8, no-1, A- 1, A-"), ["UTF-8"]);
    assert_eq!(
        found("A-1, -3, -5 x -7; B-1 to -3"),
        ["A-1", "A-3", "A-5", "B-1", "B-2", "B-3"]
    );
    assert_eq!(found("A-1 -3, [B-1]: crate::spec#b-1"), ["A-1", "B-1"]);
    let laws = |text: &str| cited_laws(&words(text)).into_iter().collect::<Vec<_>>();
    assert_eq!(
        laws("(design laws 7, 8 and\n/// 10) in laws 1 to 3. Law 5: 6 flaw 9 law a"),
        [
            "Law 1", "Law 10", "Law 2", "Law 3", "Law 5", "Law 7", "Law 8"
        ]
    );
    assert_eq!(
        tests("src/a.rs", "LOOP-1\n#[cfg(test)]\nmod tests {}")
            .lines()
            .count(),
        1
    );
    assert_eq!(tests("tests/a.rs", "// LOOP-1\nfn"), "// LOOP-1\nfn");
}

/// The texts of the doc comments of a file.
fn doc_blocks(text: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut before = "";
    for line in text.lines() {
        let line = line.trim_start();
        let mark = ["///", "//!"]
            .into_iter()
            .find(|mark| line.starts_with(mark));
        let mark = mark.filter(|_| !line.starts_with("////")).unwrap_or("");
        if let Some(text) = line.strip_prefix(mark).filter(|_| !mark.is_empty()) {
            let text = text.strip_prefix(' ').unwrap_or(text);
            match blocks.last_mut().filter(|_| before == mark) {
                Some(block) => *block = format!("{block}\n{text}"),
                None => blocks.push(text.to_owned()),
            }
        }
        before = mark;
    }
    blocks
}

/// What is wrong with the citations of a doc comment.
fn faults_of_links(block: &str) -> Vec<String> {
    let mut definitions: BTreeMap<String, &str> = BTreeMap::new();
    let (mut prose, mut is_code) = (String::new(), false);
    for line in block.lines() {
        let definition = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: crate::spec#"));
        match definition {
            Some((label, target)) => drop(definitions.insert(label.to_owned(), target)),
            None if line.trim_start().starts_with("```") => is_code = !is_code,
            None if is_code || line.starts_with(['|', '#']) || line.starts_with("    ") => {}
            None => prose.push_str(&format!("{line}\n")),
        }
    }
    let (plain, labels) = without_links(&prose);
    let words = words(&plain);
    let bare = cited(&words).into_iter().chain(cited_laws(&words));
    let bare = bare.filter(|name| !NO_CLAUSES.contains(&&**name));
    let mut faults: Vec<String> = bare.map(|name| format!("{name} is no link")).collect();
    let unknown = labels
        .iter()
        .filter(|label| !definitions.contains_key(*label));
    faults.extend(unknown.map(|label| format!("{label} leads nowhere")));
    for (label, target) in definitions {
        let anchor = label.trim_start_matches("design ").to_lowercase();
        if !labels.contains(&label) {
            faults.push(format!("{label} is not cited"));
        } else if target != anchor.replace(' ', "-") {
            faults.push(format!("{label} leads to crate::spec#{target}"));
        }
    }
    faults
}

/// A text without its code and its links, and the labels of its links to clauses and laws.
fn without_links(mut text: &str) -> (String, BTreeSet<String>) {
    let (mut plain, mut labels) = (String::new(), BTreeSet::new());
    while let Some(at) = text.find(['`', '[']) {
        plain.push_str(&text[..at]);
        text = &text[at..];
        let ticks = text.len() - text.trim_start_matches('`').len();
        if ticks > 0 {
            let end = text[ticks..].find(&text[..ticks]);
            text = end.map_or("", |end| text[ticks + end..].trim_start_matches('`'));
            continue;
        }
        let Some((inside, after)) = text[1..].split_once(']') else {
            break;
        };
        text = after;
        let (mut label, pair) = (inside, [('(', ')'), ('[', ']')]);
        if let Some((open, close)) = pair.into_iter().find(|(open, _)| text.starts_with(*open)) {
            let end = text.find(close).unwrap_or(text.len() - 1);
            // `[text](target)` needs no definition, and `[label][]` is `[label]`.
            label = match (open, &text[1..end]) {
                ('[', "") => inside,
                ('[', label) => label,
                _ => "",
            };
            text = &text[end + 1..];
        }
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_law = !cited_laws(&words(&label)).is_empty();
        match clause(&label) {
            _ if is_law => drop(labels.insert(label.to_lowercase())),
            Some(_) if bare(&label) == label => drop(labels.insert(label)),
            _ => {}
        }
    }
    plain.push_str(text);
    (plain, labels)
}

/// The clauses and laws of the specification, in order, each with its text.
fn headings() -> Vec<(String, String)> {
    let mut headings = Vec::new();
    for path in parts() {
        let text = read(&path);
        for part in text.split("\n### ").skip(1) {
            let (name, text) = part.split_once('\n').unwrap_or((part, ""));
            let text = text.split("\n## ").next().unwrap_or_default();
            let text = text.split("\n# ").next().unwrap_or_default();
            assert!(!text.trim().is_empty(), "{path}: {name} says nothing");
            headings.push((name.to_owned(), text.to_owned()));
        }
    }
    headings
}

/// The files of the specification, in the order of the page.
fn parts() -> Vec<String> {
    let page = read("src/spec.rs");
    let parts = page.split("include_str!(\"").skip(1);
    let parts: Vec<String> = parts
        .filter_map(|part| Some(format!("src/{}", part.split_once('"')?.0)))
        .collect();
    let mut sorted = parts.clone();
    sorted.sort();
    assert_eq!(sorted, files_ending("src/spec", ".md"));
    parts
}

/// Which files cover a clause.
fn covered() -> BTreeMap<String, BTreeSet<String>> {
    let mut covered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |path: &str, text: &str| {
        for clause in cited(&words(text)) {
            covered.entry(clause).or_default().insert(path.to_owned());
        }
    };
    for path in [sources("tests"), sources("src")].concat() {
        // This file names clauses without testing anything.
        if path != "tests/clauses.rs" {
            add(&path, &tested_lines(tests(&path, &read(&path))));
        }
    }
    add(DIFFERENCES, &read(DIFFERENCES));
    covered
}

/// The part of a file that is tests: all of it, or what follows the first `#[cfg(test)]`.
fn tests<'a>(path: &str, text: &'a str) -> &'a str {
    if is_of_tests(path) {
        return text;
    }
    let start = text
        .find("#[cfg(test)]\nmod ")
        .map(|at| at + "#[cfg(test)]\n".len());
    &text[start.unwrap_or(text.len())..]
}

/// The lines that are about a single test, and not about a file or a part of it.
fn tested_lines(text: &str) -> String {
    let summary = |line: &&str| line.starts_with("//!") || line.starts_with("// ");
    let lines: Vec<&str> = text.lines().filter(|line| !summary(line)).collect();
    lines.join("\n")
}

/// The words of a text. Comment marks are no words, so that a range may go on in the next line.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.map(|line| line.trim_start_matches('/').trim_start_matches('!'));
    lines
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// The clauses that a text names, ranges and lists included.
fn cited(words: &[String]) -> BTreeSet<String> {
    let mut cited = BTreeSet::new();
    let mut before: Option<(&str, u32)> = None;
    let mut link = "";
    for word in words {
        // `A-1, -2` and `A-1 to -2` leave out the name.
        let continued = before.filter(|_| link == "to" || link.ends_with(','));
        let short = continued.and_then(|(name, _)| Some((name, number_alone(word)?)));
        if let Some((name, last)) = clause(word).or(short) {
            let first = match before {
                Some((other, first)) if link == "to" && other == name => first,
                _ => last,
            };
            cited.extend((first..=last).map(|number| format!("{name}-{number}")));
            before = Some((name, last));
        } else if word != "to" {
            before = None;
        }
        link = word;
    }
    cited
}

/// The laws that a text names: `law 7`, `design laws 7, 8 and 10`, `laws 8 to 10`.
fn cited_laws(words: &[String]) -> BTreeSet<String> {
    let mut cited = BTreeSet::new();
    let mut before: Option<u32> = None;
    let mut link = "";
    for word in words {
        let bare = bare(word).to_ascii_lowercase();
        let expected = matches!(link, "law" | "laws" | "and" | "to") || link.ends_with(',');
        let number: Option<u32> = bare.parse().ok();
        match number.filter(|_| expected && (before.is_some() || link.starts_with("law"))) {
            Some(last) => {
                let first = before.filter(|_| link == "to").unwrap_or(last);
                cited.extend((first..=last).map(|number| format!("Law {number}")));
                before = Some(last);
                link = word;
            }
            None if matches!(&*bare, "law" | "laws") => (before, link) = (None, "law"),
            None if before.is_some() && matches!(&**word, "and" | "to") => link = word,
            None => (before, link) = (None, ""),
        }
    }
    cited
}

/// `(REQ-5),` is clause 5 of REQ.
fn clause(word: &str) -> Option<(&str, u32)> {
    let (name, number) = bare(word).split_once('-')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
    is_name.then_some((name, number.parse().ok()?))
}

/// `-5)` is a number that goes on with the name before it.
fn number_alone(word: &str) -> Option<u32> {
    bare(word.strip_prefix('-')?).parse().ok()
}

/// A word without what surrounds it.
fn bare(word: &str) -> &str {
    word.trim_matches(|character: char| !character.is_ascii_alphanumeric())
}
