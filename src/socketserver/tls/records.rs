//! TLS without sockets and without buffers: rustls, fed with the records that have arrived.

use std::mem;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error, ServerConfig};

use crate::socketserver::buffer::Buffer;

/// The most content that is encrypted at a time: the high-water mark of connections by default, and four
/// full records.
const MOST: usize = 64 * 1024;

/// The bytes of a record before its content (RFC 8446 section 5.1).
const HEADER: usize = 5;

/// More than encryption adds to a full record, in all cipher suites.
const EXPANSION: usize = 64;

/// The most content of a record (RFC 8446 section 5.1).
const FULL: usize = 16 * 1024;

/// The records of one connection, and their keys.
pub(super) struct Records {
    connection: UnbufferedServerConnection,
    /// What has arrived of a record, or of a message in several records, that is not whole yet.
    ///
    /// It is kept here and not in the connection's input, because rustls counts on it to be there in
    /// every call, also when there is only something to send.
    partial: Buffer,
    /// Whether the client has said that it sends no more.
    ended: bool,
}

impl Records {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Records, Error> {
        Ok(Records {
            connection: UnbufferedServerConnection::new(config)?,
            partial: Buffer::new(),
            ended: false,
        })
    }

    /// Returns what the handshake has agreed on so far.
    pub(super) fn state(&self) -> &CommonState {
        &self.connection
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Returns whether the client has said that it sends no more (RFC 8446 section 6.1).
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Takes all of `input`. Appends what it says to `plain`, and what the handshake has to send to
    /// `output`.
    ///
    /// # Errors
    ///
    /// Returns the error that ends the connection: the client has sent what it must not, or has refused
    /// something. `output` then has an alert for it, unless the client has sent one.
    pub(super) fn receive(
        &mut self,
        input: &mut Buffer,
        plain: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<(), Error> {
        // First the record that has arrived in part, and no more than that: the others are decrypted
        // where they are.
        while !self.partial.is_empty() && !input.is_empty() {
            let missing = missing(&self.partial).min(input.len());
            self.partial.extend_from_slice(&input[..missing]);
            input.consume(missing);
            let mut partial = mem::take(&mut self.partial);
            self.process(&mut partial, plain, output)?;
            if !partial.is_empty() {
                self.partial = partial;
            }
        }
        if !input.is_empty() {
            self.process(input, plain, output)?;
            self.partial.extend_from_slice(input);
            input.clear();
        }
        if self.ended {
            self.partial = Buffer::new();
        }
        Ok(())
    }

    /// Processes the whole records in `records`, and drops them.
    fn process(
        &mut self,
        records: &mut Buffer,
        plain: &mut Buffer,
        output: &mut Buffer,
    ) -> Result<(), Error> {
        loop {
            let status = self.connection.process_tls_records(records);
            let UnbufferedStatus { discard, state, .. } = status;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        plain.extend_from_slice(record?.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(message)) => encode(message, output),
                Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                // Nothing more is whole.
                Ok(_) => {
                    records.consume(discard);
                    return Ok(());
                }
                Err(error) => {
                    self.alert(output);
                    return Err(error);
                }
            }
            records.consume(discard);
        }
    }

    /// After an error: appends the alert that tells the client, if there is one.
    fn alert(&mut self, output: &mut Buffer) {
        // Not once more than there are messages: it would look at the records again.
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(message)) => encode(message, output),
                _ => return,
            }
        }
    }

    /// Encrypts what is in `plain`, up to [`MOST`] bytes, and drops it there.
    ///
    /// # Errors
    ///
    /// Returns an error if the keys are used up.
    pub(super) fn send(&mut self, plain: &mut Buffer, output: &mut Buffer) -> Result<(), Error> {
        let mut left = MOST;
        while !plain.is_empty() && left > 0 {
            let piece = plain.first_piece();
            let piece = &piece[..piece.len().min(left)];
            let (length, records) = (piece.len(), piece.len() / FULL + 1);
            let room = length + records * EXPANSION;
            self.write(output, room, |traffic, room| traffic.encrypt(piece, room))?;
            plain.consume(length);
            left -= length;
        }
        Ok(())
    }

    /// Says that nothing more will be sent (RFC 8446 section 6.1).
    pub(super) fn close(&mut self, output: &mut Buffer) {
        // Ignore the error: then the client learns it from the end of the connection.
        let _ = self.write(output, EXPANSION, |traffic, room| {
            traffic.queue_close_notify(room)
        });
    }

    /// Appends what `encrypt` writes to `output`, which has room for so many bytes, or more if that
    /// asks for more.
    fn write(
        &mut self,
        output: &mut Buffer,
        mut room: usize,
        encrypt: impl Fn(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), Error> {
        loop {
            let status = self.connection.process_tls_records(&mut self.partial);
            match status.state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let written = output.write_with(room, |place| encrypt(&mut traffic, place));
                    match written {
                        Ok(()) => return Ok(()),
                        Err(EncryptError::InsufficientSize(size)) if size.required_size > room => {
                            room = size.required_size;
                        }
                        Err(_) => return Err(Error::EncryptError),
                    }
                }
                ConnectionState::EncodeTlsData(message) => encode(message, output),
                ConnectionState::TransmitTlsData(message) => message.done(),
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }
}

/// The state in which something can be encrypted.
type Traffic<'a> = WriteTraffic<'a, ServerConnectionData>;

/// Appends a message of TLS itself.
fn encode(mut message: EncodeTlsData<'_, ServerConnectionData>, output: &mut Buffer) {
    let mut room = 0;
    loop {
        match output.write_with(room, |place| message.encode(place)) {
            Err(EncodeError::InsufficientSize(size)) if size.required_size > room => {
                room = size.required_size;
            }
            _ => return,
        }
    }
}

/// Returns how many bytes are missing before `partial` can be processed.
fn missing(partial: &[u8]) -> usize {
    let Some(length) = partial.get(3..HEADER) else {
        return HEADER - partial.len();
    };
    let length = HEADER + usize::from(u16::from_be_bytes([length[0], length[1]]));
    match length.checked_sub(partial.len()) {
        // The record is whole, so it is the beginning of a message in several records. These are kept
        // together.
        None | Some(0) => usize::MAX,
        Some(missing) => missing,
    }
}
