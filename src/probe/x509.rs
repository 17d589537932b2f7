//! The names in a certificate and its last day.
//!
//! rustls compares both, but neither lists all names nor makes gRPC's exceptions, and it reports the
//! last day of a certificate only after it is over.

use std::net::IpAddr;
use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The hosts that a certificate is issued for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// DNS names and IP addresses of subjectAltName, as text.
    pub alternative: Vec<String>,
    /// The subject's common name.
    pub common: Option<String>,
}

impl Names {
    /// Reads a certificate in DER. There are no names in bytes that are not one.
    pub fn of(certificate: &[u8]) -> Self {
        Self::read(certificate).unwrap_or_default()
    }

    fn read(certificate: &[u8]) -> x509_cert::der::Result<Self> {
        let certificate = Certificate::from_der(certificate)?;
        let body = certificate.tbs_certificate();
        // An extension that cannot be read is an error: the common name must not replace it.
        let names = body.get_extension::<SubjectAltName>()?;
        let common = body.subject().common_name().ok().flatten();
        Ok(Self {
            alternative: names.map_or_else(Vec::new, |(_, SubjectAltName(names))| {
                names.iter().filter_map(general_name).collect()
            }),
            common: common.and_then(|name| readable(&name.value())),
        })
    }

    /// Whether gRPC accepts these names for `host` where RFC 6125 does not (measured): an IP address
    /// written as a DNS name, or the common name where there are no alternative names. Ray's own
    /// certificates depend on it.
    pub fn grpc_accepts(&self, host: &str) -> bool {
        match &self.common {
            Some(name) if self.alternative.is_empty() => matches(name, host),
            _ => host.parse::<IpAddr>().is_ok() && self.alternative.iter().any(|n| n == host),
        }
    }

    /// The names for messages: at most twelve, and how many more there are.
    pub fn list(&self) -> String {
        let all: Vec<&str> = match &self.common {
            Some(name) if self.alternative.is_empty() => vec![name],
            _ => self.alternative.iter().map(String::as_str).collect(),
        };
        match all.split_at_checked(12) {
            _ if all.is_empty() => "no name at all".to_owned(),
            Some((few, more)) if !more.is_empty() => {
                format!("{} and {} more", few.join(", "), more.len())
            }
            _ => all.join(", "),
        }
    }
}

/// The last day of a certificate (`2026-11-21`) and the end of its validity since the epoch, or
/// `None` for bytes that are not a certificate.
pub(super) fn expiry(certificate: &[u8]) -> Option<(String, Duration)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate
        .tbs_certificate()
        .validity()
        .not_after
        .to_date_time();
    let day = format!("{:04}-{:02}-{:02}", end.year(), end.month(), end.day());
    Some((day, end.unix_duration()))
}

/// Whether `name`, or `*.rest`, is `host`, in any case.
fn matches(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    let parent = host
        .split_once('.')
        .filter(|_| host.parse::<IpAddr>().is_err());
    match (name.strip_prefix("*."), parent) {
        (Some(rest), Some((_, parent))) => rest == parent,
        _ => name == host,
    }
}

fn general_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => readable(name.as_str()),
        GeneralName::IpAddress(ip) => {
            let v4 = <[u8; 4]>::try_from(ip.as_bytes()).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(ip.as_bytes()).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

/// `name` if it is short and printable: a foreign certificate must not be able to forge log lines.
fn readable(name: &str) -> Option<String> {
    let fits = !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(alternative: &[&str], common: Option<&str>) -> Names {
        Names {
            alternative: alternative.iter().map(|name| (*name).to_owned()).collect(),
            common: common.map(str::to_owned),
        }
    }

    #[test]
    fn names_are_read_from_a_real_certificate() -> Result<(), rcgen::Error> {
        let names = ["head", "127.0.0.1", "::1"].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names)?;
        let read = Names::of(made.cert.der());
        assert_eq!(read.alternative, ["head", "127.0.0.1", "::1"]);
        assert_eq!(read.common.as_deref(), Some("rcgen self signed cert"));
        assert_eq!(read.list(), "head, 127.0.0.1, ::1");
        Ok(())
    }

    #[test]
    fn the_last_day_is_read_in_both_notations() -> Result<(), rcgen::Error> {
        let key = rcgen::KeyPair::generate()?;
        for (year, month, day, epoch) in [
            (1970, 1, 1, 0),
            (1999, 12, 31, 946_598_400),
            (2000, 2, 29, 951_782_400),
            (2026, 11, 21, 1_795_219_200),
            // From here on a GeneralizedTime.
            (2050, 1, 1, 2_524_608_000),
            (4096, 1, 1, 67_090_118_400),
        ] {
            let mut params = rcgen::CertificateParams::default();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            let read = expiry(params.self_signed(&key)?.der());
            let shown = format!("{year}-{month:02}-{day:02}");
            assert_eq!(read, Some((shown, Duration::from_secs(epoch))));
        }
        Ok(())
    }

    #[test]
    fn leniency_is_that_of_grpc() {
        assert!(names(&["10.0.0.1"], None).grpc_accepts("10.0.0.1"));
        assert!(names(&[], Some("10.0.0.1")).grpc_accepts("10.0.0.1"));
        assert!(!names(&["head"], Some("10.0.0.1")).grpc_accepts("10.0.0.1"));
        assert!(!names(&[], Some("*.0.0.1")).grpc_accepts("10.0.0.1"));
        assert!(names(&[], Some("*.Ray.local")).grpc_accepts("head.ray.local"));
        assert!(!names(&["other"], Some("head")).grpc_accepts("head"));
        assert!(!names(&[], Some("*.local")).grpc_accepts("a.b.local"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Names::of(&bytes).list();
            let _ = expiry(&bytes);
        }

        #[test]
        fn a_damaged_certificate_is_survived(at in 0usize..300, byte in any::<u8>()) {
            let made = rcgen::generate_simple_self_signed(["head".to_owned()]);
            if let Ok(made) = made {
                let mut der = made.cert.der().to_vec();
                if let Some(spot) = der.get_mut(at) {
                    *spot = byte;
                }
                let _ = Names::of(&der).list();
                let _ = expiry(&der);
            }
        }
    }
}
