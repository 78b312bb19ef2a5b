//! What may come next: the states of client and server, and what each event does to them.
//!
//! This is h11's table. The first half says what an event does to the side that sends it. An empty field
//! is an event that this side must not send now.
//!
//! | the client is | `Request` | `Data` | `EndOfMessage` | `Closed` |
//! | --- | --- | --- | --- | --- |
//! | `Idle` | `SendBody` | | | `Closed` |
//! | `SendBody` | | `SendBody` | `Done` | |
//! | `Done`, `MustClose`, `Closed` | | | | `Closed` |
//! | `MightSwitchProtocol`, `SwitchedProtocol`, `Error` | | | | |
//!
//! | the server is | the client's `Request` | `Informational` | `Response` | `Switch` | `Data` | `EndOfMessage` | `Closed` |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `Idle` | `SendResponse` | | `SendBody` | | | | `Closed` |
//! | `SendResponse` | | `SendResponse` | `SendBody` | `SwitchedProtocol` | | | |
//! | `SendBody` | | | | | `SendBody` | `Done` | |
//! | `Done`, `MustClose`, `Closed` | | | | | | | `Closed` |
//! | `SwitchedProtocol`, `Error` | | | | | | | |
//!
//! The second half says what follows from the two states together, until nothing changes any more:
//!
//! | if | then |
//! | --- | --- |
//! | the client is `Done` and has proposed another protocol | the client is `MightSwitchProtocol` |
//! | the server has switched | the client is `SwitchedProtocol` |
//! | the server responds without a switch | the client is `Done` again |
//! | a side is `Done` and the connection does not persist | that side is `MustClose` |
//! | one side is `Closed`, the other `Done` or `Idle` | the other is `MustClose` |
//! | one side is in `Error`, the other `Done` | the other is `MustClose` |
//!
//! So a server that is `Idle` when its client breaks the protocol can still respond with the status of the
//! error. A server that owes a response can send it, although its client has closed.

/// One of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
// Exhaustive: there are two ends.
pub enum Role {
    /// The end that sends requests.
    Client,
    /// The end that sends responses.
    Server,
}

impl Role {
    /// Returns the other end.
    #[must_use]
    pub fn peer(self) -> Role {
        match self {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        }
    }
}

/// What one end of a connection may send next; h11 has the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// The client may send a request. The server waits for one.
    Idle,
    /// The server owes a response. Interim responses may precede it.
    SendResponse,
    /// The head is sent, and content may follow, until the end of the message.
    SendBody,
    /// The message is complete. When both ends are done, the next exchange may begin.
    Done,
    /// The message is complete, and this end must close.
    MustClose,
    /// This end has closed.
    Closed,
    /// The client has proposed another protocol, and waits for the server's decision.
    MightSwitchProtocol,
    /// The connection speaks another protocol.
    SwitchedProtocol,
    /// This end has broken the protocol, or could not send what it began.
    Error,
}

/// An event, as far as it changes a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The head of a request.
    Request,
    /// The head of an interim response, except 101.
    Informational,
    /// The head of a final response.
    Response,
    /// A 101, or a 2xx to CONNECT: the server accepts what the client has proposed.
    Switch,
    /// Content.
    Data,
    /// The end of the content.
    EndOfMessage,
    /// The end of the stream.
    Closed,
}

/// The states of both ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct States {
    client: State,
    server: State,
    /// Whether the connection may be used again.
    keep_alive: bool,
    /// The client has proposed another protocol.
    proposed: bool,
}

impl States {
    /// Returns the states at the beginning of a connection.
    pub(super) const fn new() -> States {
        States {
            client: State::Idle,
            server: State::Idle,
            keep_alive: true,
            proposed: false,
        }
    }

    pub(super) fn of(&self, role: Role) -> State {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    pub(super) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Returns whether `role` may send an event now.
    pub(super) fn allows(&self, role: Role, kind: Kind) -> bool {
        next(role, self.of(role), kind).is_some() && (kind != Kind::Switch || self.proposed)
    }

    /// Follows an event that `role` has sent, and returns whether it was allowed. If not, nothing changes.
    pub(super) fn process(&mut self, role: Role, kind: Kind) -> bool {
        if !self.allows(role, kind) {
            return false;
        }
        let entered = next(role, self.of(role), kind);
        self.enter(role, entered);
        if kind == Kind::Request {
            // The server sees the client's request, and owes a response from now on.
            self.enter(Role::Server, next(Role::Server, self.server, kind));
        }
        if kind == Kind::Response {
            self.proposed = false;
        }
        self.settle();
        true
    }

    /// The client has proposed another protocol.
    pub(super) fn propose(&mut self) {
        self.proposed = true;
        self.settle();
    }

    /// The connection must not be used again.
    pub(super) fn disable_keep_alive(&mut self) {
        self.keep_alive = false;
        self.settle();
    }

    /// `role` has broken the protocol.
    pub(super) fn fail(&mut self, role: Role) {
        self.enter(role, Some(State::Error));
        self.settle();
    }

    /// Both ends begin again. Returns whether they can.
    pub(super) fn start_next_cycle(&mut self) -> bool {
        let done = (self.client, self.server) == (State::Done, State::Done);
        if done {
            (self.client, self.server) = (State::Idle, State::Idle);
        }
        done
    }

    fn enter(&mut self, role: Role, state: Option<State>) {
        match role {
            Role::Client => self.client = state.unwrap_or(self.client),
            Role::Server => self.server = state.unwrap_or(self.server),
        }
    }

    /// Applies the second half of the table until nothing changes.
    fn settle(&mut self) {
        loop {
            let before = (self.client, self.server);
            self.client = match self.client {
                State::Done if self.proposed => State::MightSwitchProtocol,
                State::MightSwitchProtocol if !self.proposed => State::Done,
                State::MightSwitchProtocol if self.server == State::SwitchedProtocol => {
                    State::SwitchedProtocol
                }
                state => state,
            };
            if !self.keep_alive {
                self.client = must_close(self.client);
                self.server = must_close(self.server);
            }
            (self.client, self.server) = match (self.client, self.server) {
                (State::Closed, State::Done | State::Idle) | (State::Error, State::Done) => {
                    (self.client, State::MustClose)
                }
                (State::Done | State::Idle, State::Closed) | (State::Done, State::Error) => {
                    (State::MustClose, self.server)
                }
                both => both,
            };
            if before == (self.client, self.server) {
                return;
            }
        }
    }
}

fn must_close(state: State) -> State {
    match state {
        State::Done => State::MustClose,
        state => state,
    }
}

/// The first half of the table.
fn next(role: Role, state: State, kind: Kind) -> Option<State> {
    Some(match (role, state, kind) {
        (Role::Client, State::Idle, Kind::Request) => State::SendBody,
        (Role::Server, State::Idle, Kind::Request) => State::SendResponse,
        (Role::Server, State::SendResponse, Kind::Informational) => State::SendResponse,
        (Role::Server, State::SendResponse, Kind::Switch) => State::SwitchedProtocol,
        (Role::Server, State::Idle | State::SendResponse, Kind::Response) => State::SendBody,
        (_, State::SendBody, Kind::Data) => State::SendBody,
        (_, State::SendBody, Kind::EndOfMessage) => State::Done,
        (_, State::Idle | State::Done | State::MustClose | State::Closed, Kind::Closed) => {
            State::Closed
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Closed, Data, EndOfMessage, Informational, Request, Response, Switch};
    use Role::{Client, Server};

    const STATES: [State; 9] = [
        State::Idle,
        State::SendResponse,
        State::SendBody,
        State::Done,
        State::MustClose,
        State::Closed,
        State::MightSwitchProtocol,
        State::SwitchedProtocol,
        State::Error,
    ];
    const KINDS: [Kind; 7] = [
        Request,
        Informational,
        Response,
        Switch,
        Data,
        EndOfMessage,
        Closed,
    ];

    /// h11's `EVENT_TRIGGERED_TRANSITIONS`, line by line.
    const H11: &[(Role, State, Kind, State)] = &[
        (Client, State::Idle, Request, State::SendBody),
        (Client, State::Idle, Closed, State::Closed),
        (Client, State::SendBody, Data, State::SendBody),
        (Client, State::SendBody, EndOfMessage, State::Done),
        (Client, State::Done, Closed, State::Closed),
        (Client, State::MustClose, Closed, State::Closed),
        (Client, State::Closed, Closed, State::Closed),
        (Server, State::Idle, Closed, State::Closed),
        (Server, State::Idle, Response, State::SendBody),
        (Server, State::Idle, Request, State::SendResponse),
        (
            Server,
            State::SendResponse,
            Informational,
            State::SendResponse,
        ),
        (Server, State::SendResponse, Response, State::SendBody),
        (Server, State::SendResponse, Switch, State::SwitchedProtocol),
        (Server, State::SendBody, Data, State::SendBody),
        (Server, State::SendBody, EndOfMessage, State::Done),
        (Server, State::Done, Closed, State::Closed),
        (Server, State::MustClose, Closed, State::Closed),
        (Server, State::Closed, Closed, State::Closed),
    ];

    #[test]
    fn events_do_what_they_do_in_h11() {
        for role in [Client, Server] {
            for state in STATES {
                for kind in KINDS {
                    let line = H11
                        .iter()
                        .find(|line| (line.0, line.1, line.2) == (role, state, kind));
                    let expected = line.map(|line| line.3);
                    assert_eq!(
                        next(role, state, kind),
                        expected,
                        "{role:?} {state:?} {kind:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_allowed_changes_nothing() {
        let mut states = States::new();
        assert!(!states.process(Client, Data));
        assert_eq!((states.client, states.server), (State::Idle, State::Idle));
        assert!(states.process(Client, Request));
        // The client has not proposed another protocol.
        assert!(!states.process(Server, Switch));
        assert_eq!(states.server, State::SendResponse);
    }

    /// h11's `STATE_TRIGGERED_TRANSITIONS` and its special cases, for all states there can be.
    #[test]
    fn states_follow_from_each_other_as_in_h11() {
        for client in STATES {
            for server in STATES {
                for (keep_alive, proposed) in
                    [(true, true), (true, false), (false, true), (false, false)]
                {
                    let mut states = States {
                        client,
                        server,
                        keep_alive,
                        proposed,
                    };
                    states.settle();
                    let expected = as_in_h11(client, server, keep_alive, proposed);
                    let found = (states.client, states.server);
                    assert_eq!(
                        found, expected,
                        "{client:?} {server:?} {keep_alive} {proposed}"
                    );
                }
            }
        }
    }

    /// `_fire_state_triggered_transitions`, line by line.
    fn as_in_h11(
        mut client: State,
        mut server: State,
        keep_alive: bool,
        proposed: bool,
    ) -> (State, State) {
        loop {
            let start = (client, server);
            if proposed && client == State::Done {
                client = State::MightSwitchProtocol;
            }
            if !proposed && client == State::MightSwitchProtocol {
                client = State::Done;
            }
            if !keep_alive && client == State::Done {
                client = State::MustClose;
            }
            if !keep_alive && server == State::Done {
                server = State::MustClose;
            }
            match (client, server) {
                (State::MightSwitchProtocol, State::SwitchedProtocol) => {
                    client = State::SwitchedProtocol;
                }
                (State::Closed, State::Done)
                | (State::Closed, State::Idle)
                | (State::Error, State::Done) => server = State::MustClose,
                (State::Done, State::Closed)
                | (State::Idle, State::Closed)
                | (State::Done, State::Error) => client = State::MustClose,
                _ => {}
            }
            if start == (client, server) {
                return start;
            }
        }
    }
}
