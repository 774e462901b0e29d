//! Clients spread over shards: the first has the way in, another one the sessions of those who came to its socket.

use super::*;
use crate::connection::limits::USER_DATA_LEN;

const OTHER: Shard = Shard(1);

/// A first shard and another one. Who has an odd port comes to the other's socket.
struct Two {
    first: Server,
    other: Sessions,
    /// What the other was handed, and what it handed on.
    handed: (usize, usize),
}

fn shard_of(from: SocketAddr) -> Shard {
    Shard((from.port() % 2) as u8)
}

fn at_port(port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], port))
}

impl Two {
    fn new(clients_max: u32) -> Two {
        let first = server(clients_max);
        let other =
            Sessions::new(&config(clients_max, HandshakeLimits::default()), [7; KEY_LEN], [8; KEY_LEN]);
        Two { first, other, handed: (0, 0) }
    }

    /// A datagram comes to the socket that it belongs to; the payload that comes of it, and by whom.
    fn take(&mut self, now: Instant, from: SocketAddr, mut datagram: Vec<u8>) -> Option<(Shard, Vec<u8>)> {
        let copy = |bytes: &[u8], by| Some((by, bytes.to_vec()));
        let mut asked = shard_of(from);
        if asked == OTHER {
            match self.other.handle(now, from, &mut datagram) {
                Received::Elsewhere(Shard::FIRST) => self.handed.1 += 1,
                Received::Payload { bytes, .. } => return copy(bytes, OTHER),
                nothing => return self.settle(now, nothing == Received::Nothing),
            }
        }
        match self.first.handle_of(now, asked, from, &mut datagram) {
            Received::Payload { bytes, .. } => return copy(bytes, Shard::FIRST),
            Received::Elsewhere(shard) => asked = shard,
            Received::Nothing => return self.settle(now, true),
        }
        assert_eq!(asked, OTHER);
        self.handed.0 += 1;
        match self.other.handle_handed(now, from, &mut datagram) {
            Received::Payload { bytes, .. } => copy(bytes, OTHER),
            nothing => self.settle(now, nothing == Received::Nothing),
        }
    }

    /// What the two have to tell each other.
    fn settle(&mut self, now: Instant, is_nothing: bool) -> Option<(Shard, Vec<u8>)> {
        assert!(is_nothing, "what was handed on once is not handed on again");
        while let Some(event) = self.other.poll_event() {
            match event {
                Event::Moved { slot, to, .. } => self.first.follow(slot, to),
                Event::Disconnected { slot, reason, .. } => assert!(self.first.release(slot, reason)),
                Event::Connected { .. } => panic!("comings are the first one's to tell"),
            }
        }
        while let Some(event) = self.first.poll_event() {
            match event {
                Event::Connected { slot, .. } => {
                    if let Some((shard, newcomer)) = self.first.poll_newcomer(slot) {
                        assert_eq!(shard, OTHER);
                        self.other.adopt(now, slot, newcomer);
                    }
                }
                Event::Disconnected { slot, reason: DisconnectReason::Replaced, .. } => {
                    self.other.evict(slot)
                }
                Event::Disconnected { .. } | Event::Moved { .. } => {}
            }
        }
        None
    }

    /// All that both have to send, by whom and where to.
    fn sent(&mut self, now: Instant) -> Vec<(Shard, SocketAddr, Vec<u8>)> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut sent = Vec::new();
        while let Some(t) = self.first.poll_transmit(now, &mut buffer) {
            sent.push((Shard::FIRST, t.to, buffer[..t.bytes].to_vec()));
        }
        while let Some(t) = self.other.poll_transmit(now, &mut buffer) {
            sent.push((OTHER, t.to, buffer[..t.bytes].to_vec()));
        }
        sent
    }

    fn exchange(&mut self, client: &mut Client, from: SocketAddr, now: Instant) {
        for _ in 0..10 {
            for datagram in sent_by_client(client, now) {
                self.take(now, from, datagram);
            }
            for (_, to, mut datagram) in self.sent(now) {
                if to == from {
                    client.handle(now, server_address(), &mut datagram);
                }
            }
        }
    }

    fn join(&mut self, client_id: u64, serial: u8, from: SocketAddr, now: Instant) -> Client {
        let params = TokenParams { user_data: [0; USER_DATA_LEN], ..params(client_id, &[SERVER]) };
        let (nonce, up, down) = ([serial; 24], [serial; KEY_LEN], [!serial; KEY_LEN]);
        let token =
            ConnectToken::mint_extended(&params, Extensions::ALL, &PRIVATE_KEY, nonce, up, down).unwrap();
        let mut client = Client::new(now, 1_000, &token).unwrap();
        self.exchange(&mut client, from, now);
        client
    }

    /// Whether what it says arrives, and with whom.
    fn hears(&mut self, client: &mut Client, from: SocketAddr, now: Instant) -> Option<Shard> {
        let datagram = say(client, now, b"up");
        let (shard, payload) = self.take(now, from, datagram)?;
        assert_eq!(payload, b"up");
        Some(shard)
    }

    fn counts(&self) -> [usize; 2] {
        [self.first.connected(), self.other.connected()]
    }
}

#[test]
fn who_comes_to_a_shards_socket_is_let_in_by_the_first_and_served_there() {
    let mut two = Two::new(4);
    let [mut near, mut far] =
        [(1, 6_000), (2, 6_001)].map(|(id, port)| two.join(id, id as u8, at_port(port), at(0)));
    assert_eq!((near.state(), far.state()), (ClientState::Connected, ClientState::Connected));
    assert_eq!(
        (two.hears(&mut near, at_port(6_000), at(1)), two.hears(&mut far, at_port(6_001), at(1))),
        (Some(Shard::FIRST), Some(OTHER))
    );
    // Both have a slot with the first, and one of them a session with the other.
    assert_eq!(two.counts(), [2, 1]);
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    assert_eq!(two.other.seal(at(2), 1, &[b"down"], &mut buffer).unwrap().0, at_port(6_001));
    assert!(two.first.seal(at(2), 1, &[b"down"], &mut buffer).is_err());
    // A request and a response went up, nothing came down, and nothing was refused.
    assert_eq!(two.handed, (0, 2));
    assert_eq!((two.first.counters().refused(), two.other.counters().refused()), (0, 0));
}

#[test]
fn a_client_that_lands_on_another_shard_keeps_its_session_where_it_is() {
    for (before, after, owner) in [(6_001, 6_002, OTHER), (6_000, 6_001, Shard::FIRST), (6_001, 6_003, OTHER)]
    {
        let mut two = Two::new(4);
        let mut client = two.join(1, 1, at_port(before), at(0));
        assert_eq!(two.hears(&mut client, at_port(after), at(10)), Some(owner));
        // The challenge to the new address, and its answer from there.
        two.settle(at(10), true);
        two.exchange(&mut client, at_port(after), at(11));
        two.settle(at(11), true);
        let moved = two.first.counters().moved + two.other.counters().moved;
        assert_eq!((client.state(), moved), (ClientState::Connected, 1));
        assert_eq!(two.hears(&mut client, at_port(after), at(12)), Some(owner));
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let sealed = match owner {
            OTHER => two.other.seal(at(13), 0, &[b"down"], &mut buffer),
            _ => two.first.seal(at(13), 0, &[b"down"], &mut buffer),
        };
        assert_eq!(sealed.unwrap().0, at_port(after));
        // Who comes anew from there replaces it, whoever has it.
        let mut next = two.join(2, 2, at_port(after), at(20));
        assert_eq!(two.hears(&mut next, at_port(after), at(21)), Some(shard_of(at_port(after))));
        assert_eq!((two.first.counters().replaced, two.first.connected()), (1, 1));
        assert_eq!(two.other.connected(), usize::from(shard_of(at_port(after)) == OTHER));
    }
}

#[test]
fn a_client_that_comes_again_over_another_shard_makes_way_for_itself() {
    for (before, after) in [(6_001, 6_000), (6_000, 6_001), (6_001, 6_003), (6_001, 6_001)] {
        let mut two = Two::new(1);
        let mut old = two.join(1, 1, at_port(before), at(0));
        let mut new = two.join(1, 2, at_port(after), at(10));
        assert_eq!(two.hears(&mut new, at_port(after), at(11)), Some(shard_of(at_port(after))));
        assert_eq!((two.first.counters().replaced, two.first.connected()), (1, 1));
        assert_eq!(two.other.connected(), usize::from(shard_of(at_port(after)) == OTHER));
        assert_eq!(two.hears(&mut old, at_port(before), at(12)), None);
    }
}

#[test]
fn the_old_session_hears_its_farewell_unless_its_client_has_come_back_to_the_same_address() {
    for (after, hears) in [(6_003, true), (6_001, false)] {
        let mut two = Two::new(4);
        let mut old = two.join(1, 1, at_port(6_001), at(0));
        let token = mint(&params(1, &[SERVER]), 2);
        let mut new = Client::new(at(10), 1_000, &token).unwrap();
        let mut to_old = Vec::new();
        for _ in 0..4 {
            for datagram in sent_by_client(&mut new, at(10)) {
                two.take(at(10), at_port(after), datagram);
            }
            for (_, to, mut datagram) in two.sent(at(10)) {
                if to == at_port(6_001) {
                    to_old.push(datagram.clone());
                }
                if to == at_port(after) {
                    new.handle(at(10), server_address(), &mut datagram);
                }
            }
        }
        to_old.iter_mut().for_each(|datagram| {
            old.handle(at(11), server_address(), datagram);
        });
        assert_eq!((new.state(), old.state() == ClientState::Connected), (ClientState::Connected, !hears));
    }
}

#[test]
fn silence_and_goodbyes_of_a_shards_sessions_free_their_slots_and_use_up_their_tokens() {
    let mut two = Two::new(4);
    let mut leaves = two.join(1, 1, at_port(6_001), at(0));
    let _silent = two.join(2, 2, at_port(6_003), at(0));
    leaves.disconnect();
    two.exchange(&mut leaves, at_port(6_001), at(5));
    assert_eq!(two.counts(), [1, 1]);
    two.other.handle_timeout(at(20_000));
    two.settle(at(20_000), true);
    assert_eq!(two.counts(), [0, 0]);
    let counted = two.other.counters();
    assert_eq!((counted.left, counted.timed_out), (1, 1));
    assert_eq!((two.first.counters().left, two.first.counters().timed_out), (0, 0), "each is counted once");
    let again = two.join(1, 1, at_port(6_001), at(20_001));
    assert_ne!(again.state(), ClientState::Connected);
    assert!(two.first.counters().request_used_token > 0);
}

#[test]
fn the_bound_on_clients_is_one_for_all_shards() {
    let mut two = Two::new(2);
    let clients: Vec<_> = (1..=4).map(|n| two.join(n, n as u8, at_port(6_000 + n as u16), at(0))).collect();
    let states: Vec<_> = clients.iter().map(|c| c.state() == ClientState::Connected).collect();
    assert_eq!(states, [true, true, false, false]);
    assert_eq!((two.counts(), two.first.counters().denied > 0), ([2, 1], true));
}

#[test]
fn what_a_shard_can_judge_by_itself_is_not_handed_on() {
    let mut two = Two::new(4);
    let mut stranger = two.join(1, 1, at_port(6_000), at(0));
    let handed = two.handed;
    // No packet, of a wrong length, one that only servers send, and one of a session that is not named and not there.
    let mut unnamed = say(&mut stranger, at(1), b"up");
    unnamed.splice(..7, [0x85]);
    let short_request = request_of(9, 9)[..1_000].to_vec();
    let challenge = vec![0x82; 333];
    for datagram in [vec![0xff; 40], vec![], short_request, challenge, unnamed] {
        assert_eq!(two.take(at(1), at_port(6_001), datagram), None);
    }
    assert_eq!(two.handed, handed);
    let counted = two.other.counters();
    assert_eq!((counted.malformed, counted.unexpected, counted.from_nobody), (3, 1, 1));
    // A name that nobody has goes up, and no further.
    let mut named = say(&mut stranger, at(2), b"up");
    named[1..7].fill(0xee);
    assert_eq!(two.take(at(2), at_port(6_001), named), None);
    assert_eq!((two.handed.1 - handed.1, two.handed.0, two.first.counters().from_nobody), (1, 0, 1));
}
