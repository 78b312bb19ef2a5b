//! What a row of the table of differences is, and when it explains a difference.

use crate::compare::{Part, What};
use crate::peers::Peer;
use crate::verdict::{Message, Verdict};

/// A kind of difference.
pub struct Row {
    pub name: &'static str,
    /// Who differs from ours like this.
    pub peers: &'static [Peer],
    pub reason: Reason,
    /// Where it is written.
    pub clause: &'static str,
    /// What ours does, and what they do.
    pub about: &'static str,
    pub when: When,
    /// Inputs that show it. A response begins with `HTTP/`.
    pub examples: &'static [&'static [u8]],
}

/// Whose difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Ours refuses what the clause forbids, or what it allows to refuse.
    OursStricter,
    /// They refuse what the clause allows, or read something else than it says.
    TheirFault,
    /// The clause leaves it open, and both are safe: the message is framed alike, or they refuse it.
    Open,
    /// Both mean the same, and tell it at another moment or in other words.
    Same,
}

/// What a difference has to be, so that the row explains it.
pub enum When {
    /// Ours refuses with one of these errors.
    WeRefuse(&'static [&'static str]),
    /// They refuse with a reason that begins like one of these, and the condition holds.
    TheyRefuse(&'static [&'static str], fn(&Seen<'_>) -> bool),
    /// One of these parts differs, and the condition holds.
    Parts(&'static [Part], fn(&Seen<'_>) -> bool),
    /// Ours refuses, and they have not seen enough to do so.
    WeRefuseFirst,
    /// They refuse, and ours has not seen enough to do so.
    TheyRefuseFirst,
}

/// A difference, with all that is known about it.
pub struct Seen<'a> {
    pub peer: Peer,
    pub input: &'a [u8],
    pub ours: &'a Verdict,
    pub theirs: &'a Verdict,
    pub what: &'a What,
    pub message: usize,
}

impl Row {
    /// Whether it explains a difference.
    pub fn explains(&self, seen: &Seen<'_>) -> bool {
        self.peers.contains(&seen.peer) && self.when.holds(seen)
    }
}

impl When {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        match (self, seen.what) {
            (When::WeRefuse(errors), What::WeRefuse(error)) => errors.contains(&error.as_str()),
            (When::TheyRefuse(reasons, holds), What::TheyRefuse(reason)) => {
                reasons.iter().any(|known| reason.starts_with(known)) && holds(seen)
            }
            (When::TheyRefuse(reasons, holds), What::TheyRefuseFirst(reason)) => {
                let begun = seen.ours.messages.get(seen.message).is_some();
                begun && reasons.iter().any(|known| reason.starts_with(known)) && holds(seen)
            }
            (When::Parts(parts, holds), What::Part(part)) => parts.contains(part) && holds(seen),
            (When::WeRefuseFirst, What::WeRefuseFirst(_)) => true,
            (When::TheyRefuseFirst, What::TheyRefuseFirst(_)) => true,
            _ => false,
        }
    }
}

impl Seen<'_> {
    pub fn our(&self) -> Option<&Message> {
        self.ours.messages.get(self.message)
    }

    pub fn their(&self) -> Option<&Message> {
        self.theirs.messages.get(self.message)
    }

    /// Whether one of these texts is anywhere in the input.
    pub fn has(&self, texts: &[&[u8]]) -> bool {
        let has = |text: &&[u8]| self.input.windows(text.len()).any(|part| part == *text);
        texts.iter().any(has)
    }

    /// Like [`Seen::has`], for one text in any case.
    pub fn has_any_case(&self, text: &[u8]) -> bool {
        let mut parts = self.input.windows(text.len());
        parts.any(|part| part.eq_ignore_ascii_case(text))
    }

    pub fn our_method(&self) -> &[u8] {
        self.our().map_or(&[], Message::method)
    }

    pub fn our_target(&self) -> &[u8] {
        self.our().map_or(&[], Message::target)
    }

    pub fn their_target(&self) -> &[u8] {
        self.their().map_or(&[], Message::target)
    }

    /// The first value of this name in the message of ours.
    pub fn our_value(&self, name: &[u8]) -> &[u8] {
        let mut fields = self
            .our()
            .and_then(|our| our.fields.as_ref())
            .into_iter()
            .flatten();
        let found = fields.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, value)| value)
    }

    /// Whether the message of ours has a field of this name.
    pub fn our_has(&self, name: &[u8]) -> bool {
        self.our().is_some_and(|our| our.has(name))
    }

    /// Whether this is true of the message of ours that comes before.
    pub fn our_before(&self, holds: fn(&Message) -> bool) -> bool {
        let before = self.message.checked_sub(1);
        before.is_some_and(|place| holds(&self.ours.messages[place]))
    }

    /// Whether a trailer of ours has one of these names.
    pub fn has_trailer(&self, names: &[&[u8]]) -> bool {
        let mut trailers = self
            .ours
            .messages
            .iter()
            .filter_map(|our| our.trailers.as_ref())
            .flatten();
        trailers.any(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
    }

    /// Whether this is true of a field of this name in any message of ours.
    pub fn any_of_ours(&self, name: &[u8], holds: fn(&[u8]) -> bool) -> bool {
        let fields = self
            .ours
            .messages
            .iter()
            .filter_map(|our| our.fields.as_ref());
        let mut fields = fields.flatten();
        fields.any(|(other, value)| other.eq_ignore_ascii_case(name) && holds(value))
    }
}
