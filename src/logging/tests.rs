//! What comes out at the end.

use std::sync::Mutex;

use tracing::dispatcher::with_default;

use super::*;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines of what is logged by `log`.
fn lines(format: LogFormat, lines_per_kind_s: u32, log: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let options = LogOptions { format, in_colour: false, lines_per_kind_s };
    let (dispatch, logging) = start(EnvFilter::new("info"), options, kept.clone()).unwrap();
    with_default(&dispatch, log);
    drop(logging);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_kind_is_bounded_and_what_is_left_out_is_told_once() {
    let lines = lines(LogFormat::Text, 1, || {
        for n in 0..1_000 {
            tracing::warn!(n, "again and again");
        }
        tracing::error!("something else");
    });
    let of = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    // A second may pass while it runs.
    assert!((10..=12).contains(&of("again and again")), "{lines:#?}");
    assert_eq!((of("something else"), of("left out")), (1, 1));
    let left_out = lines.iter().find(|line| line.contains("left out")).unwrap();
    let told = 1_000 - of("again and again");
    assert!(
        left_out.contains(&format!("{told} more lines of WARN from src/logging/tests.rs:")),
        "{left_out}"
    );
}

#[test]
fn without_a_bound_all_is_written() {
    let lines = lines(LogFormat::Text, 0, || (0..1_000).for_each(|n| tracing::warn!(n, "again")));
    assert_eq!(lines.len(), 1_000);
}

#[test]
fn json_is_an_object_a_line_whatever_is_in_it() {
    let lines = lines(LogFormat::Json, 1, || {
        tracing::info!(client_id = 7, name = "a\nb\u{9b}31m\"\x1b", "hello\r\n{}", "\u{7f}");
        (0..20).for_each(|_| tracing::warn!("again"));
    });
    let values: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!((&values[0]["level"], &values[0]["client_id"]), (&"INFO".into(), &7.into()));
    assert_eq!(values[0]["name"], "a\nb\u{9b}31m\"\x1b");
    let last = values.last().unwrap();
    assert!(last["message"].as_str().unwrap().starts_with("10 more lines of WARN from "), "{last}");
    assert!(lines.iter().all(|line| !line.chars().any(char::is_control)));
}

#[test]
fn a_line_for_people_stays_one_line_without_control_characters() {
    let lines = lines(LogFormat::Text, 1, || {
        tracing::info!(name = "x\ny\x1b[2J", path = %"p\u{9b}\u{7}q", "hello\r\nworld");
        tracing::error!("{}", "long ".repeat(10_000));
    });
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:#?}");
    assert!(lines[0].contains("hello") && lines[0].contains("world"), "{}", lines[0]);
    assert!(lines[1].len() <= LINE_BYTES_MAX);
}

#[test]
fn a_reader_that_never_reads_holds_nobody_up() {
    /// Takes nothing until it is let.
    struct Stuck(Receiver<()>, Kept);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let kept = Kept::default();
    let (let_go, held) = bounded(0);
    let options = LogOptions { format: LogFormat::Text, in_colour: false, lines_per_kind_s: 0 };
    let (dispatch, logging) = start(EnvFilter::new("info"), options, Stuck(held, kept.clone())).unwrap();
    // More than the queue holds, and this returns.
    with_default(&dispatch, || (0..2 * LINES_WAITING_MAX).for_each(|n| tracing::info!(n, "line")));
    drop(let_go);
    drop(logging);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("lines dropped: standard error does not keep up"));
    assert!(text.lines().count() <= LINES_WAITING_MAX + 3);
}
