//! Packets, acknowledgements and fragments: what the link does for each datagram.

use std::hint::black_box;

use bytes::Bytes;
use ninefold_client::protocol::chunk::{Fragmenter, Outcome, Reassembly};
use ninefold_client::protocol::frame::{ChunkKey, Fragment, INPUTS_BYTES_MAX, Inputs, PlayerInput, kind};
use ninefold_client::protocol::limits::{PACKET_BYTES_MAX, REASSEMBLY_BYTES_MAX};
use ninefold_client::protocol::link::Link;
use ninefold_client::protocol::time::{Duration, Instant};
use zerocopy::IntoBytes;

use crate::counted::{Case, counted};

pub const CASES: [Case; 5] = [
    Case { name: "link.parse", times: 256, run: parse },
    Case { name: "link.ack_written", times: 256, run: ack_written },
    Case { name: "link.ack_taken", times: 256, run: ack_taken },
    Case { name: "chunk.fragment", times: 290, run: fragment },
    Case { name: "chunk.reassemble", times: 290, run: reassemble },
];

const KEY: ChunkKey = ChunkKey { cx: 3, cy: 0, cz: -4 };
const CHUNK_BYTES: usize = 32 << 10;
const TICK: Duration = Duration::from_us(16_667);
/// Packets to a client in a tick while chunks are on their way.
const PACKETS_PER_TICK: u32 = 4;
/// So many in flight and as many again as are counted take no more memory.
const WARM_UP_PACKETS: u32 = 1_100;
/// One packet of so many is lost.
const LOST_ONE_IN: u32 = 20;

/// A client's packet of each tick: an acknowledgement, and inputs that the server has not confirmed.
fn parse(times: u32) {
    let (mut server, mut client): (Link<u32>, Link<u32>) =
        (Link::new(Instant::ZERO), Link::new(Instant::ZERO));
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut now = Instant::ZERO;
    let mut packets = Vec::new();
    for n in 0..times {
        now += TICK;
        let packet = ping(&mut server, now, &mut buffer);
        assert!(client.handle_packet(now, &packet).is_ok());
        let mut body = [0; INPUTS_BYTES_MAX];
        let input = PlayerInput { move_x: 8_000, move_z: -300, yaw: n as u16, buttons: 0 };
        let bytes = Inputs::write(n + 8, std::iter::repeat_n(input, 8), &mut body);
        let mut packet = client.packet(now, &mut buffer);
        packet.push(kind::INPUTS, &[&body[..bytes]]);
        let built = packet.finish().expect("it has inputs in it");
        packets.push(buffer[..built.head_bytes].to_vec());
    }
    counted(&mut || {
        let mut now = Instant::ZERO;
        for packet in &packets {
            now += TICK;
            let frames = server.handle_packet(now, packet).expect("our own packets are well formed");
            for (_, body) in frames {
                black_box(Inputs::parse(body).expect("our own inputs too").iter().count());
            }
            while server.poll_outcome().is_some() {}
        }
    });
}

fn ping(link: &mut Link<u32>, now: Instant, buffer: &mut [u8]) -> Vec<u8> {
    let mut packet = link.packet(now, buffer);
    packet.push(kind::PING, &[]);
    let built = packet.finish().expect("it has a ping in it");
    buffer[..built.head_bytes].to_vec()
}

/// A receiver that has gaps tells of them in each packet.
fn ack_written(times: u32) {
    let (mut server, mut client): (Link<u32>, Link<u32>) =
        (Link::new(Instant::ZERO), Link::new(Instant::ZERO));
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut now = Instant::ZERO;
    let mut arriving = Vec::new();
    for n in 0..times * PACKETS_PER_TICK {
        let packet = ping(&mut server, now, &mut buffer);
        if n % LOST_ONE_IN != 7 {
            arriving.push((now, packet));
        }
        now += TICK.scaled(1, PACKETS_PER_TICK.into());
    }
    counted(&mut || {
        for (n, (now, packet)) in arriving.iter().enumerate() {
            assert!(client.handle_packet(*now, packet).is_ok());
            if n % PACKETS_PER_TICK as usize == 0 {
                let mut answer = client.packet(*now, &mut buffer);
                answer.push(kind::PING, &[]);
                black_box(answer.finish());
            }
        }
    });
}

/// A sender that hears of gaps: what arrived, what is lost, what the line takes.
fn ack_taken(times: u32) {
    let (mut server, mut client): (Link<u32>, Link<u32>) =
        (Link::new(Instant::ZERO), Link::new(Instant::ZERO));
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut now = Instant::ZERO;
    let mut answers = Vec::new();
    // Sends the same, once more, to hear the answers to it.
    let mut twin: Link<u32> = Link::new(Instant::ZERO);
    for n in 0..times {
        for m in 0..PACKETS_PER_TICK {
            let packet = ping(&mut server, now, &mut buffer);
            if (n * PACKETS_PER_TICK + m) % LOST_ONE_IN != 7 {
                assert!(client.handle_packet(now, &packet).is_ok());
            }
        }
        now += TICK;
        answers.push(ping(&mut client, now, &mut buffer));
    }
    counted(&mut || {
        let mut now = Instant::ZERO;
        for answer in &answers {
            for token in 0..PACKETS_PER_TICK {
                let mut packet = twin.packet(now, &mut buffer);
                packet.push(kind::PING, &[]).token(token);
                black_box(packet.finish());
            }
            now += TICK;
            assert!(twin.handle_packet(now, answer).is_ok());
            twin.handle_timeout(now);
            while let Some(outcome) = twin.poll_outcome() {
                black_box(outcome);
            }
        }
    });
    assert!(twin.stats().packets_lost > 0 && twin.stats().packets_acked > 0);
}

fn fragmenter() -> Fragmenter {
    let bytes = Bytes::from((0..CHUNK_BYTES).map(|i| i as u8).collect::<Vec<_>>());
    Fragmenter::new(KEY, 1, 0, 1, bytes).expect("a chunk may be as large")
}

/// Each fragment into a packet of its own, before sealing, as egress does it: payloads are not copied, and those of a run
/// are shared once.
fn fragment(times: u32) {
    let fragmenter = fragmenter();
    let mut buffer = [0; PACKET_BYTES_MAX];
    let mut link: Link<u32> = Link::new(Instant::ZERO);
    let mut send = |times: u32| {
        for n in 0..times {
            let index = n as u16 % fragmenter.count();
            let (header, tail_bytes) = (fragmenter.header(index), fragmenter.payload_bytes(index));
            let mut packet = link.bare_packet(Instant::ZERO, &mut buffer);
            packet.push_with_tail(kind::FRAGMENT, header.as_bytes(), tail_bytes).token(index.into());
            black_box(packet.finish());
            if index + 1 == fragmenter.count() {
                black_box(fragmenter.payloads(0, fragmenter.count()));
            }
        }
    };
    // A link that has sent before has memory for what is in flight.
    send(WARM_UP_PACKETS);
    counted(&mut || send(times));
}

/// What a client does with them; its copy of the payloads among it.
fn reassemble(times: u32) {
    let fragmenter = fragmenter();
    let body = |index| {
        let (header, tail) = fragmenter.fragment(index);
        [header.as_bytes(), &tail].concat()
    };
    let bodies: Vec<Vec<u8>> = (0..fragmenter.count()).map(body).collect();
    let mut reassembly = Reassembly::new(REASSEMBLY_BYTES_MAX);
    let mut whole = 0;
    counted(&mut || {
        for n in 0..times {
            let fragment = Fragment::parse(&bodies[n as usize % bodies.len()]).expect("it is our own");
            if let Outcome::Complete(chunk) = reassembly.handle(Instant::ZERO, &fragment) {
                whole += usize::from(black_box(chunk).bytes.len() == CHUNK_BYTES);
            }
        }
    });
    assert_eq!(whole, times as usize / bodies.len());
}
