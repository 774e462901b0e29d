//! One picture as text, for scripts and for whoever has no terminal.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::TopError;
use super::draw;
use super::view::View;
use super::watch::{CLIENTS, News, query};
use crate::metrics::fetch_state;

/// Columns and rows of the picture.
const SIZE: (u16, u16) = (120, 50);
/// Rates are of this long.
const SPAN: Duration = Duration::from_millis(1_000);
/// Time for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Asks twice, a second apart, and draws what came.
pub fn picture(address: SocketAddr) -> Result<String, TopError> {
    let mut view = View::new(address.to_string());
    for after in [SPAN, Duration::ZERO] {
        let state = fetch_state(address, &query(view.last_tick(), CLIENTS), ANSWER_TIME_MAX)?;
        view.hear(Instant::now(), News::State(Box::new(state)));
        std::thread::sleep(after);
    }
    Ok(text(&view, SIZE))
}

/// The picture's characters, line by line, without blanks at their ends and empty lines at its end.
pub fn text(view: &View, (width, height): (u16, u16)) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw::draw(view, area, &mut buffer);
    let row = |y: u16| {
        let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned()
    };
    let rows: Vec<String> = (0..height).map(row).collect();
    let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
    rows[..used].join("\n") + "\n"
}
