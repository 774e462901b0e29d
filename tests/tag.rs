//! A game that was written outside ninefold: played by whole clients over a bad line, in virtual time.

#[path = "common/crowd.rs"]
mod crowd;

#[path = "../examples/tag.rs"]
mod tag;

use std::sync::Arc;

use crowd::Crowd;
use ninefold::config::Config;
use ninefold::game::hecs::Entity;
use ninefold::game::{Game, Player, Scene};
use ninefold_client::Event;
use ninefold_client::protocol::frame::PlayerInput;
use ninefold_client::world::{Mover, Plain, Position};
use ninefold_netem::{Loss, Profile, Ratio};
use tag::{COOL_DOWN_MS, EVENT_TAGGED, STATE_IT, Tag};

/// Units from one player to the next at the beginning.
const APART_UNITS: f64 = 150.0;

/// Tag, but players come in side by side.
struct Placed(Tag);

impl Game for Placed {
    fn connect(&mut self, scene: &mut Scene<'_>, player: Player, _: Mover) -> Entity {
        let x = 100.0 + APART_UNITS * player.client_id as f64;
        self.0.connect(scene, player, Mover::standing(Position { x, y: 0.0, z: 100.0 }))
    }

    fn input(&mut self, scene: &mut Scene<'_>, player: Entity, input: &PlayerInput, pressed: u16) {
        self.0.input(scene, player, input, pressed);
    }

    fn tick(&mut self, scene: &mut Scene<'_>) {
        self.0.tick(scene);
    }

    fn despawn(&mut self, scene: &mut Scene<'_>, player: Entity) {
        self.0.despawn(scene, player);
    }
}

/// Three players on a line that loses every twentieth packet, and what they have heard.
struct Round {
    crowd: Crowd,
    /// For each client, whom it was told to have become it.
    heard: Vec<Vec<u32>>,
    here: Vec<usize>,
}

impl Round {
    fn begin() -> Round {
        let rules = Config { spawn_radius_chunks: 0, ..Config::default() }.rules(7);
        let line = Profile {
            delay_us: 30_000,
            jitter_us: 5_000,
            loss: Loss::Independent(Ratio::percent(5)),
            ..Profile::default()
        };
        let game = Box::new(Placed(Tag::new(1)));
        let crowd = Crowd::new(rules, Arc::new(Plain::new(0)), game, line, 1);
        let mut round = Round { crowd, heard: vec![Vec::new(); 3], here: vec![0, 1, 2] };
        (0..3).for_each(|_| _ = round.crowd.join());
        round.seconds(2);
        round
    }

    fn step(&mut self) {
        self.crowd.step();
        for (member, heard) in self.crowd.members.iter_mut().zip(&mut self.heard) {
            while let Some(event) = member.client.poll_event() {
                match event {
                    Event::Happened(event) if event.kind == EVENT_TAGGED => heard.push(event.value),
                    _ => {}
                }
            }
        }
    }

    fn seconds(&mut self, seconds: u64) {
        (0..seconds * 1_000).for_each(|_| self.step());
    }

    /// Lets a player walk east or west until it is told to have become or to be it no longer.
    fn walk_until(&mut self, who: usize, move_x: i16, is_it: bool) {
        self.wish(who, move_x);
        for _ in 0..5_000 {
            self.step();
            if self.is_it(who) == is_it {
                return self.wish(who, 0);
            }
        }
        panic!("player {who} touched nobody: {:?}", self.seen());
    }

    fn wish(&mut self, who: usize, move_x: i16) {
        self.crowd.members[who].client.set_input(PlayerInput { move_x, ..PlayerInput::default() });
    }

    /// What a player is told of itself.
    fn is_it(&self, who: usize) -> bool {
        let own = self.crowd.members[who].client.own(self.crowd.now).expect("it is in the world");
        own.state == STATE_IT
    }

    /// Who each client that is here believes to be it.
    fn seen(&self) -> Vec<Vec<u64>> {
        let believes = |who: &usize| {
            let client = &self.crowd.members[*who].client;
            let own = client.own(self.crowd.now).expect("it is in the world");
            let mut it: Vec<u64> = client
                .entities(self.crowd.now)
                .filter(|other| other.state == STATE_IT)
                .map(|other| other.id)
                .collect();
            it.extend((own.state == STATE_IT).then_some(*who as u64));
            it
        };
        self.here.iter().map(believes).collect()
    }

    fn all_believe(&self, it: u64) -> bool {
        self.seen().iter().all(|seen| *seen == [it])
    }
}

#[test]
fn touching_passes_it_on_and_everybody_knows() {
    let mut round = Round::begin();
    assert!(round.all_believe(0), "who came first is it: {:?}", round.seen());
    round.walk_until(0, PlayerInput::FULL_SPEED, false);
    round.crowd.members[0]
        .client
        .set_input(PlayerInput { move_x: -PlayerInput::FULL_SPEED, ..Default::default() });
    round.seconds(1);
    round.wish(0, 0);
    round.seconds(1);
    assert!(round.all_believe(1), "{:?}", round.seen());
    round.walk_until(1, PlayerInput::FULL_SPEED, false);
    round.wish(1, -PlayerInput::FULL_SPEED);
    round.seconds(1);
    assert!(round.all_believe(2), "{:?}", round.seen());
    // Each of them was told of each once, although packets were lost.
    for heard in &round.heard {
        assert_eq!(heard[heard.len() - 2..], [1, 2], "{:?}", round.heard);
        assert!(heard.len() <= 3, "{:?}", round.heard);
    }
}

#[test]
fn who_was_touched_cannot_touch_back_at_once() {
    let mut round = Round::begin();
    round.walk_until(0, PlayerInput::FULL_SPEED, false);
    // They stand beside each other now: it goes back and forth, and no faster than the rules say.
    let before = round.heard[2].len();
    let began = round.crowd.now;
    while round.heard[2].len() < before + 4 {
        round.step();
        assert!(round.crowd.now.since(began).as_ms() < 10_000, "{:?}", round.heard);
    }
    let took_ms = round.crowd.now.since(began).as_ms();
    assert!((3 * COOL_DOWN_MS..=5 * COOL_DOWN_MS + 200).contains(&took_ms), "{took_ms} ms");
    let heard = &round.heard[2];
    assert!(heard.windows(2).all(|two| two[0] != two[1]), "{heard:?}");
}

#[test]
fn when_it_leaves_another_becomes_it() {
    let mut round = Round::begin();
    for (leaves, next) in [(0, 1), (1, 2)] {
        round.crowd.leave(leaves);
        round.here.retain(|who| *who != leaves);
        round.seconds(1);
        assert!(round.all_believe(next), "{:?}", round.seen());
        assert_eq!(round.heard[2].last(), Some(&(next as u32)));
    }
}
