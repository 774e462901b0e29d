//! The line, the prediction and the loaded world in numbers.

use ninefold_client::protocol::time::Duration;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::colour::{self, Depth, Rgb};
use crate::view::View;

/// Lines that it has, without its frame.
pub const LINES: u16 = 14;
/// From so much on, a number is worth looking at.
const LOSS_NOTABLE: f64 = 0.01;
const EDGE_NOTABLE_S: f64 = 1.0;

/// Draws it: names to the left, numbers to the right.
pub fn draw(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    for ((name, value, paint), y) in lines(view).into_iter().zip(area.y..area.bottom()) {
        buf.set_stringn(
            area.x,
            y,
            name,
            usize::from(area.width),
            Style::new().fg(depth.colour(colour::LABEL)),
        );
        let width = value.chars().count() as u16;
        let x = area.right().saturating_sub(width).max(area.x);
        buf.set_stringn(x, y, value, usize::from(area.width), Style::new().fg(depth.colour(paint)));
    }
}

fn lines(view: &View) -> [(&'static str, String, Rgb); LINES as usize] {
    let m = &view.measures;
    let plain = |name, value| (name, value, colour::VALUE);
    let warned = |name, value, is_notable: bool| {
        (name, value, if is_notable { colour::WARNING } else { colour::VALUE })
    };
    let lead = m.input_lead_us.map_or("-".to_owned(), |us| format!("{:+.1} ms", us as f64 / 1e3));
    let edge = m.edge_s.map_or("-".to_owned(), |s| format!("{s:.1} s"));
    let checked = m.confirmations + m.corrections;
    [
        plain("round trip", format!("{} ±{} ms", ms(m.rtt), ms(m.rtt_jitter))),
        warned(
            "loss up/down",
            format!("{:.1} / {:.1} %", m.loss_up * 1e2, m.loss_down * 1e2),
            m.loss_up.max(m.loss_down) >= LOSS_NOTABLE,
        ),
        plain("up", rate(m.bytes_up_per_s, m.packets_up_per_s)),
        plain("down", rate(m.bytes_down_per_s, m.packets_down_per_s)),
        plain("jitter", format!("{} ms", ms(m.snapshot_jitter))),
        plain("others behind", format!("{} ms", ms(m.interpolation_delay))),
        warned("input lead", lead, m.input_lead_us.is_some_and(|us| us < 0)),
        plain("steering", format!("{:+} ppm", m.steering_ppm)),
        plain("unconfirmed", format!("{} inputs", m.inputs_unconfirmed)),
        plain("corrections", format!("{} / {checked}", m.corrections)),
        plain("worst error", format!("{:.2} u", m.prediction_error_worst_units)),
        warned("to the edge", edge, m.edge_s.is_some_and(|s| s < EDGE_NOTABLE_S)),
        plain("near", format!("{}", m.entities)),
        warned("chunks", format!("{} kept, {} due", view.chunks_kept, m.chunks_wanted), m.chunks_wanted > 0),
    ]
}

fn ms(duration: Duration) -> String {
    format!("{:.1}", duration.as_us() as f64 / 1e3)
}

fn rate(bytes_per_s: u64, packets_per_s: u64) -> String {
    format!("{:.1} kB, {packets_per_s} /s", bytes_per_s as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::tests::view;

    #[test]
    fn numbers_stand_to_the_right_and_what_is_bad_stands_out() {
        let mut view = view();
        view.measures.rtt = Duration::from_us(43_210);
        view.measures.rtt_jitter = Duration::from_us(1_200);
        view.measures.loss_down = 0.034;
        view.measures.bytes_down_per_s = 12_345;
        view.measures.packets_down_per_s = 60;
        view.measures.input_lead_us = Some(-1_500);
        view.measures.edge_s = Some(3.21);
        let mut buf = Buffer::empty(Rect::new(0, 0, 28, LINES));
        draw(&view, Depth::True, buf.area, &mut buf);
        let row = |y| (0..28).map(|x| buf[(x, y)].symbol()).collect::<String>();
        assert_eq!(row(0), "round trip      43.2 ±1.2 ms");
        assert_eq!(row(1), "loss up/down     0.0 / 3.4 %");
        assert_eq!(row(3), "down          12.3 kB, 60 /s");
        assert_eq!(row(6), "input lead           -1.5 ms");
        assert_eq!(row(11), "to the edge            3.2 s");
        let warning = Depth::True.colour(colour::WARNING);
        assert_eq!(
            (buf[(27, 1)].fg, buf[(27, 6)].fg, buf[(27, 11)].fg == warning),
            (warning, warning, false)
        );
    }
}
