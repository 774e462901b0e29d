use ninefold_world::*;
use std::time::Instant;
fn main() {
    let world = BspWorld::new(9);
    let mut scratch = Scratch::default();
    for biome in [Biome::Dungeon, Biome::Courtyard, Biome::Exterior] {
        let grids: Vec<Grid> = (0..40000)
            .map(|i| ChunkCoord { cx: i % 200 - 100, cz: i / 200 - 100 })
            .map(|c| world.grid(c))
            .filter(|g| g.biome == biome)
            .step_by(7)
            .take(800)
            .collect();
        let mut sum = (0.0, 0.0, 0, 0, 0, 0);
        let mut all = 0;
        let t = Instant::now();
        let mut times = vec![];
        let chunks: Vec<Chunk> = grids
            .iter()
            .map(|g| {
                let t = Instant::now();
                let c = build(g, &mut scratch);
                times.push(t.elapsed());
                c
            })
            .collect();
        let el = t.elapsed();
        times.sort();
        for c in &chunks {
            let n = c.leaves().len();
            sum.2 += n;
            sum.3 += c.doors().len();
            sum.4 += c.lights().len();
            match c.visibility() {
                Visibility::All => all += 1,
                Visibility::Table(t) => {
                    let seen: usize = (0..n).map(|i| t.from_leaf(i).len()).sum();
                    sum.0 += 1.0 - seen as f64 / (n * n) as f64;
                    sum.1 += 1.0;
                    sum.5 += t.openings().len();
                }
            }
        }
        let k = chunks.len();
        println!(
            "{biome:?} {k}: culled {:.3} all {all} leaves {:.1} doors {:.2} lights {:.1} openings {:.1} build {:?} p50 {:?} p99 {:?}",
            sum.0 / f64::max(sum.1, 1.0),
            sum.2 as f64 / k as f64,
            sum.3 as f64 / k as f64,
            sum.4 as f64 / k as f64,
            sum.5 as f64 / k as f64,
            el / k as u32,
            times[k / 2],
            times[k * 99 / 100]
        );
        let t = Instant::now();
        for g in &grids {
            std::hint::black_box(world.grid(g.coord));
        }
        println!("  grid {:?}", t.elapsed() / k as u32);
    }
}
