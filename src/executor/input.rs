//! What is said to a running agent, over its standard input.
//!
//! May not touch: the pipe. Invariant: nothing is written after the input was closed, and what waits
//! to be written is bounded, whoever it comes from.

use crate::bus::execution::RunAnswer;
use crate::config::AgentKind;
use crate::domain::agent::{line, speech};
use crate::domain::fault::{Code, Fault};
use crate::domain::run_command::RunInput;
use crate::executor::effects::Effect;
use crate::executor::running::{Active, Context, Phase};
use crate::metrics::names::Counter;

/// Bytes that wait until an agent reads them; above it nothing more is taken.
const UNWRITTEN_MAX: usize = 1024 * 1024;

/// The agent's standard input.
#[derive(Debug)]
pub(super) struct Input {
    state: InputState,
    /// Bytes that the pipe has not taken, the launch's input included.
    unwritten: usize,
    /// How often the agent was interrupted; the numbers name our requests.
    interrupts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputState {
    Open,
    /// It is closed, or will be when all is written.
    Closed,
}

impl Input {
    pub(super) fn new(unwritten: usize) -> Self {
        Self {
            state: InputState::Open,
            unwritten,
            interrupts: 0,
        }
    }

    /// The pipe took so many bytes.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
    }

    /// Nobody reads it any more.
    pub(super) fn lose(&mut self) {
        self.state = InputState::Closed;
    }
}

impl Active {
    /// Says something to the agent.
    ///
    /// # Errors
    /// NOT_INTERACTIVE if it does not listen, SERVER_BUSY if too much waits for it.
    pub(super) fn say(
        &mut self,
        input: &RunInput,
        context: &mut Context<'_>,
    ) -> Result<RunAnswer, Fault> {
        self.check_listens()?;
        let bytes = match (self.launch.kind, input) {
            (AgentKind::Claude, RunInput::Text(text)) => speech::user_message(text),
            (AgentKind::Claude, RunInput::Interrupt) => {
                self.input.interrupts += 1;
                speech::interrupt(&format!("interrupt-{}", self.input.interrupts))
            }
            (AgentKind::Lines, RunInput::Text(text)) => line(text),
            (AgentKind::Lines, RunInput::Interrupt) => {
                let message = "only agents of kind claude can be interrupted: cancel the run";
                return Err(Fault::new(Code::NotInteractive, message));
            }
        };
        self.write(bytes, context)?;
        Ok(RunAnswer::Told(self.run.id))
    }

    /// Checks that somebody may speak to the agent now.
    pub(super) fn check_listens(&self) -> Result<(), Fault> {
        let message = if !self.launch.interactive {
            "the run takes no input: its agent is not interactive"
        } else if self.input.state == InputState::Closed || self.phase != Phase::Running {
            "the run takes no more input"
        } else {
            return Ok(());
        };
        Err(Fault::new(Code::NotInteractive, message))
    }

    /// Writes to the agent if it listens and not too much waits for it.
    pub(super) fn write(&mut self, bytes: Vec<u8>, context: &mut Context<'_>) -> Result<(), Fault> {
        self.check_listens()?;
        if self.input.unwritten.saturating_add(bytes.len()) > UNWRITTEN_MAX {
            context.out.count(Counter::RunInputsRefused);
            let message = "the agent has not read what was said to it: try again later";
            return Err(Fault::new(Code::ServerBusy, message));
        }
        self.input.unwritten += bytes.len();
        context.out.push(Effect::Write(self.run.id, bytes));
        Ok(())
    }

    /// Says that nothing more will be said.
    pub(super) fn close_input(&mut self, context: &mut Context<'_>) {
        if self.input.state == InputState::Open && self.phase == Phase::Running {
            context.out.push(Effect::CloseInput(self.run.id));
        }
        self.input.state = InputState::Closed;
    }
}
