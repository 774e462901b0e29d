//! What is counted, and what a case is.

/// Something whose instructions are counted.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// As in the baseline.
    pub name: &'static str,
    /// How often the work is done; what is told is for once.
    pub times: u32,
    /// Prepares, and does the work so many times in [`counted`].
    pub run: fn(u32),
}

/// Instructions are counted from here until it returns. The counting tool knows it by its name.
#[inline(never)]
pub fn counted(work: &mut dyn FnMut()) {
    work();
}
