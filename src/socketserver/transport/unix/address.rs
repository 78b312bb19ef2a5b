//! The address of a Unix-domain socket.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, ErrorKind};
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

/// The address of a Unix-domain socket.
///
/// Text and paths convert into it. As in Python, text that begins with NUL is an abstract name.
///
/// ```
/// use std::path::PathBuf;
/// use serve_forever::socketserver::UnixAddress;
///
/// let path = UnixAddress::from("a.sock");
/// assert_eq!(path, UnixAddress::Path(PathBuf::from("a.sock")));
/// assert_eq!(path.to_string(), "a.sock");
/// let name = UnixAddress::from("\0name");
/// assert_eq!(name, UnixAddress::Abstract(b"name".to_vec()));
/// assert_eq!(name.to_string(), "@name");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixAddress {
    /// No address. Nearly every client has this one, because few clients bind their socket
    /// ([UNIX-3]).
    ///
    /// [UNIX-3]: crate::spec#unix-3
    Unnamed,
    /// A path in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, without the leading NUL. The name is free again when
    /// its socket is closed.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    pub(super) fn from_std(address: &SocketAddr) -> UnixAddress {
        if let Some(path) = address.as_pathname() {
            return UnixAddress::Path(path.to_owned());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_name() {
            return UnixAddress::Abstract(name.to_owned());
        }
        UnixAddress::Unnamed
    }

    /// Returns the address for a system call, or an error if the address is empty or too long.
    pub(super) fn to_std(&self) -> io::Result<SocketAddr> {
        match self {
            UnixAddress::Path(path) => SocketAddr::from_pathname(path),
            #[cfg(any(target_os = "linux", target_os = "android"))]
            UnixAddress::Abstract(name) => SocketAddr::from_abstract_name(name),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            UnixAddress::Abstract(_) => Err(io::Error::new(
                ErrorKind::Unsupported,
                "only Linux has abstract names",
            )),
            UnixAddress::Unnamed => Err(io::Error::new(
                ErrorKind::AddrNotAvailable,
                "the address is empty",
            )),
        }
    }

    pub(super) fn to_socket2(&self) -> io::Result<SockAddr> {
        self.to_std()?; // It checks more than socket2 does.
        match self {
            UnixAddress::Abstract(name) => {
                let name = [&[0], name.as_slice()].concat();
                SockAddr::unix(Path::new(&OsString::from_vec(name)))
            }
            UnixAddress::Path(path) => SockAddr::unix(path),
            UnixAddress::Unnamed => SockAddr::unix(""),
        }
    }
}

impl From<PathBuf> for UnixAddress {
    fn from(path: PathBuf) -> UnixAddress {
        match path.as_os_str().as_bytes() {
            [] => UnixAddress::Unnamed,
            [0, name @ ..] => UnixAddress::Abstract(name.to_owned()),
            _ => UnixAddress::Path(path),
        }
    }
}

impl From<String> for UnixAddress {
    fn from(path: String) -> UnixAddress {
        PathBuf::from(path).into()
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for UnixAddress {
    fn from(path: &P) -> UnixAddress {
        path.as_ref().to_owned().into()
    }
}

/// For people to read. Bytes that are not text are replaced, and control characters are escaped,
/// because a client may have chosen the name.
impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, name) = match self {
            UnixAddress::Unnamed => ("", "(unnamed)".into()),
            UnixAddress::Path(path) => ("", path.to_string_lossy()),
            UnixAddress::Abstract(name) => ("@", String::from_utf8_lossy(name)),
        };
        f.write_str(mark)?;
        name.chars().try_for_each(|character| match character {
            character if character.is_control() => write!(f, "{}", character.escape_default()),
            character => write!(f, "{character}"),
        })
    }
}
