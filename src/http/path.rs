//! Translates the path of a URL to a path below a directory.
//!
//! This module looks only at names, never at the file system. A file server joins the result to its
//! root. What it finds there is its own concern: a symbolic link, a device, or nothing.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Where a file server has to look below its root; the result of [`translate_path`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TranslatedPath {
    /// A relative path that consists of plain names only. Joined to a root, it can lead out of the
    /// root only through a symbolic link. Empty for the root itself.
    pub path: PathBuf,
    /// Whether the URL ended in a slash, so that it names a directory and no file ([STATIC-8]). An
    /// escaped slash counts as well ([STATIC-3]).
    ///
    /// [STATIC-3]: crate::spec#static-3
    /// [STATIC-8]: crate::spec#static-8
    pub trailing_slash: bool,
}

/// Translates the path of a URL, such as [`Request::path`](super::Request::path), to a path below
/// a root; Python's `translate_path` ([STATIC-2]).
///
/// Query and fragment are cut off, and the rest is percent-decoded and normalised. `.` and empty
/// components are removed. `..` removes the component before it and never leads above the root,
/// whether it is escaped or not. The result has the bytes of the URL, which need not be text. So a
/// client can ask for every file name of Unix ([STATIC-13]).
///
/// It returns `None` for a path that no file can have; respond with 404. Such a path has a NUL
/// ([STATIC-5]), or is not UTF-8 on a system whose file names are not bytes.
///
/// On systems other than Unix it drops names that the system would split or read as another name.
/// These are names with a backslash or a colon, and names that end in a dot or a space.
///
/// ```
/// use std::path::Path;
/// use serve_forever::http::translate_path;
///
/// let found = translate_path("/a/%2e%2e/b%20c/?q=1").expect("no NUL");
/// assert_eq!(found.path, Path::new("b c"));
/// assert!(found.trailing_slash);
/// assert_eq!(translate_path("/../../etc/passwd").expect("no NUL").path, Path::new("etc/passwd"));
/// assert_eq!(translate_path("/a%00.txt"), None);
/// ```
///
/// [STATIC-2]: crate::spec#static-2
/// [STATIC-5]: crate::spec#static-5
/// [STATIC-13]: crate::spec#static-13
pub fn translate_path(path: &str) -> Option<TranslatedPath> {
    let decoded: Vec<u8> = percent_decode_str(without_query(path)).collect();
    if decoded.contains(&0) {
        return None;
    }
    let mut path = PathBuf::new();
    for name in names(&decoded, cfg!(unix)) {
        path.push(file_name(name)?);
    }
    Some(TranslatedPath {
        path,
        trailing_slash: decoded.ends_with(b"/"),
    })
}

/// Cuts off query and fragment.
pub(super) fn without_query(path: &str) -> &str {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    &path[..end]
}

/// Returns the names in a decoded path. If `unix`, only the slash has a meaning in names.
///
/// The path is first normalised, then filtered, as in Python: `a\b/..` is empty on every system.
fn names(decoded: &[u8], unix: bool) -> Vec<&[u8]> {
    let mut names = Vec::new();
    for component in decoded.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            // At the root there is nothing to remove.
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.retain(|name| unix || is_portable(name));
    names
}

/// Returns whether Windows reads a name as the same name. It reads `c:x` as a drive, `a:b` as a
/// stream of `a`, and `a.` or `a ` as `a`. Because of the last, `..%20` led above CPython's root
/// (gh-157504).
fn is_portable(name: &[u8]) -> bool {
    !name.iter().any(|byte| b"\\:".contains(byte)) && !name.ends_with(b".") && !name.ends_with(b" ")
}

#[cfg(unix)]
fn file_name(name: &[u8]) -> Option<&std::ffi::OsStr> {
    Some(std::os::unix::ffi::OsStrExt::from_bytes(name))
}

#[cfg(not(unix))]
fn file_name(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Component, Path};

    #[track_caller]
    fn check(url: &str, path: &str, trailing_slash: bool) {
        let found = translate_path(url);
        let found = found.as_ref().map(|found| {
            let path = found.path.to_str().expect("the table has UTF-8 only");
            (path, found.trailing_slash)
        });
        assert_eq!(found, Some((path, trailing_slash)), "{url:?}");
    }

    /// STATIC-2: the steps of the translation, in order.
    #[test]
    fn a_url_becomes_a_relative_path() {
        let cases = [
            ("/", "", true),
            ("", "", false),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b/c.txt", "a/b/c.txt", false),
            // Cut at the query and at the fragment, whichever is first.
            ("/a?x=/../b/", "a", false),
            ("/a/?x", "a", true),
            ("/a#x/", "a", false),
            ("/a?x#y", "a", false),
            ("/a#x?y", "a", false),
            ("/a%3fb%23c", "a?b#c", false),
            ("?", "", false),
            // The trailing slash is noted before anything is normalised.
            ("/a/ ", "a/ ", false),
            ("/a/%20", "a/ ", false),
            ("/a//", "a", true),
            ("/a/./", "a", true),
            ("/a/../", "", true),
            // Decoded once.
            ("/%61%62", "ab", false),
            ("/%2561", "%61", false),
            ("/a%2", "a%2", false),
            ("/a%", "a%", false),
            ("/a%zz", "a%zz", false),
            ("/%C3%A9", "\u{e9}", false),
            ("/\u{e9}", "\u{e9}", false),
            // Normalised.
            ("//a///b//c", "a/b/c", false),
            ("/./a/./b", "a/b", false),
            ("/a/b/../c", "a/c", false),
            ("/a/../b/../c", "c", false),
            ("/...", "...", false),
            ("/..a/.b/c..", "..a/.b/c..", false),
            // `..` never leads above the root, whether it is escaped or not.
            ("/..", "", false),
            ("/../", "", true),
            ("/../x", "x", false),
            ("/../../../x", "x", false),
            ("/a/../../x", "x", false),
            ("../../x", "x", false),
            ("/%2e%2e/x", "x", false),
            ("/%2E./x", "x", false),
            ("/..%2fx", "x", false),
            ("/..%2f..%2Fetc%2fpasswd", "etc/passwd", false),
            ("/a/%2e%2e%2f%2e%2e%2fx", "x", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
        ];
        for (url, path, trailing_slash) in cases {
            check(url, path, trailing_slash);
        }
    }

    /// STATIC-3: what follows from these steps.
    #[test]
    fn the_consequences_that_were_measured() {
        let cases = [
            ("/nodir/../a", "a", false),
            ("/a/.", "a", false),
            ("/%2fa", "a", false),
            ("a", "a", false),
            ("/a%2f", "a", true),
            ("/a/%2F", "a", true),
            ("/%2f", "", true),
            ("/a%2f/", "a", true),
            ("/a+b", "a+b", false),
        ];
        for (url, path, trailing_slash) in cases {
            check(url, path, trailing_slash);
        }
    }

    /// STATIC-3: names that are ordinary on Unix, and dropped on Windows.
    #[test]
    fn what_only_windows_reads_as_more_than_a_name() {
        let cases: [(&str, &str, &str); 12] = [
            ("/c:/x", "c:|x", "x"),
            ("/c:x", "c:x", ""),
            ("/a/c:/../b", "a|b", "a|b"),
            ("/a\\b/c", "a\\b|c", "c"),
            ("/..\\..\\x", "..\\..\\x", ""),
            ("/a\\..", "a\\..", ""),
            ("/a\\b/../c", "c", "c"),
            ("/\\\\host\\share\\x", "\\\\host\\share\\x", ""),
            ("/a.txt:stream", "a.txt:stream", ""),
            ("/... /x", "... |x", "x"),
            ("/a.txt.", "a.txt.", ""),
            ("/.a", ".a", ".a"),
        ];
        for (path, unix, windows) in cases {
            for (is_unix, expected) in [(true, unix), (false, windows)] {
                let found = names(path.as_bytes(), is_unix).join(&b'|');
                let found = String::from_utf8(found).expect("the table has UTF-8 only");
                assert_eq!(found, expected, "{path:?} on Unix: {is_unix}");
            }
        }
    }

    /// STATIC-5: refused here. In CPython `open` fails and the client gets no response.
    #[test]
    fn no_file_has_a_nul_in_its_name() {
        for url in ["/%00", "/a%00.txt", "/a%00/../b", "/a/%00/", "/a\0"] {
            assert_eq!(translate_path(url), None, "{url:?}");
        }
        check("/a%2500", "a%00", false);
        check("/a?%00", "a", false);
    }

    /// STATIC-13: names are bytes, not text with replacements. Bytes above 0x7f need no escape.
    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_utf8_can_be_asked_for() {
        use std::os::unix::ffi::OsStrExt;

        let cases: [(&str, &[u8]); 4] = [
            ("/%ff", b"\xff"),
            ("/%C3%28/%80", b"\xc3\x28/\x80"),
            ("/u\u{e9}.txt", b"u\xc3\xa9.txt"),
            ("/%ED%A0%80", b"\xed\xa0\x80"),
        ];
        for (url, path) in cases {
            let found = translate_path(url).expect(url);
            assert_eq!(found.path.as_os_str().as_bytes(), path, "{url:?}");
        }
    }

    /// STATIC-2: for every URL of up to six of these pieces, the result stays below the root.
    #[test]
    fn no_url_leaves_the_root() {
        const PIECES: [&str; 7] = ["/", ".", "%2f", "%2e", "a", "\\", "%00"];
        let mut urls = vec![String::new()];
        let mut checked = 0;
        while let Some(url) = urls.pop() {
            if url.matches(['/', '.', '%', 'a', '\\']).count() < 6 {
                urls.extend(PIECES.map(|piece| format!("{url}{piece}")));
            }
            let nul = url.contains("%00");
            let Some(found) = translate_path(&url) else {
                assert!(nul, "{url}: refused without a NUL");
                continue;
            };
            checked += 1;
            let text = found.path.to_str().expect("ASCII");
            assert!(!nul && !text.contains('\0'), "{url}: {text:?}");
            let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
            assert!(found.path.components().all(plain), "{url}: {text:?}");
            // `components` overlooks these.
            let odd = ["", "."];
            let parts = || text.split('/').filter(|_| !text.is_empty());
            assert!(!parts().any(|part| odd.contains(&part)), "{url}: {text:?}");
            assert!(Path::new("/root").join(&found.path).starts_with("/root"));
        }
        assert!(checked > 10_000, "only {checked} were translated");
    }
}
