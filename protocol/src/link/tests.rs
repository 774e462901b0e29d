//! Two ends and what the line between them does.

use super::endpoint::widen;
use super::*;
use crate::frame::{Message, kind};
use crate::limits::PACKET_BYTES_MAX;
use crate::time::{Duration, Instant};
use proptest::prelude::*;

const FRAME: u8 = 0x77;

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

/// One packet with a one-byte frame that is also its token.
fn send(link: &mut Link<u8>, now: Instant, value: u8) -> Vec<u8> {
    let mut buffer = [0xa5; PACKET_BYTES_MAX];
    let mut packet = link.packet(now, &mut buffer);
    packet.push(FRAME, &[&[value]]).token(value);
    let built = packet.finish().unwrap();
    buffer[..built.head_bytes].to_vec()
}

fn say_ack(link: &mut Link<u8>, now: Instant) -> Option<Vec<u8>> {
    let mut buffer = [0xa5; PACKET_BYTES_MAX];
    let built = link.packet(now, &mut buffer).finish()?;
    Some(buffer[..built.head_bytes].to_vec())
}

fn outcomes(link: &mut Link<u8>) -> Vec<Outcome<u8>> {
    std::iter::from_fn(|| link.poll_outcome()).collect()
}

fn pair() -> (Link<u8>, Link<u8>) {
    (Link::new(at(0)), Link::new(at(0)))
}

#[test]
fn literal_bytes_of_a_packet() {
    let (mut a, mut b) = pair();
    let bytes = send(&mut a, at(0), 9);
    assert_eq!(bytes, [0, 0, 0, 0, FRAME, 1, 0, 9]);
    assert_eq!(b.handle_packet(at(1), &bytes).unwrap().collect::<Vec<_>>(), [(FRAME, &[9][..])]);
    let ack = say_ack(&mut b, at(2)).unwrap();
    assert_eq!(ack, [0, 0, 0, 0, kind::ACK, 9, 0, 0, 0, 0, 0, 125, 0, 0, 0, 0]);
}

#[test]
fn an_answer_gives_the_round_trip_and_the_token() {
    let (mut a, mut b) = pair();
    let bytes = send(&mut a, at(0), 9);
    b.handle_packet(at(20), &bytes).unwrap();
    let ack = say_ack(&mut b, at(25)).unwrap();
    assert_eq!(a.handle_packet(at(45), &ack).unwrap().count(), 0);
    assert_eq!(outcomes(&mut a), [Outcome::Acked(9)]);
    assert_eq!(a.rtt().latest(), Some(Duration::from_ms(45)));
    assert_eq!(a.bytes_in_flight(), 0);
    // An acknowledgement alone asks for none: the conversation ends here.
    assert!(!a.wants_to_send());
}

#[test]
fn a_probe_says_again_what_nobody_has_acknowledged() {
    let (mut a, mut b) = pair();
    a.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
    let mut buffer = [0; PACKET_BYTES_MAX];
    let _lost = a.packet(at(0), &mut buffer).finish().unwrap();
    let mut came = None;
    for ms in 1..6_000 {
        a.handle_timeout(at(ms));
        if a.wants_to_send() {
            let built = a.packet(at(ms), &mut buffer).finish().unwrap();
            b.handle_packet(at(ms), &buffer[..built.head_bytes]).unwrap();
            came = b.poll_message().map(|raw| (ms, Message::decode(&raw).unwrap()));
            break;
        }
    }
    let (ms, message) = came.expect("the probe carries it");
    assert_eq!(message, Message::ChunkEnter { cx: 1, cz: 2 });
    assert!(ms < 1_500, "after {ms} ms");
}

#[test]
fn inputs_alone_are_answered_together_and_anything_else_at_once() {
    let (mut a, mut b) = pair();
    let mut say = |kind: u8, ms: u64| {
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut packet = a.packet(at(ms), &mut buffer);
        packet.push(kind, &[&[1]]);
        let bytes = packet.finish().unwrap().head_bytes;
        b.handle_timeout(at(ms));
        b.handle_packet(at(ms), &buffer[..bytes]).unwrap();
        b.wants_to_send()
    };
    assert_eq!([0, 16, 249].map(|ms| say(kind::INPUTS, ms)), [false; 3]);
    assert!(say(kind::INPUTS, 250) && say(FRAME, 251));
    assert!(say_ack(&mut b, at(252)).is_some());
    b.handle_timeout(at(600));
    assert!(!b.wants_to_send());
}

#[test]
fn a_gap_of_three_is_a_loss() {
    let (mut a, mut b) = pair();
    let packets: Vec<_> = (0..5).map(|i| send(&mut a, at(0), i)).collect();
    for i in [1, 2, 3] {
        b.handle_packet(at(10), &packets[i]).unwrap();
    }
    let ack = say_ack(&mut b, at(10)).unwrap();
    a.handle_packet(at(20), &ack).unwrap();
    let (lost, acked): (Vec<_>, Vec<_>) =
        outcomes(&mut a).into_iter().partition(|o| matches!(o, Outcome::Lost(_)));
    assert_eq!((lost, acked.len()), (vec![Outcome::Lost(0)], 3));
}

#[test]
fn what_the_link_has_to_say_is_not_in_a_bare_packet() {
    let (mut a, mut b) = pair();
    // Every other packet is lost, and none of them asks for an answer: nothing is due, and there is much to say.
    for i in 0..40 {
        let packet = send(&mut a, at(i), 1);
        if i % 2 == 0 {
            b.handle_packet(at(i), &packet).unwrap();
        }
    }
    b.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
    let mut buffer = [0xa5; PACKET_BYTES_MAX];
    let mut packet = b.bare_packet(at(50), &mut buffer);
    packet.push_with_tail(FRAME, &[0; 29], 1_150);
    let built = packet.finish().unwrap();
    assert_eq!(built.head_bytes + built.tail_bytes, 4 + 3 + 29 + 1_150);
    // It is said in the next.
    assert!(b.wants_to_send());
    let next = say_ack(&mut b, at(51)).unwrap();
    assert!(next.len() > 4 + 3 + 9 + 4 * 19);
    a.handle_packet(at(60), &next).unwrap();
    assert_eq!(outcomes(&mut a).iter().filter(|o| matches!(o, Outcome::Acked(_))).count(), 20);
    assert!(a.poll_message().is_some());
}

#[test]
fn a_packet_is_taken_once() {
    let (mut a, mut b) = pair();
    let bytes = send(&mut a, at(0), 1);
    assert!(b.handle_packet(at(0), &bytes).is_ok());
    assert_eq!(b.handle_packet(at(0), &bytes).unwrap_err(), LinkError::Duplicate(0));
    assert_eq!(b.stats().packets_duplicate, 1);
}

#[test]
fn an_answer_to_what_was_never_sent_is_refused_whole() {
    let (mut a, _) = pair();
    let forged = [0, 0, 0, 0, kind::ACK, 9, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(a.handle_packet(at(0), &forged).unwrap_err(), LinkError::AckedUnsent(5));
    assert_eq!(a.stats().packets_received, 0);
}

#[test]
fn answers_that_cannot_be_or_come_again_do_not_move_the_rate() {
    let (mut a, mut b) = pair();
    let packets: Vec<_> = (0..8).map(|i| send(&mut a, at(0), i)).collect();
    for packet in &packets {
        b.handle_packet(at(20), packet).unwrap();
    }
    let ack = say_ack(&mut b, at(20)).unwrap();
    a.held_back(at(17));
    a.handle_packet(at(40), &ack).unwrap();
    a.handle_timeout(at(40));
    let (flow, acked) = (a.flow(), a.stats().packets_acked);
    assert_eq!(acked, 8);
    for number in 1..200u8 {
        // The same ranges again, and packets that were never sent.
        let again = [&[number, 0, 0, 0], &ack[4..]].concat();
        a.handle_packet(at(41), &again).unwrap();
        let forged = [200, number, 0, 0, kind::ACK, 9, 0, number + 20, 0, 0, 0, 0, 0, 0, 10, 0];
        assert!(matches!(a.handle_packet(at(41), &forged), Err(LinkError::AckedUnsent(_))));
    }
    a.held_back(at(60));
    a.handle_timeout(at(57));
    assert_eq!((a.flow(), a.stats().packets_acked), (flow, acked));
}

#[test]
fn silence_makes_a_probe_and_answers_stop_it() {
    let (mut a, mut b) = pair();
    let _lost = send(&mut a, at(0), 1);
    a.handle_timeout(at(10_000));
    let probe = say_ack(&mut a, at(10_000)).unwrap();
    assert_eq!(probe[4], kind::PING);
    assert_eq!(a.stats().probes_sent, 1);
    b.handle_packet(at(10_010), &probe).unwrap();
    let ack = say_ack(&mut b, at(10_010)).unwrap();
    a.handle_packet(at(10_020), &ack).unwrap();
    a.handle_timeout(at(10_400));
    assert_eq!(outcomes(&mut a), [Outcome::Lost(1)]);
    assert!(!a.wants_to_send());
}

#[test]
fn numbers_are_widened_near_the_wrap() {
    assert_eq!(widen(0xffff_ffff, 1 << 32), (1 << 32) - 1);
    assert_eq!(widen(3, (1 << 32) - 2), (1 << 32) + 3);
    assert_eq!(widen(7, 5), 7);
    assert_eq!(widen(0xffff_ffff, 5), 0xffff_ffff);
}

/// Sends a packet a tick for so long, each answered after a round trip.
fn converse(a: &mut Link<u8>, b: &mut Link<u8>, from_ms: u64, to_ms: u64, rtt_ms: u64) {
    let mut under_way = std::collections::VecDeque::new();
    for ms in (from_ms..to_ms).step_by(16) {
        under_way.push_back((ms + rtt_ms, send(a, at(ms), 1)));
        while under_way.front().is_some_and(|(due, _)| *due <= ms) {
            let (due, packet) = under_way.pop_front().unwrap();
            b.handle_packet(at(due - rtt_ms / 2), &packet).unwrap();
            let answer = say_ack(b, at(due - rtt_ms / 2)).unwrap();
            a.handle_packet(at(due), &answer).unwrap();
        }
        a.handle_timeout(at(ms));
    }
}

#[test]
fn a_new_path_begins_with_nothing_known_and_nothing_lost() {
    let (mut a, mut b) = pair();
    converse(&mut a, &mut b, 0, 2_000, 32);
    assert!(a.rtt().smoothed() < Duration::from_ms(60) && a.flow().path_rtt.is_some());
    outcomes(&mut a);
    let in_flight: Vec<_> = (10..14).map(|value| send(&mut a, at(2_000), value)).collect();
    a.path_changed(at(2_010));
    assert_eq!((a.rtt(), a.flow()), (Link::<u8>::new(at(0)).rtt(), Link::<u8>::new(at(0)).flow()));
    assert!(a.bytes_in_flight() > 0);
    // What is on its way is answered late, and says nothing of the new path.
    for packet in &in_flight {
        b.handle_packet(at(2_200), packet).unwrap();
    }
    let answer = say_ack(&mut b, at(2_200)).unwrap();
    a.handle_packet(at(2_300), &answer).unwrap();
    assert_eq!(a.rtt().latest(), None);
    let told = outcomes(&mut a);
    for value in 10..14 {
        assert!(told.contains(&Outcome::Acked(value)), "{told:?}");
    }
    // The first that takes it says all.
    let packet = send(&mut a, at(2_320), 20);
    b.handle_packet(at(2_420), &packet).unwrap();
    let answer = say_ack(&mut b, at(2_420)).unwrap();
    a.handle_packet(at(2_520), &answer).unwrap();
    assert_eq!(a.rtt().smoothed(), Duration::from_ms(200));
    assert_eq!(a.flow().path_rtt, Some(Duration::from_ms(200)));
}

#[test]
fn what_was_lost_on_the_way_to_another_address_says_nothing_of_this_path() {
    let (mut a, mut b) = pair();
    converse(&mut a, &mut b, 0, 2_000, 32);
    outcomes(&mut a);
    (0..100).for_each(|_| drop(send(&mut a, at(2_000), 7)));
    a.path_changed(at(2_010));
    for ms in 2_020..2_030 {
        let packet = send(&mut a, at(ms), 8);
        b.handle_packet(at(ms), &packet).unwrap();
    }
    let answer = say_ack(&mut b, at(2_100)).unwrap();
    a.handle_packet(at(2_150), &answer).unwrap();
    let lost = outcomes(&mut a).iter().filter(|o| **o == Outcome::Lost(7)).count();
    assert_eq!((lost, a.loss_permille(), a.flow().loss_permille), (100, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any loss, duplication and order on both ways: reliable messages come out in order and once,
    /// and every token is told of exactly once in the end.
    #[test]
    fn whatever_the_line_does_everything_is_accounted_for(
        fates in proptest::collection::vec((0u8..10, 0u8..10), 60),
    ) {
        let (mut a, mut b) = pair();
        let mut told = Vec::new();
        let mut heard = Vec::new();
        let mut late: Vec<Vec<u8>> = Vec::new();
        for step in 0..200u64 {
            let now = at(step * 16);
            let (there, back) = fates.get(step as usize).copied().unwrap_or((9, 9));
            if step < 50 {
                a.send_message(&Message::ChunkEnter { cx: step as i32, cz: 0 }).unwrap();
            }
            let bytes = send(&mut a, now, step as u8);
            let mut arriving = match there {
                0 | 1 => vec![],
                2 => vec![bytes.clone(), bytes],
                3 => { late.push(bytes); vec![] }
                _ => vec![bytes],
            };
            if step % 7 == 0 { arriving.append(&mut late); }
            for bytes in arriving {
                let _ = b.handle_packet(now, &bytes);
                heard.extend(std::iter::from_fn(|| b.poll_message()));
            }
            if let Some(ack) = say_ack(&mut b, now) && back > 2 {
                let _ = a.handle_packet(now, &ack);
            }
            a.handle_timeout(now);
            told.extend(outcomes(&mut a).into_iter().map(|o| match o { Outcome::Acked(t) | Outcome::Lost(t) => t }));
        }
        let expected: Vec<_> = (0..50).map(|cx| Message::ChunkEnter { cx, cz: 0 }.encode()).collect();
        prop_assert_eq!(heard, expected);
        told.sort_unstable();
        let before = told.len();
        told.dedup();
        prop_assert_eq!(told.len(), before);
        prop_assert!(before >= 195);
        prop_assert!(a.reliable_is_settled());
    }

    #[test]
    fn no_bytes_make_it_panic(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..40)) {
        let (mut a, _) = pair();
        for i in 0..40 { send(&mut a, at(0), i); }
        for bytes in packets {
            let _ = a.handle_packet(at(1), &bytes);
            while a.poll_message().is_some() {}
        }
    }

    #[test]
    fn mutated_packets_do_not_panic(at_byte in 0usize..60, value: u8) {
        let (mut a, mut b) = pair();
        for i in 0..10u8 {
            let bytes = send(&mut a, at(0), i);
            if i % 2 == 0 { b.handle_packet(at(1), &bytes).unwrap(); }
        }
        b.send_message(&Message::ChunkEnter { cx: 1, cz: 2 }).unwrap();
        let mut bytes = send(&mut b, at(2), 1);
        let at_byte = at_byte % bytes.len();
        bytes[at_byte] = value;
        let _ = a.handle_packet(at(3), &bytes);
        while a.poll_message().is_some() {}
    }
}
