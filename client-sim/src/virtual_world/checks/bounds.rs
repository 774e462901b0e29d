//! No queue, cache or table exceeds its bound. The bounds are read from configuration and limits, what is held from what
//! the parts show.

use ninefold::carrier::held::HELD_MAX;
use ninefold::carrier::udp::core::WAITING_MAX;
use ninefold::config::Config;
use ninefold::session::Session;
use ninefold::view::{RING_CHUNKS, SENDINGS_MAX};
use ninefold_client::UNCONFIRMED_INPUTS_MAX;
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::snapshot::BASELINE_TICKS_MAX;

use crate::virtual_world::guest::Guest;
use crate::virtual_world::host::Host;
use crate::virtual_world::world::World;

/// Packets that are sent whatever is under way: acknowledgements, messages, snapshots.
const BESIDE_FRAGMENTS_MAX: usize = 512;

fn within(what: &str, of: impl std::fmt::Display, is: usize, max: usize) -> Result<(), String> {
    if is <= max { Ok(()) } else { Err(format!("{of} has {is} {what}, {max} are the most")) }
}

/// Of the server as a whole.
pub fn of_host(world: &World, host: &Host) -> Result<(), String> {
    let config = &world.plan.config;
    let gauges = host.tick.chunks().gauges(ninefold_client::protocol::time::Instant::from_us(world.now_us));
    within(
        "chunks asked for and not in the making",
        "the chunk service",
        gauges.queued,
        config.queued_max as usize,
    )?;
    within("chunks in the making", "the chunk service", gauges.making, config.making_max as usize)?;
    within("sessions", "the server", host.tick.clients(), config.clients_max as usize)?;
    let (held, waiting) = host.udp.waiting();
    within("packets held until they are due", "the carrier", held, HELD_MAX)?;
    within("comings and goings that wait", "the carrier", waiting, WAITING_MAX)?;
    // Pinned chunks may exceed the cache's bytes; what nobody pins may not.
    let (bytes, max) = (gauges.cache_bytes, config.cache_bytes_max);
    if bytes > max && gauges.ready > gauges.pinned {
        return Err(format!(
            "the cache has {bytes} bytes with chunks in it that nobody pins, {max} are the most"
        ));
    }
    Ok(())
}

/// Of one session.
pub fn of_session(config: &Config, session: &Session) -> Result<(), String> {
    let of = format_args!("the session of client {}", session.client_id);
    let view = &session.view;
    within("chunks on their way", of, view.sendings().len(), SENDINGS_MAX)?;
    // The bound is kept when the ring changes; until it does again, all that is on its way can become known.
    let known_max = (config.client_cache_chunks_max as usize).max(RING_CHUNKS) + SENDINGS_MAX;
    within("chunks known", of, view.known(), known_max)?;
    let bytes_max = config.in_flight_bytes_max as usize + BESIDE_FRAGMENTS_MAX * PACKET_BYTES_MAX;
    within("bytes in flight", of, session.link.bytes_in_flight(), bytes_max)?;
    within("snapshots remembered", of, session.snapshots.len(), BASELINE_TICKS_MAX as usize + 1)
}

/// Of one client.
pub fn of_guest(world: &World, guest: &Guest) -> Result<(), String> {
    let Some(client) = &guest.client else { return Ok(()) };
    let of = format_args!("client {}", guest.client_id);
    within("chunks", of, client.cache().len(), client.cache().chunks_max())?;
    let measures = client.measures(guest.local(world.now_us));
    within("inputs without an answer", of, measures.inputs_unconfirmed, UNCONFIRMED_INPUTS_MAX)?;
    within("chunks that it waits for", of, client.ring().wanted().len(), RING_CHUNKS)
}
