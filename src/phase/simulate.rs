//! Inputs become moved players, and the game goes on by one tick.
//!
//! Work: each client's inputs that are due, at most two; the game's own tick; doors whose time has come.

use hecs::Entity;
use ninefold_world::{Topology, Wish};

use crate::ahead::{Needs, for_each};
use crate::chunk::{ChunkService, Workshop};
use crate::game::{Body, Game, Living, Scene, Setting};
use crate::replicas::Replicas;
use crate::rules::{Rules, SILENCE_MAX};
use crate::session::{Session, Sessions};
use crate::telemetry::Counters;
use crate::telemetry::TurnClock;

/// Moves the world on by one tick. What happened in it is told to the clients around.
pub fn simulate<W: Workshop>(
    tick: u64,
    rules: &Rules,
    turns: TurnClock<'_>,
    sessions: &mut Sessions,
    chunks: &ChunkService<W>,
    living: &mut Living,
    replicas: &mut Replicas,
    counters: &mut Counters,
) {
    let silence_ticks = (SILENCE_MAX.as_us() / rules.period().as_us().max(1)) as u32;
    let (game, mut scene) = living.scene(Setting { tick, pace: rules.pace(), chunks, counters });
    for_each(sessions.seats_mut(), Needs::Player, |session| {
        if session.is_playing() {
            let began = turns.start(session.connection.slot as usize);
            play(session, silence_ticks, game, &mut scene);
            turns.stop(began, &mut session.cost);
        }
    });
    game.tick(&mut scene);
    scene.close_doors();
    // Those of players that came and went since the last tick are among them.
    for happening in living.happenings.drain(..) {
        let Some(event) = happening.event(tick) else { continue };
        let Some(chunk) = happening.at.chunk() else { continue };
        // A door's new state goes with the next snapshot.
        replicas.touch(tick, chunk);
        let is_around = |s: &&mut Session| {
            let active = s.view.active().filter(|_| s.is_playing());
            active.is_some_and(|of| Topology::Plane.offset(of, chunk).is_some())
        };
        for session in sessions.iter_mut().filter(is_around) {
            counters.events_dropped += u64::from(session.events.push(tick, event));
        }
    }
}

/// Gives the game the inputs of one player that are due.
fn play(session: &mut Session, silence_ticks: u32, game: &mut dyn Game, scene: &mut Scene<'_>) {
    let Some(entity) = session.entity else { return };
    let taken = session.inputs.take();
    session.silent_ticks = if taken[0].is_some() { 0 } else { session.silent_ticks.saturating_add(1) };
    let started = session.inputs.last_taken() != 0;
    let mut scene = scene.near(&session.view);
    scene.counters.inputs_late += u64::from(started && taken[0].is_none());
    for taken in taken.into_iter().flatten() {
        scene.counters.inputs_taken += 1;
        let wish = taken.input.wish();
        if wish != (0.0, 0.0) {
            session.heading = wish;
        }
        game.input(&mut scene, entity, &taken.input, taken.pressed);
    }
    if session.silent_ticks > silence_ticks {
        fall(entity, &mut scene);
    }
    if let Ok(body) = scene.entities.get::<&Body>(entity) {
        session.mover = body.mover;
    }
}

/// Who is in the air falls on, though nothing is heard of it.
fn fall(entity: Entity, scene: &mut Scene<'_>) {
    let Ok(body) = scene.entities.get::<&Body>(entity).map(|body| *body) else { return };
    if !body.mover.on_ground {
        let pace = scene.pace;
        scene.walk_by(entity, Wish::default(), body.yaw, pace);
    }
}
