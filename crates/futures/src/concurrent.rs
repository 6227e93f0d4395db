//! Futures that may cross threads (PEP 3148), and who runs jobs for them.
