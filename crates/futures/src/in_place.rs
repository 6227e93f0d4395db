//! [`rc`]: a counted value that is made where it will lie.
#![allow(unsafe_code)]

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
    fn r8_a_panic_while_a_value_is_made_in_place_leaves_none() {
        let outcome = catch_unwind(AssertUnwindSafe(|| rc(|| -> Rc<()> { panic!("expected") })));
        assert!(outcome.is_err());
    }
}
