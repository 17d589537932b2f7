//! The names in a certificate and its last day, read from its DER.
//!
//! rustls compares both but neither lists all names nor knows gRPC's leniency, and tells the last
//! day of a certificate only once it is over. This reads just enough: the validity, the subject's
//! common name and the subjectAltName extension. Malformed input gives less, never a panic.

use std::fmt;
use std::net::IpAddr;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Whom a certificate is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// DNS names and IP addresses of subjectAltName, as text.
    pub alternative: Vec<String>,
    /// The subject's common name.
    pub common: Option<String>,
}

impl Names {
    /// What the certificate holds; nothing for bytes that are none.
    pub fn of(certificate: &[u8]) -> Self {
        Self::read(certificate).unwrap_or_default()
    }

    fn read(certificate: &[u8]) -> Option<Self> {
        let fields = fields(certificate)?;
        let subject = fields.get(4)?.1;
        let extensions = fields.iter().find(|(tag, _)| *tag == EXTENSIONS);
        Some(Self {
            alternative: extensions.map_or_else(Vec::new, |(_, body)| alternative(body)),
            common: common(subject),
        })
    }

    /// gRPC accepts more than RFC 6125 (measured), and Ray's own certificates rely on it: an IP
    /// address written as a DNS name, and the common name where there are no alternative names.
    pub fn grpc_accepts(&self, host: &str) -> bool {
        match &self.common {
            Some(name) if self.alternative.is_empty() => matches(name, host),
            _ => host.parse::<IpAddr>().is_ok() && self.alternative.iter().any(|n| n == host),
        }
    }

    /// For people.
    pub fn list(&self) -> String {
        let all: Vec<&str> = self
            .alternative
            .iter()
            .map(String::as_str)
            .chain(
                self.common
                    .as_deref()
                    .filter(|_| self.alternative.is_empty()),
            )
            .collect();
        match all.as_slice() {
            [] => "no name at all".to_owned(),
            all => match all.split_at_checked(12) {
                Some((few, more)) if !more.is_empty() => {
                    format!("{} and {} more", few.join(", "), more.len())
                }
                _ => all.join(", "),
            },
        }
    }
}

/// When a certificate's validity ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    year: i64,
    month: i64,
    day: i64,
    second: i64,
}

impl Expiry {
    /// The end of the certificate's validity; None for bytes that are none.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let fields = fields(certificate)?;
        let (tag, text) = Der(fields.get(3)?.1).nth(1)?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let (year, rest) = match tag {
            GENERALIZED_TIME => text.split_at_checked(4)?,
            UTC_TIME => text.split_at_checked(2)?,
            _ => return None,
        };
        let year = match (tag, number(year)?) {
            // RFC 5280: the two digits of a UTCTime stand for 1950 to 2049.
            (UTC_TIME, year @ 0..50) => 2000 + year,
            (UTC_TIME, year) => 1900 + year,
            (_, year) => year,
        };
        let part = |at: usize| number(rest.get(at..at + 2)?);
        let second = part(4)? * 3600 + part(6)? * 60 + part(8)?;
        let (month, day) = (part(0)?, part(2)?);
        Some(Self {
            year,
            month,
            day,
            second,
        })
    }

    /// In seconds since the epoch, by the Gregorian calendar.
    pub fn epoch(&self) -> i64 {
        // Years that begin in March, so that a leap day is a year's last.
        let year = self.year - i64::from(self.month <= 2);
        let days_before_month = (153 * ((self.month + 9) % 12) + 2) / 5;
        let days = 365 * year + year.div_euclid(4) - year.div_euclid(100)
            + year.div_euclid(400)
            + days_before_month
            + self.day
            - 719_469;
        days * 86_400 + self.second
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

/// Serial, algorithm, issuer, validity, subject, key, then what is optional.
fn fields(certificate: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let tbs = Der(Der(certificate).content(SEQUENCE)?).content(SEQUENCE)?;
    let mut fields: Vec<(u8, &[u8])> = Der(tbs).collect();
    if fields.first()?.0 == VERSION {
        fields.remove(0);
    }
    Some(fields)
}

/// A name or `*.rest`, without regard to case.
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

fn alternative(extensions: &[u8]) -> Vec<String> {
    let list = Der(extensions).content(SEQUENCE).unwrap_or_default();
    Der(list)
        .filter(|(_, extension)| Der(extension).content(OID) == Some(&SUBJECT_ALT_NAME[..]))
        .filter_map(|(_, extension)| Der(extension).find(|(tag, _)| *tag == OCTETS))
        .filter_map(|(_, octets)| Der(octets).content(SEQUENCE))
        .flat_map(|names| Der(names).filter_map(|(tag, name)| general_name(tag, name)))
        .collect()
}

fn general_name(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => readable(name),
        IP_ADDRESS => {
            let v4 = <[u8; 4]>::try_from(name).map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(name).map(IpAddr::from);
            v4.or_else(|_| v6()).ok().map(|ip| ip.to_string())
        }
        _ => None,
    }
}

fn common(subject: &[u8]) -> Option<String> {
    Der(subject)
        .flat_map(|(_, set)| Der(set))
        .filter(|(_, pair)| Der(pair).content(OID) == Some(&COMMON_NAME[..]))
        .find_map(|(_, pair)| Der(pair).nth(1).and_then(|(_, name)| readable(name)))
}

/// Printable and short, so that a stranger's certificate cannot write into our logs.
fn readable(name: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(name).ok()?;
    let fits = !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// The elements of a DER value, one after the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the first element, if it has this tag.
    fn content(mut self, tag: u8) -> Option<&'a [u8]> {
        self.next()
            .filter(|(found, _)| *found == tag)
            .map(|(_, body)| body)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (body, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, body))
    }
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
            let read = Expiry::of(params.self_signed(&key)?.der());
            assert_eq!(read.map(|expiry| expiry.epoch()), Some(epoch));
            let shown = read.map(|expiry| expiry.to_string());
            assert_eq!(shown, Some(format!("{year}-{month:02}-{day:02}")));
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
            let _ = Expiry::of(&bytes).map(|expiry| expiry.epoch());
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
                let _ = Expiry::of(&der).map(|expiry| expiry.epoch());
            }
        }
    }
}
