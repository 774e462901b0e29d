//! The page of a search: the number, and each figure against the number of clients, where the knee is seen.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::figures::{shown, unit_of};
use super::plot::{Along, Limit, Plot, Series, rounded, unit_name};
use super::{Page, page};
use crate::capacity::{Came, Capacity, LimitedBy, Trial};
use crate::scenario::{Metric, Objective, Unit};

const CAME: [(Came, &str, usize, &str); 3] = [
    (Came::Met, "met", 1, "good"),
    (Came::Missed, "missed", 3, "bad"),
    (Came::Invalid, "invalid", 4, "warn"),
];

/// The page of a search.
pub fn capacity(found: &Capacity) -> String {
    let objectives: Vec<Objective> = found.objectives.iter().filter_map(|text| text.parse().ok()).collect();
    let mut names: Vec<&str> = objectives.iter().map(|objective| objective.name.as_str()).collect();
    let others = found.trials.iter().flat_map(|trial| trial.figures.keys().map(String::as_str));
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut plots = vec![share_met(found)];
    plots.extend(names.iter().map(|name| figure(found, name, &objectives)).filter(Plot::has_values));
    let body = html! {
        header.top { h1 { (found.scenario) } p.soft { (found.about) } }
        (answer(found))
        h2 #knee { "The knee" small { "each run is a dot; the line goes through the middle of each number" } }
        p.hint { "Drag to zoom all of these, double-click for everything." }
        div.plots { @for n in 0..plots.len() { (Plot::place(n)) } }
        (trials(found, &objectives))
        (asked(found))
    };
    let title = format!("{}: {} clients", found.scenario, found.answer.clients);
    page(&Page {
        title: &title,
        places: &[("knee", "The knee"), ("runs", "Runs"), ("asked", "Asked")],
        body,
        plots: &plots,
    })
}

fn answer(found: &Capacity) -> Markup {
    let answer = &found.answer;
    let class = match (answer.limited_by, answer.clients) {
        (_, 0) => "missed",
        (LimitedBy::Generator, _) => "invalid",
        _ if !answer.settled => "invalid",
        _ => "passed",
    };
    let never = answer.never.map_or("–".to_owned(), |n| Unit::Count.show(n.into()));
    html! {
        section class={ "verdict " (class) } {
            b { (Unit::Count.show(answer.clients.into())) " clients" }
            div {
                div { (answer.in_words()) }
                div.facts {
                    span { "every run met up to " b { (answer.always) } }
                    span { "none from " b { (never) } }
                    span { b { (found.trials.len()) } " runs of " b { (Unit::Time.show(found.run_s * 1e6)) } }
                    span { "server " b { (found.server) } }
                }
            }
        }
        div.facts { @for objective in &found.objectives { span { code { (objective) } } } }
    }
}

fn by_clients(trials: &[Trial]) -> BTreeMap<u32, Vec<&Trial>> {
    let mut levels: BTreeMap<u32, Vec<&Trial>> = BTreeMap::new();
    trials.iter().for_each(|trial| levels.entry(trial.clients).or_default().push(trial));
    levels
}

fn share_met(found: &Capacity) -> Plot {
    let levels = by_clients(&found.trials);
    let share = |trials: &Vec<&Trial>| {
        let met = trials.iter().filter(|trial| trial.came == Came::Met).count();
        Some(rounded(met as f64 / trials.len() as f64))
    };
    Plot {
        title: "Runs that met the objectives".into(),
        about: "of all with so many clients".into(),
        unit: unit_name(Unit::Share),
        x: Along::Number,
        xlabel: "clients",
        whole: true,
        sync: "clients",
        series: vec![Series {
            label: "met".into(),
            tone: 1,
            x: levels.keys().map(|n| f64::from(*n)).collect(),
            y: levels.values().map(share).collect(),
            fill: true,
            ..Series::default()
        }],
        ..Plot::default()
    }
}

fn figure(found: &Capacity, name: &str, objectives: &[Objective]) -> Plot {
    let (about, unit) = Metric::of(name).map_or(("", Unit::Count), |(metric, _)| (metric.about, metric.unit));
    let levels = by_clients(&found.trials);
    let middle = |trials: &Vec<&Trial>| {
        let mut values: Vec<f64> = trials.iter().filter_map(|t| t.figures.get(name).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().map(rounded)
    };
    let mut series = vec![Series {
        label: "middle".into(),
        x: levels.keys().map(|n| f64::from(*n)).collect(),
        y: levels.values().map(middle).collect(),
        ..Series::default()
    }];
    for (came, label, tone, _) in CAME {
        let of = found.trials.iter().filter(|trial| trial.came == came);
        let (x, y): (Vec<f64>, Vec<Option<f64>>) =
            of.map(|trial| (f64::from(trial.clients), trial.figures.get(name).copied().map(rounded))).unzip();
        if !x.is_empty() {
            series.push(Series { label: label.into(), tone, x, y, dots: true, ..Series::default() });
        }
    }
    // A script that seeks the nearest point needs them in order.
    for one in &mut series {
        let mut points: Vec<(f64, Option<f64>)> = one.x.iter().copied().zip(one.y.iter().copied()).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (one.x, one.y) = points.into_iter().unzip();
    }
    let limit = objectives.iter().find(|objective| objective.name == name);
    Plot {
        title: name.replace('_', " "),
        about: about.to_owned(),
        unit: unit_name(unit),
        x: Along::Number,
        xlabel: "clients",
        whole: true,
        sync: "clients",
        series,
        limit: limit.map(|objective| Limit { value: objective.value, label: objective.to_string() }),
        near: unit == Unit::Share,
        ..Plot::default()
    }
}

fn trials(found: &Capacity, objectives: &[Objective]) -> Markup {
    let class = |came: Came| {
        CAME.iter().find(|(c, ..)| *c == came).map_or(("", ""), |(_, word, _, class)| (*word, *class))
    };
    html! {
        h2 #runs { "Runs" small { "in the order in which they were" } }
        div.card.scroll { table {
            thead { tr {
                th { "run" } th { "clients" } th { "seed" }
                @for objective in objectives { th { (objective.name.replace('_', " ")) } }
                th {} th.left { "why" }
            } }
            tbody { @for (n, trial) in found.trials.iter().enumerate() { tr {
                td { (n + 1) } td { b { (trial.clients) } } td.soft { (trial.seed) }
                @for objective in objectives {
                    td { (shown(unit_of(&objective.name), trial.figures.get(&objective.name).copied())) }
                }
                @let (word, class) = class(trial.came);
                td { span class={ "badge " (class) } { (word) } }
                td.wrap { (trial.reasons.join("; ")) }
            } } }
        } }
    }
}

fn asked(found: &Capacity) -> Markup {
    let (range, machine) = (&found.range, &found.machine);
    html! {
        h2 #asked { "What was asked" }
        div.facts {
            span { "from " b { (range.from) } " to " b { (range.to) } " clients, " b { (range.repeats) } " repeats at the edge" }
            span { b { (machine.cpu) } ", " (machine.cores) " cores" }
            span { (machine.os) }
            span { "ninefold-sim " b { (machine.version) } @if !machine.optimised { " " span.badge.warn { "not optimised" } } }
        }
        @if !found.command.is_empty() { p.soft { code { (found.command.join(" ")) } } }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::capacity::{Next, Range, Search};
    use crate::outcome::Machine;

    /// A server whose tick takes off at 400 clients.
    pub(in crate::pages) fn sample() -> Capacity {
        let mut random = fastrand::Rng::with_seed(5);
        let range = Range { from: 25, to: 2_000, repeats: 5 };
        let (mut search, mut trials) = (Search::new(range).unwrap(), Vec::new());
        let answer = loop {
            let clients = match search.poll() {
                Next::Done(answer) => break answer,
                Next::Try(clients) => clients,
            };
            let load = f64::from(clients) / 460.0;
            let tick = 900.0 + 5_000.0 * load.powi(5) + 900.0 * random.f64();
            let came = if tick < 8_000.0 { Came::Met } else { Came::Missed };
            search.took(clients, came);
            let figures = [
                ("tick_p99", tick),
                ("input_state_p99", 30_000.0 + 3.0 * tick),
                ("snapshots_on_time", 1.0 - tick / 4e6),
            ];
            trials.push(Trial {
                clients,
                seed: trials.len() as u64,
                came,
                reasons: if came == Came::Met {
                    vec![]
                } else {
                    vec![format!("tick_p99 < 8ms: {:.1} ms", tick / 1e3)]
                },
                figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
            });
        };
        Capacity {
            version: 1,
            answer,
            scenario: "walk-200".into(),
            about: "clients walk for half a minute".into(),
            objectives: vec!["tick_p99 < 8ms".into(), "input_state_p99 < 120ms".into()],
            range,
            run_s: 30.0,
            server: "in process".into(),
            machine: Machine::here(),
            began_unix_s: 0,
            command: vec!["ninefold-sim".into(), "capacity".into()],
            trials,
        }
    }

    #[test]
    fn every_run_is_a_dot_and_the_number_is_on_top() {
        let found = sample();
        let page = capacity(&found);
        assert!(page.contains(&format!("{} clients", found.answer.clients)), "{:?}", found.answer);
        let data =
            page.split("type=\"application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let tick = data["plots"].as_array().unwrap().iter().find(|p| p["title"] == "tick p99").unwrap();
        let series = tick["series"].as_array().unwrap();
        let dots: usize =
            series.iter().filter(|s| s["dots"] == true).map(|s| s["x"].as_array().unwrap().len()).sum();
        assert_eq!((dots, tick["limit"]["value"].as_f64()), (found.trials.len(), Some(8_000.0)));
        for one in series {
            let x: Vec<f64> = one["x"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert!(x.is_sorted(), "{x:?}");
        }
    }
}
