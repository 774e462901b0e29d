//! One client: the whole core with its connection layer, a mind of its own, and a line to the server.

use std::net::{Ipv4Addr, SocketAddr};

use ninefold_client::protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::{Client, ClientConfig, EndReason, Event};
use ninefold_netem::{Link, Profile, Stats};

use super::plan::{Behaviour, Group};
use crate::walker::Walker;

/// Who has ended without wanting it comes again after so long, microseconds.
const COMES_AGAIN_US: u64 = 500_000;
/// How often one that fidgets wants something else, microseconds.
const FIDGETS_EVERY_US: u64 = 250_000;
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
    /// When it leaves for good.
    pub leaves_us: u64,
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
    mind: Mind,
    moved: u16,
    stays_until_us: u64,
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

/// How it decides.
struct Mind {
    behaviour: Behaviour,
    walker: Walker,
    random: fastrand::Rng,
    wish: PlayerInput,
    wish_until_us: u64,
    /// Stands still from now on.
    rests: bool,
}

impl Mind {
    fn new(behaviour: Behaviour, seed: u64) -> Mind {
        Mind {
            behaviour,
            walker: Walker::new(seed, 1.0),
            random: fastrand::Rng::with_seed(seed ^ 0x6d69_6e64),
            wish: PlayerInput::default(),
            wish_until_us: 0,
            rests: false,
        }
    }

    fn decide(&mut self, now: Instant, client: &Client) -> PlayerInput {
        match self.behaviour {
            _ if self.rests => PlayerInput::default(),
            Behaviour::Idle => PlayerInput::default(),
            Behaviour::Fidget => {
                if now.as_us() >= self.wish_until_us {
                    let random = &mut self.random;
                    let buttons = random.u16(..4) & random.u16(..4);
                    let [move_x, move_z] = [random.i16(..), random.i16(..)];
                    self.wish = PlayerInput { move_x, move_z, yaw: random.u16(..), buttons };
                    self.wish_until_us = now.as_us() + FIDGETS_EVERY_US;
                }
                self.wish
            }
            Behaviour::Walk | Behaviour::Teleport { .. } | Behaviour::Churn { .. } => {
                let (x, z) = self.walker.decide(now, client);
                let axis = |wish: f64| (wish.clamp(-1.0, 1.0) * f64::from(PlayerInput::FULL_SPEED)) as i16;
                PlayerInput { move_x: axis(x), move_z: axis(z), ..PlayerInput::default() }
            }
        }
    }
}

impl Guest {
    /// One that will come over a line like its group's.
    pub fn new(index: usize, group: usize, of: &Group, seed: u64, comes_us: u64) -> Guest {
        let seed = seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Guest {
            index,
            group,
            client: None,
            client_id: index as u64 + 1,
            up: Link::new(of.up.clone(), seed ^ 1),
            down: Link::new(of.down.clone(), seed ^ 2),
            before: Totals::default(),
            clock_ahead_us: 0,
            comes_us,
            leaves_us: u64::MAX,
            sessions: 0,
            missent: 0,
            waits_since_us: None,
            lost: Vec::new(),
            has_played: false,
            mind: Mind::new(of.behaviour, seed),
            moved: 0,
            stays_until_us: u64::MAX,
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

    /// When it is to be woken.
    pub fn next_us(&self) -> u64 {
        let lines = [self.up.next_due_us(), self.down.next_due_us()].into_iter().flatten().min();
        let own = match &self.client {
            None => self.comes_us,
            Some(client) => {
                let timer = client.next_timeout().map_or(u64::MAX, |at| at.as_us());
                timer.saturating_sub(self.clock_ahead_us).min(self.stays_until_us).min(self.leaves_us)
            }
        };
        lines.map_or(own, |due_us| due_us.min(own))
    }

    /// It begins a session.
    pub fn come(&mut self, now_us: u64, group: &Group, unix_s_at_origin: u64, token: &ConnectToken) {
        let config =
            ClientConfig { cache_chunks_max: group.cache_chunks, recipes: group.recipes, unix_s_at_origin };
        let client = Client::new(self.local(now_us), &config, token).expect("the token names the server");
        self.client = Some(client);
        self.comes_us = u64::MAX;
        self.sessions += 1;
        self.has_played = false;
        self.waits_since_us = Some(now_us);
        if let Behaviour::Churn { stay_ms } = self.mind.behaviour
            && !self.mind.rests
        {
            self.stays_until_us = now_us + self.mind.random.u64(stay_ms * 500..=stay_ms * 1_500);
        }
    }

    /// Whether its time is up, for now or for good.
    pub fn wants_to_leave(&self, now_us: u64) -> bool {
        self.client.is_some() && now_us >= self.stays_until_us.min(self.leaves_us)
    }

    /// It says goodbye and goes; `comes_again` says whether it is to be seen again.
    pub fn leave(&mut self, now_us: u64, comes_again: bool) {
        if let Some(client) = &mut self.client {
            client.disconnect();
        }
        self.transmit(now_us);
        self.gone(now_us, comes_again);
    }

    fn gone(&mut self, now_us: u64, comes_again: bool) {
        self.client = None;
        self.stays_until_us = u64::MAX;
        self.waits_since_us = None;
        let after_us = COMES_AGAIN_US + self.mind.random.u64(..COMES_AGAIN_US);
        self.comes_us = if comes_again { now_us + after_us } else { u64::MAX };
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
            client.handle_datagram(local, server, &mut parcel.bytes);
        }
        // On the way in every answer is waited for; later it leaves with the next tick.
        if heard && !self.has_played {
            self.transmit(now_us);
        }
    }

    /// Time has passed: it decides, makes its tick, and says what it has to say.
    pub fn tick(&mut self, now_us: u64) {
        let local = self.local(now_us);
        let Some(client) = &mut self.client else { return };
        if client.next_timeout().is_none_or(|at| at > local) {
            return;
        }
        client.set_input(self.mind.decide(local, client));
        client.handle_timeout(local);
        self.transmit(now_us);
    }

    fn transmit(&mut self, now_us: u64) {
        let (local, at) = (self.local(now_us), self.address(now_us));
        let Some(client) = &mut self.client else { return };
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = client.poll_transmit(local, &mut buffer) {
            let bytes = buffer[..transmit.bytes].to_vec();
            self.up.send(now_us, bytes.len(), Parcel { at, bytes });
        }
    }

    /// Looks at what the core tells; says whether it has lost its session.
    pub fn follow(&mut self, now_us: u64) {
        let Some(client) = &mut self.client else { return };
        while let Some(event) = client.poll_event() {
            if let Event::Ended(reason) = event {
                self.lost.push(reason);
            }
        }
        if client.ended().is_some() {
            self.gone(now_us, now_us < self.leaves_us);
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

    /// Stands still from now on.
    pub fn rest(&mut self) {
        self.mind.rests = true;
        self.stays_until_us = u64::MAX;
    }

    /// When it is put elsewhere again, if it is.
    pub fn teleports_every(&self) -> Option<Duration> {
        match self.mind.behaviour {
            Behaviour::Teleport { every_ms } if !self.mind.rests => Some(Duration::from_ms(every_ms)),
            _ => None,
        }
    }
}
