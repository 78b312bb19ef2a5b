//! The response that is a file: which variant, whether it is sent, and which bytes.

use std::fs::{File, Metadata};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::blocks::SpareBlocks;
use super::coding::{self, Coding};
use super::content::FileContent;
use super::content_types::{ContentTypes, NOSNIFF};
use super::preconditions::{self, Validators, Verdict};
use super::ranges::{self, ByteRange, Selection};
use super::root::Tree;
use super::root::found::Found;
use super::site::Representation;
use crate::http::request::Request;
use crate::http::response::{HttpResult, Response, ResponseHead};

/// Responds with files.
#[derive(Debug, Clone)]
pub(super) struct FileSender {
    /// The table of content types.
    pub(super) content_types: ContentTypes,
    /// Whether a compressed variant of a file may be sent.
    pub(super) precompressed: bool,
    /// How many ranges one request may ask for.
    pub(super) max_ranges: usize,
    /// Memory for the blocks of large files.
    pub(super) spare: Arc<SpareBlocks>,
}

impl FileSender {
    /// Responds with a file, or with its compressed variant, which is looked for in `tree`: the whole, a
    /// part, or only the head.
    pub(super) fn send(
        &self,
        tree: Option<&Tree>,
        plain: Representation,
        request: &Request<'_>,
        response: Response<'_>,
    ) -> HttpResult {
        let content_type = self.content_types.guess(&plain.name);
        let (Representation { file, metadata, .. }, coding) = match tree {
            Some(tree) if self.precompressed => self.variant(tree, plain, request),
            _ => (plain, None),
        };
        let length = metadata.len();
        let validators = validators(&metadata, coding, response.now().wall());

        match preconditions::evaluate(request.headers(), &validators) {
            Verdict::Perform => {}
            Verdict::NotModified => {
                let head = response.send_response(304);
                let head = head.send_header("ETag", &validators.etag);
                return self.vary(head).body(""); // RFC 9110 §15.4.5
            }
            Verdict::Failed => return response.send_error(412),
        }
        let selection = match request.method() {
            "GET" => self.select(request, &validators, length),
            _ => Selection::Whole, // RFC 9110 §14.2: ranges are for GET
        };
        let Some(payload) = Payload::new(file, selection, content_type, length, &self.spare) else {
            return response
                .send_response(416)
                .send_header("Content-Range", format!("bytes */{length}"))
                .body("");
        };
        let head = response
            .send_response(payload.code)
            .send_header("Content-Type", payload.content_type)
            .send_header(NOSNIFF.0, NOSNIFF.1)
            .send_header("Content-Length", payload.content.length().to_string());
        let mut head = self.describe(head, &validators, coding);
        if let Some(content_range) = payload.content_range {
            head = head.send_header("Content-Range", content_range);
        }
        head.stream(payload.content)
    }

    /// Returns the file itself, or a compressed one beside it that the client prefers.
    fn variant(
        &self,
        tree: &Tree,
        plain: Representation,
        request: &Request<'_>,
    ) -> (Representation, Option<Coding>) {
        for coding in coding::preferred(request.headers()) {
            let mut name = plain.name.clone().into_os_string();
            name.push(coding.suffix());
            match tree.find(Path::new(&name)) {
                Ok(Found::File(file, metadata)) if is_up_to_date(&metadata, &plain.metadata) => {
                    let variant = Representation {
                        name: name.into(),
                        file: Arc::new(file),
                        metadata,
                    };
                    return (variant, Some(coding));
                }
                _ => {}
            }
        }
        (plain, None)
    }

    /// Returns which part of the file the request asks for.
    fn select(&self, request: &Request<'_>, validators: &Validators, length: u64) -> Selection {
        let mut fields = request.headers().get_all("range");
        match (fields.next(), fields.next()) {
            (Some(field), None) if preconditions::if_range(request.headers(), validators) => {
                ranges::select(field, length, self.max_ranges)
            }
            _ => Selection::Whole,
        }
    }

    /// Adds the fields that do not depend on which part of the file is sent.
    fn describe<'a>(
        &self,
        mut head: ResponseHead<'a>,
        validators: &Validators,
        coding: Option<Coding>,
    ) -> ResponseHead<'a> {
        if let Some(modified) = validators.last_modified() {
            head = head.send_header("Last-Modified", modified);
        }
        if let Some(coding) = coding {
            head = head.send_header("Content-Encoding", coding.name());
        }
        if self.max_ranges > 0 {
            head = head.send_header("Accept-Ranges", "bytes");
        }
        self.vary(head.send_header("ETag", &validators.etag))
    }

    /// Adds `Vary` if other clients may get a compressed variant, even if this one does not.
    fn vary<'a>(&self, head: ResponseHead<'a>) -> ResponseHead<'a> {
        match self.precompressed {
            true => head.send_header("Vary", "Accept-Encoding"),
            false => head,
        }
    }
}

/// The part of a file that is sent, with the status and the fields that depend on it.
struct Payload {
    /// 200 for the whole file, 206 for ranges.
    code: u16,
    /// The type of the file, or of a multipart body.
    content_type: String,
    /// The value of `Content-Range`, for a single range.
    content_range: Option<String>,
    /// The bytes.
    content: FileContent,
}

impl Payload {
    /// `None` if no range overlaps the file.
    fn new(
        file: Arc<File>,
        selection: Selection,
        content_type: &str,
        length: u64,
        spare: &Arc<SpareBlocks>,
    ) -> Option<Payload> {
        let mut content_type = content_type.to_owned();
        let mut content_range = None;
        let (code, content) = match selection {
            Selection::Whole => {
                let whole = ByteRange { first: 0, length };
                (200, FileContent::range(file, whole, spare))
            }
            Selection::Single(range) => {
                content_range = Some(range.content_range(length));
                (206, FileContent::range(file, range, spare))
            }
            Selection::Several(ranges) => {
                let (boundary, content) =
                    FileContent::multipart(&file, &ranges, &content_type, length, spare);
                content_type = format!("multipart/byteranges; boundary={boundary}");
                (206, content)
            }
            Selection::Unsatisfiable => return None,
        };
        Some(Payload {
            code,
            content_type,
            content_range,
            content,
        })
    }
}

/// Makes validators from time and size. Each coding has its own entity tag (RFC 9110 §8.8.3.3).
fn validators(metadata: &Metadata, coding: Option<Coding>, now: SystemTime) -> Validators {
    let modified = metadata.modified().ok();
    let nanos = match modified.map(|modified| modified.duration_since(UNIX_EPOCH)) {
        Some(Ok(since)) => since.as_nanos().to_string(),
        Some(Err(before)) => format!("-{}", before.duration().as_nanos()),
        None => String::new(),
    };
    let suffix = coding.map_or("", Coding::suffix);
    let etag = format!("\"{nanos}-{}{suffix}\"", metadata.len());
    Validators::new(etag, modified, now)
}

/// Returns whether a variant is at least as new as the plain file. A file without a time counts as
/// oldest.
fn is_up_to_date(variant: &Metadata, plain: &Metadata) -> bool {
    variant.modified().ok() >= plain.modified().ok()
}
