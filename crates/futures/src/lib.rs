//! Callbacks, futures and the scheduler interface of Tulipa: no I/O, no operating system.
