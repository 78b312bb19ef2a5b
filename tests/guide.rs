//! The pages of the guide quote the source, and the source moves. Each quotation must still be there.
//!
//! A quotation is a code block that is marked `rust,ignore`. The last file that is named before it,
//! as in `src/lib.rs`, is where its lines stand. A line `// …` stands for lines that are left out.
//!
//! The pages of the eight steps say what you can type, and what you will see. A terminal here is typed
//! into, and must show the same.

#[path = "guide/program.rs"]
mod program;
#[path = "support/sources.rs"]
mod sources;
// Elsewhere a stopped process is not interrupted.
#[cfg(all(target_os = "linux", feature = "server"))]
#[path = "guide/terminal.rs"]
mod terminal;

use sources::read;

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
fn the_steps_quote_the_source() {
    for step in program::STEPS {
        let page = read(&format!("src/guide/{step}.md"));
        for (path, lines) in quotations(&page) {
            assert!(
                stands_in(&lines, &read(&path)),
                "{path} has no longer what {step}.md says:\n{lines}"
            );
        }
    }
}

/// Every page has its program, which is built as an example, its picture, and the four parts of a step.
#[test]
fn the_steps_are_whole() {
    let manifest = read("Cargo.toml");
    let guide = read("src/guide/mod.rs");
    for step in program::STEPS {
        let path = format!("examples/guide/{step}.rs");
        assert!(manifest.contains(&format!("name = \"guide_{step}\"\npath = \"{path}\"")));
        assert!(guide.contains(&format!("step_{step}")), "{step}");
        assert!(
            read(&path).contains(&format!("`guide::step_{step}`")),
            "{path}"
        );
        // An empty line would end the picture in the middle of the page. Its only colour is that of the
        // text, which depends on the reader's theme.
        let picture = read(&format!("src/guide/{step}.svg"));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(!picture.contains("\n\n"), "{step}.svg has an empty line");
        for colour in ["fill", "stroke"] {
            for value in picture.split(&format!(" {colour}=\"")).skip(1) {
                let value = value.split('"').next();
                assert!(
                    matches!(value, Some("none" | "currentColor")),
                    "{step}.svg: {value:?}"
                );
            }
        }
        let page = read(&format!("src/guide/{step}.md"));
        let parts: Vec<&str> = page.split("\n# ").skip(1).collect();
        for title in ["What is new", "See it", "Break it", "Exercises"] {
            assert!(
                parts.iter().any(|part| part.starts_with(title)),
                "{step}: {title}"
            );
        }
    }
}

/// What you can type is typed, and the screen shows what the page says.
#[cfg(all(target_os = "linux", feature = "server"))]
#[test]
fn the_steps_show_what_they_say() {
    for tool in ["bash", "curl"] {
        let found = std::process::Command::new(tool).arg("--version").output();
        assert!(found.is_ok(), "this test needs `{tool}`; please install it");
    }
    let mut wrong = Vec::new();
    for step in program::STEPS {
        let page = read(&format!("src/guide/{step}.md"));
        for title in ["See it", "Break it"] {
            let part = page.split("\n# ").find(|part| part.starts_with(title));
            let typed = commands(part.expect("the part"));
            assert!(typed.len() >= 2, "{step}: {title}");
            let shown = type_all(&typed);
            wrong.extend(
                shown
                    .err()
                    .map(|shown| format!("{step}.md, {title}: {shown}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Types the commands into a new terminal, until one of them shows something else than it should.
#[cfg(all(target_os = "linux", feature = "server"))]
fn type_all(typed: &[(&str, Vec<&str>)]) -> Result<(), String> {
    let mut terminal = terminal::Terminal::open();
    // The last command finds what the others have shown too late.
    let last = ("echo the end", vec!["the end"]);
    for (command, expected) in typed.iter().chain([&last]) {
        let shown = terminal.type_in(command, expected.len());
        if shown != *expected {
            let (shown, expected) = (shown.join("\n"), expected.join("\n"));
            return Err(format!("`{command}` shows\n{shown}\nand not\n{expected}"));
        }
    }
    Ok(())
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
        let file = ["`src/", "`examples/"].map(|folder| before.rfind(folder));
        let path = file.into_iter().max().flatten().and_then(|at| {
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

#[cfg(all(target_os = "linux", feature = "server"))]
/// The commands of a part of a page, each with the lines that it shows.
fn commands(part: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for (number, block) in part.split("```").enumerate() {
        let Some(lines) = block.strip_prefix("text\n") else {
            continue;
        };
        if number % 2 == 0 || !lines.starts_with("$ ") {
            continue;
        }
        for line in lines.lines() {
            match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push((command, Vec::new())),
                (None, Some((_, shown))) => shown.push(line),
                (None, None) => {}
            }
        }
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
