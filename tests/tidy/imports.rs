//! Imports, followed to the files that define the names.
//!
//! A name that a file imports may come through a face: a `mod.rs` whose `pub use` shows what another
//! file defines. Here each name is followed through such faces. This is no compiler: it reads code
//! in the form that rustfmt gives it, and knows what this crate's imports look like.

use std::collections::{BTreeMap, BTreeSet};

/// Where a name stands: the names of the modules from the crate's root, and its own.
type Path = Vec<String>;

/// What may be named from elsewhere, by the word in front of its name.
const DEFINES: [&str; 8] = [
    "struct ", "enum ", "trait ", "type ", "fn ", "const ", "static ", "union ",
];

/// The files of a crate, each of which is a module.
pub struct Tree(BTreeMap<Path, Module>);

struct Module {
    file: String,
    /// What the file defines, the modules that stand in it included.
    items: BTreeSet<String>,
    /// The modules that are files below this one.
    children: BTreeSet<String>,
    imports: Vec<Import>,
    /// Paths in the code, such as `super::phrase` in `super::phrase(404)`.
    paths: BTreeSet<String>,
}

struct Import {
    shown: bool,
    /// What the file calls it; `*` is all that is there.
    name: String,
    path: String,
}

impl Tree {
    /// Reads files, each with its path below `src` and its code.
    pub fn new(files: impl IntoIterator<Item = (String, String)>) -> Tree {
        let modules = files.into_iter().map(|(file, code)| {
            let path = file.trim_end_matches(".rs").split('/').map(str::to_owned);
            let mut path: Path = path.collect();
            if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
                path.pop();
            }
            (path, Module::new(file, &code))
        });
        Tree(modules.collect())
    }

    /// The circles of files that need each other, the names of the files in order.
    pub fn circles(&self) -> Vec<Vec<&str>> {
        let needs: BTreeMap<&Path, BTreeSet<&Path>> =
            self.0.keys().map(|path| (path, self.needs(path))).collect();
        let reaches: BTreeMap<&Path, BTreeSet<&Path>> = self
            .0
            .keys()
            .map(|path| (path, reached(path, &needs)))
            .collect();
        let mut circles = BTreeSet::new();
        for (path, reached) in &reaches {
            let mutual = reached
                .iter()
                .filter(|other| reaches[**other].contains(path));
            let circle: Vec<&str> = mutual.map(|other| self.0[*other].file.as_str()).collect();
            circles.extend((circle.len() > 1).then_some(circle));
        }
        circles.into_iter().collect()
    }

    /// Names that a file gets from a face that it stands behind, though another file defines them.
    pub fn through_a_face(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (here, module) in &self.0 {
            for written in module.needed() {
                let Some(path) = self.absolute(here, written) else {
                    continue;
                };
                let (name, face) = path.split_last().expect("a path has a name");
                let behind = self.0.contains_key(face) && here.starts_with(face);
                if behind
                    && name != "*"
                    && self
                        .home(&path)
                        .is_some_and(|home| home != face && *home != path)
                {
                    found.push(format!("{}: {written}", module.file));
                }
            }
        }
        found
    }

    /// Names that are meant to be of this crate, and that nobody defines: what was not understood.
    pub fn unresolved(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (here, module) in &self.0 {
            let imports = module.imports.iter().filter(|import| import.name != "*");
            for Import { path, .. } in imports {
                let absolute = self.absolute(here, path);
                if absolute.is_some_and(|path| self.home(&path).is_none()) {
                    found.push(format!("{}: {path}", module.file));
                }
            }
        }
        found
    }

    /// The files that a file needs; what it only shows to others, it does not need.
    fn needs(&self, here: &Path) -> BTreeSet<&Path> {
        let written = self.0[here].needed();
        let paths = written.filter_map(|written| self.absolute(here, written));
        let homes = paths.filter_map(|path| self.home(&path));
        homes.filter(|home| *home != here).collect()
    }

    /// A path from the root of the crate; `None` if it leads into another crate.
    fn absolute(&self, here: &Path, written: &str) -> Option<Path> {
        let mut words = written.split("::").peekable();
        let mut path = here.clone();
        match *words.peek()? {
            "crate" => path.clear(),
            "self" | "super" => {}
            own if self.0[here].children.contains(own) || self.0[here].items.contains(own) => {}
            alias => {
                let mut imports = self.0[here].imports.iter();
                let import =
                    imports.find(|import| import.name == alias && import.path != written)?;
                path = self.absolute(here, &import.path)?;
                self.0.get(&path)?; // a module, of which the next word is an item
                words.next();
            }
        }
        for word in words {
            match word {
                "crate" | "self" => {}
                "super" => drop(path.pop()),
                word => path.push(word.to_owned()),
            }
        }
        Some(path)
    }

    /// The module that defines what a path leads to; of a module, itself.
    fn home(&self, path: &[String]) -> Option<&Path> {
        if let Some((module, _)) = self.0.get_key_value(path) {
            return Some(module);
        }
        let cut = (0..path.len())
            .rev()
            .find(|&cut| self.0.contains_key(&path[..cut]))?;
        let (module, rest) = (&path[..cut], &path[cut + 1..]);
        let (place, module) = self.0.get_key_value(module)?;
        if module.items.contains(&path[cut]) {
            return Some(place);
        }
        if module.children.contains(&path[cut]) {
            return None; // its file is not there
        }
        let (globs, named): (Vec<_>, _) =
            module.imports.iter().partition(|import| import.name == "*");
        // A name of its own goes before what a glob brings.
        let named = named
            .into_iter()
            .filter(|import: &&Import| import.name == path[cut]);
        let named = named.filter_map(|import| self.absolute(place, &import.path));
        let globs = globs.iter().filter_map(|import| {
            let mut target = self.absolute(place, &import.path)?;
            target.pop();
            target.push(path[cut].clone());
            Some(target)
        });
        named.chain(globs).find_map(|mut target| {
            target.extend_from_slice(rest);
            (target != path).then(|| self.home(&target)).flatten()
        })
    }
}

impl Module {
    fn new(file: String, code: &str) -> Module {
        let mut module = Module {
            file,
            items: BTreeSet::new(),
            children: BTreeSet::new(),
            imports: Vec::new(),
            paths: BTreeSet::new(),
        };
        let mut lines = code.lines();
        while let Some(line) = lines.next() {
            let (shown, item) = without_visibility(line);
            if let Some(tree) = item.strip_prefix("use ") {
                let mut tree = tree.to_owned();
                while !tree.ends_with(';') {
                    tree += lines.next().map_or(";", str::trim);
                }
                leaves("", tree.trim_end_matches(';'), &mut |name, path| {
                    let (name, path) = (name.to_owned(), path.to_owned());
                    module.imports.push(Import { shown, name, path });
                });
                continue;
            }
            module.paths.extend(paths(line));
            if let Some(child) = item.strip_prefix("mod ") {
                let name = child.trim_end_matches([';', '{', ' ']).to_owned();
                match child.ends_with(';') {
                    true => module.children.insert(name),
                    false => module.items.insert(name),
                };
            }
            for defines in DEFINES {
                let before = item.find(defines).map(|at| &item[..at]);
                if before.is_some_and(|before| before.is_empty() || before == "const ") {
                    let rest = &item[before.map_or(0, str::len) + defines.len()..];
                    let end = rest.find(|letter: char| !is_word(letter));
                    module
                        .items
                        .insert(rest[..end.unwrap_or(rest.len())].to_owned());
                }
            }
        }
        module
    }

    /// The paths of what the file needs, as written in it.
    fn needed(&self) -> impl Iterator<Item = &str> {
        let imports = self.imports.iter().filter(|import| !import.shown);
        let imports = imports.map(|import| import.path.as_str());
        imports.chain(self.paths.iter().map(String::as_str))
    }
}

/// All that can be reached from a place, the place itself included.
fn reached<'a>(
    from: &'a Path,
    needs: &BTreeMap<&'a Path, BTreeSet<&'a Path>>,
) -> BTreeSet<&'a Path> {
    let mut found = BTreeSet::from([from]);
    let mut left = vec![from];
    while let Some(next) = left.pop() {
        left.extend(needs[next].iter().filter(|path| found.insert(path)));
    }
    found
}

/// Whether an item begins with `pub` or `pub(…)`, and what is behind that.
fn without_visibility(line: &str) -> (bool, &str) {
    match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with(' ') => (true, &rest[1..]),
        Some(rest) if rest.starts_with('(') => {
            (true, rest.split_once(") ").map_or("", |cut| cut.1))
        }
        _ => (false, line),
    }
}

/// Calls `found` with name and path of each leaf of `a::{b, c::{self, D as E}, f::*}`.
fn leaves(prefix: &str, tree: &str, found: &mut impl FnMut(&str, &str)) {
    let tree = tree.trim();
    if let Some((path, inner)) = tree.split_once('{') {
        let prefix = format!("{prefix}{path}");
        let (mut depth, mut start) = (0, 0);
        let inner = inner.strip_suffix('}').unwrap_or(inner);
        for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    leaves(&prefix, &inner[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let (tree, alias) = tree
            .split_once(" as ")
            .map_or((tree, None), |(tree, alias)| (tree, Some(alias)));
        let path = format!("{prefix}{tree}");
        let path = path.strip_suffix("::self").unwrap_or(&path);
        let last = path.rsplit("::").next().unwrap_or(path);
        found(alias.unwrap_or(last), path);
    }
}

/// The paths of two and more words in a line of code.
fn paths(line: &str) -> impl Iterator<Item = String> {
    let tokens = line.split(|letter: char| !is_word(letter) && letter != ':');
    let paths = tokens.map(|token| token.trim_matches(':'));
    paths.filter(|path| path.contains("::")).map(str::to_owned)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
