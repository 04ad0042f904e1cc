//! A TCP relay whose other end can be cut and led elsewhere while its own address stays.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Forwards what comes to wherever it leads. It ends with the test's process.
pub struct Relay {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Where connections lead; those that lead nowhere are closed as they come.
    upstream: Option<SocketAddr>,
    open: Vec<TcpStream>,
}

impl Relay {
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            upstream: Some(upstream),
            open: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap();
                // Dropping the stream closes it.
                if let Some(Ok(other)) = state.upstream.map(TcpStream::connect) {
                    for (from, to) in [(&stream, &other), (&other, &stream)] {
                        state.open.push(from.try_clone().unwrap());
                        forward(from.try_clone().unwrap(), to.try_clone().unwrap());
                    }
                }
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads new connections elsewhere, or nowhere.
    pub fn lead_to(&self, upstream: Option<SocketAddr>) {
        self.state.lock().unwrap().upstream = upstream;
    }

    /// Cuts every connection that is there.
    pub fn cut(&self) {
        for stream in self.state.lock().unwrap().open.drain(..) {
            // The peer may have been faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
