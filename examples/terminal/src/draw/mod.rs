//! A picture of the game: a pure function of a [`View`].
//!
//! ```text
//!   ┌ map ────────────────────┐┌ ring ────┐
//!   │                         ││          │
//!   │                         │├ line ────┤
//!   │                         ││          │
//!   └─────────────────────────┘│          │
//!    what happened             └──────────┘
//!    keys
//! ```

pub mod colour;
mod map;
mod ring;
mod stats;

use ninefold_client::protocol::time::Duration;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Padding, Paragraph, Widget};

use self::colour::{Depth, Rgb};
use crate::view::View;

/// Characters of the panels to the right.
const PANELS_WIDTH: u16 = 32;
/// Narrower than this, the panels are left out; lower than this, what happened.
const WIDTH_WITH_PANELS: u16 = 66;
const HEIGHT_WITH_LINES: u16 = 12;
/// Lines of what happened, on high and on low screens.
const HAPPENED_LINES: u16 = 4;
const HAPPENED_LINES_LOW: u16 = 2;
const HIGH_FROM: u16 = 30;
/// News are bright for so long.
const NEW_FOR: Duration = Duration::from_secs(4);
const KEYS: &str = "arrows/wasd/hjkl walk  space jump  e door  +/- zoom  i names  q quit";

/// Draws the picture over the whole of the frame.
pub fn draw(view: &View, depth: Depth, frame: &mut Frame<'_>) {
    let (area, buf) = (frame.area(), frame.buffer_mut());
    let has_panels = area.width >= WIDTH_WITH_PANELS;
    let lines = match area.height {
        ..HEIGHT_WITH_LINES => 0,
        HEIGHT_WITH_LINES..HIGH_FROM => HAPPENED_LINES_LOW,
        _ => HAPPENED_LINES,
    };
    let [all, keys] =
        Layout::vertical([Constraint::Min(0), Constraint::Length(u16::from(lines > 0))]).areas(area);
    let panels_width = if has_panels { PANELS_WIDTH } else { 0 };
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(panels_width)]).areas(all);
    let [map, happened] = Layout::vertical([Constraint::Min(0), Constraint::Length(lines)]).areas(left);
    draw_map(view, depth, map, buf);
    draw_happened(view, depth, happened, buf);
    Line::styled(format!(" {KEYS}"), style(depth, colour::LABEL)).render(keys, buf);
    if has_panels {
        draw_panels(view, depth, right, buf);
    }
}

fn style(depth: Depth, paint: Rgb) -> Style {
    Style::new().fg(depth.colour(paint))
}

fn framed<'a>(depth: Depth, title: impl Into<Line<'a>>) -> Block<'a> {
    Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(style(depth, colour::FRAME))
        .title_style(style(depth, colour::TITLE))
        .title(title)
}

fn draw_map(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let mut block = framed(depth, " ninefold ");
    if let Some(own) = &view.own {
        let (x, y, z) = (own.position.x, own.position.y, own.position.z);
        let chunk = view.active.map_or(String::new(), |c| format!(" chunk {}, {} ", c.cx, c.cz));
        let place = format!(" {x:.0} east, {z:.0} south, {y:.0} up ");
        let scale = format!(" {} units a pixel ", view.units_per_pixel);
        block = block
            .title(Line::from(chunk).alignment(Alignment::Right))
            .title_bottom(Line::styled(place, style(depth, colour::LABEL)))
            .title_bottom(Line::styled(scale, style(depth, colour::LABEL)).alignment(Alignment::Right));
    }
    let inner = block.inner(area);
    block.render(area, buf);
    if view.own.is_some() && view.active.is_some() {
        map::draw(view, depth, inner, buf);
    } else {
        draw_waiting(view, depth, inner, buf);
    }
}

/// Before there is anything to see.
fn draw_waiting(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let what = if view.is_in { "coming into the world of" } else { "knocking at" };
    let seconds = view.waited.as_us() as f64 / 1e6;
    let text = vec![
        Line::styled(format!("{what} {}", view.server), style(depth, colour::VALUE)),
        Line::styled(format!("{seconds:.1} s"), style(depth, colour::LABEL)),
    ];
    let [middle] = Layout::vertical([Constraint::Length(2)]).flex(ratatui::layout::Flex::Center).areas(area);
    Paragraph::new(text).alignment(Alignment::Center).render(middle, buf);
}

fn draw_happened(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let first = view.lines.len().saturating_sub(usize::from(area.height));
    for ((text, ago), y) in view.lines[first..].iter().zip(area.y..area.bottom()) {
        let is_new = *ago < NEW_FOR;
        let style = style(depth, if is_new { colour::VALUE } else { colour::OLD });
        buf.set_stringn(area.x + 1, y, text, usize::from(area.width.saturating_sub(2)), style);
    }
}

fn draw_panels(view: &View, depth: Depth, area: Rect, buf: &mut Buffer) {
    let [ring, line, rest] = Layout::vertical([
        Constraint::Length(ring::HEIGHT),
        Constraint::Length(stats::LINES + 2),
        Constraint::Min(0),
    ])
    .areas(area);
    let block = framed(depth, " ring ").padding(Padding::horizontal(1));
    let inner = block.inner(ring);
    block.render(ring, buf);
    ring::draw(view, depth, inner, buf);
    let block = framed(depth, format!(" {} ", view.server)).padding(Padding::horizontal(1));
    let inner = block.inner(line);
    block.render(line, buf);
    stats::draw(view, depth, inner, buf);
    draw_legend(depth, rest, buf);
}

/// What the colours mean, where there is room.
fn draw_legend(depth: Depth, area: Rect, buf: &mut Buffer) {
    let legend: [(&str, Rgb, &str); 7] = [
        ("→", colour::OWN, "you, and where you look"),
        ("↘", colour::player(4), "another player"),
        ("▸", colour::CREATURE, "a creature"),
        ("█", colour::DOOR_CLOSED, "a closed door"),
        ("█", colour::DOOR_OPEN, "an open door"),
        (
            "█",
            colour::scaled(colour::biome(ninefold_client::world::Biome::Exterior), 0.8),
            "ground, brighter higher up",
        ),
        ("█", colour::rock(true), "rock"),
    ];
    if area.height < legend.len() as u16 + 2 {
        return;
    }
    let block = framed(depth, " legend ").padding(Padding::horizontal(1));
    let inner = block.inner(area);
    block.render(area, buf);
    for ((glyph, paint, text), y) in legend.into_iter().zip(inner.y..inner.bottom()) {
        buf.set_string(inner.x, y, glyph, style(depth, paint).add_modifier(Modifier::BOLD));
        buf.set_stringn(
            inner.x + 2,
            y,
            text,
            usize::from(inner.width.saturating_sub(2)),
            style(depth, colour::LABEL),
        );
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ninefold_client::world::{
        Axis, Biome, Cell, Chunk, ChunkCoord, Door, Grid, Hinge, OpenCell, OpenDoors, Position, Scratch,
        build,
    };
    use ninefold_client::{EntityView, OwnView};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::sync::Arc;

    const ORIGIN: ChunkCoord = ChunkCoord { cx: 0, cz: 0 };

    /// Flat ground and a wall through the whole chunk in the cells of the fourth column.
    pub fn chunk(doors: &[Door]) -> Chunk {
        let open = Cell::Open(OpenCell {
            floor: 0,
            ceiling: None,
            floor_material: 7,
            wall_material: 7,
            cliff_material: 8,
            ceiling_material: 0,
        });
        let cell = |x, _| if x == 3 { Cell::Solid } else { open };
        let mut grid = Grid::from_cells(ORIGIN, Biome::Exterior, cell);
        grid.doors.extend_from_slice(doors);
        build(&grid, &mut Scratch::default())
    }

    /// To the east of the cell 0, 2.
    pub fn door() -> Door {
        Door { x: 0, z: 2, axis: Axis::X, hinge: Hinge::Low, open_degrees: 90, bottom: 0, top: 768 }
    }

    pub fn entity(id: u64, kind: u16, (x, z): (f64, f64), yaw: u16) -> EntityView {
        let position = Position { x, y: 0.0, z };
        EntityView { index: id as u32, id, kind, position, velocity: [0.0; 3], yaw, state: 0 }
    }

    /// A player at 100, 100 in the one chunk that is here.
    pub fn view() -> View {
        let position = Position { x: 100.0, y: 0.0, z: 100.0 };
        let own = OwnView { position, velocity: [0.0; 3], on_ground: true, yaw: 0, state: 0 };
        let mut view = View {
            server: "127.0.0.1:40000".to_owned(),
            is_in: true,
            own: Some(own),
            active: Some(ORIGIN),
            units_per_pixel: 16,
            ..View::default()
        };
        view.ground.insert(Arc::new(chunk(&[])), OpenDoors::NONE);
        view
    }

    fn screen(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(view, Depth::True, frame)).unwrap();
        let buf = terminal.backend().buffer();
        let (rock, unknown) = (colour::rock(false), [colour::unknown(0, 0), colour::unknown(0, 1)]);
        let letter = |x, y| match (buf[(x, y)].symbol(), buf[(x, y)].fg) {
            ("▀", fg) if fg == Depth::True.colour(rock) => "#",
            ("▀", fg) if unknown.map(|rgb| Depth::True.colour(rgb)).contains(&fg) => " ",
            ("▀", _) => ".",
            (symbol, _) => symbol,
        };
        let row = |y| (0..width).map(|x| letter(x, y)).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
    }

    /// The ground as letters: `.` is floor, `#` rock, and nothing where no chunk is here.
    #[test]
    fn a_small_world_makes_a_known_picture() {
        let mut view = view();
        view.entities = vec![entity(7, 1, (100.0, 36.0), 16_384)];
        view.lines = vec![("player 7 has come near".to_owned(), Duration::ZERO)];
        let picture = screen(&view, 80, 24);
        let expected = include_str!("../../tests/picture.txt");
        assert_eq!(picture, expected, "drawn:\n{picture}");
    }

    #[test]
    fn before_there_is_a_world_the_picture_says_what_is_awaited() {
        let mut view = View { server: "127.0.0.1:9".to_owned(), ..View::default() };
        view.waited = Duration::from_ms(2_340);
        let picture = screen(&view, 80, 24);
        assert!(picture.contains("knocking at 127.0.0.1:9") && picture.contains("2.3 s"), "{picture}");
        view.is_in = true;
        assert!(screen(&view, 80, 24).contains("coming into the world of 127.0.0.1:9"));
    }

    #[test]
    fn a_picture_fits_into_any_terminal() {
        let mut view = view();
        view.shows_ids = true;
        view.entities =
            (0..64).map(|i| entity(i, 1, (f64::from(i as u32) * 31.0 - 900.0, 120.0), 0)).collect();
        for (width, height) in
            [(0, 0), (1, 1), (2, 2), (3, 9), (20, 5), (63, 11), (64, 12), (65, 30), (300, 90)]
        {
            screen(&view, width, height);
        }
    }

    #[test]
    fn of_what_happened_the_newest_is_shown() {
        let mut view = view();
        view.lines = (0..9).map(|i| (format!("line {i}"), Duration::from_secs(9 - i))).collect();
        let (low, high) = (screen(&view, 80, 24), screen(&view, 120, 36));
        assert!(low.contains("line 7") && low.contains("line 8") && !low.contains("line 6"));
        assert!(high.contains("line 5") && high.contains("line 8") && !high.contains("line 4"));
    }
}
