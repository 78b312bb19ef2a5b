//! The table as a page of the guide shows it.

use crate::row::{Reason, Row};
use crate::table::ROWS;

/// Markdown: a table for each reason.
pub fn table() -> String {
    let reasons = [
        (Reason::OursStricter, "Ours is stricter"),
        (Reason::TheirFault, "They do not do what the RFC says"),
        (Reason::Open, "The RFC leaves it open"),
        (Reason::Same, "The same, told differently"),
    ];
    let mut text = String::new();
    for (reason, title) in reasons {
        text += &format!("## {title}\n\n");
        text += "| difference | who | clause | for example |\n| --- | --- | --- | --- |\n";
        for row in ROWS.iter().filter(|row| row.reason == reason) {
            let names: Vec<&str> = row.peers.iter().map(|peer| peer.name()).collect();
            let (about, names, clause) = (row.about, names.join(", "), row.clause);
            text += &format!("| {about} | {names} | {clause} | {} |\n", example(row));
        }
        text += "\n";
    }
    text
}

/// The shortest example, without the head that many of them share.
fn example(row: &Row) -> String {
    let shortest = row.examples.iter().min_by_key(|example| example.len());
    let text = shortest.map_or(String::new(), |example| example.escape_ascii().to_string());
    let text = text.replace(
        r"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        "… ",
    );
    match text.len() {
        0..=140 => format!("`{}`", text.replace('|', "\\|").replace('`', "'")),
        _ => "101 fields".into(),
    }
}
