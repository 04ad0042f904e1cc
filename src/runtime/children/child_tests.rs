//! One child with real pipes; its keeper is a program that ends at once.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use mio::unix::pipe;
use mio::{Events, Poll};

use super::*;
use crate::base::rng::Rng;
use crate::config::AgentKind;
use crate::domain::launch::ProcessLimits;
use crate::metrics::counters::Counters;
use crate::testkit::server::until;

struct Fixture {
    poll: Poll,
    core: Executor,
    scratch: Vec<u8>,
    child: Option<Child>,
}

impl Fixture {
    /// No project is known, so no output is wanted.
    fn new() -> Self {
        let mut rng = Rng::from_seed(7);
        let run = RunId::random(&mut rng);
        let launch = || Launch {
            kind: AgentKind::Lines,
            argv: vec!["nothing".into()],
            resume_at: None,
            directory: "/".into(),
            environment: Vec::new(),
            input: Vec::new(),
            interactive: true,
            limits: ProcessLimits::default(),
            timeout: None,
            stall_after: None,
            stall_cancels: false,
        };
        let poll = Poll::new().unwrap();
        let place = (0, poll.registry());
        let spawn = || Child::spawn(run, launch(), Path::new("/bin/sh"), place);
        // One that ended before it could be told what to do is none.
        let child = (0..100).find_map(|_| spawn().ok());
        Self {
            poll,
            core: Executor::new(1, rng, Arc::new(Counters::default())),
            scratch: vec![0; 1024],
            child,
        }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    fn read(&mut self) -> Option<Told> {
        let child = self.child.as_mut().unwrap();
        let registry = self.poll.registry();
        child.read(&mut self.core, &mut self.scratch, registry, Now::default())
    }

    /// Waits for what the poll tells next, and notes it as the shell does.
    fn hear(&mut self) {
        let mut events = Events::with_capacity(8);
        let timeout = Some(Duration::from_secs(10));
        self.poll.poll(&mut events, timeout).unwrap();
        for event in &events {
            let (_, source) = place(event.token());
            let is_readable = event.is_readable() || event.is_read_closed();
            self.child().note_ready(source, is_readable);
            self.child().note_writable(source, event.is_writable());
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.reap();
        }
    }
}

#[test]
fn a_child_whose_keeper_ended_stays_until_what_it_printed_was_read() {
    let mut fixture = Fixture::new();
    // Somebody printed, and the store is behind, so that nobody reads.
    let (mut printed, pipe) = pipe::new().unwrap();
    printed.write_all(b"said\n").unwrap();
    fixture.child().stdout = Some(Inlet {
        pipe,
        is_ready: true,
    });
    fixture.child().stderr = None;
    let mut told = None;
    until("the status ends", || {
        fixture.hear();
        told = fixture.read();
        told.is_some()
    });
    assert_eq!(told, Some(Told::Orphaned), "it never said gone");
    assert!(!fixture.child().is_over(), "what was printed waits");
    assert!(!fixture.child().has_work(|_| false), "no turn for nothing");
    assert!(fixture.child().has_work(|_| true));
    fixture.child().close_output();
    assert!(fixture.child().is_over());
}

/// Bytes that no pipe holds.
const FLOOD: usize = 4 * 1024 * 1024;

fn outlet(closes: bool) -> (Outlet, Receiver) {
    let (pipe, reader) = pipe::new().unwrap();
    let outlet = Outlet {
        pipe,
        is_ready: true,
        unwritten: vec![b'x'; FLOOD],
        at: 0,
        closes,
    };
    (outlet, reader)
}

#[test]
fn an_agent_that_reads_nothing_costs_no_turns_and_one_that_reads_gets_all() {
    let mut fixture = Fixture::new();
    let (input, mut reader) = outlet(true);
    fixture.child().input = Some(input);
    fixture.child().close_output();
    let flush = |fixture: &mut Fixture| {
        let child = fixture.child.as_mut().unwrap();
        child.flush(&mut fixture.core, Now::default());
        child.has_work(|_| true)
    };
    fixture.child().status = None;
    assert!(!flush(&mut fixture), "the pipe is full");
    assert!(!flush(&mut fixture));
    let mut taken = 0;
    loop {
        match reader.read(&mut fixture.scratch) {
            Ok(0) => break,
            Ok(count) => taken += count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        fixture.child().note_writable(Source::Stdin, true);
        flush(&mut fixture);
    }
    assert_eq!(taken, FLOOD);
    assert!(
        fixture.child().input.is_none(),
        "closed when all was written"
    );
}

#[test]
fn an_agent_that_closes_its_input_ends_the_writing_and_nothing_else() {
    let mut fixture = Fixture::new();
    let (input, reader) = outlet(false);
    fixture.child().input = Some(input);
    drop(reader);
    let child = fixture.child.as_mut().unwrap();
    child.flush(&mut fixture.core, Now::default());
    assert!(child.input.is_none());
    child.write(b"more", &mut fixture.core, Now::default());
    assert!(child.stdout.is_some());
}

#[test]
fn what_was_printed_before_the_pipe_was_watched_is_heard_and_its_end_comes_after_it() {
    let mut fixture = Fixture::new();
    fixture.child().stderr = None;
    let (mut printed, mut pipe) = pipe::new().unwrap();
    printed.write_all(&[b'x'; 1500]).unwrap();
    drop(printed);
    let registry = fixture.poll.registry();
    let token = token(0, Source::Stdout);
    registry
        .register(&mut pipe, token, Interest::READABLE)
        .unwrap();
    let mut inlet = Inlet {
        pipe,
        is_ready: false,
    };
    std::mem::swap(fixture.child().stdout.as_mut().unwrap(), &mut inlet);
    until("it can be read", || {
        fixture.hear();
        fixture.child().stdout.as_ref().unwrap().is_ready
    });
    let inlet = fixture.child.as_mut().unwrap().stdout.as_mut().unwrap();
    let mut counts = Vec::new();
    loop {
        assert!(inlet.is_ready, "no event tells of the rest");
        let count = inlet.read(&mut fixture.scratch).unwrap();
        counts.push(count);
        if count == 0 {
            break;
        }
    }
    assert_eq!(counts, [1024, 476, 0]);
}
