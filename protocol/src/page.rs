//! The tables of docs/protocol.md and of tools/ninefold.lua, written from [`crate::dictionary`].
//!
//! Each stands between markers. A test holds files and code equal;
//! `cargo test -p ninefold-protocol -- --ignored the_page_is_written_anew` writes what is between.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::connection::CloseReason;
use crate::dictionary::{Bound, CLASSES, FRAMES, Field, LIMITS, MESSAGES, PACKETS, REFUSALS, TIMERS, Unit};
use crate::snapshot;

/// A file, the markers in it, and what stands between them.
struct Page {
    path: &'static str,
    begin: fn(&str) -> String,
    end: &'static str,
    sections: fn() -> Vec<(String, String)>,
}

const PAGES: [Page; 2] = [
    Page {
        path: "docs/protocol.md",
        begin: |name| format!("<!-- {name} -->\n"),
        end: "<!-- end -->",
        sections: markdown,
    },
    Page { path: "tools/ninefold.lua", begin: |name| format!("-- <{name}>\n"), end: "-- </>", sections: lua },
];

impl Page {
    fn file(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(self.path)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap_or_else(|e| panic!("{}: {e}", self.path))
    }

    /// The file as it should be.
    fn written(&self) -> String {
        let mut text = self.text();
        for (name, section) in (self.sections)() {
            let begin = (self.begin)(&name);
            let start =
                text.find(&begin).unwrap_or_else(|| panic!("{}: no marker {begin}", self.path)) + begin.len();
            let length =
                text[start..].find(self.end).unwrap_or_else(|| panic!("{}: {name} has no end", self.path));
            text.replace_range(start..start + length, &section);
        }
        text
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

fn fields_in_short(fields: &[Field]) -> String {
    let short: Vec<_> = fields.iter().map(|f| format!("{} {}", f.name, f.scalar.name())).collect();
    if short.is_empty() { String::new() } else { format!("`{}`", short.join(", ")) }
}

/// Its fields and what follows them.
fn body(unit: &Unit) -> String {
    let fields = fields_in_short(unit.fields);
    let parts: Vec<&str> = [&fields[..], unit.rest].into_iter().filter(|t| !t.is_empty()).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

fn units(head: [&str; 5], units: &[Unit], number: fn(u8) -> String) -> String {
    let row = |unit: &Unit| {
        vec![number(unit.number), unit.name.into(), unit.from.name().into(), body(unit), unit.about.into()]
    };
    table(&head, units.iter().map(row))
}

fn bounds(head: [&str; 3], bounds: &[Bound]) -> String {
    let row = |b: &Bound| vec![b.about.into(), format!("{} {}", thousands(b.value), b.unit), b.then.into()];
    table(&head, bounds.iter().map(row))
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn markdown() -> Vec<(String, String)> {
    let decimal = |number: u8| number.to_string();
    let mut sections = vec![
        ("table: packets".into(), units(["type", "packet", "from", "body", ""], PACKETS, decimal)),
        (
            "table: frames".into(),
            units(["type", "frame", "from", "body", ""], FRAMES, |n| format!("{n:#04x}")),
        ),
        ("table: messages".into(), units(["kind", "message", "from", "body", ""], MESSAGES, decimal)),
        ("table: refusals".into(), units(["reason", "name", "from", "follows", ""], REFUSALS, decimal)),
        ("table: limits".into(), bounds(["what", "at most", "beyond it"], LIMITS)),
        ("table: timers".into(), bounds(["what", "time", "then"], TIMERS)),
        ("table: classes".into(), classes()),
        ("table: close".into(), close_reasons()),
        ("example: snapshot".into(), snapshot::worked_example()),
    ];
    for unit in FRAMES.iter().chain(MESSAGES).filter(|unit| !unit.fields.is_empty()) {
        let row = |f: &Field| vec![format!("`{}`", f.name), f.scalar.name().into(), f.about.into()];
        let text = table(&[&format!("{} field", unit.name), "type", "meaning"], unit.fields.iter().map(row));
        sections.push((format!("fields: {}", unit.name), text));
    }
    sections
}

fn classes() -> String {
    let rows = CLASSES.iter().map(|class| {
        let widths: Vec<_> = class.widths.iter().map(u32::to_string).collect();
        let sign = if class.signed { "signed" } else { "unsigned" };
        vec![class.name.into(), widths.join(", "), sign.into(), class.about.into()]
    });
    table(&["class", "widths in bits", "", "what"], rows)
}

fn close_reasons() -> String {
    let rows = CloseReason::ALL.iter().map(|r| vec![format!("{:#04x}", r.code()), r.text().into()]);
    table(&["code", "reason"], rows)
}

fn lua() -> Vec<(String, String)> {
    let list = |units: &[Unit]| {
        let mut text = String::new();
        for unit in units {
            let fields: Vec<_> =
                unit.fields.iter().map(|f| format!("{{\"{}\", \"{}\"}}", f.name, f.scalar.name())).collect();
            let _ = writeln!(text, "  [{}] = {{\"{}\", {{{}}}}},", unit.number, unit.name, fields.join(", "));
        }
        text
    };
    [("packets", PACKETS), ("frames", FRAMES), ("messages", MESSAGES), ("refusals", REFUSALS)]
        .map(|(name, units)| (name.to_owned(), list(units)))
        .into()
}

#[test]
fn the_page_and_the_dissector_say_what_the_code_does() {
    for page in PAGES {
        let (text, written) = (page.text(), page.written());
        let differs = text.lines().zip(written.lines()).find(|(is, should)| is != should);
        assert!(text == written, "{} is not as the code: {differs:?}; write it anew", page.path);
    }
}

/// A table that nobody writes would drift.
#[test]
fn every_marker_has_its_section() {
    for page in PAGES {
        let sections = (page.sections)().len();
        assert_eq!(page.text().matches(page.end).count(), sections, "{}", page.path);
    }
}

#[test]
#[ignore = "writes docs/protocol.md and tools/ninefold.lua"]
fn the_page_is_written_anew() {
    for page in PAGES {
        std::fs::write(page.file(), page.written()).expect("the page can be written");
    }
}
