//! What a person gets from `ninefold map` and `ninefold view`: the real binary, its pictures, its one line
//! per mistake.

use std::path::PathBuf;
use std::process::{Command, Output};

use ninefold_world::{BspWorld, ChunkCoord, Generator};

const MISTAKE: Option<i32> = Some(2);
const SEED: u64 = 9;

/// A file of the test's own, removed at its end.
struct Out(PathBuf);

impl Out {
    fn new(name: &str) -> Out {
        Out(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the test directory's name is UTF-8")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.0).expect("the picture was written")
    }

    fn picture(&self) -> Picture {
        let bytes = self.bytes();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("it is a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("it has a size")];
        let frame = reader.next_frame(&mut pixels).expect("it is whole");
        Picture { width: frame.width as usize, height: frame.height as usize, pixels }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    fn at(&self, x: usize, y: usize) -> [i32; 3] {
        let start = 3 * (y * self.width + x);
        [0, 1, 2].map(|i| i32::from(self.pixels[start + i]))
    }
}

fn ninefold(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ninefold")).args(args).output().expect("the binary can be run")
}

/// What a command that succeeds says.
fn said(args: &[&str]) -> String {
    let output = ninefold(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

/// The one line on standard error of a command that must fail with exit code 2.
fn mistake(args: &[&str]) -> String {
    let output = ninefold(args);
    let stderr = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), MISTAKE, "{args:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty() && stderr.starts_with("ninefold: "), "{stderr}");
    stderr
}

fn view(out: &Out, at: &str, more: &[&str]) -> String {
    let base = ["view", "--seed", "9", "--size", "96x54", "--at", at, "--out", out.path()];
    said(&[&base[..], more].concat())
}

/// The middle of the first cell of a chunk that is open, under the sky or a roof, and all around it.
fn open_place(coord: ChunkCoord, under_sky: bool) -> Option<String> {
    let grid = BspWorld::new(SEED).grid(coord);
    let fits =
        |x: usize, z: usize| grid.at(x, z).open().is_some_and(|open| open.ceiling.is_none() == under_sky);
    let cells = (2..14).flat_map(|z| (2..14).map(move |x| (x, z)));
    let (x, z) = cells.into_iter().find(|(x, z)| (0..9).all(|n| fits(x + n % 3 - 1, z + n / 3 - 1)))?;
    let (x0, z0) = coord.origin();
    Some(format!("{},{}", x0 + 64.0 * x as f64 + 32.0, z0 + 64.0 * z as f64 + 32.0))
}

#[test]
fn the_same_arguments_give_the_same_bytes() {
    let (first, second) = (Out::new("same-1.png"), Out::new("same-2.png"));
    for out in [&first, &second] {
        said(&["map", "--seed", "9", "--center", "-3,2", "--radius", "1", "--out", out.path()]);
    }
    assert_eq!(first.bytes(), second.bytes());
    let at = open_place(ChunkCoord::new(-2, -2), true).expect("open land lies there");
    for out in [&first, &second] {
        view(out, &at, &["--yaw", "200"]);
    }
    assert_eq!(first.bytes(), second.bytes());
}

#[test]
fn one_thread_draws_what_many_draw() {
    let (one, many) = (Out::new("one-thread.png"), Out::new("many-threads.png"));
    let at = open_place(ChunkCoord::new(-2, -2), true).expect("open land lies there");
    for (out, threads) in [(&one, "1"), (&many, "4")] {
        let args = ["view", "--seed", "9", "--size", "64x60", "--at", &at, "--out", out.path()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_ninefold"));
        assert!(command.args(args).env("RAYON_NUM_THREADS", threads).status().unwrap().success());
    }
    assert_eq!(one.bytes(), many.bytes());
}

#[test]
fn another_seed_gives_another_map() {
    let (first, second) = (Out::new("seed-1.png"), Out::new("seed-2.png"));
    for (seed, out) in [("1", &first), ("2", &second)] {
        said(&["map", "--seed", seed, "--radius", "0", "--out", out.path()]);
    }
    assert_ne!(first.bytes(), second.bytes());
}

#[test]
fn a_map_has_a_field_with_a_frame_and_a_legend_beside_it() {
    let out = Out::new("legend.png");
    let told = said(&["map", "--seed", "9", "--radius", "2", "--out", out.path()]);
    let picture = out.picture();
    assert!(told.contains(&format!("{} x {} pixels", picture.width, picture.height)), "{told}");
    let paper = picture.at(2, 2);
    let row = |y: usize| (0..picture.width).map(|x| picture.at(x, y)).collect::<Vec<_>>();
    let middle = row(picture.height / 2);
    // The legend's panel is paler than the paper, and dark letters stand in it.
    let panel = &middle[picture.width - 336 - 36..picture.width - 37];
    let is_paler = |pixel: &[i32; 3]| (0..3).all(|i| pixel[i] > paper[i]);
    assert!(panel.iter().filter(|pixel| is_paler(pixel)).count() > panel.len() / 2);
    let letters = (0..picture.height).flat_map(|y| row(y)[picture.width - 336 - 36..].to_vec());
    assert!(letters.filter(|pixel| pixel.iter().sum::<i32>() < 250).count() > 1_000);
}

#[test]
fn the_sky_is_above_and_the_ground_below() {
    let at = open_place(ChunkCoord::new(-2, -2), true).expect("open land lies there");
    let out = Out::new("sky.png");
    view(&out, &at, &["--yaw", "0"]);
    let picture = out.picture();
    assert_eq!((picture.width, picture.height), (96, 54));
    for x in 0..picture.width {
        let [r, _, b] = picture.at(x, 0);
        assert!(b > r && b > 120, "the sky at {x}: {:?}", picture.at(x, 0));
        let [r, g, b] = picture.at(x, picture.height - 1);
        assert!(b < r.max(g), "the ground at {x}: {:?}", [r, g, b]);
    }
}

#[test]
fn no_sky_is_seen_under_a_roof() {
    let here = (-8..8).map(|n| ChunkCoord::new(n, 4)).find_map(|c| open_place(c, false));
    let out = Out::new("roof.png");
    view(&out, &here.expect("rooms lie there"), &["--pitch", "80"]);
    let picture = out.picture();
    for (x, y) in [(10, 10), (48, 27), (80, 40)] {
        let [r, _, b] = picture.at(x, y);
        assert!(b < r + 40, "{:?}", picture.at(x, y));
    }
}

#[test]
fn what_is_drawn_and_what_is_culled_add_up_to_the_ring() {
    let at = open_place(ChunkCoord::new(-2, -2), true).expect("open land lies there");
    let out = Out::new("counts.png");
    let told = view(&out, &at, &["--yaw", "90"]);
    let numbers = |line: &str| -> Vec<usize> {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
    };
    let leaves = numbers(told.lines().find(|l| l.starts_with("leaves: ")).expect("leaves are told"));
    let [all, drawn, culled, by_frustum, by_pvs] = leaves[..] else { panic!("{told}") };
    assert_eq!(drawn + culled, all);
    assert_eq!(by_frustum + by_pvs, culled);
    assert!(drawn > 0 && by_frustum > all / 4, "{told}");
    let faces = numbers(told.lines().find(|l| l.starts_with("faces: ")).expect("faces are told"));
    assert!(faces[1] > 0 && faces[1] < faces[0], "{told}");
}

#[test]
fn pictures_reach_to_the_ends_of_the_world() {
    let out = Out::new("ends.png");
    for (cx, cz) in [(i32::MIN, i32::MIN), (i32::MAX, i32::MAX), (-77_777_777, 1_000_000)] {
        let centre = format!("{cx},{cz}");
        said(&["map", "--seed", "9", "--center", &centre, "--radius", "1", "--out", out.path()]);
        let coord = ChunkCoord::new(cx, cz);
        let grid = BspWorld::new(SEED).grid(coord);
        let (x, z) = (1..15)
            .flat_map(|z| (1..15).map(move |x| (x, z)))
            .find(|(x, z)| grid.at(*x, *z).open().is_some())
            .expect("every chunk has air");
        let (x0, z0) = coord.origin();
        let at = format!("{},{}", x0 + 64.0 * x as f64 + 32.0, z0 + 64.0 * z as f64 + 32.0);
        view(&out, &at, &["--doors", "open"]);
    }
}

#[test]
fn mistakes_name_the_thing_and_what_to_do() {
    let out = Out::new("mistake.png");
    let says = |args: &[&str], words: &[&str]| {
        let line = mistake(&[args, &["--out", out.path()]].concat());
        for word in words {
            assert!(line.contains(word), "{args:?} says {line}");
        }
        assert!(!out.0.exists(), "{args:?} wrote a picture");
    };
    says(&["map"], &["--seed"]);
    says(&["map", "--seed", "x"], &["--seed", "x"]);
    says(&["map", "--seed", "9", "--center", "3"], &["--center", "3", "-3,12"]);
    says(&["map", "--seed", "9", "--center", "3,9999999999"], &["--center", "2147483647"]);
    says(&["map", "--seed", "9", "--radius", "49"], &["--radius", "49", "48"]);
    says(&["--tick-rate-hz", "30", "map", "--seed", "9"], &["--tick-rate-hz", "map"]);
    says(&["view", "--seed", "9"], &["--at"]);
    says(&["view", "--seed", "9", "--at", "nan,1"], &["--at", "-512,96.5"]);
    says(&["view", "--seed", "9", "--at", "1e300,0"], &["--at", "outside the world"]);
    says(&["view", "--seed", "9", "--at", "96,96", "--pitch", "90"], &["--pitch", "-89 to 89"]);
    says(&["view", "--seed", "9", "--at", "96,96", "--size", "0x9"], &["--size", "960x540"]);
    says(&["view", "--seed", "9", "--at", "96,96", "--doors", "ajar"], &["--doors", "ajar"]);
    says(&["view", "--seed", "9", "--at", "96,96", "--eye", "500"], &["--eye", "128"]);
}

#[test]
fn rock_and_ceilings_are_told_with_what_would_do() {
    let grid = BspWorld::new(SEED).grid(ChunkCoord::new(0, 0));
    let cells = || (0..16).flat_map(|z| (0..16).map(move |x| (x, z)));
    let (x, z) = cells().find(|(x, z)| grid.at(*x, *z).open().is_none()).expect("there is rock");
    let at = format!("{},{}", 64 * x + 5, 64 * z + 5);
    let out = Out::new("rock.png");
    let ask = |at: &str, eye: &str| {
        mistake(&["view", "--seed", "9", "--at", at, "--eye", eye, "--size", "16x9", "--out", out.path()])
    };
    let line = ask(&at, "48");
    assert!(line.contains(&format!("rock at {at}")), "{line}");
    let better = line.split("--at ").nth(1).expect("it names a better place").trim().to_owned();
    view(&out, &better, &[]);
    let line = ask(&better, "127.5");
    let highest = line.split("at most ").nth(1).expect("it names the highest").trim().to_owned();
    view(&out, &better, &["--eye", &highest]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let path = "no/such/folder/map.png";
    let line = mistake(&["map", "--seed", "9", "--radius", "0", "--out", path]);
    assert!(line.contains(path), "{line}");
    let line = mistake(&["view", "--seed", "9", "--at", "-1504,-1504", "--size", "16x9", "--out", path]);
    assert!(line.contains(path), "{line}");
}
