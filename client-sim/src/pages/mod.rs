//! Pages that need nothing but themselves: one file of HTML each, with styles, plots and data inside, to be opened
//! offline, mailed, or kept with a build.
//!
//! What comes from a file or a scenario is hostile: `maud` escapes all text, the plots' data are JSON in which no tag
//! can begin, the script makes text nodes of it, and the page's own policy lets no other script run and nothing be
//! loaded. Tables are written here and need no script.

mod capacity;
pub(crate) mod command;
pub(crate) mod figures;
pub(crate) mod plot;
mod report;
mod sections;
mod shell;
mod versus;

pub use capacity::capacity;
pub use command::ReportArguments;
pub use report::{Run, report};
pub(crate) use shell::{Page, page};

#[cfg(test)]
mod tests;
