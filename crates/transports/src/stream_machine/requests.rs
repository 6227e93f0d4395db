//! What the user asks for, in any state and any number of times.

use super::{End, Input, Phase, StreamMachine, Writing};

impl StreamMachine {
    /// Whether this changed anything.
    pub(crate) fn pause_reading(&mut self) -> bool {
        match &mut self.phase {
            Phase::Open { input: input @ Input::Flowing, .. } => {
                *input = Input::Paused;
                true
            }
            Phase::Salvaging => {
                self.phase = Phase::Ending(End::Failed); // nothing else is waited for
                true
            }
            Phase::Open { .. } | Phase::Draining { .. } | Phase::Parting { .. } => false,
            Phase::Ending(_) | Phase::Lost => false,
        }
    }

    /// Whether this changed anything.
    pub(crate) fn resume_reading(&mut self) -> bool {
        match &mut self.phase {
            Phase::Open { input: input @ Input::Paused, .. } => {
                *input = Input::Flowing;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn write_eof(&mut self) {
        match &mut self.phase {
            Phase::Open { input: Input::Absent { .. }, .. } => self.close(),
            Phase::Open { writing: writing @ Writing::Open, .. } => *writing = Writing::Finishing,
            _ => {}
        }
    }

    pub(crate) fn close(&mut self) {
        self.phase = match self.phase {
            Phase::Open { input: Input::Absent { .. }, .. } if self.has_unsent() => {
                Phase::Draining { writing: Writing::Finishing } // nothing more is taken
            }
            Phase::Open { writing, .. } if self.has_unsent() => Phase::Draining { writing },
            Phase::Open { .. } => self.orderly_end(),
            Phase::Salvaging => Phase::Ending(End::Failed),
            same @ (Phase::Draining { .. } | Phase::Parting { .. }) => same,
            same @ (Phase::Ending(_) | Phase::Lost) => same,
        };
    }

    /// Drops the output and ends it, unless the end has come already. Says whether `end` counts.
    pub(crate) fn abort(&mut self, end: End) -> bool {
        let decides = match self.phase {
            Phase::Open { .. } | Phase::Draining { .. } | Phase::Parting { .. } => true,
            Phase::Salvaging | Phase::Ending(_) | Phase::Lost => false,
        };
        if decides {
            self.phase = Phase::Ending(end);
        } else if self.is_salvaging() {
            self.phase = Phase::Ending(End::Failed);
        }
        self.drop_output();
        decides
    }
}
