//! The arguments of `ninefold map` and `ninefold view`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use ninefold::picture::{MapOptions, RADIUS_MAX};
use ninefold_world::ChunkCoord;

/// The subcommand that draws a map.
pub fn map_command() -> Command {
    Command::new("map")
        .about("Draw the world from above into a PNG")
        .arg(seed())
        .arg(
            Arg::new("center")
                .long("center")
                .value_name("CX,CZ")
                .value_parser(chunk_coord)
                .allow_hyphen_values(true)
                .default_value("0,0")
                .help("The chunk in the middle"),
        )
        .arg(
            Arg::new("radius")
                .long("radius")
                .value_name("CHUNKS")
                .value_parser(value_parser!(u32).range(0..=i64::from(RADIUS_MAX)))
                .default_value("3")
                .help("Chunks from the middle to each side"),
        )
        .arg(out())
}

/// What to map, and the file to write.
pub fn map_request(matches: &ArgMatches) -> (MapOptions, PathBuf) {
    let options = MapOptions {
        world_seed: *required(matches, "seed"),
        centre: *required(matches, "center"),
        radius: *required(matches, "radius"),
    };
    (options, required::<PathBuf>(matches, "out").clone())
}

fn seed() -> Arg {
    Arg::new("seed")
        .long("seed")
        .value_name("SEED")
        .value_parser(value_parser!(u64))
        .required(true)
        .allow_negative_numbers(true)
        .help("The seed of the world")
}

fn out() -> Arg {
    Arg::new("out")
        .long("out")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .required(true)
        .help("The PNG to write")
}

fn required<'m, T: Clone + Send + Sync + 'static>(matches: &'m ArgMatches, name: &str) -> &'m T {
    matches.get_one::<T>(name).expect("the argument is required or has a default")
}

fn chunk_coord(text: &str) -> Result<ChunkCoord, String> {
    let say = || format!("a chunk is two whole numbers from {} to {}, such as -3,12", i32::MIN, i32::MAX);
    let (cx, cz) = text.split_once(',').ok_or_else(say)?;
    let number = |text: &str| text.trim().parse::<i32>().map_err(|_| say());
    Ok(ChunkCoord { cx: number(cx)?, cz: number(cz)? })
}
