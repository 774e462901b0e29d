//! What is said: frames.
