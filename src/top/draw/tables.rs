//! Everything that is a list of names and numbers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::words::{ms, rate, short};
use super::{BAD, LABEL, STRONG, VALUE, WARNING, list, put, put_right, row, section};
use crate::telemetry::State;
use crate::telemetry::state::{DropState, Figures};
use crate::top::view::View;

/// Ends of the columns of the phases.
const P50_END: u16 = 19;
const P99_END: u16 = 28;
const MAX_END: u16 = 37;
const SHARE_END: u16 = 43;
/// A chunk that is wanted for so long is worth looking at, or bad.
const AGE_NOTABLE_US: u64 = 100_000;
const AGE_BAD_US: u64 = 1_000_000;
/// A queue that was ever so full is worth looking at, or bad.
const FULL_NOTABLE: f64 = 0.5;
const FULL_BAD: f64 = 0.9;
/// Colours of the phases' bars.
const PAINTS: [Color; 7] = [
    Color::Cyan,
    Color::Blue,
    Color::Magenta,
    Color::Yellow,
    Color::Green,
    Color::LightBlue,
    Color::LightMagenta,
];

/// Each phase, and how late ticks began.
pub fn phases(state: &State, area: Rect, buf: &mut Buffer) {
    let ticks = &state.ticks;
    let seconds = ticks.recent_time_us.count as f64 / f64::from(state.server.tick_rate_hz.max(1));
    let inner = section(&format!("last {seconds:.0} s"), area, buf);
    for (heading, end) in [("p50", P50_END), ("p99", P99_END), ("max", MAX_END), ("share", SHARE_END)] {
        put_right(buf, area, end + 1, &format!(" {heading} "), LABEL);
    }
    let budget_us = state.server.budget_us as f64;
    let mut line = |n: u16, name: &str, figures: &Figures, strong: Style| {
        let Some(row) = row(inner, n) else { return };
        put(buf, row, 1, name, strong);
        for (us, end) in [(figures.p50, P50_END), (figures.p99, P99_END), (figures.max, MAX_END)] {
            let style = if us > budget_us { BAD } else { VALUE };
            put_right(buf, row, end, &ms(us), style);
        }
    };
    line(0, "tick", &ticks.recent_time_us, STRONG);
    for (phase, n) in ticks.phases.iter().zip(1..) {
        line(n, &phase.name, &phase.recent_us, LABEL);
    }
    line(ticks.phases.len() as u16 + 1, "begins late", &ticks.recent_lateness_us, LABEL);
    for ((phase, n), paint) in ticks.phases.iter().zip(1..).zip(PAINTS) {
        let Some(row) = row(inner, n) else { return };
        put_right(buf, row, SHARE_END, &format!("{:.0} %", 100.0 * phase.recent_share), VALUE);
        let room = f64::from(area.width.saturating_sub(SHARE_END + 2));
        let blocks = (phase.recent_share * room).round() as usize;
        put(buf, row, SHARE_END + 1, &"▇".repeat(blocks), Style::new().fg(paint));
    }
}

/// Chunks: asked for, made, cached.
pub fn chunks(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("chunks", area, buf);
    let chunks = &state.chunks;
    let count = |state: &State, name: &str| {
        state.counters.get("chunks").and_then(|part| part.get(name)).copied().unwrap_or_default()
    };
    let a_second = |name: &str| rate(view.rate(|state| count(state, name) as f64).unwrap_or_default());
    let age = match chunks.oldest_request_age_us {
        AGE_BAD_US.. => BAD,
        AGE_NOTABLE_US.. => WARNING,
        _ => VALUE,
    };
    let made = |name: &str| short(count(state, name) as f64);
    let wrong = count(state, "failed") + count(state, "panics") + count(state, "deadline");
    let plain = |name: &str, value: String| (name.to_owned(), value, VALUE);
    list(
        [
            plain("asked, made", format!("{}, {} /s", a_second("asked"), a_second("made"))),
            plain("queued, making", format!("{}, {}", short(chunks.queued as f64), chunks.making)),
            ("oldest wish".to_owned(), ms(chunks.oldest_request_age_us as f64), age),
            plain("make p50, p99", pair(&chunks.generate_us)),
            plain("ready p50, p99", pair(&chunks.ready_us)),
            plain("cache hits", format!("{:.1} %", 100.0 * chunks.hit_share)),
            plain(
                "pinned, ready",
                format!("{}, {}", short(chunks.pinned as f64), short(chunks.ready as f64)),
            ),
            plain(
                "memory",
                format!("{}B of {}B", short(chunks.cache_bytes as f64), short(chunks.cache_bytes_max as f64)),
            ),
            (
                "stale, failed, panics".to_owned(),
                format!("{}, {}, {}", made("stale"), made("failed"), made("panics")),
                if wrong > 0 { BAD } else { VALUE },
            ),
        ],
        inner,
        buf,
    );
}

fn pair(figures: &Figures) -> String {
    format!("{}, {}", ms(figures.p50), ms(figures.p99))
}

/// Bytes by type of frame.
pub fn frames(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("frames, bytes/s", area, buf);
    let (in_end, out_end) = (area.width.saturating_sub(10), area.width.saturating_sub(2));
    put_right(buf, area, in_end + 1, " in ", LABEL);
    put_right(buf, area, out_end + 1, " out ", LABEL);
    for (frame, n) in state.frames.iter().zip(0u16..) {
        let Some(row) = row(inner, n) else { return };
        let at = usize::from(n);
        let a_second = |of: fn(&crate::telemetry::state::FrameState) -> u64| {
            view.rate(|state| state.frames.get(at).map_or(0.0, |frame| of(frame) as f64)).unwrap_or_default()
        };
        put(buf, row, 1, &frame.name, LABEL);
        put_right(buf, row, in_end, &short(a_second(|f| f.bytes_in)), VALUE);
        put_right(buf, row, out_end, &short(a_second(|f| f.bytes_out)), VALUE);
    }
}

/// What waits, and the most that ever did.
pub fn queues(state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("queues", area, buf);
    let (now_end, most_end) = (area.width.saturating_sub(14), area.width.saturating_sub(7));
    let bound_end = area.width.saturating_sub(1);
    for (heading, end) in [("now", now_end), ("most", most_end), ("bound", bound_end)] {
        put_right(buf, area, end + 1, &format!(" {heading} "), LABEL);
    }
    for (queue, n) in state.queues.iter().zip(0..) {
        let Some(row) = row(inner, n) else { return };
        let full = queue.high_water as f64 / queue.bound.max(1) as f64;
        let style = match full {
            full if full >= FULL_BAD => BAD,
            full if full >= FULL_NOTABLE => WARNING,
            _ => VALUE,
        };
        put(buf, row, 1, &queue.name.replace('_', " "), LABEL);
        put_right(buf, row, now_end, &short(queue.depth as f64), VALUE);
        put_right(buf, row, most_end, &short(queue.high_water as f64), style);
        put_right(buf, row, bound_end, &short(queue.bound as f64), LABEL);
    }
}

/// Where the memory is, and what the threads take.
pub fn memory(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("memory, threads", area, buf);
    let parts = state.memory.iter().map(|m| (m.part.clone(), format!("{}B", short(m.bytes as f64)), VALUE));
    let threads = state.server.cpu_s.keys().map(|thread| {
        let cpu_s = |state: &State| state.server.cpu_s.get(thread).copied().unwrap_or_default();
        let share = view.rate(cpu_s).unwrap_or_default();
        (format!("thread {thread}"), format!("{:.1} %", 100.0 * share), VALUE)
    });
    // Threads first: they change.
    list(threads.chain(parts).collect::<Vec<_>>(), inner, buf);
}

/// What was dropped and why, the fastest growing first.
pub fn drops(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("drops", area, buf);
    let (rate_end, total_end) = (area.width.saturating_sub(7), area.width.saturating_sub(1));
    put_right(buf, area, rate_end, " a second ", LABEL);
    put_right(buf, area, total_end + 1, " all ", LABEL);
    let mut drops: Vec<(f64, &DropState)> = (state.drops.iter())
        .map(|drop| {
            let is_it = |other: &&DropState| other.part == drop.part && other.cause == drop.cause;
            let count = |state: &State| state.drops.iter().find(is_it).map_or(0.0, |drop| drop.count as f64);
            (view.rate(count).unwrap_or_default(), drop)
        })
        .collect();
    drops.sort_by(|a, b| b.0.total_cmp(&a.0));
    for ((a_second, drop), n) in drops.iter().zip(0..) {
        let Some(row) = row(inner, n) else { return };
        let style = if *a_second > 0.0 { WARNING } else { VALUE };
        let room = usize::from(rate_end.saturating_sub(5));
        let name: String =
            format!("{} {}", drop.part, drop.cause.replace('_', " ")).chars().take(room).collect();
        put(buf, row, 1, &name, LABEL);
        put_right(buf, row, rate_end, &rate(*a_second), style);
        put_right(buf, row, total_end, &short(drop.count as f64), VALUE);
    }
    if drops.is_empty()
        && let Some(row) = row(inner, 0)
    {
        put(buf, row, 1, "nothing was dropped", LABEL);
    }
}
