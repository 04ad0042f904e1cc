//! `subscribe`: the events of rooms as lines until interrupted; what was missed first if asked for.
//!
//! May not touch: signals; an interrupt ends the process at any point, waiting included, because
//! nothing catches it. Invariant: attempts after the first connection are apart by delays that grow
//! and differ, and each is said in one line.

use std::convert::Infallible;
use std::thread;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::cli::arguments::SubscribeArguments;
use crate::cli::comeback::Comeback;
use crate::cli::following::{Following, connect, print_events};
use crate::cli::output::{Lines, Sink};
use crate::cli::server::Server;
use crate::cli::socket_client::Socket;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};

/// The first delay is below this: a restarted server is back by then, or soon after.
const FIRST_DELAY_MAX: Duration = Duration::from_millis(500);

/// Every delay is below this, so that a server that is back is noticed within half a minute.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// A connection that lasted this long was a good one. Those that are lost sooner keep the delays
/// growing, lest a server that throws everybody out is stormed.
const STEADY: Duration = Duration::from_secs(10);

/// The delays before each attempt to come back.
pub(super) const fn comeback_backoff() -> Backoff {
    Backoff::new(FIRST_DELAY_MAX, DELAY_MAX)
}

/// Prints until the server says not to come back or took every room away, which are failures, or
/// nobody reads.
pub(super) fn run(asked: SubscribeArguments) -> Result<Exit, Failure> {
    let mut rooms: Vec<Following> = Vec::with_capacity(asked.rooms.len());
    for room in asked.rooms {
        if !rooms.iter().any(|following| following.is_of(&room)) {
            rooms.push(Following::new(
                room,
                asked.since.clone(),
                asked.durable.clone(),
            ));
        }
    }
    let has_epoch = asked.since.is_some_and(|since| since.epoch.is_some());
    if has_epoch && rooms.len() > 1 {
        let reason = "an epoch belongs to one room: give --since OFFSET for several rooms";
        return Err(Failure::Misuse(reason.to_owned()));
    }
    let server = Server::new(asked.server)?;
    // Before there is a socket: a long history takes a while, and nothing waits for us meanwhile.
    for following in &mut rooms {
        following.print_missed(&server, &mut Lines)?;
    }
    // A mistyped address should say so at once, so the first attempt is the only one.
    let socket = connect(&server, &mut rooms)?;
    let Err(ended) = follow(&server, socket, &mut rooms, &mut Lines);
    Err(ended)
}

/// Goes on from `socket`, which [`connect`] opened, over one connection after another, until there
/// is no use in coming back.
pub(super) fn follow(
    server: &Server,
    socket: Socket,
    rooms: &mut Vec<Following>,
    sink: &mut dyn Sink,
) -> Result<Infallible, Failure> {
    let clock = Clock::start();
    let mut rng = Rng::from_os().map_err(TransportFault::from)?;
    let mut backoff = comeback_backoff();
    let mut connected = Ok(socket);
    loop {
        let ended = match connected {
            Ok(socket) => {
                let since = clock.now().mono;
                let Err(ended) = print_events(server, socket, rooms, sink, &clock);
                let lasted = clock.now().mono.since(since);
                if lasted >= STEADY && rooms.iter().all(Following::is_live) {
                    backoff.reset();
                }
                ended
            }
            Err(fault) => TransportFault::into(fault),
        };
        let Comeback::After(least) = ended.comeback() else {
            return Err(ended.into());
        };
        // Added, not the larger of both: all who were told the same time would come at once.
        let delay = least + backoff.next_delay(&mut rng);
        let (what, seconds) = (ended.words(), delay.as_secs_f64());
        output::warning(&format!("{what}; connecting again in {seconds:.1} s"));
        thread::sleep(delay);
        connected = connect(server, rooms);
        if connected.is_ok() {
            output::note("connected again");
        }
    }
}
