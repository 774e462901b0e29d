//! The hot functions one by one, for a tool that counts their instructions: `.ci/counts` runs each under callgrind.
//!
//! `ninefold-counts` lists them, `ninefold-counts NAME` runs one. All that is before the work (a world, clients, a session)
//! is made outside [`counted`], the function whose instructions are counted, and those of what it calls. Each
//! case does the same work each time: no clock, no thread, seeds that are written here.
#![forbid(unsafe_code)]

mod counted;
mod link;
mod seal;
mod snapshot;
mod terrain;
mod tick;

use std::process::ExitCode;

use counted::Case;

/// By what they belong to.
const CASES: [&[Case]; 5] = [&link::CASES, &seal::CASES, &snapshot::CASES, &terrain::CASES, &tick::CASES];

fn main() -> ExitCode {
    let all = || CASES.iter().copied().flatten();
    let Some(wanted) = std::env::args().nth(1) else {
        all().for_each(|case| println!("{} {}", case.name, case.times));
        return ExitCode::SUCCESS;
    };
    match all().find(|case| case.name == wanted) {
        Some(case) => {
            (case.run)(case.times);
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("ninefold-counts: no case `{wanted}`; without an argument it lists them");
            ExitCode::from(2)
        }
    }
}
