//! What the system says of this process as a whole: what no part of it can count for itself.

/// Bytes of memory that the process has just now, as the system counts them; 0 where it cannot be told.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_written_to_is_resident() {
        const BYTES: usize = 64 << 20;
        let before = resident_bytes();
        let written = std::hint::black_box(vec![1_u8; BYTES]);
        let after = resident_bytes();
        assert!(before > 0 && after > before + written.len() as u64 / 2, "{before}, then {after}");
    }
}
