//! A file of a form, stored in a directory under a name that nobody knows ([FORM-6]).
//!
//! [FORM-6]: crate::spec#form-6

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::multipart::Part;

/// A file of a form that was received, under a temporary name.
///
/// [`keep_as`](Self::keep_as) gives it its own name. If it is dropped without that, it is removed.
#[derive(Debug)]
pub struct FormFile {
    /// The name of the field.
    name: String,
    /// The name that the client gave it.
    filename: String,
    /// The media type that the client claims.
    content_type: Option<String>,
    /// How many bytes it has.
    length: u64,
    /// Where it is.
    stored: Stored,
}

impl FormFile {
    /// Creates an empty file in `directory`, for the content of a part. The second value writes it.
    pub(super) fn create(part: &Part<'_>, directory: &Path) -> io::Result<(FormFile, File)> {
        let (stored, file) = Stored::create(directory)?;
        let made = FormFile {
            name: part.name().to_owned(),
            filename: part.filename().unwrap_or_default().to_owned(),
            content_type: part.content_type().map(str::to_owned),
            length: 0,
            stored,
        };
        Ok((made, file))
    }

    /// Writes the next bytes of the file.
    pub(super) fn append(&mut self, mut file: &File, data: &[u8]) -> io::Result<()> {
        self.length += data.len() as u64;
        file.write_all(data)
    }

    /// Returns whether the user has chosen no file: browsers then send an empty one without a name.
    pub(super) fn is_nothing(&self) -> bool {
        self.filename.is_empty() && self.length == 0
    }

    /// Returns the name of the form's field.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name that the client gave the file. It can be any text, so do not use it as a path;
    /// [`safe_name`](Self::safe_name) makes a name of it.
    #[must_use]
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// Returns the media type that the client claims. Nobody has checked it.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns how many bytes the file has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.length
    }

    /// Returns where the file is until it is kept or dropped.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.stored.0
    }

    /// Returns the client's name for the file as a name that every system can have in a directory
    /// ([FORM-6]).
    ///
    /// It is what follows the last slash or backslash. Control characters, those that change the
    /// direction of text, and `"*:<>?|` become `_`. A name that would be hidden, because it begins with
    /// a dot, or that is a device on Windows, gets a `_` in front. `None` if nothing is left, or if it
    /// has more than 255 bytes; respond with 400.
    ///
    /// [FORM-6]: crate::spec#form-6
    #[must_use]
    pub fn safe_name(&self) -> Option<String> {
        safe_name(&self.filename)
    }

    /// Gives the file its [safe name](Self::safe_name) in `directory`, and returns where it is then. The
    /// texts of the errors that are the client's are for it to read.
    pub(super) fn keep_in(self, directory: &Path) -> io::Result<PathBuf> {
        let Some(name) = self.safe_name() else {
            let why = "A file has no usable name";
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        };
        let path = directory.join(&name);
        match self.keep_as(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let why = format!("There is a file called {name}");
                Err(io::Error::new(ErrorKind::AlreadyExists, why))
            }
            kept => kept.map(|()| path),
        }
    }

    /// Gives the file its name, in the directory in which it was received or another one of the same
    /// file system. No file is ever replaced. Its content may still be in the system's memory; open it
    /// and call [`File::sync_all`] if it must survive a loss of power.
    ///
    /// This keeps one file, whatever becomes of the others. To keep all files of a form or none, use
    /// [`Form::keep_files`](crate::http::Form::keep_files).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::AlreadyExists`] if there is a file of this name, for which 409 is the
    /// status, or another error of the operating system. The file is then removed.
    pub fn keep_as(self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        // `rename` replaces a file that is there. So take the name first, which only one can do.
        drop(File::create_new(path)?);
        fs::rename(&self.stored.0, path).inspect_err(|_| {
            // Ignore the error: that of `rename` says what is wrong.
            let _ = fs::remove_file(path);
        })
    }
}

/// A file that is removed when this is dropped, unless it was renamed.
#[derive(Debug)]
struct Stored(PathBuf);

impl Stored {
    /// Creates a file in `directory`. Its name begins with a dot, and no client can know it.
    fn create(directory: &Path) -> io::Result<(Stored, File)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".{}-{number}.part", process::id()));
            match File::create_new(&path) {
                Ok(file) => return Ok((Stored(path), file)),
                // An earlier process of the same number has left it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // Ignore the error: it means that the file has its name now.
        let _ = fs::remove_file(&self.0);
    }
}

/// Names that Windows reads as devices, whatever the ending.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

/// See [`FormFile::safe_name`].
fn safe_name(filename: &str) -> Option<String> {
    let name = filename.rsplit(['/', '\\']).next()?;
    // Windows drops these at the end, so `a.txt.` would be `a.txt`.
    let name = name.trim_end_matches([' ', '.']).trim_start_matches(' ');
    let mut safe: String = name
        .chars()
        .map(|character| match character {
            '"' | '*' | ':' | '<' | '>' | '?' | '|' => '_',
            // They change the direction of text, so that `gpj.exe` looks like `exe.jpg`.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
            character if character.is_control() => '_',
            character => character,
        })
        .collect();
    if is_device(&safe) || safe.starts_with('.') {
        safe.insert(0, '_');
    }
    (!safe.is_empty() && safe.len() <= 255).then_some(safe)
}

/// Returns whether Windows reads a name as a device: `con`, `nul.txt`, `com1`.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end_matches(' ').to_ascii_lowercase();
    DEVICES
        .iter()
        .any(|device| match stem.strip_prefix(device) {
            Some("") => !matches!(*device, "com" | "lpt"),
            Some(number) => {
                let is_port = matches!(*device, "com" | "lpt");
                is_port && number.chars().count() == 1 && number.chars().all(char::is_numeric)
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::safe_name;

    /// FORM-6: whatever a client calls a file, the name is one of a file in the directory.
    #[test]
    fn names_are_made_safe() {
        let cases = [
            ("a.txt", "a.txt"),
            ("\u{e9} \u{1f600}.tar.gz", "\u{e9} \u{1f600}.tar.gz"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("C:\\Users\\me\\a.txt", "a.txt"),
            ("..\\..\\a", "a"),
            ("C:a", "C_a"),
            ("a.txt:stream", "a.txt_stream"),
            (".htaccess", "_.htaccess"),
            (" .x ", "_.x"),
            ("a.txt. .", "a.txt"),
            ("a\0b\r\nc\u{85}\u{7f}", "a_b__c__"),
            ("<b>\"x\"|y?*", "_b__x__y__"),
            ("a\u{202e}gpj.exe", "a_gpj.exe"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("Com1", "_Com1"),
            ("lpt\u{b9}.x", "_lpt\u{b9}.x"),
            ("con .txt", "_con .txt"),
            ("com", "com"),
            ("com10", "com10"),
            ("console", "console"),
        ];
        for (filename, expected) in cases {
            assert_eq!(
                safe_name(filename).as_deref(),
                Some(expected),
                "{filename:?}"
            );
        }
        let longest = "n".repeat(255);
        assert_eq!(safe_name(&longest), Some(longest.clone()));
        let too_long = longest + "n";
        for filename in ["", ".", "..", "a/", "a\\", "../..", " ", ". .", &too_long] {
            assert_eq!(safe_name(filename), None, "{filename:?}");
        }
    }
}
