//! A collection of header fields. Python's `wsgiref.headers`.

use std::borrow::{Borrow, BorrowMut};
use std::fmt;

use super::latin1::latin1_bytes;
use super::start_response::AppError;

/// The list in which [`Headers`] keeps its fields: names and values in order.
type List = Vec<(String, String)>;

/// A list of header fields, in which upper and lower case of a name are the same. Python's
/// `Headers`.
///
/// It has its own list, or works [over](Headers::over) your list. It accepts no CR, LF or NUL, so
/// no value can end its line and begin another field ([HDR-5] *Better*).
///
/// ```
/// use serve_forever::wsgi::Headers;
///
/// let mut headers = Headers::new();
/// headers.set("Content-Type", "text/plain")?;
/// headers.add_header("Content-Disposition", Some("attachment"), &[("filename", Some("a.txt"))])?;
/// assert_eq!(headers.get("content-type"), Some("text/plain"));
/// assert_eq!(
///     headers.to_string(),
///     "Content-Type: text/plain\r\n\
///      Content-Disposition: attachment; filename=\"a.txt\"\r\n\r\n",
/// );
/// # Ok::<(), serve_forever::wsgi::AppError>(())
/// ```
///
/// Pass its [`items`](Headers::items) to [`StartResponse::call`](super::StartResponse::call).
///
/// | Python | here |
/// | --- | --- |
/// | `Headers()` | [`Headers::new`] |
/// | `Headers(a_list)` | [`Headers::over`] of `&mut a_list`, or of the list itself |
/// | `headers[name]`, `headers.get(name)` | [`get`](Headers::get), which may return `None` |
/// | `name in headers`, `len(headers)` | [`contains`](Headers::contains), [`len`](Headers::len) |
/// | `headers[name] = value` | [`set`](Headers::set) |
/// | `del headers[name]` | [`remove`](Headers::remove) |
/// | `str(headers)`, `bytes(headers)` | `to_string`, [`to_bytes`](Headers::to_bytes) |
///
/// [HDR-5]: crate::spec#hdr-5
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<L = List>(L);

impl Headers {
    /// Makes an empty list ([HDR-1]).
    ///
    /// [HDR-1]: crate::spec#hdr-1
    pub fn new() -> Headers {
        Headers::default()
    }
}

impl<L: Borrow<List>> Headers<L> {
    /// Takes over the fields of `list`. If that is a `&mut`, changes are made in your list
    /// ([HDR-1]).
    ///
    /// # Errors
    ///
    /// Returns an [`AppError`] if a name or a value in the list has a CR, LF or NUL.
    ///
    /// [HDR-1]: crate::spec#hdr-1
    pub fn over(list: L) -> Result<Headers<L>, AppError> {
        for (name, value) in list.borrow() {
            check(name, value)?;
        }
        Ok(Headers(list))
    }

    /// Returns the list.
    pub fn into_inner(self) -> L {
        self.0
    }

    /// Returns the number of fields, with repeated ones ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// Returns the value of the first field with this name ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named(name).next()
    }

    /// Returns the values of all fields with this name, in order ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        self.named(name).collect()
    }

    /// Returns whether there is a field with this name ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns all names in order, with repeated ones ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn keys(&self) -> Vec<&str> {
        self.list().iter().map(|(name, _)| &**name).collect()
    }

    /// Returns all values in order ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn values(&self) -> Vec<&str> {
        self.list().iter().map(|(_, value)| &**value).collect()
    }

    /// Returns all names and values in order ([HDR-2]).
    ///
    /// [HDR-2]: crate::spec#hdr-2
    pub fn items(&self) -> Vec<(&str, &str)> {
        let fields = self.list().iter();
        fields.map(|(name, value)| (&**name, &**value)).collect()
    }

    /// Returns the text of [`to_string`](ToString::to_string) in Latin-1, as it is sent ([HDR-5]).
    ///
    /// # Errors
    ///
    /// Returns an [`AppError`] if a name or a value has a character that is not in Latin-1.
    ///
    /// [HDR-5]: crate::spec#hdr-5
    pub fn to_bytes(&self) -> Result<Vec<u8>, AppError> {
        let mut bytes = Vec::new();
        for (name, value) in self.list() {
            let name_bytes =
                latin1_bytes(name).ok_or_else(|| AppError::HeaderName(name.clone()))?;
            let value_bytes =
                latin1_bytes(value).ok_or_else(|| AppError::HeaderValue(name.clone()))?;
            bytes.extend([&*name_bytes, b": ", &value_bytes, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        Ok(bytes)
    }

    fn list(&self) -> &List {
        self.0.borrow()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.list().iter();
        fields
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }
}

impl<L: BorrowMut<List>> Headers<L> {
    /// Removes all fields with this name, and adds one at the end, in this spelling ([HDR-3]).
    ///
    /// # Errors
    ///
    /// Returns [`AppError::HeaderName`] or [`AppError::HeaderValue`] if the name or the value has a
    /// CR, LF or NUL. The list is then unchanged.
    ///
    /// [HDR-3]: crate::spec#hdr-3
    pub fn set(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), AppError> {
        let (name, value) = (name.into(), value.into());
        check(&name, &value)?;
        self.remove(&name);
        self.append(name, value)
    }

    /// Removes all fields with this name, if there are any ([HDR-3]).
    ///
    /// [HDR-3]: crate::spec#hdr-3
    pub fn remove(&mut self, name: &str) {
        let list = self.0.borrow_mut();
        list.retain(|(candidate, _)| !candidate.eq_ignore_ascii_case(name));
    }

    /// Returns the first value with this name. If there is none, adds `value` first ([HDR-3]).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`set`](Headers::set), if the field has to be added.
    ///
    /// [HDR-3]: crate::spec#hdr-3
    pub fn setdefault(&mut self, name: &str, value: &str) -> Result<&str, AppError> {
        if !self.contains(name) {
            self.append(name.to_owned(), value.to_owned())?;
        }
        Ok(self.get(name).unwrap_or_default())
    }

    /// Adds a field with parameters, and keeps other fields with this name ([HDR-4]).
    ///
    /// An underscore in the name of a parameter becomes a hyphen. The value of a parameter is put
    /// in quotation marks; if it is `None` or empty, only the name is added. If `value` is `None`,
    /// the field consists of its parameters.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`set`](Headers::set).
    ///
    /// [HDR-4]: crate::spec#hdr-4
    pub fn add_header(
        &mut self,
        name: impl Into<String>,
        value: Option<&str>,
        params: &[(&str, Option<&str>)],
    ) -> Result<(), AppError> {
        let params = params.iter().map(|(name, value)| param(name, *value));
        let parts: Vec<String> = value.map(str::to_owned).into_iter().chain(params).collect();
        self.append(name.into(), parts.join("; "))
    }

    fn append(&mut self, name: String, value: String) -> Result<(), AppError> {
        check(&name, &value)?;
        self.0.borrow_mut().push((name, value));
        Ok(())
    }
}

/// The fields as they are sent: one line for each, then an empty line ([HDR-5]).
///
/// [HDR-5]: crate::spec#hdr-5
impl<L: Borrow<List>> fmt::Display for Headers<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.list() {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}

/// Rejects a CR, LF or NUL, which would end the line or the text ([HDR-5] *Better*).
///
/// [HDR-5]: crate::spec#hdr-5
fn check(name: &str, value: &str) -> Result<(), AppError> {
    let breaks = |text: &str| text.contains(['\r', '\n', '\0']);
    if breaks(name) {
        Err(AppError::HeaderName(name.to_owned()))
    } else if breaks(value) {
        Err(AppError::HeaderValue(name.to_owned()))
    } else {
        Ok(())
    }
}

/// Returns `name="value"`, or the name alone ([HDR-4]).
///
/// [HDR-4]: crate::spec#hdr-4
fn param(name: &str, value: Option<&str>) -> String {
    let name = name.replace('_', "-");
    match value {
        None | Some("") => name,
        Some(value) => {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        }
    }
}
