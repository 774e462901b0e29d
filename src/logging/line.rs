//! What a line is made of before it meets a terminal.

use std::fmt::Write;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::LogFormat;

/// Whether a character could make a terminal do something else than show it: control characters, and those that
/// turn the direction of the text around them.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The line with such characters written out.
pub(super) fn clean(line: &str, format: LogFormat) -> String {
    let mut clean = String::with_capacity(line.len());
    for c in line.chars() {
        if !is_unsafe(c) {
            clean.push(c);
            continue;
        }
        let written = match format {
            LogFormat::Text if c == '\n' => write!(clean, "\\n"),
            LogFormat::Text => write!(clean, "\\x{:02x}", u32::from(c)),
            // All that JSON lets stand unescaped has four digits.
            LogFormat::Json => write!(clean, "\\u{:04x}", u32::from(c)),
        };
        written.expect("a string takes everything");
    }
    clean
}

/// The line with its level in colour.
pub(super) fn coloured(line: &str) -> String {
    for (level, colour) in [("ERROR", 31), (" WARN", 33), (" INFO", 32), ("DEBUG", 34), ("TRACE", 35)] {
        // Behind the time and a space.
        if let Some((time, rest)) = line.split_once(' ')
            && let Some(rest) = rest.strip_prefix(level)
        {
            return format!("\x1b[2m{time}\x1b[0m \x1b[{colour}m{level}\x1b[0m{rest}");
        }
    }
    line.to_owned()
}

/// A line of the log about itself, as the formatter would write it.
pub(super) fn own(message: &str, format: LogFormat) -> String {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time)).expect("a string takes everything");
    match format {
        LogFormat::Text => format!("{time}  WARN {}: {message}", module_path!()),
        LogFormat::Json => serde_json::json!({
            "timestamp": time,
            "level": "WARN",
            "message": message,
            "target": module_path!(),
        })
        .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_raw() {
        let evil = "a\x1b[31mb\nc\rd\u{9b}e\u{7f}f\u{202e}g\u{7}";
        let text = clean(evil, LogFormat::Text);
        assert_eq!(text, "a\\x1b[31mb\\nc\\x0dd\\x9be\\x7ff\\x202eg\\x07");
        let json = format!("{{\"m\":\"{}\"}}", clean("\u{9b}\u{7f}\u{202e}", LogFormat::Json));
        let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON still");
        assert_eq!(value["m"], "\u{9b}\u{7f}\u{202e}");
        assert!(!json.chars().any(is_unsafe));
    }

    #[test]
    fn a_level_has_its_colour_and_the_rest_is_as_it_was() {
        let line = "2026-03-01T12:34:56.123456Z  WARN ninefold::x: INFO of it";
        assert_eq!(
            coloured(line),
            "\x1b[2m2026-03-01T12:34:56.123456Z\x1b[0m \x1b[33m WARN\x1b[0m ninefold::x: INFO of it"
        );
        assert_eq!(coloured("no level here"), "no level here");
    }
}
