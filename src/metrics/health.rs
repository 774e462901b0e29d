//! Whether the server goes round, and whether its ticks come on time.

use ninefold_protocol::time::{Duration, Instant};

use crate::telemetry::{Book, Live, TickSample};

/// A thread that has shown no sign of life for so long is taken for dead.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Readiness goes by the ticks of this last while.
const READY_SPAN: Duration = Duration::from_secs(1);

/// Says what has stopped, if anything has.
pub fn healthy(live: &Live, now: Instant) -> Result<(), String> {
    let last = |book: &Book| book.recent.back().map(|tick| tick.began);
    let threads = [("tick", last(&live.book())), ("udp", live.udp().map(|(at, _)| at))];
    for (thread, heard) in threads {
        let silent = now.since(heard.unwrap_or(Instant::ZERO));
        if silent >= SILENCE_MAX {
            return Err(format!("the {thread} thread has been silent for {} s", silent.as_us() / 1_000_000));
        }
    }
    Ok(())
}

/// Says why it is not ready, if it is not: it is healthy, and most ticks of the last second were on time.
pub fn ready(live: &Live, now: Instant) -> Result<(), String> {
    healthy(live, now)?;
    let book = live.book();
    let budget = book.facts.budget;
    let is_of_late = |tick: &&TickSample| now.since(tick.began) <= READY_SPAN;
    let (mut ticks, mut bad) = (0, 0);
    for tick in book.recent.iter().rev().take_while(is_of_late) {
        ticks += 1;
        let took = Duration::from_us(tick.times.total_ns() / 1_000);
        bad += u32::from(took > budget || tick.lateness > budget);
    }
    match (ticks, bad) {
        (0, _) => Err("no tick in the last second".to_owned()),
        (ticks, bad) if 2 * bad > ticks => Err(format!(
            "of the last {ticks} ticks {bad} were late or took longer than {} us",
            budget.as_us()
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Phase, TickTimes, UdpShown};

    fn live(ticks: impl IntoIterator<Item = (u64, u64)>) -> Live {
        let live = Live::default();
        live.udp[0].show(Instant::from_us(9_900_000), UdpShown::default());
        let mut book = live.book.lock().unwrap();
        book.facts.budget = Duration::from_ms(16);
        for (at_ms, took_ms) in ticks {
            let mut times = TickTimes::default();
            times.phases_ns[Phase::Stream as usize] = took_ms * 1_000_000;
            let began = Instant::from_us(at_ms * 1_000);
            book.recent.push_back(TickSample { began, times, ..TickSample::default() });
        }
        drop(book);
        live
    }

    const NOW: Instant = Instant::from_us(10_000_000);

    #[test]
    fn a_server_whose_ticks_come_on_time_is_ready() {
        let live = live((500..600).map(|n| (n * 16 + 300, if n % 3 == 0 { 20 } else { 2 })));
        assert_eq!((healthy(&live, NOW), ready(&live, NOW)), (Ok(()), Ok(())));
    }

    #[test]
    fn one_whose_ticks_take_too_long_is_healthy_and_not_ready() {
        let live = live((500..600).map(|n| (n * 16 + 300, if n % 3 == 0 { 2 } else { 20 })));
        assert_eq!(healthy(&live, NOW), Ok(()));
        let why = ready(&live, NOW).unwrap_err();
        assert!(why.contains("took longer than 16000 us"), "{why}");
    }

    #[test]
    fn one_without_ticks_is_neither() {
        let why = healthy(&live([(4_000, 1)]), NOW).unwrap_err();
        assert_eq!(why, "the tick thread has been silent for 6 s");
        let why = ready(&live([(7_000, 1)]), NOW).unwrap_err();
        assert_eq!(why, "no tick in the last second");
    }
}
