//! Minutes on a bad line, in virtual time: 10 % loss, 30 ms of jitter, 2 % held back, 1 % doubled, both ways. Every chunk
//! comes and is right, nothing comes twice, nobody is lost, and a client's memory stays within its bound.
//!
//! The whole ten minutes are for `.ci/nightly`; with `-- --nocapture` the figures are printed.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold_client::protocol::frame::{ChunkAt, ChunkKey, Message};
use ninefold_client::world::{BspWorld, decode};
use ninefold_netem::{Loss, Profile, Ratio};
use puppets::{Puppet, Stage};

/// Of one client's session, over all that the tick keeps for it.
const SESSION_BYTES_MAX: u64 = 64 << 10;
const TICKS_PER_S: usize = 60;
/// Walkers choose another way so often, in seconds.
const TURN_EVERY_S: usize = 3;
/// And throw their whole ring away, which then comes again.
const FORGET_EVERY_S: usize = 10;

fn bad() -> Profile {
    Profile {
        delay_us: 25_000,
        jitter_us: 30_000,
        loss: Loss::Independent(Ratio::percent(10)),
        reordered: Ratio::percent(2),
        held_back_us: 40_000,
        duplicated: Ratio::percent(1),
        ..Profile::default()
    }
}

/// What one client was given so far.
#[derive(Default)]
struct Heard {
    /// By number, whether that packet was taken.
    packets: Vec<bool>,
    chunks: u64,
}

impl Heard {
    /// Takes what came since the last time.
    fn check(&mut self, puppet: &mut Puppet, seed: u64) {
        for came in puppet.came.drain(..) {
            let number = came.number as usize;
            self.packets.resize(self.packets.len().max(number + 1), false);
            let before = std::mem::replace(&mut self.packets[number], true);
            assert!(!before, "seed {seed}: the frames of packet {number} were delivered twice");
        }
        for (key, _) in puppet.whole.drain(..) {
            let (_, bytes) = &puppet.chunks[&key];
            // Its content hash is checked by this.
            let chunk = decode(bytes).unwrap_or_else(|e| panic!("seed {seed}: {key:?}: {e}"));
            let coord = chunk.coord();
            assert_eq!((coord.cx, coord.cz), (key.cx, key.cz), "seed {seed}");
            self.chunks += 1;
        }
    }
}

fn walk(clients: usize, seconds: usize, seed: u64) {
    let rules = Config { spawn_radius_chunks: 3, ..Config::default() }.rules(0);
    let mut stage = Stage::new(rules, Arc::new(BspWorld::new(seed)), seed);
    stage.set_line(bad());
    for _ in 0..clients {
        let me = stage.join();
        stage.puppets[me].records = true;
    }
    let mut heard: Vec<Heard> = (0..clients).map(|_| Heard::default()).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    for second in 0..seconds {
        if second % TURN_EVERY_S == 0 {
            stage.puppets.iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
        }
        if second % FORGET_EVERY_S == FORGET_EVERY_S - 1 {
            stage.puppets.iter_mut().for_each(forget_ring);
        }
        stage.steps(TICKS_PER_S);
        for (heard, puppet) in heard.iter_mut().zip(&mut stage.puppets) {
            heard.check(puppet, seed);
        }
    }
    stage.set_line(Profile::default());
    stage.puppets.iter_mut().for_each(|p| p.wish = (0, 0));
    stage.steps(5 * TICKS_PER_S);
    heard.iter_mut().zip(&mut stage.puppets).for_each(|(heard, puppet)| heard.check(puppet, seed));
    all_is_there(&stage, clients, seed);
    report(&mut stage, &heard, seconds, seed);
}

/// Throws the nine chunks around the client away and says so.
fn forget_ring(puppet: &mut Puppet) {
    let Some((cx, cz)) = puppet.active() else { return };
    for (dx, dz) in (-1..=1).flat_map(|dz| (-1..=1).map(move |dx| (dx, dz))) {
        let key = ChunkKey { cx: cx + dx, cy: 0, cz: cz + dz };
        if let Some((version, _)) = puppet.chunks.remove(&key) {
            puppet.link.send_message(&Message::ChunkForget(ChunkAt { key, version })).unwrap();
        }
    }
}

/// The ring of each client, each move over a border once and in order, and nothing left to be said.
fn all_is_there(stage: &Stage, clients: usize, seed: u64) {
    let counters = *stage.tick.counters();
    assert_eq!((stage.tick.clients(), counters.clients_unresponsive), (clients, 0), "seed {seed}");
    assert_eq!((counters.packets_refused, counters.frames_refused), (0, 0), "seed {seed}");
    assert!(counters.packets_duplicate > 0 && counters.parity_used > 0, "seed {seed}: {counters:?}");
    let mut enters = 0;
    for (session, puppet) in stage.tick.sessions().zip(&stage.puppets) {
        for place in session.view.ring() {
            let key = ChunkKey { cx: place.coord.cx, cy: 0, cz: place.coord.cz };
            assert!(puppet.chunks.contains_key(&key), "seed {seed}: {key:?} never came");
        }
        assert_eq!(puppet.active(), session.view.active().map(|c| (c.cx, c.cz)), "seed {seed}");
        assert!(session.link.reliable_is_settled() && session.view.sendings().is_empty(), "seed {seed}");
        enters += puppet.messages.iter().filter(|m| matches!(m, Message::ChunkEnter { .. })).count() as u64;
    }
    assert_eq!(enters, counters.crossings + clients as u64, "seed {seed}");
}

/// Lets all clients go at once and counts what that sets free.
fn report(stage: &mut Stage, heard: &[Heard], seconds: usize, seed: u64) {
    let clients = heard.len();
    (0..clients).for_each(|index| stage.leave(index));
    let freed = -allocation_counter::measure(|| {
        stage.run(&|| 0);
    })
    .bytes_current;
    assert_eq!(stage.tick.clients(), 0);
    let bytes = u64::try_from(freed).expect("sessions take memory") / clients as u64;
    let (packets, chunks) = heard.iter().fold((0, 0), |(packets, chunks), heard| {
        (packets + heard.packets.iter().filter(|came| **came).count(), chunks + heard.chunks)
    });
    let c = stage.tick.counters();
    println!(
        "{clients} clients for {seconds} s: {packets} packets taken, {chunks} chunks, all right; {} fragments sent, of \
         them parity {} ahead and {} in answer, {} used; a session takes {bytes} bytes",
        c.fragments_sent, c.parity_ahead, c.parity_in_answer, c.parity_used,
    );
    assert!((1_000..=SESSION_BYTES_MAX).contains(&bytes), "seed {seed}: {bytes} bytes");
}

#[test]
fn a_minute_on_a_bad_line_costs_nobody_anything_but_time() {
    walk(12, 60, 1);
}

#[test]
fn twenty_seconds_on_each_of_twenty_bad_lines_cost_nobody_anything_but_time() {
    (100..120).for_each(|seed| walk(3, 20, seed));
}

#[test]
#[ignore = "minutes of work; .ci/nightly runs it"]
fn ten_minutes_on_a_bad_line_cost_fifty_clients_nothing_but_time() {
    walk(50, 600, 2);
}
