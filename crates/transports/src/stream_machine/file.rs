//! A file that follows what was written: whether it may be sent now (N-49, N-51).

use super::{Fact, Phase, StreamMachine, Writing};
use crate::WriteRefusal;

/// A file that follows what waits to be sent. Meanwhile nothing is read, and nothing is written (N-51).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    None,
    /// It is sent as the system takes it.
    Sending,
    /// Its next part is being read.
    Reading,
}

impl StreamMachine {
    /// Whether a file is being sent.
    pub(crate) fn has_file(&self) -> bool {
        self.file != FileState::None
    }

    /// Whether what was written is sent, so that the file may be.
    pub(crate) fn may_send_file(&self) -> bool {
        let waits = self.waits_to_send();
        self.is_made() && !waits && self.size() == 0 && self.file == FileState::Sending
    }

    /// A file is to follow what waits.
    pub(crate) fn begin_file(&mut self) -> Result<(), WriteRefusal> {
        match self.phase {
            Phase::Open { .. } if self.has_file() => Err(WriteRefusal::SendingFile),
            Phase::Open { writing: Writing::Open, .. } => {
                self.file = FileState::Sending;
                Ok(())
            }
            Phase::Open { writing: Writing::Absent, .. } => Err(WriteRefusal::ReadOnly),
            Phase::Open { .. } => Err(WriteRefusal::AfterEof),
            Phase::Draining { .. } | Phase::Parting { .. } | Phase::Salvaging => {
                Err(WriteRefusal::Closed)
            }
            Phase::Ending(_) | Phase::Lost => Err(WriteRefusal::Closed),
        }
    }

    /// The file's next part is being read, or is there.
    pub(crate) fn set_file_reading(&mut self, reading: bool) {
        if self.has_file() {
            self.file = if reading { FileState::Reading } else { FileState::Sending };
        }
    }

    /// The file was sent, or is given up.
    pub(crate) fn end_file(&mut self) {
        self.file = FileState::None;
        if self.size() == 0 {
            self.set(Fact::Blocked, false);
        }
        self.finish_draining();
    }
}
