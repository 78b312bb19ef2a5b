//! The laws of the design that a compiler does not keep. Each test reads the tree as text.
//!
//! Lines are looked at without their comments, and only up to a file's `#[cfg(test)]` module,
//! which by convention is the last thing in it. Each checker is a function from text to breaches,
//! and `the_checkers_can_fail` shows every one of them a breach.

#[path = "tidy/examples.rs"]
mod examples;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "support/sources.rs"]
mod sources;

use std::fs;
use std::path::Path;

use examples::hidden_but_needed;
use imports::Tree;
use sources::{files, is_of_tests, read, root, sources};

/// The layers, each of which may import only those before it.
const LAYERS: [&str; 4] = ["reactor", "socketserver", "http", "wsgi"];

/// What a protocol must not do by itself: ask a clock, touch a socket, print or log.
const IMPURE: [&str; 8] = [
    "Instant::now",
    "SystemTime::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "println!",
    "print!(",
    "log::",
];

/// Where one of them is allowed, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("src/http/access/mod.rs", "Instant::now", MEASURES),
    ("src/wsgi/slow.rs", "Instant::now", MEASURES),
];

const MEASURES: &str =
    "it measures how long the program takes, and the conversation does not depend on it";

/// What may panic. A line that cannot, says so: `// reason: …` on it or above it.
const PANICS: [&str; 7] = [
    ".unwrap()",
    ".expect(",
    "panic!(",
    "unreachable!(",
    "todo!(",
    "unimplemented!(",
    "dbg!(",
];

#[test]
fn layers_import_only_downwards() {
    keep(sources("src"), |path, code| {
        let layer = LAYERS
            .iter()
            .position(|layer| path.starts_with(&format!("src/{layer}/")));
        let above = layer.map_or(&LAYERS[..0], |layer| &LAYERS[layer + 1..]);
        let names = above.iter().map(|layer| format!("crate::{layer}"));
        find(code, &names.collect::<Vec<_>>())
    });
}

#[test]
fn the_codec_imports_only_itself() {
    keep(sources("src/http/h1"), |_, code| outside_the_codec(code));
}

/// No two files need each other, not by way of others either: each can be read after what it needs.
#[test]
fn no_circles_between_files() {
    let tree = tree();
    let unresolved = tree.unresolved();
    assert!(unresolved.is_empty(), "nobody defines {unresolved:#?}");
    let circles = tree.circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn imports_name_the_file_that_defines() {
    let found = tree().through_a_face();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_function_is_longer_than_a_screen() {
    keep(sources("src"), |_, code| too_long(code, 60));
}

#[test]
fn protocols_ask_no_clock_touch_no_socket_and_say_nothing() {
    let mut used = Vec::new();
    keep(
        [sources("src/http"), sources("src/wsgi")].concat(),
        |path, code| {
            let mut found = find(code, &IMPURE);
            for allowed in ALLOWED.iter().filter(|allowed| allowed.0 == path) {
                let before = found.len();
                found.retain(|breach| !breach.ends_with(allowed.1));
                used.extend((found.len() < before).then_some(allowed));
            }
            found
        },
    );
    let unused: Vec<_> = ALLOWED
        .iter()
        .filter(|allowed| !used.contains(allowed))
        .collect();
    assert!(unused.is_empty(), "allowed, but not there: {unused:?}");
}

/// The default of a method is right for a protocol that has nothing to say, and wrong for one around
/// another protocol, which may.
#[test]
fn a_protocol_around_another_passes_every_question_on() {
    let methods = methods_of(
        &read("src/socketserver/protocol.rs"),
        "pub trait Protocol {",
    );
    assert!(methods.len() > 10, "{methods:?}");
    keep(sources("src"), |_, code| unanswered(code, &methods));
}

#[test]
fn nothing_is_unsafe_or_shared_behind_the_borrow_checker() {
    keep(sources("src"), |_, code| {
        find(code, &["unsafe ", "RefCell", "static mut"])
    });
    assert!(read("src/lib.rs").contains("#![forbid(unsafe_code)]"));
}

#[test]
fn nothing_panics_without_a_reason() {
    keep(sources("src"), |path, _| panics(&read(path)));
}

#[test]
fn every_file_is_used() {
    // A packed crate has no `.ci/run`, which names some of the files.
    let Ok(ci) = fs::read_to_string(root().join(".ci/run")) else {
        return;
    };
    let rust = [sources("src"), sources("tests"), sources("examples")].concat();
    let text: String = rust.iter().map(|path| read(path)).collect();
    let prose = [read("README.md"), read("CONTRIBUTING.md")].concat();
    let named = format!("{text}{prose}{ci}");
    // Cargo itself reads its lock file.
    let others = files("tests");
    let others = others.iter().filter(|path| !path.ends_with("/Cargo.lock"));
    for path in rust.iter().chain(others) {
        assert!(is_used(path, &named), "{path}: nothing names this file");
    }
}

#[test]
fn links_of_the_readme_lead_to_files() {
    // A packed crate has none of the packages below it.
    let packages = ["fuzz/", "examples/hosts/", "benches/h1/", "benches/peers/"];
    let is_packed = !root().join(".ci/run").exists();
    for page in ["README.md", "CONTRIBUTING.md"] {
        let text = read(page);
        let missing = dead_links(&text, |target| {
            let is_below = packages.iter().any(|package| target.starts_with(package));
            root().join(target).exists() || is_packed && is_below
        });
        assert!(missing.is_empty(), "{page}: {missing:?}");
    }
    let page = "[a](b.rs) [c](https://d) [e](#f)\n[g]: h.rs\n";
    assert_eq!(dead_links(page, |_| false), ["b.rs", "h.rs"]);
    assert!(dead_links(page, |_| true).is_empty());
}

#[test]
fn no_path_of_a_machine() {
    let pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let texts = [
        files("src"),
        sources("examples"),
        sources("benches"),
        sources("tests"),
        pages.map(str::to_owned).to_vec(),
    ];
    let folders = ["home", "root", "work", "tmp"].map(|folder| format!("/{folder}/"));
    for path in texts.concat() {
        let found = find(&read(&path), &folders);
        assert!(found.is_empty(), "{path}: {found:?}");
    }
}

/// A reader who copies an example gets only the lines that are shown.
#[test]
fn examples_do_not_hide_what_they_need() {
    keep(sources("src"), |path, _| hidden_but_needed(&read(path)));
}

#[test]
fn the_loop_stays_on_one_screen() {
    let server = read("src/socketserver/server.rs");
    let length = length_of(&server, "pub fn serve_forever");
    assert!(
        (1..=40).contains(&length),
        "serve_forever has {length} lines"
    );
}

/// The tables that show the loop beside Python's quote lines that are there.
#[test]
fn the_loops_tables_quote_the_code() {
    let (server, turn) = (
        "src/socketserver/server.rs",
        "src/socketserver/engine/turn.rs",
    );
    let tables = read(server);
    let text = [server, turn].map(|path| code(&read(path))).concat();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = words(&text);
    let mut quoted = 0;
    let rows = tables.lines().filter(|line| line.contains("    /// | "));
    for row in rows.filter(|row| !row.contains("---") && !row.contains("`socketserver.py`")) {
        let ours = row.rsplit('|').nth(1).unwrap_or_default();
        // `…` stands for what is left out.
        for part in ours
            .split('`')
            .skip(1)
            .step_by(2)
            .flat_map(|line| line.split('…'))
        {
            assert!(text.contains(part), "{server}: `{part}` is not there");
            quoted += 1;
        }
    }
    assert!(quoted >= 8, "{quoted} quotations");
}

#[test]
fn the_checkers_can_fail() {
    assert_eq!(
        find(&code("a\nuse crate::wsgi; // crate::http"), &["crate::"]).len(),
        1
    );
    assert_eq!(
        find(
            &code("//! crate::wsgi\n/// std::net"),
            &["crate::", "std::"]
        ),
        [""; 0]
    );
    assert_eq!(
        code("let a = 1;\n#[cfg(test)]\nmod tests { panic!() }")
            .lines()
            .count(),
        1
    );
    let imports = "use core::fmt;\nuse std::fmt;\nuse super::Error;\nuse crate::reactor::Now;";
    assert_eq!(outside_the_codec(imports), ["2: std::", "4: crate::"]);
    assert_eq!(
        panics("x.unwrap();\n// reason: never empty\ny.unwrap();"),
        ["1: .unwrap()"]
    );
    assert!(is_used("src/a/lost.rs", "mod lost;") && !is_used("src/a/lost.rs", "mod last;"));
    let step = "examples/guide/1_a.rs";
    assert!(is_used(step, "`guide_1_a`") && !is_used(step, "`1_a` and `guide_1_ab`"));
    let solved = "examples/guide/solved/1_a.rs";
    assert!(is_used(solved, "`guide_1_a`") && !is_used(solved, "`guide_1_b`"));
    let (main, part) = ("examples/a/b/main.rs", "examples/a/b/c.rs");
    assert!(is_used(main, "`b`") && !is_used(main, "`main` and `a`"));
    assert!(is_used(part, "mod c;") && !is_used(part, "`c`"));
    let host = "examples/hosts/src/b.rs";
    assert!(is_used(host, "`b`") && !is_used(host, "`src`"));
    assert!(is_used("tests/a/b.jsonl", "\"a/b.jsonl\"") && !is_used("tests/a/b.jsonl", "b"));
    let long = format!("    pub fn f() {{\n{}    }}\n", "        1;\n".repeat(50));
    assert_eq!(length_of(&long, "pub fn f"), 52);
    assert_eq!(too_long(&long, 51), ["1: pub fn f() { has 52 lines"]);
    assert_eq!(too_long(&long, 52), [""; 0]);
    let wide = "pub(super) const fn g(\n    a: u8,\n) -> u8 {\n    a\n}\n";
    assert_eq!(too_long(wide, 4).len(), 1);
    assert_eq!(
        too_long("    fn f(\n        a: u8,\n    );\n    fn g() {}\n", 1),
        [""; 0]
    );
}

#[test]
fn the_checker_of_protocols_can_fail() {
    let a_trait = "pub trait T {\n    fn a(&self);\n    fn b(&self) -> u8 {\n        1\n    }\n}\n";
    let methods = methods_of(a_trait, "pub trait T {");
    assert_eq!(methods, ["a", "b"]);
    let around = "impl<P> Protocol for Q<P> {\n    fn b(&self) {\n        self.p.take_completed()\n    }\n}\n";
    assert_eq!(unanswered(around, &methods), ["1: a"]);
    let whole = around.replace("fn b", "fn a(&self) {}\n    fn b");
    assert_eq!(unanswered(&whole, &methods), [""; 0]);
    let alone = around.replace("self.p.take_completed()", "0");
    assert_eq!(unanswered(&alone, &methods), [""; 0]);
}

#[test]
fn the_checker_of_examples_can_fail() {
    let example = |lines: &str| {
        let lines = lines.lines().map(|line| format!("    /// {line}\n"));
        hidden_but_needed(&format!("/// ```\n{}/// ```\n", lines.collect::<String>()))
    };
    assert_eq!(example("# use a::{B, C};\nB::new()"), ["1: B is hidden"]);
    assert_eq!(
        example("# let mut (a, b) = c;\nb.run()"),
        ["1: b is hidden"]
    );
    assert_eq!(
        example("# fn f(a: &A, b: B) {\nf(b)\n# }"),
        ["1: b is hidden", "1: f is hidden"]
    );
    let fine = [
        "# let a = 1;\nlet a = 2; a",
        "let a = 1;\n# let _ = a;\na",
        "# let f = || {\n#     let a = 1;\n# };\na",
        "use a::B;\n# B::run();",
    ];
    for example_is in fine {
        assert_eq!(example(example_is), [""; 0], "{example_is}");
    }
}

#[test]
fn the_checkers_of_imports_can_fail() {
    let face = "mod b;\nmod c;\nmod d;\n\npub use b::B;\npub(crate) use {c::*, d::D as E};\n";
    let tree = |files: &[(&str, &str)]| {
        let files = files
            .iter()
            .map(|(file, code)| ((*file).to_owned(), (*code).to_owned()));
        Tree::new(
            [("a/mod.rs".to_owned(), face.to_owned())]
                .into_iter()
                .chain(files),
        )
    };
    // Through the face: b needs c, c needs d, d needs b.
    let circle = tree(&[
        ("a/b.rs", "use super::C;\npub struct B;\n"),
        (
            "a/c.rs",
            "use std::{fmt, io};\nuse super::{\n    E,\n};\npub const fn C() {}\n",
        ),
        (
            "a/d.rs",
            "pub enum D {}\nimpl D {\n    fn f(&self) -> super::B {}\n}\n",
        ),
    ]);
    assert_eq!(circle.circles(), [["a/b.rs", "a/c.rs", "a/d.rs"]]);
    assert_eq!(
        circle.through_a_face(),
        ["a/b.rs: super::C", "a/c.rs: super::E", "a/d.rs: super::B"]
    );
    // From the files: c needs b and d. Another layer has nothing but the face.
    let line = tree(&[
        ("a/b.rs", "pub trait B {}\n"),
        ("a/c.rs", "use super::{b::B, d};\npub type C = d::D;\n"),
        ("a/d.rs", "pub struct D;\n"),
        ("e.rs", "use crate::a::{B, C};\n"),
    ]);
    assert_eq!(line.circles(), [[""; 0]; 0]);
    assert_eq!(line.through_a_face(), [""; 0]);
    assert_eq!(line.unresolved(), [""; 0]);
    let lost = tree(&[("a/b.rs", "use super::Lost;\npub struct B;\n")]);
    assert_eq!(lost.unresolved(), ["a/mod.rs: d::D", "a/b.rs: super::Lost"]);
}

/// `std` is outside; so is the rest of the crate.
fn outside_the_codec(code: &str) -> Vec<String> {
    find(code, &["std::", "crate::", "mio::", "log::"])
}

fn panics(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let excused = |number: usize| {
        let above = lines[..number].iter().rev();
        let comment = above.take_while(|line| line.trim_start().starts_with("//"));
        comment
            .chain([&lines[number]])
            .any(|line| line.contains("// reason: "))
    };
    let mut found = find(&code(text), &PANICS);
    found.retain(|breach| {
        let number = breach
            .split(':')
            .next()
            .and_then(|number| number.parse::<usize>().ok());
        !excused(number.expect("find numbers its lines") - 1)
    });
    found
}

/// A module is named by `mod`, an example by the README, any other file by its name; what Cargo
/// finds by itself is used.
fn is_used(path: &str, named: &str) -> bool {
    let file = Path::new(path);
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .expect("a name");
    let parent = file
        .parent()
        .and_then(|parent| parent.file_name())
        .expect("a folder");
    let (folder, name) = (parent.to_string_lossy(), file.file_name().expect("a name"));
    let target = folder == "tests" || path == "src/lib.rs";
    let module = if stem == "mod" { &folder } else { stem };
    match folder.as_ref() {
        "guide" if path.starts_with("examples/") => named.contains(&format!("`guide_{stem}`")),
        // Beside the program that it solves.
        "solved" => named.contains(&format!("`guide_{stem}`")),
        // An example that is a folder, or the Python package. Each file of `hosts` is a program.
        _ if path.starts_with("examples/")
            && path.matches('/').count() == 3
            && !path.starts_with("examples/hosts/") =>
        {
            match stem {
                "lib" => true,
                "main" => named.contains(&format!("`{folder}`")),
                _ => named.contains(&format!("mod {stem};")),
            }
        }
        _ if path.starts_with("examples/") => named.contains(&format!("`{stem}`")),
        _ if path.ends_with(".rs") => target || named.contains(&format!("mod {module};")),
        _ => named.contains(&*name.to_string_lossy()),
    }
}

/// The targets of the links of a page that are files, and that do not exist.
fn dead_links(page: &str, exists: impl Fn(&str) -> bool) -> Vec<&str> {
    let inline = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let references = page
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
        .map(|(_, target)| target);
    let targets = inline.chain(references);
    let files = targets.filter(|target| !target.starts_with('#') && !target.contains("://"));
    files
        .filter(|target| !exists(target.split('#').next().unwrap_or(target)))
        .collect()
}

/// Functions of more than `most` lines, from `fn` to their brace.
fn too_long(code: &str, most: usize) -> Vec<String> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let signature = line.trim_start();
        let before = signature.find("fn ").map(|at| &signature[..at]);
        if !before.is_some_and(|before| {
            before.is_empty() || before.starts_with(['p', 'c']) && before.ends_with(' ')
        }) {
            continue; // `pub(crate) const fn ` begins so
        }
        // A signature ends with its brace; without a body with `;`, on one line with `}`.
        let mut behind = lines[number..]
            .iter()
            .skip_while(|line| !line.ends_with(['{', ';', '}']));
        if !behind.next().is_some_and(|line| line.ends_with('{')) {
            continue;
        }
        let brace = format!("{}}}", &line[..line.len() - signature.len()]);
        let end = lines[number..].iter().position(|line| *line == brace);
        let length = end.map_or(usize::MAX, |end| end + 1);
        if length > most {
            found.push(format!("{}: {signature} has {length} lines", number + 1));
        }
    }
    found
}

/// The methods of a trait or an `impl` that begins with this line.
fn methods_of(code: &str, first: &str) -> Vec<String> {
    let block = code.split_once(first).map_or("", |(_, rest)| rest);
    let block = block.split("\n}\n").next().unwrap_or_default();
    let names = block.lines().filter_map(|line| {
        let rest = line.strip_prefix("    fn ")?;
        rest.split(['(', '<']).next()
    });
    names.map(str::to_owned).collect()
}

/// The methods that a protocol around another leaves to their defaults. One is around another if it
/// asks that how much has ended. It may well decide by itself whether it keeps blocks.
fn unanswered(code: &str, methods: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    for (number, line) in code.lines().enumerate() {
        if !line.starts_with("impl") || !line.contains(" Protocol for ") {
            continue;
        }
        let block: Vec<&str> = code.lines().skip(number).collect();
        let block = block.join("\n");
        let block = block.split("\n}").next().unwrap_or_default();
        let own = methods_of(block, line);
        let lacks = |method: &&String| *method != "keeps_blocks" && !own.contains(method);
        if block.contains(".take_completed()") {
            let lacking = methods.iter().filter(lacks);
            missing.extend(lacking.map(|method| format!("{}: {method}", number + 1)));
        }
    }
    missing
}

/// How many lines the function has that begins with `signature`.
fn length_of(text: &str, signature: &str) -> usize {
    let start = text.find(signature).unwrap_or(text.len());
    let body = &text[start..];
    let end = body.find("\n    }\n").unwrap_or_default();
    body[..end].lines().count() + 1
}

/// Every line that holds one of `names`, as `line: name`.
fn find(code: &str, names: &[impl AsRef<str>]) -> Vec<String> {
    let lines = code.lines().enumerate();
    lines
        .flat_map(|(number, line)| {
            let held = names
                .iter()
                .filter(move |name| line.contains(name.as_ref()));
            held.map(move |name| format!("{}: {}", number + 1, name.as_ref()))
        })
        .collect()
}

/// A file's text without comments and without its tests; its lines keep their numbers.
fn code(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let bare = text[..tests].lines().map(|line| {
        let comment = line
            .find("// ")
            .or_else(|| line.trim_start().starts_with("//").then_some(0));
        line[..comment.unwrap_or(line.len())].trim_end()
    });
    bare.collect::<Vec<_>>().join("\n")
}

/// Fails if `breaches` finds any in a file's code.
fn keep(mut paths: Vec<String>, mut breaches: impl FnMut(&str, &str) -> Vec<String>) {
    paths.retain(|path| !is_of_tests(path));
    let found: Vec<String> = paths
        .iter()
        .flat_map(|path| {
            let found = breaches(path, &code(&read(path)));
            found
                .into_iter()
                .map(move |breach| format!("{path}:{breach}"))
        })
        .collect();
    assert!(
        !paths.is_empty() && found.is_empty(),
        "\n{}\n",
        found.join("\n")
    );
}

/// The crate's files and what they import.
fn tree() -> Tree {
    let mut paths = sources("src");
    paths.retain(|path| !is_of_tests(path));
    Tree::new(paths.iter().map(|path| {
        let below = path.strip_prefix("src/").expect("a source");
        (below.to_owned(), code(&read(path)))
    }))
}
