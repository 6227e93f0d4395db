//! A chat room: who says a line says it to all others.
//!
//! [`talk`] is one guest's connection, as a coroutine over its streams. What is said goes through a
//! broadcast channel, so that a guest who does not read holds up nobody: what waits for one is bounded,
//! and one who missed lines is told how many.

mod line;
#[cfg(test)]
mod tests;

use line::{Line, clean};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::rc::Rc;
use tulipa::channels::broadcast::{self, Lagged};
use tulipa::prelude::*;
use tulipa::streams::{LimitOverrunError, StreamReader, StreamWriter};
use tulipa::{select, yield_now};

/// The room: who is in it, and what is said.
pub struct Room {
    said: broadcast::Sender<Said>,
    guests: RefCell<BTreeMap<u64, String>>,
    next_number: Cell<u64>,
    largest: usize,
}

/// Something that everybody hears, but for the one who said it.
#[derive(Clone)]
struct Said {
    by: u64,
    text: Rc<str>,
}

impl Room {
    /// An empty room for at most `largest` guests, of which each may be `backlog` lines behind.
    pub fn new(largest: usize, backlog: NonZeroUsize) -> Rc<Self> {
        let (said, _) = broadcast::channel(backlog);
        Rc::new(Self { said, guests: RefCell::default(), next_number: Cell::new(1), largest })
    }

    /// How many guests there are.
    pub fn guest_count(&self) -> usize {
        self.guests.borrow().len()
    }

    /// Lets somebody in, unless the room is full.
    fn enter(self: &Rc<Self>) -> Option<Guest> {
        if self.guest_count() >= self.largest {
            return None;
        }
        let number = self.next_number.replace(self.next_number.get() + 1);
        let mut name = format!("guest{number}");
        while self.is_taken(&name) {
            name.push('_');
        }
        self.guests.borrow_mut().insert(number, name);
        let guest = Guest { room: self.clone(), number, hearing: self.said.subscribe() };
        guest.announce("is here");
        Some(guest)
    }

    fn is_taken(&self, name: &str) -> bool {
        self.guests.borrow().values().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// A place in the room, which is left when this is dropped.
struct Guest {
    room: Rc<Room>,
    number: u64,
    hearing: broadcast::Receiver<Said>,
}

impl Guest {
    fn name(&self) -> String {
        self.room.guests.borrow()[&self.number].clone()
    }

    /// Says a line to everybody else.
    fn say(&self, text: &str) {
        self.tell(format!("{}: {text}\n", self.name()));
    }

    /// Has everybody else know what the guest does.
    fn announce(&self, what: &str) {
        self.tell(format!("* {} {what}\n", self.name()));
    }

    fn tell(&self, text: String) {
        // The guest is a receiver too, so there is one.
        let _ = self.room.said.send(Said { by: self.number, text: text.into() });
    }

    /// Takes another name, and answers what to tell the guest.
    fn rename(&self, name: &str) -> String {
        if name == self.name() {
            return format!("* you are {name}\n");
        }
        if self.room.is_taken(name) && !name.eq_ignore_ascii_case(&self.name()) {
            return format!("* {name} is taken\n");
        }
        self.announce(&format!("is now {name}"));
        self.room.guests.borrow_mut().insert(self.number, name.to_owned());
        format!("* you are {name}\n")
    }

    fn who(&self) -> String {
        let names: Vec<String> = self.room.guests.borrow().values().cloned().collect();
        format!("* here: {}\n", names.join(", "))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.announce("is gone");
        self.room.guests.borrow_mut().remove(&self.number);
    }
}

/// The connection of a guest, from the welcome to the end. If the task is cancelled, it says goodbye.
///
/// # Errors
/// Why the connection was lost, if that was no orderly end; or the cancellation.
pub async fn talk(
    room: &Rc<Room>,
    mut reader: StreamReader,
    writer: StreamWriter,
) -> Result<(), Exception> {
    let Some(guest) = room.enter() else {
        writer.write(b"* the room is full\n");
        return Ok(());
    };
    writer.write(format!("* welcome, you are {}; /help helps\n", guest.name()).as_bytes());
    let limit = reader.limit().0;
    let ended = select! {
        outcome = listen(&guest, &writer) => outcome,
        outcome = speak(&guest, &mut reader, &writer) => outcome,
    }
    .flatten();
    drop(guest);

    match &ended {
        Ok(()) => writer.write(b"* goodbye\n"),
        Err(error) if error.is_cancelled() => writer.write(b"* the room closes, goodbye\n"),
        Err(error) if error.is::<LimitOverrunError>() => {
            writer.write(format!("* a line may have {limit} bytes, goodbye\n").as_bytes())
        }
        Err(_) => return ended,
    };
    writer.close();
    writer.wait_closed().await?;
    ended
}

/// Writes what others say.
async fn listen(guest: &Guest, writer: &StreamWriter) -> Result<(), Exception> {
    loop {
        match guest.hearing.recv().await {
            Ok(None) => return Ok(()),
            Ok(Some(said)) if said.by == guest.number => {}
            Ok(Some(said)) => drop(writer.write(said.text.as_bytes())),
            Err(error) => {
                let Some(lagged) = error.downcast_ref::<Lagged>() else { return Err(error) };
                writer.write(format!("* you missed {} lines\n", lagged.lost()).as_bytes());
            }
        }
        writer.drain().await?;
    }
}

/// Does what the guest's lines say.
async fn speak(
    guest: &Guest,
    reader: &mut StreamReader,
    writer: &StreamWriter,
) -> Result<(), Exception> {
    let mut lines = reader.lines();
    while let Some(line) = lines.next().await? {
        let text = clean(&line);
        match Line::of(&text) {
            Line::Empty => {}
            Line::Text(text) => guest.say(text),
            Line::Who => drop(writer.write(guest.who().as_bytes())),
            Line::Nick(name) => drop(writer.write(guest.rename(name).as_bytes())),
            Line::Quit => return Ok(()),
            Line::Help(help) => drop(writer.write(help.as_bytes())),
        }
        writer.drain().await?;
        // One line a turn, however many have come: the others hear it before the next.
        yield_now().await?;
    }
    Ok(())
}
