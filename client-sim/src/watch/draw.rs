//! Where everything stands on the screen, however large that is.

use ninefold_client::protocol::time::Duration;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, BorderType, Chart, Dataset, Gauge, GraphType, Paragraph};

use super::scene::{LOOK_BACK_S, Scene};
use crate::outcome::Second;
use crate::scenario::Unit;

const SOFT: Color = Color::DarkGray;
/// Narrower, there is room for one column.
const TWO_COLUMNS_FROM: u16 = 84;
/// Lower, charts show nothing.
const CHART_ROWS_MIN: u16 = 6;
/// Seconds that a chart shows at least, so that a run's first do not look like waves.
const CHART_SECONDS_MIN: usize = 20;

/// Draws a run.
pub fn draw(scene: &Scene, frame: &mut Frame<'_>) {
    let [head, bar, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(scene, frame, head);
    draw_bar(scene, frame, bar);
    if body.width >= TWO_COLUMNS_FROM {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(54), Constraint::Percentage(46)]).areas(body);
        draw_charts(scene, frame, left);
        draw_words(scene, frame, right);
    } else {
        let rows = word_rows(scene).min(body.height);
        let [up, down] = Layout::vertical([Constraint::Length(rows), Constraint::Min(0)]).areas(body);
        draw_words(scene, frame, up);
        draw_charts(scene, frame, down);
    }
    let hint = if scene.is_ending {
        " ending: clients say goodbye, then the outcome is written"
    } else {
        " q or Ctrl-C: end it now; the outcome is written all the same"
    };
    frame.render_widget(Line::from(hint.fg(SOFT)), foot);
}

fn draw_head(scene: &Scene, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = vec![
        " ninefold-sim ".bold().reversed(),
        format!(" {} ", printable(&scene.name)).bold(),
        format!(" {} ", scene.stage).cyan(),
        format!(" {} of {} play ", scene.playing, scene.wanted).into(),
    ];
    if let Some((after, fault)) = scene.faults.first() {
        spans.push(format!(" {fault} in {} ", clock(*after)).magenta());
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_bar(scene: &Scene, frame: &mut Frame<'_>, area: Rect) {
    let part = scene.elapsed.as_us() as f64 / scene.length.as_us().max(1) as f64;
    let label = format!("{}  ·  {} left", clock(scene.elapsed), clock(scene.left()));
    let gauge = Gauge::default().ratio(part.clamp(0.0, 1.0)).label(label).use_unicode(true);
    frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Blue).bg(Color::Black)), area);
}

/// A line of a chart: its name, its colour, its values.
type Of = (&'static str, Color, fn(&Second) -> Option<f64>);

fn draw_charts(scene: &Scene, frame: &mut Frame<'_>, area: Rect) {
    const CHARTS: [(&str, Unit, &[Of]); 4] = [
        (
            "input to state",
            Unit::Time,
            &[
                ("p50", Color::Cyan, |s| s.input_state_p50_us),
                ("p99", Color::Yellow, |s| s.input_state_p99_us),
            ],
        ),
        (
            "server tick",
            Unit::Time,
            &[
                ("p50", Color::Cyan, |s| s.tick_p50_us),
                ("p99", Color::Yellow, |s| s.tick_p99_us),
                ("max", Color::Red, |s| s.tick_max_us),
            ],
        ),
        ("to the edge of the world", Unit::Time, &[("least", Color::Green, |s| s.edge_min_us)]),
        (
            "traffic",
            Unit::BytesPerSecond,
            &[
                ("down", Color::Cyan, |s| Some(s.bytes_down as f64)),
                ("up", Color::Magenta, |s| Some(s.bytes_up as f64)),
            ],
        ),
    ];
    let fits = usize::from(area.height / CHART_ROWS_MIN).min(CHARTS.len());
    let rows = Layout::vertical(vec![Constraint::Fill(1); fits]).split(area);
    for ((title, unit, lines), row) in CHARTS.into_iter().zip(rows.iter()) {
        draw_chart(scene, frame, *row, title, unit, lines);
    }
}

fn draw_chart(scene: &Scene, frame: &mut Frame<'_>, area: Rect, title: &str, unit: Unit, lines: &[Of]) {
    // Two dots a column; what is older than the chart is wide has gone by.
    let wide = (usize::from(area.width) * 2).clamp(CHART_SECONDS_MIN, LOOK_BACK_S);
    let seconds = &scene.seconds[scene.seconds.len().saturating_sub(wide)..];
    let points: Vec<Vec<(f64, f64)>> = lines
        .iter()
        .map(|(_, _, of)| seconds.iter().filter_map(|s| Some((s.at_s as f64, of(s)?))).collect())
        .collect();
    let top = points.iter().flatten().fold(0.0_f64, |top, (_, value)| top.max(*value));
    let mut words = vec![Span::from(format!(" {title} ")).bold()];
    for ((name, color, _), points) in lines.iter().zip(&points) {
        let now = points.last().map_or("–".to_owned(), |(_, value)| unit.show(*value));
        words.push(Span::from(format!("{name} {now} ")).fg(*color));
    }
    let block =
        Block::bordered().border_type(BorderType::Rounded).border_style(SOFT).title(Line::from(words));
    if top <= 0.0 {
        frame.render_widget(Paragraph::new("nothing measured yet".fg(SOFT)).centered().block(block), area);
        return;
    }
    let last = seconds.last().map_or(0.0, |second| second.at_s as f64);
    let first = (seconds.first().map_or(0.0, |s| s.at_s as f64)).min(last - CHART_SECONDS_MIN as f64);
    let sets = lines.iter().zip(&points).map(|((_, color, _), points)| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(*color).data(points)
    });
    let labels = ["0".to_owned(), unit.show(top / 2.0), unit.show(top)];
    let chart = Chart::new(sets.collect())
        .block(block)
        .legend_position(None)
        .x_axis(Axis::default().bounds([first, last]).style(SOFT))
        .y_axis(Axis::default().bounds([0.0, top * 1.05]).labels(labels).style(SOFT));
    frame.render_widget(chart, area);
}

/// Rows that the words take.
fn word_rows(scene: &Scene) -> u16 {
    (scene.standings.len() + scene.warnings.len().max(1) + 10) as u16
}

fn draw_words(scene: &Scene, frame: &mut Frame<'_>, area: Rect) {
    let block = |title: &'static str| {
        Block::bordered().border_type(BorderType::Rounded).border_style(SOFT).title(title.bold())
    };
    let objectives = scene.standings.len().max(1) as u16 + 2;
    let generator = scene.warnings.len().max(1) as u16 + 2;
    let [up, middle, down] =
        Layout::vertical([Constraint::Length(objectives), Constraint::Length(generator), Constraint::Min(0)])
            .areas(area);
    let widest = scene.standings.iter().map(|standing| standing.objective.len()).max().unwrap_or(0);
    let objectives: Vec<Line<'_>> = match scene.standings.as_slice() {
        [] => vec!["none were asked for".fg(SOFT).into()],
        all => all
            .iter()
            .map(|standing| {
                let (mark, color) = match standing.holds {
                    Some(true) => ("✓", Color::Green),
                    Some(false) => ("✗", Color::Red),
                    None => ("·", SOFT),
                };
                Line::from(vec![
                    format!("{mark} ").fg(color),
                    format!("{:<widest$}  ", standing.objective).into(),
                    standing.shown.clone().fg(color),
                ])
            })
            .collect(),
    };
    frame.render_widget(Paragraph::new(objectives).block(block(" objectives so far ")), up);
    let audit: Vec<Line<'_>> = match scene.warnings.as_slice() {
        [] => vec!["✓ in time, with cores to spare".green().into()],
        some => some.iter().map(|warning| Line::from(format!("! {warning}").yellow())).collect(),
    };
    frame.render_widget(Paragraph::new(audit).block(block(" the generator itself ")), middle);
    frame.render_widget(Paragraph::new(counts(scene)).block(block(" so far ")), down);
}

fn counts(scene: &Scene) -> Vec<Line<'static>> {
    let sums = &scene.sums;
    let count = |n: u64| Unit::Count.show(n as f64);
    let alarming = |n: u64| if n > 0 { count(n).red() } else { count(n).green() };
    let last = scene.seconds.last();
    let share = |value: Option<f64>| value.map_or("–".to_owned(), |value| Unit::Share.show(value));
    let time = |value: Option<f64>| value.map_or("–".to_owned(), |value| Unit::Time.show(value));
    vec![
        vec![
            "sessions    ".fg(SOFT),
            format!("{} played, ", count(sums.joined)).into(),
            alarming(sums.lost),
            " lost".into(),
        ]
        .into(),
        vec![
            "crossings   ".fg(SOFT),
            format!("{}, ", count(sums.crossings)).into(),
            alarming(sums.crossings_without_chunk),
            " without their chunk".into(),
        ]
        .into(),
        vec!["chunks      ".fg(SOFT), count(sums.chunks).into()].into(),
        vec!["corrections ".fg(SOFT), count(sums.corrections).into()].into(),
        vec![
            "line        ".fg(SOFT),
            format!(
                "loss {} down, {} up; round trip {}",
                share(last.and_then(|s| s.loss_down)),
                share(last.and_then(|s| s.loss_up)),
                time(last.and_then(|s| s.rtt_p50_us))
            )
            .into(),
        ]
        .into(),
        vec!["overruns    ".fg(SOFT), alarming(sums.overruns)].into(),
    ]
}

/// Without what a terminal would obey: names come from files.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn clock(time: Duration) -> String {
    let s = time.as_ms() / 1_000;
    match s {
        0..100 => format!("{s} s"),
        100..3_600 => format!("{}:{:02}", s / 60, s % 60),
        _ => format!("{}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60),
    }
}
