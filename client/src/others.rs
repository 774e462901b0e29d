//! The other players of the ring, as last heard.

use std::collections::BTreeMap;

use ninefold_protocol::frame::Positions;
use ninefold_world::{ChunkCoord, LocalPosition};

/// Positions frames after which a player of whom nothing was heard is taken to have left.
const UNHEARD_FRAMES_MAX: u32 = 30;
/// Players that are kept at most; beyond it new ones are ignored until others have left.
const OTHERS_MAX: usize = 4_096;

/// Another player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherPlayer {
    /// Where it was last.
    pub position: LocalPosition,
    /// The frame in which it was last heard of.
    heard_in: u32,
}

/// The other players.
#[derive(Debug, Default)]
pub struct Others {
    players: BTreeMap<u32, OtherPlayer>,
    frames: u32,
}

impl Others {
    /// Takes a positions frame that is newer than the last.
    pub fn update(&mut self, own: ChunkCoord, positions: &Positions<'_>) {
        self.frames = self.frames.wrapping_add(1);
        for other in positions.others {
            let chunk = ChunkCoord {
                cx: own.cx.wrapping_add(other.chunk_dx.into()),
                cz: own.cz.wrapping_add(other.chunk_dz.into()),
            };
            let position = LocalPosition { chunk, x: other.x.get(), y: other.y.get(), z: other.z.get() };
            let player = other.player.get();
            if self.players.len() < OTHERS_MAX || self.players.contains_key(&player) {
                self.players.insert(player, OtherPlayer { position, heard_in: self.frames });
            }
        }
        let told_of_all = usize::from(positions.header.in_ring.get()) == positions.others.len();
        let frames = self.frames;
        self.players.retain(|_, p| {
            let unheard = frames.wrapping_sub(p.heard_in);
            unheard == 0 || (!told_of_all && unheard < UNHEARD_FRAMES_MAX)
        });
    }

    /// All of them with their index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &OtherPlayer)> {
        self.players.iter().map(|(id, p)| (*id, p))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.players.len()
    }

    /// Whether nobody is near.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ninefold_protocol::frame::{OtherPosition, PositionsHeader};

    fn hear(others: &mut Others, in_ring: u16, players: &[u32]) {
        let header = PositionsHeader { in_ring: in_ring.into(), ..PositionsHeader::default() };
        let entries: Vec<_> = (players.iter())
            .map(|p| OtherPosition { player: (*p).into(), chunk_dx: -1, ..OtherPosition::default() })
            .collect();
        others.update(ChunkCoord { cx: 5, cz: 0 }, &Positions { header: &header, others: &entries });
    }

    #[test]
    fn a_player_that_is_no_longer_told_of_has_left() {
        let mut others = Others::default();
        hear(&mut others, 2, &[1, 2]);
        assert_eq!(others.iter().next().unwrap().1.position.chunk, ChunkCoord { cx: 4, cz: 0 });
        hear(&mut others, 1, &[2]);
        assert_eq!(others.iter().map(|o| o.0).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn in_a_crowd_players_take_turns_and_stay() {
        let mut others = Others::default();
        hear(&mut others, 3, &[1, 2]);
        hear(&mut others, 3, &[3]);
        assert_eq!(others.len(), 3);
        for _ in 0..UNHEARD_FRAMES_MAX {
            hear(&mut others, 3, &[3]);
        }
        assert_eq!(others.len(), 1);
    }
}
