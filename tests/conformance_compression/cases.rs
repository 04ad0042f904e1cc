//! Sections 12 and 13 of the Autobahn test suite: echoes of compressed messages of many sizes and
//! kinds, whole and in fragments, for each way to agree.
//!
//! A row is a case of the suite, called by its number there. The texts and pictures are made up
//! here, to the same kind and about the same size; a case has fewer messages than 1,000, but each
//! has all of its kind of data pass through.

use kinglet::base::rng::Rng;
use kinglet::testkit::world::Message;
use kinglet::wire::websocket::frame::Opcode;

use crate::{ALONE, connect, received, world};

/// The sizes of messages and of their fragments in each of the cases .1 to .18; 0 is whole.
const SIZES: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (1024, 0),
    (4096, 0),
    (8192, 0),
    (16_384, 0),
    (32_768, 0),
    (65_536, 0),
    (131_072, 0),
    (8192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32_768),
];

/// The default offer of the suite's client.
const DEFAULT: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";

/// A kind of data, which messages are cut from one after the other.
struct Data {
    bytes: Vec<u8>,
    opcode: Opcode,
}

impl Data {
    fn text(text: String) -> Self {
        let (bytes, opcode) = (text.into_bytes(), Opcode::Text);
        Self { bytes, opcode }
    }

    fn binary(bytes: Vec<u8>) -> Self {
        let opcode = Opcode::Binary;
        Self { bytes, opcode }
    }
}

/// The words of a made-up language, the first ones more often.
fn word(rng: &mut Rng) -> String {
    let rank = rng.below(40) * rng.below(40);
    let mut letters = Rng::from_seed(rank + 1);
    let length = 2 + letters.below(8);
    let letter = |_| char::from(b'a' + letters.below(26) as u8);
    (0..length).map(letter).collect()
}

/// 12.1: a JSON file. ASCII, so that it may be cut anywhere.
fn json() -> Data {
    let mut rng = Rng::from_seed(121);
    let mut text = String::from("[");
    while text.len() < 194_000 {
        let (name, id, place) = (word(&mut rng), rng.next_u64(), word(&mut rng));
        let at = rng.below(100_000);
        text += &format!(
            "{{\"id\":\"{id:x}\",\"name\":\"{name}\",\"place\":\"{place}\",\"at\":{at},\"is\":true}},"
        );
    }
    Data::text(text)
}

/// 12.2: a picture without a palette, where neighbours are alike.
fn picture() -> Data {
    let mut rng = Rng::from_seed(122);
    let mut shade = 128i64;
    let pixels = (0..512 * 512).map(|_| {
        shade = (shade + rng.below(7) as i64 - 3).clamp(0, 255);
        shade as u8
    });
    Data::binary(pixels.collect())
}

/// 12.3: prose, sent as bytes.
fn prose() -> Data {
    let mut rng = Rng::from_seed(123);
    let mut text = String::new();
    while text.len() < 222_000 {
        text += &word(&mut rng);
        text.push_str(match rng.below(12) {
            0 => ".\r\n",
            1 => ", ",
            2 => "ü",
            _ => " ",
        });
    }
    Data::binary(text.into_bytes())
}

/// 12.4: a page.
fn page() -> Data {
    let mut rng = Rng::from_seed(124);
    let mut text = String::from("<!DOCTYPE html>\n");
    while text.len() < 263_000 {
        let (class, link, words) = (word(&mut rng), word(&mut rng), word(&mut rng));
        text += &format!(
            "<div class=\"{class}\"><a href=\"/{link}.html\"><b>{words}</b></a><br/></div>\n"
        );
    }
    Data::text(text)
}

/// 12.5: a document whose pictures are compressed already, so it hardly becomes smaller.
fn document() -> Data {
    let mut rng = Rng::from_seed(125);
    let mut bytes = Vec::new();
    while bytes.len() < 1_042_000 {
        let number = rng.below(1000);
        bytes.extend(format!("{number} 0 obj\n<< /Length 2000 >>\nstream\n").bytes());
        let start = bytes.len();
        bytes.resize(start + 2000, 0);
        rng.fill(&mut bytes[start..]);
        bytes.extend_from_slice(b"\nendstream\nendobj\n");
    }
    Data::binary(bytes)
}

/// What one row is run with.
struct Agreed<'a> {
    config: &'a str,
    offers: &'a [&'a str],
    answer: &'a str,
    /// The window of the client's compressor.
    window: u8,
}

/// Echoes messages of every size; `case` is the number in the suite.
fn check(case: &str, data: &Data, agreed: &Agreed<'_>) {
    let config = format!("[debug]\necho = true\n{}", agreed.config);
    for (number, (bytes, fragment)) in (1..).zip(SIZES) {
        let case = format!("{case}.{number} {:?}", agreed.offers);
        let mut world = world(&config);
        let (id, answer) = connect(&mut world, "/ws/echo", agreed.offers, agreed.window);
        assert_eq!(answer, agreed.answer, "{case}");
        let fragment = if fragment == 0 { usize::MAX } else { fragment };
        let count = (192 * 1024 / bytes).clamp(3, 60);
        let mut at = 0;
        for _ in 0..count {
            let (before, behind) = data.bytes.split_at(at);
            let message = [behind, before].concat();
            let message = message[..bytes].to_vec();
            at = (at + bytes) % data.bytes.len();
            world.client(id).message(data.opcode, &message, fragment);
            let expected = match data.opcode {
                Opcode::Text => Message::Text(String::from_utf8(message).unwrap()),
                _ => Message::Binary(message),
            };
            let found = received(&mut world, id);
            assert!(found == [expected], "{case} at {at}: not the same back");
        }
        let inflated = world.client(id).inflated;
        assert!(inflated <= count, "{case}");
        if agreed.answer.is_empty() || bytes < 1024 {
            assert_eq!(inflated, 0, "{case}: sent as it is");
        } else if matches!(data.opcode, Opcode::Text) {
            assert_eq!(inflated, count, "{case}: compressed");
        }
    }
}

/// A row of section 12 in every way to have contexts or none.
fn check_12(case: &str, data: &Data) {
    let agreed = Agreed {
        config: "",
        offers: &[DEFAULT],
        answer: ALONE,
        window: 15,
    };
    check(case, data, &agreed);
    let config = "[compression]\ntakeover = true\n";
    let offers = &["permessage-deflate"];
    let answer = "permessage-deflate";
    check(
        case,
        data,
        &Agreed {
            config,
            offers,
            answer,
            window: 15,
        },
    );
}

#[test]
fn case_12_1_json() {
    check_12("12.1", &json());
}

#[test]
fn case_12_2_a_picture() {
    check_12("12.2", &picture());
}

#[test]
fn case_12_3_prose() {
    check_12("12.3", &prose());
}

#[test]
fn case_12_4_a_page() {
    check_12("12.4", &page());
}

#[test]
fn case_12_5_a_document() {
    check_12("12.5", &document());
}

/// A row of section 13: JSON, with what the client asks of the server, in order of preference:
/// whether contexts are excluded, and the window, 0 for any. `chosen` is the request that is met.
fn check_13(case: &str, requests: &[(bool, u8)], chosen: Option<usize>) {
    let data = json();
    let offers: Vec<String> = requests
        .iter()
        .map(|(no_context, window)| {
            let mut offer = DEFAULT.to_owned();
            if *no_context {
                offer += "; server_no_context_takeover";
            }
            if *window > 0 {
                offer += &format!("; server_max_window_bits={window}");
            }
            offer
        })
        .collect();
    let chosen = chosen.and_then(|chosen| requests.get(chosen));
    let answer = |takeover: bool| {
        let Some((no_context, window)) = chosen else {
            return String::new();
        };
        let mut answer = "permessage-deflate".to_owned();
        if *no_context || !takeover {
            answer += "; server_no_context_takeover";
        }
        // The suite's client always leaves contexts of its own to the server.
        answer += "; client_no_context_takeover";
        if *window > 0 {
            answer += &format!("; server_max_window_bits={window}");
        }
        answer
    };
    let joined = [offers.join(", ")];
    for (config, takeover) in [("", false), ("[compression]\ntakeover = true\n", true)] {
        for lines in [&offers[..], &joined[..]] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let window = chosen.map_or(15, |(_, window)| if *window == 0 { 15 } else { *window });
            let agreed = Agreed {
                config,
                offers: &lines,
                answer: &answer(takeover),
                window,
            };
            check(case, &data, &agreed);
            if requests.len() == 1 {
                break;
            }
        }
    }
}

#[test]
fn case_13_1_contexts_and_any_window() {
    check_13("13.1", &[(false, 0)], Some(0));
}

#[test]
fn case_13_2_no_contexts() {
    check_13("13.2", &[(true, 0)], Some(0));
}

#[test]
fn case_13_3_the_smallest_window() {
    check_13("13.3", &[(false, 9)], Some(0));
    check_13("13.3 with a window that is declined", &[(false, 8)], None);
}

#[test]
fn case_13_4_the_largest_window() {
    check_13("13.4", &[(false, 15)], Some(0));
}

#[test]
fn case_13_5_no_contexts_and_the_smallest_window() {
    check_13("13.5", &[(true, 9)], Some(0));
    check_13("13.5 with a window that is declined", &[(true, 8)], None);
}

#[test]
fn case_13_6_no_contexts_and_the_largest_window() {
    check_13("13.6", &[(true, 15)], Some(0));
}

#[test]
fn case_13_7_several_offers() {
    check_13("13.7", &[(true, 9), (true, 0), (false, 0)], Some(0));
    let requests = [(true, 8), (true, 0), (false, 0)];
    check_13("13.7 with a window that is declined", &requests, Some(1));
}
