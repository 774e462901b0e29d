//! Fuzz targets of both encodings. How they run: docs/fuzzing.md.
//!
//! Bodies are changed below the compression, which would refuse almost everything before a decoder saw it:
//! an input is a header as it is on the wire (with the number of styles, for a recipe) and the unpacked body.

use ninefold_fuzz::{corpus_dir, target};

use super::tests::{DECODE_BYTES_MAX, question};
use super::*;
use crate::bsp::build;
use crate::coord::ChunkCoord;
use crate::generator::{BspWorld, Generator};
use crate::scratch::Scratch;

/// Chunks whose encodings are the seeds: of each biome, with doors and without.
const SEED_CHUNKS: [(i32, i32); 4] = [(0, 0), (3, 1), (17, 9), (31, 30)];

target! {
    /// What came from the network as it came.
    encoded_chunks_are_read_or_refused(Bytes, 20_000) |bytes: &[u8]| {
        let mut scratch = Scratch::default();
        if let Ok(chunk) = decode(bytes) {
            assert_eq!(decode(&encode(&chunk)).as_ref(), Ok(&chunk));
        }
        let _ = Chunk::from_recipe(bytes, &mut scratch);
    }
}

target! {
    /// A tree whose bytes somebody chose: within its memory, and if it is taken, it answers whatever is asked.
    trees_are_read_or_refused(Bytes, 4_000) |bytes: &[u8]| {
        let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
        let mut packed = head.to_vec();
        pack::pack(body, &mut packed);
        bounded(|| _ = decode(&packed));
        let Ok((header, _)) = Header::read(head, ENCODING_BSP) else { return };
        let body = of_length(body, body_bytes(&header));
        bounded(|| {
            if let Ok(chunk) = read_body(&header, &body) {
                question(&chunk, 77, 4_000);
            }
        });
    }
}

target! {
    /// The same of recipes: what is built from any grid is a chunk.
    recipes_are_built_or_refused(Bytes, 400) |bytes: &[u8]| {
        let Some((head, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return };
        let Some((styles, body)) = rest.split_first() else { return };
        let mut scratch = Scratch::default();
        let mut packed = [&head[..], &[*styles]].concat();
        pack::pack(body, &mut packed);
        bounded(|| _ = Chunk::from_recipe(&packed, &mut scratch));
        let Ok((header, _)) = Header::read(head, ENCODING_RECIPE) else { return };
        let styles = usize::from(*styles);
        let body = of_length(body, recipe::body_bytes(styles, header.doors, header.lights));
        let Ok(grid) = recipe::read_grid(&header, styles, &body) else { return };
        let mut built = None;
        bounded(|| built = Some(build(&grid, &mut scratch)));
        let chunk = built.expect("it was just built");
        question(&chunk, 4_000, 77);
        assert_eq!(decode(&encode(&chunk)).as_ref(), Ok(&chunk), "a built chunk goes over the wire");
    }
}

/// A body of the length that was announced: another one is refused by the one who unpacks, before it is looked at.
fn of_length(body: &[u8], length: usize) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(length, 0);
    body
}

fn bounded(work: impl FnOnce()) {
    let memory = allocation_counter::measure(work);
    assert!(memory.bytes_max <= DECODE_BYTES_MAX, "{} bytes", memory.bytes_max);
}

/// `cargo test -p ninefold-world -- --ignored the_seeds_are_written_anew`
#[test]
#[ignore = "writes files"]
fn the_seeds_are_written_anew() {
    let write = |target: &str, coord: ChunkCoord, bytes: &[u8]| {
        std::fs::create_dir_all(corpus_dir(target)).unwrap();
        std::fs::write(corpus_dir(target).join(format!("{}.{}", coord.cx, coord.cz)), bytes).unwrap();
    };
    let unpacked = |encoded: &[u8], head: usize| {
        let body = zstd::bulk::decompress(&encoded[head..], DECODED_BYTES_MAX).unwrap();
        [&encoded[..head], &body].concat()
    };
    let (world, mut scratch) = (BspWorld::new(9), Scratch::default());
    for (cx, cz) in SEED_CHUNKS {
        let coord = ChunkCoord { cx, cz };
        let grid = world.grid(coord);
        let chunk = build(&grid, &mut scratch);
        let (tree, recipe) = (encode(&chunk), encode_recipe(&grid, &chunk).expect("few styles"));
        write("encoded_chunks_are_read_or_refused", coord, if cx % 2 == 0 { &tree } else { &recipe });
        write("trees_are_read_or_refused", coord, &unpacked(&tree, HEADER_BYTES));
        write("recipes_are_built_or_refused", coord, &unpacked(&recipe, HEADER_BYTES + 1));
    }
}
