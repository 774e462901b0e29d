//! The ring of nine: which chunks are here, and for how long the others have been awaited.

use ninefold_client::world::{Biome, ChunkCoord};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::colour::{self, Depth};
use crate::view::View;

/// Characters of one chunk.
const CHUNK_WIDTH: u16 = 7;
/// What the ring takes, with its frame.
pub const HEIGHT: u16 = 5;

/// Draws it, north at the top.
pub fn draw(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let Some(active) = view.active else { return };
    let left = area.x + area.width.saturating_sub(3 * CHUNK_WIDTH + 2) / 2;
    for (row, dz) in (-1..=1).enumerate() {
        for (column, dx) in (-1..=1).enumerate() {
            let (x, y) = (left + column as u16 * (CHUNK_WIDTH + 1), area.y + row as u16);
            if x + CHUNK_WIDTH > area.right() || y >= area.bottom() {
                continue;
            }
            // The world ends somewhere.
            let beside = (active.cx.checked_add(dx), active.cz.checked_add(dz));
            let (Some(cx), Some(cz)) = beside else { continue };
            let (text, style) = chunk(view, depth, ChunkCoord { cx, cz });
            let style = if (dx, dz) == (0, 0) { style.add_modifier(Modifier::BOLD) } else { style };
            let text = if (dx, dz) == (0, 0) { format!("[{}]", text.trim()) } else { text };
            buf.set_string(x, y, format!("{text:^width$}", width = CHUNK_WIDTH as usize), style);
        }
    }
}

fn chunk(view: &View, depth: Depth, coord: ChunkCoord) -> (String, Style) {
    let awaited = view.wanted.iter().find(|(wanted, _)| *wanted == coord);
    if let Some((_, waited)) = awaited {
        let style = Style::new().fg(depth.colour(colour::WARNING)).bg(depth.colour([44, 30, 30]));
        return (format!("{:.1} s", waited.as_us() as f64 / 1e6), style);
    }
    let Some(chunk) = view.ground.chunk(coord) else {
        return ("?".to_owned(), Style::new().fg(depth.colour(colour::LABEL)));
    };
    let text = match chunk.biome() {
        Biome::Dungeon => "cave",
        Biome::Courtyard => "court",
        Biome::Exterior => "open",
    };
    let ground = colour::scaled(colour::biome(chunk.biome()), 0.5);
    (text.to_owned(), Style::new().fg(depth.colour([244, 244, 244])).bg(depth.colour(ground)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::tests::view;
    use ninefold_client::protocol::time::Duration;

    #[test]
    fn the_ring_says_what_is_here_and_what_is_awaited_and_how_long() {
        let mut view = view();
        view.wanted = vec![(ChunkCoord { cx: 1, cz: -1 }, Duration::from_ms(1_240))];
        let mut buf = Buffer::empty(Rect::new(0, 0, 24, 3));
        draw(&view, Depth::True, buf.area, &mut buf);
        let row = |y| (0..24).map(|x| buf[(x, y)].symbol()).collect::<String>();
        assert_eq!(row(0).trim_end(), "   ?       ?     1.2 s");
        assert_eq!(row(1).trim_end(), "   ?    [open]     ?");
    }

    #[test]
    fn at_the_end_of_the_world_the_ring_has_fewer_chunks() {
        let mut view = view();
        view.active = Some(ChunkCoord { cx: i32::MAX, cz: i32::MIN });
        let mut buf = Buffer::empty(Rect::new(0, 0, 24, 3));
        draw(&view, Depth::True, buf.area, &mut buf);
        assert_eq!(buf.content.iter().filter(|c| c.symbol() == "?").count(), 4);
    }
}
