//! Reads an input with all parsers, in all cuts, and looks for a difference that no row explains.

use std::collections::BTreeMap;
use std::fmt;

use crate::compare::{What, compare, completions};
use crate::cuts::cuts;
use crate::peers::Peer;
use crate::row::Seen;
use crate::table::{ROWS, explain};
use crate::verdict::{Role, Verdict};
use crate::{ours, peers};

/// How often each row explained a difference of each parser.
#[derive(Default)]
pub struct Tally {
    pub inputs: u64,
    /// How many streams were read, each by all parsers: an input in a cut, or completed.
    pub streams: u64,
    pub rows: BTreeMap<(usize, Peer), u64>,
    /// The shortest stream of each of them.
    pub shortest: BTreeMap<(usize, Peer), (Role, Vec<u8>)>,
}

impl Tally {
    /// Whether the row of this name explained something.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.rows.keys().any(|(row, _)| ROWS[*row].name == name)
    }

    fn note(&mut self, row: usize, peer: Peer, role: Role, input: &[u8]) {
        *self.rows.entry((row, peer)).or_default() += 1;
        let shortest = self.shortest.entry((row, peer));
        let (known, text) = shortest.or_insert_with(|| (role, input.into()));
        if input.len() < text.len() {
            (*known, *text) = (role, input.into());
        }
    }
}

/// A difference that no row explains.
#[derive(Debug)]
pub struct Unexplained {
    role: Role,
    input: Vec<u8>,
    cuts: Vec<usize>,
    /// `None`: ours depends on the cut.
    peer: Option<Peer>,
    pub what: String,
    ours: Verdict,
    theirs: Verdict,
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = self.input.escape_ascii();
        writeln!(f, "{}", self.what)?;
        writeln!(f, "  input, as {:?}: \"{input}\"", self.role)?;
        writeln!(f, "  in pieces that end at {:?}", self.cuts)?;
        writeln!(f, "  ours:\n{}", self.ours)?;
        let name = self.peer.map_or("ours, in one piece", peers::Peer::name);
        write!(f, "  {name}:\n{}", self.theirs)
    }
}

/// Judges an input, whole and in pieces, and what could make it whole.
pub fn judge(role: Role, input: &[u8], tally: &mut Tally) -> Result<(), Box<Unexplained>> {
    tally.inputs += 1;
    let whole = ours::read(role, input, &[input.len()]);
    // What each parser made of the input in the first cut. Most often it is the same in all cuts.
    let mut first: Vec<Verdict> = Vec::new();
    let mut waits = Vec::new();
    for way in cuts(input) {
        tally.streams += 1;
        let stream = Stream::new(role, input, way);
        if stream.ours != whole {
            return Err(stream.unexplained(None, "ours depends on the cut".into(), &whole));
        }
        for (place, &peer) in Peer::LINKED.iter().enumerate() {
            let theirs = peer.read(role, input, &stream.cuts);
            if first.get(place) == Some(&theirs) {
                continue;
            }
            match stream.explain(peer, &theirs, tally)? {
                Waits::Nobody => {}
                Waits::Ours => waits.push((peer, completions(&whole))),
                Waits::Theirs => waits.push((peer, completions(&theirs))),
            }
            if first.len() == place {
                first.push(theirs);
            }
        }
    }
    if role == Role::Server {
        tally.streams += 1;
        let stream = Stream::whole(Role::ServerToEnd, input);
        for &peer in Peer::LINKED {
            stream.explain(peer, &peer.read(stream.role, input, &stream.cuts), tally)?;
        }
    }
    complete(role, input, &waits, tally)
}

/// One refuses what another waits for. Would that have read it?
fn complete(
    role: Role,
    input: &[u8],
    waits: &[(Peer, Vec<Vec<u8>>)],
    tally: &mut Tally,
) -> Result<(), Box<Unexplained>> {
    for (peer, rests) in waits {
        for rest in rests {
            tally.streams += 1;
            let input = [input, rest].concat();
            let stream = Stream::whole(role, &input);
            stream.explain(*peer, &peer.read(role, &input, &stream.cuts), tally)?;
        }
    }
    Ok(())
}

/// Who waits for bytes that another would refuse.
pub(crate) enum Waits {
    Nobody,
    Ours,
    Theirs,
}

/// A stream in pieces, and what ours has read.
pub(crate) struct Stream<'a> {
    pub(crate) role: Role,
    pub(crate) input: &'a [u8],
    pub(crate) cuts: Vec<usize>,
    pub(crate) ours: Verdict,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(role: Role, input: &'a [u8], cuts: Vec<usize>) -> Stream<'a> {
        let ours = ours::read(role, input, &cuts);
        Stream {
            role,
            input,
            cuts,
            ours,
        }
    }

    /// In one piece.
    pub(crate) fn whole(role: Role, input: &'a [u8]) -> Stream<'a> {
        Stream::new(role, input, vec![input.len()])
    }

    /// Looks for the rows of all differences.
    pub(crate) fn explain(
        &self,
        peer: Peer,
        theirs: &Verdict,
        tally: &mut Tally,
    ) -> Result<Waits, Box<Unexplained>> {
        let mut waits = Waits::Nobody;
        for difference in compare(&self.ours, theirs, peer.names()) {
            let seen = Seen {
                peer,
                input: self.input,
                ours: &self.ours,
                theirs,
                what: &difference.what,
                message: difference.message,
            };
            let Some(row) = explain(&seen) else {
                let what = format!("{}: {}", peer.name(), difference.what);
                return Err(self.unexplained(Some(peer), what, theirs));
            };
            match difference.what {
                What::TheyRefuseFirst(_) => waits = Waits::Ours,
                What::WeRefuseFirst(_) => waits = Waits::Theirs,
                _ => {}
            }
            tally.note(row, peer, self.role, self.input);
        }
        Ok(waits)
    }

    fn unexplained(&self, peer: Option<Peer>, what: String, theirs: &Verdict) -> Box<Unexplained> {
        Box::new(Unexplained {
            role: self.role,
            input: self.input.into(),
            cuts: self.cuts.clone(),
            peer,
            what,
            ours: self.ours.clone(),
            theirs: theirs.clone(),
        })
    }
}

/// The roles in which an example of a row is read.
pub fn roles(example: &[u8]) -> &'static [Role] {
    match example.trim_ascii_start() {
        [] => &[Role::Server, Role::ServerToEnd, Role::Client("GET")],
        [b'H', b'T', b'T', b'P', ..] => &Role::CLIENTS,
        _ => &[Role::Server, Role::ServerToEnd],
    }
}

/// Whether the row of this name explains a difference of `peer` in an example.
pub fn shows(example: &[u8], peer: Peer, name: &str) -> bool {
    roles(example).iter().any(|&role| {
        let mut tally = Tally::default();
        let stream = Stream::whole(role, example);
        let explained = stream.explain(peer, &peer.read(role, example, &stream.cuts), &mut tally);
        explained.is_ok() && tally.has(name)
    })
}
