//! The wall clock's time as people and file names have it.

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Now, as in `2026-03-01T12:34:56.123456Z`.
pub(super) fn now() -> String {
    let mut text = String::new();
    let told = SystemTime.format_time(&mut Writer::new(&mut text));
    told.expect("a string takes everything");
    text
}

/// The same for the name of a file: `20260301T123456.123Z`, which sorts by time.
pub(super) fn for_file(stamp: &str) -> String {
    let (whole, fraction) = stamp.trim_end_matches('Z').split_once('.').unwrap_or((stamp, ""));
    let whole: String = whole.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    format!("{whole}.{:0<3.3}Z", fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time() {
        assert_eq!(for_file("2026-03-01T12:34:56.123456Z"), "20260301T123456.123Z");
        let name = for_file(&now());
        assert_eq!(name.len(), "20260301T123456.123Z".len(), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'));
    }
}
