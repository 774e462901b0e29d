//! The ticks one by one: a column each, the newest to the right, the budget as a line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::words::ms;
use super::{BAD, DIM, LABEL, WARNING, put, put_right, row, section};
use crate::telemetry::State;
use crate::telemetry::state::RecentTick;
use crate::top::view::{Scale, View};

/// Columns of the axis.
const AXIS: u16 = 9;
/// The shortest tick that is told apart where rows are factors.
const SHORTEST_US: f64 = 10.0;
/// A bar's top, by eighths of a row.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// A start so late is marked, and one by the budget marked as bad.
const LATE_US: u64 = 1_000;

/// Where values are between the bottom and the top.
struct Axis {
    scale: Scale,
    top_us: f64,
}

impl Axis {
    fn new(scale: Scale, longest_us: f64, budget_us: f64) -> Axis {
        let top_us = match scale {
            Scale::Logarithmic => longest_us.max(2.0 * budget_us),
            // Where all is short the budget is far above, and its line out of sight.
            Scale::Linear if longest_us < budget_us / 4.0 => longest_us.max(SHORTEST_US) * 1.1,
            Scale::Linear => longest_us.max(budget_us) * 1.1,
        };
        Axis { scale, top_us }
    }

    /// Between 0 and 1.
    fn share(&self, us: f64) -> f64 {
        let share = match self.scale {
            Scale::Logarithmic => (us / SHORTEST_US).max(1.0).ln() / (self.top_us / SHORTEST_US).ln(),
            Scale::Linear => us / self.top_us,
        };
        share.clamp(0.0, 1.0)
    }

    /// Row from the bottom in which a value is.
    fn row(&self, us: f64, rows: u16) -> u16 {
        ((self.share(us) * f64::from(rows)) as u16).min(rows.saturating_sub(1))
    }

    /// Values that are written beside it.
    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Logarithmic => {
                [1e2, 1e3, 1e4, 1e5, 1e6].into_iter().filter(|us| *us < self.top_us).collect()
            }
            Scale::Linear => vec![self.top_us / 2.0, self.top_us],
        }
    }
}

/// Draws it with its heading.
pub fn draw(view: &View, state: &State, area: Rect, buf: &mut Buffer) {
    let columns = usize::from(area.width.saturating_sub(AXIS + 1));
    let shown = view.ticks.len().min(columns);
    let ticks = || view.ticks.iter().skip(view.ticks.len() - shown);
    let budget_us = state.server.budget_us as f64;
    let longest_us = ticks().map(|tick| tick.total_us).fold(0.0, f64::max);
    let seconds = shown as f64 / f64::from(state.server.tick_rate_hz.max(1));
    let (overruns, of) = (state.ticks.recent_overruns, state.ticks.recent_time_us.count);
    let title = format!(
        "ticks: the last {shown}, {seconds:.1} s, longest {}; {overruns} of {of} over budget",
        ms(longest_us)
    );
    let inner = section(&title, area, buf);
    if inner.height < 2 || columns == 0 {
        return;
    }
    // The lowest row tells which began late.
    let bars = Rect { height: inner.height - 1, ..inner };
    let axis = Axis::new(view.scale, longest_us, budget_us);
    draw_axis(&axis, budget_us, bars, buf);
    let Some(late) = row(inner, inner.height - 1) else { return };
    put_right(buf, late, AXIS - 1, "late", LABEL);
    let first = area.right() - 1 - shown as u16;
    for (tick, x) in ticks().zip(first..) {
        draw_bar(&axis, tick, budget_us, x, bars, buf);
        let (mark, style) = match tick.lateness_us {
            us if us as f64 > budget_us => ("▲", BAD),
            us if us > LATE_US => ("·", WARNING),
            _ => continue,
        };
        buf.set_string(x, late.y, mark, style);
    }
}

fn draw_axis(axis: &Axis, budget_us: f64, area: Rect, buf: &mut Buffer) {
    let at = |us: f64| row(area, area.height - 1 - axis.row(us, area.height));
    for us in axis.marks() {
        if let Some(row) = at(us) {
            put_right(buf, row, AXIS - 1, &ms(us), DIM);
        }
    }
    if budget_us > axis.top_us {
        return;
    }
    if let Some(row) = at(budget_us) {
        put(buf, row, 0, &" ".repeat(usize::from(AXIS)), DIM);
        put_right(buf, row, AXIS - 1, &ms(budget_us), BAD);
        put(
            buf,
            row,
            AXIS,
            &"┄".repeat(usize::from(area.width.saturating_sub(AXIS + 1))),
            Style::new().fg(Color::Red),
        );
    }
}

fn draw_bar(axis: &Axis, tick: &RecentTick, budget_us: f64, x: u16, area: Rect, buf: &mut Buffer) {
    let colour = match tick.total_us {
        us if us > budget_us => Color::Red,
        us if us > budget_us / 2.0 => Color::Yellow,
        _ => Color::Green,
    };
    let eighths = (axis.share(tick.total_us) * f64::from(area.height) * 8.0).round().max(1.0) as u16;
    for n in 0..area.height {
        let part = eighths.saturating_sub(n * 8).min(8);
        if part > 0 {
            let y = area.bottom() - 1 - n;
            buf.set_string(x, y, EIGHTHS[usize::from(part)], Style::new().fg(colour));
        }
    }
}
