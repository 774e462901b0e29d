//! A server and a swarm in one process, on loopback, with a verdict.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::server::{Server, unix_s};
use ninefold::summary::Summary;
use ninefold::telemetry::Phase;
use ninefold_client::protocol::connection::ConnectToken;
use ninefold_client::protocol::time::Duration;
use ninefold_netem::Path;

use crate::capture::Capture;
use crate::line::{BoundLine, Line};
use crate::report::Report;
use crate::run::mint::{Minter, Tokens};
use crate::swarm::{Carrier, Figures, Swarm, SwarmPlan};

/// Clients that start in a second.
const CLIENTS_PER_SECOND: u64 = 200;
/// How often the progress is drawn.
const PROGRESS_EVERY: Duration = Duration::from_ms(250);
/// Chunks that each client keeps: as many as a player in a real game would.
const CACHE_CHUNKS: usize = 512;

/// What to run.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Clients.
    pub clients: usize,
    /// What their packets ride on.
    pub carrier: Carrier,
    /// The line between each of them and the server; `None` for the loopback as it is.
    pub line: Option<Path>,
    /// How long they walk once all have started, seconds.
    pub seconds: u64,
    /// Chooses the world and the clients' ways.
    pub seed: u64,
    /// Full walking speed, units a second.
    pub speed: u32,
    /// Threads for the clients.
    pub threads: usize,
    /// Where to write the report.
    pub json: Option<PathBuf>,
    /// Where to write the datagrams of UDP clients, and beside it (with `.keys` behind its name) their keys.
    pub capture: Option<PathBuf>,
    /// No progress.
    pub quiet: bool,
}

/// The server of a demo has its clients' allocator, which asks for huge pages: the first client that comes in a tick would
/// pay for 2 MiB of zeros with it, ten times and more while all join.
fn without_huge_pages() {
    // Where there is no such switch, ticks may be late at the beginning.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

impl Demo {
    /// Runs it and gives the report.
    pub fn run(&self) -> anyhow::Result<Report> {
        without_huge_pages();
        let mut config = self.config();
        let lines = self.bind_lines(&mut config)?;
        let server = Server::start(&config, config.generator.world(config.world_seed))?;
        let clock = Monotonic::start();
        let lines = self.serve_lines(lines, &server, clock)?;
        let address = lines.first().map_or(server.address(), |(address, _)| *address);
        let quic = server.quic().map(|(own, who)| (lines.get(1).map_or(own, |(address, _)| *address), who));
        let mut plan = SwarmPlan {
            carrier: self.carrier,
            server: address,
            quic,
            capture: None,
            tokens: self.tokens(&config, address)?,
            threads: self.threads,
            ramp: Duration::from_secs(1).scaled(self.clients as u64, CLIENTS_PER_SECOND),
            seed: self.seed,
            pace: 1.0,
            cache_chunks_max: CACHE_CHUNKS,
            unix_s_at_origin: unix_s(),
        };
        if let Some(path) = &self.capture {
            let capture = Capture::create(path, plan.unix_s_at_origin, &plan.tokens);
            let capture = capture.with_context(|| format!("cannot write {}", path.display()))?;
            plan.capture = Some(Arc::new(capture));
        }
        let swarm = Swarm::start(&plan, clock).context("cannot start the clients")?;
        self.watch(&server, &swarm, clock, plan.ramp);
        let figures = swarm.stop().context("the clients' sockets failed")?;
        if let Some(capture) = plan.capture.take() {
            capture.finish().context("the capture could not be written")?;
        }
        for (_, line) in lines {
            line.stop().context("the emulated line failed")?;
        }
        let summary = server.stop()?;
        let report = self.report(&config, &summary, figures);
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&report)?;
            std::fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(report)
    }

    fn config(&self) -> Config {
        let defaults = Config::default();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Config {
            listen: any_port,
            quic_listen: (self.carrier != Carrier::Udp).then_some(any_port),
            world_seed: self.seed,
            walk_speed_units_s: self.speed,
            clients_max: defaults.clients_max.max(self.clients as u32),
            ..defaults
        }
    }

    /// A line in front of each carrier's socket, if there is to be one; tokens then name the lines.
    fn bind_lines(&self, config: &mut Config) -> anyhow::Result<Vec<BoundLine>> {
        let sockets = match (&self.line, config.quic_listen) {
            (None, _) => 0,
            (Some(_), None) => 1,
            (Some(_), Some(_)) => 2,
        };
        let lines = (0..sockets).map(|_| BoundLine::bind()).collect::<std::io::Result<Vec<_>>>();
        let lines = lines.context("no socket for the emulated line")?;
        config.public_addrs = lines.iter().map(BoundLine::address).collect();
        Ok(lines)
    }

    /// Joins the lines to the server's sockets; each with the address that clients call.
    fn serve_lines(
        &self,
        lines: Vec<BoundLine>,
        server: &Server,
        clock: Monotonic,
    ) -> anyhow::Result<Vec<(SocketAddr, Line)>> {
        let Some(path) = &self.line else { return Ok(Vec::new()) };
        let own = std::iter::once(server.address()).chain(server.quic().map(|(address, _)| address));
        let served = lines.into_iter().zip(own).zip(0..).map(|((line, server), n)| {
            let address = line.address();
            line.serve(server, path, self.seed ^ n, clock).map(|line| (address, line))
        });
        served.collect::<std::io::Result<Vec<_>>>().context("cannot start the emulated line")
    }

    fn tokens(&self, config: &Config, server: SocketAddr) -> anyhow::Result<Vec<ConnectToken>> {
        let minter = Minter::new(Tokens::Development, config.protocol_id, 0);
        let mint = |client_id| minter.token(client_id, server, server, unix_s());
        Ok((0..self.clients as u64).map(mint).collect::<Result<_, _>>()?)
    }

    /// Waits until the time is over, drawing the progress.
    fn watch(&self, server: &Server, swarm: &Swarm, clock: Monotonic, ramp: Duration) {
        let began = clock.now();
        let whole = ramp + Duration::from_secs(self.seconds);
        let bar = ProgressBar::new(whole.as_ms());
        if self.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{elapsed:>4} {bar:24} {msg}");
        bar.set_style(style.expect("the template is a constant").progress_chars("━╸─"));
        while clock.now().since(began) < whole && !server.is_dead() {
            let left = whole - clock.now().since(began);
            clock.sleep_until(clock.now() + PROGRESS_EVERY.min(left));
            let (live, own) = (server.live(), swarm.live());
            let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
            bar.set_position(clock.now().since(began).as_ms());
            bar.set_message(format!(
                "{}/{} play, tick {} us, {} overruns, {} chunks made, {} received, {} crossings, {} MB out",
                load(&own.playable) - load(&own.lost).min(load(&own.playable)),
                self.clients,
                load(&live.tick_ns) / 1_000,
                load(&live.overruns),
                load(&live.chunks_generated),
                load(&own.chunks),
                load(&own.crossings),
                (load(&live.bytes_out) + load(&live.quic_bytes_out)) / 1_000_000,
            ));
        }
        bar.finish_and_clear();
    }

    fn report(&self, config: &Config, summary: &Summary, figures: Figures) -> Report {
        let tick = &summary.tick;
        let telemetry = &tick.telemetry;
        let (datagrams_in, datagrams_out, bytes_out) = summary.datagrams();
        let phases = Phase::ALL.iter().zip(&telemetry.phases);
        Report {
            clients: self.clients,
            carrier: self.carrier,
            line: self.line.as_ref().map(|line| line.name),
            seconds: self.seconds as f64,
            tick_rate_hz: config.tick_rate_hz,
            ticks: telemetry.ticks,
            tick_us: telemetry.tick.percentiles(),
            phases_us: phases.map(|(phase, h)| (phase.name(), h.percentiles())).collect(),
            tick_lateness_us: telemetry.lateness.percentiles(),
            overruns: telemetry.overruns,
            ticks_skipped: tick.ticks_skipped,
            chunks_generated: tick.chunks.made,
            generate_us: tick.generate.percentiles(),
            chunks_delivered: figures.chunks_delivered,
            chunks_hash_failed: figures.chunks_hash_failed + figures.chunks_contradicting,
            crossings: figures.crossings,
            crossings_without_chunk: figures.crossings_without_chunk,
            client_ticks_without_chunk: figures.ticks_without_chunk,
            chunk_complete_ms: figures.chunk_complete.percentiles(),
            enter_usable_ms: figures.enter_usable.percentiles(),
            join_ms: figures.join.percentiles(),
            encoded_bytes_per_chunk: figures.encoded_bytes.percentiles(),
            fragments_sent: tick.counters.fragments_sent,
            fragments_resent: tick.counters.fragments_resent,
            datagrams_out,
            bytes_out,
            datagrams_in,
            carriers_cpu_us_per_client_tick: summary.carriers_cpu_us_per_client_tick(),
            server_cpu_us_per_client_tick: summary.cpu_us_per_client_tick(),
            clients_lost: figures.lost.len() as u64,
            panics_caught: tick.chunks.panics,
            stale_results: tick.chunks.stale,
            world_hash: figures.world_hash(),
        }
    }
}
