//! Round trips, sizes, and bytes that somebody changed.

use super::*;
use crate::biome::Biome;
use crate::bsp;
use crate::cell::Cell;
use crate::chunk::Child;
use crate::coord::{CHUNK_FIXED, ChunkCoord, LocalPoint};
use crate::generator::{BspWorld, Generator};
use crate::grid::Grid;
use crate::grid::tests::coords;
use crate::mesh::Mesh;
use crate::scratch::Scratch;
use proptest::prelude::*;

fn chunk(cx: i32, cz: i32) -> Chunk {
    BspWorld::new(9).generate(ChunkCoord { cx, cz }, &mut Scratch::default())
}

#[test]
fn what_was_encoded_is_decoded() {
    let world = BspWorld::new(9);
    let mut scratch = Scratch::default();
    for coord in coords(600) {
        let chunk = world.generate(coord, &mut scratch);
        let bytes = encode(&chunk);
        assert!(decode(&bytes).as_ref() == Ok(&chunk), "{coord:?}");
        assert_eq!(encode(&chunk), bytes);
    }
    let safe = Chunk::safe(ChunkCoord { cx: i32::MIN, cz: 0 });
    assert_eq!(decode(&encode(&safe)), Ok(safe));
}

#[test]
fn a_chunk_of_nothing_but_rock_goes_over_the_wire() {
    let mut scratch = Scratch::default();
    for biome in [Biome::Dungeon, Biome::Courtyard, Biome::Exterior] {
        let grid = Grid::uniform(ChunkCoord { cx: -2, cz: 7 }, biome, Cell::Solid);
        let rock = bsp::build(&grid, &mut scratch);
        assert_eq!((rock.nodes.len(), rock.leaves.len()), (0, 0));
        let decoded = decode(&encode(&rock)).unwrap();
        assert_eq!(decoded, rock, "{biome:?}");
        question(&decoded, 77, 4_000);
        assert_eq!(decoded.column(800, 800), None);
        let recipe = encode_recipe(&grid, &rock).expect("few styles");
        assert_eq!(Chunk::from_recipe(&recipe, &mut scratch), Ok(rock), "{biome:?}");
    }
}

#[test]
fn the_header_of_a_chunk_of_rock_counts_nothing() {
    let grid = Grid::uniform(ChunkCoord { cx: -2, cz: 7 }, Biome::Dungeon, Cell::Solid);
    let rock = bsp::build(&grid, &mut Scratch::default());
    let bytes = encode(&rock);
    let head = [b'9', b'F', b'C', b'H', 2, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 7, 0, 0, 0, 0];
    assert_eq!(bytes[..17], head);
    assert_eq!(bytes[18..32], [0; 14]);
    assert!(bytes.len() < 64, "{}", bytes.len());
    // A node without air, and air without a node.
    for at in [20, 22] {
        let mut alone = bytes.clone();
        alone[at] = 1;
        assert_eq!(decode(&alone), Err(DecodeError::Invalid { what: "tree", index: 0 }));
    }
}

#[test]
fn encoded_chunks_are_small() {
    let world = BspWorld::new(9);
    let mut scratch = Scratch::default();
    let mut sizes: [Vec<usize>; 3] = Default::default();
    for coord in coords(900) {
        let chunk = world.generate(coord, &mut scratch);
        sizes[chunk.biome as usize].push(encode(&chunk).len());
    }
    for (biome, sizes) in ["dungeon", "courtyard", "exterior"].iter().zip(&mut sizes) {
        sizes.sort_unstable();
        let (median, p99) = (sizes[sizes.len() / 2], sizes[sizes.len() * 99 / 100]);
        println!("{biome}: {median} bytes at the median, {p99} at p99");
        assert!(median <= 4_096 && p99 <= 8_192, "{biome}: {median} {p99}");
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let bytes = encode(&chunk(0, 0));
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        decode(&bytes).unwrap_err()
    };
    assert_eq!(with(0, b'X'), DecodeError::Magic(*b"XFCH"));
    assert_eq!(with(7, 9), DecodeError::Unknown { format: 2, kind: 0, encoding: 9, expected: 1 });
    assert_eq!(with(16, 3), DecodeError::Header { field: "biome", value: 3, max: 2 });
    assert!(matches!(with(21, 0x7f), DecodeError::Header { field: "nodes", .. }));
    assert!(matches!(with(8, bytes[8] ^ 1), DecodeError::ContentHash { .. }));
    assert!(matches!(with(40, bytes[40] ^ 1), DecodeError::ContentHash { .. }));
    assert_eq!(with(17, 2), DecodeError::Header { field: "visibility", value: 2, max: 1 });
    assert_eq!(with(28, 33), DecodeError::Header { field: "doors", value: 33, max: 32 });
    assert_eq!(with(31, 1), DecodeError::Header { field: "reserved", value: 1, max: 0 });
    assert_eq!(decode(&bytes[..47]), Err(DecodeError::Length(47)));
}

/// A chunk's body with something changed: the checks of the body are met before the hash is.
fn decode_body(chunk: &Chunk, change: impl FnOnce(&mut Vec<u8>)) -> Result<Chunk, DecodeError> {
    let mut body = Vec::new();
    write_body(chunk, &mut body);
    change(&mut body);
    read_body(&Header::of(chunk), &body)
}

#[test]
fn a_tree_that_loops_is_refused() {
    let mut looping = chunk(0, 0);
    looping.nodes[1].front = Child::Node(1);
    assert!(matches!(decode_body(&looping, |_| {}), Err(DecodeError::Invalid { .. })));
    let mut shared = chunk(0, 0);
    shared.nodes[0].back = shared.nodes[0].front;
    assert!(matches!(decode_body(&shared, |_| {}), Err(DecodeError::Invalid { .. })));
}

/// Asks a chunk that came from changed bytes whatever can be asked: nothing may panic.
pub(super) fn question(chunk: &Chunk, x: i16, z: i16) {
    let _ = chunk.column(x, z);
    let _ = chunk.contents(LocalPoint { x, y: 80, z });
    let _ = chunk.spawn(1);
    let _ = Mesh::of(chunk);
    if let Visibility::Table(table) = chunk.visibility() {
        let rows = (0..chunk.leaves().len()).map(|leaf| table.from_leaf(leaf).len());
        let seers = (0..table.openings().len()).map(|opening| table.of_opening(opening).len());
        assert!(rows.chain(seers).all(|count| count <= chunk.leaves().len()));
    }
    chunk.doors().iter().for_each(|door| assert!(door.solid_box().0 < door.solid_box().1));
}

/// Values put at random places of the body under the compression, of either encoding.
fn decode_changed(coord: ChunkCoord, recipe: bool, changes: &[(prop::sample::Index, u8)]) {
    let world = BspWorld::new(9);
    let (grid, mut scratch) = (world.grid(coord), Scratch::default());
    let built = crate::bsp::build(&grid, &mut scratch);
    let encoded = if recipe { encode_recipe(&grid, &built).expect("few styles") } else { encode(&built) };
    let fixed = if recipe { HEADER_BYTES + 1 } else { HEADER_BYTES };
    let (head, packed) = encoded.split_at(fixed);
    let (mut head, mut body) = (head.to_vec(), zstd::bulk::decompress(packed, DECODED_BYTES_MAX).unwrap());
    for (at, value) in changes {
        // One in four changes the header too.
        let at = at.index(body.len() + fixed / 4);
        *head.get_mut(at.wrapping_sub(body.len())).unwrap_or(body.get_mut(at).unwrap_or(&mut 0)) = *value;
    }
    pack::pack(&body, &mut head);
    let info = allocation_counter::measure(|| {
        let result = if recipe { Chunk::from_recipe(&head, &mut scratch) } else { decode(&head) };
        if let Ok(chunk) = result {
            question(&chunk, 77, 4_000);
        }
    });
    assert!(info.bytes_max <= DECODE_BYTES_MAX, "{} bytes", info.bytes_max);
}

/// What a decoder may have in memory at most: an unpacked body, a chunk of every limit, zstd's context,
/// and the buffers of a build.
pub(super) const DECODE_BYTES_MAX: u64 = 1 << 20;

#[test]
fn recipes_give_the_same_chunk_and_fit_in_a_datagram() {
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    let mut sizes: [Vec<usize>; 3] = Default::default();
    for coord in coords(900) {
        let grid = world.grid(coord);
        let chunk = crate::bsp::build(&grid, &mut scratch);
        let recipe = encode_recipe(&grid, &chunk).expect("a few styles");
        assert!(Chunk::from_recipe(&recipe, &mut scratch).as_ref() == Ok(&chunk), "{coord:?}");
        sizes[chunk.biome as usize].push(recipe.len());
    }
    for (biome, sizes) in ["dungeon", "courtyard", "exterior"].iter().zip(&mut sizes) {
        sizes.sort_unstable();
        let (median, p99) = (sizes[sizes.len() / 2], sizes[sizes.len() * 99 / 100]);
        println!("{biome}: recipe {median} bytes at the median, {p99} at p99");
        assert!(median <= 1_150 && p99 <= 2_300, "{biome}: {median} {p99}");
    }
}

#[test]
fn a_recipe_of_another_chunk_is_refused() {
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    let [one, other] = [ChunkCoord::new(0, 0), ChunkCoord::new(1, 0)].map(|coord| world.grid(coord));
    let built = crate::bsp::build(&other, &mut scratch);
    let mixed = encode_recipe(&one, &built).unwrap();
    let refused = Chunk::from_recipe(&mixed, &mut scratch).unwrap_err();
    assert!(matches!(refused, DecodeError::ContentHash { .. } | DecodeError::Body(_)), "{refused}");
    assert!(matches!(decode(&mixed), Err(DecodeError::Unknown { encoding: 2, expected: 1, .. })));
    let same = encode_recipe(&other, &built).unwrap();
    assert!(Chunk::from_recipe(&same[..48], &mut scratch).is_err());
}

#[test]
fn a_grid_of_too_many_styles_has_no_recipe() {
    let mut grid = BspWorld::new(9).grid(ChunkCoord::new(0, 0));
    for i in 0..256 {
        let mut open = crate::cell::OpenCell::outdoor(0, 0);
        open.wall_material = i as u8;
        grid.set(i % 16, i / 16, crate::cell::Cell::Open(open));
    }
    grid.doors.clear();
    let chunk = crate::bsp::build(&grid, &mut Scratch::default());
    assert_eq!(encode_recipe(&grid, &chunk), None);
    assert!(decode(&encode(&chunk)) == Ok(chunk));
}

#[test]
#[ignore = "a million inputs: about ten minutes"]
fn a_million_changed_inputs_do_no_harm() {
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig::with_cases(1_000_000));
    let coord = (0..40, 0..40).prop_map(|(cx, cz)| ChunkCoord { cx, cz });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6);
    let run = |(coord, recipe, changes): (_, bool, Vec<_>)| {
        decode_changed(coord, recipe, &changes);
        Ok(())
    };
    runner.run(&(coord, any::<bool>(), changes), run).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_are_no_chunk(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_never_gives_another_chunk(at: prop::sample::Index, value: u8) {
        let chunk = chunk(0, 0);
        let mut bytes = encode(&chunk);
        let at = at.index(bytes.len());
        bytes[at] = value;
        // Some bits of a compressed frame say nothing of its content.
        if let Ok(decoded) = decode(&bytes) {
            prop_assert!(decoded == chunk);
        }
    }

    #[test]
    fn changed_bodies_never_panic_and_stay_in_bounds(
        cx in 0..40, cz in 0..40, recipe: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        decode_changed(ChunkCoord { cx, cz }, recipe, &changes);
    }

    #[test]
    fn changed_trees_answer_questions(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        x in 0..CHUNK_FIXED, z in 0..CHUNK_FIXED,
    ) {
        let result = decode_body(&chunk(3, 1), |body| {
            for (at, value) in changes {
                let at = at.index(body.len());
                body[at] = value;
            }
        });
        if let Ok(chunk) = result {
            question(&chunk, x, z);
        }
    }
}
