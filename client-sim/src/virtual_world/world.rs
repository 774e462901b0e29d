//! The world in virtual time: a server, its clients and the lines between them, one event after the other.

use std::net::SocketAddr;
use std::rc::Rc;

use ninefold_client::protocol::connection::{
    ConnectToken, DEVELOPMENT_KEY, Extensions, TokenParams, USER_DATA_LEN,
};

use super::agenda::Agenda;
use super::commons::Commons;
use super::guest::{Guest, Parcel};
use super::host::{Host, HostConfig, SERVER};
use super::plan::{Fault, FaultKind, Plan, SECOND_US, healed};
use super::quic;
use super::workshop::Yard;

/// Seconds since the Unix epoch at time zero: any will do, as long as it is always the same.
const UNIX_S: u64 = 1_800_000_000;
/// Seconds that a token can be used.
const TOKEN_LIFETIME_S: u64 = 60;
/// Silence that ends a session, seconds.
const TIMEOUT_S: i32 = 5;
/// Time begins here: what is a little before the beginning must be a time, too.
pub const ORIGIN_US: u64 = SECOND_US;

/// Who is woken.
const SERVER_ACTOR: u32 = 0;
const COURSE_ACTOR: u32 = 1;
/// A guest's line to the server, then the guest, and so on.
const FIRST_GUEST: u32 = 2;

fn line_of(guest: usize) -> u32 {
    FIRST_GUEST + 2 * guest as u32
}

fn actor_of(guest: usize) -> u32 {
    line_of(guest) + 1
}

/// What just happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The server had a tick.
    Tick,
    /// A client got something, or had a tick of its own.
    Guest(usize),
    /// Something of the course, or nothing to speak of.
    Other,
}

/// What is done at a time of the course.
#[derive(Debug, Clone)]
enum Step {
    Begin(Fault),
    End(Fault),
    Heal,
}

/// The world.
pub struct World {
    /// What is to happen.
    pub plan: Plan,
    /// The time, microseconds.
    pub now_us: u64,
    /// The server; `None` while it is down.
    pub host: Option<Host>,
    /// The clients, all that ever come.
    pub guests: Vec<Guest>,
    /// What the workshop is told and tells.
    pub yard: Rc<Yard>,
    /// Servers that there were.
    pub hosts: u64,
    /// Datagrams that came while there was no server, and to clients that there never were.
    pub undeliverable: u64,
    /// When all was made well; `None` before.
    pub healed_at_us: Option<u64>,
    /// When the last fault of the server began or ended.
    pub disturbed_us: u64,
    seed: u64,
    random: fastrand::Rng,
    host_config: HostConfig,
    agenda: Agenda,
    quic: quic::Shared,
    commons: Commons,
    /// What is to come, the next one last.
    course: Vec<(u64, Step)>,
}

impl World {
    /// A world in which nothing has happened.
    pub fn new(plan: &Plan, seed: u64, charges: bool) -> World {
        let plan = plan.clone();
        let mut random = fastrand::Rng::with_seed(seed);
        let host_config = HostConfig {
            config: plan.config.clone(),
            seed: random.u64(..),
            unix_s_at_origin: UNIX_S,
            private_key: DEVELOPMENT_KEY,
            charges,
        };
        let yard = Yard::new(random.u64(..));
        let host = Host::new(ORIGIN_US, 0, &host_config, Rc::clone(&yard));
        let mut world = World {
            now_us: ORIGIN_US,
            host: Some(host),
            guests: Vec::new(),
            yard,
            hosts: 1,
            undeliverable: 0,
            healed_at_us: None,
            disturbed_us: ORIGIN_US,
            seed,
            random,
            host_config,
            agenda: Agenda::default(),
            quic: quic::Shared::new(),
            commons: Commons::default(),
            course: Vec::new(),
            plan,
        };
        world.set_the_course();
        world.invite();
        world.agenda.wake(SERVER_ACTOR, ORIGIN_US);
        world
    }

    /// Virtual microseconds since the beginning.
    pub fn elapsed_us(&self) -> u64 {
        self.now_us - ORIGIN_US
    }

    fn set_the_course(&mut self) {
        let mut course = vec![(self.plan.play_us, Step::Heal)];
        for fault in &self.plan.faults {
            course.push((fault.at_us, Step::Begin(fault.clone())));
            course.push((fault.at_us + fault.for_us, Step::End(fault.clone())));
        }
        course.iter_mut().for_each(|(at_us, _)| *at_us += ORIGIN_US);
        // Of one time, in the order of the plan; the next one stands last.
        course.reverse();
        course.sort_by_key(|(at_us, _)| std::cmp::Reverse(*at_us));
        self.course = course;
        self.wake_course();
    }

    fn wake_course(&mut self) {
        if let Some((at_us, _)) = self.course.last() {
            self.agenda.wake(COURSE_ACTOR, (*at_us).max(self.now_us));
        }
    }

    /// Makes the clients that the plan has from the start.
    fn invite(&mut self) {
        for part in self.plan.parts.clone() {
            let from_origin = |us: u64| us.saturating_add(ORIGIN_US);
            let visits: Vec<_> =
                part.visits.iter().map(|(a, b)| (from_origin(*a), from_origin(*b))).collect();
            self.add_guest(part.group, &visits);
        }
    }

    fn add_guest(&mut self, group: usize, visits: &[(u64, u64)]) {
        let index = self.guests.len();
        let mut of = self.plan.groups[group].clone();
        self.faults_of_the_line(group, &mut of);
        let guest = Guest::new(index, group, &of, self.seed, visits);
        self.agenda.wake(actor_of(index), guest.comes_us);
        self.guests.push(guest);
    }

    /// What the emulator does by itself once it is told at the beginning.
    fn faults_of_the_line(&self, group: usize, of: &mut super::plan::Group) {
        for fault in self.plan.faults.iter().filter(|f| f.group.is_none_or(|g| g == group)) {
            let at_us = ORIGIN_US + fault.at_us;
            for way in [&mut of.up, &mut of.down] {
                match fault.kind {
                    FaultKind::Outage => way.outages_us.push(at_us..at_us + fault.for_us),
                    FaultKind::DropPacket { number } => way.dropped_packets.push(number),
                    FaultKind::AddressChange => way.path_changes_us.push(at_us),
                    _ => {}
                }
            }
        }
    }

    /// Lets the next thing happen; `None` when all is over.
    pub fn step(&mut self) -> Option<Happened> {
        let (at_us, actor) =
            self.agenda.pop().filter(|(at_us, _)| *at_us < ORIGIN_US + self.plan.total_us())?;
        debug_assert!(at_us >= self.now_us, "time does not go back");
        self.now_us = at_us;
        Some(match actor {
            SERVER_ACTOR => self.wake_server(),
            COURSE_ACTOR => {
                self.follow_the_course();
                Happened::Other
            }
            actor => {
                let guest = ((actor - FIRST_GUEST) / 2) as usize;
                if actor == line_of(guest) { self.deliver_up(guest) } else { self.wake_guest(guest) }
            }
        })
    }

    fn wake_server(&mut self) -> Happened {
        let Some(host) = &mut self.host else { return Happened::Other };
        let ticked = host.wake(self.now_us);
        self.post();
        self.reschedule_server();
        if ticked { Happened::Tick } else { Happened::Other }
    }

    fn reschedule_server(&mut self) {
        if let Some(host) = &self.host {
            self.agenda.wake(SERVER_ACTOR, host.next_us().max(self.now_us));
        }
    }

    /// Puts what the server has sent on its lines.
    fn post(&mut self) {
        let World { host, guests, agenda, now_us, undeliverable, .. } = self;
        let Some(host) = host else { return };
        for (to, bytes) in host.outbox.each() {
            let guest = Guest::at(to).and_then(|index| guests.get_mut(index));
            let Some(guest) = guest else {
                *undeliverable += 1;
                continue;
            };
            guest.down.send(*now_us, bytes.len(), Parcel { at: to, bytes: bytes.to_vec() });
            let due_us = guest.down.next_due_us().unwrap_or(u64::MAX);
            agenda.wake(actor_of(guest.index), due_us.max(*now_us));
        }
        host.outbox.clear();
    }

    fn wake_guest(&mut self, index: usize) -> Happened {
        let now_us = self.now_us;
        let guest = &mut self.guests[index];
        guest.receive(now_us, SERVER);
        guest.tick(now_us);
        guest.follow(now_us, &mut self.commons);
        guest.leave_in_time(now_us);
        let (client_id, to) = (guest.client_id, guest.wants_to_be_in.take());
        if let (Some(host), Some(to)) = (&mut self.host, to) {
            // Who is not in the world yet is put nowhere.
            host.tick.teleport(client_id, to);
        }
        let guest = &self.guests[index];
        if guest.client.is_none() && guest.comes_us <= now_us {
            self.let_come(index);
        }
        let next_us = self.guests[index].next_us();
        self.agenda.wake(actor_of(index), next_us.max(now_us));
        self.wake_line(index);
        Happened::Guest(index)
    }

    fn wake_line(&mut self, index: usize) {
        if let Some(due_us) = self.guests[index].up.next_due_us() {
            self.agenda.wake(line_of(index), due_us.max(self.now_us));
        }
    }

    /// Hands the server what has come out of a client's line.
    fn deliver_up(&mut self, index: usize) -> Happened {
        let World { host, guests, now_us, undeliverable, .. } = self;
        let mut came = false;
        while let Some(mut parcel) = guests[index].up.poll(*now_us) {
            came = true;
            match host {
                Some(host) => host.receive(*now_us, guests[index].carrier, parcel.at, &mut parcel.bytes),
                None => *undeliverable += 1,
            }
        }
        if came {
            self.post();
            self.reschedule_server();
        }
        self.wake_line(index);
        Happened::Other
    }

    fn let_come(&mut self, index: usize) {
        let token = self.mint(self.guests[index].client_id);
        let guest = &mut self.guests[index];
        let group = &self.plan.groups[guest.group];
        guest.come(self.now_us, group, UNIX_S, &token, &self.quic);
    }

    /// The matchmaker.
    fn mint(&mut self, client_id: u64) -> ConnectToken {
        let random = &mut self.random;
        let create_unix_s = UNIX_S + self.now_us / SECOND_US;
        let params = TokenParams {
            protocol_id: self.host_config.config.protocol_id,
            client_id,
            create_unix_s,
            expire_unix_s: create_unix_s + TOKEN_LIFETIME_S,
            timeout_s: TIMEOUT_S,
            server_addresses: vec![SERVER],
            user_data: [0; USER_DATA_LEN],
        };
        let nonce = std::array::from_fn(|_| random.u8(..));
        let [up, down] = [(); 2].map(|()| std::array::from_fn(|_| random.u8(..)));
        ConnectToken::mint_extended(&params, Extensions::ALL, &DEVELOPMENT_KEY, nonce, up, down)
            .expect("it names one server and lives a minute")
    }

    fn follow_the_course(&mut self) {
        while let Some((_, step)) = self.course.pop_if(|(at_us, _)| *at_us <= self.now_us) {
            match step {
                Step::Begin(fault) => self.begin(&fault),
                Step::End(fault) => self.end(&fault),
                Step::Heal => self.heal(),
            }
        }
        self.wake_course();
    }

    fn begin(&mut self, fault: &Fault) {
        // After all was made well nothing goes wrong any more.
        if self.healed_at_us.is_some() {
            return;
        }
        self.disturbed_us = self.now_us;
        match fault.kind {
            // The emulator was told at the beginning.
            FaultKind::Outage | FaultKind::AddressChange | FaultKind::DropPacket { .. } => {}
            FaultKind::SlowGenerator { ms } => self.yard.slower_us.set(ms * 1_000),
            FaultKind::PanickingGenerator { one_in } => self.yard.panics_one_in.set(one_in),
            FaultKind::HangingGenerator { one_in } => self.yard.hangs_one_in.set(one_in),
            FaultKind::StalledTick { ms } => {
                if let Some(host) = &mut self.host {
                    host.stall = (ms * 1_000, self.now_us + fault.for_us);
                }
            }
            FaultKind::ServerClock { ms } => {
                if let Some(host) = &mut self.host {
                    host.clock_ahead_us += ms * 1_000;
                }
                self.reschedule_server();
            }
            FaultKind::ClientClock { ms } => self.advance_clocks(fault.group, ms * 1_000),
            FaultKind::RestartServer { says_goodbye } => {
                if let Some(host) = self.host.as_mut().filter(|_| says_goodbye) {
                    host.say_goodbye(self.now_us);
                    self.post();
                }
                self.host = None;
            }
            FaultKind::JoinBurst { clients } => {
                let group = fault.group.unwrap_or(0);
                for _ in 0..clients {
                    self.add_guest(group, &[(self.now_us, self.now_us + fault.for_us)]);
                }
            }
        }
    }

    fn advance_clocks(&mut self, group: Option<usize>, us: u64) {
        for index in 0..self.guests.len() {
            let guest = &mut self.guests[index];
            if group.is_none_or(|g| g == guest.group) {
                guest.clock_ahead_us += us;
                self.agenda.wake(actor_of(index), self.now_us);
            }
        }
    }

    fn end(&mut self, fault: &Fault) {
        self.disturbed_us = self.now_us;
        match fault.kind {
            FaultKind::SlowGenerator { .. } => self.yard.slower_us.set(0),
            FaultKind::PanickingGenerator { .. } => self.yard.panics_one_in.set(0),
            FaultKind::HangingGenerator { .. } => self.yard.hangs_one_in.set(0),
            FaultKind::RestartServer { .. } => self.start_again(),
            _ => {}
        }
    }

    fn start_again(&mut self) {
        if self.host.is_some() {
            return;
        }
        self.hosts += 1;
        self.host_config.seed = self.random.u64(..);
        self.yard.outstanding.borrow_mut().clear();
        self.yard.handed_over.borrow_mut().clear();
        let yard = Rc::clone(&self.yard);
        self.host = Some(Host::new(self.now_us, 0, &self.host_config, yard));
        self.reschedule_server();
    }

    /// Makes all well: a clean line for everybody, a server that is there, clients that stand still.
    fn heal(&mut self) {
        self.healed_at_us = Some(self.now_us);
        self.disturbed_us = self.now_us;
        self.yard.heal();
        self.start_again();
        if let Some(host) = &mut self.host {
            host.stall = (0, 0);
        }
        let line = healed();
        for index in 0..self.guests.len() {
            let (now_us, seed) = (self.now_us, self.seed);
            let guest = &mut self.guests[index];
            guest.set_line(now_us, &line, seed);
            guest.rest(now_us);
            self.agenda.wake(actor_of(index), now_us);
        }
    }

    /// The server's side of a client, if it is in.
    pub fn session(&self, guest: &Guest) -> Option<&ninefold::session::Session> {
        self.host.as_ref()?.tick.sessions().find(|s| s.client_id == guest.client_id)
    }

    /// Where a client is.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.guests[index].address(self.now_us)
    }
}
