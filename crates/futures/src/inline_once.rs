//! A closure that is called once, kept without an allocation when it is small.
//!
//! Invariant: `storage` holds a live closure of the type that `vtable` was made for. Whoever takes the
//! closure out, `call` or `drop`, consumes the value or leaves the vtable of no closure behind, so each
//! is taken out exactly once.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, align_of, size_of};

/// Closures of up to this many words stay inline.
const WORDS: usize = 4;

// Pointers rather than integers, so that a captured pointer keeps its provenance when moved.
type Storage = MaybeUninit<[*mut (); WORDS]>;

/// An erased `FnOnce(A)`: four words of closure (or a box) and how to call and drop it.
///
/// The closure comes first: words that were moved in pairs are then read in the same pairs, and the
/// processor need not wait for them to reach the cache.
#[repr(C)]
pub(crate) struct InlineOnce<A: 'static> {
    storage: Storage,
    vtable: &'static VTable<A>,
    /// The closure may be neither `Send` nor `Sync`.
    not_send: PhantomData<*mut ()>,
}

impl<A: 'static> InlineOnce<A> {
    pub(crate) fn new<F: FnOnce(A) + 'static>(closure: F) -> Self {
        if fits_inline::<F>() {
            let mut storage = Storage::uninit();
            // SAFETY: `fits_inline` checked size and alignment, and the storage is ours alone.
            unsafe { storage.as_mut_ptr().cast::<F>().write(closure) };
            Self { storage, vtable: &Erased::<F, A>::INLINE, not_send: PhantomData }
        } else {
            let mut storage = Storage::uninit();
            let boxed = Box::into_raw(Box::new(closure));
            // SAFETY: a thin pointer is one word, and the storage has four.
            unsafe { storage.as_mut_ptr().cast::<*mut F>().write(boxed) };
            Self { storage, vtable: &Erased::<F, A>::BOXED, not_send: PhantomData }
        }
    }

    /// Calls the closure, and drops what it captured.
    #[inline]
    pub(crate) fn call(self, argument: A) {
        // Nothing is left to drop, and to find that out would cost a call.
        ManuallyDrop::new(self).call_in_place(argument);
    }

    /// Calls the closure where it lies, and drops what it captured. A second call does nothing.
    #[inline]
    pub(crate) fn call_in_place(&mut self, argument: A) {
        let vtable = std::mem::replace(&mut self.vtable, &Self::CALLED);
        // SAFETY: by the invariant the storage holds the vtable's closure; from here on the vtable
        // is that of no closure, so nobody takes it out again, also when it panics.
        unsafe { (vtable.call)(&raw mut self.storage, argument) }
    }

    /// As [`call`](Self::call), for one that is not moved: the closure is taken out of where it lies
    /// before anything of it runs.
    ///
    /// # Safety
    /// There is one at `place`, and from here on it is as if it had been moved out of there.
    #[inline]
    pub(crate) unsafe fn call_at(place: *mut Self, argument: A) {
        // SAFETY: the caller says that there is one, so that by the invariant the storage holds the
        // vtable's closure, and that nobody else takes it out.
        unsafe { ((*place).vtable.call)(&raw mut (*place).storage, argument) }
    }

    /// There is no closure any more.
    const CALLED: VTable<A> = VTable { call: |_, _| {}, drop: |_| {} };
}

impl<A: 'static> Drop for InlineOnce<A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: by the invariant the vtable is that of what is there.
        unsafe { (self.vtable.drop)(&raw mut self.storage) }
    }
}

const fn fits_inline<F>() -> bool {
    size_of::<F>() <= size_of::<Storage>() && align_of::<F>() <= align_of::<Storage>()
}

/// How to take a closure of one type out of the storage.
struct VTable<A> {
    call: unsafe fn(*mut Storage, A),
    drop: unsafe fn(*mut Storage),
}

/// The vtables for closures of type `F`.
struct Erased<F, A>(PhantomData<(F, A)>);

impl<F: FnOnce(A) + 'static, A: 'static> Erased<F, A> {
    const INLINE: VTable<A> = VTable {
        call: |storage, argument| {
            // SAFETY: the caller says that an `F` lies inline and is never touched again.
            let closure = unsafe { storage.cast::<F>().read() };
            closure(argument);
        },
        // SAFETY: as above.
        drop: |storage| unsafe { storage.cast::<F>().drop_in_place() },
    };
    const BOXED: VTable<A> = VTable {
        call: |storage, argument| {
            // SAFETY: the caller says that a pointer made by `Box::into_raw` lies there, and that
            // it is never touched again.
            let closure = unsafe { Box::from_raw(storage.cast::<*mut F>().read()) };
            closure(argument);
        },
        // SAFETY: as above.
        drop: |storage| unsafe { drop(Box::from_raw(storage.cast::<*mut F>().read())) },
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[repr(align(64))]
    struct Aligned(Rc<Cell<u32>>);

    fn called_and_dropped(make: impl Fn(Rc<Cell<u32>>, Rc<()>) -> InlineOnce<u32>) {
        let (sum, alive) = (Rc::new(Cell::new(0)), Rc::new(()));
        make(sum.clone(), alive.clone()).call(7);
        assert_eq!((sum.get(), Rc::strong_count(&alive)), (7, 1));
        drop(make(sum.clone(), alive.clone()));
        assert_eq!((sum.get(), Rc::strong_count(&alive)), (7, 1));
    }

    #[test]
    fn l7_a_small_closure_is_called_or_dropped_once() {
        called_and_dropped(|sum, alive| {
            InlineOnce::new(move |n| {
                let _alive = alive;
                sum.set(sum.get() + n);
            })
        });
    }

    #[test]
    fn l7_a_large_closure_is_called_or_dropped_once() {
        let ballast = [1u64; 9];
        called_and_dropped(|sum, alive| {
            InlineOnce::new(move |n| {
                let _alive = alive;
                sum.set(sum.get() + n + ballast[0] as u32 - 1);
            })
        });
    }

    #[test]
    fn l7_an_aligned_closure_is_called_or_dropped_once() {
        called_and_dropped(|sum, alive| {
            let aligned = Aligned(sum);
            InlineOnce::new(move |n| {
                let _alive = alive;
                let aligned = aligned;
                assert_eq!((&raw const aligned).addr() % 64, 0);
                aligned.0.set(aligned.0.get() + n);
            })
        });
    }

    #[test]
    fn l7_a_closure_that_was_called_in_place_is_neither_called_nor_dropped_again() {
        let (calls, alive) = (Rc::new(Cell::new(0)), Rc::new(()));
        let (counted, captured) = (calls.clone(), alive.clone());
        let mut closure = InlineOnce::new(move |()| {
            let _captured = captured;
            counted.set(counted.get() + 1);
        });
        closure.call_in_place(());
        assert_eq!((calls.get(), Rc::strong_count(&alive)), (1, 1));
        closure.call_in_place(());
        drop(closure);
        assert_eq!((calls.get(), Rc::strong_count(&alive)), (1, 1));
    }

    #[test]
    fn l7_a_closure_that_was_called_where_it_lay_may_write_there() {
        let (calls, alive) = (Rc::new(Cell::new(0)), Rc::new(()));
        let place = Rc::new(Cell::new(MaybeUninit::<InlineOnce<u32>>::uninit()));
        let (counted, captured, same) = (calls.clone(), alive.clone(), place.clone());
        place.set(MaybeUninit::new(InlineOnce::new(move |n| {
            same.set(MaybeUninit::zeroed());
            counted.set(counted.get() + n + Rc::strong_count(&captured) as u32);
        })));
        // SAFETY: it was put there above, and what is in a `MaybeUninit` is not dropped.
        unsafe { InlineOnce::call_at(place.as_ptr().cast(), 7) };
        assert_eq!((calls.get(), Rc::strong_count(&alive)), (9, 1));
    }

    #[test]
    fn l9_a_panicking_closure_drops_its_captures_once() {
        let alive = Rc::new(());
        let captured = alive.clone();
        let closure = InlineOnce::new(move |()| {
            let _captured = captured;
            panic!("expected");
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| closure.call(())));
        assert!(outcome.is_err());
        assert_eq!(Rc::strong_count(&alive), 1);
    }

    #[test]
    fn closures_of_four_words_stay_inline() {
        assert!(fits_inline::<[usize; 4]>());
        assert!(!fits_inline::<[usize; 5]>());
        assert_eq!(size_of::<InlineOnce<()>>(), 5 * size_of::<usize>());
        assert_eq!(size_of::<Option<InlineOnce<()>>>(), 5 * size_of::<usize>());
    }
}
