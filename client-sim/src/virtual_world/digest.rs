//! All state as numbers: one hash for each part of it, and one over all.
//!
//! What stands in maps whose order is random is taken in an order of its own, or added up. What a value prints for debugging
//! is hashed where it consists of whole numbers alone: then no field is forgotten.

use std::fmt::{self, Write};

use ninefold_client::world::Mover;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::guest::Guest;
use super::world::World;

/// Hashes of the parts of a world's state. Two worlds with the same hashes are taken for the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Players and creatures: where they are and what is said of them.
    pub players: u64,
    /// Doors that stand open around players.
    pub doors: u64,
    /// Chunks: made, asked for, on their way.
    pub chunks: u64,
    /// Sessions, their links and the carriers.
    pub sessions: u64,
    /// What clients believe.
    pub clients: u64,
    /// Lines and what is under way on them.
    pub lines: u64,
}

impl Digest {
    /// The names of the parts.
    pub const PARTS: [&'static str; 6] = ["players", "doors", "chunks", "sessions", "clients", "lines"];

    /// The parts, in the order of their names.
    pub fn parts(&self) -> [u64; 6] {
        let Digest { players, doors, chunks, sessions, clients, lines } = *self;
        [players, doors, chunks, sessions, clients, lines]
    }

    /// One hash over all parts.
    pub fn all(&self) -> u64 {
        let mut hasher = Hasher::default();
        self.parts().into_iter().for_each(|part| hasher.number(part));
        hasher.end()
    }

    /// Of a world as it is now.
    pub fn of(world: &World) -> Digest {
        let mut digest = Digest::default();
        if let Some(host) = &world.host {
            digest.players = players(host);
            digest.doors = doors(host);
            digest.chunks = chunks(host);
            digest.sessions = sessions(host);
        }
        let (mut clients, mut lines) = (Hasher::default(), Hasher::default());
        for guest in &world.guests {
            client(&mut clients, guest);
            lines.debug(&(guest.totals(false), guest.missent, guest.up.in_flight(), guest.down.in_flight()));
            lines.debug(&(guest.up.next_due_us(), guest.down.next_due_us()));
        }
        lines.number(world.undeliverable);
        (digest.clients, digest.lines) = (clients.end(), lines.end());
        digest
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.all())
    }
}

/// Hashes numbers, and what values print.
#[derive(Default)]
struct Hasher(Xxh3);

impl Hasher {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn debug(&mut self, value: &dyn fmt::Debug) {
        write!(self, "{value:?};").expect("hashing takes everything");
    }

    fn mover(&mut self, mover: &Mover) {
        let at = mover.position;
        [at.x, at.y, at.z].into_iter().for_each(|axis| self.number(axis.to_bits()));
        self.debug(mover);
    }

    fn end(self) -> u64 {
        self.0.digest()
    }
}

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn players(host: &super::host::Host) -> u64 {
    let mut hasher = Hasher::default();
    hasher.number(host.tick.number());
    for session in host.tick.sessions() {
        hasher.number(session.client_id);
        hasher.mover(&session.mover);
        hasher.debug(&session.stage);
    }
    for replica in host.tick.replicas().iter() {
        hasher.number(replica.id);
        hasher.debug(&(replica.born, replica.changed_in, &replica.state));
    }
    hasher.end()
}

fn doors(host: &super::host::Host) -> u64 {
    let mut hasher = Hasher::default();
    for session in host.tick.sessions() {
        for place in session.view.ring() {
            hasher.debug(&(place.coord, host.tick.open_doors(place.coord)));
        }
    }
    hasher.end()
}

fn chunks(host: &super::host::Host) -> u64 {
    let mut hasher = Hasher::default();
    hasher.debug(host.tick.chunks().counters());
    hasher.debug(host.tick.chunks().workshop());
    for session in host.tick.sessions() {
        let view = &session.view;
        hasher.debug(&(session.client_id, view.active(), view.missing(), view.known()));
        // The order of the known is random: each is hashed on its own, and they are added up.
        let known = view.known_chunks().fold(0, |sum: u64, (coord, version)| {
            let mut one = Hasher::default();
            one.debug(&(coord, version));
            sum.wrapping_add(one.end())
        });
        hasher.number(known);
        for sending in view.sendings() {
            hasher.debug(&(sending.id, sending.coord, sending.fragmenter.version(), sending.waiting(0)));
        }
    }
    hasher.end()
}

fn sessions(host: &super::host::Host) -> u64 {
    let mut hasher = Hasher::default();
    hasher.debug(host.tick.counters());
    let udp = host.udp.report();
    hasher.debug(&udp.each());
    hasher.debug(&udp.connection);
    hasher.debug(&(host.udp.waiting(), host.udp.connection()));
    hasher.debug(&host.quic.report().each().collect::<Vec<_>>());
    for session in host.tick.sessions() {
        let link = &session.link;
        hasher.debug(&(session.connection, link.stats(), link.rtt(), link.flow()));
        hasher.debug(&(link.bytes_in_flight(), link.loss_permille(), session.inputs.last_taken()));
        hasher.debug(&(session.snapshots.len(), session.silent_ticks));
    }
    hasher.end()
}

fn client(hasher: &mut Hasher, guest: &Guest) {
    hasher.debug(&(guest.index, guest.sessions, &guest.lost, guest.has_played));
    let Some(client) = &guest.client else { return };
    hasher.debug(client.stats());
    if let Some((number, mover)) = client.predicted() {
        hasher.number(number.into());
        hasher.mover(&mover);
    }
    hasher.debug(&client.snapshot());
    hasher.debug(client.ring());
    hasher.number(client.cache().len() as u64);
    for coord in client.ring().coords() {
        let cached = client.cache().peek(*coord);
        hasher.debug(&cached.map(|cached| (cached.version, cached.chunk.content_hash())));
        hasher.debug(&client.open_doors(*coord));
    }
    hasher.debug(&(client.link().stats(), client.link().rtt(), client.link().flow()));
}
