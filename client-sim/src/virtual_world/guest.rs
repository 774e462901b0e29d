//! One client: the whole core with its connection layer, a mind of its own, and a line to the server.

use std::net::{Ipv4Addr, SocketAddr};

use ninefold::carrier::Carrier;
use ninefold_client::protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::ChunkCoord;
use ninefold_client::{Client, ClientConfig, EndReason, Event};
use ninefold_netem::{Link, Profile, Stats};

use super::commons::Commons;
use super::plan::Group;
use super::quic::{self, QuicEnd};
use crate::behaviour::{Command, Decision, Mind};

/// Who has ended without wanting it comes again after so long, microseconds.
const COMES_AGAIN_US: u64 = 500_000;
/// Addresses of clients begin here.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 0, 0, 0]);
/// The port of a client's first address; each change of address counts on.
const FIRST_PORT: u16 = 2_000;

/// A datagram under way.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The client's end of it.
    pub at: SocketAddr,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A client and its line.
pub struct Guest {
    /// Which.
    pub index: usize,
    /// Index of its group.
    pub group: usize,
    /// The core; `None` before it has come and after it has left.
    pub client: Option<Client>,
    /// What its packets ride on.
    pub carrier: Carrier,
    /// Its end of QUIC, where it rides with that.
    quic: Option<QuicEnd>,
    /// What the matchmaker calls it.
    pub client_id: u64,
    /// From it.
    pub up: Link<Parcel>,
    /// Towards it.
    pub down: Link<Parcel>,
    /// What old lines did; what was under way on them is lost.
    pub before: Totals,
    /// Its clock is so much ahead.
    pub clock_ahead_us: u64,
    /// When it comes, or comes again.
    pub comes_us: u64,
    /// When this visit ends.
    pub leaves_us: u64,
    /// Its further visits, the next one last.
    visits: Vec<(u64, u64)>,
    /// Sessions that it began.
    pub sessions: u64,
    /// Datagrams to an address that it has left.
    pub missent: u64,
    /// Since when it waits for what it waits for: to play, or for a chunk of its ring.
    pub waits_since_us: Option<u64>,
    /// Why sessions ended that it did not end.
    pub lost: Vec<EndReason>,
    /// Whether it has come to play in this session.
    pub has_played: bool,
    /// Where it wants to be put, which is the server's to do.
    pub wants_to_be_in: Option<ChunkCoord>,
    mind: Mind,
    /// Stands still from now on.
    rests: bool,
    moved: u16,
    seed: u64,
}

/// What became of the datagrams of one line, both ways together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// That went in, with copies made.
    pub sent: u64,
    /// That came out.
    pub delivered: u64,
    /// That never will, what was under way on a line that was replaced included.
    pub dropped: u64,
}

impl Totals {
    /// What a link counted; what is under way on it counts as dropped if it is `abandoned`.
    fn add(&mut self, stats: &Stats, abandoned: usize) {
        self.sent += stats.sent + stats.duplicated;
        self.delivered += stats.delivered;
        self.dropped += stats.drops.sum() + abandoned as u64;
    }
}

impl Guest {
    /// One that will come over a line like its group's.
    pub fn new(index: usize, group: usize, of: &Group, seed: u64, visits: &[(u64, u64)]) -> Guest {
        let seed = seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut visits: Vec<_> = visits.iter().rev().copied().collect();
        let (comes_us, leaves_us) = visits.pop().unwrap_or((u64::MAX, 0));
        Guest {
            index,
            group,
            client: None,
            carrier: of.carriers[index % of.carriers.len()],
            quic: None,
            client_id: index as u64 + 1,
            up: Link::new(of.up.clone(), seed ^ 1),
            down: Link::new(of.down.clone(), seed ^ 2),
            before: Totals::default(),
            clock_ahead_us: 0,
            comes_us,
            leaves_us,
            visits,
            sessions: 0,
            missent: 0,
            waits_since_us: None,
            lost: Vec::new(),
            has_played: false,
            wants_to_be_in: None,
            mind: Mind::new(&of.behaviour, seed),
            rests: false,
            moved: 0,
            seed,
        }
    }

    /// Which client an address is of.
    pub fn at(address: SocketAddr) -> Option<usize> {
        let SocketAddr::V4(v4) = address else { return None };
        u32::from(*v4.ip()).checked_sub(FIRST_ADDRESS).map(|index| index as usize)
    }

    /// Where it is now.
    pub fn address(&self, now_us: u64) -> SocketAddr {
        let port = FIRST_PORT + self.moved + self.up.path(now_us) as u16;
        SocketAddr::from((Ipv4Addr::from(FIRST_ADDRESS + self.index as u32), port))
    }

    /// Its own time.
    pub fn local(&self, now_us: u64) -> Instant {
        Instant::from_us(now_us + self.clock_ahead_us)
    }

    /// When something comes to it, or it has something to do.
    pub fn next_us(&mut self) -> u64 {
        let own = match &self.client {
            None => self.comes_us,
            Some(client) => {
                let quic = self.quic.as_mut().and_then(QuicEnd::next_timeout);
                let timer =
                    client.next_timeout().into_iter().chain(quic).min().map_or(u64::MAX, Instant::as_us);
                timer.saturating_sub(self.clock_ahead_us).min(self.leaves_us)
            }
        };
        self.down.next_due_us().map_or(own, |due_us| due_us.min(own))
    }

    /// It begins a session.
    pub fn come(
        &mut self,
        now_us: u64,
        group: &Group,
        unix_s_at_origin: u64,
        token: &ConnectToken,
        quic: &quic::Shared,
    ) {
        let config =
            ClientConfig { cache_chunks_max: group.cache_chunks, recipes: group.recipes, unix_s_at_origin };
        let now = self.local(now_us);
        self.client = Some(match self.carrier {
            Carrier::Udp | Carrier::UdpShard(_) => {
                Client::new(now, &config, token).expect("the token names the server")
            }
            Carrier::Quic => Client::carried(now, &config),
        });
        let seed = self.seed.wrapping_add(self.sessions);
        self.quic = (self.carrier == Carrier::Quic).then(|| QuicEnd::connect(now, quic, seed, token));
        self.transmit(now_us);
        self.comes_us = u64::MAX;
        self.sessions += 1;
        self.has_played = false;
        self.waits_since_us = Some(now_us);
        self.mind.begin_again();
    }

    /// Ends its visit if that is over.
    pub fn leave_in_time(&mut self, now_us: u64) {
        if now_us < self.leaves_us {
            return;
        }
        if self.client.is_some() {
            self.leave(now_us, true, 0);
        }
        if let Some((comes_us, leaves_us)) = self.visits.pop() {
            (self.comes_us, self.leaves_us) = (comes_us, leaves_us);
        } else {
            self.comes_us = u64::MAX;
        }
    }

    /// It goes, with a goodbye or without, and comes again after a while.
    fn leave(&mut self, now_us: u64, says_goodbye: bool, away_us: u64) {
        let now = self.local(now_us);
        if let Some(client) = self.client.as_mut().filter(|_| says_goodbye) {
            client.disconnect();
            if let Some(quic) = &mut self.quic {
                quic.leave(now);
            }
            self.transmit(now_us);
        }
        self.gone(now_us + away_us);
    }

    fn gone(&mut self, comes_us: u64) {
        self.client = None;
        self.quic = None;
        self.waits_since_us = None;
        self.comes_us = if comes_us < self.leaves_us { comes_us } else { u64::MAX };
    }

    /// Takes what came.
    pub fn receive(&mut self, now_us: u64, server: SocketAddr) {
        let (local, address) = (self.local(now_us), self.address(now_us));
        let mut heard = false;
        while let Some(mut parcel) = self.down.poll(now_us) {
            let Some(client) = self.client.as_mut().filter(|_| parcel.at == address) else {
                self.missent += 1;
                continue;
            };
            heard = true;
            match &mut self.quic {
                Some(quic) => quic.handle(local, &parcel.bytes, client),
                None => client.handle_datagram(local, server, &mut parcel.bytes),
            }
        }
        // On the way in every answer is waited for; later it leaves with the next tick.
        if heard && !self.has_played {
            self.transmit(now_us);
        } else if heard && self.quic.is_some() {
            self.send(now_us);
        }
    }

    /// Time has passed: it decides, makes its tick, and says what it has to say.
    pub fn tick(&mut self, now_us: u64) {
        let local = self.local(now_us);
        let Some(client) = &mut self.client else { return };
        if let Some(quic) = &mut self.quic
            && quic.next_timeout().is_some_and(|at| at <= local)
        {
            quic.handle_timeout(local, client);
            self.send(now_us);
        }
        let Some(client) = self.client.as_mut().filter(|c| c.next_timeout().is_some_and(|at| at <= local))
        else {
            return;
        };
        let decision = if self.rests { Decision::default() } else { self.mind.decide(local, client) };
        client.set_input(decision.input);
        client.handle_timeout(local);
        self.transmit(now_us);
        self.send_what_nobody_has_to(now_us);
        match decision.command {
            Some(Command::Teleport(to)) => self.wants_to_be_in = Some(to),
            Some(Command::Leave { goodbye, away }) => self.leave(now_us, goodbye, away.as_us()),
            None => {}
        }
    }

    /// Sends what the client has to say.
    fn transmit(&mut self, now_us: u64) {
        let now = self.local(now_us);
        if let (Some(client), Some(quic)) = (&mut self.client, &mut self.quic) {
            quic.take_packets(now, client);
        }
        self.send(now_us);
    }

    /// Sends what the carrier has; on UDP that is what the client has to say.
    fn send(&mut self, now_us: u64) {
        let (local, at) = (self.local(now_us), self.address(now_us));
        let Guest { client: Some(client), quic, mind, up, rests, .. } = self else { return };
        let mut send = |datagram: &[u8]| {
            let mischief = mind.mischief().filter(|_| !*rests);
            let copies = mischief.map_or(1, |mischief| mischief.datagram(datagram));
            for _ in 0..copies {
                up.send(now_us, datagram.len(), Parcel { at, bytes: datagram.to_vec() });
            }
        };
        if let Some(quic) = quic {
            return quic.transmit(local, send);
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = client.poll_transmit(local, &mut buffer) {
            send(&buffer[..transmit.bytes]);
        }
    }

    fn send_what_nobody_has_to(&mut self, now_us: u64) {
        let at = self.address(now_us);
        let Guest { mind, up, rests: false, .. } = self else { return };
        let Some(mischief) = mind.mischief() else { return };
        mischief.extra(|bytes| {
            up.send(now_us, bytes.len(), Parcel { at, bytes: bytes.to_vec() });
        });
    }

    /// Looks at what the core tells.
    pub fn follow(&mut self, now_us: u64, commons: &mut Commons) {
        let Some(client) = &mut self.client else { return };
        while let Some(event) = client.poll_event() {
            match event {
                Event::Ended(reason) => self.lost.push(reason),
                Event::ChunkReady { chunk, .. } => {
                    // It may have been thrown out of the cache by the next.
                    let _ = client.share_chunk(commons.share(&chunk));
                }
                _ => {}
            }
        }
        if client.ended().is_some() {
            // Not all at once, where all were lost at once.
            let after_us = COMES_AGAIN_US + self.index as u64 % 16 * (COMES_AGAIN_US / 16);
            self.gone(now_us + after_us);
            return;
        }
        self.has_played |= client.is_playable();
        let waits = !client.is_playable() || !client.ring().wanted().is_empty();
        self.waits_since_us = waits.then_some(self.waits_since_us.unwrap_or(now_us));
    }

    /// Another line; what is under way on the old one is lost.
    pub fn set_line(&mut self, now_us: u64, profile: &Profile, seed: u64) {
        self.moved += self.up.path(now_us) as u16;
        self.before = self.totals(true);
        let seed = seed ^ (self.index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.up = Link::new(profile.clone(), seed ^ 3);
        self.down = Link::new(profile.clone(), seed ^ 4);
    }

    /// What became of its datagrams; what is under way counts as dropped if the line is `abandoned`.
    pub fn totals(&self, abandoned: bool) -> Totals {
        let mut totals = self.before;
        for link in [&self.up, &self.down] {
            totals.add(link.stats(), if abandoned { link.in_flight() } else { 0 });
        }
        totals
    }

    /// Stands still from now on, and stays.
    pub fn rest(&mut self, now_us: u64) {
        self.rests = true;
        self.wants_to_be_in = None;
        // Who is away for a while is there, too, before all is over.
        if self.client.is_none() && now_us < self.leaves_us {
            self.comes_us = self.comes_us.min(now_us + COMES_AGAIN_US);
        }
    }
}
