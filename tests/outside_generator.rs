//! A world that was written outside ninefold: streamed, decoded, walked in.

mod common;

#[path = "../examples/city.rs"]
mod city;

use std::sync::Arc;

use city::City;
use common::{Player, config, start_with, until};
use ninefold_client::world::{ChunkCoord, Generator, Scratch};

#[test]
fn a_generator_from_outside_is_served_like_any_other() {
    let config = config();
    let city = City { seed: 4 };
    let server = start_with(&config, Arc::new(City { seed: 4 }));
    let mut players = [Player::join(&server, &config, 1)];
    until("the ring is whole", 5, &mut players, |p| p[0].has_ring());
    let mut doors = 0;
    for &coord in players[0].client.ring().coords() {
        let expected = city.generate(coord, &mut Scratch::default());
        let chunk = players[0].client.chunk(coord).expect("the ring is whole");
        assert!(**chunk == expected, "{coord:?}");
        doors += chunk.doors().len();
        assert_eq!(chunk.doors().len(), chunk.lights().len());
    }
    assert!(doors > 0, "a city has houses with doors");
    players[0].leave();
    server.stop().expect("nothing died");
}

#[test]
fn a_city_agrees_with_itself_over_every_edge() {
    let city = City { seed: 4 };
    for (cx, cz) in [(0, 0), (-7, 3), (i32::MAX, i32::MIN)] {
        let grid = city.grid(ChunkCoord { cx, cz });
        assert!((0..16).all(|along| grid.at_or_beyond(along, -1).open().is_some() || along % 4 != 0));
    }
}
