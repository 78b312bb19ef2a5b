//! A form with files that is stored as it arrives ([FORM-6]).
//!
//! [FORM-6]: crate::spec#form-6

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::FormError;
use super::file::FormFile;
use super::multipart::{Multipart, MultipartEvent, Part};
use crate::http::body_budget::BodyShare;
use crate::http::body_policy::Want;
use crate::http::body_sink::BodySink;
use crate::http::h1::Fields;
use crate::http::response::{HttpResult, Response};
use crate::http::stats::Hit;
use crate::socketserver::Failure;

/// What a part costs beside its texts, so that many empty ones cost something as well.
const PART: usize = 128;

/// A form with files that was received; see [`Response::receive_form`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Form {
    /// The names and values of the fields that are no files, in order. Bytes that are not UTF-8 are
    /// U+FFFD.
    pub fields: Vec<(String, String)>,
    /// The files, in order. A file that the user has not chosen is left out.
    pub files: Vec<FormFile>,
    /// The texts' part of the budget.
    share: BodyShare,
}

impl Form {
    /// Returns the value of the first field called `name`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Keeps all files in `directory` under their [safe names](FormFile::safe_name), or none of them, and
    /// returns where they are, in order. No file is ever replaced. `directory` is the one in which they
    /// were received, or another one of the same file system ([FORM-6]).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::InvalidInput`] if a file has no usable name, for which 400 is the status, and
    /// [`ErrorKind::AlreadyExists`] if there is a file of its name, for which it is 409. The texts of these
    /// two are for the client. Returns any other error of the operating system. All files are then
    /// removed, also those that have their names already.
    ///
    /// [`ErrorKind::InvalidInput`]: io::ErrorKind::InvalidInput
    /// [`ErrorKind::AlreadyExists`]: io::ErrorKind::AlreadyExists
    /// [FORM-6]: crate::spec#form-6
    pub fn keep_files(&mut self, directory: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
        let mut kept = Vec::new();
        for file in self.files.drain(..) {
            match file.keep_in(directory.as_ref()) {
                Ok(path) => kept.push(path),
                Err(error) => {
                    for path in kept {
                        // Ignore the error: the first one says what is wrong.
                        let _ = fs::remove_file(path);
                    }
                    return Err(error);
                }
            }
        }
        Ok(kept)
    }
}

/// Stores a form.
struct FormSink<F> {
    /// Reads the body.
    multipart: Multipart,
    /// The storage.
    store: Store,
    /// Why the form is refused.
    refused: Option<Refusal>,
    /// Responds when the form is whole.
    finish: F,
}

/// What has arrived of a form.
struct Store {
    /// The parts that are whole.
    form: Form,
    /// The part that is arriving.
    open: Open,
    /// Where files go.
    directory: PathBuf,
    /// How many files there may be.
    files: usize,
    /// How many bytes of texts there may still be.
    room: usize,
}

/// The part that is arriving.
enum Open {
    /// There is none.
    Nothing,
    /// A field, with its value so far.
    Field(String, Vec<u8>),
    /// A file.
    File(FormFile, File),
}

/// Why a form is not stored.
enum Refusal {
    /// It is malformed, or exceeds a limit.
    Form(FormError),
    /// There is no room for its texts beside the bodies of other clients.
    NoRoom,
    /// The system cannot store it.
    Failure(Failure),
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Refusal {
        Refusal::Form(error)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Failure(error.into())
    }
}

impl Store {
    /// Takes the next event in.
    fn take(&mut self, event: MultipartEvent<'_>) -> Result<(), Refusal> {
        match event {
            MultipartEvent::Part(part) => self.begin(&part),
            MultipartEvent::Data(data) => match &mut self.open {
                Open::File(made, file) => Ok(made.append(file, data)?),
                Open::Field(..) | Open::Nothing => self.text(data),
            },
            MultipartEvent::PartEnd => {
                self.end();
                Ok(())
            }
        }
    }

    /// Begins a part.
    fn begin(&mut self, part: &Part<'_>) -> Result<(), Refusal> {
        let texts = [part.filename(), part.content_type()];
        let texts = texts.into_iter().flatten().map(str::len).sum::<usize>();
        self.claim(PART + part.name().len() + texts)?;
        if part.filename().is_none() {
            self.open = Open::Field(part.name().to_owned(), Vec::new());
            return Ok(());
        }
        if self.form.files.len() == self.files {
            return Err(FormError::TooManyFields.into());
        }
        let (made, file) = FormFile::create(part, &self.directory)?;
        self.open = Open::File(made, file);
        Ok(())
    }

    /// Takes the next bytes of a field.
    fn text(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.claim(data.len())?;
        if let Open::Field(_, value) = &mut self.open {
            value.extend_from_slice(data);
        }
        Ok(())
    }

    /// Ends a part. Its file is closed, so that a form holds only one descriptor.
    fn end(&mut self) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::File(made, _) if made.is_nothing() => {}
            Open::File(made, _) => self.form.files.push(made),
            Open::Field(name, value) => {
                let value = String::from_utf8(value);
                let value = value
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                self.form.fields.push((name, value));
            }
            Open::Nothing => {}
        }
    }

    /// Counts bytes that are kept in memory.
    fn claim(&mut self, bytes: usize) -> Result<(), Refusal> {
        let room = self.room.checked_sub(bytes);
        self.room = room.ok_or(FormError::TooLarge)?;
        match self.form.share.grow(bytes) {
            true => Ok(()),
            false => Err(Refusal::NoRoom),
        }
    }
}

impl<F> FormSink<F> {
    /// Takes the next bytes of the body in.
    fn take_in(&mut self, mut block: &[u8]) -> Result<(), Refusal> {
        while let Some(event) = self.multipart.next_event(&mut block)? {
            self.store.take(event)?;
        }
        Ok(())
    }
}

impl<F> BodySink for FormSink<F>
where
    F: FnOnce(Form, Response<'_>) -> HttpResult + Send,
{
    fn block(&mut self, block: &[u8]) -> Result<Want, Failure> {
        match self.take_in(block) {
            Ok(()) => Ok(Want::More),
            Err(Refusal::Failure(failure)) => Err(failure),
            Err(refusal) => {
                self.refused = Some(refusal);
                Ok(Want::Enough)
            }
        }
    }

    fn finish(self: Box<Self>, _trailers: Fields<'_>, response: Response<'_>) -> HttpResult {
        let verdict = self.multipart.finish().map_err(Refusal::Form);
        match self.refused.map_or(verdict, Err) {
            Ok(()) => (self.finish)(self.store.form, response),
            Err(Refusal::Form(error)) => {
                response.context.settings.counters.count(hit(error));
                let head = response.send_response(error.status());
                head.error_page(&error.to_string())
            }
            Err(Refusal::NoRoom) => response.shed(),
            Err(Refusal::Failure(failure)) => Err(failure),
        }
    }
}

/// Returns the counter of a refusal.
fn hit(error: FormError) -> Hit {
    match error.status() {
        413 => Hit::BodyTooLarge,
        431 => Hit::HeadTooLarge,
        _ => Hit::BadRequest,
    }
}

impl Response<'_> {
    /// Stores a form with files as it arrives: each file goes into `directory` under a temporary name,
    /// and the other fields are kept in memory. `finish` gets the [`Form`] when it is whole, and
    /// responds ([FORM-6]).
    ///
    /// A form that is malformed or exceeds a [limit](super::super::MultipartLimits) is refused with
    /// the [status](FormError::status) of its error, and counted in
    /// [`HttpStats`](crate::http::HttpStats). Then, and if the client disconnects, all its
    /// files are removed. Files that `finish` does not [keep](FormFile::keep_as) are removed as well. A
    /// program that is killed leaves files behind whose names begin with a dot and end in `.part`.
    ///
    /// This is for a handler whose [`body_policy`](crate::http::HttpRequestHandler::body_policy) is
    /// [streamed](crate::http::BodyPolicy::streamed). On the loop, every client waits while a block is
    /// written; a local disk is fast enough. Use [`Pooled`](crate::http::Pooled) for a slow one.
    ///
    /// Any page on the web can send a form to your server through the browser of a user who can reach it.
    /// The browser does not ask first. So put an
    /// [`AllowedHosts`](crate::http::AllowedHosts::same_origin) around the handler, as here:
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use serve_forever::http::{AllowedHosts, BodyPolicy, HttpRequestHandler, HttpServer};
    /// use serve_forever::http::{HttpResult, Request, Response};
    ///
    /// #[derive(Clone)]
    /// struct Photos;
    ///
    /// impl HttpRequestHandler for Photos {
    ///     fn body_policy(&mut self, _: &Request<'_>) -> BodyPolicy {
    ///         BodyPolicy::streamed()
    ///     }
    ///
    ///     fn do_post(&mut self, request: &Request<'_>, response: Response<'_>) -> HttpResult {
    ///         let form = match request.multipart() {
    ///             Ok(form) => form,
    ///             Err(error) => return response.send_error(error.status()),
    ///         };
    ///         response.receive_form(form, "/srv/photos", |mut form, response| {
    ///             let Err(error) = form.keep_files("/srv/photos") else {
    ///                 return response.send_response(201).body("");
    ///             };
    ///             match error.kind() {
    ///                 ErrorKind::InvalidInput => response.send_error(400),
    ///                 ErrorKind::AlreadyExists => response.send_error(409),
    ///                 _ => Err(error.into()),
    ///             }
    ///         })
    ///     }
    /// }
    ///
    /// let photos = AllowedHosts::loopback(Photos).same_origin(true);
    /// let server = HttpServer::bind("127.0.0.1:0", photos)?;
    /// # let _ = server;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`receive`](Self::receive). If a file cannot be created or written, the
    /// response is a 500.
    ///
    /// [FORM-6]: crate::spec#form-6
    pub fn receive_form<F>(
        self,
        form: Multipart,
        directory: impl AsRef<Path>,
        finish: F,
    ) -> HttpResult
    where
        F: FnOnce(Form, Response<'_>) -> HttpResult + Send + 'static,
    {
        let limits = &form.limits;
        let store = Store {
            files: limits.files,
            room: limits.texts,
            form: Form {
                fields: Vec::new(),
                files: Vec::new(),
                share: BodyShare::nothing(self.context.settings),
            },
            open: Open::Nothing,
            directory: directory.as_ref().to_owned(),
        };
        self.receive(FormSink {
            multipart: form,
            store,
            refused: None,
            finish,
        })
    }
}
