//! What holds for any address, however odd.

use proptest::prelude::*;
use seedcore_ray::address::{RayAddress, host_in, redact};

/// At least 2000 inputs; `PROPTEST_CASES` asks for more (`make soak`).
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.max(2000),
        ..asked
    }
}

/// Text made of the pieces that addresses are made of, in any order.
fn address_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("ray://".to_owned()),
        Just("http://".to_owned()),
        Just("[::1]".to_owned()),
        Just("%40".to_owned()),
        Just("auto".to_owned()),
        "[:@/?#=&\\[\\]%. \"'\n\\-_$\\\\]",
        "[0-9]{1,6}",
        "[a-z][a-z0-9-]{0,8}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
}

fn right_address() -> impl Strategy<Value = String> {
    let name = "[a-zA-Z0-9_]{1,12}([-][a-z0-9]{1,5}){0,2}([.][a-z]{1,8}){0,3}[.]?";
    let ipv6 = any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]"));
    let ipv4 = any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string());
    let host = prop_oneof![name.boxed(), ipv6.boxed(), ipv4.boxed()];
    (any::<bool>(), host, 1..=u16::MAX).prop_map(|(client, host, port)| {
        format!("{}{host}:{port}", if client { "ray://" } else { "" })
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_panics(text in any::<String>()) {
        let _ = RayAddress::parse(&text);
        let _ = host_in(&text);
        prop_assert!(redact(&text).chars().count() <= 200);
    }

    #[test]
    fn what_parses_is_shown_as_itself(text in address_like()) {
        if let Ok(address) = RayAddress::parse(&text) {
            prop_assert_eq!(RayAddress::parse(&address.to_string()), Ok(address.clone()));
            prop_assert_eq!(redact(&address.to_string()), address.to_string());
            let host = address.host_port().map(|at| at.host.clone());
            prop_assert_eq!(host_in(&text), host);
        }
    }

    #[test]
    fn right_addresses_are_accepted(text in right_address()) {
        let address = RayAddress::parse(&text);
        prop_assert!(address.is_ok(), "{:?}", address);
        let shown = address.map(|a| a.to_string()).unwrap_or_default();
        prop_assert_eq!(RayAddress::parse(&shown).map(|a| a.to_string()), Ok(shown));
    }

    #[test]
    fn refusals_are_one_line_and_show_a_right_address(text in address_like()) {
        if let Err(error) = RayAddress::parse(&text) {
            for line in [&error.address, &error.message, &error.hint] {
                prop_assert!(!line.contains(char::is_control), "{:?}", line);
            }
            // The last thing in backquotes is the example.
            let example = error.message.rsplit('`').nth(1).unwrap_or_default();
            prop_assert!(RayAddress::parse(example).is_ok(), "{}", error.message);
        }
    }

    #[test]
    fn no_secret_survives(
        scheme in prop_oneof!["", "ray://", "http://", "RAY://", "x y://", "ray:/"],
        user in "[a-z]{0,5}",
        noise in "[!#$&*+,/:;?@\\[\\] =\n-]{0,6}",
        at in prop_oneof![Just("@"), Just("%40")],
        host in "[a-z]{1,5}(:[0-9]{1,6})?(/[a-z]{1,3})?",
    ) {
        let secret = "S3CRET";
        for text in [
            format!("{scheme}{user}:{secret}{noise}{at}{host}"),
            format!("{scheme}{user}:{noise}{secret}{at}{host}"),
            format!("{scheme}{secret}{noise}{at}{host}"),
            format!("{scheme}{host}?{user}={noise}{secret}"),
            format!("{scheme}{host}?{user}={secret}{noise}"),
            format!("{scheme}{host}/{user}={secret}{noise}"),
            format!("{user}={secret}://{host}"),
            format!("{scheme}{host}#{secret}{noise}"),
        ] {
            prop_assert!(!redact(&text).contains(secret), "{:?}", text);
            let error = RayAddress::parse(&text).err();
            prop_assert!(error.is_some(), "{:?} was accepted", text);
            prop_assert!(!format!("{error:?}").contains(secret), "{:?}: {:?}", text, error);
        }
    }
}
