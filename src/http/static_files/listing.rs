//! The listing of a directory as an HTML page ([STATIC-12]).
//!
//! [STATIC-12]: crate::spec#static-12

use std::ffi::OsStr;
use std::io;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::root::Found;
use crate::http::error_page::escape;

/// The bytes that are escaped in a link: all except letters, digits and these five.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    /// The bytes of the name.
    name: Vec<u8>,
    /// Whether it is a directory, or a link to one.
    is_directory: bool,
    /// Whether it is a symbolic link.
    is_symlink: bool,
}

/// Reads the entries of a directory, sorted by their names in lower case. Hidden files are included.
pub(super) fn read(directory: &Found) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        // An error means that the entry is gone already: list it as a file. For a link, its target counts.
        let kind = entry.file_type().ok();
        let is_symlink = kind.is_some_and(|kind| kind.is_symlink());
        entries.push(Entry {
            name: bytes(&entry.file_name()),
            is_directory: match is_symlink {
                true => entry.path().is_dir(),
                false => kind.is_some_and(|kind| kind.is_dir()),
            },
            is_symlink,
        });
    }
    // The exact name decides between names that differ only in case.
    entries.sort_by_cached_key(|entry| {
        let lowercase = String::from_utf8_lossy(&entry.name).to_lowercase();
        (lowercase, entry.name.clone())
    });
    Ok(entries)
}

/// Returns the page of a directory; `path` is that of the request.
pub(super) fn page(path: &str, entries: &[Entry]) -> String {
    let path: Vec<u8> = match path {
        "" => b"/".into(), // RFC 9110 §4.2.3
        path => percent_decode_str(path).collect(),
    };
    let title = format!("Directory listing for {}", escape(&label(&path)));
    let mut page = format!(
        "<!DOCTYPE HTML>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <title>{title}</title>\n\
         </head>\n\
         <body>\n\
         <h1>{title}</h1>\n\
         <hr>\n\
         <ul>\n"
    );
    for entry in entries {
        let slash = if entry.is_directory { "/" } else { "" };
        let mark = if entry.is_symlink { "@" } else { slash };
        // Escape the bytes of the name, in whatever encoding they are (STATIC-13).
        let link = percent_encode(&entry.name, &ESCAPED).to_string();
        let label = escape(&label(&entry.name));
        page += &format!("<li><a href=\"{link}{slash}\">{label}{mark}</a></li>\n");
    }
    page + "</ul>\n<hr>\n</body>\n</html>\n"
}

/// Returns a name as text for people to read.
fn label(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(unix)]
fn bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

#[cfg(not(unix))]
fn bytes(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}
