//! The content type of a file, by the suffix of its name ([STATIC-11]).
//!
//! [STATIC-11]: crate::spec#static-11

use std::path::Path;

/// The content type of a file whose suffix is not known.
const UNKNOWN: &str = "application/octet-stream";

/// Tells browsers to believe the `Content-Type` (Fetch Standard, section 3.6). Otherwise a browser
/// may run a file that somebody has uploaded as text or as a picture ([STATIC-9]).
///
/// [STATIC-9]: crate::spec#static-9
pub(super) const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

/// The built-in table, and the types that the program added to it.
#[derive(Debug, Clone, Default)]
pub(super) struct ContentTypes {
    /// The suffixes and types that were added. If a suffix was added twice, the later one counts.
    own: Vec<(String, String)>,
}

impl ContentTypes {
    /// Adds a suffix and its type.
    pub(super) fn insert(&mut self, suffix: &str, content_type: &str) {
        self.own.push((suffix.to_owned(), content_type.to_owned()));
    }

    /// Returns the type of a file by its name.
    pub(super) fn guess(&self, path: &Path) -> &str {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let suffix = name.as_deref().and_then(suffix).unwrap_or_default();
        if let Some(found) = self.look_up(suffix) {
            return found;
        }
        self.look_up(&suffix.to_ascii_lowercase())
            .unwrap_or(UNKNOWN)
    }

    fn look_up(&self, suffix: &str) -> Option<&str> {
        let mut own = self.own.iter().rev();
        if let Some((_, content_type)) = own.find(|(own, _)| own == suffix) {
            return Some(content_type);
        }
        let place = TABLE.binary_search_by_key(&suffix, |row| row.0).ok()?;
        TABLE.get(place).map(|row| row.1)
    }
}

/// Returns the last dot of a name and what follows it. Dots at the beginning of the name do not
/// count ([STATIC-11]).
///
/// [STATIC-11]: crate::spec#static-11
fn suffix(name: &str) -> Option<&str> {
    let shown = name.trim_start_matches('.');
    shown.rfind('.').and_then(|dot| shown.get(dot..))
}

/// Suffix and type, sorted by suffix: CPython's table, and types that have become common since. For a
/// compressed archive, Python gives the type of the archive (`.tgz`).
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    (".3g2", "audio/3gpp2"),
    (".3gp", "audio/3gpp"),
    (".3gpp", "audio/3gpp"),
    (".3gpp2", "audio/3gpp2"),
    (".7z", "application/x-7z-compressed"),
    (".aac", "audio/aac"),
    (".adts", "audio/aac"),
    (".ai", "application/postscript"),
    (".aif", "audio/x-aiff"),
    (".aifc", "audio/x-aiff"),
    (".aiff", "audio/x-aiff"),
    (".apng", "image/apng"),
    (".ass", "audio/aac"),
    (".atom", "application/atom+xml"),
    (".au", "audio/basic"),
    (".avi", "video/x-msvideo"),
    (".avif", "image/avif"),
    (".bat", "text/plain"),
    (".bcpio", "application/x-bcpio"),
    (".bmp", "image/bmp"),
    (".bz2", "application/x-bzip2"),
    (".c", "text/plain"),
    (".cdf", "application/x-netcdf"),
    (".cjs", "text/javascript"),
    (".cpio", "application/x-cpio"),
    (".csh", "application/x-csh"),
    (".css", "text/css"),
    (".csv", "text/csv"),
    (".doc", "application/msword"),
    (".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (".dot", "application/msword"),
    (".dvi", "application/x-dvi"),
    (".eml", "message/rfc822"),
    (".eps", "application/postscript"),
    (".epub", "application/epub+zip"),
    (".etx", "text/x-setext"),
    (".flac", "audio/flac"),
    (".geojson", "application/geo+json"),
    (".gif", "image/gif"),
    (".gtar", "application/x-gtar"),
    (".gz", "application/gzip"),
    (".h", "text/plain"),
    (".h5", "application/x-hdf5"),
    (".hdf", "application/x-hdf"),
    (".heic", "image/heic"),
    (".heif", "image/heif"),
    (".htm", "text/html"),
    (".html", "text/html"),
    (".ico", "image/vnd.microsoft.icon"),
    (".ief", "image/ief"),
    (".jpe", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".jpg", "image/jpeg"),
    (".js", "text/javascript"),
    (".json", "application/json"),
    (".jsonld", "application/ld+json"),
    (".jxl", "image/jxl"),
    (".ksh", "text/plain"),
    (".latex", "application/x-latex"),
    (".loas", "audio/aac"),
    (".log", "text/plain"),
    (".m1v", "video/mpeg"),
    (".m3u", "application/vnd.apple.mpegurl"),
    (".m3u8", "application/vnd.apple.mpegurl"),
    (".m4a", "audio/mp4"),
    (".m4v", "video/mp4"),
    (".man", "application/x-troff-man"),
    (".map", "application/json"),
    (".markdown", "text/markdown"),
    (".md", "text/markdown"),
    (".me", "application/x-troff-me"),
    (".mht", "message/rfc822"),
    (".mhtml", "message/rfc822"),
    (".mif", "application/x-mif"),
    (".mjs", "text/javascript"),
    (".mka", "audio/x-matroska"),
    (".mkv", "video/x-matroska"),
    (".mov", "video/quicktime"),
    (".movie", "video/x-sgi-movie"),
    (".mp2", "audio/mpeg"),
    (".mp3", "audio/mpeg"),
    (".mp4", "video/mp4"),
    (".mpa", "video/mpeg"),
    (".mpe", "video/mpeg"),
    (".mpeg", "video/mpeg"),
    (".mpg", "video/mpeg"),
    (".ms", "application/x-troff-ms"),
    (".n3", "text/n3"),
    (".nc", "application/x-netcdf"),
    (".nq", "application/n-quads"),
    (".nt", "application/n-triples"),
    (".nws", "message/rfc822"),
    (".oda", "application/oda"),
    (".odp", "application/vnd.oasis.opendocument.presentation"),
    (".ods", "application/vnd.oasis.opendocument.spreadsheet"),
    (".odt", "application/vnd.oasis.opendocument.text"),
    (".oga", "audio/ogg"),
    (".ogg", "audio/ogg"),
    (".ogv", "video/ogg"),
    (".opus", "audio/opus"),
    (".otf", "font/otf"),
    (".p12", "application/x-pkcs12"),
    (".p7c", "application/pkcs7-mime"),
    (".pbm", "image/x-portable-bitmap"),
    (".pdf", "application/pdf"),
    (".pfx", "application/x-pkcs12"),
    (".pgm", "image/x-portable-graymap"),
    (".pl", "text/plain"),
    (".png", "image/png"),
    (".pnm", "image/x-portable-anymap"),
    (".pot", "application/vnd.ms-powerpoint"),
    (".ppa", "application/vnd.ms-powerpoint"),
    (".ppm", "image/x-portable-pixmap"),
    (".pps", "application/vnd.ms-powerpoint"),
    (".ppt", "application/vnd.ms-powerpoint"),
    (".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (".ps", "application/postscript"),
    (".pwz", "application/vnd.ms-powerpoint"),
    (".py", "text/x-python"),
    (".pyc", "application/x-python-code"),
    (".pyo", "application/x-python-code"),
    (".qt", "video/quicktime"),
    (".ra", "audio/x-pn-realaudio"),
    (".ram", "application/x-pn-realaudio"),
    (".ras", "image/x-cmu-raster"),
    (".rdf", "application/xml"),
    (".rgb", "image/x-rgb"),
    (".roff", "application/x-troff"),
    (".rss", "application/rss+xml"),
    (".rst", "text/x-rst"),
    (".rtf", "text/rtf"),
    (".rtx", "text/richtext"),
    (".sgm", "text/x-sgml"),
    (".sgml", "text/x-sgml"),
    (".sh", "application/x-sh"),
    (".shar", "application/x-shar"),
    (".snd", "audio/basic"),
    (".src", "application/x-wais-source"),
    (".srt", "text/plain"),
    (".sv4cpio", "application/x-sv4cpio"),
    (".sv4crc", "application/x-sv4crc"),
    (".svg", "image/svg+xml"),
    (".swf", "application/x-shockwave-flash"),
    (".t", "application/x-troff"),
    (".tar", "application/x-tar"),
    (".taz", "application/x-tar"),
    (".tbz2", "application/x-tar"),
    (".tcl", "application/x-tcl"),
    (".tex", "application/x-tex"),
    (".texi", "application/x-texinfo"),
    (".texinfo", "application/x-texinfo"),
    (".tgz", "application/x-tar"),
    (".tif", "image/tiff"),
    (".tiff", "image/tiff"),
    (".toml", "application/toml"),
    (".tr", "application/x-troff"),
    (".trig", "application/trig"),
    (".tsv", "text/tab-separated-values"),
    (".ttc", "font/collection"),
    (".ttf", "font/ttf"),
    (".txt", "text/plain"),
    (".txz", "application/x-tar"),
    (".tz", "application/x-tar"),
    (".ustar", "application/x-ustar"),
    (".vcf", "text/x-vcard"),
    (".vtt", "text/vtt"),
    (".wasm", "application/wasm"),
    (".wav", "audio/x-wav"),
    (".weba", "audio/webm"),
    (".webm", "video/webm"),
    (".webmanifest", "application/manifest+json"),
    (".webp", "image/webp"),
    (".wiz", "application/msword"),
    (".woff", "font/woff"),
    (".woff2", "font/woff2"),
    (".wsdl", "application/xml"),
    (".xbm", "image/x-xbitmap"),
    (".xhtml", "application/xhtml+xml"),
    (".xlb", "application/vnd.ms-excel"),
    (".xls", "application/vnd.ms-excel"),
    (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (".xml", "text/xml"),
    (".xpdl", "application/xml"),
    (".xpm", "image/x-xpixmap"),
    (".xsl", "application/xml"),
    (".xwd", "image/x-xwindowdump"),
    (".xz", "application/x-xz"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
    (".zip", "application/zip"),
    (".zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// STATIC-11
    #[test]
    fn types_by_suffix() {
        let types = ContentTypes::default();
        let cases = [
            ("a.html", "text/html"),
            ("a.HTML", "text/html"),
            ("a.Htm", "text/html"),
            ("a.js", "text/javascript"),
            ("a.mjs", "text/javascript"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a.md", "text/markdown"),
            ("a.gz", "application/gzip"),
            ("a.tar.gz", "application/gzip"),
            ("a.GZ", "application/gzip"),
            ("a.bz2", "application/x-bzip2"),
            ("a.xz", "application/x-xz"),
            ("a.tgz", "application/x-tar"),
            ("a.Z", UNKNOWN),
            ("a.txt.Z", UNKNOWN),
            ("a.html.br", UNKNOWN),
            (".html", UNKNOWN),
            ("..html", UNKNOWN),
            (".a.html", "text/html"),
            ("html", UNKNOWN),
            ("a.", UNKNOWN),
            ("", UNKNOWN),
            ("a.html/b", UNKNOWN),
            ("a.none", UNKNOWN),
        ];
        for (path, expected) in cases {
            assert_eq!(types.guess(Path::new(path)), expected, "{path:?}");
        }
    }

    #[test]
    fn what_is_added_counts_more() {
        let mut types = ContentTypes::default();
        types.insert(".txt", "text/plain; charset=latin-1");
        types.insert(".txt", "text/plain; charset=utf-8");
        types.insert(".X", "text/upper");
        types.insert(".x", "text/lower");
        let cases = [
            ("a.txt", "text/plain; charset=utf-8"),
            ("a.TXT", "text/plain; charset=utf-8"),
            ("a.X", "text/upper"),
            ("a.x", "text/lower"),
            ("a.css", "text/css"),
        ];
        for (path, expected) in cases {
            assert_eq!(types.guess(Path::new(path)), expected, "{path:?}");
        }
    }

    #[test]
    fn the_table_can_be_searched() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let plain = |row: &(&str, &str)| row.0.starts_with('.') && row.0 == row.0.to_lowercase();
        assert!(TABLE.iter().all(plain));
    }
}
