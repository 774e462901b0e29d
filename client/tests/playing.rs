//! Clients that play: what each shows of itself and of others, over bad lines and in virtual time.

mod common;

use common::{PACE, Room, STEP_US, Seat, wander};
use ninefold_client::protocol::frame::{GameEvent, PlayerInput};
use ninefold_client::world::Position;
use ninefold_client::{EntityView, Event, JUMP_UNITS};
use ninefold_netem::{Loss, Profile, Ratio};

/// 100 ms there and back, 20 ms jitter, 5 % loss.
fn bad_line() -> Profile {
    Profile {
        delay_us: 50_000,
        jitter_us: 20_000,
        loss: Loss::Independent(Ratio::percent(5)),
        ..Profile::default()
    }
}

/// All walk about for so long; `each` is called after each step.
fn walk_about(room: &mut Room, ms: u64, uses_doors: bool, mut each: impl FnMut(&mut Room)) {
    let mut wishes = vec![PlayerInput::default(); room.seats.len()];
    for step in 0..ms * 1_000 / STEP_US {
        if step % 16 == 0 {
            for (seat, wish) in room.seats.iter_mut().zip(&mut wishes) {
                *wish = wander(&mut room.random, *wish, uses_doors);
                seat.client.set_input(*wish);
            }
        }
        room.step();
        each(room);
    }
}

fn compared(seat: &Seat) -> usize {
    let mut compared = 0;
    for (number, mover) in &seat.became {
        if let Some(predicted) = seat.predicted.get(number) {
            assert_eq!(predicted, mover, "after input {number}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn a_player_is_where_the_server_has_it_to_the_bit_through_loss_jitter_and_doors() {
    for seed in 0..12 {
        let mut room = Room::new(seed, 1, &bad_line());
        room.until_all_play();
        walk_about(&mut room, 30_000, true, |_| {});
        let compared = compared(&room.seats[0]);
        assert!(compared > 1_600, "seed {seed}: {compared} compared");
        let measures = room.seats[0].client.measures(room.now());
        assert_eq!((measures.corrections, measures.prediction_error_worst_units), (0, 0.0), "seed {seed}");
        assert!(measures.confirmations > 1_500, "seed {seed}: {measures:?}");
        let skipped = room.seats[0].next as usize - room.seats[0].became.len();
        assert!(skipped <= 1 + 64, "seed {seed}: {skipped} inputs never came");
    }
}

#[test]
fn others_walk_smoothly_and_are_shown_as_they_were_a_moment_ago() {
    for (seed, told_max, snapshot_every) in
        [(1, usize::MAX, 1), (2, usize::MAX, 3), (3, 5, 1), (4, usize::MAX, 2), (5, 4, 2), (6, usize::MAX, 1)]
    {
        let mut room = Room::new(seed, 8, &bad_line());
        (room.told_max, room.snapshot_every) = (told_max, snapshot_every);
        room.until_all_play();
        room.run_ms(500);
        let (mut shown, mut frames, mut worst_jump, mut worst_off) = (vec![], 0_u32, 0.0_f64, 0.0_f64);
        walk_about(&mut room, 30_000, false, |room| {
            // Frames at 62 Hz, of the first client.
            if !room.now_us.is_multiple_of(16_000) {
                return;
            }
            frames += 1;
            let seat = &room.seats[0];
            let views: Vec<EntityView> = seat.client.entities(room.now()).collect();
            assert_eq!(views.len(), 7, "seed {seed}");
            let delay_us = seat.client.measures(room.now()).interpolation_delay.as_us();
            let late_steps = ((150_000 + delay_us) / STEP_US) as usize;
            for view in &views {
                let path = &room.seats[view.index as usize].path;
                let recent = path.iter().rev().take(late_steps);
                let off = |at: &Position| (at.x - view.position.x).hypot(at.z - view.position.z);
                let off = recent.map(off).fold(f64::INFINITY, f64::min);
                worst_off = worst_off.max(off);
            }
            for (before, now) in shown.iter().zip(&views) {
                let before: &EntityView = before;
                // A step of the stairs is a jump upward for everybody.
                let level = Position { y: before.position.y, ..now.position };
                worst_jump = worst_jump.max(distance(before.position, level));
            }
            shown = views;
        });
        assert!(frames > 1_800 && worst_jump < 8.0, "seed {seed}: a jump of {worst_jump} units");
        println!("seed {seed}: worst jump {worst_jump:.2}, worst off {worst_off:.2}");
        // Of whom less is heard, more is guessed.
        let off_max = if told_max < 7 || snapshot_every > 1 { 32.0 } else { 16.0 };
        assert!(worst_off < off_max, "seed {seed}: {worst_off} units off the way");
    }
}

fn distance(a: Position, b: Position) -> f64 {
    ((a.x - b.x).powi(2) + (a.y - b.y).powi(2) + (a.z - b.z).powi(2)).sqrt()
}

#[test]
fn who_sets_out_after_a_long_rest_is_shown_to_do_just_that() {
    let mut room = Room::new(4, 2, &Profile { delay_us: 50_000, ..Profile::default() });
    room.rests = true;
    room.until_all_play();
    for _ in 0..5 {
        room.run_ms(5_000);
        let before = room.seats[0].client.stats().snapshots_in;
        room.run_ms(1_000);
        let rare = room.seats[0].client.stats().snapshots_in - before;
        assert!((3..=5).contains(&rare), "{rare} snapshots in a second");
        let delay = room.seats[0].client.measures(room.now()).interpolation_delay;
        assert!(delay.as_us() < 40_000, "{delay:?} behind");
        let stood_at = room.seats[1].mover.position;
        let east = PlayerInput { move_x: 32_767, ..PlayerInput::default() };
        let back = PlayerInput { move_x: -32_767, ..PlayerInput::default() };
        room.seats[1].client.set_input(if stood_at.x > 512.0 { back } else { east });
        let mut shown_at = stood_at;
        let (mut left_at_us, mut seen_at_us) = (None, None);
        for _ in 0..500 {
            room.step();
            let view = room.seats[0].client.entities(room.now()).next().unwrap();
            let level = Position { y: shown_at.y, ..view.position };
            assert!(distance(level, shown_at) < 0.6, "{shown_at:?} to {level:?} in a millisecond");
            shown_at = view.position;
            left_at_us = left_at_us.or((room.seats[1].mover.position != stood_at).then_some(room.now_us));
            seen_at_us = seen_at_us.or((distance(shown_at, stood_at) > 1.0).then_some(room.now_us));
        }
        let late_us = seen_at_us.unwrap() - left_at_us.unwrap();
        assert!((50_000..100_000).contains(&late_us), "seen {late_us} us later");
        room.seats[1].client.set_input(PlayerInput::default());
    }
}

#[test]
fn who_comes_and_who_leaves_is_told_once_each_and_nobody_stays_behind() {
    for seed in 0..6 {
        let mut room = Room::new(seed, 6, &bad_line());
        room.told_max = 3;
        room.until_all_play();
        for _ in 0..200 {
            let index = 1 + room.random.usize(..5);
            let seat = &mut room.seats[index];
            seat.visible = !seat.visible;
            if seat.visible && room.random.bool() {
                // Another one with the same index.
                room.seats[index].id += 100;
            }
            let ms = room.random.u64(1..120);
            walk_about(&mut room, ms, false, |_| {});
        }
        room.run_ms(2_000);
        let mut near = std::collections::BTreeMap::new();
        for event in &room.seats[0].events {
            match *event {
                Event::EntityEntered { index, id, .. } => {
                    assert_eq!(near.insert(index, id), None, "seed {seed}: {index} came twice");
                }
                Event::EntityLeft { index, id } => {
                    assert_eq!(near.remove(&index), Some(id), "seed {seed}: {index} left");
                }
                _ => {}
            }
        }
        let seen: Vec<_> = room.seats[0].client.entities(room.now()).map(|v| (v.index, v.id)).collect();
        let there: Vec<_> = (room.seats.iter().enumerate().skip(1))
            .filter(|(_, seat)| seat.visible)
            .map(|(index, seat)| (index as u32, seat.id))
            .collect();
        assert_eq!(seen, there, "seed {seed}");
        assert_eq!(near.into_iter().collect::<Vec<_>>(), there, "seed {seed}");
    }
}

#[test]
fn after_an_outage_client_and_server_agree_again() {
    let outages_us = vec![5_000_000..5_400_000, 9_000_000..12_000_000];
    let mut room = Room::new(5, 2, &Profile { outages_us, ..bad_line() });
    room.until_all_play();
    walk_about(&mut room, 14_000, false, |_| {});
    let corrections = room.seats[0].client.measures(room.now()).corrections;
    let last = *room.seats[0].became.last_key_value().unwrap().0;
    walk_about(&mut room, 4_000, false, |_| {});
    let seat = &room.seats[0];
    assert_eq!(seat.client.measures(room.now()).corrections, corrections);
    for (number, mover) in seat.became.range(last + 30..) {
        assert!(seat.predicted.get(number).is_none_or(|predicted| predicted == mover), "after {number}");
    }
    let lead_us = seat.client.measures(room.now()).input_lead_us.unwrap();
    assert!((-30_000..60_000).contains(&lead_us), "{lead_us}");
    assert_eq!(seat.client.stats().snapshots_without_baseline, 0);
}

#[test]
fn a_push_is_taken_over_and_shown_over_a_moment() {
    let mut room = Room::new(7, 1, &bad_line());
    room.until_all_play();
    room.run_ms(3_000);
    let mover = &mut room.seats[0].mover;
    (mover.position.y, mover.on_ground) = (mover.position.y + 24.0, false);
    let mut before = room.seats[0].client.own(room.now()).unwrap().position;
    for _ in 0..3_000 {
        room.step();
        let now = room.seats[0].client.own(room.now()).unwrap().position;
        assert!(distance(before, now) < 2.0, "{before:?} to {now:?}");
        before = now;
    }
    assert!(!room.seats[0].events.contains(&Event::Teleported));
    assert_eq!(distance(before, room.seats[0].mover.position), 0.0);
    // Far away, it is there at once.
    let far = room.seats[0].mover.position.x + 2.0 * JUMP_UNITS;
    room.seats[0].mover.position.x = far;
    room.run_ms(200);
    assert!(room.seats[0].events.contains(&Event::Teleported));
    let own = room.seats[0].client.own(room.now()).unwrap();
    assert!((own.position.x - far).abs() < 70.0);
}

#[test]
fn an_event_is_told_once_however_often_it_is_said() {
    let mut room = Room::new(8, 1, &bad_line());
    room.until_all_play();
    let numbers: Vec<u16> = (0..50).map(|n| 65_500_u16.wrapping_add(n)).collect();
    for &number in &numbers {
        room.say(0, 8, GameEvent { number, kind: 300, ..GameEvent::default() });
    }
    room.run_ms(10_000);
    let told: Vec<_> = (room.seats[0].events.iter())
        .filter_map(|e| if let Event::Happened(event) = e { Some(event.number) } else { None })
        .collect();
    assert_eq!(told, numbers);
    assert!(room.seats[0].client.stats().events_repeated > 200);
}

#[test]
fn the_lead_is_small_and_inputs_are_not_late() {
    let mut room = Room::new(9, 1, &Profile { delay_us: 50_000, ..Profile::default() });
    room.until_all_play();
    walk_about(&mut room, 10_000, false, |_| {});
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    walk_about(&mut room, 20_000, false, |room| {
        let lead_us = room.seats[0].client.measures(room.now()).input_lead_us.unwrap();
        (least, most) = (least.min(lead_us), most.max(lead_us));
    });
    assert!(least >= 2_000 && most <= 10_000, "{least} to {most} us");
    // Each input is confirmed a round trip and its lead later.
    let confirmed = room.seats[0].client.input_confirmed();
    let due = room.seats[0].client.input_due(confirmed + 1).unwrap();
    let age_us = room.now().since(due).as_us();
    assert!(age_us < 100_000 + 10_000 + 2 * 1_000_000 / u64::from(PACE.tick_rate_hz), "{age_us} us");
}
