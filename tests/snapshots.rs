//! What clients are told of the things around them, in virtual time.

#[path = "common/puppets.rs"]
mod puppets;

use std::sync::Arc;

use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::game::hecs::Entity;
use ninefold::game::{Body, Game, Player, Scene};
use ninefold::rules::Rules;
use ninefold_client::protocol::frame::{ChunkAt, ChunkKey, ENCODING_BSP_BIT, PROTOCOL_VERSION, RefuseReason};
use ninefold_client::protocol::frame::{
    GameEvent, Hello, INPUTS_BYTES_MAX, Inputs, Message, PlayerInput, kind,
};
use ninefold_client::protocol::limits::PACKET_BYTES_MAX;
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::snapshot::Snapshot;
use ninefold_client::world::{
    Axis, Biome, CELL_UNITS, Cell, ChunkCoord, FIXED_PER_UNIT, Generator, Grid, Hinge, Mover, OpenCell,
    Plain, Position, build,
};
use ninefold_netem::{Loss, Profile};
use puppets::Stage;

fn rules() -> Rules {
    Config { spawn_radius_chunks: 0, ..Config::default() }.rules(7)
}

fn plain() -> Stage {
    Stage::new(rules(), Arc::new(Plain::new(0)), 1)
}

/// Explore, but players come in where the test wants them.
struct Placed {
    explore: Explore,
    place: fn(u64) -> Position,
}

impl Game for Placed {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, _: Mover) -> Entity {
        let at = Mover::standing((self.place)(player.client_id));
        self.explore.connect(scene, player, at)
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        self.explore.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        self.explore.tick(scene);
    }
}

/// Each chunk a corridor from west to east in row 5 with a door in its middle.
struct Corridor;

impl Generator for Corridor {
    fn grid(&self, coord: ChunkCoord) -> Grid {
        let hall = OpenCell {
            floor: 0,
            ceiling: Some(96 * FIXED_PER_UNIT as i16),
            floor_material: 1,
            wall_material: 2,
            cliff_material: 2,
            ceiling_material: 3,
        };
        let cell = |_, z: i64| if z.rem_euclid(16) == 5 { Cell::Open(hall) } else { Cell::Solid };
        let mut grid = Grid::from_cells(coord, Biome::Dungeon, cell);
        grid.doors.extend(grid.door_at(6, 5, Axis::X, Hinge::Low, 90));
        grid
    }

    fn world_id(&self) -> u64 {
        5
    }
}

fn before_the_door(player: u64) -> Position {
    let middle = |cell: i32| f64::from(cell * CELL_UNITS + CELL_UNITS / 2);
    // The first two one cell west of it, the others far to the west.
    let x = if player < 2 { middle(6) } else { middle(1) };
    Position { x, y: 0.0, z: middle(5) }
}

fn corridor(players: usize) -> Stage {
    let game = Placed { explore: Explore::new(1, 0), place: before_the_door };
    let mut stage = Stage::with_game(rules(), Arc::new(Corridor), 1, 0, Box::new(game));
    (0..players).for_each(|_| _ = stage.join());
    stage.steps(30);
    stage
}

fn newest(stage: &Stage, player: usize) -> &Snapshot {
    stage.puppets[player].snapshots.back().expect("it was told something")
}

/// What the server has of everybody, by who it is.
fn truth(stage: &Stage, without: usize) -> Vec<(u64, f64, f64)> {
    let others = stage.tick.sessions().filter(|s| s.client_id != without as u64);
    let mut all: Vec<_> = others.map(|s| (s.client_id, s.mover.position.x, s.mover.position.z)).collect();
    all.sort_by_key(|one| one.0);
    all
}

fn told(stage: &Stage, player: usize) -> Vec<(u64, f64, f64)> {
    let entities = newest(stage, player).entities.iter();
    let mut all: Vec<_> =
        entities.map(|e| (e.id, e.state.x as f64 / 64.0, e.state.z as f64 / 64.0)).collect();
    all.sort_by_key(|one| one.0);
    all
}

fn assert_near(told: &[(u64, f64, f64)], truth: &[(u64, f64, f64)]) {
    assert_eq!(told.iter().map(|t| t.0).collect::<Vec<_>>(), truth.iter().map(|t| t.0).collect::<Vec<_>>());
    for (told, truth) in told.iter().zip(truth) {
        assert!(
            (told.1 - truth.1).abs() <= 1.0 / 64.0 && (told.2 - truth.2).abs() <= 1.0 / 64.0,
            "{told:?} {truth:?}"
        );
    }
}

#[test]
fn a_closed_door_is_opened_walked_through_and_closes_by_itself() {
    let mut stage = corridor(3);
    let door_x = f64::from(7 * CELL_UNITS);
    let x = |stage: &Stage, player: usize| stage.tick.sessions().nth(player).unwrap().mover.position.x;
    stage.puppets[0].wish = (i16::MAX, 0);
    stage.steps(60);
    assert_eq!(x(&stage, 0), door_x - 4.0 - 16.0);
    stage.puppets[0].buttons = PlayerInput::USE;
    stage.steps(30);
    assert!(x(&stage, 0) > door_x + 20.0, "{}", x(&stage, 0));
    for player in 0..3 {
        // Its own chunk is in the middle of the nine.
        assert_eq!(newest(&stage, player).open_doors[4], 1, "player {player}");
        let opened = stage.puppets[player].events.iter().filter(|e| e.kind == GameEvent::DOOR_OPENED);
        assert_eq!(opened.map(|e| (e.cx, e.cz, e.value)).collect::<Vec<_>>(), [(0, 0, 0)]);
    }
    // The second one stands near, so it stays open; once he has gone, it closes.
    stage.puppets[0].buttons = 0;
    stage.steps(600);
    assert_eq!(newest(&stage, 2).open_doors[4], 1);
    stage.puppets[1].wish = (-i16::MAX, 0);
    stage.steps(120);
    assert_eq!(newest(&stage, 2).open_doors[4], 0);
    let closed = stage.puppets[2].events.iter().filter(|e| e.kind == GameEvent::DOOR_CLOSED).count();
    assert_eq!(closed, 1);
}

#[test]
fn a_door_is_not_closed_on_somebody() {
    let mut stage = corridor(2);
    stage.puppets[0].buttons = PlayerInput::USE;
    stage.steps(5);
    stage.puppets[0].buttons = 0;
    stage.puppets[1].wish = (i16::MAX / 2, 0);
    // Into the frame: from the middle of the cell to the door are 32 units.
    stage.steps(12);
    stage.puppets[1].wish = (0, 0);
    stage.steps(2);
    stage.puppets[0].buttons = PlayerInput::USE;
    stage.steps(5);
    assert_eq!(newest(&stage, 0).open_doors[4], 1, "{:?}", truth(&stage, 9));
    assert_eq!(stage.tick.counters().players_freed, 0);
}

#[test]
fn a_still_world_is_told_of_four_times_a_second() {
    let mut stage = plain();
    (0..8).for_each(|_| _ = stage.join());
    stage.steps(120);
    let before = stage.tick.counters().snapshots_sent;
    stage.steps(600);
    let sent = stage.tick.counters().snapshots_sent - before;
    assert_eq!(sent, 8 * 40);
    let last = &stage.puppets[0].snapshot_bytes;
    assert!(last.iter().rev().take(20).all(|bytes| *bytes <= 12), "{last:?}");
}

#[test]
fn nothing_that_moved_is_missed_on_a_line_that_loses_a_third() {
    for seed in 0..10 {
        let mut stage = Stage::new(rules(), Arc::new(Plain::new(0)), seed);
        stage.set_line(Profile { delay_us: 40_000, loss: Loss::bursts(33, 3), ..Profile::default() });
        (0..12).for_each(|_| _ = stage.join());
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            stage.puppets.iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
            stage.steps(30);
        }
        stage.puppets.iter_mut().for_each(|p| p.wish = (0, 0));
        stage.set_line(Profile::default());
        stage.steps(60);
        // All of them are within one ring: nobody can have walked out of it in ten seconds of random ways.
        for player in 0..12 {
            let near = |all: Vec<(u64, f64, f64)>| {
                let (cx, cz, ..) = stage.puppets[player].position.unwrap();
                let in_ring = |v: f64, c: i32| ((v / 1_024.0).floor() as i32 - c).abs() <= 1;
                all.into_iter().filter(|t| in_ring(t.1, cx) && in_ring(t.2, cz)).collect::<Vec<_>>()
            };
            assert_near(&told(&stage, player), &near(truth(&stage, player)));
        }
        assert_eq!(stage.tick.counters().packets_refused, 0);
    }
}

#[test]
fn who_leaves_and_comes_back_is_another() {
    let mut stage = plain();
    (0..3).for_each(|_| _ = stage.join());
    stage.steps(30);
    assert_eq!(told(&stage, 0).iter().map(|t| t.0).collect::<Vec<_>>(), [1, 2]);
    stage.leave(1);
    stage.join_again(1);
    stage.steps(30);
    assert_near(&told(&stage, 0), &truth(&stage, 0));
    assert_eq!(newest(&stage, 0).entities.len(), 2);
}

#[test]
fn within_a_small_budget_nobody_starves() {
    let rules = Rules { snapshot_bytes_max: 200, ..rules() };
    let mut stage = Stage::new(rules, Arc::new(Plain::new(0)), 1);
    (0..150).for_each(|_| _ = stage.join());
    stage.steps(200);
    assert_eq!(newest(&stage, 0).entities.len(), 149, "all have entered in three seconds");
    let mut random = fastrand::Rng::with_seed(3);
    stage.puppets[0].snapshot_bytes.clear();
    let mut last: Vec<_> = told(&stage, 0);
    let mut unchanged = vec![0; 149];
    let mut longest = 0;
    for tick in 0..400 {
        if tick % 15 == 0 {
            let mut axis = || random.i16(-9_000..9_000);
            stage.puppets.iter_mut().skip(1).for_each(|p| p.wish = (axis(), axis()));
        }
        stage.step();
        let now = told(&stage, 0);
        for at in 0..149 {
            unchanged[at] = if now[at] == last[at] { unchanged[at] + 1 } else { 0 };
            longest = longest.max(unchanged[at]);
        }
        last = now;
    }
    assert!(stage.puppets[0].snapshot_bytes.iter().all(|bytes| *bytes <= 200));
    let counters = stage.tick.counters();
    assert!(counters.changes_left_out > 1_000, "{counters:?}");
    // 149 movers of some 40 bits each in 120 bytes: each has its turn every six ticks or so.
    assert!(longest <= 40, "somebody was not told of for {longest} ticks");
}

#[test]
fn a_client_that_never_acknowledges_is_told_everything_anew_and_nothing_grows() {
    let mut stage = plain();
    (0..4).for_each(|_| _ = stage.join());
    stage.steps(60);
    stage.puppets[1].wish = (2_000, 500);
    // Nothing comes from anybody: no acknowledgement, no input.
    for _ in 0..300 {
        stage.now += rules().period();
        stage.run(&|| 0);
    }
    let kept = stage.tick.sessions().map(|s| s.snapshots.len()).max().unwrap();
    assert!(kept <= 64, "{kept} snapshots are kept");
    assert!(stage.tick.counters().snapshots_full > 4);
    stage.after();
    stage.steps(60);
    assert_near(&told(&stage, 0), &truth(&stage, 0));
}

#[test]
fn a_client_that_floods_inputs_is_told_why_and_goes_and_others_play_on() {
    let mut stage = plain();
    let (flooder, other) = (stage.join(), stage.join());
    stage.steps(30);
    stage.puppets[other].wish = (i16::MAX / 4, 0);
    let began = truth(&stage, other)[0];
    let other_began = truth(&stage, flooder)[0];
    let mut number = 40;
    let mut ticks = 0;
    while stage.tick.clients() == 2 && ticks < 600 {
        ticks += 1;
        let mut buffer = [0; PACKET_BYTES_MAX];
        let mut body = [0; INPUTS_BYTES_MAX];
        for _ in 0..4 {
            number += 8;
            let run = PlayerInput { move_x: i16::MAX, ..PlayerInput::default() };
            let bytes = Inputs::write(number, std::iter::repeat_n(run, 16), &mut body);
            let mut packet = stage.puppets[flooder].link.packet(stage.now, &mut buffer);
            packet.push(kind::INPUTS, &[&body[..bytes]]);
            let built = packet.finish().unwrap();
            stage.inject(flooder, &buffer[..built.head_bytes]);
        }
        stage.step();
        let gone = truth(&stage, other);
        if let Some(now) = gone.first() {
            // No faster than anybody, and what it may catch up with.
            let most = f64::from(ticks + 16) * 320.0 / 60.0 + 1.0;
            assert!(now.1 - began.1 <= most, "{} units in {ticks} ticks", now.1 - began.1);
        }
    }
    assert!(ticks < 600, "it is still there");
    assert!(stage.puppets[flooder].messages.contains(&Message::Refuse(RefuseReason::Flood)));
    assert_eq!(stage.tick.counters().clients_flooding, 1);
    let went = truth(&stage, flooder)[0].1 - other_began.1;
    assert!((went - f64::from(ticks) * 320.0 / 60.0 / 4.0).abs() < 8.0, "the other went {went} in {ticks}");
}

/// Chunk and place of a puppet.
type Place = Option<(i32, i32, u16, u16)>;

/// Two who walk by a script, tick by tick, beside a third that does nothing but mischief, or nothing at all.
fn beside(mischief: impl Fn(&mut Stage, usize, u32)) -> (Vec<[Place; 2]>, Stage) {
    let mut stage = Stage::new(rules(), Arc::new(ninefold_client::world::BspWorld::new(9)), 1);
    let third = (0..3).map(|_| stage.join()).last().unwrap();
    stage.steps(30);
    let mut random = fastrand::Rng::with_seed(4);
    let mut ways = Vec::new();
    for tick in 0..400 {
        if tick % 25 == 0 {
            stage.puppets[..2].iter_mut().for_each(|p| p.wish = (random.i16(..), random.i16(..)));
        }
        mischief(&mut stage, third, tick);
        stage.step();
        ways.push([0, 1].map(|player| stage.puppets[player].position));
    }
    (ways, stage)
}

fn inject_frame(stage: &mut Stage, index: usize, kind: u8, body: &[u8]) {
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut packet = stage.puppets[index].link.packet(stage.now, &mut buffer);
    packet.push(kind, &[body]);
    let built = packet.finish().unwrap();
    stage.inject(index, &buffer[..built.head_bytes]);
}

#[test]
fn who_lies_about_inputs_time_or_acknowledgements_changes_nothing_for_others() {
    let (quiet, _) = beside(|_, _, _| {});
    assert!(quiet.windows(2).filter(|w| w[0] != w[1]).count() > 200, "they hardly move");
    let body = [0; INPUTS_BYTES_MAX];
    let runs = PlayerInput { move_x: i16::MIN, move_z: i16::MAX, yaw: 9, buttons: u16::MAX };
    let (ways, stage) = beside(|stage, third, tick| {
        let mut body = body;
        match tick % 6 {
            // Inputs of long ago, again; of the far future; and the same number with another wish.
            0 => {
                let bytes = Inputs::write(20, std::iter::repeat_n(runs, 20), &mut body);
                inject_frame(stage, third, kind::INPUTS, &body[..bytes]);
            }
            1 => {
                let bytes = Inputs::write(u32::MAX, std::iter::repeat_n(runs, 32), &mut body);
                inject_frame(stage, third, kind::INPUTS, &body[..bytes]);
            }
            2 => inject_frame(stage, third, kind::INPUTS, &[1, 0, 0, 0, 200, 7]),
            // What only a server says.
            3 => inject_frame(stage, third, kind::SNAPSHOT, &[0xff; 900]),
            // An acknowledgement of what was never sent, and half a packet.
            4 => stage.inject(third, &[0, 0, 1, 0, kind::ACK, 9, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0]),
            _ => stage.inject(third, &[7; 40]),
        }
    });
    assert_eq!(ways, quiet);
    let counters = stage.tick.counters();
    assert!(
        counters.packets_refused > 60 && counters.frames_refused > 60 && counters.inputs_ahead > 60,
        "{counters:?}"
    );
}

#[test]
fn chunks_that_a_client_has_already_are_named_and_not_sent() {
    let world = ninefold_client::world::BspWorld::new(9);
    let mut stage = Stage::new(rules(), Arc::new(ninefold_client::world::BspWorld::new(9)), 1);
    let me = stage.join();
    let mut link = Link::new(stage.now);
    let offers = 3;
    let (version_min, version_max) = (PROTOCOL_VERSION, PROTOCOL_VERSION);
    let hello = Hello { version_min, version_max, encodings: ENCODING_BSP_BIT, cache_chunks: 99, offers };
    link.send_message(&Message::Hello(hello)).unwrap();
    let key = |cx, cz| ChunkKey { cx, cy: 0, cz };
    for (cx, cz, wrong) in [(0, 0, 0), (1, 0, 0), (0, 1, 1)] {
        let chunk = world.generate(ChunkCoord { cx, cz }, &mut Default::default());
        let content_hash = chunk.content_hash().0 as u64 ^ wrong;
        link.send_message(&Message::ChunkHave { key: key(cx, cz), content_hash }).unwrap();
    }
    stage.puppets[me].link = link;
    stage.steps(30);
    let known: Vec<_> = (stage.puppets[me].messages.iter())
        .filter_map(|m| if let Message::ChunkKnown(at) = m { Some(*at) } else { None })
        .collect();
    assert_eq!(known, [key(0, 0), key(1, 0)].map(|key| ChunkAt { key, version: 1 }));
    assert_eq!(stage.puppets[me].chunks.len(), 7);
    assert!(stage.puppets[me].chunks.contains_key(&key(0, 1)), "another content is sent");
    assert_eq!(stage.tick.counters().chunks_held_already, 2);
    // Held is held: it can be forgotten, and then it comes.
    let forgotten = ChunkAt { key: key(1, 0), version: 1 };
    stage.puppets[me].link.send_message(&Message::ChunkForget(forgotten)).unwrap();
    stage.steps(10);
    assert!(stage.puppets[me].chunks.contains_key(&key(1, 0)));
}

#[test]
fn creatures_wander_where_players_are_and_go_when_they_have_gone() {
    let game = Box::new(Explore::new(5, 3));
    let world = Arc::new(ninefold_client::world::BspWorld::new(9));
    let mut stage = Stage::with_game(rules(), world, 1, 0, game);
    let me = stage.join();
    stage.steps(90);
    let creatures = |stage: &Stage| {
        let entities = newest(stage, me).entities.iter().filter(|e| e.state.kind == 2);
        entities.map(|e| (e.id, e.state.x, e.state.z)).collect::<Vec<_>>()
    };
    let first = creatures(&stage);
    assert_eq!(first.len(), 3);
    let mut moved = [false; 3];
    for _ in 0..60 {
        stage.steps(30);
        for (at, now) in creatures(&stage).iter().enumerate().take(3) {
            moved[at] |= first.iter().all(|f| f != now);
        }
    }
    assert_eq!(moved, [true; 3], "in half a minute each has gone somewhere");
    stage.leave(me);
    stage.steps(90);
    let other = stage.join();
    stage.steps(10);
    // Those of before are gone: what is here now has come since.
    let now: Vec<u64> = newest(&stage, other).entities.iter().map(|e| e.id).collect();
    assert!(first.iter().all(|f| !now.contains(&f.0)), "{first:?} {now:?}");
}

#[test]
fn a_game_sees_bodies_where_it_put_them() {
    let stage = corridor(1);
    let session = stage.tick.sessions().next().unwrap();
    assert_eq!(session.mover.position, before_the_door(0));
    assert_eq!(Body::standing(session.mover).velocity, [0.0; 3]);
    let chunk = build(&Corridor.grid(ChunkCoord { cx: 0, cz: 0 }), &mut Default::default());
    assert_eq!(chunk.doors().len(), 1);
}
