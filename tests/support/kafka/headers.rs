//! Headers whose names are any bytes: the client library speaks of text only, and panics where it is none.
#![expect(unsafe_code, reason = "only the C library takes and gives names as bytes")]

use std::ffi::{CStr, c_char, c_void};
use std::{ptr, slice};

use rdkafka::bindings as native;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};

/// A name and a value, which may be null.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn write(headers: &[Header]) -> OwnedHeaders {
    let owned = OwnedHeaders::new_with_capacity(headers.len());
    let list = ptr::from_ref(owned.as_borrowed()).cast::<native::rd_kafka_headers_t>().cast_mut();
    for (name, value) in headers {
        let bytes = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
        let length = value.as_ref().map_or(0, Vec::len);
        // SAFETY: `owned` is ours alone, and `as_borrowed` hands out its own pointer; both buffers are copied.
        unsafe {
            native::rd_kafka_header_add(
                list,
                name.as_ptr().cast::<c_char>(),
                name.len() as isize,
                bytes.cast::<c_void>(),
                length as isize,
            );
        }
    }
    owned
}

pub(super) fn read(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is valid while it is borrowed; a message without headers leaves `list` null.
    unsafe { native::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    let at = |index: usize| {
        let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list belongs to the message; beyond its end the answer is an error and nothing is written.
        unsafe {
            native::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut length)
        };
        // SAFETY: names end with a zero byte, and values that are not null have `length` bytes.
        let bytes = |value: *const c_void| unsafe { slice::from_raw_parts(value.cast(), length) }.to_vec();
        let name = (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_bytes().to_vec())?;
        Some((name, (!value.is_null()).then(|| bytes(value))))
    };
    if list.is_null() { Vec::new() } else { (0..).map_while(at).collect() }
}
