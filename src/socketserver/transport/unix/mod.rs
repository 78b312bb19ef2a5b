//! Unix-domain sockets: Python's `UnixStreamServer` and `UnixDatagramServer`.
//!
//! They differ from TCP and UDP in their addresses only (UNIX-1). The transports are called
//! [`UnixStreams`] and [`UnixDatagrams`], in the plural: each is where many of them come from, and
//! `UnixStream` and `UnixDatagram` are what the standard library and mio call one of them.
//!
//! A path that exists cannot be bound, whatever it is and whatever options are set (UNIX-2), and
//! it stays when the server is closed. So a server that shall start again by itself either has its
//! path unlinked on close, or, because it may have been killed, a stale one unlinked before bind.
//! Who may connect is decided by the permissions of the path's folder, and of the path itself,
//! which are those of a new file.

mod datagrams;
mod streams;

pub use datagrams::UnixDatagrams;
pub use streams::UnixStreams;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The address of a Unix-domain socket.
///
/// It converts from text and paths; as in Python, one that begins with NUL is an abstract name.
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
pub enum UnixAddress {
    /// No address: that of a client that did not bind its socket, which is nearly every one
    /// (UNIX-3).
    Unnamed,
    /// A name in the file system.
    Path(PathBuf),
    /// A name in Linux's abstract namespace, which ends with its socket.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    fn from_std(address: &SocketAddr) -> UnixAddress {
        if let Some(path) = address.as_pathname() {
            return UnixAddress::Path(path.to_owned());
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_name() {
            return UnixAddress::Abstract(name.to_owned());
        }
        UnixAddress::Unnamed
    }

    /// The address for a system call, if there can be such a one.
    fn to_std(&self) -> io::Result<SocketAddr> {
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

    fn to_socket2(&self) -> io::Result<SockAddr> {
        self.to_std()?; // which looks more closely
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

/// For people: what is not text is replaced, and control characters are escaped, for it may be a
/// client that has chosen the name.
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

/// What is done about the path; nothing by default (UNIX-2).
#[derive(Debug, Clone, Copy, Default)]
struct Unlink {
    stale: bool,
    on_close: bool,
}

/// A socket that is never waited for.
fn socket(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds; what is to be unlinked on close is the answer's to unlink.
fn bind(socket: &Socket, address: &UnixAddress, unlink: Unlink) -> io::Result<Option<BoundPath>> {
    let name = address.to_socket2()?;
    let UnixAddress::Path(path) = address else {
        socket.bind(&name)?;
        return Ok(None);
    };
    match socket.bind(&name) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && unlink.stale => {
            if !is_stale(path, &name, socket.r#type()?) {
                return Err(error);
            }
            fs::remove_file(path)?;
            socket.bind(&name)?;
        }
        bound => bound?,
    }
    Ok(unlink.on_close.then(|| BoundPath::new(path)).flatten())
}

/// Whether the path is that of a socket that nobody answers on.
fn is_stale(path: &Path, name: &SockAddr, kind: Type) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|path| path.file_type().is_socket());
    let refused = || match socket(kind).and_then(|probe| probe.connect(name)) {
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
        Ok(()) => false,
    };
    is_socket && refused()
}

/// A path of ours, unlinked when this is dropped: while the socket is open, for that is what
/// keeps its inode from being another's.
#[derive(Debug)]
struct BoundPath {
    path: PathBuf,
    inode: (u64, u64),
}

impl BoundPath {
    fn new(path: &Path) -> Option<BoundPath> {
        // The program may change its working directory.
        let path = std::path::absolute(path).ok()?;
        let inode = inode(&path)?;
        Some(BoundPath { path, inode })
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // Another server may have taken the place.
        if inode(&self.path) == Some(self.inode) {
            // Failing that it is stale, which the next server can be told to expect.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}
