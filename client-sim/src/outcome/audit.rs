//! What the generator knows of itself: whether it was in time, lost anything at its sockets, or had no core left.
//!
//! A run whose generator fails here says nothing of the server, and is invalid.

use serde::{Deserialize, Serialize};

use crate::scenario::Unit;

/// What the generator has to keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How late its clients' ticks may begin: p99, microseconds.
    pub late_p99_us: f64,
    /// Inputs that were never made because a thread was too far behind, of all.
    pub inputs_skipped_share: f64,
    /// Datagrams that its sockets dropped, of those received.
    pub socket_drops_share: f64,
    /// Datagrams that the kernel did not take, of those sent.
    pub send_errors_share: f64,
    /// The part of a core that its busiest thread used, in the worst ten seconds.
    pub thread_cpu_share: f64,
}

impl Limits {
    /// Half a tick at 60 Hz; one input, datagram in ten thousand; nine tenths of a core.
    pub const USUAL: Limits = Limits {
        late_p99_us: 8_000.0,
        inputs_skipped_share: 0.000_1,
        socket_drops_share: 0.000_1,
        send_errors_share: 0.000_1,
        thread_cpu_share: 0.9,
    };
}

/// One thing that is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, as that of its limit.
    pub name: String,
    /// What was measured; `None` where this machine cannot tell.
    pub value: Option<f64>,
    /// What it may be at most.
    pub limit: f64,
    /// Both for people.
    pub shown: String,
    /// Whether it kept to it. What cannot be told does not fail.
    pub ok: bool,
    /// What it is.
    pub about: String,
}

/// All that is looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Whether all checks held.
    pub ok: bool,
    /// Each of them.
    pub checks: Vec<Check>,
}

impl Audit {
    /// No checks yet.
    pub fn new() -> Audit {
        Audit { ok: true, checks: Vec::new() }
    }

    /// Looks at one value.
    pub fn check(&mut self, name: &str, unit: Unit, value: Option<f64>, limit: f64, about: &str) {
        let ok = value.is_none_or(|value| value <= limit);
        let seen = value.map_or("cannot be told here".to_owned(), |value| unit.show(value));
        self.ok &= ok;
        self.checks.push(Check {
            name: name.to_owned(),
            value,
            limit,
            shown: format!("{seen}, at most {}", unit.show(limit)),
            ok,
            about: about.to_owned(),
        });
    }

    /// Why it failed.
    pub fn reasons(&self) -> impl Iterator<Item = String> {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| format!("{}: {} ({})", check.name, check.shown, check.about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_that_fails_fails_the_audit_and_says_why() {
        let mut audit = Audit::new();
        audit.check("late_p99", Unit::Time, Some(3_000.0), 8_000.0, "ticks");
        audit.check("socket_drops", Unit::Share, None, 0.0, "datagrams");
        assert!(audit.ok && audit.reasons().next().is_none());
        audit.check("thread_cpu", Unit::Share, Some(0.97), 0.9, "the busiest thread");
        let reasons: Vec<String> = audit.reasons().collect();
        assert_eq!((audit.ok, reasons.len()), (false, 1));
        assert_eq!(reasons[0], "thread_cpu: 97.0 %, at most 90.0 % (the busiest thread)");
        audit.check("nan", Unit::Count, Some(f64::NAN), 1.0, "");
        assert!(!audit.checks[3].ok);
    }
}
