//! A picture of a server: a pure function of a [`View`].
//!
//! ```text
//!   name, clients, tick, overruns                                  ● live
//!   sockets
//!   ── ticks ────────────────────────────────────────────────────────────
//!   ── phases ──────────────────────────────┬─ chunks ──────────────────
//!   ── frames ─────── queues ─────── memory ──  (where it is high enough)
//!   ── clients ─────────────────────────────┬─ drops ───────────────────
//!   keys, or what there is to say
//! ```

mod clients;
mod strip;
mod tables;
mod words;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};

use self::words::{clock, ms};
use super::view::View;
use crate::telemetry::State;

/// From so many rows on there is room for frames, queues and memory.
const HIGH_FROM: u16 = 36;
/// Columns of the panels to the right.
const RIGHT_WIDTH: u16 = 34;
/// Narrower than this, there is nothing to the right.
const RIGHT_FROM: u16 = 70;
/// Rows of the phases, with their heading.
const PHASES_ROWS: u16 = 10;
/// Rows of the tables in between, with their heading.
const TABLES_ROWS: u16 = 10;
/// Rows of the clients on a high screen, with their heading.
const CLIENTS_ROWS: u16 = 12;
/// The same on a low one.
const CLIENTS_ROWS_LOW: u16 = 5;
/// Rows of the strip at most, with its heading.
const STRIP_ROWS_MAX: u16 = 18;
const KEYS: &str = "q quit   r record a trace   p hold   s scale";

const DIM: Style = Style::new().fg(Color::DarkGray);
const LABEL: Style = Style::new().fg(Color::Gray);
const VALUE: Style = Style::new();
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const GOOD: Style = Style::new().fg(Color::Green);
const WARNING: Style = Style::new().fg(Color::Yellow);
const BAD: Style = Style::new().fg(Color::Red);

/// Draws the picture over all of `area`.
pub fn draw(view: &View, area: Rect, buf: &mut Buffer) {
    let is_high = area.height >= HIGH_FROM;
    let (tables, clients) = if is_high { (TABLES_ROWS, CLIENTS_ROWS) } else { (0, CLIENTS_ROWS_LOW) };
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Max(STRIP_ROWS_MAX),
        Constraint::Length(PHASES_ROWS),
        Constraint::Length(tables),
        Constraint::Min(clients),
        Constraint::Length(1),
    ];
    let [head, sockets, ticks, phases, tables, clients, foot] = Layout::vertical(rows).areas(area);
    draw_foot(view, foot, buf);
    let Some(state) = view.state() else {
        put(buf, head, 1, &format!("ninefold {}", view.name), STRONG);
        let words = view.silence().map_or("asking", |_| "no answer yet");
        if let Some(middle) = row(area, area.height / 2) {
            put(buf, middle, 2, words, LABEL);
        }
        return;
    };
    draw_head(view, state, head, buf);
    draw_sockets(view, state, sockets, buf);
    strip::draw(view, state, ticks, buf);
    let right = if area.width >= RIGHT_FROM { RIGHT_WIDTH } else { 0 };
    let beside = |area| Layout::horizontal([Constraint::Min(0), Constraint::Length(right)]).areas(area);
    let [left_phases, right_chunks]: [Rect; 2] = beside(phases);
    tables::phases(state, left_phases, buf);
    tables::chunks(view, state, right_chunks, buf);
    if is_high {
        let thirds = [Constraint::Ratio(1, 3); 3];
        let [frames, queues, memory] = Layout::horizontal(thirds).areas(tables);
        tables::frames(view, state, frames, buf);
        tables::queues(state, queues, buf);
        tables::memory(view, state, memory, buf);
    }
    let [left_clients, right_drops]: [Rect; 2] = beside(clients);
    clients::draw(state, left_clients, buf);
    tables::drops(view, state, right_drops, buf);
    if view.silence().is_some() {
        // What stands there is what was.
        for part in [sockets, ticks, phases, tables, clients] {
            buf.set_style(part, Style::new().add_modifier(Modifier::DIM));
        }
    }
}

fn draw_head(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let ticks = &state.ticks;
    let budget_us = state.server.budget_us as f64;
    let p99 = ticks.recent_time_us.p99;
    let load = if p99 > budget_us {
        BAD
    } else if p99 > budget_us / 2.0 {
        WARNING
    } else {
        GOOD
    };
    let is_bad = |bad: bool| if bad { BAD } else { VALUE };
    let parts = [
        (format!("ninefold {}", view.name), STRONG),
        (format!("{} clients", state.clients.connected), VALUE),
        (format!("tick p99 {} of {}", ms(p99), ms(budget_us)), load),
        (format!("{} overruns", ticks.overruns), is_bad(ticks.recent_overruns > 0)),
        (format!("{} skipped", ticks.skipped), VALUE),
        (format!("up {}", clock(state.server.uptime_s)), LABEL),
    ];
    let (status, paint) = match (view.silence(), view.is_held) {
        (Some((seconds, _)), _) => (format!("● silent {seconds} s"), BAD),
        (None, true) => ("● held".to_owned(), WARNING),
        (None, false) => ("● live".to_owned(), GOOD),
    };
    let status_width = status.chars().count() as u16 + 1;
    let room = Rect { width: area.width.saturating_sub(status_width), ..area };
    let mut x = 1;
    for (text, style) in parts {
        // All of it or nothing: half a number would be another one.
        if x + text.chars().count() as u16 <= room.width {
            put(buf, room, x, &text, style);
        }
        x += text.chars().count() as u16 + 2;
    }
    put(buf, area, area.width.saturating_sub(status_width), &status, paint);
}

fn draw_sockets(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let mut x = 1;
    for (n, socket) in state.sockets.iter().enumerate() {
        let rate = |of: fn(&crate::telemetry::state::SocketState) -> f64| {
            view.rate(|state| state.sockets.get(n).map_or(0.0, of)).unwrap_or_default()
        };
        let text = format!(
            "in {}/s {}B/s  out {}/s {}B/s  cpu {:.0} %",
            words::short(rate(|s| s.datagrams_in as f64)),
            words::short(rate(|s| s.bytes_in as f64)),
            words::short(rate(|s| s.datagrams_out as f64)),
            words::short(rate(|s| s.bytes_out as f64)),
            100.0 * rate(|s| s.cpu_s),
        );
        put(buf, area, x, &socket.carrier, LABEL);
        x += socket.carrier.chars().count() as u16 + 1;
        put(buf, area, x, &text, VALUE);
        x += text.chars().count() as u16 + 3;
    }
}

fn draw_foot(view: &View, area: Rect, buf: &mut Buffer) {
    match (view.silence(), view.said()) {
        (Some((_, why)), _) => put(buf, area, 1, &format!("{why}; asking again"), BAD),
        (None, Some(said)) => put(buf, area, 1, said, WARNING),
        (None, None) => put(buf, area, 1, KEYS, DIM),
    }
}

/// Writes over the first row of `area`, from its column `x` on, as far as there is room.
fn put(buf: &mut Buffer, area: Rect, x: u16, text: &str, style: Style) {
    if x < area.width && area.height > 0 {
        buf.set_stringn(area.x + x, area.y, text, usize::from(area.width - x), style);
    }
}

/// The same, ending before column `end`.
fn put_right(buf: &mut Buffer, area: Rect, end: u16, text: &str, style: Style) {
    put(buf, area, end.saturating_sub(text.chars().count() as u16), text, style);
}

/// A row of an area, if it has so many.
fn row(area: Rect, n: u16) -> Option<Rect> {
    (n < area.height).then(|| Rect { y: area.y + n, height: 1, ..area })
}

/// Draws a heading over the first row and gives the rest.
fn section(title: &str, area: Rect, buf: &mut Buffer) -> Rect {
    if area.height == 0 {
        return area;
    }
    put(buf, area, 0, &"─".repeat(area.width.into()), DIM);
    put(buf, area, 1, &format!(" {title} "), STRONG);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Names to the left, values to the right.
fn list(lines: impl IntoIterator<Item = (String, String, Style)>, area: Rect, buf: &mut Buffer) {
    for ((name, value, style), n) in lines.into_iter().zip(0..) {
        let Some(row) = row(area, n) else { return };
        put(buf, row, 1, &name, LABEL);
        put_right(buf, row, area.width.saturating_sub(1), &value, style);
    }
}

#[cfg(test)]
mod tests;
