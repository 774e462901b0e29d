//! The tables against the golden bytes, which the code makes and reads.

use super::*;

/// A vector: its unit, its fields, its bytes.
type Vector = (String, Vec<(String, String)>, Vec<u8>);

/// All vectors that are not refused.
fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for file in ["link.txt", "frames.txt", "moving.txt"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        let text = std::fs::read_to_string(path).expect("the vectors can be read");
        for block in text.split("\n\n").filter(|b| b.starts_with("vector ") && !b.contains("\nrefused ")) {
            let mut lines = block.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
            let unit = lines.next().unwrap().1.split_once(", ").unwrap().0.to_owned();
            let mut fields: Vec<_> = lines.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            let (_, hex) = fields.pop().unwrap();
            let digits: Vec<u32> = hex[2..].chars().map(|c| c.to_digit(16).unwrap()).collect();
            let bytes = digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect();
            all.push((unit, fields, bytes));
        }
    }
    all
}

/// Reads `fields` from the front of `bytes` and compares those that the vector names; tells how many, and what
/// is left.
fn compare<'b>(
    fields: &[Field],
    named: &[(String, String)],
    mut bytes: &'b [u8],
    unit: &str,
) -> (usize, &'b [u8]) {
    let mut compared = 0;
    for field in fields {
        let value = field.scalar.read(bytes).unwrap_or_else(|| panic!("{unit} ends before {}", field.name));
        bytes = &bytes[field.scalar.bytes()..];
        if let Some((_, expected)) = named.iter().find(|(name, _)| name == field.name) {
            assert_eq!(&value.to_string(), expected, "{unit} {}", field.name);
            compared += 1;
        }
    }
    (compared, bytes)
}

#[test]
fn fields_are_where_the_golden_bytes_have_them() {
    let vectors = vectors();
    for unit in FRAMES.iter().chain(MESSAGES) {
        let of_it: Vec<_> = vectors.iter().filter(|(name, ..)| name == unit.name).collect();
        assert!(unit.fields.is_empty() || !of_it.is_empty(), "no vector of {}", unit.name);
        for (_, named, bytes) in of_it {
            let (compared, rest) = compare(unit.fields, named, bytes, unit.name);
            assert!(compared > 0 || unit.name == "ACK", "nothing of {} was compared", unit.name);
            assert!(rest.is_empty() || !unit.rest.is_empty(), "{} is longer", unit.name);
            if MESSAGES.iter().any(|m| std::ptr::eq(m, unit)) {
                let kind = named.iter().find(|(name, _)| name == "kind").unwrap();
                assert_eq!(kind.1, unit.number.to_string(), "{}", unit.name);
            }
            if unit.number == message::REFUSE && unit.name == "REFUSE" {
                let reason = REFUSALS.iter().find(|r| r.number == bytes[0]).expect("every reason is there");
                assert!(compare(reason.fields, named, rest, reason.name).1.is_empty());
            }
        }
    }
}

#[test]
fn an_acknowledgement_is_as_its_fields_say() {
    let vectors = vectors();
    let ack = FRAMES.iter().find(|unit| unit.number == kind::ACK).unwrap();
    let (_, _, bytes) = vectors.iter().filter(|(name, ..)| name == "ACK").max_by_key(|v| v.2.len()).unwrap();
    let more = ack.fields[2].scalar.read(&bytes[6..]).unwrap();
    let fixed: usize = ack.fields.iter().map(|f| f.scalar.bytes()).sum();
    assert_eq!(bytes.len(), fixed + 4 * more as usize);
}

#[test]
fn every_kind_of_frame_has_vectors_by_which_it_is_held() {
    let vectors = vectors();
    let names: Vec<&str> = FRAMES.iter().chain(MESSAGES).map(|unit| unit.name).collect();
    let others = ["packet", "FRAGMENT with parity", "unknown message"];
    for (unit, ..) in &vectors {
        assert!(names.contains(&&unit[..]) || others.contains(&&unit[..]), "{unit} is in no table");
    }
}

#[test]
fn numbers_are_read_with_their_sign() {
    assert_eq!(Scalar::I8.read(&[0xff, 1]), Some(-1));
    assert_eq!(Scalar::U32.read(&[1, 0, 0, 0x80]), Some(0x8000_0001));
    assert_eq!(Scalar::I32.read(&[1, 0, 0, 0x80]), Some(0x8000_0001 - (1 << 32)));
    assert_eq!(Scalar::U64.read(&[0xff; 8]), Some(u64::MAX.into()));
    assert_eq!(Scalar::U16.read(&[1]), None);
}
