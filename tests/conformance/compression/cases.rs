//! Sections 12 and 13 of the Autobahn test suite: echoes of compressed messages of many sizes and
//! kinds, whole and in fragments, for each way to agree.
//!
//! A row is a case of the suite, called by its number there. The texts and pictures are made up
//! here, to the same kind and about the same size; a case has fewer messages than 1,000, but each
//! has all of its kind of data pass through.

use kinglet::base::rng::Rng;
use kinglet::testkit::world::Message;
use kinglet::wire::websocket::frame::Opcode;

use crate::compression::{connect, received, world};

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

/// A case for each of [`SIZES`].
pub struct Row {
    /// The number in the suite, without that of the size.
    pub case: &'static str,
    what: &'static str,
    data: fn() -> Data,
    /// What the client asks of the server, in order of preference: whether contexts are excluded,
    /// and the window, 0 for any.
    requests: &'static [(bool, u8)],
    /// The request that is met.
    chosen: Option<usize>,
}

/// One request, which is met.
const fn row(
    case: &'static str,
    what: &'static str,
    data: fn() -> Data,
    requests: &'static [(bool, u8)],
) -> Row {
    Row {
        case,
        what,
        data,
        requests,
        chosen: Some(0),
    }
}

/// The sections; a server may decline a window of 256 bytes, and this one does.
pub const ROWS: [Row; 15] = [
    row("12.1", "JSON", json, &[(false, 0)]),
    row("12.2", "a picture", picture, &[(false, 0)]),
    row("12.3", "prose, sent as bytes", prose, &[(false, 0)]),
    row("12.4", "a page", page, &[(false, 0)]),
    row(
        "12.5",
        "a document that is compressed already",
        document,
        &[(false, 0)],
    ),
    row("13.1", "JSON", json, &[(false, 0)]),
    row("13.2", "JSON", json, &[(true, 0)]),
    row("13.3", "JSON", json, &[(false, 9)]),
    Row {
        chosen: None,
        ..row("13.3", "JSON", json, &[(false, 8)])
    },
    row("13.4", "JSON", json, &[(false, 15)]),
    row("13.5", "JSON", json, &[(true, 9)]),
    Row {
        chosen: None,
        ..row("13.5", "JSON", json, &[(true, 8)])
    },
    row("13.6", "JSON", json, &[(true, 15)]),
    row("13.7", "JSON", json, &[(true, 9), (true, 0), (false, 0)]),
    Row {
        chosen: Some(1),
        ..row("13.7", "JSON", json, &[(true, 8), (true, 0), (false, 0)])
    },
];

impl Row {
    fn offers(&self) -> Vec<String> {
        let offer = |(no_context, window): &(bool, u8)| {
            let mut offer = DEFAULT.to_owned();
            if *no_context {
                offer += "; server_no_context_takeover";
            }
            if *window > 0 {
                offer += &format!("; server_max_window_bits={window}");
            }
            offer
        };
        self.requests.iter().map(offer).collect()
    }

    /// The window and the answer, which is empty if all is declined.
    fn answer(&self, takeover: bool) -> (u8, String) {
        let chosen = self.chosen.and_then(|chosen| self.requests.get(chosen));
        let Some((no_context, window)) = chosen else {
            return (15, String::new());
        };
        let mut answer = "permessage-deflate".to_owned();
        if *no_context || !takeover {
            answer += "; server_no_context_takeover";
        }
        // The suite's client always leaves contexts of its own to the server.
        answer += "; client_no_context_takeover";
        if *window == 0 {
            return (15, answer);
        }
        (
            *window,
            answer + &format!("; server_max_window_bits={window}"),
        )
    }
}

/// Plays the cases of one number with and without contexts, and several offers in one header line
/// and in a line each.
fn play(case: &str) {
    for row in ROWS.iter().filter(|row| row.case == case) {
        let (offers, data) = (row.offers(), (row.data)());
        let joined = [offers.join(", ")];
        let ways = [&offers[..], &joined[..]];
        for (config, takeover) in [("", false), ("[compression]\ntakeover = true\n", true)] {
            for lines in &ways[..offers.len().min(2)] {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let (window, answer) = row.answer(takeover);
                let agreed = Agreed {
                    config,
                    offers: &lines,
                    answer: &answer,
                    window,
                };
                check(case, &data, &agreed);
            }
        }
    }
}

/// Plays a row of section 12 with contexts of the client's, too.
fn play_with_all_contexts(case: &str) {
    for row in ROWS.iter().filter(|row| row.case == case) {
        let agreed = Agreed {
            config: "[compression]\ntakeover = true\n",
            offers: &["permessage-deflate"],
            answer: "permessage-deflate",
            window: 15,
        };
        check(case, &(row.data)(), &agreed);
    }
}

/// The sections as docs/conformance.md has them.
pub fn render(page: &mut String) {
    page.push_str(INTRODUCTION);
    for row in &ROWS {
        let (case, what, last) = (row.case, row.what, SIZES.len());
        let offers = row.offers().join(", ").replace(DEFAULT, "default");
        let answer = match row.answer(false).1.as_str() {
            "" => "declined, and sent uncompressed".to_owned(),
            answer => format!("`{answer}`"),
        };
        let line =
            format!("| {case}.1 to {case}.{last} | {what} | `{offers}` | {answer} | strict |\n");
        page.push_str(&line);
    }
}

const INTRODUCTION: &str = "
### 12, 13 Compression

Each line is 18 cases: messages of 16, 64, 256, 1,024, 4,096, 8,192, 16,384, 32,768, 65,536 and
131,072 bytes, then of 8,192 to 131,072 in frames of 256, and of 131,072 in frames of 1,024, 4,096 and
32,768. Each case is several messages (3 to 60 where the suite has 1,000), which come back byte for
byte to a client that remembers no more than the window agreed on. *default* is the offer
`permessage-deflate; client_no_context_takeover; client_max_window_bits`. Each is played also with
`compression.takeover = true`, where the answer leaves out what the client did not ask for.

| Cases | Messages | Offered | Answered | Result |
|---|---|---|---|---|
";

#[test]
fn json_is_echoed() {
    play("12.1");
    play_with_all_contexts("12.1");
}

#[test]
fn a_picture_is_echoed() {
    play("12.2");
    play_with_all_contexts("12.2");
}

#[test]
fn prose_is_echoed() {
    play("12.3");
    play_with_all_contexts("12.3");
}

#[test]
fn a_page_is_echoed() {
    play("12.4");
    play_with_all_contexts("12.4");
}

#[test]
fn a_document_is_echoed() {
    play("12.5");
    play_with_all_contexts("12.5");
}

#[test]
fn contexts_and_any_window_are_agreed_on() {
    play("13.1");
}

#[test]
fn contexts_are_left_out() {
    play("13.2");
}

#[test]
fn the_smallest_window_is_kept() {
    play("13.3");
}

#[test]
fn the_largest_window_is_kept() {
    play("13.4");
}

#[test]
fn the_smallest_window_is_kept_without_contexts() {
    play("13.5");
}

#[test]
fn the_largest_window_is_kept_without_contexts() {
    play("13.6");
}

#[test]
fn the_first_offer_that_can_be_met_is() {
    play("13.7");
}
