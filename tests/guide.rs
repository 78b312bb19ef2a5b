//! The pages of the guide quote the source, and the source moves. Each quotation must still be there.
//!
//! A quotation is a code block that is marked `rust,ignore`. The last file that is named before it,
//! as in `src/lib.rs`, is where its lines stand. A line `// …` stands for lines that are left out.

use std::fs;
use std::path::Path;

const FENCE: &str = "```rust,ignore\n";
const GAP: &str = "// …\n";

#[test]
fn from_python_quotes_the_source() {
    let page = read("src/guide/from_python.md");
    let found = quotations(&page);
    for (path, lines) in &found {
        assert!(
            stands_in(lines, &read(path)),
            "{path} has no longer:\n{lines}"
        );
    }
    assert!(found.len() >= 20, "{} quotations", found.len());
}

/// The article has thirteen blocks of Python. Each has its section, with Python and Rust in it.
#[test]
fn from_python_shows_every_block_of_the_article() {
    let page = read("src/guide/from_python.md");
    let sections: Vec<&str> = page.split("\n# ").skip(1).collect();
    for number in 1..=13 {
        let title = format!("{number}. ");
        let section = sections
            .iter()
            .find(|section| section.starts_with(&title))
            .unwrap_or_else(|| panic!("no section {number}"));
        let python = section.find("```python").expect("Python");
        let blocks = ["```\n", "```no_run", FENCE];
        let rust = blocks.iter().any(|fence| {
            let rest = section[python + 9..].split_once("```\n");
            rest.is_some_and(|(_, rest)| rest.contains(fence))
        });
        assert!(rust, "section {number} has no Rust after its Python");
    }
}

#[test]
fn a_quotation_can_be_out_of_date() {
    let source = "fn a() {\n    b();\n\n    c();\n}\n";
    for good in ["b();\n\nc();\n", "fn a() {\n    b();\n", "    c();\n}\n"] {
        assert!(stands_in(good, source), "{good}");
    }
    for bad in ["b();\nc();\n", "b()\n", "d();\n", "fn a() {\nb();\n", ""] {
        assert!(!stands_in(bad, source), "{bad}");
    }
    let page = format!("`src/a.rs` and `src/b.rs`:\n\n{FENCE}one\n{GAP}two\n```\n");
    let b = "src/b.rs".to_owned();
    assert_eq!(
        quotations(&page),
        [(b.clone(), "one\n".to_owned()), (b, "two\n".to_owned())]
    );
}

/// The quotations of a page, with the file that each is from.
fn quotations(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (start, _) in page.match_indices(FENCE) {
        let before = &page[..start];
        let path = before.rfind("`src/").and_then(|at| {
            let name = &before[at + 1..];
            name.find('`').map(|end| name[..end].to_owned())
        });
        let path = path.expect("a quotation names its file");
        let block = &page[start + FENCE.len()..];
        let block = &block[..block.find("```").expect("an end")];
        found.extend(
            block
                .split(GAP)
                .map(|lines| (path.clone(), lines.to_owned())),
        );
    }
    found
}

/// Returns whether the lines follow each other in the source, all indented by the same amount.
fn stands_in(lines: &str, source: &str) -> bool {
    let lines: Vec<&str> = lines.lines().collect();
    let source: Vec<&str> = source.lines().collect();
    let Some(first) = lines.first() else {
        return false;
    };
    source.windows(lines.len()).any(|window| {
        let Some(indent) = window[0].strip_suffix(first) else {
            return false;
        };
        let mut pairs = window.iter().zip(&lines);
        indent.trim().is_empty()
            && pairs.all(|(ours, line)| match line.is_empty() {
                true => ours.is_empty(),
                false => ours.strip_prefix(indent) == Some(line),
            })
    })
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
