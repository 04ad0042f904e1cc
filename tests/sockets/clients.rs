//! Clients that others wrote, against the real binary. `make test` installs them and sets
//! KINGLET_TEST_CLIENTS to their folder; without it, or without Node.js, they are skipped aloud.

use std::path::Path;
use std::process::Command;

use kinglet::testkit::client::note;

use crate::start;

/// The folder with the installed clients, or why there is none.
fn installed() -> Result<String, &'static str> {
    let folder = std::env::var("KINGLET_TEST_CLIENTS")
        .map_err(|_| "KINGLET_TEST_CLIENTS is not set; `make test` installs the clients")?;
    if !Path::new(&folder).join("node_modules").is_dir() {
        return Err("KINGLET_TEST_CLIENTS has no node_modules; run npm ci in it");
    }
    match Command::new("node").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(folder),
        _ => Err("node is not installed"),
    }
}

#[test]
fn the_ws_library_of_node_works_with_rooms() {
    let folder = match installed() {
        Ok(folder) => folder,
        Err(reason) => {
            return note(&format!(
                "skipped: the clients in JavaScript, because {reason}"
            ));
        }
    };
    let server = start(&[("KINGLET_HEARTBEAT__PING_INTERVAL", "1s")]);
    let run = Command::new("node")
        .arg(Path::new(&folder).join("rooms.mjs"))
        .arg(format!("ws://{}", server.address()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
}
