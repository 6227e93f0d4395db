//! Values that stay on their thread while a key to them travels.
//!
//! A future of a loop cannot go to another thread, but the word that it is wanted must come back from
//! there: what travels is a [`Key`], which finds the value again on its own thread and nowhere else.
//!
//! Invariant: a value is parked for as long as its [`Parked`] lives. Values are dropped when nothing
//! is borrowed.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static PARKED: RefCell<HashMap<Key, Rc<dyn Any>>> = RefCell::new(HashMap::new());
}

/// Names a parked value. Unique in the process, so that it finds nothing on other threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// Keeps a value parked until this is dropped.
pub(crate) struct Parked {
    key: Key,
    not_send: PhantomData<*const ()>,
}

/// Parks what `make` returns for the key that it will have.
pub(crate) fn park<V: 'static>(value: V) -> Parked {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let key = Key(NEXT.fetch_add(1, Ordering::Relaxed));
    let value: Rc<dyn Any> = Rc::new(value);
    // On a thread that is ending the value is dropped, and the key finds nothing.
    let replaced = PARKED.try_with(|parked| parked.borrow_mut().insert(key, value));
    drop(replaced);
    Parked { key, not_send: PhantomData }
}

/// The value that is parked on this thread under `key`.
pub(crate) fn find<V: 'static>(key: Key) -> Option<Rc<V>> {
    let found = PARKED.try_with(|parked| parked.borrow().get(&key).cloned()).ok().flatten();
    found.and_then(|value| value.downcast().ok())
}

impl Parked {
    pub(crate) fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        let removed = PARKED.try_with(|parked| parked.borrow_mut().remove(&self.key));
        drop(removed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f27_a_key_finds_its_value_on_its_own_thread_while_it_is_parked() {
        let parked = park(7u32);
        let key = parked.key();
        assert_eq!(find::<u32>(key).as_deref(), Some(&7));
        assert!(find::<i8>(key).is_none());
        let elsewhere = std::thread::spawn(move || find::<u32>(key).is_none());
        assert!(elsewhere.join().unwrap());
        drop(parked);
        assert!(find::<u32>(key).is_none());
    }
}
