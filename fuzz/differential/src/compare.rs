//! Where two verdicts on the same bytes differ.

use std::fmt;

use crate::verdict::{End, Field, Framing, Message, Start, Verdict};

/// The first difference that matters, or a difference in a part of a message that both have read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What kind of difference it is.
    pub what: What,
    /// In which message, counted from 0.
    pub message: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// We refuse, with this error. They have read a message.
    WeRefuse(String),
    /// We refuse, with this error. They wait for more.
    WeRefuseFirst(String),
    /// They refuse, with this reason. We have read a message.
    TheyRefuse(String),
    /// They refuse, with this reason. We wait for more.
    TheyRefuseFirst(String),
    /// Both have read the message, and this part of it differs.
    Part(Part),
}

/// A part of a stream that both have read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Method,
    Target,
    Version,
    Status,
    Fields,
    Framing,
    Content,
    Trailers,
    /// One has the head of a message, and the other waits for it.
    Head,
    /// One has the end of a message, and the other waits for it.
    Length,
    /// What comes after the message.
    End,
}

/// How exactly a parser tells the names of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    AsSent,
    /// In lower case, and in any order. The values of one name are in order.
    Mapped,
}

/// Compares what we make of a stream with what they make of it.
pub fn compare(ours: &Verdict, theirs: &Verdict, names: Names) -> Vec<Difference> {
    let mut found = Vec::new();
    for place in 0.. {
        let mut note = |what| {
            found.push(Difference {
                what,
                message: place,
            })
        };
        let (our, their) = (ours.messages.get(place), theirs.messages.get(place));
        let goes_on = match (our, their) {
            (Some(our), Some(their)) => parts(our, their, names, &mut note),
            (Some(our), None) => {
                note(match &theirs.end {
                    End::Refused(why) if our.complete => What::TheyRefuse(why.clone()),
                    End::Refused(why) => What::TheyRefuseFirst(why.clone()),
                    End::More => What::Part(Part::Head),
                    End::Silent => What::TheyRefuse("closed".into()),
                    End::Closed | End::Tunnel => What::Part(Part::End),
                });
                false
            }
            (None, Some(their)) => {
                note(match &ours.end {
                    End::Refused(why) if their.complete => What::WeRefuse(why.clone()),
                    End::Refused(why) => What::WeRefuseFirst(why.clone()),
                    End::More => What::Part(Part::Head),
                    _ => What::Part(Part::End),
                });
                false
            }
            (None, None) => {
                ends(&ours.end, &theirs.end).map(note);
                false
            }
        };
        if !goes_on {
            break;
        }
    }
    found
}

/// Compares two messages. Returns whether it makes sense to compare the next ones.
fn parts(our: &Message, their: &Message, names: Names, note: &mut impl FnMut(What)) -> bool {
    let mut differs = |part: Part, differ: bool| {
        if differ {
            note(What::Part(part));
        }
        differ
    };
    match (&our.start, &their.start) {
        (
            Start::Request { method, target },
            Start::Request {
                method: their_method,
                target: their_target,
            },
        ) => {
            differs(Part::Method, method != their_method);
            differs(Part::Target, target != their_target);
        }
        (our, their) => {
            differs(Part::Status, our != their);
        }
    }
    differs(Part::Version, our.minor != their.minor);
    differs(Part::Fields, fields(&our.fields, &their.fields, names));
    // What differs from here on makes the rest of the stream another one.
    let (framing, their_framing) = (our.framing, their.framing);
    let framed = match (framing, their_framing) {
        (Some(our), Some(their)) => our != their,
        _ => false,
    };
    if differs(Part::Framing, framed)
        | differs(Part::Length, our.complete != their.complete)
        | differs(Part::Content, our.content != their.content)
    {
        return false;
    }
    differs(
        Part::Trailers,
        fields(&our.trailers, &their.trailers, names),
    );
    our.complete
}

/// Whether two lists of fields differ. What a parser does not tell does not differ.
fn fields(our: &Option<Vec<Field>>, their: &Option<Vec<Field>>, names: Names) -> bool {
    match (our, their, names) {
        (Some(our), Some(their), Names::AsSent) => our != their,
        (Some(our), Some(their), Names::Mapped) => mapped(our) != mapped(their),
        _ => false,
    }
}

fn mapped(fields: &[Field]) -> Vec<Field> {
    let lower = |(name, value): &Field| (name.to_ascii_lowercase(), value.clone());
    let mut fields: Vec<Field> = fields.iter().map(lower).collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

fn ends(our: &End, their: &End) -> Option<What> {
    match (our, their) {
        (End::More, End::More)
        | (End::Refused(_), End::Refused(_))
        | (End::Closed, End::Closed)
        | (End::Refused(_) | End::Closed, End::Silent)
        | (End::Tunnel, End::Tunnel) => None,
        (End::Refused(why), End::More) => Some(What::WeRefuseFirst(why.clone())),
        (End::More, End::Refused(why)) => Some(What::TheyRefuseFirst(why.clone())),
        _ => Some(What::Part(Part::End)),
    }
}

/// What could make a stream whole that a parser waits for.
pub fn completions(waits: &Verdict) -> Vec<Vec<u8>> {
    let begun = waits.messages.last().filter(|message| !message.complete);
    match begun.map(|message| (message.framing, message.content.len())) {
        Some((Some(Framing::Length(length)), have)) => {
            let missing = length.saturating_sub(have as u64);
            match usize::try_from(missing) {
                Ok(missing) if missing <= 1024 => vec![vec![b'x'; missing]],
                _ => Vec::new(),
            }
        }
        // Those that do not tell have chunks, as far as one waits for them.
        Some((Some(Framing::Chunked) | None, _)) => texts(&[
            "0\r\n\r\n",
            "\r\n0\r\n\r\n",
            "\n0\r\n\r\n",
            "\r\n\r\n",
            "\n\r\n",
            "\r\n",
            "\n",
            ": x\r\n\r\n",
        ]),
        Some((Some(Framing::Empty | Framing::UntilClose), _)) => Vec::new(),
        None => texts(&[
            "\r\n\r\n",
            "\n\r\n",
            "\r\n",
            "\n",
            ": x\r\n\r\n",
            "\r\nHost: h\r\n\r\n",
            "\nHost: h\r\n\r\n",
            "Host: h\r\n\r\n",
            ": x\r\nHost: h\r\n\r\n",
            " HTTP/1.1\r\nHost: h\r\n\r\n",
            "/ HTTP/1.1\r\nHost: h\r\n\r\n",
            " / HTTP/1.1\r\nHost: h\r\n\r\n",
            " HTTP/1.0\r\n\r\n",
            "1.1\r\nHost: h\r\n\r\n",
            "1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ]),
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::WeRefuse(why) => write!(f, "we refuse ({why}), they read"),
            What::WeRefuseFirst(why) => write!(f, "we refuse ({why}), they wait"),
            What::TheyRefuse(why) => write!(f, "they refuse ({why}), we read"),
            What::TheyRefuseFirst(why) => write!(f, "they refuse ({why}), we wait"),
            What::Part(part) => write!(f, "another {part:?}"),
        }
    }
}
