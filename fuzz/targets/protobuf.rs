#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oncewise::fuzzing::run("protobuf", bytes));
