//! Durations and sizes as people write them.

use std::time::Duration;

/// What can be counted in milliseconds and added to a clock without overflow.
const DURATIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(3650 * 86_400);

/// `30s`, `250ms`, `8d`, `1h 30m`: from a millisecond to ten years.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok().filter(|duration| DURATIONS.contains(duration))
}

/// The shortest way to write a duration that [`duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace("days", "d").replace("day", "d")
}

/// Bytes: `1048576`, `64MiB`, `1 GB`. Units are B, kB, MB, GB, KiB, MiB and GiB in any case.
pub(crate) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A size in the largest binary unit that divides it.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size(" 10 mb "), Some(10_000_000));
        assert_eq!(size("4096"), Some(4096));
        assert_eq!([size("MiB"), size("-1"), size("1.5MB"), size("1XB"), size("99999999999GiB")], [None; 5]);
    }

    #[test]
    fn durations_stay_where_clocks_can_add_them() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("8d"), Some(Duration::from_secs(8 * 86_400)));
        assert_eq!([duration("0s"), duration("30"), duration("soon"), duration("100000y")], [None; 4]);
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["8d", "1d", "1h 30m", "250ms", "5m"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["64MiB", "1KiB", "1000", "0", "3GiB"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }
}
