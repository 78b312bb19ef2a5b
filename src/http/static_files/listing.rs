//! The listing of a directory as an HTML page ([STATIC-12]).
//!
//! [STATIC-12]: crate::spec#static-12

use std::io;
use std::mem;
use std::sync::{Arc, TryLockError};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::listings::SharedNames;
use super::names::{Entry, Known};
use crate::http::error_page::escape;
use crate::http::response_body::{BLOCK, BodySource};
use crate::socketserver::{Block, Failure};

/// The bytes that are escaped in a link: all except letters, digits and these five.
const ESCAPED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'.')
    .remove(b'-')
    .remove(b'~')
    .remove(b'/');

/// The page of a directory, made block by block while it is sent.
#[derive(Debug)]
pub(super) struct Page {
    /// The names in the directory, perhaps shared with other clients.
    names: Arc<SharedNames>,
    /// How many of the names were sent.
    sent: usize,
    /// What comes next.
    part: Part,
}

/// What comes next in a page.
#[derive(Debug, Default)]
enum Part {
    /// The beginning.
    Top(String),
    /// The names that were not sent yet, then the end.
    Names,
    /// Nothing.
    #[default]
    Nothing,
}

impl Page {
    /// Returns the page of a directory; `path` is that of the request.
    pub(super) fn new(path: &str, names: Arc<SharedNames>) -> Page {
        let path: Vec<u8> = match path {
            "" => b"/".into(), // RFC 9110 §4.2.3
            path => percent_decode_str(path).collect(),
        };
        let title = format!("Directory listing for {}", escape(&label(&path)));
        Page {
            names,
            sent: 0,
            part: Part::Top(top(&title)),
        }
    }

    /// Returns the whole page if the directory is small.
    pub(super) fn whole(&mut self) -> io::Result<Option<Vec<u8>>> {
        let is_small = self.names.try_lock().is_ok_and(|names| names.is_small());
        if !is_small {
            return Ok(None);
        }
        let mut page = Vec::new();
        while let Some(block) = self.next()? {
            page.extend_from_slice(&block);
        }
        Ok(Some(page))
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match mem::take(&mut self.part) {
            Part::Nothing => Ok(None),
            Part::Top(top) => {
                self.part = Part::Names;
                Ok(Some(top.into_bytes()))
            }
            Part::Names => {
                let mut block = String::new();
                if !self.put_names(&mut block)? {
                    self.part = Part::Names;
                }
                Ok(Some(block.into_bytes()))
            }
        }
    }

    /// Puts as many names into a block as are known and have room. Returns whether these were the
    /// last, with the end of the page after them.
    ///
    /// If other names must be read first, does a small part of that. The block may then be empty.
    fn put_names(&mut self, block: &mut String) -> io::Result<bool> {
        let mut names = match self.names.try_lock() {
            Ok(names) => names,
            // Another thread makes a block of the same directory. The loop does not wait for that.
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Poisoned(error)) => return Err(io::Error::other(error.to_string())),
        };
        while block.len() < BLOCK {
            match names.get(self.sent) {
                Known::Found(entry) => {
                    put_entry(block, &entry);
                    self.sent += 1;
                }
                Known::Unknown => {
                    names.advance()?;
                    return Ok(false);
                }
                Known::End => {
                    block.push_str("</ul>\n<hr>\n</body>\n</html>\n");
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl BodySource for Page {
    fn next_block(&mut self) -> Result<Option<Block>, Failure> {
        Ok(self.next()?.map(Block::from))
    }
}

fn top(title: &str) -> String {
    format!(
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
    )
}

fn put_entry(page: &mut String, entry: &Entry<'_>) {
    let slash = if entry.is_directory { "/" } else { "" };
    let mark = if entry.is_symlink { "@" } else { slash };
    page.push_str("<li><a href=\"");
    // Escape the bytes of the name, in whatever encoding they are (STATIC-13).
    page.extend(percent_encode(entry.name, &ESCAPED));
    page.push_str(slash);
    page.push_str("\">");
    match entry.name.iter().all(is_plain) {
        true => page.extend(entry.name.iter().map(|&byte| char::from(byte))),
        false => page.push_str(&escape(&label(entry.name))),
    }
    page.push_str(mark);
    page.push_str("</a></li>\n");
}

/// Returns whether a byte of a name is shown as it is. Most names have only such bytes.
fn is_plain(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~') && !b"&<>".contains(byte)
}

/// Returns a name as text for people to read.
fn label(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.replace(char::is_control, "\u{fffd}")
}
