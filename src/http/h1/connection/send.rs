//! Events in, bytes out.

use super::super::encode::{
    EncodeError, Sink, check_field, chunk, end_of_fields, last_chunk, put_field, request_line,
    status_line,
};
use super::super::fields::tokens;
use super::super::framing::{Framing, framing};
use super::super::grammar::host_and_port;
use super::super::response_framing::{ResponseFraming, response_framing};
use super::super::start_line::Version;
use super::state::{Kind, Role, State};
use super::{Connection, Outgoing};

impl Connection {
    /// Writes the head of a request. End the request with
    /// [`end_of_message`](Connection::end_of_message), also if it has no content.
    ///
    /// `fields` are written as they are, in their order. There must be a Host. If content follows, there
    /// must be a Content-Length, or `Transfer-Encoding: chunked`.
    ///
    /// # Errors
    ///
    /// Returns an error if the server would have to refuse the request, or if the state is not
    /// [`Idle`](State::Idle). Nothing is written then, and the state does not change. This holds for every
    /// method that sends.
    pub fn send_request<'t, I>(
        &mut self,
        sink: &mut impl Sink,
        method: &str,
        target: &str,
        fields: I,
    ) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item = (&'t str, &'t [u8]), IntoIter: Clone>,
    {
        let fields = Checked::new(fields.into_iter())?;
        self.require(Role::Client, Kind::Request)?;
        fields.check_host()?;
        let framing = fields.framing()?;
        request_line(sink, method, target)?;
        fields.put(sink);
        end_of_fields(sink);

        self.outgoing = match framing {
            Framing::Empty => Outgoing::Length(0),
            Framing::Length(length) => Outgoing::Length(length),
            Framing::Chunked => Outgoing::Chunked,
        };
        self.states.process(Role::Client, Kind::Request);
        if fields.has_option("close") {
            self.states.disable_keep_alive();
        }
        let expects = fields.lists("expect", "100-continue") && !framing.is_empty();
        self.begin(method, expects, fields.has("upgrade"));
        Ok(())
    }

    /// Writes an interim response: 100 to 199. The final response follows, unless this is a 101, which
    /// accepts the protocol that the client has proposed (RFC 9110 section 15.2).
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_request`](Connection::send_request), also if the client speaks HTTP/1.0
    /// or has not proposed a protocol that a 101 would accept.
    pub fn send_informational<'t, I>(
        &mut self,
        sink: &mut impl Sink,
        status: u16,
        reason: &str,
        fields: I,
    ) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item = (&'t str, &'t [u8]), IntoIter: Clone>,
    {
        let kind = match status {
            101 => Kind::Switch,
            100..=199 => Kind::Informational,
            _ => return Err(EncodeError::InvalidStatus),
        };
        let fields = Checked::new(fields.into_iter())?;
        self.require(Role::Server, kind)?;
        // A CONNECT proposes a tunnel, which is accepted by a 2xx.
        if self.their_version != Some(Version::Http11) || status == 101 && !self.asked_upgrade {
            return Err(EncodeError::WrongState);
        }
        if fields.has("content-length") || fields.has("transfer-encoding") {
            return Err(EncodeError::InvalidFraming);
        }
        status_line(sink, status, reason)?;
        fields.put(sink);
        end_of_fields(sink);

        self.awaits_continue &= !matches!(status, 100 | 101);
        self.states.process(Role::Server, kind);
        Ok(())
    }

    /// Writes the head of a response. End the response with
    /// [`end_of_message`](Connection::end_of_message), also if it has no content.
    ///
    /// `fields` are written as they are, in their order. These are added:
    ///
    /// * If nothing says where the content ends: `Transfer-Encoding: chunked`. A client of HTTP/1.0 does
    ///   not know it, so there the content ends with the connection.
    /// * `Connection: close`, if the connection cannot go on after this response, and `Connection:
    ///   keep-alive`, if a client of HTTP/1.0 has asked for it and it can (RFC 9112 section 9.3).
    ///
    /// A 2xx to CONNECT ends HTTP on this connection: what follows is the tunnel's.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_request`](Connection::send_request), also if the fields announce
    /// content where there is none.
    pub fn send_response<'t, I>(
        &mut self,
        sink: &mut impl Sink,
        status: u16,
        reason: &str,
        fields: I,
    ) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item = (&'t str, &'t [u8]), IntoIter: Clone>,
    {
        if !(200..=999).contains(&status) {
            return Err(EncodeError::InvalidStatus);
        }
        let fields = Checked::new(fields.into_iter())?;
        let framing = self.response_framing(status, &fields)?;
        let kind = match framing {
            ResponseFraming::Tunnel => Kind::Switch,
            _ => Kind::Response,
        };
        self.require(Role::Server, kind)?;
        let is_http11 = self.their_version == Some(Version::Http11);
        let outgoing = match framing {
            ResponseFraming::Empty | ResponseFraming::Tunnel => Outgoing::Length(0),
            ResponseFraming::Length(length) => Outgoing::Length(length),
            ResponseFraming::Chunked => Outgoing::Chunked,
            ResponseFraming::UntilClose if is_http11 => Outgoing::Chunked,
            ResponseFraming::UntilClose => Outgoing::UntilClose,
        };
        let closes = !self.states.keep_alive()
            || self.their_state() == State::Error
            || matches!(outgoing, Outgoing::UntilClose)
            || fields.has_option("close");
        status_line(sink, status, reason)?;
        fields.put(sink);
        if is_http11 && framing == ResponseFraming::UntilClose {
            sink.put(b"Transfer-Encoding: chunked\r\n");
        }
        if kind == Kind::Response && closes && !fields.has_option("close") {
            sink.put(b"Connection: close\r\n");
        } else if !closes && !is_http11 && !fields.has_option("keep-alive") {
            sink.put(b"Connection: keep-alive\r\n");
        }
        end_of_fields(sink);

        self.outgoing = outgoing;
        self.awaits_continue = false;
        self.states.process(Role::Server, kind);
        if closes {
            self.states.disable_keep_alive();
        }
        Ok(())
    }

    /// Writes a piece of the content, as the head has announced it. Empty data writes nothing.
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::WrongLength`] if it is more than the Content-Length, or than nothing where a
    /// message has no content. Returns [`EncodeError::WrongState`] if no head precedes it.
    pub fn send_data(&mut self, sink: &mut impl Sink, data: &[u8]) -> Result<(), EncodeError> {
        self.require(self.role, Kind::Data)?;
        match &mut self.outgoing {
            Outgoing::Length(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or(EncodeError::WrongLength)?;
                sink.put(data);
            }
            Outgoing::Chunked => chunk(sink, data),
            Outgoing::UntilClose => sink.put(data),
        }
        // The client does not wait any longer.
        self.awaits_continue &= self.role == Role::Server;
        Ok(())
    }

    /// Ends a message. `trailers` are sent only with chunks (RFC 9112 section 7.1.2).
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::WrongLength`] if there was less content than its Content-Length, and
    /// [`EncodeError::InvalidFraming`] if there are trailers without chunks. Also returns the errors of
    /// [`last_chunk`](super::super::last_chunk), and [`EncodeError::WrongState`] if no head precedes it.
    pub fn end_of_message<'t, I>(
        &mut self,
        sink: &mut impl Sink,
        trailers: I,
    ) -> Result<(), EncodeError>
    where
        I: IntoIterator<Item = (&'t str, &'t [u8]), IntoIter: Clone>,
    {
        self.require(self.role, Kind::EndOfMessage)?;
        let trailers = trailers.into_iter();
        match self.outgoing {
            Outgoing::Chunked => last_chunk(sink, trailers)?,
            _ if trailers.clone().next().is_some() => return Err(EncodeError::InvalidFraming),
            Outgoing::Length(1..) => return Err(EncodeError::WrongLength),
            Outgoing::Length(0) | Outgoing::UntilClose => {}
        }
        self.awaits_continue &= self.role == Role::Server;
        self.states.process(self.role, Kind::EndOfMessage);
        Ok(())
    }

    /// Says that we close our side: nothing more is sent. Close the socket, or its writing half, after
    /// this.
    ///
    /// # Errors
    ///
    /// Returns [`EncodeError::WrongState`] in the middle of a message. To break off there, call
    /// [`send_failed`](Connection::send_failed).
    pub fn close(&mut self) -> Result<(), EncodeError> {
        self.require(self.role, Kind::Closed)?;
        self.states.process(self.role, Kind::Closed);
        Ok(())
    }

    /// Returns an error unless we are `role`, and may send this now.
    fn require(&self, role: Role, kind: Kind) -> Result<(), EncodeError> {
        match self.role == role && self.states.allows(role, kind) {
            true => Ok(()),
            false => Err(EncodeError::WrongState),
        }
    }

    /// Decides how a response with these fields would be read.
    fn response_framing<'t, I>(
        &self,
        status: u16,
        fields: &Checked<I>,
    ) -> Result<ResponseFraming, EncodeError>
    where
        I: Iterator<Item = (&'t str, &'t [u8])> + Clone,
    {
        let (lengths, codings) = (
            fields.values("content-length"),
            fields.values("transfer-encoding"),
        );
        // Nobody knows what a client has asked whose request was refused. It gets no chunks.
        let version = self.their_version.unwrap_or(Version::Http10);
        let method = self.asked.method();
        let framing = response_framing(method, status, version, lengths, codings)
            .map_err(|_| EncodeError::InvalidFraming)?;
        let is_announced = fields.has("content-length") || fields.has("transfer-encoding");
        // RFC 9110 sections 8.6 and 9.3.6: not even the length 0, which we accept from others.
        match status == 204 || framing == ResponseFraming::Tunnel {
            true if is_announced => Err(EncodeError::InvalidFraming),
            _ => Ok(framing),
        }
    }
}

/// Fields that can be written: names and values are allowed, and an option of Connection that another
/// field needs is there.
struct Checked<I>(I);

impl<'t, I: Iterator<Item = (&'t str, &'t [u8])> + Clone> Checked<I> {
    fn new(fields: I) -> Result<Checked<I>, EncodeError> {
        for (name, value) in fields.clone() {
            check_field(name, value)?;
        }
        let fields = Checked(fields);
        // RFC 9110 sections 7.8 and 10.1.4: a field for the next hop only is named in Connection.
        for name in ["upgrade", "te"] {
            if fields.has(name) && !fields.has_option(name) {
                return Err(EncodeError::MissingOption);
            }
        }
        Ok(fields)
    }

    /// Returns the values of all fields called `name`.
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'t [u8]> + use<'t, I> {
        self.0
            .clone()
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn has(&self, name: &'static str) -> bool {
        self.values(name).next().is_some()
    }

    /// Returns whether the lists called `name` have this member.
    fn lists(&self, name: &'static str, member: &str) -> bool {
        let is_member = |text: &[u8]| text.eq_ignore_ascii_case(member.as_bytes());
        self.values(name).any(|value| tokens(value).any(is_member))
    }

    fn has_option(&self, option: &str) -> bool {
        self.lists("connection", option)
    }

    /// Checks that there is one Host, as HTTP/1.1 demands it (RFC 9112 section 3.2).
    fn check_host(&self) -> Result<(), EncodeError> {
        let mut hosts = self.values("host");
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if host_and_port(host.trim_ascii()).is_some() => Ok(()),
            _ => Err(EncodeError::InvalidHost),
        }
    }

    /// Decides how a request with these fields would be read.
    fn framing(&self) -> Result<Framing, EncodeError> {
        let (lengths, codings) = (
            self.values("content-length"),
            self.values("transfer-encoding"),
        );
        framing(Version::Http11, lengths, codings).map_err(|_| EncodeError::InvalidFraming)
    }

    fn put(&self, sink: &mut impl Sink) {
        for (name, value) in self.0.clone() {
            put_field(sink, name, value);
        }
    }
}
