//! The server that is tested: one of this process, with the faults that happen inside it, one in a process of its own, or
//! one elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration as StdDuration;

use anyhow::Context;
use ninefold::clock::Monotonic;
use ninefold::config::Config;
use ninefold::game::explore::Explore;
use ninefold::metrics::fetch_state;
use ninefold::server::Server;
use ninefold::telemetry::{Asked, RECENT_TICKS_MAX, State};
use ninefold_client::protocol::connection::Fingerprint;
use ninefold_client::protocol::time::Instant;

use super::crew::{Place, Teleport};
use super::mint::Tokens;
use super::order::{Order, Target};
use super::program::Program;
use super::sabotage::{FaultyGenerator, StallingGame};
use crate::scenario::{FaultKind, Scenario};
use crate::swarm::Carrier;

/// A server elsewhere has so long to tell its state.
const STATE_WITHIN: StdDuration = StdDuration::from_millis(900);

/// A server that runs elsewhere.
#[derive(Debug, Clone)]
pub struct OuterServer {
    /// Where it is, over UDP.
    pub address: SocketAddr,
    /// Where it is over QUIC, and its certificate.
    pub quic: Option<(SocketAddr, Fingerprint)>,
    /// Where it tells its state.
    pub metrics: Option<SocketAddr>,
    /// How clients get in.
    pub tokens: Tokens,
    /// The number of the game.
    pub protocol_id: u64,
}

/// The server that is tested.
pub enum Host {
    /// One of this process.
    Own(Box<OwnServer>),
    /// One in a process of its own that is started for the run.
    Program(Box<Program>),
    /// One elsewhere.
    Outer(OuterServer),
}

/// A server of this process.
pub struct OwnServer {
    server: Option<Server>,
    config: Config,
    scenario: Scenario,
    clock: Monotonic,
    origin: Instant,
    /// What happens to it, the next one last.
    faults: Vec<(Instant, FaultKind)>,
    /// When it is started again.
    again_at: Option<Instant>,
    /// Cuts all lines while it is gone without a word.
    pub cut: Arc<AtomicBool>,
}

/// What has just happened to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has gone.
    Gone,
    /// It is there again.
    Back(Place),
}

impl Host {
    /// The server of an order; the run begins at `origin`.
    pub fn start(order: &Order, clock: Monotonic, origin: Instant) -> anyhow::Result<Host> {
        match &order.target {
            Target::Outer(outer) => Ok(Host::Outer(outer.clone())),
            Target::Program(path) => Ok(Host::Program(Box::new(Program::start(path, &order.scenario)?))),
            Target::InProcess => Ok(Host::Own(Box::new(OwnServer::start(&order.scenario, clock, origin)?))),
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        match self {
            Host::Own(own) => own.place(),
            Host::Program(program) => program.place,
            Host::Outer(outer) => Place { udp: outer.address, quic: outer.quic },
        }
    }

    /// Whether it has a process of its own, whose memory and time are none of its clients'.
    pub fn is_apart(&self) -> bool {
        !matches!(self, Host::Own(_))
    }

    /// How it is called in the report.
    pub fn name(&self) -> String {
        match self {
            Host::Own(_) => "in process".to_owned(),
            Host::Program(program) => program.path.display().to_string(),
            Host::Outer(outer) => outer.address.to_string(),
        }
    }

    /// Its state, with its ticks after one; `None` where it does not tell.
    pub fn state(&self, after_tick: u64) -> Option<State> {
        let ticks = RECENT_TICKS_MAX;
        let ask = |metrics| {
            let query = format!("ticks={ticks}&after={after_tick}");
            fetch_state(metrics, &query, STATE_WITHIN).ok()
        };
        match self {
            Host::Own(own) => own.server.as_ref().map(|server| {
                server.state(&Asked {
                    clients: ninefold::telemetry::state::DEAREST_CLIENTS,
                    ticks,
                    after_tick,
                })
            }),
            Host::Program(program) => ask(program.metrics),
            Host::Outer(outer) => ask(outer.metrics?),
        }
    }

    /// Puts a player elsewhere.
    pub fn teleport(&self, (client_id, to): Teleport) -> bool {
        match self {
            Host::Own(own) => own.server.as_ref().is_some_and(|server| server.teleport(client_id, to)),
            Host::Program(_) | Host::Outer(_) => false,
        }
    }

    /// Whether it has ended by itself, or a thread of it.
    pub fn is_dead(&mut self) -> bool {
        match self {
            Host::Own(own) => own.server.as_ref().is_some_and(Server::is_dead),
            Host::Program(program) => program.is_dead(),
            Host::Outer(_) => false,
        }
    }

    /// Lets what is due happen to it. Before it goes, `last_words` hears its state.
    pub fn poll(&mut self, now: Instant, last_words: impl FnOnce(&Host)) -> anyhow::Result<Option<Change>> {
        let is_going = matches!(self, Host::Own(own) if own.is_going(now));
        if is_going {
            last_words(self);
        }
        match self {
            Host::Own(own) => own.poll(now),
            Host::Program(_) | Host::Outer(_) => Ok(None),
        }
    }

    /// Ends it, if it is ours.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Host::Own(own) => own.server.map_or(Ok(()), |server| server.stop().map(|_| ()))?,
            Host::Program(program) => program.stop()?,
            Host::Outer(_) => {}
        }
        Ok(())
    }
}

/// The configuration of a server that is started for a scenario, on loopback.
pub fn config_of(scenario: &Scenario) -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let has_quic = scenario.groups.iter().any(|group| group.carrier != Carrier::Udp);
    let of_file = scenario.server.clone();
    Config {
        listen: any_port,
        quic_listen: has_quic.then_some(any_port),
        world_seed: if scenario.has_world_seed { of_file.world_seed } else { scenario.seed },
        // Sessions that ended without a goodbye keep their slots for a while.
        clients_max: of_file.clients_max.max((2 * scenario.clients()).min(65_536) as u32),
        ..of_file
    }
}

impl OwnServer {
    fn start(scenario: &Scenario, clock: Monotonic, origin: Instant) -> anyhow::Result<OwnServer> {
        let mut faults: Vec<(Instant, FaultKind)> = (scenario.faults.iter())
            .filter(|f| matches!(f.kind, FaultKind::KillServer { .. } | FaultKind::RestartServer { .. }))
            .map(|fault| (origin + fault.at.0, fault.kind.clone()))
            .collect();
        faults.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let config = config_of(scenario);
        let mut own = OwnServer {
            server: None,
            config,
            scenario: scenario.clone(),
            clock,
            origin,
            faults,
            again_at: None,
            cut: Arc::new(AtomicBool::new(false)),
        };
        own.begin()?;
        // Who comes back is to be found where it was.
        own.config.listen = own.place().udp;
        own.config.quic_listen = own.place().quic.map(|(address, _)| address);
        Ok(own)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let OwnServer { config, scenario, clock, origin, .. } = self;
        let generator = config.generator.world(config.world_seed);
        let generator = Arc::new(FaultyGenerator::new(generator, scenario, *clock, *origin));
        let game = Box::new(Explore::new(config.world_seed, config.creatures_per_chunk));
        let game = Box::new(StallingGame::new(game, scenario, *clock, *origin));
        let server = Server::start_game(config, generator, game);
        self.server = Some(server.context("the server of this run")?);
        self.cut.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn place(&self) -> Place {
        let server = self.server.as_ref();
        Place { udp: server.map_or(self.config.listen, Server::address), quic: server.and_then(Server::quic) }
    }

    fn is_going(&self, now: Instant) -> bool {
        self.server.is_some() && self.faults.last().is_some_and(|(at, _)| *at <= now)
    }

    fn poll(&mut self, now: Instant) -> anyhow::Result<Option<Change>> {
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.begin()?;
            return Ok(Some(Change::Back(self.place())));
        }
        if !self.is_going(now) {
            return Ok(None);
        }
        let (seconds, is_killed) = match self.faults.pop() {
            Some((_, FaultKind::KillServer { seconds })) => (seconds, true),
            Some((_, FaultKind::RestartServer { seconds })) => (seconds, false),
            _ => return Ok(None),
        };
        // Nobody hears the goodbyes of one that is killed.
        self.cut.store(is_killed, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            server.stop()?;
        }
        self.again_at = Some(self.clock.now().max(now) + seconds.0);
        Ok(Some(Change::Gone))
    }
}
