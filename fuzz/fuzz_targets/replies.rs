//! Any bytes as each of the replies that a Ray head may give.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| seedcore_ray::probe::fuzz_replies(bytes));
