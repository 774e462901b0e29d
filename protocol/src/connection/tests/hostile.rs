//! Bad lines and bad intentions: loss, duplication, reordering, random and altered bytes.

use proptest::prelude::*;

use super::super::limits::{HANDSHAKES_MAX, USER_DATA_LEN};
use super::*;

/// A line that does to each datagram what the next fate says.
struct Line {
    fates: std::vec::IntoIter<u8>,
    delayed: Vec<Vec<u8>>,
}

impl Line {
    fn new(fates: Vec<u8>) -> Self {
        Line { fates: fates.into_iter(), delayed: Vec::new() }
    }

    /// What arrives of `sent`, with what was held back before if `releases`.
    fn carry(&mut self, sent: Vec<Vec<u8>>, releases: bool) -> Vec<Vec<u8>> {
        let mut arriving = Vec::new();
        for datagram in sent {
            match self.fates.next() {
                Some(0 | 1) => {}
                Some(2) => arriving.extend([datagram.clone(), datagram]),
                Some(3) => self.delayed.push(datagram),
                _ => arriving.push(datagram),
            }
        }
        if releases {
            arriving.append(&mut self.delayed);
            arriving.reverse();
        }
        arriving
    }
}

fn altered(mut datagram: Vec<u8>, at_byte: prop::sample::Index, value: u8) -> Vec<u8> {
    if !datagram.is_empty() {
        let at_byte = at_byte.index(datagram.len());
        datagram[at_byte] ^= value | 1;
    }
    datagram
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// On a line that loses, doubles and reorders both ways, a client gets in, every payload arrives at
    /// most once, and once the line has healed it stays in.
    #[test]
    fn a_bad_line_only_delays(
        up in prop::collection::vec(0u8..6, 400),
        down in prop::collection::vec(0u8..6, 400),
    ) {
        let (mut server, mut client) = (server(2), client(42, 1));
        let (mut up, mut down) = (Line::new(up), Line::new(down));
        let (mut heard, mut heard_down) = (Vec::new(), Vec::new());
        let mut said = 0u32;
        for ms in (0..8_000).step_by(20) {
            let now = at(ms);
            server.handle_timeout(now);
            client.handle_timeout(now);
            let mut rising = sent_by_client(&mut client, now);
            if client.state() == ClientState::Connected {
                rising.push(say(&mut client, now, &said.to_le_bytes()));
                said += 1;
            }
            for mut datagram in up.carry(rising, ms % 140 == 0) {
                if let Received::Payload { bytes, .. } = server.handle(now, address(1), &mut datagram) {
                    heard.push(bytes.to_vec());
                }
            }
            let mut falling: Vec<_> = sent_by_server(&mut server, now).into_iter().map(|d| d.1).collect();
            if server.connected() == 1 {
                falling.push(say_down(&mut server, now, 0, &ms.to_le_bytes()));
            }
            for mut datagram in down.carry(falling, ms % 140 == 0) {
                if let ClientReceived::Payload(bytes) = client.handle(now, server_address(), &mut datagram) {
                    heard_down.push(bytes.to_vec());
                }
            }
        }
        prop_assert_eq!((client.state(), server.connected()), (ClientState::Connected, 1));
        for mut heard in [heard, heard_down] {
            let before = heard.len();
            heard.sort();
            heard.dedup();
            prop_assert!(before == heard.len() && before > 50, "{} of {}", heard.len(), before);
        }
    }

    #[test]
    fn altered_packets_of_a_session_change_nothing(
        alterations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..60)
    ) {
        let mut server = server(4);
        let mut client = connected(&mut server, 42, 1, address(1), at(0));
        let request = request_of(43, 2);
        for (index, value, which) in alterations {
            let datagram = match which {
                0 => request.clone(),
                1 => say(&mut client, at(1), b"payload"),
                2 => vec![value; index.index(1_300)],
                _ => say_down(&mut server, at(1), 0, b"payload"),
            };
            let datagram = altered(datagram, index, value);
            let (mut up, mut down) = (datagram.clone(), datagram);
            let received = server.handle(at(1), address(u16::from(value) % 3), &mut up);
            prop_assert_eq!(received, Received::Nothing);
            let received = client.handle(at(1), server_address(), &mut down);
            prop_assert_eq!(received, ClientReceived::Nothing);
        }
        prop_assert_eq!((server.connected(), client.state()), (1, ClientState::Connected));
        prop_assert_eq!(server.handshakes(), 0);
    }

    /// Whatever comes at whatever step of the way in, what is kept stays bounded and the way stays open.
    #[test]
    fn altered_packets_on_the_way_in_do_not_block_it(
        alterations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 8..40)
    ) {
        let (mut server, mut client) = (server(4), client(42, 1));
        for (step, (index, value)) in alterations.into_iter().enumerate() {
            let now = at(step as u64 * 100);
            server.handle_timeout(now);
            client.handle_timeout(now);
            for datagram in sent_by_client(&mut client, now) {
                server.handle(now, address(1), &mut altered(datagram.clone(), index, value));
                server.handle(now, address(1), &mut datagram.clone());
            }
            for (_, datagram) in sent_by_server(&mut server, now) {
                client.handle(now, server_address(), &mut altered(datagram.clone(), index, value));
                client.handle(now, server_address(), &mut datagram.clone());
            }
        }
        prop_assert_eq!((server.connected(), client.state()), (1, ClientState::Connected));
        prop_assert!(server.handshakes() <= 1);
    }

    /// Copies, altered copies, reflections and noise, from its own and from other addresses: an extended
    /// session stays, where it is, and hears nothing twice.
    #[test]
    fn a_session_with_a_connection_id_is_moved_by_nobody_else(
        tricks in prop::collection::vec(
            (0usize..5, 1u16..5, any::<prop::sample::Index>(), any::<u8>(), 0u8..16), 1..80)
    ) {
        let mut server = server(4);
        let params = TokenParams { user_data: [0; USER_DATA_LEN], ..params(42, &[SERVER]) };
        let token = ConnectToken::mint_extended(&params, Extensions::ALL, &PRIVATE_KEY, [1; 24], [2; 32], [3; 32]);
        let mut client = Client::new(at(0), 1_000, &token.unwrap()).unwrap();
        exchange(&mut server, &mut client, address(1), at(0));
        let mut heard = std::collections::BTreeSet::new();
        for (step, (trick, from, index, value, kind)) in tricks.into_iter().enumerate() {
            let now = at(step as u64 * 7);
            let honest = say(&mut client, now, &(step as u64).to_le_bytes());
            let mut sent = match trick {
                0 => vec![(address(1), honest.clone()), (address(from), honest)],
                1 => vec![(address(from), honest.clone()), (address(1), honest)],
                2 => vec![(address(from), altered(honest.clone(), index, value)), (address(1), honest)],
                3 => vec![(address(from), say_down(&mut server, now, 0, b"reflected")), (address(1), honest)],
                _ => vec![(address(from), vec![0x80 | kind; index.index(1_300)]), (address(1), honest)],
            };
            for (from, datagram) in &mut sent {
                if let Received::Payload { bytes, .. } = server.handle(now, *from, datagram) {
                    prop_assert!(heard.insert(bytes.to_vec()), "heard twice");
                }
            }
            for (to, mut datagram) in sent_by_server(&mut server, now) {
                // Only what is sent to where it is reaches the client.
                if to == address(1) {
                    client.handle(now, server_address(), &mut datagram);
                }
            }
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        prop_assert_eq!(server.seal(at(1_000), 0, &[b"x"], &mut buffer).unwrap().0, address(1));
        prop_assert_eq!((server.connected(), server.counters().moved), (1, 0));
    }

    #[test]
    fn random_bytes_never_panic(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..1_300), 0u16..4, 0u8..16), 1..40)
    ) {
        let mut server = server(4);
        let mut clients = [client(1, 1), connected(&mut server, 42, 2, address(1), at(0))];
        for (step, (mut bytes, from, kind)) in datagrams.into_iter().enumerate() {
            let now = at(step as u64 * 10);
            if let Some(prefix) = bytes.first_mut() {
                *prefix = *prefix & 0xf0 | kind;
            }
            server.handle(now, address(from), &mut bytes.clone());
            server.handle_timeout(now);
            for client in &mut clients {
                client.handle(now, server_address(), &mut bytes.clone());
                client.handle_timeout(now);
            }
        }
        prop_assert_eq!(server.connected(), 1);
        prop_assert!(server.handshakes() <= HANDSHAKES_MAX);
    }
}
