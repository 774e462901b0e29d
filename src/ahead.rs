//! Asks for the memory of clients whose turn comes, while a phase is busy with others.
//!
//! Of thousands of clients nothing is left in the cache from one phase to the next, and most of a phase would be waiting.
//! What a pointer leads to can only be asked for once the pointer is here; memory takes about as long as a phase has with
//! a client or two, so each step comes a turn or two before the next.

use std::mem::offset_of;
use std::ops::Range;

use crate::cache_line;
use crate::inputs::INPUTS_HEAD_BYTES;
use crate::session::{Seat, Session};
use crate::view::{VIEW_GROUND, VIEW_HEAD_BYTES};

/// What a phase is going to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The player and the chunk in which it stands.
    Place,
    /// The player, its inputs, and the ground that it walks on.
    Player,
    /// The player, what it is told of, and the chunk in which it stands.
    Snapshot,
    /// Whatever a packet of it may change.
    Packet,
    /// The chunks on their way to it.
    Sendings,
}

/// Of a client that is so many turns away this is asked for.
type Step = (usize, fn(&Session));

const INPUTS: usize = offset_of!(Session, inputs);
const LINK: usize = offset_of!(Session, link);
const VIEW: usize = offset_of!(Session, view);
const VIEW_HEAD: Range<usize> = VIEW..VIEW + VIEW_HEAD_BYTES;
const GROUND: Range<usize> = VIEW + VIEW_GROUND.start..VIEW + VIEW_GROUND.end;

impl Needs {
    /// The steps, those that come first first.
    pub fn steps(self) -> &'static [Step] {
        match self {
            Needs::Place => &[(3, |session| {
                session.fetch(0..offset_of!(Session, snapshots));
                session.fetch(VIEW_HEAD);
            })],
            // Most of a crowd stands, which takes so little time that memory is asked for earlier.
            Needs::Player => &[
                (6, |session| session.fetch(0..offset_of!(Session, link))),
                (3, |session| {
                    if session.is_walking() {
                        session.fetch(GROUND)
                    }
                }),
                (2, |session| {
                    if session.is_walking() {
                        session.view.fetch_ground()
                    }
                }),
                (1, |session| {
                    if session.is_walking() {
                        session.view.fetch_cells(session.mover.position)
                    }
                }),
            ],
            Needs::Snapshot => &[
                (3, |session| {
                    session.fetch(0..INPUTS + INPUTS_HEAD_BYTES);
                    session.fetch(VIEW_HEAD);
                }),
                (2, |session| session.snapshots.fetch()),
                (1, |session| session.snapshots.fetch_told()),
            ],
            Needs::Packet => &[
                (3, |session| {
                    session.fetch(0..INPUTS + INPUTS_HEAD_BYTES);
                    session.fetch(LINK..VIEW_HEAD.end);
                }),
                (2, |session| {
                    session.inputs.fetch();
                    session.view.fetch_sendings();
                    session.link.fetch();
                }),
            ],
            Needs::Sendings => {
                &[(4, |session| session.fetch(VIEW_HEAD)), (2, |session| session.view.fetch_fragments())]
            }
        }
    }
}

impl Session {
    fn fetch(&self, bytes: Range<usize>) {
        cache_line::fetch(&self.start, bytes);
    }

    /// Whether it walked when it was last asked, or falls.
    fn is_walking(&self) -> bool {
        !self.mover.on_ground || self.inputs.last().is_walking()
    }
}

/// Calls `each` for a run of clients, while what it needs of those to come is fetched.
pub fn for_each(seats: &mut [Seat], needs: Needs, mut each: impl FnMut(&mut Session)) {
    let steps = needs.steps();
    for at in 0..seats.len() {
        for (ahead, fetch) in steps {
            if let Some(coming) = seats.get(at + ahead) {
                fetch(&coming.session);
            }
        }
        each(&mut seats[at].session);
    }
}
