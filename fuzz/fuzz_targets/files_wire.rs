#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| switchboard::fuzz::files_wire(input));
