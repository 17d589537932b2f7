//! Any text as an address: no panic, what parses is shown as itself, nothing forges a log line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seedcore_ray::address::{RayAddress, host_in, redact};

fuzz_target!(|text: &str| {
    let shown = redact(text);
    assert!(shown.chars().count() <= 200 && !shown.contains(char::is_control));
    let host = host_in(text);
    match RayAddress::parse(text) {
        Ok(address) => {
            let shown = address.to_string();
            assert_eq!(redact(&shown), shown, "an address holds no secret");
            assert_eq!(host, address.host_port().map(|at| at.host.clone()));
            assert_eq!(RayAddress::parse(&shown), Ok(address));
        }
        Err(error) => {
            for line in [&error.address, &error.message, &error.hint] {
                assert!(!line.contains(char::is_control));
            }
        }
    }
    // Whatever stands before an @ that is not the host's is a secret.
    const SECRET: &str = "S3CRET";
    if !text.contains(SECRET) && !text.is_empty() {
        let with = format!("ray://user:{SECRET}@{text}");
        assert!(!redact(&with).contains(SECRET));
        assert!(!format!("{:?}", RayAddress::parse(&with)).contains(SECRET));
    }
});
