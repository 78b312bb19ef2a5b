//! A collection of header fields. Python's `wsgiref.headers`.

use std::borrow::{Borrow, BorrowMut};
use std::fmt;

use super::start_response::{AppError, latin1_bytes};

/// The list that [`Headers`] keeps its fields in, unless told otherwise: names and values in order.
type List = Vec<(String, String)>;

/// Header fields in order, looked up by name whatever the case; Python's `Headers`.
///
/// It has its own list, or works [over](Headers::over) one that the caller has. What goes in holds
/// no CR, LF or NUL: no value can end its line and begin another (HDR-5 *Better*).
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
/// [`items`](Headers::items) is what [`StartResponse::call`](super::StartResponse::call) takes.
///
/// | Python | here |
/// | --- | --- |
/// | `Headers()` | [`Headers::new`] |
/// | `Headers(a_list)` | [`Headers::over`] of `&mut a_list`, or of the list itself |
/// | `headers[name]`, `headers.get(name)` | [`get`](Headers::get), `None` if there is none |
/// | `name in headers`, `len(headers)` | [`contains`](Headers::contains), [`len`](Headers::len) |
/// | `headers[name] = value` | [`set`](Headers::set) |
/// | `del headers[name]` | [`remove`](Headers::remove) |
/// | `str(headers)`, `bytes(headers)` | `to_string`, [`to_bytes`](Headers::to_bytes) |
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<L = List>(L);

impl Headers {
    /// No fields (HDR-1).
    pub fn new() -> Headers {
        Headers::default()
    }
}

impl<L: Borrow<List>> Headers<L> {
    /// The fields of `list`, which may be a `&mut` of the caller's own: changes show in it (HDR-1).
    ///
    /// # Errors
    ///
    /// As [`set`](Headers::set), for the fields that are there.
    pub fn over(list: L) -> Result<Headers<L>, AppError> {
        for (name, value) in list.borrow() {
            check(name, value)?;
        }
        Ok(Headers(list))
    }

    /// The list, with what has become of it.
    pub fn into_inner(self) -> L {
        self.0
    }

    /// How many fields there are, repeated ones too (HDR-2).
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list().is_empty()
    }

    /// The value of the first field of that name, whatever its case (HDR-2).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.named(name).next()
    }

    /// The values of all fields of that name, in order (HDR-2).
    pub fn get_all(&self, name: &str) -> Vec<&str> {
        self.named(name).collect()
    }

    /// Whether there is a field of that name, whatever its case (HDR-2).
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names in order, repeated ones too (HDR-2).
    pub fn keys(&self) -> Vec<&str> {
        self.list().iter().map(|(name, _)| &**name).collect()
    }

    /// The values in order (HDR-2).
    pub fn values(&self) -> Vec<&str> {
        self.list().iter().map(|(_, value)| &**value).collect()
    }

    /// Names and values in order (HDR-2).
    pub fn items(&self) -> Vec<(&str, &str)> {
        let fields = self.list().iter();
        fields.map(|(name, value)| (&**name, &**value)).collect()
    }

    /// What [`to_string`](ToString::to_string) shows, as the bytes that are sent (HDR-5).
    ///
    /// # Errors
    ///
    /// If a name or value has a character that Latin-1 has not.
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
    /// Replaces all fields of that name by one, at the end and in this spelling (HDR-3).
    ///
    /// # Errors
    ///
    /// [`AppError::HeaderName`] or [`AppError::HeaderValue`] for what holds CR, LF or NUL; nothing
    /// was changed.
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

    /// Removes all fields of that name; that there are none is fine (HDR-3).
    pub fn remove(&mut self, name: &str) {
        let list = self.0.borrow_mut();
        list.retain(|(candidate, _)| !candidate.eq_ignore_ascii_case(name));
    }

    /// The first value of that name, which is `value` if there was none (HDR-3).
    ///
    /// # Errors
    ///
    /// As [`set`](Headers::set).
    pub fn setdefault(&mut self, name: &str, value: &str) -> Result<&str, AppError> {
        if !self.contains(name) {
            self.append(name.to_owned(), value.to_owned())?;
        }
        Ok(self.get(name).unwrap_or_default())
    }

    /// Adds a field with parameters, beside others of that name (HDR-4).
    ///
    /// An underscore in a parameter's name becomes a hyphen. A value is put in quotation marks; of
    /// one that is `None` or empty only the name is added. Without a value of its own the field
    /// consists of its parameters.
    ///
    /// # Errors
    ///
    /// As [`set`](Headers::set).
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

/// The fields as they are sent: a line each, then an empty one (HDR-5).
impl<L: Borrow<List>> fmt::Display for Headers<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.list() {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}

/// Refuses what would end the line or the text (HDR-5 *Better*).
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

/// `name="value"`, or the name alone (HDR-4).
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
