//! A directory as a page (STATIC-12).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::super::error_page::escape;

/// What is not escaped in a link, besides letters and digits.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    name: Vec<u8>,
    is_directory: bool,
    is_symlink: bool,
}

/// The entries of a directory, in the order of their names in lower case, hidden ones too.
pub(super) fn read(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Err: it is gone meanwhile. Of a link the target counts, if there is one.
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
    // The name itself decides between those that differ in case only.
    entries.sort_by_cached_key(|entry| (label(&entry.name).to_lowercase(), entry.name.clone()));
    Ok(entries)
}

/// The page of a directory that was asked for as `target`.
pub(super) fn page(target: &str, entries: &[Entry]) -> String {
    let target = percent_decode_str(target).decode_utf8_lossy();
    let title = format!("Directory listing for {}", escape(&target));
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
        // The bytes of the name, whatever they mean (STATIC-13).
        let link = percent_encode(&entry.name, &ESCAPED).to_string();
        let label = escape(&label(&entry.name));
        page += &format!("<li><a href=\"{link}{slash}\">{label}{mark}</a></li>\n");
    }
    page + "</ul>\n<hr>\n</body>\n</html>\n"
}

/// A name for people.
fn label(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(unix)]
fn bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

#[cfg(not(unix))]
fn bytes(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}
