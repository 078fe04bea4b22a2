//! Slots of a cluster: which a key lies in, and how a node says who has them. Pure.

use std::ops::RangeInclusive;

use super::host_of;
use crate::redis::fault::fault_of;
use crate::redis::line::Line;
use crate::redis::redirect::Node;
use crate::redis::resp::{Elements, Reply};
use crate::redis::target::Target;
use crate::store::StoreFault;

pub(super) const SLOTS: usize = 16_384;

/// Slots in a row, and the node that has them.
pub(super) type Range = (RangeInclusive<u16>, Node);

/// The slot of a key: of what stands in its first braces, if anything does.
pub(in crate::redis) fn of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').map(|open| &key[open + 1..]);
    let tag = tag.and_then(|rest| Some(&rest[..rest.iter().position(|byte| *byte == b'}')?]));
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS as u16
}

/// The slot of a bucket.
pub(in crate::redis) fn of_bucket(bucket: u8) -> u16 {
    of(bucket.to_string().as_bytes())
}

/// CRC-16/XMODEM, which is what Redis Cluster uses.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// What a node answers to `CLUSTER SLOTS`.
pub(super) fn read(line: &Line, target: &Target) -> Result<Vec<Range>, StoreFault> {
    match line.replies.all().last() {
        Some(Reply::Array(all)) => {
            let own = host_of(&target.address);
            let ranges: Option<Vec<_>> = all.map(|entry| range(entry, own)).collect();
            let ranges = ranges.filter(|ranges| !ranges.is_empty());
            let none = || format!("Redis at {} is in a cluster in which nobody has slots", target.address);
            ranges.ok_or_else(|| StoreFault::unavailable(none()))
        }
        Some(Reply::Error(error)) => Err(fault_of(&target.address, error)),
        _ => Err(StoreFault::unavailable(format!(
            "Redis at {} does not say who has which slot",
            target.address
        ))),
    }
}

fn range(entry: Reply<'_>, own: &str) -> Option<Range> {
    let Reply::Array(mut fields) = entry else { return None };
    let (from, to): (u16, u16) = (number(&mut fields)?, number(&mut fields)?);
    let Reply::Array(mut node) = fields.next()? else { return None };
    // One that does not know its own name, or does not want to say it, is where it was asked.
    let host = match node.next()? {
        Reply::Text(host) if !host.is_empty() && host != b"?" => std::str::from_utf8(host).ok()?,
        _ => own,
    };
    Some((from..=to, Node { host: host.to_owned(), port: number(&mut node)? }))
}

fn number<T: std::str::FromStr>(fields: &mut Elements<'_>) -> Option<T> {
    match fields.next()? {
        Reply::Text(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_where_the_specification_says() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(of(b"foo"), 12_182);
        assert_eq!(of(b"x{foo}y{bar}"), 12_182);
        assert_ne!(of(b"x{}foo"), 12_182);
        assert_eq!(of(b"oncewise:{63}:abc"), of_bucket(63));
    }
}
