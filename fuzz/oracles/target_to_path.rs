//! Checks that the path of a URL never leads out of the root, and is the same as in Python.

use std::path::{Component, Path, PathBuf};

use serve_forever::http::translate_path;

use super::literal::percent_decoded;

/// The input is a request target.
pub fn target_to_path(data: &[u8]) {
    let target = String::from_utf8_lossy(data);
    let found = translate_path(&target);
    let written = target.split(['?', '#']).next().unwrap_or_default();
    let decoded = percent_decoded(written.as_bytes());
    let Some(found) = found else {
        let odd = decoded.contains(&0) || (!cfg!(unix) && String::from_utf8(decoded).is_err());
        assert!(odd, "a path that a file can have");
        return;
    };
    assert!(!decoded.contains(&0), "a NUL: {found:?}");
    for component in found.path.components() {
        let name = matches!(component, Component::Normal(_));
        assert!(name, "{component:?} is no name: {found:?}");
    }
    let root = Path::new("/srv/www");
    assert!(root.join(&found.path).starts_with(root), "{found:?}");
    assert_eq!(found.trailing_slash, decoded.ends_with(b"/"));
    if cfg!(unix) {
        assert_eq!(found.path, normalised(&decoded), "{found:?}");
    }
}

/// `posixpath.normpath` of an absolute path, without its slash (STATIC-2).
fn normalised(path: &[u8]) -> PathBuf {
    let mut path = path.to_vec();
    // Repeat the first possible step: remove an empty component, a dot, or a name and the two dots
    // after it.
    path.insert(0, b'/');
    path.push(b'/');
    while let Some((from, to)) = superfluous(&path) {
        path.drain(from..to);
    }
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let names = names.into_iter().filter(|name| !name.is_empty());
    names.map(os_name).collect()
}

/// The place of the first component that can be removed. The path starts and ends with a slash.
fn superfluous(path: &[u8]) -> Option<(usize, usize)> {
    let slashes: Vec<usize> = (0..path.len()).filter(|&at| path[at] == b'/').collect();
    for (index, pair) in slashes.windows(2).enumerate() {
        let name = &path[pair[0] + 1..pair[1]];
        match name {
            b"" | b"." => return Some((pair[0], pair[1])),
            b".." => return Some((slashes[index.saturating_sub(1)], pair[1])),
            _ => {}
        }
    }
    None
}

#[cfg(unix)]
fn os_name(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

#[cfg(not(unix))]
fn os_name(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}
