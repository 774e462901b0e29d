//! The link emulator: what each packet of the world in virtual time costs.

use std::hint::black_box;

use ninefold_netem::{Link, Path};

use crate::counted::{Case, counted};

pub const CASES: [Case; 1] = [Case { name: "netem.packet", times: 1_024, run: packet }];

/// Between two packets: four of them in a tick.
const PACKET_EVERY_US: u64 = 4_167;

/// In at one end and out at the other, over Wi-Fi.
fn packet(times: u32) {
    let profile = Path::named("wifi").expect("it is one of those with a name").down;
    let mut line = Link::new(profile, 9);
    counted(&mut || {
        for n in 0..u64::from(times) {
            let now_us = n * PACKET_EVERY_US;
            line.send(now_us, 1_200, black_box(n));
            while let Some(out) = line.poll(now_us) {
                black_box(out);
            }
        }
    });
    assert!(line.stats().sent == u64::from(times) && line.stats().drops.sum() > 0);
}
