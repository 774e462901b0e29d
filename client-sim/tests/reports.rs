//! Real runs, short and small, and everything that is told of them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ninefold_sim::capacity::{Came, LimitedBy, Quest, Range, find};
use ninefold_sim::outcome::{Limits, Outcome, Verdict};
use ninefold_sim::pages::ReportArguments;
use ninefold_sim::run::{CACHE_CHUNKS, Order, Target, execute};
use ninefold_sim::scenario::Scenario;

/// A generator that may be as late as it likes: tests share their machine.
const NO_LIMITS: Limits = Limits {
    late_p99_us: 1e12,
    inputs_skipped_share: 1.0,
    socket_drops_share: 1.0,
    send_errors_share: 1.0,
    thread_cpu_share: 1e12,
};

fn scenario(seconds: u32, objective: &str) -> Scenario {
    let text = format!(
        "name = \"small\"\nabout = \"a few walk\"\nseed = 5\n[server]\ncreatures_per_chunk = 0\n\
         [[group]]\nname = \"walkers\"\nclients = 4\nbehaviour = \"walk\"\n\
         [[stage]]\nkind = \"ramp\"\nseconds = 0.5\n[[stage]]\nkind = \"hold\"\nseconds = {seconds}\n[objectives]\n{objective}\n"
    );
    Scenario::parse(Path::new("small.toml"), &text).unwrap()
}

fn order(scenario: Scenario) -> Order {
    let (target, cache_chunks, command) = (Target::InProcess, CACHE_CHUNKS, vec!["test".to_owned()]);
    Order { scenario, target, threads: 1, cache_chunks, limits: NO_LIMITS, command }
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ninefold-{}-{name}", std::process::id()))
}

#[test]
fn a_run_that_is_ended_early_is_written_and_reported() {
    let order = order(scenario(60, "clients_lost = \"== 0\""));
    let mut end_after = |glimpse: &ninefold_sim::run::Glimpse<'_>| match glimpse.elapsed.as_ms() > 3_500 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let outcome = execute(&order, &mut end_after).unwrap();
    // Nobody was cut off: all said goodbye.
    assert!(outcome.run.ended_early && outcome.run.took_s < 30.0, "{:?}", outcome.run);
    assert_eq!(
        (outcome.verdict, outcome.counts["clients_lost"]),
        (Verdict::Passed, 0.0),
        "{:?}",
        outcome.ends
    );
    assert!(outcome.to_string().contains("ended before its time"));

    let (run, html, junit) = (temporary("run.json"), temporary("run.html"), temporary("run.xml"));
    outcome.save(&run).unwrap();
    let read = Outcome::load(&run).unwrap();
    assert_eq!(
        (read.verdict, read.series.len(), read.scenario),
        (outcome.verdict, outcome.series.len(), outcome.scenario)
    );
    let arguments = |other| ReportArguments {
        run: run.clone(),
        other,
        html: Some(html.clone()),
        junit: Some(junit.clone()),
    };
    arguments(None).write().unwrap();
    let page = std::fs::read_to_string(&html).unwrap();
    for words in ["Passed", "ended early", "Server tick", "input state", "replicate", "walkers", "late p99"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("NaN "), "every figure is a number");
    let xml = std::fs::read_to_string(&junit).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    assert_eq!((suite.attribute("name"), suite.attribute("failures")), (Some("small"), Some("0")));
    arguments(Some(run.clone())).write().unwrap();
    assert!(std::fs::read_to_string(&html).unwrap().contains("0 of 1 came out differently"));
    [run, html, junit].iter().for_each(|path| std::fs::remove_file(path).unwrap());
}

/// What clients send grows with their number and with nothing else, so there is an edge on every machine.
#[test]
fn the_most_clients_of_a_real_server_are_found() {
    let scenario = scenario(2, "bytes_up = \"< 60kB\"");
    let range = Range { from: 1, to: 24, repeats: 2 };
    let quest = Quest { scenario, range, server: "in process".into(), command: Vec::new() };
    let mut run = |clients, seed| {
        let mut scenario = quest.scenario.clone().with_clients(clients)?;
        scenario.seed = seed;
        execute(&order(scenario), &mut |_| ControlFlow::Continue(())).map(Some)
    };
    let found = find(&quest, &mut run, &mut |_, _| {}).unwrap();
    let answer = found.answer;
    assert!((1..24).contains(&answer.clients) && answer.limited_by == LimitedBy::Server, "{found:?}");
    assert!(found.trials.len() < 20 && found.trials.iter().any(|trial| trial.clients > answer.clients));
    for trial in &found.trials {
        assert_eq!(trial.came == Came::Met, trial.figures["bytes_up"] < 60_000.0, "{trial:?}");
    }
    let path = temporary("capacity.json");
    found.save(&path).unwrap();
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(read["answer"]["clients"], answer.clients);
    std::fs::remove_file(&path).unwrap();
    let page = ninefold_sim::pages::capacity(&found);
    assert!(page.contains(&format!("{} clients", answer.clients)) && page.contains("bytes up"));
}
