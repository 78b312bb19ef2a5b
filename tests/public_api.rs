//! The public API, as `public-api.txt` lists it: a change of the API has to change the listing.
//!
//! The listing has each public item with its signature, below the module that shows it. After a
//! change that is meant, write it anew:
//!
//!     BLESS=1 cargo test --test public_api
//!
//! It reads the sources as rustfmt leaves them. An item that is `pub` can be reached, because the
//! lint `unreachable_pub` warns of any other.

#[path = "support/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sources::{is_of_tests, root};

const LISTING: &str = "tests/public-api.txt";

#[test]
fn the_listing_is_that_of_the_sources() {
    let (now, path) = (listing(), root().join(LISTING));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &now).expect("the listing is written");
    }
    let listed = fs::read_to_string(&path).expect("the listing");
    let (now, listed): (BTreeSet<_>, BTreeSet<_>) =
        (now.lines().collect(), listed.lines().collect());
    let (new, gone): (Vec<_>, Vec<_>) = (
        now.difference(&listed).collect(),
        listed.difference(&now).collect(),
    );
    assert!(
        new.is_empty() && gone.is_empty(),
        "the public API has changed. If that is meant: BLESS=1 cargo test --test public_api\n\
         new: {new:#?}\ngone: {gone:#?}"
    );
}

#[test]
fn the_reader_of_sources_can_fail() {
    let source = "\
#[must_use]
pub struct A<T> {
    /// A field.
    pub b: T,
    pub(super) c: u8,
}

impl<T> A<T> {
    pub fn new(
        b: T,
        c: u8,
    ) -> A<T> {
        pub fn inner() {}
    }

    pub(crate) fn hidden(&self) {}
}

impl<T> Drop for A<T> {
    fn drop(&mut self) {}
}

pub trait D: Send {
    type E;

    fn f(&self) -> u8 {
        0
    }
}

#[non_exhaustive]
pub enum G {
    H,
    I { j: u8 },
}

#[must_use]
pub struct O(u8);

pub(crate) struct K {
    pub l: u8,
}

impl K {
    pub fn m() {}
}

#[cfg(test)]
mod tests {
    pub fn n() {}
}
";
    let expected = [
        "#[must_use] pub struct A<T>",
        "#[must_use] pub struct O",
        "#[non_exhaustive] pub enum G",
        "A: pub b: T",
        "D: fn f(&self) -> u8",
        "D: type E",
        "G: H",
        "G: I { j: u8 }",
        "impl<T> A<T>: pub fn new(b: T, c: u8) -> A<T>",
        "impl<T> Drop for A<T>",
        "pub trait D: Send",
    ];
    let mut found = BTreeSet::new();
    read(source, &BTreeSet::new(), &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    // The type may stand in another file.
    let elsewhere = "\
impl<T: Into<A>> P<T> {
    pub fn q(&self) {}
}

impl Private<P> {
    pub fn r(&self) {}
}
";
    let mut found = BTreeSet::new();
    read(elsewhere, &BTreeSet::from(["P".to_owned()]), &mut found);
    assert_eq!(
        Vec::from_iter(found),
        ["impl<T: Into<A>> P<T>: pub fn q(&self)"]
    );
}

/// The whole listing.
fn listing() -> String {
    let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut paths = sources::sources("src");
    paths.retain(|path| !is_of_tests(path));
    let texts = paths.iter().map(|path| sources::read(path));
    let types: BTreeSet<String> = texts.flat_map(|text| public_types(&text)).collect();
    for path in paths {
        let items = modules.entry(module(&path)).or_default();
        read(&sources::read(&path), &types, items);
    }
    let mut listing = String::new();
    for (module, items) in modules.iter().filter(|(_, items)| !items.is_empty()) {
        listing.push_str(&format!("\n# {module}\n\n"));
        items.iter().for_each(|item| {
            listing.push_str(item);
            listing.push('\n');
        });
    }
    listing.trim_start().to_owned()
}

/// The public module that shows the items of a file.
fn module(path: &str) -> String {
    const FACES: [&str; 9] = [
        "http/testing",
        "http/websocket",
        "http/h1",
        "wsgi/testing",
        "http",
        "wsgi",
        "socketserver",
        "reactor",
        "spec",
    ];
    let path = Path::new(path).strip_prefix("src").expect("a source");
    let path = path.with_extension("");
    let face = FACES.iter().find(|face| path.starts_with(face));
    face.map_or("(root)".to_owned(), |face| face.replace('/', "::"))
}

/// Adds the public items of a file. `types`: the public types of all files, because the methods of a
/// type may stand in several.
fn read(text: &str, types: &BTreeSet<String>, items: &mut BTreeSet<String>) {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let names = public_types(text);
    // The item at the left margin whose lines these are, and how its own items are prefixed.
    let mut inside: Option<String> = None;
    let mut attributes = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('}') {
            inside = None;
        } else if line.starts_with("#[must_use") || line.starts_with("#[non_exhaustive") {
            attributes.push_str(line.split([' ', ']']).next().unwrap_or(""));
            attributes.push_str("] ");
        } else if line.starts_with("pub ") || line.starts_with("impl") {
            let head = whole(line, &mut lines);
            let is_block = head.ends_with('{') && !head.starts_with("pub fn");
            let head = trimmed(&head);
            let owner = names.iter().find(|name| of(&head, name));
            let owner = owner.or_else(|| types.get(self_type(&head)?));
            if head.starts_with("pub ") && !head.starts_with("pub mod") {
                let shown = head.split('(').next().filter(|_| is_private_tuple(&head));
                items.insert(format!("{attributes}{}", shown.unwrap_or(&head)));
                inside = name(&head).filter(|_| is_block);
            } else if let (true, Some(_)) = (head.starts_with("impl"), owner) {
                let is_trait = head.contains(" for ");
                if is_trait {
                    items.insert(head.clone());
                }
                inside = (is_block && !is_trait).then_some(head);
            }
            attributes.clear();
        } else if let Some(owner) = inside.as_deref().filter(|_| is_item(line)) {
            let item = whole(line.trim(), &mut lines);
            let shown = owner.starts_with("impl") || !names.contains(owner);
            if !shown || !owner.starts_with("impl") || item.starts_with("pub ") {
                items.insert(format!("{owner}: {}", trimmed(&item)));
            }
        } else if !line.starts_with([' ', '/', '#']) {
            attributes.clear();
        }
    }
}

/// Whether a line one step from the margin begins something that belongs to the item around it. Of
/// the fields of a struct those are `pub`; the other lines of a type are variants, or items of a trait.
fn is_item(line: &str) -> bool {
    let Some(line) = line.strip_prefix("    ") else {
        return false;
    };
    let word = line.split([' ', '<', ',', ':', ';']).next().unwrap_or("");
    match word {
        "pub" | "fn" | "type" | "const" => true,
        _ => word.starts_with(char::is_uppercase), // a variant, perhaps a tuple
    }
}

/// Joins the lines of a signature, up to the brace or semicolon; up to the comma of a field or variant.
fn whole<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut item = first.to_owned();
    let is_long = ["fn ", "impl", "pub struct ", "pub enum ", "pub trait "];
    let is_long = is_long.iter().any(|kind| item.contains(kind));
    while !item.ends_with(['{', ';', '}']) && (is_long || !item.ends_with(',') || is_open(&item)) {
        let Some(line) = lines.next() else { break };
        if !item.ends_with('(') {
            item.push(' ');
        }
        item.push_str(line.trim());
    }
    item
}

/// Whether more parentheses were opened than closed.
fn is_open(item: &str) -> bool {
    item.matches('(').count() > item.matches(')').count()
}

/// Without what ends a signature, and without the comma that rustfmt puts where it breaks a list.
fn trimmed(item: &str) -> String {
    let ends = [" {", " {}", ";", ","];
    let item = ends
        .iter()
        .fold(item, |item, end| item.trim_end_matches(end));
    item.replace(", )", ")").replace(",)", ")")
}

/// The names of the public types and traits of a file.
fn public_types(text: &str) -> BTreeSet<String> {
    let heads = text.lines().filter(|line| line.starts_with("pub "));
    heads.filter_map(name).collect()
}

/// The name of a type or trait.
fn name(head: &str) -> Option<String> {
    let kinds = ["pub struct ", "pub enum ", "pub trait ", "pub type "];
    let rest = kinds.iter().find_map(|kind| head.strip_prefix(kind))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Whether this is a struct like `struct A(B)`, whose field nobody can name.
fn is_private_tuple(head: &str) -> bool {
    head.starts_with("pub struct ") && head.ends_with(')') && !head.contains("(pub ")
}

/// The type whose own methods an `impl` has; `None` for an `impl` of a trait.
fn self_type(head: &str) -> Option<&str> {
    let rest = head
        .strip_prefix("impl")
        .filter(|_| !head.contains(" for "))?;
    let mut depth = 0;
    // The generics of the `impl` end where as many brackets are closed as were opened.
    let end = rest.char_indices().find(|&(_, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        depth == 0
    });
    let rest = rest.get(end?.0..)?.trim_start_matches(['>', ' ']);
    rest.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

/// Whether an `impl` is one of this type or trait.
fn of(head: &str, name: &str) -> bool {
    let mut words = head.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| word == name)
}
