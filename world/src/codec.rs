//! A chunk as bytes: the compiled tree, ready to draw and to walk in.
//!
//! ```text
//!  0      4        6     7         8   12  16     17        18      20     22      24     26        28            44
//!  +------+--------+-----+---------+---+---+------+---------+-------+------+-------+------+---------+-------------+--
//!  | 9FCH | format | kind| encoding| cx| cz| biome| reserved| planes| nodes| leaves| faces| vertices| content hash| body
//!  +------+--------+-----+---------+---+---+------+---------+-------+------+-------+------+---------+-------------+--
//! ```
//!
//! The body is compressed (zstd). Under it lies one stream for each field of each kind of thing, as
//! differences from the one before, low bytes first and high bytes after them: alike bytes stand
//! together, and compression finds them. A leaf's box follows from the tree and is not told. The
//! content hash is XXH3-128 over the header's fields from `cx` to `vertices` and the uncompressed body,
//! so another compressor changes no hash.
//!
//! [`decode`] checks everything before it believes it: sizes before memory, every index, the tree's
//! shape, every box and every corner, and last the content hash.

use xxhash_rust::xxh3::Xxh3;

use crate::biome::Biome;
use crate::chunk::{
    Axis, Child, Chunk, ContentHash, FACES_MAX, Face, LEAVES_MAX, Leaf, NODES_MAX, Node, PLANES_MAX, Plane,
    VERTICES_MAX,
};
use crate::coord::{CHUNK_FIXED, ChunkCoord, HEIGHT_FIXED};

/// The kind of chunk that this codec speaks of, on the wire.
pub const CHUNK_KIND_BSP: u8 = 0;
/// The number of this encoding on the wire.
pub const ENCODING_BSP: u8 = 1;
/// The version of this layout.
pub const FORMAT_VERSION: u16 = 1;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 44;
/// Bytes of the largest uncompressed body.
pub const DECODED_BYTES_MAX: usize = body_bytes([PLANES_MAX, NODES_MAX, LEAVES_MAX, FACES_MAX, VERTICES_MAX]);
/// Bytes of the largest encoded chunk that a decoder looks at.
pub const ENCODED_BYTES_MAX: usize = HEADER_BYTES + DECODED_BYTES_MAX + 1_024;

const MAGIC: [u8; 4] = *b"9FCH";
/// zstd's level: the next ones cost twice the time for a few percent.
const LEVEL: i32 = 1;
/// The header's fields that the content hash covers.
const HASHED: std::ops::Range<usize> = 8..28;
const LIMITS: [(&str, usize); 5] = [
    ("planes", PLANES_MAX),
    ("nodes", NODES_MAX),
    ("leaves", LEAVES_MAX),
    ("faces", FACES_MAX),
    ("vertices", VERTICES_MAX),
];

/// Why bytes are no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header, or longer than any chunk.
    #[error("{0} bytes are no chunk: {HEADER_BYTES} to {ENCODED_BYTES_MAX} expected")]
    Length(usize),
    /// It does not begin as a chunk does.
    #[error("the magic is {0:02x?}, not \"9FCH\"")]
    Magic([u8; 4]),
    /// Another version, kind or encoding.
    #[error(
        "format {format}, kind {kind}, encoding {encoding}: this decoder knows {FORMAT_VERSION}, {CHUNK_KIND_BSP}, {ENCODING_BSP}"
    )]
    Unknown {
        /// Version of the layout.
        format: u16,
        /// Kind of chunk.
        kind: u8,
        /// Encoding.
        encoding: u8,
    },
    /// A header field that cannot be.
    #[error("{field} is {value}, at most {max}")]
    Header {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: usize,
        /// The largest that it may have.
        max: usize,
    },
    /// The body does not decompress to what the header says.
    #[error("the body does not decompress to the {0} bytes that its counts need")]
    Body(usize),
    /// An index, plane, child or coordinate that cannot be.
    #[error("{what} {index} cannot be")]
    Invalid {
        /// What.
        what: &'static str,
        /// Which of them.
        index: usize,
    },
    /// All is well formed, and it is not what was encoded.
    #[error("the content hash is {computed:032x}, the header says {stated:032x}")]
    ContentHash {
        /// What the header says.
        stated: u128,
        /// What the content gives.
        computed: u128,
    },
}

/// Encodes a chunk. The same chunk gives the same bytes.
pub fn encode(chunk: &Chunk) -> Vec<u8> {
    let mut body = Vec::new();
    write_body(chunk, &mut body);
    let mut out = Vec::with_capacity(HEADER_BYTES + zstd::zstd_safe::compress_bound(body.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&[CHUNK_KIND_BSP, ENCODING_BSP]);
    out.extend_from_slice(&hashed_header(chunk));
    out.extend_from_slice(&chunk.content_hash.0.to_le_bytes());
    debug_assert_eq!(out.len(), HEADER_BYTES);
    let compressed = zstd::bulk::compress(&body, LEVEL).expect("zstd compresses any bytes in memory");
    out.extend_from_slice(&compressed);
    out.shrink_to_fit();
    out
}

/// Decodes a chunk from bytes that anybody may have sent.
pub fn decode(bytes: &[u8]) -> Result<Chunk, DecodeError> {
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(DecodeError::Length(bytes.len()));
    }
    let (header, compressed) =
        bytes.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::Length(bytes.len()))?;
    let (coord, biome, counts) = read_header(header)?;
    let expected = body_bytes(counts);
    // One frame and nothing after it.
    if zstd::zstd_safe::find_frame_compressed_size(compressed) != Ok(compressed.len()) {
        return Err(DecodeError::Body(expected));
    }
    let body = zstd::bulk::decompress(compressed, expected).map_err(|_| DecodeError::Body(expected))?;
    if body.len() != expected {
        return Err(DecodeError::Body(expected));
    }
    let mut chunk = read_body(coord, biome, counts, &body)?;
    let stated = u128::from_le_bytes(header[28..].try_into().expect("the header ends with 16 bytes"));
    let computed = hash_of(&header[HASHED], &body);
    if stated != computed {
        return Err(DecodeError::ContentHash { stated, computed });
    }
    chunk.content_hash = ContentHash(computed);
    Ok(chunk)
}

/// The hash over a chunk that was just built. `body` is a buffer that is used again.
pub(crate) fn content_hash(chunk: &Chunk, body: &mut Vec<u8>) -> ContentHash {
    body.clear();
    write_body(chunk, body);
    ContentHash(hash_of(&hashed_header(chunk), body))
}

fn hash_of(header: &[u8], body: &[u8]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(header);
    hasher.update(body);
    hasher.digest128()
}

fn hashed_header(chunk: &Chunk) -> [u8; 20] {
    let mut header = [0; 20];
    header[..4].copy_from_slice(&chunk.coord.cx.to_le_bytes());
    header[4..8].copy_from_slice(&chunk.coord.cz.to_le_bytes());
    header[8] = chunk.biome as u8;
    let counts =
        [chunk.planes.len(), chunk.nodes.len(), chunk.leaves.len(), chunk.faces.len(), chunk.vertices.len()];
    for (field, count) in header[10..].chunks_exact_mut(2).zip(counts) {
        field.copy_from_slice(&(count as u16).to_le_bytes());
    }
    header
}

fn read_header(header: &[u8; HEADER_BYTES]) -> Result<(ChunkCoord, Biome, [usize; 5]), DecodeError> {
    let u16_at = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let i32_at = |at: usize| i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let magic = [header[0], header[1], header[2], header[3]];
    if magic != MAGIC {
        return Err(DecodeError::Magic(magic));
    }
    let (format, kind, encoding) = (u16_at(4), header[6], header[7]);
    if (format, kind, encoding) != (FORMAT_VERSION, CHUNK_KIND_BSP, ENCODING_BSP) {
        return Err(DecodeError::Unknown { format, kind, encoding });
    }
    let biome = Biome::from_number(header[16]).ok_or(DecodeError::Header {
        field: "biome",
        value: header[16].into(),
        max: Biome::Exterior as usize,
    })?;
    if header[17] != 0 {
        return Err(DecodeError::Header { field: "reserved", value: header[17].into(), max: 0 });
    }
    let mut counts = [0; 5];
    for (i, (field, max)) in LIMITS.into_iter().enumerate() {
        counts[i] = usize::from(u16_at(18 + 2 * i));
        if counts[i] > max {
            return Err(DecodeError::Header { field, value: counts[i], max });
        }
    }
    if counts[1] == 0 || counts[2] == 0 {
        return Err(DecodeError::Invalid { what: "tree", index: 0 });
    }
    Ok((ChunkCoord { cx: i32_at(8), cz: i32_at(12) }, biome, counts))
}

/// Bytes of the uncompressed body with so many planes, nodes, leaves, faces and vertices.
const fn body_bytes([planes, nodes, leaves, faces, vertices]: [usize; 5]) -> usize {
    planes * (1 + 2) + nodes * (2 + 2 + 2) + leaves * 2 + faces * (2 + 1 + 4 * 2) + vertices * 3 * 2
}

fn write_body(chunk: &Chunk, out: &mut Vec<u8>) {
    let Chunk { planes, nodes, leaves, faces, vertices, .. } = chunk;
    out.extend(planes.iter().map(|p| p.axis as u8 | u8::from(p.faces_back) << 2));
    write_stream(out, planes.iter().map(|p| p.distance));
    write_stream(out, nodes.iter().map(|n| n.plane as i16));
    write_stream(out, nodes.iter().enumerate().map(|(i, n)| child_number(i, n.back)));
    write_stream(out, nodes.iter().enumerate().map(|(i, n)| child_number(i, n.front)));
    write_stream(out, leaves.iter().map(|l| l.faces as i16));
    write_stream(out, faces.iter().map(|f| f.plane as i16));
    out.extend(faces.iter().map(|f| f.material));
    for corner in 0..4 {
        write_stream(out, faces.iter().map(|f| f.vertices[corner] as i16));
    }
    for axis in 0..3 {
        write_stream(out, vertices.iter().map(|v| v[axis]));
    }
    debug_assert_eq!(
        out.len(),
        body_bytes([planes.len(), nodes.len(), leaves.len(), faces.len(), vertices.len()])
    );
}

/// Differences from one value to the next, all low bytes, then all high bytes.
fn write_stream(out: &mut Vec<u8>, values: impl Iterator<Item = i16> + Clone) {
    let differences = |values: &mut dyn Iterator<Item = i16>, out: &mut Vec<u8>, byte: usize| {
        let mut before = 0_i16;
        for value in values {
            out.push(zigzag(value.wrapping_sub(before)).to_le_bytes()[byte]);
            before = value;
        }
    };
    differences(&mut values.clone(), out, 0);
    differences(&mut values.clone(), out, 1);
}

/// Small differences, up or down, become small numbers.
fn zigzag(difference: i16) -> u16 {
    ((difference << 1) ^ (difference >> 15)) as u16
}

fn unzigzag(number: u16) -> i16 {
    (number >> 1) as i16 ^ -((number & 1) as i16)
}

/// A child as a number: rock is 0, a leaf negative, a node so many places after its parent.
fn child_number(parent: usize, child: Child) -> i16 {
    match child {
        Child::Solid => 0,
        Child::Node(index) => index as i16 - parent as i16,
        Child::Leaf(index) => -1 - index as i16,
    }
}

fn child_of(parent: usize, number: i16) -> Child {
    match number {
        0 => Child::Solid,
        1.. => Child::Node((parent as i32 + i32::from(number)).min(i32::from(u16::MAX)) as u16),
        _ => Child::Leaf((-1 - i32::from(number)) as u16),
    }
}

/// Reads the streams of a body whose length was checked.
struct Streams<'a>(&'a [u8]);

impl<'a> Streams<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(count);
        self.0 = tail;
        head
    }

    fn values(&mut self, count: usize) -> impl Iterator<Item = i16> + use<'a> {
        let (low, high) = (self.bytes(count), self.bytes(count));
        low.iter().zip(high).scan(0_i16, |before, (low, high)| {
            *before = before.wrapping_add(unzigzag(u16::from_le_bytes([*low, *high])));
            Some(*before)
        })
    }
}

fn read_body(coord: ChunkCoord, biome: Biome, counts: [usize; 5], body: &[u8]) -> Result<Chunk, DecodeError> {
    let [planes, nodes, leaves, faces, vertices] = counts;
    let mut streams = Streams(body);
    let planes = read_planes(&mut streams, planes)?;
    let nodes = read_nodes(&mut streams, nodes, &planes)?;
    let leaves = read_leaves(&mut streams, leaves, faces, &nodes, &planes)?;
    let faces = read_faces(&mut streams, faces);
    let mut corners = vec![[0; 3]; vertices];
    for axis in 0..3 {
        for (corner, value) in corners.iter_mut().zip(streams.values(vertices)) {
            corner[axis] = value;
        }
    }
    debug_assert!(streams.0.is_empty());
    check_geometry(&planes, &faces, &corners)?;
    let content_hash = ContentHash(0);
    let (doors, lights) = (Vec::new(), Vec::new());
    Ok(Chunk { coord, biome, planes, nodes, leaves, faces, vertices: corners, doors, lights, content_hash })
}

fn read_planes(streams: &mut Streams<'_>, count: usize) -> Result<Vec<Plane>, DecodeError> {
    let sides = streams.bytes(count);
    let mut planes = Vec::with_capacity(count);
    for (index, (side, distance)) in sides.iter().zip(streams.values(count)).enumerate() {
        let axis = match side & 3 {
            0 => Axis::X,
            1 => Axis::Y,
            2 => Axis::Z,
            _ => return Err(DecodeError::Invalid { what: "plane", index }),
        };
        let highest = if axis == Axis::Y { HEIGHT_FIXED } else { CHUNK_FIXED };
        if *side > 7 || !(0..=highest).contains(&distance) {
            return Err(DecodeError::Invalid { what: "plane", index });
        }
        planes.push(Plane { axis, faces_back: side & 4 != 0, distance });
    }
    Ok(planes)
}

fn read_nodes(streams: &mut Streams<'_>, count: usize, planes: &[Plane]) -> Result<Vec<Node>, DecodeError> {
    let (on, backs, fronts) = (streams.values(count), streams.values(count), streams.values(count));
    let mut nodes = Vec::with_capacity(count);
    for (index, ((plane, back), front)) in on.zip(backs).zip(fronts).enumerate() {
        let plane = plane as u16;
        let fits = planes.get(usize::from(plane)).is_some_and(|p| !p.faces_back);
        if !fits {
            return Err(DecodeError::Invalid { what: "plane of node", index });
        }
        nodes.push(Node { plane, back: child_of(index, back), front: child_of(index, front) });
    }
    Ok(nodes)
}

/// Walks the tree once: every node and every leaf has one parent, every plane parts the box that it
/// stands in, every leaf has a floor. Gives the leaves their boxes.
fn read_leaves(
    streams: &mut Streams<'_>,
    count: usize,
    faces: usize,
    nodes: &[Node],
    planes: &[Plane],
) -> Result<Vec<Leaf>, DecodeError> {
    const UNSEEN: Leaf = Leaf { min: [0; 3], max: [0; 3], is_sky: false, first_face: 0, faces: 0 };
    let mut leaves = vec![UNSEEN; count];
    let mut first_face = 0;
    for (leaf, faces) in leaves.iter_mut().zip(streams.values(count)) {
        (leaf.first_face, leaf.faces) = (first_face as u16, faces as u16);
        first_face += usize::from(leaf.faces);
    }
    if first_face != faces {
        return Err(DecodeError::Invalid { what: "faces of leaf", index: count - 1 });
    }
    // One below the lowest floor and one above the highest ceiling there is neither.
    let whole = ([0, -1, 0], [CHUNK_FIXED, HEIGHT_FIXED + 1, CHUNK_FIXED]);
    let mut open = vec![(Child::Node(0), whole)];
    let (mut nodes_seen, mut leaves_seen) = (0, 0);
    while let Some((child, (min, max))) = open.pop() {
        match child {
            Child::Solid => {}
            Child::Leaf(index) => {
                let leaf = leaves.get_mut(usize::from(index)).filter(|l| l.max == [0; 3]);
                let leaf = leaf.ok_or(DecodeError::Invalid { what: "leaf", index: index.into() })?;
                leaf.is_sky = max[1] > HEIGHT_FIXED;
                (leaf.min, leaf.max) = (min, [max[0], max[1].min(HEIGHT_FIXED), max[2]]);
                if min[1] < 0 || leaf.min[1] >= leaf.max[1] {
                    return Err(DecodeError::Invalid { what: "floor of leaf", index: index.into() });
                }
                leaves_seen += 1;
            }
            Child::Node(index) => {
                let invalid = DecodeError::Invalid { what: "node", index: index.into() };
                // Each visit parts a box, so more visits than nodes mean that one has two parents.
                nodes_seen += 1;
                let Some(node) = nodes.get(usize::from(index)).filter(|_| nodes_seen <= nodes.len()) else {
                    return Err(invalid);
                };
                let plane = planes[usize::from(node.plane)];
                let axis = plane.axis as usize;
                if plane.distance <= min[axis] || plane.distance >= max[axis] {
                    return Err(invalid);
                }
                let (mut below, mut above) = (max, min);
                (below[axis], above[axis]) = (plane.distance, plane.distance);
                open.push((node.back, (min, below)));
                open.push((node.front, (above, max)));
            }
        }
    }
    if nodes_seen != nodes.len() || leaves_seen != count {
        return Err(DecodeError::Invalid { what: "tree", index: nodes_seen });
    }
    Ok(leaves)
}

fn read_faces(streams: &mut Streams<'_>, count: usize) -> Vec<Face> {
    let planes = streams.values(count);
    let materials = streams.bytes(count);
    let mut faces: Vec<Face> = (planes.zip(materials))
        .map(|(plane, material)| Face { plane: plane as u16, material: *material, vertices: [0; 4] })
        .collect();
    for corner in 0..4 {
        for (face, vertex) in faces.iter_mut().zip(streams.values(count)) {
            face.vertices[corner] = vertex as u16;
        }
    }
    faces
}

fn check_geometry(planes: &[Plane], faces: &[Face], vertices: &[[i16; 3]]) -> Result<(), DecodeError> {
    for (index, [x, y, z]) in vertices.iter().enumerate() {
        let across = 0..=CHUNK_FIXED;
        if !across.contains(x) || !across.contains(z) || !(0..=HEIGHT_FIXED).contains(y) {
            return Err(DecodeError::Invalid { what: "vertex", index });
        }
    }
    for (index, face) in faces.iter().enumerate() {
        let plane = planes.get(usize::from(face.plane));
        let plane = plane.ok_or(DecodeError::Invalid { what: "plane of face", index })?;
        let lies_on = |vertex: &u16| {
            vertices.get(usize::from(*vertex)).is_some_and(|v| v[plane.axis as usize] == plane.distance)
        };
        if !face.vertices.iter().all(lies_on) {
            return Err(DecodeError::Invalid { what: "vertices of face", index });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{BspWorld, Generator};
    use crate::grid::tests::coords;
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
            assert_eq!(decode(&bytes).as_ref(), Ok(&chunk), "{coord:?}");
            assert_eq!(encode(&chunk), bytes);
        }
        let safe = Chunk::safe(ChunkCoord { cx: i32::MIN, cz: 0 });
        assert_eq!(decode(&encode(&safe)), Ok(safe));
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
        assert_eq!(with(7, 9), DecodeError::Unknown { format: 1, kind: 0, encoding: 9 });
        assert_eq!(with(16, 3), DecodeError::Header { field: "biome", value: 3, max: 2 });
        assert!(matches!(with(21, 0x7f), DecodeError::Header { field: "nodes", .. }));
        assert!(matches!(with(8, bytes[8] ^ 1), DecodeError::ContentHash { .. }));
        assert!(matches!(with(30, bytes[30] ^ 1), DecodeError::ContentHash { .. }));
        assert_eq!(decode(&bytes[..43]), Err(DecodeError::Length(43)));
    }

    /// A chunk's parts with one value changed, encoded with a right hash: the checks of the body are met
    /// before the hash is.
    fn decode_body(chunk: &Chunk, change: impl FnOnce(&mut Vec<u8>)) -> Result<Chunk, DecodeError> {
        let mut body = Vec::new();
        write_body(chunk, &mut body);
        change(&mut body);
        let counts = [
            chunk.planes.len(),
            chunk.nodes.len(),
            chunk.leaves.len(),
            chunk.faces.len(),
            chunk.vertices.len(),
        ];
        read_body(chunk.coord, chunk.biome, counts, &body)
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
                prop_assert_eq!(decoded, chunk);
            }
        }

        #[test]
        fn changed_bodies_never_panic_and_answer_questions(
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
                let _ = chunk.column(x, z);
                let _ = chunk.contents(crate::coord::LocalPoint { x, y: 80, z });
                let _ = chunk.spawn(1);
            }
        }
    }
}
