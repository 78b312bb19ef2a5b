//! Binding a Unix-domain socket, the permissions of its path, and unlinking it ([UNIX-2],
//! [UNIX-5]).
//!
//! [UNIX-2]: crate::spec#unix-2
//! [UNIX-5]: crate::spec#unix-5

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::UnixAddress;
use crate::socketserver::transport::life::nonblocking;

/// When the path is unlinked. By default it never is ([UNIX-2]).
///
/// [UNIX-2]: crate::spec#unix-2
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unlink {
    /// Before bind, if no server listens to it.
    pub(super) stale: bool,
    /// When the server is closed or dropped.
    pub(super) on_close: bool,
}

/// What belongs to a bound socket until it is closed. The default is nothing.
///
/// It comes before the socket in its owner, because it has to be dropped first.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// The path, if it is to be unlinked on close.
    path: Option<BoundPath>,
    /// Keeps others from taking the path, until somebody can connect to it.
    lock: Option<Lock>,
}

impl Bound {
    /// Binds the socket. The path gets the permissions `mode`; `None`: those of a new file.
    pub(super) fn bind(
        socket: &Socket,
        address: &UnixAddress,
        unlink: Unlink,
        mode: Option<u32>,
    ) -> io::Result<Bound> {
        let name = address.to_socket2()?;
        let mut bound = Bound::default();
        match (address, mode) {
            (_, None) => {}
            (UnixAddress::Path(_), Some(mode)) => restrict_before_bind(socket, mode)?,
            // The caller wants to keep others out, and nothing would.
            (_, Some(_)) => return Err(no_permissions()),
        }
        match address {
            UnixAddress::Path(path) if unlink.stale => {
                // Before the first attempt to bind: until this server listens, its path looks stale.
                bound.lock = Lock::take(path)?;
                bind_over_stale(socket, path, &name)?;
            }
            _ => socket.bind(&name)?,
        }
        if let (UnixAddress::Path(path), true) = (address, unlink.on_close) {
            bound.path = BoundPath::new(path);
        }
        // What if this fails? Then `bound` is dropped, and the path goes if it was to go on close.
        if let (UnixAddress::Path(path), Some(mode)) = (address, mode) {
            set_mode(path, mode)?;
        }
        Ok(bound)
    }

    /// The socket can be connected to, so everybody can see that its path is not stale.
    pub(super) fn is_active(&mut self) {
        self.lock = None;
    }
}

/// Keeps other servers that unlink stale paths from taking a path at the same time.
///
/// To look whether a path is stale and to unlink it are two steps. Between them another server could
/// bind the path, and would lose it. So whoever does this first binds a socket of datagrams beside
/// it, with `.lock` after its name. Only one can bind that. Everybody can see whether its owner
/// still lives, and never before it is ready, because a socket of datagrams does not listen.
#[derive(Debug)]
struct Lock {
    /// Unlinks the name of the lock. It comes before the socket, because it has to be dropped first.
    _path: Option<BoundPath>,
    /// The owner lives as long as this is open.
    _socket: Socket,
}

impl Lock {
    /// Takes the lock of a path. `None` if the path is so long that the name of its lock is no
    /// address: then nothing is locked.
    ///
    /// # Errors
    ///
    /// Returns `AddrInUse` if another server has the lock: it is just about to listen there.
    fn take(path: &Path) -> io::Result<Option<Lock>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let Ok(name) = UnixAddress::Path(path.clone()).to_socket2() else {
            return Ok(None);
        };
        let socket = nonblocking(Domain::UNIX, Type::DGRAM)?;
        match socket.bind(&name) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if !is_stale(&path, &name, Type::DGRAM) {
                    return Err(error);
                }
                // Its owner was killed. Only one may unlink it, so the lock has a lock.
                let _lock = Lock::take(&path)?;
                bind_over_stale(&socket, &path, &name)?;
            }
            bound => bound?,
        }
        Ok(Some(Lock {
            _path: BoundPath::new(&path),
            _socket: socket,
        }))
    }
}

/// Lets the path that the socket is bound to later have no more permissions than `mode`, from its
/// first moment on.
///
/// Linux gives a new path the permissions of the socket itself, less those of the process's `umask`.
/// Other systems do not let a socket have permissions, so this changes nothing there. The `umask`
/// would do the same everywhere, but all threads of the process share it.
fn restrict_before_bind(socket: &Socket, mode: u32) -> io::Result<()> {
    let socket = File::from(OwnedFd::from(socket.try_clone()?));
    match socket.set_permissions(Permissions::from_mode(mode)) {
        Err(error) if cfg!(any(target_os = "linux", target_os = "android")) => Err(error),
        _ => Ok(()),
    }
}

/// Gives the path exactly the permissions `mode`: the `umask` may have taken some away.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    match found.permissions().mode() & 0o7777 == mode {
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(mode)),
    }
}

fn no_permissions() -> io::Error {
    io::Error::new(
        ErrorKind::Unsupported,
        "only a path has permissions, and not an abstract name",
    )
}

/// Binds the socket, and first unlinks the path if it is stale. The caller has the lock of the path.
fn bind_over_stale(socket: &Socket, path: &Path, name: &SockAddr) -> io::Result<()> {
    match socket.bind(name) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if !is_stale(path, name, socket.r#type()?) {
                return Err(error);
            }
            match fs::remove_file(path) {
                // What if the other server has just closed, and unlinked its path itself?
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                _ => socket.bind(name),
            }
        }
        bound => bound,
    }
}

/// Returns whether the path is a socket to which no server listens any more.
fn is_stale(path: &Path, name: &SockAddr, kind: Type) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|path| path.file_type().is_socket());
    let refused = || match nonblocking(Domain::UNIX, kind).and_then(|probe| probe.connect(name)) {
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
        Ok(()) => false,
    };
    is_socket && refused()
}

/// A path that this server has bound. Dropping this unlinks it.
///
/// It is dropped while the socket is still open. Until then no other file can get the same inode
/// number, so the number tells whether the path is still ours. Until then the path is not stale
/// either, so no server takes it between the look and the unlinking.
#[derive(Debug)]
pub(super) struct BoundPath {
    /// The absolute path.
    path: PathBuf,
    /// Device and inode number of the socket there.
    inode: (u64, u64),
}

impl BoundPath {
    fn new(path: &Path) -> Option<BoundPath> {
        // The program may change its working directory later.
        let path = std::path::absolute(path).ok()?;
        let inode = inode(&path)?;
        Some(BoundPath { path, inode })
    }
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // Another server may have taken the path.
        if inode(&self.path) == Some(self.inode) {
            // Ignore the error: the path is stale then, and the next server can unlink it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}
