//! A hint to the processor.
#![allow(unsafe_code)]

/// Has what lies at `place` fetched into the caches, where the processor can be told so. It may be any
/// address: nothing is read.
#[inline]
pub(super) fn prefetch<T>(place: *const T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind has the instruction. It changes nothing that a program
        // can see, and does nothing where there is no memory.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = place;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn any_address_will_do() {
        let number = Box::new(7_u64);
        prefetch(&raw const *number);
        prefetch(ptr::from_ref(&*number).wrapping_add(1 << 40));
        prefetch(ptr::null::<u64>());
        prefetch(ptr::without_provenance::<u64>(usize::MAX));
        assert_eq!(*number, 7);
    }
}
