//! The game between the keys, the client and the picture.

use std::collections::VecDeque;

use ninefold_client::net::Driver;
use ninefold_client::protocol::frame::{GameEvent, PlayerInput};
use ninefold_client::protocol::time::Instant;
use ninefold_client::world::{CHUNK_UNITS, ChunkCoord};
use ninefold_client::{EntityView, Event};
use ratatui::crossterm::event::KeyEvent;

use crate::input::{Command, Keys};
use crate::view::{CHUNKS_ASIDE_MAX, Ground, View};

/// Units to a pixel, the nearest first.
const ZOOMS: [i32; 6] = [2, 4, 8, 16, 32, 64];
const ZOOM_AT_FIRST: usize = 3;
/// Lines of what happened that are kept.
const LINES_MAX: usize = 16;
/// Kinds of the game that ships.
const KIND_PLAYER: u16 = 1;
/// From here on the kinds of events are the game's own.
const GAME_KINDS_FROM: u16 = 256;

/// What lasts from one picture to the next.
#[derive(Debug)]
pub struct App {
    server: String,
    keys: Keys,
    zoom: usize,
    shows_ids: bool,
    quits: bool,
    is_in: bool,
    has_entered: bool,
    lines: VecDeque<(String, Instant)>,
}

impl App {
    /// A game on this server.
    pub fn new(server: String, tells_releases: bool) -> App {
        App {
            server,
            keys: Keys::new(tells_releases),
            zoom: ZOOM_AT_FIRST,
            shows_ids: false,
            quits: false,
            is_in: false,
            has_entered: false,
            lines: VecDeque::new(),
        }
    }

    /// Whether the player wants to leave.
    pub fn quits(&self) -> bool {
        self.quits
    }

    /// Whether the server ever let us in.
    pub fn was_in(&self) -> bool {
        self.is_in
    }

    /// Takes a key.
    pub fn key(&mut self, now: Instant, key: KeyEvent) {
        match self.keys.take(now, key) {
            Some(Command::Quit) => self.quits = true,
            Some(Command::ZoomIn) => self.zoom = self.zoom.saturating_sub(1),
            Some(Command::ZoomOut) => self.zoom = (self.zoom + 1).min(ZOOMS.len() - 1),
            Some(Command::Ids) => self.shows_ids = !self.shows_ids,
            None => {}
        }
    }

    /// The player looks at another window.
    pub fn looks_away(&mut self) {
        self.keys.let_go();
    }

    /// What the player wants now.
    pub fn input(&mut self, now: Instant) -> PlayerInput {
        self.keys.input(now)
    }

    /// Takes what the client tells.
    pub fn happened(&mut self, now: Instant, event: &Event) {
        let line = match event {
            Event::Welcome(welcome) => {
                self.is_in = true;
                format!("welcome: {} ticks a second", welcome.tick_rate_hz)
            }
            // The first one never is.
            Event::Entered { coord, present } => {
                let is_first = !std::mem::replace(&mut self.has_entered, true);
                if is_first || *present {
                    return;
                }
                format!("chunk {}, {} is not here yet", coord.cx, coord.cz)
            }
            Event::ChunkUnavailable { chunk } => {
                let coord = chunk.coord();
                format!("chunk {}, {} cannot be had; the ground there stands in for it", coord.cx, coord.cz)
            }
            Event::EntityEntered { id, kind: KIND_PLAYER, .. } => format!("player {id} has come near"),
            Event::Teleported => "you are suddenly elsewhere".to_owned(),
            Event::Happened(event) => what_happened(event),
            _ => return,
        };
        self.tell(now, line);
    }

    /// A line for the player. What is said again is not written again.
    pub fn tell(&mut self, now: Instant, line: String) {
        if self.lines.back().is_some_and(|(last, _)| *last == line) {
            self.lines.pop_back();
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((line, now));
    }

    /// What is to be seen now on a screen of so many columns and rows.
    pub fn view(&self, driver: &Driver, (columns, rows): (u16, u16)) -> View {
        let (client, now) = (driver.client(), driver.now());
        let units_per_pixel = ZOOMS[self.zoom];
        let own = client.own(now);
        let mut ground = Ground::default();
        if let Some(here) = own.and_then(|own| own.position.chunk()) {
            let aside = |pixels: i32| (pixels * units_per_pixel / 2 / CHUNK_UNITS + 1).min(CHUNKS_ASIDE_MAX);
            for coord in around(here, aside(i32::from(columns)), aside(2 * i32::from(rows))) {
                if let Some(chunk) = client.chunk(coord) {
                    ground.insert(chunk.clone(), client.open_doors(coord));
                }
            }
        }
        let waited = |since: Instant| now.since(since);
        View {
            server: self.server.clone(),
            waited: now.since(Instant::ZERO),
            is_in: self.is_in,
            own,
            entities: client.entities(now).collect::<Vec<EntityView>>(),
            ground,
            active: client.ring().active(),
            wanted: client.ring().wanted().iter().map(|w| (w.coord, waited(w.since))).collect(),
            measures: client.measures(now),
            chunks_kept: client.cache().len(),
            units_per_pixel,
            shows_ids: self.shows_ids,
            lines: self.lines.iter().map(|(line, at)| (line.clone(), waited(*at))).collect(),
        }
    }
}

fn what_happened(event: &GameEvent) -> String {
    match event.kind {
        GameEvent::DOOR_OPENED => "a door opens".to_owned(),
        GameEvent::DOOR_CLOSED => "a door closes".to_owned(),
        kind @ GAME_KINDS_FROM.. => format!("the game says {kind}: {}", event.value),
        kind => format!("something happens: {kind}"),
    }
}

/// The chunks around one, it included, where the world has any.
fn around(here: ChunkCoord, aside: i32, down: i32) -> impl Iterator<Item = ChunkCoord> {
    let rows = (-down..=down).filter_map(move |dz| here.cz.checked_add(dz));
    rows.flat_map(move |cz| {
        let columns = (-aside..=aside).filter_map(move |dx| here.cx.checked_add(dx));
        columns.map(move |cx| ChunkCoord { cx, cz })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_us(s * 1_000_000)
    }

    fn lines(app: &App) -> Vec<&str> {
        app.lines.iter().map(|(line, _)| line.as_str()).collect()
    }

    #[test]
    fn events_become_lines_and_only_the_newest_are_kept() {
        let mut app = App::new("here".to_owned(), false);
        let door = GameEvent { kind: GameEvent::DOOR_OPENED, ..GameEvent::default() };
        app.happened(at(1), &Event::Happened(door));
        app.happened(at(2), &Event::Happened(door));
        app.happened(at(3), &Event::Happened(GameEvent { kind: 256, value: 7, ..door }));
        app.happened(at(4), &Event::EntityEntered { index: 0, id: 1 << 63, kind: 2 });
        assert_eq!(lines(&app), ["a door opens", "the game says 256: 7"]);
        assert_eq!(app.lines[0].1, at(2), "the door opened again");
        for id in 0..100 {
            app.happened(at(5), &Event::EntityEntered { index: 0, id, kind: KIND_PLAYER });
        }
        assert_eq!((lines(&app).len(), lines(&app)[15]), (LINES_MAX, "player 99 has come near"));
    }

    #[test]
    fn zooming_ends_at_both_ends() {
        let mut app = App::new("here".to_owned(), false);
        let press = |app: &mut App, letter| {
            app.key(at(1), KeyEvent::from(ratatui::crossterm::event::KeyCode::Char(letter)));
            ZOOMS[app.zoom]
        };
        let near: Vec<i32> = (0..4).map(|_| press(&mut app, '+')).collect();
        let far: Vec<i32> = (0..7).map(|_| press(&mut app, '-')).collect();
        assert_eq!((near, far), (vec![8, 4, 2, 2], vec![4, 8, 16, 32, 64, 64, 64]));
    }

    #[test]
    fn at_the_end_of_the_world_there_is_nothing_beyond() {
        let corner = ChunkCoord { cx: i32::MAX, cz: i32::MIN };
        assert_eq!(around(corner, 1, 1).count(), 4);
        assert_eq!(around(ChunkCoord { cx: 0, cz: 0 }, 2, 1).count(), 15);
    }
}
