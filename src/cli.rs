//! The command line: which command, and what its flags say about the configuration.
//!
//! The flags come from the table of keys. Their values are read by the configuration, so that a wrong
//! value is told the same way wherever it was said.

mod picture;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ninefold::config::{KEYS, Sources};
use ninefold::picture::{MapOptions, ViewOptions};
use ninefold_world::BuiltIn;

use crate::mint::TokenOrder;

/// Seconds of silence that end a session unless said otherwise.
const TOKEN_TIMEOUT_S: &str = "10";

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Run a server.
    Serve(Sources),
    /// Print the effective configuration.
    Config(Sources),
    /// Draw a map of a generator's world into a file.
    Map(BuiltIn, MapOptions, PathBuf),
    /// Draw what is seen in a generator's world of a seed into a file.
    View(BuiltIn, u64, ViewOptions, PathBuf),
    /// Make a private key file.
    Key(PathBuf),
    /// Mint a connect token.
    Token(Box<TokenOrder>),
    /// Print this text: help or the version.
    Tell(String),
}

/// A command line that cannot be understood, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// Reads the arguments, the program's name first. The environment is passed through.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: Vec<(OsString, OsString)>,
) -> Result<Request, UsageError> {
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Ok(Request::Tell(error.render().to_string()));
            }
            _ => return Err(usage_error(&error)),
        },
    };
    Ok(match matches.subcommand() {
        Some(("config", own)) => Request::Config(sources(&matches, own, env)),
        Some((name @ "map", own)) => {
            refuse_configuration(&matches, name)?;
            let (options, out) = picture::map_request(own);
            Request::Map(picture::generator_of(own), options, out)
        }
        Some((name @ "view", own)) => {
            refuse_configuration(&matches, name)?;
            let (world_seed, options, out) = picture::view_request(own);
            Request::View(picture::generator_of(own), world_seed, options, out)
        }
        Some(("key", own)) => Request::Key(said(own, "file")),
        Some(("token", own)) => Request::Token(Box::new(token_order(&matches, own, env))),
        Some((_, own)) => Request::Serve(sources(&matches, own, env)),
        None => Request::Serve(sources(&matches, &matches, env)),
    })
}

fn command() -> Command {
    let root = Command::new("ninefold")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A low-latency UDP and QUIC game server for worlds too large to load")
        .after_help(
            "Without a command it serves. A flag goes before the environment, the environment before the \
             file,\nthe file before the default. `ninefold config` prints and explains every key.",
        )
        .disable_help_subcommand(true);
    let serve = Command::new("serve").about("Run a server until Ctrl-C or SIGTERM");
    let config =
        Command::new("config").about("Print the effective configuration, each key explained, as TOML");
    configurable(root)
        .subcommand(configurable(serve))
        .subcommand(configurable(config))
        .subcommand(key_command())
        .subcommand(configurable(token_command()))
        .subcommand(picture::map_command())
        .subcommand(picture::view_command())
}

/// A command that takes a configuration. The flags stand before or after its name.
fn configurable(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Read the configuration from this TOML file");
    let keys = KEYS.iter().map(|key| {
        let summary = key.explanation.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let allowed = (key.allowed)();
        let allowed = if allowed.is_empty() { allowed } else { format!(" [allowed: {allowed}]") };
        let origin = format!("[default: {}]{allowed} [env: {}]", key.default_toml(), key.env_name());
        let first = summary.split_inclusive(". ").next().unwrap_or_default().trim().to_owned();
        // What everybody calls it.
        let alias = (key.name == "metrics_listen").then_some("metrics");
        Arg::new(key.name)
            .long(key.flag_name())
            .visible_aliases(alias)
            .value_name("VALUE")
            .value_parser(value_parser!(OsString))
            .allow_negative_numbers(true)
            .help_heading("Configuration")
            .help(first)
            .long_help(format!("{summary}\n{origin}"))
    });
    command.arg(file).args(keys)
}

fn key_command() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The file to make; one that exists is never overwritten");
    Command::new("key").about("Make a private key for private_key_file").arg(file)
}

fn token_command() -> Command {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let seconds = || value_parser!(u32);
    Command::new("token")
        .about("Mint a connect token with the configured private key and protocol id, in base64")
        .arg(
            arg("client-id", "ID", "Who may connect; a session of the same id is replaced")
                .required(true)
                .value_parser(value_parser!(u64)),
        )
        .arg(
            arg(
                "server",
                "ADDR",
                "Where to connect, as IP:PORT; up to 32, tried in order [default: the server's own]",
            )
            .action(ArgAction::Append)
            .value_delimiter(',')
            .value_parser(value_parser!(SocketAddr)),
        )
        .arg(
            arg(
                "expires-in-s",
                "SECONDS",
                "How long it can be used, at most a day [default: token_lifetime_s, else 60]",
            )
            .value_parser(seconds()),
        )
        .arg(
            arg("timeout-s", "SECONDS", "Silence that ends the session; 0 for none")
                .default_value(TOKEN_TIMEOUT_S)
                .value_parser(seconds()),
        )
        .arg(
            Arg::new("standard")
                .long("standard")
                .action(ArgAction::SetTrue)
                .help("Allow nothing beyond NETCODE 1.02: for servers of other makers"),
        )
        .arg(
            arg("out", "FILE", "Write it to this new file instead of standard output")
                .value_parser(value_parser!(PathBuf)),
        )
}

/// The value of an argument that is required or has a default.
fn said<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).cloned().expect("the parser refuses a command line without it")
}

fn token_order(root: &ArgMatches, matches: &ArgMatches, env: Vec<(OsString, OsString)>) -> TokenOrder {
    TokenOrder {
        sources: sources(root, matches, env),
        client_id: said(matches, "client-id"),
        servers: matches.get_many::<SocketAddr>("server").unwrap_or_default().copied().collect(),
        expires_in_s: matches.get_one::<u32>("expires-in-s").copied(),
        timeout_s: Some(said(matches, "timeout-s")).filter(|s| *s > 0),
        standard: matches.get_flag("standard"),
        out: matches.get_one::<PathBuf>("out").cloned(),
    }
}

/// What the flags say, those after the command's name before those in front of it.
fn sources(root: &ArgMatches, own: &ArgMatches, env: Vec<(OsString, OsString)>) -> Sources {
    let said = |name: &str| own.get_one::<OsString>(name).or_else(|| root.get_one(name)).cloned();
    let flags = KEYS.iter().filter_map(|key| Some((key.name.to_owned(), said(key.name)?))).collect();
    let file = own.get_one::<PathBuf>("config").or_else(|| root.get_one("config"));
    Sources { file: file.cloned(), env, flags }
}

/// A picture depends on its own arguments alone; a flag of the server in front of it would do nothing.
fn refuse_configuration(root: &ArgMatches, command: &str) -> Result<(), UsageError> {
    let key = KEYS.iter().find(|key| root.contains_id(key.name)).map(|key| key.flag_name());
    let flag = key.or_else(|| root.contains_id("config").then(|| "config".into()));
    match flag {
        Some(flag) => Err(UsageError(format!(
            "`--{flag}` says nothing to `{command}`; see `ninefold {command} --help`"
        ))),
        None => Ok(()),
    }
}

/// The first line of what clap would print over many.
fn usage_error(error: &clap::Error) -> UsageError {
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        return UsageError(format!("{} is needed; see `ninefold --help`", missing.join(" and ")));
    }
    let rendered = error.render().to_string();
    let line = rendered.lines().next().unwrap_or_default();
    let mut line = line.strip_prefix("error: ").unwrap_or(line).to_owned();
    // What is missing would stand on lines of its own.
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        line = format!("missing: {}", missing.join(", "));
    }
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let meant = meant.iter().find_map(|kind| match error.get(*kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(some) => some.first().cloned(),
        _ => None,
    });
    match meant {
        Some(meant) => line.push_str(&format!("; did you mean `{meant}`?")),
        None => line.push_str("; see `ninefold --help`"),
    }
    UsageError(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(args: &[&str]) -> Result<Request, UsageError> {
        parse(std::iter::once("ninefold").chain(args.iter().copied()).map(OsString::from), Vec::new())
    }

    fn error(args: &[&str]) -> String {
        ask(args).expect_err("it is wrong").to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn no_command_serves() {
        assert!(matches!(ask(&[]), Ok(Request::Serve(_))));
        let Ok(Request::Serve(sources)) = ask(&["--tick-rate-hz", "30"]) else { panic!() };
        assert_eq!(sources.flags, [("tick_rate_hz".to_owned(), OsString::from("30"))]);
    }

    #[test]
    fn a_picture_takes_no_configuration_and_names_what_it_needs() {
        let line = error(&["map", "--out", "a.png"]);
        assert!(line.contains("--seed <SEED> is needed"), "{line}");
        let line = error(&["--config", "a.toml", "view", "--seed", "1", "--at", "-1,2", "--out", "a.png"]);
        assert!(line.contains("`--config` says nothing to `view`"), "{line}");
        let Ok(Request::View(BuiltIn::Bsp, 1, options, out)) =
            ask(&["view", "--seed", "1", "--at", "-1,2.5", "--yaw", "-90", "--out", "a.png"])
        else {
            panic!()
        };
        assert_eq!((options.x, options.z, options.yaw_degrees), (-1.0, 2.5, 270.0));
        assert_eq!(out, PathBuf::from("a.png"));
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        for args in [["--world-seed=5", "config"], ["config", "--world-seed=5"]] {
            let Ok(Request::Config(sources)) = ask(&args) else { panic!("{args:?}") };
            assert_eq!(sources.flags, [("world_seed".to_owned(), OsString::from("5"))]);
        }
    }

    #[test]
    fn a_negative_number_reaches_the_configuration() {
        let Ok(Request::Serve(sources)) = ask(&["--world-seed", "-1"]) else { panic!() };
        assert_eq!(sources.flags[0].1, "-1");
    }

    #[test]
    fn a_token_takes_what_is_said_and_defaults_for_the_rest() {
        let args = ["token", "--client-id=7", "--server=127.0.0.1:1,[::1]:2", "--server=127.0.0.1:3"];
        let Ok(Request::Token(order)) = ask(&args) else { panic!() };
        assert_eq!((order.client_id, order.expires_in_s, order.timeout_s), (7, None, Some(10)));
        assert_eq!(order.servers, ["127.0.0.1:1", "[::1]:2", "127.0.0.1:3"].map(|a| a.parse().unwrap()));
        assert!(order.out.is_none() && !order.standard && order.sources.flags.is_empty());
        let args = ["token", "--client-id=7", "--timeout-s=0", "--protocol-id=5"];
        let Ok(Request::Token(order)) = ask(&args) else { panic!() };
        assert_eq!(order.timeout_s, None);
        assert_eq!(order.sources.flags, [("protocol_id".to_owned(), OsString::from("5"))]);
        let wrong = ["--client-id=-1", "--server=localhost:1", "--timeout-s=x", "--expires-in-s=-1"];
        for wrong in wrong {
            let line = error(&["token", "--client-id=7", wrong]);
            assert_eq!(line.lines().count(), 1, "{wrong}: {line}");
        }
        assert!(error(&["token"]).contains("--client-id"), "{}", error(&["token"]));
        assert!(error(&["key"]).contains("FILE"), "{}", error(&["key"]));
    }

    #[test]
    fn mistakes_are_one_line_and_find_what_was_meant() {
        let line = error(&["--tick-rate", "3"]);
        assert!(line.contains("--tick-rate") && line.contains("did you mean `--tick-rate-hz`"), "{line}");
        let line = error(&["serv"]);
        assert!(line.contains("serv") && line.contains("`serve`"), "{line}");
        let line = error(&["--listen"]);
        assert!(line.contains("--listen"), "{line}");
        let line = error(&["--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]);
        assert!(line.contains("multiple times"), "{line}");
        for args in [&["--tick-rate", "3"][..], &["serv"], &["--listen"], &["--bogus"], &["serve", "x"]] {
            assert_eq!(error(args).lines().count(), 1, "{args:?}");
        }
    }

    #[test]
    fn help_names_every_key_with_its_default_and_variable() {
        let Ok(Request::Tell(help)) = ask(&["--help"]) else { panic!() };
        for key in KEYS {
            assert!(help.contains(&format!("--{}", key.flag_name())), "{}", key.name);
            assert!(help.contains(&key.env_name()), "{}", key.name);
        }
        let Ok(Request::Tell(version)) = ask(&["--version"]) else { panic!() };
        assert_eq!(version.trim(), format!("ninefold {}", env!("CARGO_PKG_VERSION")));
    }
}
