//! The compiled tree as streams: planes, nodes, leaves, faces and vertices.
//!
//! A leaf's box follows from the tree and is not told. Reading checks every index, the tree's shape,
//! every box and every corner.

use super::DecodeError;
use super::streams::{self, Streams};
use crate::chunk::{Axis, Child, Chunk, Face, Leaf, Node, Plane};
use crate::coord::{CHUNK_FIXED, HEIGHT_FIXED};

/// Planes, nodes, leaves, faces and vertices.
pub(super) type Counts = [usize; 5];

/// Bytes of the streams of so many.
pub(super) const fn body_bytes([planes, nodes, leaves, faces, vertices]: Counts) -> usize {
    planes * (1 + 2) + nodes * (2 + 2 + 2) + leaves * 2 + faces * (2 + 1 + 4 * 2) + vertices * 3 * 2
}

pub(super) fn counts(chunk: &Chunk) -> Counts {
    let Chunk { planes, nodes, leaves, faces, vertices, .. } = chunk;
    [planes.len(), nodes.len(), leaves.len(), faces.len(), vertices.len()]
}

pub(super) fn write(chunk: &Chunk, out: &mut Vec<u8>) {
    let start = out.len();
    let Chunk { planes, nodes, leaves, faces, vertices, .. } = chunk;
    out.extend(planes.iter().map(|p| p.axis as u8 | u8::from(p.faces_back) << 2));
    streams::write(out, planes.iter().map(|p| p.distance));
    streams::write(out, nodes.iter().map(|n| n.plane as i16));
    streams::write(out, nodes.iter().enumerate().map(|(i, n)| child_number(i, n.back)));
    streams::write(out, nodes.iter().enumerate().map(|(i, n)| child_number(i, n.front)));
    streams::write(out, leaves.iter().map(|l| l.faces as i16));
    streams::write(out, faces.iter().map(|f| f.plane as i16));
    out.extend(faces.iter().map(|f| f.material));
    for corner in 0..4 {
        streams::write(out, faces.iter().map(|f| f.vertices[corner] as i16));
    }
    for axis in 0..3 {
        streams::write(out, vertices.iter().map(|v| v[axis]));
    }
    debug_assert_eq!(out.len() - start, body_bytes(counts(chunk)));
}

/// What a tree is made of.
#[derive(Debug)]
pub(super) struct Tree {
    pub planes: Vec<Plane>,
    pub nodes: Vec<Node>,
    pub leaves: Vec<Leaf>,
    pub faces: Vec<Face>,
    pub vertices: Vec<[i16; 3]>,
}

pub(super) fn read(streams: &mut Streams<'_>, counts: Counts) -> Result<Tree, DecodeError> {
    let [planes, nodes, leaves, faces, vertices] = counts;
    let planes = read_planes(streams, planes)?;
    let nodes = read_nodes(streams, nodes, &planes)?;
    let leaves = read_leaves(streams, leaves, faces, &nodes, &planes)?;
    let faces = read_faces(streams, faces);
    let mut corners = vec![[0; 3]; vertices];
    for axis in 0..3 {
        for (corner, value) in corners.iter_mut().zip(streams.values(vertices)) {
            corner[axis] = value;
        }
    }
    check_geometry(&planes, &faces, &corners)?;
    Ok(Tree { planes, nodes, leaves, faces, vertices: corners })
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
/// stands in, every leaf has a floor. Gives the leaves their boxes. Without a node there is nothing but rock.
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
        return Err(DecodeError::Invalid { what: "faces of leaf", index: count.saturating_sub(1) });
    }
    // One below the lowest floor and one above the highest ceiling there is neither.
    let whole = ([0, -1, 0], [CHUNK_FIXED, HEIGHT_FIXED + 1, CHUNK_FIXED]);
    let root = if nodes.is_empty() { Child::Solid } else { Child::Node(0) };
    let mut open = vec![(root, whole)];
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
        let corner = |vertex: &u16| vertices.get(usize::from(*vertex)).copied();
        let [Some(a), Some(b), Some(c), Some(d)] = face.vertices.each_ref().map(corner) else {
            return Err(DecodeError::Invalid { what: "vertices of face", index });
        };
        if !is_rectangle([a, b, c, d], plane) {
            return Err(DecodeError::Invalid { what: "vertices of face", index });
        }
    }
    Ok(())
}

/// Whether corners are those of a rectangle on a plane, counter-clockwise seen from its front.
fn is_rectangle(corners: [[i16; 3]; 4], plane: &Plane) -> bool {
    let across = plane.axis as usize;
    let along = |from: usize, to: usize| {
        let differs = |axis: &usize| corners[from][*axis] != corners[to % 4][*axis];
        let mut axes = (0..3).filter(differs);
        axes.next().filter(|_| axes.next().is_none())
    };
    let Some([u, v]) = along(0, 1).zip(along(1, 2)).map(|(u, v)| [u, v]) else { return false };
    let closes = u != v && along(2, 3) == Some(u) && along(3, 4) == Some(v);
    let on_plane = corners.iter().all(|corner| corner[across] == plane.distance);
    let forward = (corners[1][u] > corners[0][u]) == (corners[2][v] > corners[1][v]);
    // x to y, y to z and z to x turn counter-clockwise about the third axis.
    let turns_left = forward == ((u + 1) % 3 == v);
    closes && on_plane && turns_left != plane.faces_back
}
