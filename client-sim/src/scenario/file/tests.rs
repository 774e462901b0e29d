//! What a file can say, and each mistake in one with its line.

use super::*;
use crate::scenario::{Behaviour, FaultKind, Misdeed};
use crate::swarm::Carrier;
use ninefold_netem::Loss;

const WHOLE: &str = r#"
name = "whole"
about = "everything that a file can say"
seed = 7

[server]
tick_rate_hz = 30
walk_speed_units_s = 640

[[group]]
name = "walkers"
clients = 30
behaviour = "walk"
link = "lte-moving"

[[group]]
name = "visitors"
clients = 10
behaviour = { kind = "churn", stay_s = 3, away_s = 0.5, crash_percent = 12.5 }
carrier = "quic"
link = { down = { delay_us = 9_000, loss_bursts = { enter_percent = 1, leave_percent = 25 } }, up = { loss_percent = 0.5 } }

[[group]]
name = "rogues"
clients = 1
[group.behaviour]
kind = "hostile"
misdeeds = ["flood", "lies"]

[[stage]]
kind = "ramp"
seconds = 2.5
[[stage]]
kind = "hold"
seconds = 7.5

[[fault]]
at_s = 4
kind = "outage"
group = "walkers"
seconds = 2
[[fault]]
at_s = 5
kind = "join-burst"
clients = 9

[objectives]
tick_p99 = "< 8ms"
crossings_without_chunk = "== 0"
"#;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse("a.toml".as_ref(), text).map_err(|error| error.to_string())
}

/// The error of the whole file with one text replaced.
fn wrong(from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    let error = parse(&WHOLE.replacen(from, to, 1)).expect_err(to);
    assert!(!error.contains('\n') && error.starts_with("scenario a.toml: "), "{error}");
    error
}

#[test]
fn all_that_a_file_says_is_read() {
    let scenario = parse(WHOLE).unwrap();
    assert_eq!((scenario.server.tick_rate_hz, scenario.has_world_seed), (30, false));
    assert_eq!(scenario.length(), Duration::from_secs(10));
    assert_eq!(scenario.clients(), 50);
    let [walkers, visitors, rogues] = &scenario.groups[..] else { panic!() };
    assert_eq!((walkers.carrier, walkers.link.name()), (Carrier::Udp, "lte-moving"));
    assert_eq!((visitors.carrier, visitors.link.name()), (Carrier::Quic, "custom"));
    let line = &visitors.link.path().unwrap().path;
    assert_eq!((line.down.delay_us, line.up.delay_us), (9_000, 0));
    assert!(matches!(line.down.loss, Loss::Bursts { .. }) && matches!(line.up.loss, Loss::Independent(_)));
    let Behaviour::Churn { stay, away, crash, .. } = visitors.behaviour else { panic!() };
    assert_eq!((stay, away.0), (Seconds::new(3), Duration::from_ms(500)));
    assert_eq!(crash.millionths(), 125_000);
    let Behaviour::Hostile { misdeeds, .. } = &rogues.behaviour else { panic!() };
    assert_eq!(misdeeds, &[Misdeed::Flood, Misdeed::Lies]);
    assert_eq!(scenario.faults[0].kind, FaultKind::Outage { seconds: Seconds::new(2) });
    let names: Vec<String> = scenario.objectives.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["tick_p99 < 8ms", "crossings_without_chunk == 0"]);
}

#[test]
fn each_mistake_is_one_line_with_its_place_and_what_is_allowed() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("behaviour = \"walk\"", "behaviour = \"wlak\"", &["line 13", "`behaviour`", "wlak", "teleport"]),
        ("seconds = 2.5", "seconds = -1", &["line 32", "`seconds`", "-1", "86400"]),
        ("seconds = 2.5", "seconds = \"x\"", &["line 32", "`seconds`"]),
        ("link = \"lte-moving\"", "link = \"pigeon\"", &["line 14", "pigeon", "lte-moving", "none"]),
        ("clients = 30", "clients = 0", &["line 10", "walkers", "`clients`"]),
        ("clients = 30", "cleints = 30", &["cleints", "`clients`"]),
        ("kind = \"ramp\"", "kind = \"rampe\"", &["line 31", "rampe", "drain"]),
        ("kind = \"hold\"", "kind = \"hold\"\nto_percent = 5", &["line 33", "to_percent"]),
        ("tick_rate_hz = 30", "tick_rate_hz = 300", &["line 7", "tick_rate_hz", "1 to 240"]),
        ("tick_rate_hz = 30", "tick_rate = 30", &["line 7", "did you mean `tick_rate_hz`"]),
        ("tick_rate_hz = 30", "listen = \"127.0.0.1:1\"", &["listen", "the run itself"]),
        ("group = \"walkers\"", "group = \"walker\"", &["line 37", "walker", "visitors"]),
        ("\nseconds = 2\n", "\n", &["line 37", "`seconds`"]),
        ("clients = 9", "clients = 9\nms = 5", &["line 42", "`ms`", "join-burst"]),
        ("clients = 9", "clients = 20_000", &["20041", "20000"]),
        ("tick_p99 =", "tick_p98 =", &["line 48", "tick_p98", "tick_p99"]),
        ("\"< 8ms\"", "\"8ms\"", &["line 48", "comparison"]),
        ("away_s = 0.5", "aways = 0.5", &["line 19", "aways", "away_s"]),
        ("misdeeds = [\"flood\", \"lies\"]", "misdeeds = []", &["line 23", "misdeeds"]),
        ("delay_us = 9_000", "delay_us = 90_000_000", &["line 21", "delay_us", "60000000"]),
        (
            "down = { delay_us = 9_000",
            "down = { path_changes_us = [1]",
            &["line 21", "path_changes_us", "`up`"],
        ),
        ("name = \"visitors\"", "name = \"walkers\"", &["line 16", "walkers"]),
        ("seed = 7", "seed = 7\nsead = 8", &["sead"]),
        ("seed = 7\n", "", &["`seed`"]),
        ("[[stage]]", "[[stage", &["line 30"]),
    ];
    for (from, to, words) in cases {
        let error = wrong(from, to);
        for word in *words {
            assert!(error.contains(word), "{to}: no {word} in: {error}");
        }
    }
}

#[test]
fn a_scenario_with_nobody_or_without_time_is_none() {
    let head = "name = \"x\"\nabout = \"\"\nseed = 1\n";
    assert!(parse(head).unwrap_err().contains("[[group]]"));
    let nobody = format!("{head}[[group]]\nname = \"a\"\nclients = 1\nbehaviour = \"idle\"\n");
    assert!(parse(&nobody).unwrap_err().contains("[[stage]]"));
    let missing = Scenario::load("/nonexistent.toml".as_ref()).unwrap_err().to_string();
    assert_eq!(missing, "scenario /nonexistent.toml: there is no such file");
}

#[test]
fn another_number_of_clients_keeps_the_proportions_and_nobody_is_left_out() {
    let with = |clients| parse(WHOLE).unwrap().with_clients(clients);
    let counts = |clients| with(clients).unwrap().groups.iter().map(|g| g.clients).collect::<Vec<_>>();
    assert_eq!(counts(82), [60, 20, 2]);
    assert_eq!(counts(3), [1, 1, 1]);
    assert_eq!(counts(4).iter().sum::<u32>(), 4);
    assert!(with(2).unwrap_err().to_string().contains("3 to 20000"));
    assert!(with(20_000).unwrap_err().to_string().contains("20009"));
}

#[test]
fn a_shorter_run_has_everything_sooner() {
    let scenario = parse(WHOLE).unwrap().with_length(Duration::from_secs(5));
    assert_eq!(scenario.length(), Duration::from_secs(5));
    assert_eq!(
        (scenario.stages[0].seconds.0, scenario.faults[0].at.0),
        (Duration::from_ms(1_250), Duration::from_secs(2))
    );
    let ramp = parse(WHOLE).unwrap().with_ramp(Duration::from_secs(1));
    assert_eq!(ramp.length(), Duration::from_ms(8_500));
}
