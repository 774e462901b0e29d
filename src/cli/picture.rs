//! The arguments of `ninefold map` and `ninefold view`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use ninefold::picture::{EYE_UNITS, MapOptions, RADIUS_MAX, SIDE_PIXELS_MAX, ViewOptions};
use ninefold_world::{BuiltIn, ChunkCoord};

/// The subcommand that draws a map.
pub fn map_command() -> Command {
    Command::new("map")
        .about("Draw the world from above into a PNG")
        .arg(seed())
        .arg(generator())
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

/// The subcommand that draws what an eye in the world sees.
pub fn view_command() -> Command {
    let number = |name: &'static str, unit: &'static str, default: String, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(unit)
            .value_parser(finite)
            .allow_negative_numbers(true)
            .default_value(default)
            .help(help)
    };
    let at = Arg::new("at")
        .long("at")
        .value_name("X,Z")
        .value_parser(place)
        .allow_hyphen_values(true)
        .required(true)
        .help("Where the eye stands, in units eastward and southward");
    let doors = Arg::new("doors")
        .long("doors")
        .value_parser(["closed", "open"])
        .default_value("closed")
        .help("How all doors stand");
    let size = Arg::new("size")
        .long("size")
        .value_name("WxH")
        .value_parser(size)
        .default_value("960x540")
        .help("Pixels along a row, and rows");
    Command::new("view")
        .about("Draw what an eye in the world sees into a PNG")
        .arg(seed())
        .arg(generator())
        .arg(at)
        .arg(number("yaw", "DEG", "0".into(), "Where it looks, from north, clockwise: 90 is east"))
        .arg(number("pitch", "DEG", "0".into(), "How far it looks up, -89 to 89").value_parser(pitch))
        .arg(number("eye", "UNITS", EYE_UNITS.to_string(), "Its height above the floor").value_parser(eye))
        .arg(
            number("fov", "DEG", "80".into(), "From the left to the right of the picture, 20 to 140")
                .value_parser(fov),
        )
        .arg(size)
        .arg(doors)
        .arg(out())
}

/// What to look at, the seed of its world, and the file to write.
pub fn view_request(matches: &ArgMatches) -> (u64, ViewOptions, PathBuf) {
    let number = |name: &str| *required::<f64>(matches, name);
    let (x, z) = *required(matches, "at");
    let (width, height) = *required(matches, "size");
    let options = ViewOptions {
        x,
        z,
        yaw_degrees: number("yaw").rem_euclid(360.0) as f32,
        pitch_degrees: number("pitch") as f32,
        eye_units: number("eye"),
        fov_degrees: number("fov") as f32,
        width,
        height,
        doors_are_open: required::<String>(matches, "doors") == "open",
    };
    (*required(matches, "seed"), options, required::<PathBuf>(matches, "out").clone())
}

/// Whose world to draw.
pub fn generator_of(matches: &ArgMatches) -> BuiltIn {
    let name: &String = required(matches, "generator");
    BuiltIn::from_name(name).expect("only the names of generators are taken")
}

fn generator() -> Arg {
    Arg::new("generator")
        .long("generator")
        .value_name("NAME")
        .value_parser(BuiltIn::ALL.map(BuiltIn::name))
        .default_value(BuiltIn::Bsp.name())
        .help("Who makes the world")
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

fn finite(text: &str) -> Result<f64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| "not a number".to_owned())
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let number = finite(text)?;
    let say = || format!("choose a number from {low} to {high}");
    if (low..=high).contains(&number) { Ok(number) } else { Err(say()) }
}

fn pitch(text: &str) -> Result<f64, String> {
    within(text, -89.0, 89.0)
}

fn fov(text: &str) -> Result<f64, String> {
    within(text, 20.0, 140.0)
}

fn eye(text: &str) -> Result<f64, String> {
    within(text, 1.0, f64::from(ninefold_world::CHUNK_HEIGHT_UNITS))
}

fn place(text: &str) -> Result<(f64, f64), String> {
    let say = || "a place is two numbers, such as -512,96.5".to_owned();
    let (x, z) = text.split_once(',').ok_or_else(say)?;
    let number = |text: &str| finite(text).map_err(|_| say());
    Ok((number(x)?, number(z)?))
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let say = || format!("a size is two numbers from 1 to {SIDE_PIXELS_MAX}, such as 960x540");
    let (width, height) = text.split_once('x').ok_or_else(say)?;
    let side =
        |text: &str| text.parse().ok().filter(|side| (1..=SIDE_PIXELS_MAX).contains(side)).ok_or_else(say);
    Ok((side(width)?, side(height)?))
}
