//! The writer's thread: it alone touches the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration as StdDuration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::folder::{Folder, FolderError};
use super::order::{Answer, RecordError, Why};
use super::stamp;
use super::tape::Shared;
use super::trace::{About, write_trace};
use crate::telemetry::Live;

/// How long stopping waits for a trace that is being written.
const STOP_WAIT: StdDuration = StdDuration::from_secs(2);
/// How often stopping looks whether it is.
const STOP_POLL: StdDuration = StdDuration::from_millis(2);

/// What is recorded, handed over to be written.
#[derive(Debug)]
pub struct Dump {
    pub(super) segments: Shared,
    pub(super) why: Why,
    pub(super) answer: Option<Sender<Answer>>,
    /// Overruns since the last trace of one that have none.
    pub(super) overruns_unwritten: u64,
    /// Ticks that could not be recorded.
    pub(super) ticks_lost: u64,
    pub(super) is_busy: Arc<AtomicBool>,
}

/// The thread that writes traces.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts it. It ends when the recorder that has the sending end does.
    pub fn start(folder: Folder, about: About, live: Arc<Live>) -> io::Result<(Writer, Sender<Dump>)> {
        // One at a time: a recorder whose last dump is not written yet hands over no other.
        let (dumps_in, dumps) = bounded(1);
        let thread = Builder::new()
            .name("ninefold-traces".into())
            .spawn(move || write_all(&folder, about, &dumps, &live))?;
        Ok((Writer { thread }, dumps_in))
    }

    /// Waits until it has written all, but not for ever: a disk may hang.
    pub fn stop(self) {
        let mut left = STOP_WAIT;
        while !self.thread.is_finished() && !left.is_zero() {
            std::thread::sleep(STOP_POLL);
            left = left.saturating_sub(STOP_POLL);
        }
        if !self.thread.is_finished() {
            tracing::warn!("a trace is still being written and is left behind");
        } else if self.thread.join().is_err() {
            tracing::error!("the thread that writes traces panicked");
        }
    }
}

fn write_all(folder: &Folder, mut about: About, dumps: &Receiver<Dump>, live: &Live) {
    for dump in dumps {
        let Dump { segments, why, answer, overruns_unwritten, ticks_lost, is_busy } = dump;
        about.why = why;
        about.written_at = stamp::now();
        about.overruns_unwritten = overruns_unwritten;
        about.ticks_lost = ticks_lost;
        let result = write_one(folder, &about, &segments);
        // From here on its memory is the recorder's again.
        drop(segments);
        is_busy.store(false, Ordering::Release);
        match &result {
            Ok((path, bytes)) => {
                live.recorder.wrote(path.display().to_string());
                tracing::info!(path = %path.display(), bytes, why = %about.why, "trace written")
            }
            Err(error) => tracing::warn!(why = %about.why, "no trace: {error}; the server goes on"),
        }
        if let Some(answer) = answer {
            let told = result.map(|written| written.0).map_err(|e| RecordError::NotWritten(e.to_string()));
            // Who asked may have gone.
            let _ = answer.try_send(told);
        }
    }
}

fn write_one(
    folder: &Folder,
    about: &About,
    segments: &Shared,
) -> Result<(std::path::PathBuf, u64), FolderError> {
    let last = segments.iter().rev().find_map(|segment| segment.ticks().last());
    let tick = last.map_or(0, |(tick, _)| tick.number);
    let name = format!("{}-tick{tick:010}-{}", stamp::for_file(&about.written_at), about.why.word());
    folder.write(&name, |out| write_trace(segments, about, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Tape, TickRecord};

    #[test]
    fn a_folder_of_traces_stays_within_its_bounds() {
        let path = std::env::temp_dir().join(format!("ninefold-writer-{}", std::process::id()));
        let folder = Folder::new(path.clone(), 4, 1_000_000);
        let (writer, dumps) = Writer::start(folder, About::new(60, Vec::new()), Arc::default()).unwrap();
        let mut tape = Tape::new(60);
        let is_busy = Arc::new(AtomicBool::new(false));
        let mut files = Vec::new();
        for number in 1..=40 {
            let began_ns = number * 16_666_667;
            let record = TickRecord { number, began_ns, ended_ns: began_ns, ..TickRecord::default() };
            tape.push(record, &[]);
            let (answer, written) = bounded(1);
            let segments = tape.share().expect("the last dump was written");
            let dump = Dump {
                segments,
                why: Why::Asked,
                answer: Some(answer),
                overruns_unwritten: 0,
                ticks_lost: 0,
                is_busy: Arc::clone(&is_busy),
            };
            dumps.send(dump).unwrap();
            files.push(written.recv().unwrap().expect("it is written"));
            let there: Vec<u64> =
                std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
            assert!(there.len() <= 4 && there.iter().sum::<u64>() <= 1_000_000, "{there:?}");
        }
        drop(dumps);
        writer.stop();
        assert!(files[36..].iter().all(|file| file.exists()) && !files[35].exists());
        std::fs::remove_dir_all(&path).unwrap();
    }
}
