//! What moving together takes: inputs, snapshots with their baselines, events.

use super::{Fields, File, Sample, Unit};
use crate::frame::{GameEvent, INPUTS_BYTES_MAX, Inputs, PlayerInput};
use crate::limits::PACKET_BYTES_MAX;
use crate::snapshot::{EntityState, OwnState, RING_CHUNKS, Snapshot, SnapshotEntity, decode, encode};

pub(super) const VECTORS: File = File {
    name: "moving.txt",
    about: "Bodies of the frames INPUTS, SNAPSHOT and EVENT.",
    units: &[
        Unit { name: "INPUTS", encode: encode_inputs, decode: decode_inputs },
        Unit { name: "SNAPSHOT", encode: encode_snapshot, decode: decode_snapshot },
        Unit { name: "EVENT", encode: encode_event, decode: decode_event },
    ],
    samples,
};

/// Numbers that are parted by spaces, as a list that is parted by commas has them.
fn lists(text: &str) -> Vec<Vec<i128>> {
    let list = |list: &str| list.split(' ').map(|n| n.parse().expect("a number")).collect();
    text.split(", ").filter(|t| !t.is_empty()).map(list).collect()
}

fn joined(lists: impl Iterator<Item = Vec<i128>>) -> String {
    let list = |list: Vec<i128>| list.iter().map(i128::to_string).collect::<Vec<_>>().join(" ");
    lists.map(list).collect::<Vec<_>>().join(", ")
}

/// Inputs are `move_x move_z yaw buttons`, oldest first.
fn encode_inputs(f: &Fields) -> Vec<u8> {
    let inputs: Vec<PlayerInput> = (lists(f.text("inputs")).iter())
        .map(|values| {
            let [move_x, move_z, yaw, buttons] = values[..] else { panic!("{values:?}") };
            PlayerInput {
                move_x: move_x as i16,
                move_z: move_z as i16,
                yaw: yaw as u16,
                buttons: buttons as u16,
            }
        })
        .collect();
    let mut body = [0xa5; INPUTS_BYTES_MAX];
    let bytes = Inputs::write(f.number("newest"), inputs.into_iter(), &mut body);
    body[..bytes].to_vec()
}

fn decode_inputs(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let inputs = Inputs::parse(bytes).map_err(|e| e.to_string())?;
    let list = |(_, i): (u32, PlayerInput)| {
        vec![i.move_x.into(), i.move_z.into(), i.yaw.into(), i128::from(i.buttons)]
    };
    Ok(Fields::new().with("newest", inputs.newest).with("inputs", joined(inputs.iter().map(list))))
}

/// The fields of a snapshot, all of them behind `prefix`.
fn with_snapshot(f: Fields, prefix: &str, s: &Snapshot) -> Fields {
    let o = s.own;
    let own = vec![
        o.cx.into(),
        o.cz.into(),
        o.x.into(),
        o.y.into(),
        o.z.into(),
        o.velocity_y.into(),
        o.on_ground.into(),
        i128::from(o.state),
    ];
    let entity = |e: &SnapshotEntity| {
        let s = e.state;
        let mut list = vec![e.index.into(), e.id.into(), s.kind.into(), s.x.into(), s.y.into(), s.z.into()];
        list.extend([s.velocity_x, s.velocity_y, s.velocity_z].map(i128::from));
        list.extend([s.yaw.into(), i128::from(s.state)]);
        list
    };
    let name = |name: &str| format!("{prefix}{name}");
    // A baseline is what it is, whatever was left out on the way to it.
    let f = if prefix.is_empty() { f.with("incomplete", u8::from(s.incomplete)) } else { f };
    f.with(&name("tick"), s.tick)
        .with(&name("input"), s.input)
        .with(&name("lead_half_ms"), s.lead_half_ms)
        .with(&name("own"), joined(std::iter::once(own)))
        .with(&name("open_doors"), joined(std::iter::once(s.open_doors.map(i128::from).to_vec())))
        .with(&name("entities"), joined(s.entities.iter().map(entity)))
}

fn snapshot(f: &Fields, prefix: &str) -> Snapshot {
    let text = |name: &str| f.text(&format!("{prefix}{name}"));
    let number = |name: &str| lists(text(name))[0][0];
    let own = &lists(text("own"))[0];
    let [cx, cz, x, y, z, velocity_y, on_ground, state] = own[..] else { panic!("{own:?}") };
    let own = OwnState {
        cx: cx as i32,
        cz: cz as i32,
        x: x as u32,
        y: y as i32,
        z: z as u32,
        velocity_y: velocity_y as i32,
        on_ground: on_ground != 0,
        state: state as u32,
    };
    let doors: Vec<u32> = lists(text("open_doors"))[0].iter().map(|&mask| mask as u32).collect();
    let entity = |e: &Vec<i128>| {
        let [index, id, kind, x, y, z, vx, vy, vz, yaw, said] = e[..] else { panic!("{e:?}") };
        let state = EntityState {
            kind: kind as u16,
            x: x as i64,
            y: y as i32,
            z: z as i64,
            velocity_x: vx as i16,
            velocity_y: vy as i16,
            velocity_z: vz as i16,
            yaw: yaw as u16,
            state: said as u32,
        };
        SnapshotEntity { index: index as u32, id: id as u64, state }
    };
    Snapshot {
        tick: number("tick") as u32,
        input: number("input") as u16,
        lead_half_ms: number("lead_half_ms") as i8,
        incomplete: prefix.is_empty() && f.number::<u8>("incomplete") == 1,
        own,
        open_doors: <[u32; RING_CHUNKS]>::try_from(doors).expect("nine masks"),
        entities: lists(text("entities")).iter().map(entity).collect(),
    }
}

const GIVEN: [&str; 7] = [
    "tick_rate_hz",
    "baseline_tick",
    "baseline_input",
    "baseline_lead_half_ms",
    "baseline_own",
    "baseline_open_doors",
    "baseline_entities",
];

/// Without a baseline only the tick rate is given.
fn given(f: &Fields) -> (&'static [&'static str], Option<Snapshot>) {
    if f.has("baseline_tick") { (&GIVEN, Some(snapshot(f, "baseline_"))) } else { (&GIVEN[..1], None) }
}

fn encode_snapshot(f: &Fields) -> Vec<u8> {
    let mut body = [0xa5; PACKET_BYTES_MAX];
    let bytes = encode(&mut body, f.number("tick_rate_hz"), given(f).1.as_ref(), &snapshot(f, ""));
    body[..bytes].to_vec()
}

fn decode_snapshot(f: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let (names, baseline) = given(f);
    let find = |tick: u32| baseline.as_ref().filter(|b| b.tick == tick);
    let mut into = Snapshot::default();
    decode(bytes, f.number("tick_rate_hz"), find, &mut into).map_err(|e| e.to_string())?;
    Ok(with_snapshot(Fields::new().given(f, names), "", &into))
}

fn encode_event(f: &Fields) -> Vec<u8> {
    let event = GameEvent {
        number: f.number("number"),
        kind: f.number("kind"),
        tick: f.number("tick"),
        cx: f.number("cx"),
        cz: f.number("cz"),
        x: f.number("x"),
        y: f.number("y"),
        z: f.number("z"),
        reserved: 0,
        value: f.number("value"),
    };
    event.to_bytes().to_vec()
}

fn decode_event(_: &Fields, bytes: &[u8]) -> Result<Fields, String> {
    let e = GameEvent::parse(bytes).map_err(|e| e.to_string())?;
    Ok(Fields::new()
        .with("number", e.number)
        .with("kind", e.kind)
        .with("tick", e.tick)
        .with("cx", e.cx)
        .with("cz", e.cz)
        .with("x", e.x)
        .with("y", e.y)
        .with("z", e.z)
        .with("value", e.value))
}

fn samples() -> Vec<Sample> {
    let mut all = inputs_samples();
    all.extend(snapshot_samples());
    let event = |kind: u16, cx: i32, y: i16, value: u32| {
        let f = Fields::new().with("number", 258).with("kind", kind).with("tick", 3_600).with("cx", cx);
        f.with("cz", -2).with("x", 65_535).with("y", y).with("z", 32_768).with("value", value)
    };
    all.extend([
        Sample::new("EVENT", "a door was opened", event(GameEvent::DOOR_OPENED, 7, 64, 5)),
        Sample::new("EVENT", "one of the game's own", event(300, i32::MIN, -1, u32::MAX)),
        Sample::refused("EVENT", "a byte short", Fields::new(), &[0; 27]),
    ]);
    all
}

fn inputs_samples() -> Vec<Sample> {
    let inputs = |newest: u32, list: &str| Fields::new().with("newest", newest).with("inputs", list);
    let refused = |case, bytes: &[u8]| Sample::refused("INPUTS", case, Fields::new(), bytes);
    let walk = "32767 -1 16384 0";
    vec![
        Sample::new("INPUTS", "the first, standing still", inputs(1, "0 0 0 0")),
        Sample::new(
            "INPUTS",
            "walks on, then uses a door",
            inputs(9, &[walk, walk, "32767 -1 16384 2"].join(", ")),
        ),
        Sample::new("INPUTS", "every bit", inputs(u32::MAX, "-32768 -32768 65535 65535, 0 0 0 0")),
        Sample::new("INPUTS", "as many as one frame may hold", inputs(32, &[walk; 32].join(", "))),
        refused("none", &[1, 0, 0, 0, 0]),
        refused("more than one frame may hold", &[99, 0, 0, 0, 33]),
        refused("before the first", &[1, 0, 0, 0, 2, 0, 0]),
        refused("a change that is none", &[1, 0, 0, 0, 1, 8]),
        refused("a yaw cut off", &[1, 0, 0, 0, 1, 2, 0]),
    ]
}

/// Someone in chunk (-1, 2), a walker, one that stands far away.
fn scene() -> Snapshot {
    let own =
        OwnState { cx: -1, cz: 2, x: 524_288, y: 1_024, z: 1_000, on_ground: true, ..OwnState::default() };
    let state =
        EntityState { kind: 1, x: -30_000, y: 64, z: 140_000, velocity_x: 5_120, ..Default::default() };
    let walker = SnapshotEntity { index: 3, id: 70_001, state };
    let state = EntityState { kind: 300, x: 1 << 40, y: -5, z: -(1 << 47), yaw: 1_023, state: 9, ..state };
    let far = SnapshotEntity { index: 9, id: u64::MAX, state: EntityState { velocity_x: 0, ..state } };
    let open_doors = [0, 0, 0, 0, 1 << 5, 0, 0, 0, 0];
    Snapshot {
        tick: 4_000_000_000,
        input: 65_530,
        lead_half_ms: 9,
        incomplete: false,
        own,
        open_doors,
        entities: vec![walker, far],
    }
}

/// What follows [`scene`] seven ticks later: everything that a difference can say.
fn next_scene() -> Snapshot {
    let mut next = Snapshot { tick: 4_000_000_007, input: 1, lead_half_ms: -3, incomplete: true, ..scene() };
    next.own = OwnState { x: 1_000, cx: 0, velocity_y: 250_000, y: 9_000, on_ground: false, ..next.own };
    next.open_doors = [0, 0, 0, 1 << 5, 6, 0, 0, 0, 0];
    let walker = &mut next.entities[0].state;
    (walker.x, walker.z, walker.velocity_x, walker.velocity_z) = (-28_000, 140_700, 3_620, 3_620);
    (walker.y, walker.velocity_y, walker.yaw, walker.state) = (80, 100, 128, 1);
    let other = EntityState { kind: 2, x: 1, y: 64, z: 131_072, yaw: 512, ..EntityState::default() };
    next.entities[1] = SnapshotEntity { index: 9, id: 5, state: other };
    next
}

/// Six ticks after `base` two came 32 units east.
fn walks_on(base: &Snapshot) -> Snapshot {
    let mut walks = Snapshot { tick: base.tick + 6, input: 65_535, ..base.clone() };
    (walks.entities[0].state.x, walks.own.x) = (-30_000 + 2_048, 524_288 + 32_768);
    walks
}

/// A baseline and a body that leads from it: the worked example of the protocol page.
pub(crate) fn two_walk_straight_on() -> (Snapshot, Vec<u8>) {
    let base = scene();
    let mut body = vec![0; PACKET_BYTES_MAX];
    let bytes = encode(&mut body, 60, Some(&base), &walks_on(&base));
    body.truncate(bytes);
    (base, body)
}

fn snapshot_samples() -> Vec<Sample> {
    let hz = || Fields::new().with("tick_rate_hz", 60);
    let full = |s: &Snapshot| with_snapshot(hz(), "", s);
    let (base, next) = (scene(), next_scene());
    let after = |s: &Snapshot| with_snapshot(with_snapshot(hz(), "baseline_", &base), "", s);
    let walks = walks_on(&base);
    let gone = Snapshot { tick: base.tick + 63, entities: base.entities[..1].to_vec(), ..base.clone() };
    let refused = |case, bytes: &[u8]| Sample::refused("SNAPSHOT", case, hz(), bytes);
    let refused_after = |case, bytes: &[u8]| {
        Sample::refused("SNAPSHOT", case, with_snapshot(hz(), "baseline_", &base), bytes)
    };
    let (still, whole) = (
        encode_snapshot(&after(&Snapshot { tick: base.tick + 1, ..base.clone() })),
        encode_snapshot(&full(&base)),
    );
    let twice = twice_the_same_index(&base);
    vec![
        Sample::new(
            "SNAPSHOT",
            "from nothing, nobody there",
            full(&Snapshot { tick: 1, ..Snapshot::default() }),
        ),
        Sample::new("SNAPSHOT", "from nothing, a walker and one far away", full(&base)),
        Sample::new("SNAPSHOT", "nothing changed", after(&Snapshot { tick: base.tick + 1, ..base.clone() })),
        Sample::new("SNAPSHOT", "two walk straight on", after(&walks)),
        Sample::new("SNAPSHOT", "the oldest baseline, one gone", after(&gone)),
        Sample::new("SNAPSHOT", "all that can change", after(&next)),
        refused("leads from what is not there", &still),
        refused("a baseline of 64 ticks before", &[&whole[..4], &[64], &whole[5..]].concat()),
        refused("cut inside the head", &whole[..7]),
        refused("cut inside an entity", &whole[..whole.len() - 9]),
        refused_after("a bit behind the last", &[&still[..8], &[still[8] | 0x80]].concat()),
        refused_after("an index twice", &twice),
    ]
}

/// The second entity of `base` enters where it stands already.
fn twice_the_same_index(base: &Snapshot) -> Vec<u8> {
    use crate::snapshot::{Encoder, Head};
    let mut body = [0xa5; PACKET_BYTES_MAX];
    let head = Head { tick: base.tick + 1, baseline: Some(base.tick), ..Head::default() };
    let mut encoder = Encoder::new(&mut body, 60, &head);
    let chunk = (base.own.cx, base.own.cz);
    encoder.own(&base.own, &base.own).open_doors(&base.open_doors, chunk, &base.open_doors);
    base.entities.iter().for_each(|_| encoder.same());
    encoder.entered(&base.entities[1]);
    let bytes = encoder.finish();
    body[..bytes].to_vec()
}
