//! Watching descriptors. Every change reaches the kernel at once, so that a host that watches the
//! loop's own descriptor is never misled.

use super::attention::CALLED_OFF;
use super::{LoopCore, Phase};
use crate::driver::Driver;
use crate::io_callbacks::IoCallbacks;
use crate::repeating::RepeatedClosure;
use crate::{Direction, Interest, Source, SourceKey, SourceKind, Trigger};
use futures::ClosedError;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

impl LoopCore {
    pub(super) fn watch_source(
        &self,
        source: Rc<dyn Source>,
        interest: Interest,
    ) -> io::Result<SourceKey> {
        let (kind, trigger) = (source.kind(), source.trigger());
        let descriptor = source.descriptor().as_raw_fd();
        let driver = self.make_room(descriptor)?;
        if let Some((owner, ..)) = self.source_of(descriptor) {
            let owner = owner.describe();
            let message = format!("descriptor {descriptor} is watched already: {owner}");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let (key, trigger) = {
            let mut sources = self.sources.borrow_mut();
            let key = sources.insert(source.clone(), kind, descriptor, interest, trigger);
            (key, sources.trigger(key, interest))
        };
        if !interest.is_none()
            && let Err(error) = driver.add(source.descriptor(), key.to_usize(), interest, trigger)
        {
            let removed = self.sources.borrow_mut().remove(key);
            drop(removed);
            return Err(error);
        }
        Ok(key)
    }

    pub(super) fn change_interest(&self, key: SourceKey, interest: Interest) -> io::Result<()> {
        let (source, before, trigger) = {
            let sources = self.sources.borrow();
            match (sources.source(key), sources.interest(key)) {
                (Some(source), Some(before)) => {
                    (source.clone(), before, sources.trigger(key, interest))
                }
                _ => return Ok(()),
            }
        };
        if before == interest {
            return Ok(());
        }
        let driver = self.driver().ok_or(ClosedError)?;
        let descriptor = source.descriptor();
        match (before.is_none(), interest.is_none()) {
            (true, _) => driver.add(descriptor, key.to_usize(), interest, trigger)?,
            (false, true) => driver.delete(descriptor)?,
            (false, false) => driver.modify(descriptor, key.to_usize(), interest, trigger)?,
        }
        self.sources.borrow_mut().set_interest(key, interest);
        Ok(())
    }

    /// Has the poller look again whether a source is ready that is watched by [`Trigger::Edge`]: a turn did not
    /// take all, or did not come.
    #[cold]
    pub(super) fn look_again(&self, key: SourceKey) {
        let source = self.sources.borrow().watched_by_edge(key).cloned();
        let (Some(source), Some(driver)) = (source, self.driver()) else { return };
        let descriptor = source.descriptor();
        let looked = driver.modify(descriptor, key.to_usize(), Interest::READ, Trigger::Edge);
        if let Err(error) = looked {
            log::debug!(target: "tulipa", "cannot go on to watch {}: {error}", source.describe());
        }
        self.let_go(source);
    }

    pub(super) fn unwatch_source(&self, key: SourceKey) -> Option<Rc<dyn Source>> {
        let (source, interest) = self.sources.borrow_mut().remove(key)?;
        if !interest.is_none()
            && let Some(driver) = self.driver()
            && let Err(error) = driver.delete(source.descriptor())
        {
            // It was closed behind our back; the kernel forgot it then.
            log::debug!(target: "tulipa", "cannot unwatch {}: {error}", source.describe());
        }
        Some(source)
    }

    /// Sets a callback of a descriptor. A turn that is queued for the one it replaces is called off
    /// (L-38).
    pub(super) fn set_io_callback(
        &self,
        descriptor: Box<dyn AsFd>,
        direction: Direction,
        closure: RepeatedClosure,
    ) -> io::Result<()> {
        let number = descriptor.as_fd().as_raw_fd();
        self.make_room(number)?;
        let Some((known, key, interest)) = self.io_callbacks_of(number)? else {
            let source = IoCallbacks::new(descriptor, number);
            source.set(direction, closure);
            let interest = Interest::NONE.with(direction, true);
            return self.watch_source(source, interest).map(drop);
        };
        self.change_interest(key, interest.with(direction, true))?;
        self.call_off_turn(key, direction);
        let replaced = known.set(direction, closure);
        let no_more_needed = known.also_owned_by(direction, Some(descriptor));
        self.drop_contained(replaced);
        self.drop_contained(no_more_needed);
        Ok(())
    }

    pub(super) fn unset_io_callback(
        &self,
        descriptor: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<bool> {
        if self.phase.get() == Phase::Closed {
            return Ok(false); // closing drops it in its turn
        }
        let Some((known, key, interest)) = self.io_callbacks_of(descriptor.as_raw_fd())? else {
            return Ok(false);
        };
        if !interest.includes(direction) {
            return Ok(false);
        }
        let left = interest.with(direction, false);
        if left.is_none() {
            drop(self.unwatch_source(key)); // `known` is left
        } else {
            self.change_interest(key, left)?;
            self.call_off_turn(key, direction);
        }
        self.drop_contained(known.unset(direction));
        self.drop_contained(known.also_owned_by(direction, None));
        self.drop_contained(known);
        Ok(true)
    }

    /// Nobody is left for the turn that may be queued.
    fn call_off_turn(&self, key: SourceKey, direction: Direction) {
        self.sources.borrow_mut().call_off_turn(key, direction);
        self.attention.set(CALLED_OFF);
    }

    /// The callbacks registered for a descriptor. Refused if it is a transport's (L-41), or anything
    /// else that is waited for.
    fn io_callbacks_of(
        &self,
        descriptor: RawFd,
    ) -> io::Result<Option<(Rc<IoCallbacks>, SourceKey, Interest)>> {
        let Some((source, key, interest)) = self.source_of(descriptor) else { return Ok(None) };
        if source.is_called_off() {
            return Ok(None);
        }
        if source.kind() != SourceKind::Callback {
            let message = format!("descriptor {descriptor} is used by {}", source.describe());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(IoCallbacks::of(source).map(|known| (known, key, interest)))
    }

    /// Takes out the source of a descriptor that nobody waits for any more. Answers the driver.
    fn make_room(&self, descriptor: RawFd) -> io::Result<Rc<dyn Driver>> {
        let driver = self.open_driver()?;
        if let Some((source, key, _)) = self.source_of(descriptor)
            && source.is_called_off()
        {
            drop(self.unwatch_source(key)); // `source` is left
            self.drop_contained(source);
            return self.open_driver(); // that destructor may have closed the loop
        }
        Ok(driver)
    }

    /// The driver of a loop that is not closed, nor about to be.
    fn open_driver(&self) -> io::Result<Rc<dyn Driver>> {
        let driver = self.driver().filter(|_| self.phase.get() != Phase::Closed);
        Ok(driver.ok_or(ClosedError)?)
    }

    fn source_of(&self, descriptor: RawFd) -> Option<(Rc<dyn Source>, SourceKey, Interest)> {
        let sources = self.sources.borrow();
        let key = sources.key_of(descriptor)?;
        Some((sources.source(key)?.clone(), key, sources.interest(key)?))
    }
}
