//! Numbers as people read them, in few characters.

/// Microseconds: "412 us", "1.52 ms", "23.4 ms", "1.2 s".
pub fn ms(us: f64) -> String {
    match us {
        us if us < 9.95 => format!("{us:.1} us"),
        us if us < 999.5 => format!("{us:.0} us"),
        us if us < 9_995.0 => format!("{:.2} ms", us / 1e3),
        us if us < 99_950.0 => format!("{:.1} ms", us / 1e3),
        us if us < 999_500.0 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// A number with at most three digits: "7", "950", "1.2k", "34M".
pub fn short(value: f64) -> String {
    let mut value = value;
    for unit in ["", "k", "M", "G"] {
        if value < 999.5 {
            let digits = usize::from(value < 9.95 && !unit.is_empty());
            return format!("{value:.digits$}{unit}");
        }
        value /= 1e3;
    }
    format!("{value:.1}T")
}

/// A rate: "0.4", "17", "1.2k".
pub fn rate(value: f64) -> String {
    if value > 0.0 && value < 9.95 { format!("{value:.1}") } else { short(value) }
}

/// Seconds: "12 s", "4:05", "3:04:05", "2d 03:04".
pub fn clock(seconds: f64) -> String {
    let s = seconds as u64;
    let (minutes, hours, days) = (s / 60, s / 3_600, s / 86_400);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{minutes}:{:02}", s % 60),
        3_600..86_400 => format!("{hours}:{:02}:{:02}", minutes % 60, s % 60),
        _ => format!("{days}d {:02}:{:02}", hours % 24, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits() {
        let told = [0.0, 9.94, 9.96, 412.0, 999.6, 1_523.0, 23_400.0, 99_960.0, 1_234_567.0].map(ms);
        let expected =
            ["0.0 us", "9.9 us", "10 us", "412 us", "1.00 ms", "1.52 ms", "23.4 ms", "100 ms", "1.2 s"];
        assert_eq!(told, expected);
    }

    #[test]
    fn numbers_are_short() {
        let told = [0.0, 7.0, 950.0, 999.6, 1_240.0, 34_000_000.0, 2.5e12].map(short);
        assert_eq!(told, ["0", "7", "950", "1.0k", "1.2k", "34M", "2.5T"]);
        assert_eq!([0.0, 0.44, 17.0].map(rate), ["0", "0.4", "17"]);
    }

    #[test]
    fn clocks_grow_with_the_time() {
        let told = [12.9, 245.0, 11_045.0, 183_840.0].map(clock);
        assert_eq!(told, ["12 s", "4:05", "3:04:05", "2d 03:04"]);
    }
}
