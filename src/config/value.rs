//! The types that a key can have: read from TOML or from text, written as TOML.
//!
//! What is read here was typed by a person: every refusal says what is wanted and what was found.

use std::net::SocketAddr;
use std::path::PathBuf;

use ninefold_protocol::link::congestion::Mode;
use ninefold_world::BuiltIn;
use toml::de::DeValue;

use crate::logging::LogFormat;

/// A value as it was said.
#[derive(Clone, Copy)]
pub(super) enum Raw<'v> {
    /// In a flag or an environment variable.
    Text(&'v str),
    /// In a file.
    Toml(&'v DeValue<'v>),
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not of the key's type.
    WrongType { found: String },
    /// Of the right type, but not allowed. The key knows what is.
    OutOfRange { value: String },
}

/// A type that a key can have.
pub(super) trait Value: Sized {
    /// What is wanted, after the words "must be".
    const WANTS: &'static str;

    fn from_text(text: &str) -> Result<Self, Problem>;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match value {
            DeValue::String(text) => Self::from_text(text),
            other => Err(wrong_type(other)),
        }
    }

    fn to_toml(&self) -> String;

    /// The values of the type that are allowed, if its name does not say it all.
    fn allowed() -> String {
        String::new()
    }

    fn read(raw: Raw<'_>) -> Result<Self, Problem> {
        match raw {
            Raw::Text(text) => Self::from_text(text),
            Raw::Toml(value) => Self::from_toml(value),
        }
    }
}

/// How a value of a file is shown in an error; long ones are cut.
fn wrong_type(value: &DeValue<'_>) -> Problem {
    let found = match value {
        DeValue::String(text) => quote(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    };
    Problem::WrongType { found }
}

/// Characters of a value that an error repeats.
const SHOWN_CHARS_MAX: usize = 60;

fn quote(text: &str) -> String {
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return toml_string(text);
    }
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{}...", toml_string(&shown))
}

/// On one line, whatever is in it.
fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Decimal or 0x, with underscores between digits, as TOML has it. `None` if it is no whole number.
fn whole_number(text: &str) -> Option<i128> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    let is_number = |c: char| c.is_digit(radix) || c == '_';
    if radix == 16 && !digits.starts_with(is_number) {
        return None;
    }
    let digits = digits.replace('_', "");
    // More digits than any type has: too large, not no number.
    let is_long = digits.len() > 30 && digits.chars().all(|c| c.is_digit(radix));
    if is_long { Some(i128::MAX) } else { i128::from_str_radix(&digits, radix).ok() }
}

macro_rules! whole_number_value {
    ($kind:ty) => {
        impl Value for $kind {
            const WANTS: &'static str = "a whole number";

            fn from_text(text: &str) -> Result<Self, Problem> {
                let number = whole_number(text.trim());
                let number = number.ok_or_else(|| Problem::WrongType { found: quote(text) })?;
                Self::try_from(number).map_err(|_| Problem::OutOfRange { value: text.trim().to_owned() })
            }

            fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
                match value {
                    DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                        .ok()
                        .and_then(|number| Self::try_from(number).ok())
                        .ok_or_else(|| Problem::OutOfRange { value: number.to_string() }),
                    // TOML promises integers up to i64::MAX only; larger ones are written as strings.
                    DeValue::String(text) => match Self::from_text(text) {
                        Ok(number) if i64::try_from(number).is_err() => Ok(number),
                        _ => Err(wrong_type(value)),
                    },
                    other => Err(wrong_type(other)),
                }
            }

            fn to_toml(&self) -> String {
                if i64::try_from(*self).is_ok() { self.to_string() } else { format!("\"{self}\"") }
            }

            fn allowed() -> String {
                format!("{} to {}", Self::MIN, Self::MAX)
            }
        }
    };
}

impl Value for bool {
    const WANTS: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text.trim() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Problem::WrongType { found: quote(text) }),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match value {
            DeValue::Boolean(truth) => Ok(*truth),
            other => Err(wrong_type(other)),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

whole_number_value!(u32);
whole_number_value!(u64);

impl Value for SocketAddr {
    const WANTS: &'static str = "an IP address with a port, such as \"127.0.0.1:40000\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        text.trim().parse().map_err(|_| Problem::WrongType { found: quote(text) })
    }

    fn to_toml(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Value for Option<SocketAddr> {
    const WANTS: &'static str = "an IP address with a port, such as \"127.0.0.1:40001\", or empty";

    fn from_text(text: &str) -> Result<Self, Problem> {
        if text.trim().is_empty() { Ok(None) } else { SocketAddr::from_text(text).map(Some) }
    }

    fn to_toml(&self) -> String {
        self.as_ref().map_or_else(|| "\"\"".to_owned(), Value::to_toml)
    }
}

impl Value for Vec<SocketAddr> {
    const WANTS: &'static str = "a list of IP addresses with ports, such as \"203.0.113.9:40000\"";

    /// Separated by commas.
    fn from_text(text: &str) -> Result<Self, Problem> {
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(SocketAddr::from_text).collect()
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Problem> {
        match value {
            DeValue::Array(items) => items.iter().map(|item| SocketAddr::from_toml(item.get_ref())).collect(),
            other => Err(wrong_type(other)),
        }
    }

    fn to_toml(&self) -> String {
        let items: Vec<String> = self.iter().map(Value::to_toml).collect();
        format!("[{}]", items.join(", "))
    }
}

impl Value for Mode {
    const WANTS: &'static str = "\"copa\" or \"fixed\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text.trim() {
            "copa" => Ok(Mode::Copa),
            "fixed" => Ok(Mode::Fixed),
            _ => Err(Problem::WrongType { found: quote(text) }),
        }
    }

    fn to_toml(&self) -> String {
        let name = match self {
            Mode::Copa => "copa",
            Mode::Fixed => "fixed",
        };
        format!("\"{name}\"")
    }
}

impl Value for LogFormat {
    const WANTS: &'static str = "\"text\" or \"json\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text.trim() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(Problem::WrongType { found: quote(text) }),
        }
    }

    fn to_toml(&self) -> String {
        let name = match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        format!("\"{name}\"")
    }
}

impl Value for PathBuf {
    const WANTS: &'static str = "the path of a file, in quotes";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Ok(PathBuf::from(text))
    }

    fn to_toml(&self) -> String {
        toml_string(&self.to_string_lossy())
    }
}

impl Value for BuiltIn {
    const WANTS: &'static str = "the name of a generator: \"bsp\" or \"plain\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        BuiltIn::from_name(text.trim()).ok_or_else(|| Problem::WrongType { found: quote(text) })
    }

    fn to_toml(&self) -> String {
        format!("\"{}\"", self.name())
    }
}

impl Value for String {
    const WANTS: &'static str = "a text in quotes";

    fn from_text(text: &str) -> Result<Self, Problem> {
        Ok(text.to_owned())
    }

    fn to_toml(&self) -> String {
        toml_string(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_generators_are_all_that_there_are() {
        for generator in BuiltIn::ALL {
            assert!(BuiltIn::WANTS.contains(&generator.to_toml()), "{generator:?}");
        }
    }

    fn wrong(found: &str) -> Problem {
        Problem::WrongType { found: found.to_owned() }
    }

    fn out_of_range(value: &str) -> Problem {
        Problem::OutOfRange { value: value.to_owned() }
    }

    #[test]
    fn whole_numbers_in_text_may_be_hexadecimal_and_grouped() {
        assert_eq!(u64::from_text("0x6e69"), Ok(0x6e69));
        assert_eq!(u32::from_text(" 65_536 "), Ok(65_536));
        assert_eq!(u64::from_text("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_number_is_told_from_a_number_out_of_range() {
        for text in ["", "6.5", "sixty", "0x", "0x-1", "1e3", "_", "0xg"] {
            assert_eq!(u32::from_text(text), Err(wrong(&format!("\"{text}\""))), "{text}");
        }
        for text in ["-1", "4294967296", "0xfffffffff", "99999999999999999999999999999999999999999999"] {
            assert_eq!(u32::from_text(text), Err(out_of_range(text)), "{text}");
        }
    }

    #[test]
    fn a_number_above_what_toml_promises_is_written_as_a_string_and_read_back() {
        assert_eq!(u64::MAX.to_toml(), "\"18446744073709551615\"");
        let in_file = DeValue::String("18446744073709551615".into());
        assert_eq!(u64::from_toml(&in_file), Ok(u64::MAX));
        // A number that needs no quotes must not have them.
        assert_eq!(u64::from_toml(&DeValue::String("60".into())), Err(wrong("\"60\"")));
    }

    #[test]
    fn addresses_in_text_are_separated_by_commas() {
        let both = Vec::<SocketAddr>::from_text("127.0.0.1:1, [::1]:2").unwrap();
        assert_eq!(both.to_toml(), "[\"127.0.0.1:1\", \"[::1]:2\"]");
        assert_eq!(Vec::<SocketAddr>::from_text(""), Ok(vec![]));
        assert_eq!(SocketAddr::from_text("localhost:1"), Err(wrong("\"localhost:1\"")));
    }

    #[test]
    fn a_mode_is_one_of_its_names() {
        for mode in [Mode::Copa, Mode::Fixed] {
            assert_eq!(Mode::from_text(mode.to_toml().trim_matches('"')), Ok(mode));
        }
        assert_eq!(Mode::from_text("cubic"), Err(wrong("\"cubic\"")));
    }

    #[test]
    fn a_truth_is_a_word_in_a_flag_and_no_text_in_a_file() {
        assert_eq!((bool::from_text("true"), bool::from_text(" false ")), (Ok(true), Ok(false)));
        assert_eq!(bool::from_text("yes"), Err(wrong("\"yes\"")));
        assert_eq!(bool::from_toml(&DeValue::Boolean(true)), Ok(true));
        assert_eq!(bool::from_toml(&DeValue::String("true".into())), Err(wrong("\"true\"")));
    }

    #[test]
    fn a_log_format_is_one_of_its_names() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(LogFormat::from_text(format.to_toml().trim_matches('"')), Ok(format));
        }
        assert_eq!(LogFormat::from_text("xml"), Err(wrong("\"xml\"")));
    }

    #[test]
    fn a_text_stays_on_its_line_and_can_be_read_back() {
        let odd = "a\"b\\c\nd\u{7f}e\tf".to_owned();
        let line = odd.to_toml();
        assert!(!line.contains('\n'));
        let text = format!("x = {line}");
        let table = toml::de::DeTable::parse(&text).unwrap();
        assert_eq!(table.get_ref()["x"].get_ref().as_str(), Some(odd.as_str()));
    }

    #[test]
    fn a_long_value_is_cut_in_errors() {
        let Err(Problem::WrongType { found }) = u32::from_text(&"x".repeat(10_000)) else { panic!() };
        assert!(found.len() < 80, "{found}");
    }
}
