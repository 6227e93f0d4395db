//! Benchmarks of Tulipa.
