//! `ninefold-sim`: headless clients, from the command line.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, value_parser};
use ninefold_netem::Path;
use ninefold_sim::capacity::CapacityArguments;
use ninefold_sim::demo::Demo;
use ninefold_sim::pages::ReportArguments;
use ninefold_sim::report::verdict;
use ninefold_sim::run::{self, RunArguments};
use ninefold_sim::scenario::{METRICS, QUANTILES};
use ninefold_sim::swarm::Carrier;
use ninefold_sim::virtual_world::command::Order;
use ninefold_sim::watch::Look;

/// Thousands of clients make and drop small things all the time, and spread what they keep (docs/numbers.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The demo ran and something that must hold did not.
const EXIT_FAILED: u8 = 1;
/// The arguments or the machine would not let it run.
const EXIT_UNUSABLE: u8 = 2;

#[derive(Parser)]
#[command(name = "ninefold-sim", version, about = "Headless ninefold clients by the thousand")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the exit codes of `run` mean.
const RUN_CODES: &str = "\
Exit codes:
  0   all objectives were met
  99  an objective was missed, or its figure was not measured
  98  the run is invalid: the generator itself was late, dropped datagrams or was saturated
  2   an argument or the scenario is wrong; one line says what
  1   the run could not be carried through: the server in this process died, or the machine refused
      sockets or threads

Objectives are `figure op value`, with <, <=, >, >=, == or != and a unit (us, ms, s; %; B, kB, MB; kB/s, MB/s; kB/h, MB/h).
`ninefold-sim figures` lists the figures. docs/load-testing.md explains all of it.";

#[derive(Subcommand)]
enum Command {
    /// Run a scenario over real sockets against a server, and judge it by its objectives.
    #[command(after_help = RUN_CODES)]
    Run {
        #[command(flatten)]
        arguments: Box<RunArguments>,
        /// Write all that was measured to this file, for `ninefold-sim report` and other programs.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Neither live view nor progress, only the summary.
        #[arg(long)]
        quiet: bool,
    },
    /// Tell what a run measured, or how two differ: as a page to look at, and as JUnit XML.
    Report(ReportArguments),
    /// Find the most clients with which a scenario's objectives are met.
    ///
    /// It doubles, halves, and repeats runs at the edge, where one run is luck. Exit code 0: a number was found; 99: not even
    /// the fewest clients met the objectives; 98: the generator gave out before the server; 2: an argument is wrong; 1: a
    /// run could not be carried through.
    Capacity(Box<CapacityArguments>),
    Virtual(Order),
    /// List the figures that objectives can name.
    Figures,
    /// Start a server on loopback, let clients walk in it over real sockets, and judge it.
    ///
    /// Exit code 0: every chunk was right and there on time and no client was lost; 1: not so, and why;
    /// 2: it could not run.
    Demo {
        /// Clients.
        #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=20_000))]
        clients: u32,
        /// What their packets ride on.
        #[arg(long, value_enum, default_value_t = Carrier::Udp)]
        carrier: Carrier,
        /// Put an emulated line between each client and the server.
        #[arg(long, value_name = "LINE", value_parser = PossibleValuesParser::new(Path::NAMES))]
        line: Option<String>,
        /// How long they walk once all have started, seconds.
        #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(1..=3_600))]
        seconds: u64,
        /// Chooses the world and the clients' ways.
        #[arg(long, default_value_t = 9, value_parser = value_parser!(u64).range(0..=i64::MAX as u64))]
        seed: u64,
        /// Full walking speed, units a second; a chunk is 1,024 units wide.
        #[arg(long, default_value_t = 320, value_parser = value_parser!(u32).range(1..=1_920))]
        speed: u32,
        /// Write the report to this file too.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Threads for the clients.
        #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(1..=64))]
        threads: u32,
        /// Write the datagrams of UDP clients to this file for Wireshark and tools/ninefold.lua, and their keys
        /// beside it, to the same name with ".keys" behind it. Two gigabytes at most.
        #[arg(long, value_name = "FILE")]
        capture: Option<PathBuf>,
        /// No progress, only the report.
        #[arg(long)]
        quiet: bool,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // What breaks in virtual time is meant to.
    let level = if matches!(command, Command::Virtual(_)) { "off" } else { "error" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match command {
        Command::Run { arguments, out, quiet } => run(&arguments, out.as_deref(), quiet),
        Command::Virtual(order) => order.run().unwrap_or_else(|error| fail(&error, EXIT_UNUSABLE)),
        Command::Report(arguments) => match arguments.write() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, EXIT_UNUSABLE),
        },
        Command::Capacity(arguments) => capacity(&arguments),
        Command::Figures => {
            figures();
            ExitCode::SUCCESS
        }
        Command::Demo { clients, carrier, line, seconds, seed, speed, json, threads, capture, quiet } => {
            let (clients, threads) = (clients as usize, threads as usize);
            let line = line.as_deref().and_then(Path::named);
            demo(&Demo { clients, carrier, line, seconds, seed, speed, threads, json, capture, quiet })
        }
    }
}

fn run(arguments: &RunArguments, out: Option<&std::path::Path>, quiet: bool) -> ExitCode {
    let order = match arguments.order() {
        Ok(order) => order,
        Err(error) => return fail(&error, EXIT_UNUSABLE),
    };
    // Told before the run, not after an hour of it.
    if let Some(path) = out
        && let Err(error) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        return fail(&anyhow::anyhow!("--out {}: {error}", path.display()), EXIT_UNUSABLE);
    }
    let mut look = match Look::begin(quiet) {
        Ok(look) => look,
        Err(error) => return fail(&error, EXIT_FAILED),
    };
    let outcome = run::execute(&order, &mut |glimpse| look.look(glimpse));
    look.finish();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return fail(&error, EXIT_FAILED),
    };
    if let Some(path) = out
        && let Err(error) = outcome.save(path)
    {
        return fail(&error.into(), EXIT_FAILED);
    }
    println!("{outcome}");
    ExitCode::from(outcome.verdict.exit_code())
}

fn capacity(arguments: &CapacityArguments) -> ExitCode {
    let order = match arguments.order() {
        Ok(order) => order,
        Err(error) => return fail(&error, EXIT_UNUSABLE),
    };
    match arguments.search(&order) {
        Ok(found) => {
            println!("{}", found.answer.in_words());
            ExitCode::from(found.exit_code())
        }
        Err(error) => fail(&error, EXIT_FAILED),
    }
}

fn figures() {
    for metric in METRICS {
        let name = if metric.is_spread { format!("{}_p99", metric.name) } else { metric.name.to_owned() };
        println!("{name:<28} {}", metric.about);
    }
    let quantiles = QUANTILES.map(|(name, _)| name).join(", ");
    println!("\np99 stands for any of {quantiles}");
}

fn demo(demo: &Demo) -> ExitCode {
    match demo.run() {
        Ok(report) => {
            println!("{report}");
            let reasons = verdict(&report);
            if reasons.is_empty() {
                println!("\npassed");
                return ExitCode::SUCCESS;
            }
            println!("\nfailed: {}", reasons.join("; "));
            ExitCode::from(EXIT_FAILED)
        }
        Err(error) => fail(&error, EXIT_UNUSABLE),
    }
}

/// One line, whatever names and paths may hold.
fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("ninefold-sim: {}", format!("{error:#}").replace(char::is_control, "?"));
    ExitCode::from(code)
}
