//! Many clients on a few threads, each client with a socket of its own.
//!
//! A thread waits for its sockets and its clients' ticks; ticks are spread over the period so that a
//! thousand inputs do not leave in one burst. Nothing is shared between threads until they end.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use mio::{Events, Interest, Poll, Token};
use ninefold::clock::Monotonic;
use ninefold_client::protocol::connection::{ConnectToken, DATAGRAM_BYTES_MAX};
use ninefold_client::protocol::time::{Duration, Instant};
use ninefold_client::world::ChunkCoord;
use ninefold_client::{Client, ClientConfig, EndReason, Event};

use xxhash_rust::xxh3::Xxh3;

use crate::report::Values;
use crate::socket::{ClientSocket, ReceiveBuffers};
use crate::walker::Walker;

/// Ticks a second of a client.
pub const CLIENT_TICK_HZ: u64 = 60;
/// After the end a client goes on for so long to get its goodbye out.
const GOODBYE: Duration = Duration::from_ms(50);

/// What the swarm is to do.
#[derive(Debug, Clone)]
pub struct SwarmPlan {
    /// Where to.
    pub server: SocketAddr,
    /// One token for each client.
    pub tokens: Vec<ConnectToken>,
    /// Threads to spread them over.
    pub threads: usize,
    /// From the first client's start to the last one's.
    pub ramp: Duration,
    /// Chooses the clients' ways.
    pub seed: u64,
    /// How fast they walk, 0 to 1 of full speed.
    pub pace: f64,
    /// Chunks that each keeps.
    pub cache_chunks_max: usize,
    /// Seconds since the Unix epoch at the clock's origin.
    pub unix_s_at_origin: u64,
}

/// What one watches while it runs.
#[derive(Debug, Default)]
pub struct Live {
    /// Clients that can play.
    pub playable: AtomicU64,
    /// Clients that were lost.
    pub lost: AtomicU64,
    /// Moves over a chunk border.
    pub crossings: AtomicU64,
    /// Chunks received.
    pub chunks: AtomicU64,
}

/// What a swarm measured.
#[derive(Debug)]
pub struct Figures {
    /// From entering the ring to complete.
    pub chunk_complete: Values,
    /// From CHUNK_ENTER to a usable chunk.
    pub enter_usable: Values,
    /// From the first datagram to playable.
    pub join: Values,
    /// Sizes of the chunks that were received, each chunk once a thread.
    pub encoded_bytes: Values,
    /// Chunks received whole and right.
    pub chunks_delivered: u64,
    /// Chunks with a wrong content hash, or that were no chunk.
    pub chunks_hash_failed: u64,
    /// Chunks that the server could not make.
    pub chunks_unavailable: u64,
    /// Moves over a border.
    pub crossings: u64,
    /// Those into a chunk that was not there.
    pub crossings_without_chunk: u64,
    /// Client ticks spent in a chunk that was not there, after the client could first play.
    pub ticks_without_chunk: u64,
    /// Clients that never got in or lost their session.
    pub lost: Vec<(u64, EndReason)>,
    /// Datagrams that could not be sent.
    pub send_errors: u64,
    /// Content hash of every chunk that any client received.
    pub chunk_hashes: BTreeMap<ChunkCoord, u128>,
    /// Coordinates for which two clients received different chunks.
    pub chunks_contradicting: u64,
}

impl Default for Figures {
    fn default() -> Self {
        Figures {
            chunk_complete: Values::us_as_ms(),
            enter_usable: Values::us_as_ms(),
            join: Values::us_as_ms(),
            encoded_bytes: Values::plain(),
            chunks_delivered: 0,
            chunks_hash_failed: 0,
            chunks_unavailable: 0,
            crossings: 0,
            crossings_without_chunk: 0,
            ticks_without_chunk: 0,
            lost: Vec::new(),
            send_errors: 0,
            chunk_hashes: BTreeMap::new(),
            chunks_contradicting: 0,
        }
    }
}

impl Figures {
    fn merge(&mut self, other: Figures) {
        self.chunk_complete.merge(&other.chunk_complete);
        self.enter_usable.merge(&other.enter_usable);
        self.join.merge(&other.join);
        self.encoded_bytes.merge(&other.encoded_bytes);
        self.chunks_delivered += other.chunks_delivered;
        self.chunks_hash_failed += other.chunks_hash_failed;
        self.chunks_unavailable += other.chunks_unavailable;
        self.crossings += other.crossings;
        self.crossings_without_chunk += other.crossings_without_chunk;
        self.ticks_without_chunk += other.ticks_without_chunk;
        self.lost.extend(other.lost);
        self.send_errors += other.send_errors;
        self.chunks_contradicting += other.chunks_contradicting;
        for (coord, hash) in other.chunk_hashes {
            self.saw(coord, hash);
        }
    }

    /// Takes a chunk that was received; says whether it is the first at its place.
    fn saw(&mut self, coord: ChunkCoord, hash: u128) -> bool {
        let before = self.chunk_hashes.len();
        let first = *self.chunk_hashes.entry(coord).or_insert(hash);
        self.chunks_contradicting += u64::from(first != hash);
        self.chunk_hashes.len() > before
    }

    /// Hash over every chunk that any client received.
    pub fn world_hash(&self) -> String {
        let mut hasher = Xxh3::new();
        for (coord, hash) in &self.chunk_hashes {
            hasher.update(&coord.cx.to_le_bytes());
            hasher.update(&coord.cz.to_le_bytes());
            hasher.update(&hash.to_le_bytes());
        }
        format!("{:032x}", hasher.digest128())
    }
}

/// A running swarm.
#[derive(Debug)]
pub struct Swarm {
    threads: Vec<JoinHandle<io::Result<Figures>>>,
    stop: Arc<AtomicBool>,
    live: Arc<Live>,
}

impl Swarm {
    /// Starts the threads.
    pub fn start(plan: &SwarmPlan, clock: Monotonic) -> io::Result<Swarm> {
        let stop = Arc::new(AtomicBool::new(false));
        let live = Arc::new(Live::default());
        let mut threads = Vec::new();
        for thread in 0..plan.threads.max(1) {
            let (plan, stop, live) = (plan.clone(), Arc::clone(&stop), Arc::clone(&live));
            let body = move || run_thread(thread, &plan, clock, &stop, &live);
            threads.push(std::thread::Builder::new().name(format!("sim-{thread}")).spawn(body)?);
        }
        Ok(Swarm { threads, stop, live })
    }

    /// What one watches while it runs.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Lets every client say goodbye and gathers what they measured.
    pub fn stop(self) -> io::Result<Figures> {
        self.stop.store(true, Ordering::Relaxed);
        let mut figures = Figures::default();
        for thread in self.threads {
            let part = thread.join().map_err(|_| io::Error::other("a thread of the simulator panicked"))?;
            figures.merge(part?);
        }
        Ok(figures)
    }
}

/// One client and what is remembered of it.
struct Member {
    index: u64,
    client: Client,
    socket: ClientSocket,
    walker: Walker,
    started_at: Instant,
    playable_at: Option<Instant>,
    /// Since when it stands in a chunk that is not there.
    without_chunk_since: Option<Instant>,
    next_tick: Instant,
}

fn run_thread(
    thread: usize,
    plan: &SwarmPlan,
    clock: Monotonic,
    stop: &AtomicBool,
    live: &Live,
) -> io::Result<Figures> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut buffers = ReceiveBuffers::default();
    let mut figures = Figures::default();
    let mut members: Vec<Member> = Vec::new();
    let count = plan.tokens.len() as u64;
    let mine: Vec<u64> = (0..count).filter(|i| *i as usize % plan.threads.max(1) == thread).collect();
    let began = clock.now();
    let start_of = |index: u64| began + plan.ramp.scaled(index, count.max(1));
    while !stop.load(Ordering::Relaxed) {
        let now = clock.now();
        while let Some(&index) = mine.get(members.len()).filter(|i| start_of(**i) <= now) {
            let member = join(index, plan, now, poll.registry(), members.len())?;
            members.push(member);
        }
        let next_join = mine.get(members.len()).map(|i| start_of(*i));
        let next_tick = members.iter().map(|m| m.next_tick).chain(next_join).min();
        let wait = next_tick.map_or(Duration::from_ms(10), |then| then.since(now));
        poll.poll(&mut events, Some(wait.into()))?;
        for event in &events {
            let member = &mut members[event.token().0];
            member.receive(clock.now(), &mut buffers, &mut figures, live)?;
        }
        let now = clock.now();
        for member in members.iter_mut().filter(|m| m.next_tick <= now) {
            member.tick(now, &mut figures, live);
        }
    }
    say_goodbye(clock, &mut members, &mut figures);
    Ok(figures)
}

fn join(
    index: u64,
    plan: &SwarmPlan,
    now: Instant,
    registry: &mio::Registry,
    token: usize,
) -> io::Result<Member> {
    // Compiled trees: a load generator's cores are for load, and building recipes is the players' work.
    let ordinary = ClientConfig::new(plan.unix_s_at_origin);
    let config = ClientConfig { cache_chunks_max: plan.cache_chunks_max, recipes: false, ..ordinary };
    let client = Client::new(now, &config, &plan.tokens[index as usize]).map_err(io::Error::other)?;
    let mut socket = ClientSocket::open(plan.server)?;
    registry.register(socket.source(), Token(token), Interest::READABLE)?;
    let walker = Walker::new(plan.seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15), plan.pace);
    Ok(Member {
        index,
        client,
        socket,
        walker,
        started_at: now,
        playable_at: None,
        without_chunk_since: None,
        next_tick: now,
    })
}

impl Member {
    fn receive(
        &mut self,
        now: Instant,
        buffers: &mut ReceiveBuffers,
        figures: &mut Figures,
        live: &Live,
    ) -> io::Result<()> {
        let Member { client, socket, .. } = self;
        socket.receive(buffers, |from, datagram| client.handle_datagram(now, from, datagram))?;
        self.take_events(now, figures, live);
        // On the way in every answer is waited for; later an acknowledgement can wait for the next tick.
        if self.playable_at.is_none() {
            self.transmit(now, figures);
        }
        Ok(())
    }

    /// One tick of the client: time passes, it decides where to walk and says so.
    fn tick(&mut self, now: Instant, figures: &mut Figures, live: &Live) {
        let period_us = 1_000_000 / CLIENT_TICK_HZ;
        // A tick that is late is not made up for: the server would only ignore the older input.
        self.next_tick = (self.next_tick + Duration::from_us(period_us)).max(now);
        self.client.handle_timeout(now);
        if self.client.ended().is_none() && self.client.is_connected() {
            let (x, z) = self.walker.decide(now, &self.client);
            self.client.send_input(x, z, 0);
        }
        self.take_events(now, figures, live);
        let stands_in = self.client.position().map(|p| p.chunk);
        let is_there = stands_in.is_none_or(|coord| self.client.chunk(coord).is_some());
        if self.playable_at.is_some() && !is_there {
            figures.ticks_without_chunk += 1;
        }
        self.transmit(now, figures);
    }

    fn transmit(&mut self, now: Instant, figures: &mut Figures) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        while let Some(transmit) = self.client.poll_transmit(now, &mut buffer) {
            let sent = self.socket.send(transmit.to, &buffer[..transmit.bytes]);
            figures.send_errors += u64::from(sent.is_err());
        }
    }

    fn take_events(&mut self, now: Instant, figures: &mut Figures, live: &Live) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Welcome(_) => {}
                Event::Entered { present: true, .. } => {
                    if self.playable_at.is_some() {
                        live.crossings.fetch_add(1, Ordering::Relaxed);
                        figures.enter_usable.record(0);
                    }
                }
                Event::Entered { present: false, .. } => {
                    if self.playable_at.is_some() {
                        live.crossings.fetch_add(1, Ordering::Relaxed);
                    }
                    self.without_chunk_since = Some(now);
                }
                Event::ChunkReady { chunk, waited, encoded_bytes, .. } => {
                    live.chunks.fetch_add(1, Ordering::Relaxed);
                    if figures.saw(chunk.coord(), chunk.content_hash().0) {
                        figures.encoded_bytes.record(encoded_bytes as u64);
                    }
                    if let Some(waited) = waited {
                        figures.chunk_complete.record(waited.as_us());
                    }
                }
                Event::ChunkUnavailable { .. } => {}
                Event::Ended(reason) => {
                    live.lost.fetch_add(1, Ordering::Relaxed);
                    figures.lost.push((self.index, reason));
                }
            }
        }
        if self.client.is_playable() {
            if let Some(since) = self.without_chunk_since.take()
                && self.playable_at.is_some()
            {
                figures.enter_usable.record(now.since(since).as_us());
            }
            if self.playable_at.is_none() {
                self.playable_at = Some(now);
                live.playable.fetch_add(1, Ordering::Relaxed);
                figures.join.record(now.since(self.started_at).as_us());
            }
        }
    }
}

fn say_goodbye(clock: Monotonic, members: &mut [Member], figures: &mut Figures) {
    for member in members.iter_mut() {
        if member.client.ended().is_none() && !member.client.is_connected() {
            let state = ninefold_client::protocol::connection::ClientState::Disconnected;
            figures.lost.push((member.index, EndReason::Connection(state)));
        }
        let stats = *member.client.stats();
        figures.chunks_delivered += stats.chunks_complete;
        figures.chunks_hash_failed += stats.chunks_hash_failed + stats.chunks_undecodable;
        figures.chunks_unavailable += stats.chunks_unavailable;
        figures.crossings += stats.crossings;
        figures.crossings_without_chunk += stats.crossings_without_chunk;
        member.client.disconnect();
    }
    let end = clock.now() + GOODBYE;
    while clock.now() < end {
        for member in members.iter_mut() {
            member.client.handle_timeout(clock.now());
            member.transmit(clock.now(), figures);
        }
        clock.sleep_until(clock.now() + Duration::from_ms(10));
    }
}
