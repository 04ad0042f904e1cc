//! Bodies of answers in a coding that their reader asked for: gzip, deflate, or none.
//!
//! May not touch: which answers are coded, their headers; that is the caller's. Invariants: a body
//! comes out as it was or in the coding that is named with it; nobody is sent a coding that was not
//! asked for.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// Fewer bytes are not worth it: they fit into one packet either way.
const BYTES_MIN: usize = 1024;

/// The weight of what is asked for without one, in thousandths.
const WEIGHT_MAX: u16 = 1000;

/// A way to write a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// RFC 1952, which every client reads alike; so it comes first among equals.
    Gzip,
    /// The zlib format of RFC 1950, as RFC 9110 section 8.4.1.2 says.
    Deflate,
}

impl Coding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn encode(self, body: &[u8]) -> io::Result<Vec<u8>> {
        let level = Compression::default();
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(body)?;
                encoder.finish()
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body)?;
                encoder.finish()
            }
        }
    }
}

/// Encodes `body` as the values of Accept-Encoding ask (RFC 9110 section 12.5.3), and says what
/// Content-Encoding names; `None` and the body as it was if it is small, would not become smaller,
/// or nothing that we write was asked for. A client that refuses plain bodies gets a coded one
/// whatever its size, if it takes a coding of ours. The answer says `Vary: Accept-Encoding` either way.
#[must_use]
pub fn encode<'a>(
    accepted: impl Iterator<Item = &'a str>,
    body: Vec<u8>,
) -> (Option<&'static str>, Vec<u8>) {
    let accepted = Accepted::read(accepted);
    let Some(coding) = accepted.best() else {
        return (None, body);
    };
    let is_plain_fine = !accepted.refuses_plain();
    if body.is_empty() || (is_plain_fine && body.len() < BYTES_MIN) {
        return (None, body);
    }
    match coding.encode(&body) {
        Ok(coded) if !is_plain_fine || coded.len() < body.len() => (Some(coding.name()), coded),
        Ok(_) | Err(_) => (None, body),
    }
}

/// How much a client wants what we can write, in thousandths; `None` for what it does not name.
#[derive(Debug, Default)]
struct Accepted {
    gzip: Option<u16>,
    deflate: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    /// Reads the elements of all `values`; those that are malformed count for nothing, and of
    /// several for one coding the first counts.
    fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut accepted = Self::default();
        for element in values.flat_map(|value| value.split(',')) {
            let (name, weight) = element.split_once(';').unwrap_or((element, "q=1"));
            let Some(weight) = read_weight(weight) else {
                continue;
            };
            let place = match trim(name).to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "deflate" => &mut accepted.deflate,
                "identity" => &mut accepted.identity,
                "*" => &mut accepted.any,
                _ => continue,
            };
            place.get_or_insert(weight);
        }
        accepted
    }

    /// The coding that is wanted most, and at least as much as a plain body if that was named.
    fn best(&self) -> Option<Coding> {
        let weight = |named: Option<u16>| named.or(self.any).unwrap_or(0);
        let (gzip, deflate) = (weight(self.gzip), weight(self.deflate));
        let (coding, weight) = match deflate > gzip {
            true => (Coding::Deflate, deflate),
            false => (Coding::Gzip, gzip),
        };
        (weight > 0 && weight >= self.identity.unwrap_or(0)).then_some(coding)
    }

    /// Whether it was said that a body must not come as it is.
    fn refuses_plain(&self) -> bool {
        self.identity.or(self.any) == Some(0)
    }
}

/// The thousandths of `q=` and a number from 0 to 1 with at most three decimals (RFC 9110 section
/// 12.4.2).
fn read_weight(text: &str) -> Option<u16> {
    let number = trim(text).strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse().ok();
    let thousandths: u16 = thousandths.filter(|_| is_number)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WEIGHT_MAX),
        _ => None,
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use flate2::read::{GzDecoder, ZlibDecoder};

    use super::*;
    use crate::base::rng::Rng;

    const TEXT: &[u8] = b"the same words again and again; ";

    fn decoded(coding: Option<&str>, coded: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        match coding {
            Some("gzip") => GzDecoder::new(coded).read_to_end(&mut body).unwrap(),
            Some("deflate") => ZlibDecoder::new(coded).read_to_end(&mut body).unwrap(),
            Some(other) => unreachable!("{other} is no coding of ours"),
            None => return coded.to_vec(),
        };
        body
    }

    /// What a body becomes; it can be read back, whatever that is.
    fn coding_of(accepted: &[&str], body: &[u8]) -> Option<&'static str> {
        let (coding, coded) = encode(accepted.iter().copied(), body.to_vec());
        assert_eq!(decoded(coding, &coded), body, "{accepted:?}");
        coding
    }

    #[test]
    fn the_coding_that_is_wanted_most_is_taken() {
        let body = TEXT.repeat(100);
        let check = |accepted: &str, coding: &str| {
            let found = coding_of(&[accepted], &body).unwrap_or_default();
            assert_eq!(found, coding, "{accepted}");
        };
        check("gzip, deflate, br, zstd", "gzip");
        check("deflate, gzip", "gzip");
        check("x-gzip", "gzip");
        check("GZIP", "gzip");
        check("deflate", "deflate");
        check("gzip;q=0.5, deflate", "deflate");
        check("gzip;q=0.998,deflate;q=0.999", "deflate");
        check("gzip ; q=0.001", "gzip");
        check("gzip\t;\tQ=1.000", "gzip");
        check("*", "gzip");
        check("gzip;q=0, *", "deflate");
        check("*;q=0.5, gzip;q=0.1", "deflate");
        check("identity;q=0.5, gzip;q=0.5", "gzip");
        check("br, *;q=0, gzip", "gzip");
        check("gzip, gzip;q=0", "gzip");
        // RFC 9110 section 12.5.3.
        check("compress, gzip", "gzip");
        check("compress;q=0.5, gzip;q=1.0", "gzip");
        check("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip");
    }

    #[test]
    fn a_body_stays_plain_where_nothing_else_was_asked_for() {
        let body = TEXT.repeat(100);
        for accepted in [
            "",
            ",",
            "br",
            "compress",
            "identity",
            "gzip;q=0",
            "*;q=0",
            "gzip;q=0.0, deflate;q=0.000",
            "identity, gzip;q=0.9",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.1234",
            "gzip;q=0.5x",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;q",
            "gzip;",
            "gzip;level=9",
            "gzip;q=1;q=1",
            "gzip deflate",
            "gzipped",
        ] {
            assert_eq!(coding_of(&[accepted], &body), None, "{accepted}");
        }
        assert_eq!(coding_of(&[], &body), None);
        assert_eq!(coding_of(&["br", "gzip"], &body), Some("gzip"));
    }

    #[test]
    fn only_what_becomes_smaller_is_coded() {
        let long = TEXT.repeat(32);
        assert_eq!(long.len(), BYTES_MIN);
        assert_eq!(coding_of(&["gzip"], &long), Some("gzip"));
        assert_eq!(coding_of(&["gzip"], &long[1..]), None);
        assert_eq!(coding_of(&["gzip"], b""), None);
        let mut random = vec![0; 4096];
        Rng::from_seed(1).fill(&mut random);
        for accepted in ["gzip", "deflate"] {
            assert_eq!(coding_of(&[accepted], &random), None);
        }
    }

    #[test]
    fn who_takes_no_plain_body_gets_none() {
        let mut random = vec![0; 4096];
        Rng::from_seed(1).fill(&mut random);
        for body in [&b"short"[..], &random] {
            for accepted in ["identity;q=0, gzip", "*;q=0, gzip"] {
                assert_eq!(coding_of(&[accepted], body), Some("gzip"), "{accepted}");
            }
            let deflate = "identity;q=0, deflate";
            assert_eq!(coding_of(&[deflate], body), Some("deflate"));
            assert_eq!(coding_of(&["identity;q=0"], body), None, "nothing is left");
            assert_eq!(coding_of(&["*;q=0, identity, gzip"], body), None);
        }
        assert_eq!(coding_of(&["identity;q=0, gzip"], b""), None);
    }

    #[test]
    fn any_body_can_be_read_back() {
        for seed in 0..200 {
            let mut rng = Rng::from_seed(seed);
            let length = usize::try_from(rng.below(8000)).unwrap();
            let mut body = vec![0; length];
            rng.fill(&mut body);
            let letters = 1 + u8::try_from(rng.below(255)).unwrap();
            body.iter_mut().for_each(|byte| *byte %= letters);
            let accepted = ["gzip", "deflate"][usize::try_from(seed % 2).unwrap()];
            let coding = coding_of(&[accepted], &body);
            assert!(coding.is_none() || coding == Some(accepted), "seed {seed}");
        }
    }
}
