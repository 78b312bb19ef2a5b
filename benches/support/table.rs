//! Tables in Markdown, as `benches/README.md` has them.

/// Prints a table: the names of the columns, and for each row its name and its cells.
pub fn print(columns: &[&str], rows: impl IntoIterator<Item = (String, Vec<String>)>) {
    println!("| | {} |", columns.join(" | "));
    println!("| --- |{}", " --- |".repeat(columns.len()));
    for (name, cells) in rows {
        println!("| {name} | {} |", cells.join(" | "));
    }
}
