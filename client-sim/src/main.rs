//! `ninefold-sim`: headless clients, from the command line.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, value_parser};
use ninefold_netem::Path;
use ninefold_sim::demo::Demo;
use ninefold_sim::report::verdict;
use ninefold_sim::swarm::Carrier;
use ninefold_sim::virtual_world::command::Order;

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

#[derive(Subcommand)]
enum Command {
    Virtual(Order),
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
        Command::Virtual(order) => order.run().unwrap_or_else(|error| unusable(&error)),
        demo @ Command::Demo { .. } => run_demo(demo),
    }
}

/// One line of what is wrong.
fn unusable(error: &anyhow::Error) -> ExitCode {
    eprintln!("ninefold-sim: {error:#}");
    ExitCode::from(EXIT_UNUSABLE)
}

fn run_demo(command: Command) -> ExitCode {
    let Command::Demo { clients, carrier, line, seconds, seed, speed, json, threads, capture, quiet } =
        command
    else {
        unreachable!("the caller has looked")
    };
    let (clients, threads) = (clients as usize, threads as usize);
    let line = line.as_deref().and_then(Path::named);
    match (Demo { clients, carrier, line, seconds, seed, speed, threads, json, capture, quiet }).run() {
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
        Err(error) => unusable(&error),
    }
}
