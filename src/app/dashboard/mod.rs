//! The dashboard: a page for browsers at `/`, and the files that it is made of at `/dashboard/…`.
//!
//! The files stand beside this one, are part of the program and the same for everybody: what the
//! page shows it asks the public endpoints for, as whoever looks at it. Invariants: nothing of a
//! request gets into an answer, and no answer lets a page load, run or embed what is not ours.

use crate::app::api::health;
use crate::app::http::Call;
use crate::domain::fault::{Code, Fault};
use crate::wire::http::head::Head;
use crate::wire::http::response::{Response, Status};

/// What the page may do (Content Security Policy Level 3): its own scripts and styles, requests and
/// sockets to the server it came from, and nothing made of strings.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    body: &'static str,
    /// Its entity tag, made of its content.
    tag: u64,
}

const fn asset(name: &'static str, media_type: &'static str, body: &'static str) -> Asset {
    Asset {
        name,
        media_type,
        body,
        tag: fingerprint(body.as_bytes()),
    }
}

/// FNV-1a (RFC 9923): enough to tell one version of a file from another.
const fn fingerprint(mut bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    while let [first, rest @ ..] = bytes {
        hash = (hash ^ *first as u64).wrapping_mul(0x0100_0000_01b3);
        bytes = rest;
    }
    hash
}

static PAGE: Asset = asset("index.html", HTML, include_str!("index.html"));

macro_rules! assets {
    ($($name:literal $kind:ident)*) => { &[$(asset($name, $kind, include_str!($name))),*] };
}

/// What the page loads.
static ASSETS: &[Asset] = assets![
    "api.js" SCRIPT
    "app.js" SCRIPT
    "chart.js" SCRIPT
    "console.js" SCRIPT
    "dom.js" SCRIPT
    "errors.js" SCRIPT
    "form.js" SCRIPT
    "format.js" SCRIPT
    "host.js" SCRIPT
    "icon.svg" SVG
    "login.js" SCRIPT
    "output.js" SCRIPT
    "overview.js" SCRIPT
    "project.js" SCRIPT
    "projects.js" SCRIPT
    "rooms.js" SCRIPT
    "runs.js" SCRIPT
    "scope.js" SCRIPT
    "server.js" SCRIPT
    "socket.js" SCRIPT
    "speech.js" SCRIPT
    "statistics.js" SCRIPT
    "style.css" CSS
    "table.js" SCRIPT
    "text.js" SCRIPT
];

/// What is at the root: the page for browsers, a few words in JSON for everybody else.
///
/// # Errors
/// None.
pub fn root(call: &Call<'_>) -> Result<Response, Fault> {
    let response = match prefers_html(&call.http.head) {
        true => answer(&PAGE, &call.http.head),
        false => health::root(call)?,
    };
    Ok(response.header("Vary", "Accept"))
}

/// A file of the page.
///
/// # Errors
/// NOT_FOUND.
pub fn file(call: &Call<'_>) -> Result<Response, Fault> {
    let name = call.http.parameters.first().map_or("", String::as_str);
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset
        .map(|asset| answer(asset, &call.http.head))
        .ok_or_else(|| Fault::new(Code::NotFound, "the dashboard has no such file"))
}

/// The file, or that the client's copy is still good.
fn answer(asset: &Asset, head: &Head) -> Response {
    let tag = format!("\"{:016x}\"", asset.tag);
    let mut response = match has_copy(head, &tag) {
        true => Response::empty(Status::NOT_MODIFIED),
        false => Response::empty(Status::OK).header("Content-Type", asset.media_type),
    };
    response.body = asset.body.into();
    response
        .header("ETag", tag)
        .header("Cache-Control", "no-cache")
        .header("Content-Security-Policy", POLICY)
        .header("X-Content-Type-Options", "nosniff")
        .header("Referrer-Policy", "no-referrer")
        .header("Cross-Origin-Resource-Policy", "same-origin")
}

/// Whether If-None-Match names this tag (RFC 9110 section 13.1.2, weak comparison).
fn has_copy(head: &Head, tag: &str) -> bool {
    let given = head.header_values("if-none-match");
    given.flat_map(|value| value.split(',')).any(|each| {
        let each = each.trim();
        each == "*" || each.strip_prefix("W/").unwrap_or(each) == tag
    })
}

/// Whether the client names HTML, as browsers do, and likes nothing better (RFC 9110 section
/// 12.5.1). Who takes anything gets JSON.
fn prefers_html(head: &Head) -> bool {
    let mut html = None;
    let mut json: [Option<u16>; 3] = [None; 3];
    for range in head.header_values("accept").flat_map(|all| all.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, thousandths);
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("text/html") {
            html = Some(weight);
        }
        // The most specific range that covers JSON counts.
        for (range, slot) in ["application/json", "application/*", "*/*"]
            .iter()
            .zip(&mut json)
        {
            if is(range) {
                *slot = Some(weight);
            }
        }
    }
    let json = json.into_iter().flatten().next().unwrap_or(0);
    html.is_some_and(|html| html > 0 && html >= json)
}

/// A quality value, 0 to 1, in thousandths; what is none counts as 0.
fn thousandths(text: &str) -> u16 {
    let is_one = |rest: &str| rest.bytes().all(|digit| digit == b'0');
    match text.split_once('.').unwrap_or((text, "")) {
        ("1", rest) if is_one(rest) => 1000,
        ("0", rest) if rest.len() <= 3 => format!("{rest:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
