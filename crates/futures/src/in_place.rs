//! Values that go by memory: [`rc`] makes one where it will lie, [`read_by_words`] takes one that was just
//! written.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, transmute_copy};
use std::rc::Rc;

/// The same as `Rc::new(make())`, for values of many words. `Rc::new` has its value made on the stack,
/// word by word, and then moved as a whole, for which the processor waits until the words have arrived.
#[inline(always)]
pub(crate) fn rc<V>(make: impl FnOnce() -> V) -> Rc<V> {
    let mut rc = Rc::<V>::new_uninit();
    Rc::get_mut(&mut rc).expect("it is new").write(make());
    // SAFETY: the value was written by the line before.
    unsafe { rc.assume_init() }
}

/// The same as `place.read()`, of two words: one by one, as they were written. Reading the two as a
/// pair, the processor would wait until both have arrived.
///
/// # Safety
/// As that of [`read`](std::ptr::read).
#[inline(always)]
pub(crate) unsafe fn read_by_words<V>(place: *const V) -> V {
    const { assert!(size_of::<V>() == 2 * size_of::<usize>()) };
    const { assert!(align_of::<V>() == align_of::<usize>()) };
    let words = place.cast::<MaybeUninit<*mut ()>>();
    // SAFETY: by the assertions these are the words of the value, and all of it. Volatile, so that the
    // compiler does not read both as one.
    unsafe {
        let words = [words.read_volatile(), words.add(1).read_volatile()];
        transmute_copy(&words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn f1_a_value_that_is_made_in_place_is_dropped_once() {
        let alive = Rc::new(());
        let made = rc(|| (alive.clone(), [7; 30]));
        assert_eq!((Rc::strong_count(&alive), made.1[29]), (2, 7));
        drop(made.clone());
        drop(made);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn f1_a_value_of_any_size_and_alignment_is_made_in_place() {
        #[repr(align(128))]
        struct Aligned(u8, Rc<()>);
        let alive = Rc::new(());
        let made = rc(|| Aligned(7, alive.clone()));
        assert_eq!((Rc::as_ptr(&made).addr() % 128, made.0), (0, 7));
        assert_eq!(Rc::strong_count(&made.1), 2);
        drop(made);
        assert_eq!(Rc::strong_count(&alive), 1);

        struct Counted;
        impl Drop for Counted {
            fn drop(&mut self) {
                DROPS.set(DROPS.get() + 1);
            }
        }
        thread_local!(static DROPS: Cell<u32> = const { Cell::new(0) });
        assert_eq!(size_of::<Counted>(), 0);
        drop(rc(|| Counted));
        assert_eq!(DROPS.get(), 1);
    }

    #[test]
    fn f1_a_pointer_that_is_read_by_words_is_the_same() {
        let alive = Rc::new(7);
        let erased: Rc<dyn std::any::Any> = alive.clone();
        let original = std::mem::ManuallyDrop::new(erased);
        // SAFETY: the original is never dropped.
        let read = unsafe { read_by_words(&raw const *original) };
        assert!(Rc::ptr_eq(&read, &original));
        assert_eq!((read.downcast_ref(), Rc::strong_count(&alive)), (Some(&7), 2));
        drop(read);
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn r8_a_panic_while_a_value_is_made_in_place_leaves_none() {
        let outcome = catch_unwind(AssertUnwindSafe(|| rc(|| -> Rc<()> { panic!("expected") })));
        assert!(outcome.is_err());
    }
}
