//! Level out of edges.

use mio::event::Event;

/// The hints of a source: what it may be able to do. A hint stays set until the source itself
/// disproves it.
///
/// The poll reports *edges*: after a report, no other comes until a call on the source has returned
/// `WouldBlock` ([RT-1]). `select` reports *levels*. A hint turns edges into a level. An event sets
/// it, and only `WouldBlock` clears it, or on Unix a transfer that is shorter than its buffer. So a
/// wrong hint costs one system call, and never leads to a wrong action.
///
/// [RT-1]: crate::spec#rt-1
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// A read may return bytes, the end of the stream, or an error.
    pub readable: bool,
    /// A write may send bytes.
    pub writable: bool,
    /// The peer has shut down its writing half. After a short read, the end is still to be read.
    pub read_closed: bool,
    /// Both directions are shut down, or the connection was reset. There is nobody to write to.
    pub hung_up: bool,
    /// The deadline that was armed for this source has passed.
    pub timeout: bool,
}

impl Readiness {
    /// The hints of a source that nobody has tried yet ([RT-2]).
    ///
    /// [RT-2]: crate::spec#rt-2
    pub const FRESH: Readiness = Readiness {
        readable: true,
        writable: true,
        read_closed: false,
        hung_up: false,
        timeout: false,
    };

    /// Adds what `event` reports, and takes nothing away.
    ///
    /// An error counts as readable and writable: the next call on the source returns it.
    pub fn record(&mut self, event: &Event) {
        let error = event.is_error();
        self.readable |= event.is_readable() || event.is_read_closed() || error;
        self.writable |= event.is_writable() || event.is_write_closed() || error;
        self.read_closed |= event.is_read_closed();
        self.hung_up |= event.is_write_closed() || error;
    }
}
