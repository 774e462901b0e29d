//! The dearest clients, as many columns as there is room for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::words::{ms, short};
use super::{BAD, LABEL, STRONG, VALUE, WARNING, put, put_right, row, section};
use crate::telemetry::State;
use crate::telemetry::state::ClientState;

/// Columns of the name.
const NAME_WIDTH: u16 = 14;
/// From so much on, of a thousand, loss is worth looking at, or bad.
const LOSS_NOTABLE_PERMILLE: u64 = 10;
const LOSS_BAD_PERMILLE: u64 = 50;

/// A column: its heading, its width, and what stands there.
struct Column {
    heading: &'static str,
    width: u16,
    value: fn(&ClientState) -> String,
}

/// The most wanted first: those without room are left out.
const COLUMNS: [Column; 12] = [
    Column { heading: "tick", width: 8, value: |c| ms(c.cost_us) },
    Column { heading: "rtt", width: 8, value: |c| c.rtt_us.map_or("-".to_owned(), |us| ms(us as f64)) },
    Column { heading: "loss", width: 7, value: |c| format!("{:.1} %", c.loss_permille as f64 / 10.0) },
    Column { heading: "out/s", width: 7, value: |c| short(c.bytes_out_s as f64) },
    Column { heading: "in/s", width: 6, value: |c| short(c.bytes_in_s as f64) },
    Column { heading: "near", width: 5, value: |c| c.entities.to_string() },
    Column { heading: "snap", width: 5, value: |c| c.snapshot_bytes.to_string() },
    Column { heading: "chunks", width: 7, value: |c| (c.missing_chunks + c.sendings).to_string() },
    Column { heading: "flight", width: 7, value: |c| short(c.in_flight_bytes as f64) },
    Column { heading: "pace/s", width: 7, value: |c| short(c.rate_bytes_s as f64) },
    Column { heading: "worst", width: 8, value: |c| ms(c.cost_max_us) },
    Column { heading: "memory", width: 7, value: |c| short(c.memory_bytes as f64) },
];

/// Draws them with their heading.
pub fn draw(state: &State, area: Rect, buf: &mut Buffer) {
    let inner = section("dearest clients", area, buf);
    let mut room = area.width.saturating_sub(NAME_WIDTH + 4);
    let columns: Vec<&Column> = (COLUMNS.iter())
        .take_while(|column| {
            let fits = column.width <= room;
            room = room.saturating_sub(column.width);
            fits
        })
        .collect();
    let mut end = NAME_WIDTH + 3;
    for column in &columns {
        end += column.width;
        // The name of the section stands there already.
        if end - column.heading.len() as u16 > "─ dearest clients ─".chars().count() as u16 {
            put_right(buf, area, end + 1, &format!(" {} ", column.heading), LABEL);
        }
    }
    for (client, n) in state.clients.dearest.iter().zip(0..) {
        let Some(row) = row(inner, n) else { return };
        put(buf, row, 1, &name(client), if client.stage == "playing" { STRONG } else { LABEL });
        let mut end = NAME_WIDTH + 3;
        for column in &columns {
            end += column.width;
            put_right(buf, row, end, &(column.value)(client), style(column, client));
        }
    }
    if state.clients.dearest.is_empty()
        && let Some(row) = row(inner, 0)
    {
        put(buf, row, 1, "nobody is here", LABEL);
    }
}

/// Its id and what it rides with; of a long id the end, which tells more.
fn name(client: &ClientState) -> String {
    let id = client.client_id.to_string();
    let room = usize::from(NAME_WIDTH) - client.carrier.len() - 1;
    let id = if id.len() > room { format!("…{}", &id[id.len() - (room - 1)..]) } else { id };
    format!("{id} {}", client.carrier)
}

fn style(column: &Column, client: &ClientState) -> Style {
    match column.heading {
        "loss" if client.loss_permille >= LOSS_BAD_PERMILLE => BAD,
        "loss" if client.loss_permille >= LOSS_NOTABLE_PERMILLE => WARNING,
        "chunks" if client.missing_chunks > 0 => WARNING,
        _ => VALUE,
    }
}
