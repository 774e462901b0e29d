//! Nobody waits for ever: not while nothing is broken, and nobody at all in the end.

use crate::virtual_world::guest::Guest;
use crate::virtual_world::world::World;

/// So long may anything take while nothing is broken: an address that has changed, a session that has to fall silent
/// before it begins again, a chunk over the thinnest line.
const WAIT_MAX_US: u64 = 20_000_000;

/// A client that waits for its world, or for a chunk of its ring.
pub fn of_guest(world: &World, guest: &Guest) -> Result<(), String> {
    let Some(since_us) = guest.waits_since_us else { return Ok(()) };
    let broken_us = since_us.max(world.disturbed_us);
    if world.now_us.saturating_sub(broken_us) <= WAIT_MAX_US {
        return Ok(());
    }
    Err(waits(world, guest))
}

/// A client that is not served although all has been well.
pub fn at_the_end(world: &World, guest: &Guest) -> Result<(), String> {
    let is_served = guest.client.as_ref().is_some_and(|c| c.is_playable() && c.ring().wanted().is_empty());
    if is_served { Ok(()) } else { Err(waits(world, guest)) }
}

fn waits(world: &World, guest: &Guest) -> String {
    let id = guest.client_id;
    let waited_ms = guest.waits_since_us.map_or(0, |since_us| (world.now_us - since_us) / 1_000);
    let wanted = guest.client.as_ref().map(|client| client.ring().wanted().to_vec());
    let stage = world.session(guest).map(|session| session.stage);
    format!(
        "client {id} has waited {waited_ms} ms; it wants {wanted:?}, the server has it at {stage:?}; lost {:?}",
        guest.lost
    )
}
