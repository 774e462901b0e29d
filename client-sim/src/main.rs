//! `ninefold-sim`.
fn main() {}
