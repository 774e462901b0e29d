//! A server that lies: about time, places, inputs, entities. The client refuses or follows, counts, and stays small.

#[path = "common/liar.rs"]
mod liar;

use liar::{Liar, WELCOME};
use ninefold_client::Event;
use ninefold_client::protocol::frame::{GameEvent, PlayerInput, Welcome, kind};
use ninefold_client::protocol::snapshot::{EntityState, OwnState, Snapshot, SnapshotEntity, encode};
use proptest::prelude::*;

fn entity(index: u32, id: u64, x: i64) -> SnapshotEntity {
    SnapshotEntity { index, id, state: EntityState { x, ..EntityState::default() } }
}

#[test]
fn a_welcome_that_cannot_be_is_refused_and_a_second_one_changes_nothing() {
    for tick_rate_hz in [0, 1_001, u16::MAX] {
        let mut liar = Liar::welcomed(Welcome { tick_rate_hz, ..WELCOME });
        assert_eq!(liar.client.stats().frames_refused, 1);
        liar.pass(100);
        assert_eq!(liar.client.poll_event(), None);
        liar.welcome(WELCOME);
        assert!(matches!(liar.client.poll_event(), Some(Event::Welcome(_))));
        liar.welcome(Welcome { tick_rate_hz: 7, ..WELCOME });
        assert_eq!((liar.client.poll_event(), liar.client.stats().frames_refused), (None, 2));
    }
}

#[test]
fn the_slowest_and_the_fastest_server_are_played_with() {
    for (tick_rate_hz, walk_speed_units_s) in [(1, u16::MAX), (1_000, u16::MAX), (1_000, 0), (1, 0)] {
        let mut liar = Liar::welcomed(Welcome { tick_rate_hz, walk_speed_units_s, ..WELCOME });
        liar.client.set_input(PlayerInput { move_x: i16::MAX, ..PlayerInput::default() });
        for tick in 0..200 {
            liar.snapshot(None, &Snapshot { tick, input: tick as u16, ..Snapshot::default() });
            liar.pass(50);
        }
        assert!(liar.client.predicted().is_some_and(|(number, _)| number > 5), "{tick_rate_hz} Hz");
    }
}

#[test]
fn snapshots_that_overtake_the_welcome_are_kept_for_it_and_not_without_end() {
    let mut liar = Liar::new();
    let first = Snapshot { tick: 10, entities: vec![entity(1, 5, 64)], ..Snapshot::default() };
    let second = Snapshot { tick: 11, entities: vec![entity(1, 5, 128)], ..Snapshot::default() };
    liar.snapshot(None, &first);
    liar.snapshot(Some(&first), &second);
    assert!(liar.client.snapshot().is_none() && liar.client.own(liar.now).is_none());
    liar.welcome(WELCOME);
    assert_eq!(liar.client.snapshot(), Some(&second));
    assert_eq!(liar.client.stats().snapshots_without_baseline, 0);

    let mut liar = Liar::new();
    for tick in 0..1_000 {
        liar.snapshot(None, &Snapshot { tick, ..Snapshot::default() });
    }
    liar.welcome(WELCOME);
    assert_eq!((liar.client.stats().snapshots_in, liar.client.snapshot().map(|s| s.tick)), (64, Some(999)));
}

#[test]
fn absurd_places_ticks_leads_and_inputs_do_no_harm() {
    let mut liar = Liar::welcomed(WELCOME);
    liar.client.set_input(PlayerInput { move_z: -9, buttons: PlayerInput::JUMP, ..PlayerInput::default() });
    let ends = [i32::MIN, -1, 0, 1, i32::MAX];
    let mut tick = u32::MAX - 50;
    for round in 0..2_000_u32 {
        tick = tick.wrapping_add([1, 2, 1 << 10, (1 << 20) - 1][round as usize % 4]);
        let pick = |by: u32| ends[(round / by) as usize % 5];
        let own = OwnState {
            cx: pick(1),
            cz: pick(5),
            x: round.wrapping_mul(77_777) % (1 << 20),
            y: pick(2),
            z: (1 << 20) - 1,
            velocity_y: pick(3),
            on_ground: round % 2 == 0,
            state: round,
        };
        let snapshot = Snapshot {
            tick,
            input: (round * 31) as u16,
            lead_half_ms: (round * 7) as i8,
            own,
            open_doors: [u32::MAX * (round % 2); 9],
            ..Snapshot::default()
        };
        liar.snapshot(None, &snapshot);
        liar.pass(u64::from(round) % 40);
    }
    let stats = liar.client.stats();
    assert!(stats.confirmations_refused > 500 && stats.snapshots_in == 2_000, "{stats:?}");
}

#[test]
fn ever_new_entities_and_events_do_not_pile_up() {
    let mut liar = Liar::welcomed(WELCOME);
    let first = Snapshot { tick: 0, ..Snapshot::default() };
    liar.snapshot(None, &first);
    for tick in 1..2_000_u32 {
        // Each incomplete and against the newest one that is old enough: what came since is kept for a while.
        let base = Snapshot { tick: (tick - 1) / 60 * 60, ..first.clone() };
        let entities = match base.tick == tick {
            true => Vec::new(),
            false => (0..60).map(|i| entity(tick % 400 * 60 + i, tick.into(), 0)).collect(),
        };
        let is_base = tick % 60 == 0;
        let entities = if is_base { Vec::new() } else { entities };
        liar.snapshot(Some(&base), &Snapshot { tick, incomplete: !is_base, entities, ..Snapshot::default() });
        let event = GameEvent { number: tick as u16, ..GameEvent::default() };
        liar.send(Some((kind::EVENT, &event.to_bytes())));
        liar.pass(16);
    }
    let stats = *liar.client.stats();
    assert_eq!((stats.snapshots_without_baseline, stats.events_in), (0, 1_999));
    // Nobody listened: the oldest were dropped.
    liar.events.extend(std::iter::from_fn(|| liar.client.poll_event()));
    assert_eq!(liar.events.len(), 4_096);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_frames_are_taken_or_refused(
        frames in proptest::collection::vec(
            (0x20..0x27_u8, proptest::collection::vec(any::<u8>(), 0..200), 0..60_u64), 1..60,
        ),
    ) {
        let mut liar = Liar::welcomed(WELCOME);
        for (kind, body, ms) in frames {
            liar.send(Some((kind, &body)));
            liar.pass(ms);
        }
    }

    /// A snapshot that was right but for some bits.
    #[test]
    fn spoilt_snapshots_are_taken_or_refused(spoils in proptest::collection::vec((0..60_usize, any::<u8>()), 1..60)) {
        let mut liar = Liar::welcomed(WELCOME);
        let mut base = None;
        for (tick, (at, value)) in spoils.into_iter().enumerate() {
            let entities = (0..8).map(|i| entity(i * 3, i.into(), i64::from(i) << tick.min(40))).collect();
            let snapshot = Snapshot { tick: tick as u32, entities, ..Snapshot::default() };
            let mut body = vec![0; 2_000];
            let length = encode(&mut body, 60, base.as_ref(), &snapshot);
            // Not in the tick: it would then be far ahead, and all that follow old.
            body[4 + at % (length - 4)] ^= value;
            liar.send(Some((kind::SNAPSHOT, &body[..length])));
            liar.pass(16);
            let held = liar.client.snapshot().filter(|held| held.tick == snapshot.tick).cloned();
            base = held.or(base);
        }
    }
}
