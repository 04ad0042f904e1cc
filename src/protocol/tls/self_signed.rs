//! A pair of our own making, for development: nobody vouches for it.
//!
//! May not touch: files; the caller keeps it. Its key is of the system's randomness, like all keys.

use std::net::IpAddr;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};

use crate::base::clock::Wall;
use crate::protocol::tls::pair::Pair;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How long one is valid. Apple's systems refuse a server's certificate of more than 825 days.
const LIFETIME_MS: u64 = 365 * DAY_MS;

/// How long before its end it is replaced, so that nobody meets one that has ended.
const RENEWAL_MS: u64 = 30 * DAY_MS;

/// A pair as PEM.
pub struct SelfSigned {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8, for nobody's eyes.
    pub key: String,
}

impl std::fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelfSigned")
    }
}

/// Makes a pair for `names`, host names and addresses, that is valid for a year from `now`.
///
/// # Errors
/// When a name is none, or the system has no randomness.
pub fn make(names: &[String], now: Wall) -> Result<SelfSigned, String> {
    let told = |error: rcgen::Error| format!("cannot make a certificate: {error}");
    let mut params = CertificateParams::default();
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into().map_err(told)?),
        });
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "kinglet, self-signed");
    params.distinguished_name = subject;
    // A client's clock may be behind ours.
    let (year, month, first) = day(now.as_millis().saturating_sub(DAY_MS));
    params.not_before = date_time_ymd(year, month, first);
    let (year, month, last) = day(now.as_millis().saturating_add(LIFETIME_MS));
    params.not_after = date_time_ymd(year, month, last);
    // A server must not show an authority's certificate.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from(now.as_millis()));
    let key = KeyPair::generate().map_err(told)?;
    let certificate = params.self_signed(&key).map_err(told)?;
    Ok(SelfSigned {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// Whether `pair` still serves for `names` at `now`, and will for a while.
#[must_use]
pub fn is_current(pair: &Pair, names: &[String], now: Wall) -> bool {
    let left = pair.expires().as_millis().saturating_sub(now.as_millis());
    left > RENEWAL_MS && names.iter().all(|name| pair.is_for(name))
}

/// The day of a moment: year, month, day.
fn day(at_ms: u64) -> (i32, u8, u8) {
    let text = Wall::from_millis(at_ms).to_rfc3339();
    let mut parts = text.split(['-', 'T']);
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let small = |part: Option<&str>| part.and_then(|part| part.parse().ok()).unwrap_or(1);
    let year = year.and_then(|year| year.parse().ok());
    (year.unwrap_or(1970), small(month), small(day))
}
