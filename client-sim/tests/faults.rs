//! What breaks in a run, breaks: small scenarios in process, each with one fault or one sort of company.

use std::ops::ControlFlow;

use ninefold_sim::outcome::{Limits, Outcome};
use ninefold_sim::run::{CACHE_CHUNKS, Order, Target, execute};
use ninefold_sim::scenario::Scenario;

fn group(name: &str, clients: u32, rest: &str) -> String {
    format!("[[group]]\nname = \"{name}\"\nclients = {clients}\n{rest}\n")
}

fn order(groups: &str, seconds: u32, faults: &str) -> Order {
    let text = format!(
        "name = \"test\"\nabout = \"\"\nseed = 9\n{groups}[[stage]]\nkind = \"ramp\"\nseconds = 1\n\
         [[stage]]\nkind = \"hold\"\nseconds = {seconds}\n{faults}"
    );
    Order {
        scenario: Scenario::parse("test.toml".as_ref(), &text).unwrap(),
        target: Target::InProcess,
        threads: 2,
        cache_chunks: CACHE_CHUNKS,
        limits: Limits::USUAL,
        command: Vec::new(),
    }
}

fn run(groups: &str, seconds: u32, faults: &str) -> Outcome {
    execute(&order(groups, seconds, faults), &mut |_| ControlFlow::Continue(())).unwrap()
}

fn count(outcome: &Outcome, group: &str, name: &str) -> f64 {
    let group = outcome.groups.iter().find(|g| g.name == group).unwrap();
    group.counts.get(name).copied().unwrap_or(0.0)
}

#[test]
fn hostile_clients_do_what_they_can_and_the_others_play_on() {
    let hostile = "behaviour = { kind = \"hostile\", every_s = 0.5 }";
    let groups = group("walkers", 6, "behaviour = \"walk\"")
        + &group("rogues", 3, hostile)
        + &group("quic rogues", 3, &format!("{hostile}\ncarrier = \"quic\""));
    let outcome = run(&groups, 8, "");
    for name in ["clients_lost", "joins_failed"] {
        assert_eq!(count(&outcome, "walkers", name), 0.0, "{name}: {outcome}");
    }
    assert_eq!(outcome.figure("chunks_wrong"), Some(0.0));
    let counters = outcome.server.as_ref().unwrap().counters.clone();
    let hit = |names: &[&str]| names.iter().any(|name| counters.keys().any(|key| key.contains(name)));
    assert!(hit(&["packets_refused", "frames_refused", "over_limit", "duplicate"]), "{counters:?}");
    assert!(hit(&["malformed", "forged", "replayed", "unknown", "no_session"]), "{counters:?}");
}

#[test]
fn who_is_put_elsewhere_stands_there_soon_and_that_is_measured_from_the_order() {
    let teleport = "behaviour = { kind = \"teleport\", every_s = 1, radius_chunks = 500 }";
    let outcome = run(&group("jumpers", 4, teleport), 6, "");
    let teleports = count(&outcome, "jumpers", "teleports");
    let usable = &outcome.spreads["teleport_usable"];
    assert!(teleports >= 8.0, "{teleports}");
    assert!(
        usable.count as f64 >= teleports - 4.0 && usable.quantile("p50").unwrap() > 1_000.0,
        "{usable:?}"
    );
    assert_eq!(outcome.figure("clients_lost"), Some(0.0));
}

#[test]
fn a_server_that_is_killed_loses_everybody_and_they_come_again() {
    let fault = "[[fault]]\nat_s = 2\nkind = \"kill-server\"\nseconds = 1\n";
    let outcome = run(&group("walkers", 5, "behaviour = \"walk\""), 11, fault);
    assert_eq!((outcome.figure("clients_lost"), outcome.counts["joined"]), (Some(5.0), 10.0), "{outcome}");
    // Nobody heard a goodbye: they waited for the server until their patience was over.
    assert_eq!(outcome.ends.keys().filter(|why| why.contains("TimedOut")).count(), 1, "{:?}", outcome.ends);
    let at_the_end = outcome.series.last().unwrap();
    assert_eq!((at_the_end.clients, at_the_end.clients_wanted), (5, 5), "{:?}", outcome.series);
}

#[test]
fn a_tick_that_stalls_and_a_generator_that_panics_show_in_the_servers_table() {
    let faults = "[[fault]]\nat_s = 3\nkind = \"stalled-tick\"\nms = 120\n\
                  [[fault]]\nat_s = 0\nkind = \"panicking-generator\"\none_in = 3\nseconds = 4\n";
    let outcome = run(&group("walkers", 6, "behaviour = \"walk\""), 5, faults);
    assert!(outcome.figure("tick_max").unwrap() >= 120_000.0 && outcome.figure("overruns").unwrap() >= 1.0);
    assert!(outcome.figure("panics").unwrap() >= 1.0, "{outcome}");
    assert_eq!(outcome.figure("chunks_wrong"), Some(0.0));
    // The stall is seen by the players too, from when their inputs were due.
    assert!(outcome.figure("input_state_max").unwrap() >= 100_000.0, "{outcome}");
}

#[test]
fn an_outage_of_one_groups_lines_is_felt_by_that_group_alone() {
    let groups = group("cut", 4, "behaviour = \"walk\"") + &group("others", 4, "behaviour = \"walk\"");
    let fault = "[[fault]]\nat_s = 3\nkind = \"outage\"\ngroup = \"cut\"\nseconds = 2.5\n\
                 [[fault]]\nat_s = 6\nkind = \"address-change\"\ngroup = \"others\"\n";
    let outcome = run(&groups, 8, fault);
    let worst = |name: &str| {
        let group = outcome.groups.iter().find(|g| g.name == name).unwrap();
        group.spreads["input_state"].quantile("max").unwrap()
    };
    // Half a second is for a machine that is busy with other things.
    assert!(worst("cut") >= 2_000_000.0, "{outcome}");
    // A change of address costs a round trip or two, and nobody its session.
    assert!(worst("others") < 2_000_000.0, "{outcome}");
    assert_eq!(outcome.figure("clients_lost"), Some(0.0), "{outcome}");
    assert!(outcome.lines.iter().any(|line| line.group == "cut" && line.down[4] > 0), "{:?}", outcome.lines);
}

#[test]
fn what_only_virtual_time_can_do_is_refused() {
    let order = order(
        &group("a", 1, "behaviour = \"idle\""),
        1,
        "[[fault]]\nat_s = 0\nkind = \"clock-jump\"\nms = 5\n",
    );
    let error = execute(&order, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(error.contains("clock-jump") && error.contains("virtual"), "{error}");
}
