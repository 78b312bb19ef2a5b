//! Binding a Unix-domain socket, and unlinking its path ([UNIX-2]).
//!
//! [UNIX-2]: crate::spec#unix-2

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
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

/// Binds the socket. Returns the path if it is to be unlinked later.
pub(super) fn bind(
    socket: &Socket,
    address: &UnixAddress,
    unlink: Unlink,
) -> io::Result<Option<BoundPath>> {
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
/// number, so the number tells whether the path is still ours.
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
