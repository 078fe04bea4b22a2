//! What is looked at before a record is decoded: a decoder may need many times what it is given. Pure.

use crate::{Record, config::WorkerSettings};

/// The largest records that are decoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of key, value and headers together.
    bytes: u64,
    headers: usize,
}

impl Limits {
    pub(crate) fn of(settings: &WorkerSettings) -> Self {
        Self { bytes: settings.max_record_bytes, headers: settings.max_headers }
    }

    /// Why a record is not decoded, with the key that says so.
    pub(super) fn excess(&self, record: &Record) -> Option<String> {
        let headers = record.headers.len();
        if headers > self.headers {
            return Some(format!("it has {headers} headers; `worker.max_headers` allows {}", self.headers));
        }
        let bytes = bytes(record);
        (bytes > self.bytes)
            .then(|| format!("it has {bytes} bytes; `worker.max_record_bytes` allows {}", self.bytes))
    }
}

fn bytes(record: &Record) -> u64 {
    let length = |part: Option<&bytes::Bytes>| part.map_or(0, bytes::Bytes::len);
    let headers = record.headers.iter().map(|header| header.name.len() + length(header.value.as_ref()));
    (length(record.key.as_ref()) + length(record.value.as_ref()) + headers.sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Header;

    #[test]
    fn everything_counts_and_the_limit_itself_is_allowed() {
        let record = Record {
            key: Some("key".into()),
            value: Some("value".into()),
            headers: vec![Header::text("name", "text"), Header { name: "null".into(), value: None }],
            ..crate::testing::record()
        };
        let excess = |bytes, headers| Limits { bytes, headers }.excess(&record);
        assert_eq!(excess(20, 2), None);
        let large = "it has 20 bytes; `worker.max_record_bytes` allows 19";
        assert_eq!(excess(19, 2).as_deref(), Some(large));
        let many = "it has 2 headers; `worker.max_headers` allows 1";
        assert_eq!(excess(20, 1).as_deref(), Some(many));
    }
}
