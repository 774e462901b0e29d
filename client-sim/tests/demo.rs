//! The whole system over real sockets: a server, many clients, a verdict.

use ninefold_netem::Path;
use ninefold_sim::demo::Demo;
use ninefold_sim::report::verdict;
use ninefold_sim::swarm::Carrier;

fn demo(clients: usize, seconds: u64, seed: u64, speed: u32) -> Demo {
    let carrier = Carrier::Udp;
    let (line, json, capture) = (None, None, None);
    Demo { clients, carrier, line, seconds, seed, speed, threads: 2, json, capture, quiet: true }
}

#[test]
fn fifty_clients_walk_over_borders_and_nothing_is_missing() {
    let report = demo(50, 8, 9, 640).run().unwrap();
    assert_eq!(verdict(&report), Vec::<String>::new());
    assert_eq!((report.join_ms.count, report.panics_caught), (50, 0));
    assert!(report.crossings >= 50, "{} crossings", report.crossings);
    assert!(report.chunks_delivered >= 50 * 9);
}

#[test]
fn clients_on_both_carriers_walk_in_one_world_and_see_the_same() {
    let demo = |carrier| Demo { carrier, ..demo(30, 4, 9, 640) }.run().unwrap();
    for carrier in [Carrier::Quic, Carrier::Mixed] {
        let report = demo(carrier);
        assert_eq!(verdict(&report), Vec::<String>::new(), "{carrier}");
        assert_eq!((report.join_ms.count, report.chunks_hash_failed), (30, 0));
        assert!(report.crossings >= 15, "{} crossings", report.crossings);
        assert!(report.datagrams_out > 30 && report.carriers_cpu_us_per_client_tick > 0.0);
    }
}

#[test]
fn over_an_emulated_line_everybody_plays_and_only_later() {
    for carrier in [Carrier::Udp, Carrier::Mixed] {
        let demo = |line| Demo { carrier, line, ..demo(20, 4, 9, 320) }.run().unwrap();
        let near = demo(None);
        let far = demo(Some(Path::named("lte").unwrap()));
        assert_eq!(verdict(&far), Vec::<String>::new(), "{carrier}");
        assert_eq!((far.join_ms.count, far.line), (20, Some("lte")));
        // Two round trips of 50 ms and more until it is in, and one for the chunk.
        let (near_ms, far_ms) = (near.join_ms.p50, far.join_ms.p50);
        assert!(far_ms > near_ms + 120.0 && far_ms < 1_000.0, "{carrier}: {near_ms} and {far_ms} ms");
    }
}

#[test]
fn a_line_that_loses_costs_no_chunk_and_nobody() {
    let report = Demo { line: Path::named("bad"), ..demo(20, 6, 9, 320) }.run().unwrap();
    assert_eq!((report.clients_lost, report.chunks_hash_failed, report.join_ms.count), (0, 0, 20));
    assert!(report.chunks_delivered >= 20 * 9 && report.fragments_resent > 0);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    // At this speed nobody gets out of its spawn chunk: the chunks that are seen follow from the seed alone.
    let hash = |seed| demo(20, 1, seed, 1).run().unwrap().world_hash;
    let first = hash(4);
    assert_eq!(first, hash(4));
    assert_ne!(first, hash(5));
}

#[test]
fn the_json_report_has_the_promised_fields() {
    let path = std::env::temp_dir().join(format!("ninefold-report-{}.json", std::process::id()));
    let demo = Demo { json: Some(path.clone()), ..demo(2, 1, 9, 320) };
    demo.run().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    for field in [
        "clients",
        "seconds",
        "tick_rate_hz",
        "ticks",
        "tick_us",
        "phases_us",
        "overruns",
        "chunks_generated",
        "generate_us",
        "chunks_delivered",
        "chunks_hash_failed",
        "crossings",
        "crossings_without_chunk",
        "chunk_complete_ms",
        "join_ms",
        "encoded_bytes_per_chunk",
        "fragments_sent",
        "fragments_resent",
        "datagrams_out",
        "bytes_out",
        "datagrams_in",
        "server_cpu_us_per_client_tick",
        "clients_lost",
        "panics_caught",
        "stale_results",
    ] {
        assert!(!report[field].is_null(), "no {field}");
    }
    assert!(report.get("line").is_some_and(|line| line.is_null()));
    for percentile in ["p50", "p99", "p999", "max"] {
        assert!(report["tick_us"][percentile].is_number(), "no {percentile}");
        assert!(report["phases_us"]["egress"][percentile].is_number());
    }
}

#[test]
fn a_report_cannot_be_written_where_there_is_no_folder() {
    let demo = Demo { json: Some("/nonexistent/report.json".into()), ..demo(1, 1, 9, 320) };
    let error = format!("{:#}", demo.run().unwrap_err());
    assert!(error.contains("/nonexistent/report.json"), "{error}");
}
