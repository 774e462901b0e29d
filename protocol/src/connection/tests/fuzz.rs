//! Fuzz targets of the connection: tokens, and both ends between whom somebody stands. How they run: docs/fuzzing.md.

use std::collections::{BTreeMap, BTreeSet};

use ninefold_fuzz::{Record, corpus_dir, records, target, write_record};

use super::super::limits::{HANDSHAKES_MAX, USER_DATA_LEN};
use super::*;

/// Slots of the server that is tried.
const CLIENTS_MAX: u32 = 3;
/// Datagrams that are kept to be played again.
const KEPT_MAX: usize = 32;

target! {
    /// A public token as a client gets it from anybody.
    tokens_are_read_or_refused(Bytes, 3_000) |bytes: &[u8]| {
        let mut whole = [0; CONNECT_TOKEN_LEN];
        let length = bytes.len().min(CONNECT_TOKEN_LEN);
        whole[..length].copy_from_slice(&bytes[..length]);
        let Ok(token) = ConnectToken::from_bytes(&whole) else { return };
        assert!((1..=TOKEN_SERVERS_MAX).contains(&token.server_addresses.len()));
        assert_eq!(ConnectToken::from_bytes(&token.to_bytes()), Ok(token.clone()));
        if let Ok(mut client) = Client::new(at(0), 1_000, &token) {
            sent_by_client(&mut client, at(0));
            client.handle_timeout(at(100_000));
        }
    }
}

target! {
    /// What a client on another carrier shows.
    shown_tokens_are_admitted_or_refused(Bytes, 3_000) |bytes: &[u8]| {
        let mut server = server(CLIENTS_MAX);
        let admitted = server.admit(at(1), address(1), &mut bytes.to_vec());
        assert_eq!(server.connected(), usize::from(admitted.is_ok()));
        assert_eq!(server.counters().refused(), u64::from(admitted.is_err()));
    }
}

target! {
    /// Two ends and a line that loses, alters, repeats, reflects and makes things up. What is heard was said, and once;
    /// an address that never got in is never sent more than it sent.
    both_ends_stand_whatever_the_line_does(Script, 2_000) |script: &[u8]| {
        let mut line = Between::new();
        records(script).for_each(|record| line.step(record));
    }
}

struct Between {
    server: Server,
    client: Client,
    now_ms: u64,
    kept: Vec<Vec<u8>>,
    said: [BTreeSet<Vec<u8>>; 2],
    heard: [BTreeSet<Vec<u8>>; 2],
    /// Bytes that each address sent to the server and got from it.
    owed: BTreeMap<SocketAddr, (usize, usize)>,
    let_in: bool,
    /// Tells payloads apart.
    serial: u32,
}

impl Between {
    fn new() -> Between {
        let params = TokenParams { user_data: [0; USER_DATA_LEN], ..params(42, &[SERVER]) };
        let token =
            ConnectToken::mint_extended(&params, Extensions::ALL, &PRIVATE_KEY, [1; 24], [2; 32], [3; 32]);
        Between {
            server: server(CLIENTS_MAX),
            client: Client::new(at(0), 1_000, &token.unwrap()).unwrap(),
            now_ms: 0,
            kept: Vec::new(),
            said: Default::default(),
            heard: Default::default(),
            owed: BTreeMap::new(),
            let_in: false,
            serial: 0,
        }
    }

    fn step(&mut self, Record { what, body }: Record<'_>) {
        let now = at(self.now_ms);
        let from = address(u16::from(what >> 6) + 1);
        match what % 8 {
            0 => {
                self.now_ms += u64::from(body.first().copied().unwrap_or(10)) * 8;
                self.client.handle_timeout(at(self.now_ms));
                self.server.handle_timeout(at(self.now_ms));
            }
            1 => sent_by_client(&mut self.client, now)
                .into_iter()
                .for_each(|sent| self.up(from, sent, what, body)),
            2 => self.server_speaks(what, body),
            3 if self.client.state() == ClientState::Connected => {
                let payload = self.payload(body, 0);
                let sent = say(&mut self.client, now, &payload);
                self.up(from, sent, what, &[]);
            }
            4 if self.server.connected() > 0 => {
                let payload = self.payload(body, 1);
                let mut buffer = [0xa5; DATAGRAM_BYTES_MAX];
                if let Ok((_, bytes)) = self.server.seal(now, 0, &[&payload], &mut buffer) {
                    self.down(buffer[..bytes].to_vec(), what, &[]);
                }
            }
            5 => self.reach_server(from, body.to_vec()),
            6 => self.reach_client(body.to_vec()),
            _ => {
                let Some(old) = self.kept.get(usize::from(what >> 3) % KEPT_MAX).cloned() else { return };
                self.reach_server(from, old.clone());
                self.reach_client(old);
            }
        }
        self.check();
    }

    fn payload(&mut self, body: &[u8], way: usize) -> Vec<u8> {
        self.serial += 1;
        let payload = [&self.serial.to_le_bytes(), &body[..body.len().min(1_000)]].concat();
        self.said[way].insert(payload.clone());
        payload
    }

    /// A datagram of the client's on its way: its altered copy arrives first, itself unless it is lost.
    fn up(&mut self, from: SocketAddr, sent: Vec<u8>, what: u8, edits: &[u8]) {
        self.keep(&sent);
        if !edits.is_empty() {
            self.reach_server(from, edited(&sent, edits));
        }
        if what & 8 == 0 {
            self.reach_server(from, sent);
        }
    }

    fn down(&mut self, sent: Vec<u8>, what: u8, edits: &[u8]) {
        self.keep(&sent);
        if !edits.is_empty() {
            self.reach_client(edited(&sent, edits));
        }
        if what & 8 == 0 {
            self.reach_client(sent);
        }
    }

    fn server_speaks(&mut self, what: u8, body: &[u8]) {
        for (to, sent) in sent_by_server(&mut self.server, at(self.now_ms)) {
            self.owed.entry(to).or_default().1 += sent.len();
            self.down(sent, what, body);
        }
    }

    fn reach_server(&mut self, from: SocketAddr, mut datagram: Vec<u8>) {
        self.owed.entry(from).or_default().0 += datagram.len();
        if let Received::Payload { bytes, .. } = self.server.handle(at(self.now_ms), from, &mut datagram) {
            assert!(self.said[0].contains(bytes), "nobody said that");
            assert!(self.heard[0].insert(bytes.to_vec()), "heard twice");
        }
    }

    fn reach_client(&mut self, mut datagram: Vec<u8>) {
        let received = self.client.handle(at(self.now_ms), server_address(), &mut datagram);
        if let ClientReceived::Payload(bytes) = received {
            assert!(self.said[1].contains(bytes), "nobody said that");
            assert!(self.heard[1].insert(bytes.to_vec()), "heard twice");
        }
    }

    fn keep(&mut self, sent: &[u8]) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push(sent.to_vec());
        }
    }

    fn check(&mut self) {
        self.let_in |= !events(&mut self.server).is_empty();
        assert!(
            self.server.handshakes() <= HANDSHAKES_MAX && self.server.connected() <= CLIENTS_MAX as usize
        );
        for (address, (sent, got)) in self.owed.iter().filter(|_| !self.let_in) {
            assert!(got <= sent, "{address} sent {sent} bytes and got {got}");
        }
    }
}

fn edited(sent: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut sent = sent.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % sent.len();
        sent[at] ^= edit[2] | 1;
    }
    sent
}

/// `cargo test -p ninefold-protocol -- --ignored the_seeds_are_written_anew`
#[test]
#[ignore = "writes files"]
fn the_seeds_are_written_anew() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(corpus_dir(target)).unwrap();
        std::fs::write(corpus_dir(target).join(name), bytes).unwrap();
    };
    let plain = mint(&params(42, &[SERVER, "[2001:db8::1]:40001"]), 1);
    let extended = TokenParams { user_data: [0; USER_DATA_LEN], ..params(7, &[SERVER]) };
    let extended =
        ConnectToken::mint_extended(&extended, Extensions::ALL, &PRIVATE_KEY, [1; 24], [2; 32], [3; 32]);
    for (name, token) in [("plain", plain), ("extended", extended.unwrap())] {
        write("tokens_are_read_or_refused", name, &token.to_bytes());
        write("shown_tokens_are_admitted_or_refused", name, &token.shown());
    }
    // A client that gets in, speaks and is spoken to, moves to another address, and is silent for a while.
    let script = |steps: &[(u8, &[u8])]| {
        let mut script = Vec::new();
        steps.iter().for_each(|(what, body)| assert!(write_record(*what, body, &mut script)));
        script
    };
    let way_in: [(u8, &[u8]); 6] = [(1, b""), (2, b""), (1, b""), (2, b""), (0, &[20]), (2, b"")];
    let talk: [(u8, &[u8]); 8] = [
        (3, b"hello"),
        (4, b"hello, too"),
        (7, b""),
        (0x41, b""),
        (0x43, b"moved"),
        (2, b""),
        (0x41, b""),
        (0x43, b"on"),
    ];
    let lossy: [(u8, &[u8]); 6] = [(9, b""), (0, &[15]), (1, &[3, 0, 9]), (10, b""), (0, &[15]), (1, b"")];
    let silence: [(u8, &[u8]); 4] = [(0, &[255]), (0, &[255]), (0, &[255]), (2, b"")];
    let noise: [(u8, &[u8]); 4] =
        [(5, &[0x35; 60]), (0x45, &[0x84; 33]), (6, &[0x15; 60]), (6, &[0x82; 333])];
    for (name, steps) in [
        ("talk", [&way_in[..], &talk].concat()),
        ("lossy", [&lossy[..], &way_in, &talk].concat()),
        ("silence", [&way_in[..], &talk, &silence, &way_in].concat()),
        ("noise", [&noise[..], &way_in, &noise, &talk].concat()),
    ] {
        write("both_ends_stand_whatever_the_line_does", name, &script(&steps));
    }
}

/// The honest seed does what it is there for: without this a changed script would try nothing.
#[test]
fn the_seed_of_a_talk_gets_in_and_is_heard() {
    let seeds = ninefold_fuzz::load(&corpus_dir("both_ends_stand_whatever_the_line_does"));
    let (_, talk) = seeds.iter().find(|(path, _)| path.ends_with("talk")).expect("it is there");
    let mut line = Between::new();
    records(talk).for_each(|record| line.step(record));
    assert_eq!((line.server.connected(), line.client.state()), (1, ClientState::Connected));
    assert_eq!((line.heard[0].len(), line.heard[1].len()), (3, 1));
    assert_eq!(line.server.counters().moved, 1);
}
