//! Server and client agree: at any time on what a snapshot says of its tick, in the end on everything.

use std::collections::VecDeque;

use ninefold_client::protocol::snapshot::EntityState;
use ninefold_client::world::{ChunkCoord, Topology};

use crate::virtual_world::guest::Guest;
use crate::virtual_world::host::Host;
use crate::virtual_world::world::World;

/// Ticks whose states are kept: what is older is not looked at any more.
const TICKS_MAX: usize = 200;

/// What the server had in one tick.
#[derive(Debug, Default)]
struct Then {
    tick: u32,
    entities: Vec<(u64, EntityState)>,
    /// Where each player's ring was, by its client's id.
    active: Vec<(u64, Option<ChunkCoord>)>,
}

/// The last seconds of what the server had.
#[derive(Debug, Default)]
pub struct History(VecDeque<Then>);

impl History {
    /// Takes over how all is after a tick.
    pub fn note(&mut self, host: &Host) {
        let old = if self.0.len() < TICKS_MAX { None } else { self.0.pop_front() };
        let mut then = old.unwrap_or_default();
        then.tick = host.tick.number() as u32;
        then.entities.clear();
        then.entities.extend(host.tick.replicas().iter().map(|r| (r.id, r.state)));
        then.active.clear();
        then.active.extend(host.tick.sessions().map(|s| (s.client_id, s.view.active())));
        self.0.push_back(then);
    }

    fn at(&self, tick: u32) -> Option<&Then> {
        let first = self.0.front()?.tick;
        self.0.get(tick.wrapping_sub(first) as usize).filter(|then| then.tick == tick)
    }
}

/// What a client's newest snapshot has otherwise than the server had it in that tick.
pub fn of_snapshot(world: &World, history: &History, guest: &Guest) -> Result<(), String> {
    let Some(snapshot) = guest.client.as_ref().and_then(|client| client.snapshot()) else { return Ok(()) };
    // Who still talks to a server that is gone, or is seen no more, has nobody to agree with.
    if world.session(guest).is_none() {
        return Ok(());
    }
    let Some(then) = history.at(snapshot.tick) else { return Ok(()) };
    let id = guest.client_id;
    let Some(around) = then.active.iter().find(|(of, _)| *of == id).and_then(|(_, active)| *active) else {
        return Ok(());
    };
    let is_near = |state: &EntityState| {
        let chunk = ChunkCoord { cx: (state.x >> 16) as i32, cz: (state.z >> 16) as i32 };
        Topology::Plane.offset(around, chunk).is_some()
    };
    let mut truth: Vec<_> = then.entities.iter().filter(|(of, s)| *of != id && is_near(s)).copied().collect();
    truth.sort_unstable_by_key(|(id, _)| *id);
    let mut told: Vec<_> = snapshot.entities.iter().map(|e| (e.id, e.state)).collect();
    told.sort_unstable_by_key(|(id, _)| *id);
    if let Some(twice) = told.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(format!(
            "client {id} has entity {} twice in the snapshot of tick {}",
            twice[0].0, snapshot.tick
        ));
    }
    // What was left out for want of room may be old, or not there yet; the rest must be as it was.
    let agrees = match snapshot.incomplete {
        true => told.iter().all(|(id, _)| truth.binary_search_by_key(id, |(id, _)| *id).is_ok()),
        false => told == truth,
    };
    if agrees {
        return Ok(());
    }
    let differs =
        told.iter().find(|one| !truth.contains(one)).or(truth.iter().find(|one| !told.contains(one)));
    Err(format!(
        "client {id}, snapshot of tick {}: {differs:?} differs from what the server had",
        snapshot.tick
    ))
}

/// What is otherwise once the network was whole for a while and everybody stands.
pub fn at_the_end(world: &World, guest: &Guest) -> Result<(), String> {
    let id = guest.client_id;
    let (Some(host), Some(client)) = (&world.host, &guest.client) else {
        return Err(format!("client {id} has no session, or there is no server"));
    };
    let session = world.session(guest).ok_or_else(|| format!("the server has no session of client {id}"))?;
    let Some(active) = session.view.active() else { return Err(format!("client {id} has no ring")) };
    let predicted = client.predicted().map(|(_, mover)| mover);
    if predicted != Some(session.mover) {
        return Err(format!("client {id} is at {predicted:?}, the server has it at {:?}", session.mover));
    }
    for coord in Topology::Plane.ring(active) {
        let (theirs, here) = (client.open_doors(coord), host.tick.open_doors(coord));
        if theirs != here {
            return Err(format!("client {id} has doors {theirs:?} in {coord:?}, the server {here:?}"));
        }
        let theirs = client.chunk(coord).map(|chunk| chunk.content_hash());
        if theirs != session.view.chunk(coord).map(|chunk| chunk.content_hash()) {
            return Err(format!("client {id} has another chunk {coord:?} than the server"));
        }
    }
    let stats = client.stats();
    if stats.frames_refused
        + stats.chunks_hash_failed
        + stats.chunks_undecodable
        + stats.confirmations_refused
        > 0
    {
        return Err(format!("client {id} refused what the server said: {stats:?}"));
    }
    Ok(())
}
