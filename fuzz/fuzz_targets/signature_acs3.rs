//! See `signature_acs3` in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| portcullis_fuzz::signature_acs3(data));
