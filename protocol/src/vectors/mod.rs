//! Golden byte vectors: every packet and frame with its fields and its bytes, in text files that any
//! language can read (`vectors/README.md` has the format).
//!
//! Each vector is checked both ways: the fields make the bytes, the bytes give the fields. A vector that has
//! to be refused says why. Written anew by
//! `cargo test -p ninefold-protocol -- --ignored the_vectors_are_written_anew`.

mod frames;
mod link;
mod moving;

pub(crate) use moving::two_walk_straight_on;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

/// A field by which a vector says that it must be refused, and why.
const REFUSED: &str = "refused";

/// One thing that has bytes on the wire.
pub(crate) struct Unit {
    pub name: &'static str,
    /// The bytes of these fields.
    pub encode: fn(&Fields) -> Vec<u8>,
    /// The fields of these bytes, in order; keys and whatever else is not in the bytes is taken from the
    /// fields given. An error says why the bytes are refused.
    pub decode: fn(&Fields, &[u8]) -> Result<Fields, String>,
}

/// Named values, as the file has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Adds a number, or whatever else is written as it is.
    pub fn with(mut self, name: &str, value: impl ToString) -> Fields {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds bytes.
    pub fn hex(self, name: &str, bytes: &[u8]) -> Fields {
        self.with(name, hex(bytes))
    }

    /// Puts other bytes in a field's place.
    pub fn replace(mut self, name: &str, bytes: &[u8]) -> Fields {
        let field = self.0.iter_mut().find(|(n, _)| n == name);
        field.unwrap_or_else(|| panic!("no field `{name}`")).1 = hex(bytes);
        self
    }

    /// Adds numbers and bytes that are given and not read from the wire.
    pub fn given(self, fields: &Fields, names: &[&str]) -> Fields {
        names.iter().fold(self, |all, name| all.with(name, fields.text(name)))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    pub fn text(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(n, _)| n == name);
        &field.unwrap_or_else(|| panic!("no field `{name}` in {self:?}")).1
    }

    pub fn number<T: FromStr>(&self, name: &str) -> T {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("`{name}` is {text:?}"))
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name)).unwrap_or_else(|| panic!("`{name}` is no hexadecimal bytes"))
    }

    pub fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        let bytes = self.bytes(name);
        bytes.try_into().unwrap_or_else(|b: Vec<u8>| panic!("`{name}` has {} bytes, not {N}", b.len()))
    }

    fn refused(&self) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == REFUSED).map(|(_, why)| &why[..])
    }
}

/// What a vector is made from.
pub(crate) struct Sample {
    unit: &'static str,
    case: &'static str,
    fields: Fields,
    /// For those that are refused; the others are encoded.
    bytes: Option<Vec<u8>>,
}

impl Sample {
    pub fn new(unit: &'static str, case: &'static str, fields: Fields) -> Sample {
        Sample { unit, case, fields, bytes: None }
    }

    /// A vector that must be refused; what the decoder says is written beside it.
    pub fn refused(unit: &'static str, case: &'static str, fields: Fields, bytes: &[u8]) -> Sample {
        Sample { unit, case, fields, bytes: Some(bytes.to_vec()) }
    }
}

/// One file of vectors.
pub(crate) struct File {
    pub name: &'static str,
    pub about: &'static str,
    pub units: &'static [Unit],
    pub samples: fn() -> Vec<Sample>,
}

impl File {
    fn path(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(self.name)
    }

    fn unit(&self, name: &str) -> &Unit {
        self.units.iter().find(|u| u.name == name).unwrap_or_else(|| panic!("no unit {name}"))
    }

    /// Writes the file from the samples.
    pub fn write(&self) {
        let mut text =
            format!("# {}\n# vectors/README.md tells the format and how this file is made.\n", self.about);
        for Sample { unit, case, fields, bytes } in (self.samples)() {
            let decode = self.unit(unit).decode;
            let (fields, bytes) = match bytes {
                Some(bytes) => {
                    let why = decode(&fields, &bytes).expect_err("the bytes are to be refused");
                    (fields.with(REFUSED, why), bytes)
                }
                None => {
                    let bytes = (self.unit(unit).encode)(&fields);
                    (fields, bytes)
                }
            };
            let _ = write!(text, "\nvector {unit}, {case}\n");
            for (name, value) in &fields.0 {
                let _ = writeln!(text, "{}", format!("{name} {value}").trim_end());
            }
            let _ = writeln!(text, "bytes {}", hex(&bytes));
        }
        std::fs::write(self.path(), text).expect("the vectors can be written");
    }

    /// Checks every vector of the file, both ways, and that none is missing.
    pub fn check(&self) {
        let text = std::fs::read_to_string(self.path()).expect("the vectors can be read");
        let mut names = Vec::new();
        for block in text.split("\n\n").filter(|b| !b.starts_with('#')) {
            let (name, fields) = parse(block);
            let unit = self.unit(name.split_once(", ").expect("a vector is `unit, case`").0);
            let bytes = fields.bytes("bytes");
            let mut fields = fields;
            fields.0.pop();
            match fields.refused() {
                Some(why) => assert_eq!((unit.decode)(&fields, &bytes), Err(why.to_owned()), "{name}"),
                None => {
                    assert_eq!((unit.decode)(&fields, &bytes).as_ref(), Ok(&fields), "{name}");
                    assert_eq!(hex(&(unit.encode)(&fields)), hex(&bytes), "{name}");
                }
            }
            names.push(name);
        }
        let expected: Vec<String> =
            (self.samples)().iter().map(|s| format!("{}, {}", s.unit, s.case)).collect();
        assert_eq!(names, expected, "{}: write it anew", self.name);
        for unit in self.units {
            let is_there = names.iter().any(|n| n.split_once(", ").is_some_and(|(u, _)| u == unit.name));
            assert!(is_there, "no vector of {}", unit.name);
        }
    }
}

/// A block's name and its fields, the bytes last.
fn parse(block: &str) -> (String, Fields) {
    let mut lines = block.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let (word, name) = lines.next().expect("a block has lines");
    assert_eq!(word, "vector", "{block}");
    (name.to_owned(), Fields(lines.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    pairs.iter().map(|[high, low]| Some((nibble(*high)? << 4 | nibble(*low)?) as u8)).collect()
}

/// Every file.
const FILES: [&File; 4] = [&crate::connection::VECTORS, &link::VECTORS, &frames::VECTORS, &moving::VECTORS];

#[test]
fn every_vector_holds_both_ways() {
    FILES.iter().for_each(|file| file.check());
}

#[test]
#[ignore = "writes vectors/*.txt"]
fn the_vectors_are_written_anew() {
    FILES.iter().for_each(|file| file.write());
}
