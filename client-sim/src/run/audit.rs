//! Watching the generator itself: datagrams that its sockets dropped, its memory, its cores.

use std::collections::{BTreeMap, HashSet};

use crate::line::LineReport;
use crate::outcome::{Audit, Limits, Recorder};
use crate::player::Counts;
use crate::scenario::Unit;

/// The busiest thread is judged by its worst mean over so many seconds.
const CPU_WINDOW_S: usize = 10;
/// A run of fewer seconds is judged by all of them.
const CPU_WINDOW_MIN_S: usize = 3;

/// What the kernel dropped at the generator's sockets, as far as it was seen.
#[derive(Debug, Default)]
pub struct SocketDrops {
    /// By inode: sockets close and ports come back.
    seen: BTreeMap<u64, u64>,
    can_tell: bool,
}

impl SocketDrops {
    /// Looks at the kernel's table. Sockets that close in between take their last drops with them.
    pub fn look(&mut self, ports: &HashSet<u16>) {
        for path in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            let Ok(table) = std::fs::read_to_string(path) else { continue };
            self.can_tell = true;
            let own = table.lines().skip(1).filter_map(row).filter(|row| ports.contains(&row.port));
            self.seen.extend(own.map(|row| (row.inode, row.drops)));
        }
    }

    /// All drops; `None` where the kernel does not tell.
    pub fn sum(&self) -> Option<u64> {
        self.can_tell.then(|| self.seen.values().sum())
    }
}

/// A socket in the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    port: u16,
    inode: u64,
    drops: u64,
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ref pointer drops`
fn row(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = fields.nth(7)?.parse().ok()?;
    Some(Row { port, inode, drops: fields.nth(2)?.parse().ok()? })
}

/// The busiest thread's part of a core in the worst window, from each second's.
fn worst_cpu(permille: &[u64]) -> Option<f64> {
    // The first and the last second are not whole.
    let whole = permille.get(1..permille.len().saturating_sub(1))?;
    let window = CPU_WINDOW_S.min(whole.len());
    if window < CPU_WINDOW_MIN_S {
        return None;
    }
    let mean = |seconds: &[u64]| seconds.iter().sum::<u64>() as f64 / seconds.len() as f64 / 1e3;
    whole.windows(window).map(mean).max_by(f64::total_cmp)
}

/// What the audit looks at.
pub struct Evidence<'e> {
    /// What all clients counted.
    pub counts: &'e Counts,
    /// How late their ticks began.
    pub late: &'e Recorder,
    /// What the lines did.
    pub lines: &'e LineReport,
    /// Datagrams that sockets dropped.
    pub socket_drops: Option<u64>,
    /// The busiest thread in each second.
    pub cpu_permille: &'e [u64],
}

/// Judges the generator.
pub fn audit(evidence: &Evidence<'_>, limits: &Limits) -> Audit {
    let Evidence { counts, late, lines, socket_drops, cpu_permille } = evidence;
    let share = |part: u64, of: u64| Some(part as f64 / of.max(1) as f64);
    let mut audit = Audit::new();
    audit.check(
        "late_p99",
        Unit::Time,
        Some(late.quantile(0.99).unwrap_or(0.0)),
        limits.late_p99_us,
        "how late its clients' ticks began",
    );
    audit.check(
        "inputs_skipped",
        Unit::Share,
        share(counts.inputs_skipped, counts.inputs + counts.inputs_skipped),
        limits.inputs_skipped_share,
        "inputs that were never made because it was too far behind",
    );
    audit.check(
        "socket_drops",
        Unit::Share,
        socket_drops.and_then(|drops| share(drops, counts.datagrams_in + drops)),
        limits.socket_drops_share,
        "datagrams that the kernel dropped because it did not read them in time",
    );
    audit.check(
        "send_errors",
        Unit::Share,
        share(counts.send_errors + lines.send_errors, counts.datagrams_out + lines.up.delivered),
        limits.send_errors_share,
        "datagrams that the kernel did not take",
    );
    audit.check(
        "thread_cpu",
        Unit::Share,
        worst_cpu(cpu_permille),
        limits.thread_cpu_share,
        "the part of a core that its busiest thread used in the worst ten seconds",
    );
    if lines.late.count() > 0 {
        audit.check(
            "line_late_p99",
            Unit::Time,
            lines.late.quantile(0.99),
            limits.late_p99_us,
            "how late datagrams came out of the emulated lines",
        );
    }
    audit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_kernels_table_is_read() {
        let line = "  112: 0100007F:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 \
                    54321 2 0000000000000000 17";
        assert_eq!(row(line), Some(Row { port: 40_000, inode: 54_321, drops: 17 }));
        assert_eq!((row(""), row("a b c")), (None, None));
    }

    #[test]
    fn the_busiest_ten_seconds_count_and_not_the_busiest_one() {
        let mut seconds = vec![100; 30];
        seconds[15] = 1_000;
        assert!((worst_cpu(&seconds).unwrap() - 0.19).abs() < 1e-9);
        seconds[12..22].fill(950);
        assert!(worst_cpu(&seconds).unwrap() > 0.94);
        assert_eq!((worst_cpu(&[900; 4]), worst_cpu(&[])), (None, None));
        assert_eq!(worst_cpu(&[0, 600, 600, 600, 0]), Some(0.6));
    }

    #[test]
    fn a_generator_that_drops_or_fails_to_send_is_found() {
        let counts =
            Counts { inputs: 10_000, datagrams_in: 100_000, datagrams_out: 100_000, ..Counts::default() };
        let judge = |counts: &Counts, drops, late_us| {
            let mut late = Recorder::default();
            late.record(late_us);
            let evidence = Evidence {
                counts,
                late: &late,
                lines: &LineReport::default(),
                socket_drops: drops,
                cpu_permille: &[],
            };
            let failed = audit(&evidence, &Limits::USUAL);
            failed.checks.into_iter().filter(|check| !check.ok).map(|check| check.name).collect::<Vec<_>>()
        };
        assert_eq!(judge(&counts, Some(0), 1_000), Vec::<String>::new());
        assert_eq!(judge(&counts, None, 20_000), ["late_p99"]);
        assert_eq!(judge(&counts, Some(50), 1_000), ["socket_drops"]);
        assert_eq!(judge(&Counts { send_errors: 20, ..counts }, Some(1), 1_000), ["send_errors"]);
        assert_eq!(judge(&Counts { inputs_skipped: 5, ..counts }, Some(1), 1_000), ["inputs_skipped"]);
    }
}
