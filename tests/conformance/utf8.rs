//! The byte strings of section 6, and whether each is UTF-8 (RFC 3629).
//!
//! They go back to Markus Kuhn's stress test for decoders. Whether one is valid is written down
//! here and computed nowhere, so that no decoder is asked about itself.

/// Byte strings with one thing in common.
pub struct Sequences {
    /// Second part of the numbers.
    pub group: u8,
    pub title: &'static str,
    /// Each with whether it is valid.
    pub list: fn() -> Vec<(bool, Vec<u8>)>,
}

const fn group(group: u8, title: &'static str, list: fn() -> Vec<(bool, Vec<u8>)>) -> Sequences {
    Sequences { group, title, list }
}

/// Sections 6.5 to 6.23.
pub const TABLE: &[Sequences] = &[
    group(5, "valid", || {
        valid(&[
            b"hello\x24world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            "κ\u{1f79}σμε".as_bytes(),
        ])
    }),
    group(6, "begun", prefixes),
    group(7, "first of its length", || {
        valid(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"])
    }),
    group(8, "first of five and six bytes", || {
        invalid(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"])
    }),
    group(9, "last of its length", || {
        valid(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"])
    }),
    group(10, "last of four, five and six bytes", || {
        invalid(&[
            b"\xf7\xbf\xbf\xbf",
            b"\xfb\xbf\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf\xbf",
        ])
    }),
    group(11, "at a boundary", || {
        let mut list = valid(&[
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
            b"\xef\xbf\xbd",
            b"\xf4\x8f\xbf\xbf",
        ]);
        list.extend(invalid(&[b"\xf4\x90\x80\x80"]));
        list
    }),
    group(12, "continuations of nothing", continuations),
    group(13, "characters only begun", lonely_starts),
    group(14, "last byte missing", || invalid(CUT)),
    group(15, "all of those, one behind the other", || {
        invalid(&[&CUT.concat()])
    }),
    group(16, "bytes that no text has", || {
        invalid(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"])
    }),
    group(17, "overlong slash", || {
        invalid(&[
            b"\xc0\xaf",
            b"\xe0\x80\xaf",
            b"\xf0\x80\x80\xaf",
            b"\xf8\x80\x80\x80\xaf",
            b"\xfc\x80\x80\x80\x80\xaf",
        ])
    }),
    group(18, "largest overlong", || {
        invalid(&[
            b"\xc1\xbf",
            b"\xe0\x9f\xbf",
            b"\xf0\x8f\xbf\xbf",
            b"\xf8\x87\xbf\xbf\xbf",
            b"\xfc\x83\xbf\xbf\xbf\xbf",
        ])
    }),
    group(19, "overlong NUL", || {
        invalid(&[
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf8\x80\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80\x80",
        ])
    }),
    group(20, "one surrogate", || {
        invalid(&[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ])
    }),
    group(21, "two surrogates", surrogate_pairs),
    group(22, "no characters, and yet valid", non_characters),
    group(23, "special characters", || {
        valid(&[
            b"\xef\xbf\xb9",
            b"\xef\xbf\xba",
            b"\xef\xbf\xbb",
            b"\xef\xbf\xbc",
            b"\xef\xbf\xbd",
            b"\xef\xbf\xbe",
            b"\xef\xbf\xbf",
        ])
    }),
];

/// The first and the last of each length, without their last byte.
const CUT: &[&[u8]] = &[
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];

fn valid(list: &[&[u8]]) -> Vec<(bool, Vec<u8>)> {
    list.iter().map(|bytes| (true, bytes.to_vec())).collect()
}

fn invalid(list: &[&[u8]]) -> Vec<(bool, Vec<u8>)> {
    list.iter().map(|bytes| (false, bytes.to_vec())).collect()
}

/// Every beginning of a Greek word of 11 bytes; characters end at 2, 5, 7, 9 and 11.
fn prefixes() -> Vec<(bool, Vec<u8>)> {
    let word = "κ\u{1f79}σμε".as_bytes();
    let ends = [2, 5, 7, 9, 11];
    let prefix = |length: usize| (ends.contains(&length), word[..length].to_vec());
    (1..=word.len()).map(prefix).collect()
}

fn continuations() -> Vec<(bool, Vec<u8>)> {
    let mut list = invalid(&[b"\x80", b"\xbf"]);
    for length in 2..=6 {
        let both = [0x80, 0xbf].into_iter().cycle();
        list.push((false, both.take(length).collect()));
    }
    list.push((false, (0x80..0xbf).collect()));
    list
}

/// For each length the bytes that begin a character, with spaces between.
fn lonely_starts() -> Vec<(bool, Vec<u8>)> {
    let ranges = [
        0xc0..0xdf,
        0xe0..0xef,
        0xf0..0xf7,
        0xf8..0xfb,
        0xfc..0xfd_u8,
    ];
    let spaced = ranges.map(|range| (false, range.flat_map(|byte| [byte, b' ']).collect()));
    spaced.into()
}

fn surrogate_pairs() -> Vec<(bool, Vec<u8>)> {
    let mut list = Vec::new();
    for high in [[0xa0, 0x80], [0xad, 0xbf], [0xae, 0x80], [0xaf, 0xbf]] {
        for low in [[0xb0, 0x80], [0xbf, 0xbf]] {
            let pair = [0xed, high[0], high[1], 0xed, low[0], low[1]];
            list.push((false, pair.to_vec()));
        }
    }
    list
}

/// The last two code points of each plane.
fn non_characters() -> Vec<(bool, Vec<u8>)> {
    let mut list = valid(&[b"\xef\xbf\xbe", b"\xef\xbf\xbf"]);
    for first in 0xf0..=0xf4_u8 {
        for second in [0x8f, 0x9f, 0xaf, 0xbf] {
            let is_overlong = first == 0xf0 && second == 0x8f;
            let is_beyond = first == 0xf4 && second != 0x8f;
            if !is_overlong && !is_beyond {
                for last in [0xbe, 0xbf] {
                    list.push((true, vec![first, second, 0xbf, last]));
                }
            }
        }
    }
    list
}
