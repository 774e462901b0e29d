//! The whole server beside the least one that could do the job.
//!
//! cargo bench --bench floor                  all of it, some 100 seconds
//! cargo bench --bench floor -- aes walking   the cases whose names have one of these words, beside the bare server
//! cargo bench --bench floor -- aes shards2   ours with two UDP threads
//!
//! A thousand clients on real sockets, 60 datagrams of 60 bytes and more a second from each, spread over the tick. The
//! **bare** server looks an address up, opens what came, and copies, seals and sends k datagrams of 1,200 bytes to each
//! client with the carrier's own calls: no session, no acknowledgement, no game. **Ours** is the server as it ships, with
//! everything on, and clients that ride the connection and the link as real ones do.
//!
//! Counted is the CPU time of the whole process but for the clients' thread, per client and tick. Loopback lets a sender
//! pay for its receivers' kernel, so both servers pay for their clients', and not for their own.

mod bare;
mod clients;
mod game;
mod large;

use std::time::Duration;

use bare::Bare;
use clients::{Crowd, Wish};
use game::{FETCH_LARGE_EVERY_TICKS, Ours, Play};
use rustix::time::{ClockId, clock_gettime};

const CLIENTS: usize = 1_000;
const HZ: u32 = 60;
/// Until rings are whole, rates are known and caches are warm.
const WARM_UP: Duration = Duration::from_millis(2_500);
const MEASURED: Duration = Duration::from_secs(3);
const MEASURED_BARE: Duration = Duration::from_millis(1_500);
/// What counts as a chunk here; the ordinary world's are smaller, so that several make one.
const CHUNK_BYTES: f64 = 32.0 * 1_024.0;
/// Its fragments.
const CHUNK_DATAGRAMS: usize = 29;

const CASES: [(&str, Play); 5] = [
    ("walking", Play::Exploring),
    ("idle", Play::Idle),
    ("prompt", Play::Prompt),
    ("chunks", Play::Fetching),
    ("large", Play::Large),
];

/// UDP threads of ours.
fn udp_threads() -> u32 {
    if std::env::args().any(|word| word == "shards2") { 2 } else { 1 }
}

/// What is measured of a server in a while.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// CPU microseconds per client and tick.
    us: f64,
    /// Datagrams that a client got in a tick.
    datagrams: f64,
    /// Bytes of whole chunks that a client got in a tick.
    chunk_bytes: f64,
    /// The parts of it by thread, microseconds.
    udp_us: f64,
    tick_us: f64,
    workers_us: f64,
}

fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of the threads whose names begin so, in hundredths of a second, which is what the system tells.
fn threads_cpu_cs(name: &str) -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells of threads");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    stats.filter_map(|stat| cpu_cs_of(&stat, name)).sum()
}

/// User and system time are the 12th and 13th field behind the name, which stands in parentheses.
fn cpu_cs_of(stat: &str, name: &str) -> Option<u64> {
    let (head, tail) = stat.rsplit_once(')')?;
    let is_it = head.split_once('(')?.1.starts_with(name);
    let mut fields = tail.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    is_it.then(|| Some(fields.next()? + fields.next()?))?
}

/// Lets a server and its clients run and says what the server took of the last `measured`.
fn measure(crowd: &Crowd, measured: Duration) -> Cost {
    let look = || {
        let threads = ["ninefold-udp", "ninefold-tick", "ninefold-gen"].map(threads_cpu_cs);
        (process_cpu_ns() - crowd.cpu_ns(), crowd.datagrams(), crowd.chunk_bytes(), threads)
    };
    let (began, before) = (std::time::Instant::now(), look());
    std::thread::sleep(measured);
    let (took, after) = (began.elapsed(), look());
    let client_ticks = took.as_secs_f64() * f64::from(HZ) * CLIENTS as f64;
    let thread_us = |n: usize| (after.3[n] - before.3[n]) as f64 * 10_000.0 / client_ticks;
    Cost {
        us: (after.0 - before.0) as f64 / 1e3 / client_ticks,
        datagrams: (after.1 - before.1) as f64 / client_ticks,
        chunk_bytes: (after.2 - before.2) as f64 / client_ticks,
        udp_us: thread_us(0),
        tick_us: thread_us(1),
        workers_us: thread_us(2),
    }
}

/// A bare server that sends `k` datagrams a tick, in one of so many.
fn bare(is_aes: bool, k: usize, every_ticks: u32) -> Cost {
    let bare = Bare::start(is_aes, CLIENTS, k, every_ticks, HZ);
    let crowd = Crowd::start(bare.callers(), Wish::Nothing, HZ);
    std::thread::sleep(Duration::from_millis(300));
    let cost = measure(&crowd, MEASURED_BARE);
    crowd.stop();
    bare.stop();
    cost
}

/// What a bare server takes to send a chunk's datagrams at once, beyond standing idle.
fn bare_chunk_us(is_aes: bool, idle_us: f64) -> f64 {
    let sending = bare(is_aes, CHUNK_DATAGRAMS, FETCH_LARGE_EVERY_TICKS as u32);
    (sending.us - idle_us) * FETCH_LARGE_EVERY_TICKS as f64
}

/// Ours, with clients that do this.
fn ours(is_aes: bool, play: Play) -> (Cost, String) {
    let ours = Ours::start(play, HZ);
    let crowd = Crowd::start(ours.callers(is_aes, CLIENTS), play.wish(), HZ);
    let began = std::time::Instant::now();
    while crowd.playing() < CLIENTS {
        assert!(began.elapsed() < Duration::from_secs(20), "only {} clients came in", crowd.playing());
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(WARM_UP);
    let cost = measure(&crowd, MEASURED);
    let paced = ours.paced();
    crowd.stop();
    (cost, format!("{}; {paced}", ours.stop()))
}

fn main() {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|a| !a.starts_with('-') && a != "shards2").collect();
    let is_asked = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let any = |names: &[&str]| names.iter().any(|name| words.iter().any(|word| word == name));
    for (cipher, is_aes) in [("aes", true), ("chacha", false)] {
        if any(&["aes", "chacha"]) && !is_asked(cipher) {
            continue;
        }
        let is_chosen = |(name, _): &(&str, Play)| !any(&CASES.map(|(name, _)| name)) || is_asked(name);
        let cases = CASES.into_iter().filter(is_chosen);
        let mut floors = [bare(is_aes, 0, 1), bare(is_aes, 4, 1)];
        let costs: Vec<_> = cases.map(|(name, play)| (name, play, ours(is_aes, play))).collect();
        for (floor, k) in floors.iter_mut().zip([0, 4]) {
            let again = bare(is_aes, k, 1);
            println!(
                "{cipher}: bare k={k}: {:.2} and {:.2} us per client and tick, {:.2} datagrams came",
                floor.us, again.us, again.datagrams
            );
            floor.us = (floor.us + again.us) / 2.0;
        }
        let idle = costs.iter().find(|(_, play, _)| *play == Play::Idle).map(|(.., (cost, _))| *cost);
        for (name, play, (cost, sent)) in costs {
            let Cost { us, datagrams, chunk_bytes, udp_us, tick_us, workers_us } = cost;
            let is_idle = matches!(play, Play::Idle | Play::Prompt);
            let (k, floor) = if is_idle { (0, floors[0]) } else { (4, floors[1]) };
            println!(
                "{cipher}: ours, {name}: {us:.2} us (udp {udp_us:.2}, tick {tick_us:.2}, workers {workers_us:.2}), \
                 {datagrams:.2} datagrams came; {:.2} x bare k={k}; {sent}",
                us / floor.us
            );
            let idle = match play {
                Play::Fetching => idle,
                Play::Large => Some(ours(is_aes, Play::LargeIdle).0),
                _ => None,
            };
            if let Some(idle) = idle {
                let chunks = chunk_bytes / CHUNK_BYTES;
                let ours_us = (us - idle.us) / chunks;
                let bare_us = bare_chunk_us(is_aes, floors[0].us);
                println!(
                    "{cipher}: a chunk of 32 KiB delivered: {ours_us:.1} us beyond standing idle, {:.2} x the bare server's \
                     {bare_us:.1}",
                    ours_us / bare_us
                );
            }
        }
    }
}
