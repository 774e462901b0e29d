//! Writes a snapshot straight into a packet, without allocating.

use super::BASELINE_TICKS_MAX;
use super::bits::{BitCount, BitWriter, Sink, sign_extend};
use super::coding::*;
use super::state::{EntityState, OwnState, RING_CHUNKS, Snapshot, SnapshotEntity};
use crate::codec::Writer;

/// What the encoder needs of the head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The low 32 bits of the tick.
    pub tick: u32,
    /// The baseline's tick, 1 to [`BASELINE_TICKS_MAX`] before `tick`; `None`: from nothing.
    pub baseline: Option<u32>,
    /// The newest input that is in it, the low 16 bits.
    pub input: u16,
    /// How early the receiver's inputs come, in half milliseconds.
    pub lead_half_ms: i8,
    /// Whether some changes are left out for want of room.
    pub incomplete: bool,
}

/// Writes one snapshot's body, in this order: [`Encoder::own`], [`Encoder::open_doors`]; then for every
/// entity of the baseline, ascending by index, one of [`Encoder::same`], [`Encoder::changed`] and
/// [`Encoder::gone`]; then [`Encoder::entered`] for every new one, ascending by index; then
/// [`Encoder::finish`]. An index that the baseline has too can enter only where it is gone.
///
/// Every call panics when the buffer is too short: keep the budget with [`changed_bits`],
/// [`entered_bits`] and the bounds beside them, or look at [`Encoder::bits`].
///
/// ```
/// use ninefold_protocol::snapshot::*;
/// let (hz, mut body) = (60, [0; 1_180]);
/// let door_and_walker = SnapshotEntity { index: 7, id: 70, ..SnapshotEntity::default() };
/// let mut first = Encoder::new(&mut body, hz, &Head { tick: 100, ..Head::default() });
/// first.own(&OwnState::default(), &OwnState::default());
/// first.open_doors(&[0; 9], (0, 0), &[0; 9]);
/// first.entered(&door_and_walker);
/// let bytes = first.finish();
///
/// let mut held = Snapshot::default();
/// decode(&body[..bytes], hz, |_| None, &mut held)?;
/// assert_eq!(held.entities, [door_and_walker]);
/// # Ok::<(), SnapshotError>(())
/// ```
#[derive(Debug)]
pub struct Encoder<'b> {
    bits: BitWriter<'b>,
    elapsed: Elapsed,
    chunk: (i32, i32),
    /// Entities of the baseline that are the same and not written yet.
    same: usize,
    /// Whether an entity of the baseline was mentioned, which makes each of them cost a bit.
    mentioned: bool,
    /// Whether all of the baseline was said.
    entering: bool,
    /// The least index that may enter next.
    index_min: u64,
}

impl<'b> Encoder<'b> {
    /// Begins a body at the front of `buffer`; `hz` is ticks a second.
    ///
    /// # Panics
    /// When the baseline is too old or not older, or the buffer is shorter than [`HEAD_BYTES`].
    pub fn new(buffer: &'b mut [u8], hz: u16, head: &Head) -> Self {
        let age = head.baseline.map_or(0, |tick| {
            let age = head.tick.wrapping_sub(tick);
            assert!((1..=BASELINE_TICKS_MAX).contains(&age), "a baseline {age} ticks old");
            age
        });
        let mut w = Writer::new(buffer);
        let incomplete = if head.incomplete { INCOMPLETE } else { 0 };
        w.u32(head.tick).u8(age as u8 | incomplete).u16(head.input).u8(head.lead_half_ms as u8);
        Encoder {
            bits: BitWriter::new(buffer, HEAD_BYTES),
            elapsed: Elapsed::new(age, hz),
            chunk: (0, 0),
            same: 0,
            mentioned: false,
            entering: false,
            index_min: 0,
        }
    }

    /// The receiver's own mover; `base` is the baseline's, or the default where there is none.
    pub fn own(&mut self, base: &OwnState, now: &OwnState) -> &mut Self {
        write_own(&mut self.bits, base, now);
        self.chunk = chunk_of(now);
        self
    }

    /// The open doors of the ring around the chunk of the own mover. `base` are the baseline's (0 where
    /// there is none), around the chunk `base_chunk`: chunks that both rings hold are compared, others
    /// are compared with 0.
    pub fn open_doors(
        &mut self,
        base: &[u32; RING_CHUNKS],
        base_chunk: (i32, i32),
        now: &[u32; RING_CHUNKS],
    ) -> &mut Self {
        write_doors(&mut self.bits, &doors_in_ring(base, base_chunk, self.chunk), now);
        self
    }

    /// The next entity of the baseline is as it was, or is not told of this time.
    pub fn same(&mut self) {
        debug_assert!(!self.entering, "the baseline comes first");
        self.same += 1;
    }

    /// The next entity of the baseline changed. Its kind cannot: such a one is gone and enters anew.
    pub fn changed(&mut self, base: &EntityState, now: &EntityState) {
        self.mention();
        self.bits.flag(false);
        write_changed(&mut self.bits, self.elapsed, base, now);
    }

    /// The same with its bits made before, for a baseline as old as this snapshot's.
    pub fn changed_as(&mut self, change: &CodedChange) {
        debug_assert_eq!(i32::from(change.ticks), self.elapsed.ticks(), "it leads from another tick");
        debug_assert!(change.bits > 0, "there is a change");
        self.catch_up();
        change.write(&mut self.bits);
    }

    /// The next entity of the baseline is not there any more.
    pub fn gone(&mut self) {
        self.mention();
        self.bits.flag(true);
    }

    /// An entity that the baseline does not have.
    pub fn entered(&mut self, entity: &SnapshotEntity) {
        self.end_of_baseline();
        debug_assert!(u64::from(entity.index) >= self.index_min, "{} enters too late", entity.index);
        let gap = u64::from(entity.index) - self.index_min;
        self.bits.flag(true);
        write_entered(&mut self.bits, self.chunk, gap, entity);
        self.index_min = u64::from(entity.index) + 1;
    }

    /// Bits written so far, with those that [`Encoder::finish`] will add for what was said until now.
    pub fn bits(&self) -> usize {
        let mention = usize::from(!self.mentioned && !self.entering);
        let same = if self.mentioned { self.same } else { 0 };
        self.bits.bits() + mention + same + 1
    }

    /// Ends the body and tells its length in bytes.
    pub fn finish(mut self) -> usize {
        self.end_of_baseline();
        self.bits.flag(false);
        self.bits.finish()
    }

    /// Catches up with the entities that are the same and says that this one is not.
    fn mention(&mut self) {
        self.catch_up();
        self.bits.flag(true);
    }

    /// Says of the entities before this one that they are the same.
    fn catch_up(&mut self) {
        debug_assert!(!self.entering, "the baseline comes first");
        if !self.mentioned {
            self.mentioned = true;
            self.bits.flag(true);
        }
        self.skip_same();
    }

    fn skip_same(&mut self) {
        while self.same > 0 {
            let count = self.same.min(32);
            self.bits.put(0, count as u32);
            self.same -= count;
        }
    }

    fn end_of_baseline(&mut self) {
        if self.entering {
            return;
        }
        self.entering = true;
        if self.mentioned {
            self.skip_same();
        } else {
            self.bits.flag(false);
        }
    }
}

/// Writes all of a snapshot against a baseline, or against nothing, and tells its length in bytes. An
/// index whose entity has another id or kind than in the baseline goes and enters.
///
/// # Panics
/// As [`Encoder`] does, and when `now` and its baseline are not in the order of their indices.
pub fn encode(buffer: &mut [u8], hz: u16, baseline: Option<&Snapshot>, now: &Snapshot) -> usize {
    let nothing = Snapshot::default();
    let base = baseline.unwrap_or(&nothing);
    let head = Head {
        tick: now.tick,
        baseline: baseline.map(|b| b.tick),
        input: now.input,
        lead_half_ms: now.lead_half_ms,
        incomplete: now.incomplete,
    };
    let mut encoder = Encoder::new(buffer, hz, &head);
    encoder.own(&base.own, &now.own).open_doors(&base.open_doors, chunk_of(&base.own), &now.open_doors);
    let stays = |was: &SnapshotEntity, is: &SnapshotEntity| {
        (was.index, was.id, was.state.kind) == (is.index, is.id, is.state.kind)
    };
    let find =
        |entities: &[SnapshotEntity], index: u32| entities.binary_search_by_key(&index, |e| e.index).ok();
    for was in &base.entities {
        match find(&now.entities, was.index).map(|at| &now.entities[at]).filter(|is| stays(was, is)) {
            None => encoder.gone(),
            Some(is) if is.state == was.state => encoder.same(),
            Some(is) => encoder.changed(&was.state, &is.state),
        }
    }
    for is in &now.entities {
        let was = find(&base.entities, is.index).map(|at| &base.entities[at]);
        if !was.is_some_and(|was| stays(was, is)) {
            encoder.entered(is);
        }
    }
    encoder.finish()
}

fn write_own(to: &mut impl Sink, base: &OwnState, now: &OwnState) {
    debug_assert!(now.x | now.z < 1 << OWN_IN_CHUNK_BITS, "outside its chunk: {now:?}");
    to.flag(base != now);
    if base == now {
        return;
    }
    let axis = |base, now| [sign_extend(now - base, OWN_PLACE_BITS)];
    to.signed(&OWN_PLACE, axis(own_place(base.cx, base.x), own_place(now.cx, now.x)));
    to.signed(&OWN_PLACE, axis(own_place(base.cz, base.z), own_place(now.cz, now.z)));
    to.flag(now.on_ground);
    let upward = |own: &OwnState| (own.y, own.velocity_y);
    to.flag(upward(base) != upward(now));
    if upward(base) != upward(now) {
        to.signed(&OWN_HEIGHT, [now.y.wrapping_sub(base.y).into()]);
        to.signed(&OWN_HEIGHT, [now.velocity_y.wrapping_sub(base.velocity_y).into()]);
    }
    to.unsigned(&STATE, (base.state ^ now.state).into());
}

fn write_doors(to: &mut impl Sink, base: &[u32; RING_CHUNKS], now: &[u32; RING_CHUNKS]) {
    to.flag(base != now);
    if base == now {
        return;
    }
    for (base, now) in base.iter().zip(now) {
        let toggled = base ^ now;
        to.flag(toggled != 0);
        if toggled != 0 {
            let is_one = toggled.is_power_of_two();
            to.flag(is_one);
            if is_one {
                to.put(toggled.trailing_zeros(), DOOR_INDEX_BITS);
            } else {
                to.put(toggled, 32);
            }
        }
    }
}

/// All of a changed entity that stands behind its two bits of mention.
fn write_changed(to: &mut impl Sink, elapsed: Elapsed, base: &EntityState, now: &EntityState) {
    debug_assert!(base.kind == now.kind, "another kind is another entity");
    debug_assert!(now.yaw < 1 << YAW_BITS && place(now.x) == now.x && place(now.z) == now.z, "{now:?}");
    let (x, y, z) = elapsed.expected(base, [now.velocity_x, now.velocity_y, now.velocity_z]);
    let y = now.y.wrapping_sub(y);
    let speed_up = now.velocity_y.wrapping_sub(base.velocity_y);
    let speeds = [
        now.velocity_x.wrapping_sub(base.velocity_x).into(),
        now.velocity_z.wrapping_sub(base.velocity_z).into(),
    ];
    let turned = sign_extend(i64::from(now.yaw) - i64::from(base.yaw), YAW_BITS);
    let said = base.state ^ now.state;
    let is_steady = speeds == [0; 2] && speed_up == 0 && y == 0 && turned == 0 && said == 0;
    to.flag(is_steady);
    if !is_steady {
        to.signed(&VELOCITY, speeds);
        to.flag(speed_up != 0 || y != 0);
        if speed_up != 0 || y != 0 {
            to.signed(&VELOCITY, [speed_up.into()]);
            to.signed(&HEIGHT, [y.into()]);
        }
        to.signed(&YAW, [turned]);
        to.unsigned(&STATE, said.into());
    }
    to.signed(&PLACE, [place(now.x.wrapping_sub(x)), place(now.z.wrapping_sub(z))]);
}

/// All of an entered entity that stands behind the bit that says that there is one.
fn write_entered(to: &mut impl Sink, chunk: (i32, i32), gap: u64, entity: &SnapshotEntity) {
    let now = &entity.state;
    debug_assert!(now.yaw < 1 << YAW_BITS && place(now.x) == now.x && place(now.z) == now.z, "{now:?}");
    to.unsigned(&INDEX_GAP, gap);
    to.unsigned(&ID, entity.id);
    to.unsigned(&KIND, now.kind.into());
    let (x, z) = (now.x.wrapping_sub(ring_start(chunk.0)), now.z.wrapping_sub(ring_start(chunk.1)));
    let in_ring = (0..1 << IN_RING_BITS).contains(&x) && (0..1 << IN_RING_BITS).contains(&z);
    to.flag(in_ring);
    let (x, z, bits) = if in_ring { (x, z, IN_RING_BITS) } else { (now.x, now.z, PLACE_BITS) };
    to.wide(x as u64, bits);
    to.wide(z as u64, bits);
    to.signed(&ENTERED_HEIGHT, [now.y.into()]);
    to.signed(&ENTERED_VELOCITY, [now.velocity_x, now.velocity_y, now.velocity_z].map(i64::from));
    to.put((now.yaw & ((1 << YAW_BITS) - 1)).into(), YAW_BITS);
    to.unsigned(&STATE, now.state.into());
}

/// Words that hold the bits of any changed entity.
const CODED_WORDS: usize = CHANGED_BITS_MAX.div_ceil(32);

/// A changed entity in bits: made once, and written for all who have the same state of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodedChange {
    /// The lowest bit first; 0 above `bits`.
    words: [u32; CODED_WORDS],
    bits: u8,
    /// Since the snapshot's baseline.
    ticks: u8,
}

const _: () = assert!(CHANGED_BITS_MAX <= u8::MAX as usize && BASELINE_TICKS_MAX <= u8::MAX as u32);

impl CodedChange {
    /// No change, which cannot be written, since a baseline of so many ticks ago.
    pub const fn nothing(ticks_since_baseline: u8) -> CodedChange {
        CodedChange { words: [0; CODED_WORDS], bits: 0, ticks: ticks_since_baseline }
    }

    /// From `base`, which who has a baseline of so many ticks ago knows, to `now`; `hz` is ticks a second.
    ///
    /// # Panics
    /// When the baseline is more than [`BASELINE_TICKS_MAX`] ticks old.
    pub fn new(hz: u16, ticks_since_baseline: u32, base: &EntityState, now: &EntityState) -> Self {
        assert!(ticks_since_baseline <= BASELINE_TICKS_MAX, "a baseline {ticks_since_baseline} ticks old");
        let mut buffer = [0; 4 * CODED_WORDS];
        let mut writer = BitWriter::new(&mut buffer, 0);
        writer.flag(true);
        writer.flag(false);
        write_changed(&mut writer, Elapsed::new(ticks_since_baseline, hz), base, now);
        let bits = writer.bits() as u8;
        writer.finish();
        let (words, _) = buffer.as_chunks::<4>();
        let words = std::array::from_fn(|at| u32::from_le_bytes(words[at]));
        CodedChange { words, bits, ticks: ticks_since_baseline as u8 }
    }

    /// How old the baseline is.
    pub const fn ticks(&self) -> u8 {
        self.ticks
    }

    /// Its bits, those of its mention included; 0 for no change.
    pub const fn bits(&self) -> usize {
        self.bits as usize
    }

    fn write(&self, to: &mut BitWriter<'_>) {
        let mut left = u32::from(self.bits);
        for word in self.words {
            let count = left.min(32);
            to.put(word, count);
            left -= count;
            if left == 0 {
                break;
            }
        }
    }
}

/// The exact bits of a changed entity whose baseline is so many ticks old.
pub fn changed_bits(hz: u16, ticks_since_baseline: u32, base: &EntityState, now: &EntityState) -> usize {
    let mut count = BitCount::default();
    write_changed(&mut count, Elapsed::new(ticks_since_baseline, hz), base, now);
    count.0 + 2
}

/// The bits of an entity that enters, at most: how far its index is above the one before it is not known.
/// `chunk` is that of the receiver's own mover.
pub fn entered_bits(chunk: (i32, i32), entity: &SnapshotEntity) -> usize {
    let mut count = BitCount::default();
    write_entered(&mut count, chunk, u64::from(entity.index), entity);
    count.0 + 1
}
