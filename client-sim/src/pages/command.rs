//! `ninefold-sim report`: what a run measured, as a page and for CI.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Run, report};
use crate::junit::junit;
use crate::outcome::Outcome;

/// What to tell of which runs.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// The file that `run --out` wrote.
    pub run: PathBuf,
    /// Another one, which is compared with the first.
    pub other: Option<PathBuf>,
    /// Write a page that needs nothing but itself: verdict, plots with zoom, tables, differences.
    #[arg(long, value_name = "FILE", required_unless_present = "junit")]
    pub html: Option<PathBuf>,
    /// Write the verdict as JUnit XML: objectives and checks of the generator are test cases. Of two runs, that of
    /// the other.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl ReportArguments {
    /// Reads the runs and writes what was asked for.
    pub fn write(&self) -> anyhow::Result<()> {
        let paths: Vec<&Path> = std::iter::once(&self.run).chain(&self.other).map(PathBuf::as_path).collect();
        let outcomes = paths.iter().map(|path| Outcome::load(path)).collect::<Result<Vec<Outcome>, _>>()?;
        let labels = labels(&paths);
        if let Some(path) = &self.html {
            let runs: Vec<Run<'_>> =
                labels.into_iter().zip(&outcomes).map(|(label, outcome)| Run { label, outcome }).collect();
            write(path, &report(&runs))?;
        }
        if let (Some(path), Some(outcome)) = (&self.junit, outcomes.last()) {
            let xml = junit(outcome).with_context(|| format!("{} cannot be told as XML", path.display()))?;
            write(path, &xml)?;
        }
        Ok(())
    }
}

pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The names of the files; the whole paths where they have the same one.
fn labels(paths: &[&Path]) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let names: Vec<String> = paths.iter().map(|path| name(path)).collect();
    if names.windows(2).all(|pair| pair[0] != pair[1]) {
        return names;
    }
    let whole: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    match whole.windows(2).any(|pair| pair[0] == pair[1]) {
        true => {
            whole.iter().zip(["first", "again"]).map(|(path, which)| format!("{path} ({which})")).collect()
        }
        false => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(paths: &[&str]) -> Vec<String> {
        labels(&paths.iter().map(Path::new).collect::<Vec<_>>())
    }

    #[test]
    fn runs_are_called_by_their_files_and_no_two_the_same() {
        assert_eq!(labelled(&["a/run.json"]), ["run.json"]);
        assert_eq!(labelled(&["a/before.json", "b/after.json"]), ["before.json", "after.json"]);
        assert_eq!(labelled(&["a/run.json", "b/run.json"]), ["a/run.json", "b/run.json"]);
        assert_eq!(labelled(&["run.json", "run.json"]), ["run.json (first)", "run.json (again)"]);
    }

    #[test]
    fn a_file_that_is_none_is_named_in_one_line() {
        let arguments = ReportArguments {
            run: "no/such.json".into(),
            other: None,
            html: Some("x.html".into()),
            junit: None,
        };
        let error = format!("{:#}", arguments.write().unwrap_err());
        assert!(error.contains("no/such.json") && !error.contains('\n'), "{error}");
    }
}
