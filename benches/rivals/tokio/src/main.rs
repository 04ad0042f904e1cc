//! tokio-tungstenite: `/echo` sends back, `/hub` sends to everybody else.
//!
//! Prints its URL; ends on SIGTERM. One thread, as the other rivals have; a task for each
//! connection, a broadcast channel for the hub.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::broadcast::{self, Sender};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Publications that a slow member may be behind.
const BEHIND_MAX: usize = 1024;

/// Who sent a message, and the message.
type Sent = (u64, Message);

static MEMBERS: AtomicU64 = AtomicU64::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    let listener = socket.listen(4096)?;
    println!("ws://{}", listener.local_addr()?);
    let hub = broadcast::channel(BEHIND_MAX).0;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let hub = hub.clone();
        // Whoever resets a connection has left.
        tokio::spawn(async move { drop(serve(stream, hub).await) });
    }
}

#[allow(clippy::result_large_err)] // The library's own type.
async fn serve(stream: TcpStream, hub: Sender<Sent>) -> Result<(), Error> {
    let mut path = String::new();
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, note).await?;
    if path == "/echo" {
        while let Some(message) = socket.next().await {
            match message? {
                message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
                _ => {}
            }
        }
        return Ok(());
    }
    let member = MEMBERS.fetch_add(1, Ordering::Relaxed);
    let mut others = hub.subscribe();
    loop {
        tokio::select! {
            message = socket.next() => match message.transpose()? {
                Some(message @ (Message::Text(_) | Message::Binary(_))) => {
                    // There is at least one receiver: ours.
                    let _ = hub.send((member, message));
                }
                Some(_) => {}
                None => return Ok(()),
            },
            sent = others.recv() => match sent {
                Ok((sender, message)) if sender != member => socket.send(message).await?,
                Ok(_) => {}
                // Too far behind: it has lost something, and is let go.
                Err(_) => return Ok(()),
            },
        }
    }
}
