//! Records and headers, byte for byte.
//!
//! The client library reads header names as text and panics on those that are not UTF-8: one such record
//! would kill its reader for ever. Hence the one place that speaks to the C library itself.
#![expect(unsafe_code, reason = "the safe interface panics on header names that are not UTF-8")]

use std::{
    ffi::{CStr, c_void},
    ptr, slice,
    sync::Arc,
};

use bytes::Bytes;
use rdkafka::{
    bindings::{
        rd_kafka_header_add, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_message_headers,
        rd_kafka_message_t, rd_kafka_message_timestamp, rd_kafka_timestamp_type_t,
    },
    error::IsError,
    message::{BorrowedMessage, OwnedHeaders},
};

use crate::{Header, Record};

/// Copies a record out of the library's buffers: a held message would pin its whole fetch.
pub(crate) fn record_of(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    // SAFETY: the message is borrowed for as long as this runs, and only used by this thread.
    unsafe { copied(message.ptr(), topic) }
}

/// The same of one that the library has just handed over.
///
/// # Safety
/// It must be a message of the library's without an error, and nobody else may use it meanwhile.
pub(super) unsafe fn copied(message: *const rd_kafka_message_t, topic: &Arc<str>) -> Record {
    let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is the library's, as the caller promises; `kind` is only written to.
    let (of, time) = unsafe { (&*message, rd_kafka_message_timestamp(message, &raw mut kind)) };
    let has_time = kind != rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time != -1;
    Record {
        topic: Arc::clone(topic),
        partition: of.partition,
        offset: of.offset,
        timestamp: has_time.then_some(time),
        // SAFETY: as the caller promises.
        key: unsafe { part(of.key, of.key_len) }.map(Bytes::copy_from_slice),
        // SAFETY: as the caller promises.
        value: unsafe { part(of.payload, of.len) }.map(Bytes::copy_from_slice),
        // SAFETY: as the caller promises.
        headers: unsafe { read(message) },
    }
}

/// # Safety
/// What is not null must point to so many bytes, which stay for as long as the answer.
unsafe fn part<'a>(at: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!at.is_null()).then(|| unsafe { slice::from_raw_parts(at.cast(), length) })
}

/// All headers of a message, in order. A name that holds a zero byte is read up to it: the library tells no
/// length of names.
///
/// # Safety
/// As of [`copied`].
unsafe fn read(message: *const rd_kafka_message_t) -> Vec<Header> {
    let mut native = ptr::null_mut();
    // SAFETY: the message is the library's; `native` is only written to.
    let answer = unsafe { rd_kafka_message_headers(message, &raw mut native) };
    if answer.is_error() || native.is_null() {
        return Vec::new();
    }
    let mut headers = Vec::new();
    // SAFETY: the list belongs to the message, which outlives this call, and nobody else uses it meanwhile.
    while let Some(header) = unsafe { header_at(native, headers.len()) } {
        headers.push(header);
    }
    headers
}

/// The header at `index`, or none beyond the last.
///
/// # Safety
/// `list` must be a valid list of headers that nobody changes meanwhile.
unsafe fn header_at(list: *const rd_kafka_headers_t, index: usize) -> Option<Header> {
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: `list` is valid as the caller promises; the three others are only written to.
    let answer =
        unsafe { rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut length) };
    if answer.is_error() {
        return None;
    }
    // SAFETY: the library ends every name with a zero byte and keeps it as long as the list.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    // SAFETY: a value that is not null points to `length` bytes, kept as long as the list.
    let value = (!value.is_null()).then(|| unsafe { slice::from_raw_parts(value.cast::<u8>(), length) });
    Some(Header { name: Bytes::copy_from_slice(name), value: value.map(Bytes::copy_from_slice) })
}

/// Headers for a producer, in the same order.
pub(crate) fn write(headers: &[Header]) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    let list = ptr::from_ref(owned.as_borrowed()).cast::<rd_kafka_headers_t>().cast_mut();
    for Header { name, value } in headers {
        let (bytes, length) = value.as_ref().map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len()));
        // SAFETY: `as_borrowed` hands out the native list's own pointer under another type, and `owned` was
        // made here, so nobody else reads it. Lengths of slices fit `isize`. The library copies name and
        // value before it returns; a dangling pointer of an empty slice is not read from. The only answer
        // is success.
        unsafe {
            rd_kafka_header_add(
                list,
                name.as_ptr().cast(),
                name.len().cast_signed(),
                bytes.cast(),
                length.cast_signed(),
            );
        }
    }
    owned
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::{
        Offset, TopicPartitionList,
        consumer::{BaseConsumer, Consumer},
        producer::{BaseProducer, BaseRecord, Producer},
    };

    use super::*;
    use crate::kafka::{EmbeddedBroker, KafkaClient};

    const LONG: Duration = Duration::from_secs(30);

    /// Sends through one client and reads with another, over the wire.
    fn round_trip(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header]) -> Record {
        let broker = EmbeddedBroker::start(&[("things", 1)]).expect("a broker");
        let client = KafkaClient::new(broker.brokers());
        let producer: BaseProducer = client.producer(LONG).create().expect("a producer");
        let mut record =
            BaseRecord::<[u8], [u8]>::to("things").partition(0).timestamp(1234).headers(write(headers));
        record.key = key;
        record.payload = value;
        producer.send(record).expect("queued");
        producer.flush(LONG).expect("flushed");
        let consumer: BaseConsumer = client.consumer("readers").create().expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset("things", 0, Offset::Beginning).expect("added");
        consumer.assign(&assignment).expect("assigned");
        let message = consumer.poll(LONG).expect("a record").expect("no error");
        record_of(&message, &Arc::from("things"))
    }

    fn header(name: &'static [u8], value: Option<&'static [u8]>) -> Header {
        Header { name: Bytes::from_static(name), value: value.map(Bytes::from_static) }
    }

    #[test]
    fn every_byte_survives() {
        let headers = [
            header(b"plain", Some(b"text")),
            header(b"\xff\xfe", Some(b"\x00\xff\x00")),
            header(b"null", None),
            header(b"empty", Some(b"")),
            header(b"", Some(b"nameless")),
            header(b"plain", Some(b"again")),
        ];
        let record = round_trip(Some(b"\x00key"), Some(b"\xc3\x28"), &headers);
        assert_eq!(record.headers, headers);
        assert_eq!(record.key.as_deref(), Some(&b"\x00key"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"\xc3\x28"[..]));
        assert_eq!((record.partition, record.offset, record.timestamp), (0, 0, Some(1234)));
    }

    #[test]
    fn null_and_empty_differ() {
        let record = round_trip(None, None, &[]);
        assert_eq!((record.key, record.value, record.headers), (None, None, vec![]));
        let record = round_trip(Some(b""), Some(b""), &[]);
        assert_eq!((record.key, record.value), (Some(Bytes::new()), Some(Bytes::new())));
    }

    #[test]
    fn ten_thousand_headers() {
        let headers: Vec<_> = (0..10_000).map(|n: u32| Header::text("n", n.to_be_bytes().to_vec())).collect();
        assert_eq!(round_trip(None, None, &headers).headers, headers);
    }
}
