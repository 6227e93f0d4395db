//! [`SubprocessMachine`]: which call the protocol of a child is owed, without a child or a pipe.
//!
//! Invariant: the calls that are given out follow the grammar (P-4). `connection_made` is first; each
//! pipe ends once; the exit is told once; `connection_lost` is last, after all of these, and comes
//! exactly once if `connection_made` came. Between them events are told in the order in which they
//! happened. What happens before `connection_made` waits for it (C-4).

use std::collections::VecDeque;

/// The state of one child as its protocol is to see it.
pub(super) struct SubprocessMachine {
    life: Life,
    pipes: [Pipe; 3],
    exited: bool,
    /// What happened and was not told yet, in order.
    owed: VecDeque<Call>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// The protocol does not know of the child yet.
    New,
    /// It never will: whoever asked for the child does not want it any more.
    CalledOff,
    /// It was told `connection_made`.
    Made,
    /// It was told the end, or there was nobody to tell.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pipe {
    None,
    Open,
    Lost,
}

/// A method of the protocol that is to be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    ConnectionMade,
    PauseWriting,
    ResumeWriting,
    /// Of this descriptor of the child.
    PipeConnectionLost(usize),
    ProcessExited,
    ConnectionLost,
    /// It is over, and the protocol never knew of it.
    Vanished,
}

impl SubprocessMachine {
    /// A child that runs; `piped` says which of its descriptors are pipes to us.
    pub(super) fn new(piped: [bool; 3]) -> Self {
        let pipes = piped.map(|piped| if piped { Pipe::Open } else { Pipe::None });
        Self { life: Life::New, pipes, exited: false, owed: VecDeque::new() }
    }

    /// The next call, which counts as made.
    pub(super) fn next_call(&mut self) -> Option<Call> {
        let call = self.owed_call()?;
        match call {
            Call::ConnectionMade => self.life = Life::Made,
            Call::ConnectionLost | Call::Vanished => self.life = Life::Over,
            Call::PauseWriting
            | Call::ResumeWriting
            | Call::PipeConnectionLost(_)
            | Call::ProcessExited => {
                self.owed.pop_front();
            }
        }
        Some(call)
    }

    /// What [`next_call`](SubprocessMachine::next_call) would give.
    pub(super) fn owed_call(&self) -> Option<Call> {
        match self.life {
            Life::New => Some(Call::ConnectionMade),
            Life::CalledOff => self.is_complete().then_some(Call::Vanished),
            Life::Made => match self.owed.front() {
                Some(call) => Some(*call),
                None => self.is_complete().then_some(Call::ConnectionLost),
            },
            Life::Over => None,
        }
    }

    /// Whether data of this descriptor may be delivered: once all that came before it was told.
    pub(super) fn may_deliver(&self, fd: usize) -> bool {
        self.life == Life::Made && self.pipes[fd] == Pipe::Open && self.owed.is_empty()
    }

    /// Whether the end was told, or there was nobody to tell.
    pub(super) fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// Nobody wants the child any more, before the protocol knew of it: it never will.
    pub(super) fn call_off(&mut self) {
        if self.life == Life::New {
            self.life = Life::CalledOff;
            self.owed.clear();
        }
    }

    /// A pipe has ended. Says whether that is news.
    pub(super) fn pipe_lost(&mut self, fd: usize) -> bool {
        let news = self.pipes[fd] == Pipe::Open;
        if news {
            self.pipes[fd] = Pipe::Lost;
            self.owe(Call::PipeConnectionLost(fd));
        }
        news
    }

    /// The child has exited. Says whether that is news.
    pub(super) fn exited(&mut self) -> bool {
        let news = !self.exited;
        if news {
            self.exited = true;
            self.owe(Call::ProcessExited);
        }
        news
    }

    /// What waits for the child's input has passed the high mark, or fallen to the low one.
    pub(super) fn writing_paused(&mut self, paused: bool) {
        self.owe(if paused { Call::PauseWriting } else { Call::ResumeWriting });
    }

    fn owe(&mut self, call: Call) {
        match self.life {
            Life::New | Life::Made => self.owed.push_back(call),
            Life::CalledOff | Life::Over => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.exited && !self.pipes.contains(&Pipe::Open)
    }
}

#[cfg(test)]
mod tests;
