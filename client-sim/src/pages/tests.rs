//! Whole pages: what is on them, and what cannot get onto them.

use super::*;
use crate::outcome::{
    Audit, FaultFacts, FrameBytes, GroupOutcome, LineFacts, Outcome, PhaseTable, Recorder, Second,
    ServerTable, Spread, StageFacts, Verdict,
};
use crate::scenario::{METRICS, Unit};

/// A spread like those of real runs: most values near the middle, few far away.
fn spread(random: &mut fastrand::Rng, middle: f64, values: u64) -> Spread {
    let mut recorder = Recorder::default();
    for _ in 0..values {
        let bell: f64 = (0..6).map(|_| random.f64() - 0.5).sum();
        let tail = if random.u32(..200) == 0 { 1.0 / (random.f64() + 0.02) } else { 1.0 };
        recorder.record((middle * (1.0 + 0.2 * bell).max(0.05) * tail) as u64);
    }
    recorder.spread()
}

/// A run of a minute, as one looks.
pub(crate) fn sample(seed: u64, slower: f64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut outcome = Outcome { version: 1, audit: Audit::new(), ..Outcome::default() };
    outcome.scenario.name = "bad-links".into();
    outcome.scenario.about = "300 clients on three sorts of lines, an outage in the middle".into();
    outcome.scenario.clients = 300;
    outcome.scenario.text = "name = \"bad-links\"\n[[group]]\nname = \"walkers\"\n".into();
    outcome.run.server = "in process".into();
    outcome.run.took_s = 60.4;
    outcome.run.began_unix_s = 1_795_284_000;
    outcome.run.command = vec!["ninefold-sim".into(), "run".into(), "scenarios/bad-links.toml".into()];
    let stages = [("ramp", 0.0, 10.0), ("hold", 10.0, 50.0), ("drain", 50.0, 60.0)];
    outcome.scenario.stages =
        stages.map(|(kind, from_s, to_s)| StageFacts { kind: kind.into(), from_s, to_s, target: 1.0 }).into();
    outcome.scenario.faults = vec![FaultFacts { at_s: 32.0, kind: "outage".into(), group: None, for_s: 2.0 }];
    for metric in METRICS {
        let middle = match metric.unit {
            Unit::Time => 9_000.0,
            Unit::BytesPerSecond => 24_000.0,
            _ => 300.0,
        };
        if metric.is_spread {
            outcome.spreads.insert(metric.name.into(), spread(&mut random, middle * slower, 4_000));
        } else {
            let value = if metric.unit == Unit::Share { 0.992 } else { (middle * slower).round() };
            outcome.counts.insert(metric.name.into(), value);
        }
    }
    for name in ["walkers", "sprinters", "far away"] {
        let spreads = [("input_state", 20_000.0), ("rtt", 31_000.0), ("edge", 2e6)];
        let spreads = spreads.map(|(metric, middle)| (metric.to_owned(), spread(&mut random, middle, 900)));
        outcome.groups.push(GroupOutcome {
            name: name.into(),
            behaviour: "walk".into(),
            carrier: "udp".into(),
            link: "wifi".into(),
            clients: 100,
            sessions: 103,
            spreads: spreads.into(),
            ..GroupOutcome::default()
        });
    }
    outcome.series = (0..60).map(|at_s| second(&mut random, at_s, slower)).collect();
    for (name, down, up) in [
        ("fragment", 41_000_000, 0),
        ("snapshot", 22_300_000, 0),
        ("inputs", 0, 14_500_000),
        ("other", 9_000_000, 6_100_000),
    ] {
        outcome.frames.push(FrameBytes { name: name.into(), down, up });
    }
    let line = LineFacts {
        group: "walkers".into(),
        line: "wifi".into(),
        down: [90, 80, 5, 3, 2, 0],
        up: [70, 69, 1, 0, 0, 0],
    };
    outcome.lines.push(line);
    outcome.server = Some(server_table(&mut random, slower));
    outcome.audit.check("late_p99", Unit::Time, Some(1_200.0), 8_000.0, "how late clients' ticks began");
    outcome.audit.check("socket_drops", Unit::Share, None, 0.0001, "datagrams that sockets dropped");
    let objectives =
        ["tick_p99 < 20ms", "input_state_p99 < 90ms", "crossings_without_chunk == 0", "join_p99 < 3s"];
    outcome.judge(&objectives.map(|text| text.parse().unwrap()));
    outcome
}

fn second(random: &mut fastrand::Rng, at_s: u64, slower: f64) -> Second {
    let ramp = (at_s as f64 / 10.0).min((60 - at_s) as f64 / 10.0).min(1.0);
    let outage = if (32..34).contains(&at_s) { 6.0 } else { 1.0 };
    let mut about = |value: f64| value * (0.9 + 0.2 * random.f64());
    Second {
        at_s,
        clients: (300.0 * ramp) as u64,
        clients_wanted: (303.0 * ramp) as u64,
        joined: u64::from(at_s < 10) * 30,
        lost: u64::from(at_s == 34) * 2,
        input_state_p50_us: Some(about(21_000.0 * slower)),
        input_state_p99_us: Some(about(44_000.0 * slower * outage)),
        snapshot_late_p99_us: Some(about(6_000.0 * outage)),
        edge_min_us: (at_s > 2).then(|| about(900_000.0)),
        rtt_p50_us: Some(about(31_000.0)),
        chunks: (about(420.0) * ramp) as u64,
        crossings: (about(60.0) * ramp) as u64,
        crossings_without_chunk: u64::from(at_s == 33),
        corrections: (about(4.0) * outage) as u64,
        bytes_down: (about(6.1e6) * ramp) as u64,
        bytes_up: (about(1.1e6) * ramp) as u64,
        loss_down: Some(about(0.012 * outage)),
        loss_up: Some(about(0.008 * outage)),
        tick_p50_us: Some(about(400.0 + 2_600.0 * ramp * slower)),
        tick_p99_us: Some(about(700.0 + 4_600.0 * ramp * slower)),
        tick_max_us: Some(about(900.0 + 9_000.0 * ramp * slower)),
        overruns: Some(u64::from(at_s == 33)),
        server_resident_bytes: Some(about(41e6)),
        server_counted_bytes: Some(about(18e6)),
        generator_late_p99_us: Some(about(800.0)),
        generator_cpu: Some(about(0.44)),
    }
}

fn server_table(random: &mut fastrand::Rng, slower: f64) -> ServerTable {
    let phases = [
        ("ingress", 300.0),
        ("simulate", 500.0),
        ("interest", 90.0),
        ("replicate", 1_500.0),
        ("stream", 380.0),
    ];
    let phases = phases
        .map(|(name, us)| PhaseTable { name: name.into(), time_us: spread(random, us * slower, 3_000) })
        .into();
    ServerTable {
        tick_rate_hz: 60,
        ticks: 3_610,
        overruns: 1,
        overruns_in_a_row_max: 1,
        tick_us: spread(random, 3_000.0 * slower, 3_600),
        late_us: spread(random, 60.0, 3_600),
        generate_us: spread(random, 800.0, 2_000),
        phases,
        cpu_us_per_client_tick: [("tick".to_owned(), 9.8), ("carriers".to_owned(), 21.0)].into(),
        counters: [("tick.packets_in".to_owned(), 1_080_123), ("udp.replayed".to_owned(), 4)].into(),
        ..ServerTable::default()
    }
}

fn one(outcome: &Outcome) -> String {
    report(&[Run { label: "run.json".into(), outcome }])
}

fn two(before: &Outcome, now: &Outcome) -> String {
    report(&[
        Run { label: "before.json".into(), outcome: before },
        Run { label: "after.json".into(), outcome: now },
    ])
}

#[test]
fn a_page_loads_nothing_from_anywhere() {
    for page in [one(&sample(1, 1.0)), two(&sample(1, 1.0), &sample(2, 1.3))] {
        for way in [
            "src=",
            "href=\"http",
            "url(h",
            "url('",
            "url(\"",
            "@import",
            "<link",
            "<iframe",
            "<img",
            "fetch(",
            "XMLHttp",
            "import(",
        ] {
            assert!(!page.contains(way), "{way}");
        }
        // The name of a namespace is no address that is asked.
        assert_eq!(page.matches("http://").count(), page.matches("http://www.w3.org/2000/svg").count());
        assert!(!page.contains("https://") && page.contains("default-src 'none'"));
    }
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&";
    let mut outcome = sample(3, 1.0);
    outcome.scenario.name = hostile.into();
    outcome.scenario.about = hostile.into();
    outcome.scenario.text = hostile.into();
    outcome.scenario.stages[0].kind = hostile.into();
    outcome.scenario.faults[0].kind = hostile.into();
    outcome.groups[0].name = hostile.into();
    outcome.groups[0].link = hostile.into();
    outcome.run.server = hostile.into();
    outcome.run.command = vec![hostile.into()];
    outcome.reasons = vec![hostile.into()];
    outcome.frames[0].name = hostile.into();
    outcome.ends.insert(hostile.into(), 1);
    outcome.objectives[0].objective = hostile.into();
    outcome.audit.checks[0].about = hostile.into();
    let server = outcome.server.as_mut().unwrap();
    server.counters.insert(hostile.into(), 1);
    server.phases[0].name = hostile.into();
    let page = report(&[
        Run { label: hostile.into(), outcome: &outcome },
        Run { label: hostile.into(), outcome: &outcome },
    ]);
    assert!(!page.contains("<img") && !page.contains("<script>alert"));
    // The data, and the page's own script.
    assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
    assert!(page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn the_data_of_a_page_are_those_of_its_plots() {
    let page = one(&sample(1, 1.0));
    let data = page.split("type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let plots = data["plots"].as_array().unwrap();
    assert_eq!(plots.len(), page.matches("data-plot=").count());
    let titles: Vec<&str> = plots.iter().map(|plot| plot["title"].as_str().unwrap()).collect();
    for title in ["Clients", "Server tick", "Seconds to the edge", "Loss", "input state", "tick", "edge"] {
        assert!(titles.contains(&title), "{title} of {titles:?}");
    }
    let tick = &plots[titles.iter().position(|t| *t == "Server tick").unwrap()];
    assert_eq!(
        (tick["series"].as_array().unwrap().len(), tick["limit"]["value"].as_f64()),
        (3, Some(20_000.0))
    );
    assert_eq!(
        (tick["bands"].as_array().unwrap().len(), tick["marks"][0]["label"].as_str()),
        (3, Some("outage"))
    );
    assert!(page.len() < 600_000, "{} bytes", page.len());
}

#[test]
fn two_runs_say_which_objective_changed() {
    let (mut before, mut now) = (sample(1, 1.0), sample(2, 1.0));
    for (outcome, tick) in [(&mut before, 5_000.0), (&mut now, 30_000.0)] {
        let server_tick = outcome.spreads.get_mut("tick").unwrap();
        server_tick.quantiles.insert("p99".into(), tick);
        outcome.judge(&["tick_p99 < 20ms".parse().unwrap(), "tick_p50 < 1s".parse().unwrap()]);
    }
    let page = two(&before, &now);
    assert!(
        page.contains("1 of 2 came out differently")
            && page.contains("newly missed")
            && page.contains("+500.0 %")
    );
    assert!(two(&now, &before).contains("now met"));
    assert_eq!((before.verdict, now.verdict), (Verdict::Passed, Verdict::Missed));
}

#[test]
fn a_run_that_measured_nothing_has_a_page() {
    let page = one(&Outcome::default());
    assert!(page.contains("Passed") && page.contains("was not asked"));
    assert!(!page.split("<script").next().unwrap().contains("NaN"));
}

/// `NINEFOLD_PAGE=out.html cargo test -p ninefold-sim -- --ignored a_sample`, and `…_TWO` for two.
#[test]
#[ignore = "writes a page to look at"]
fn a_sample_page_is_written() {
    let (a, b) = (sample(1, 1.0), sample(2, 1.25));
    let pages = [
        ("NINEFOLD_PAGE", one(&a)),
        ("NINEFOLD_PAGE_TWO", two(&a, &b)),
        ("NINEFOLD_PAGE_CAPACITY", capacity(&capacity::tests::sample())),
    ];
    for (name, page) in pages {
        if let Ok(path) = std::env::var(name) {
            std::fs::write(path, page).unwrap();
        }
    }
}
