//! Asks the server for its state on a thread of its own, so that a server that does not answer holds up nobody.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::metrics::{ask_for_trace, fetch_state};
use crate::telemetry::State;

/// From one question to the next.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// After one that was not answered.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Time for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// News that wait for the next picture; while that is full nothing is asked.
const NEWS_MAX: usize = 4;

/// What was heard.
#[derive(Debug)]
pub enum News {
    /// How the server is.
    State(Box<State>),
    /// It does not answer, and why.
    Silent(String),
    /// What came of an order.
    Told(String),
}

/// What is asked of the server beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// A trace of the flight recorder.
    Record,
}

/// The thread. It ends by itself once this is dropped.
#[derive(Debug)]
pub struct Watcher {
    news: Receiver<News>,
    orders: Sender<Order>,
}

impl Watcher {
    /// Begins to watch.
    pub fn start(address: SocketAddr) -> io::Result<Watcher> {
        let (news_in, news) = bounded(NEWS_MAX);
        let (orders, orders_out) = bounded(1);
        std::thread::Builder::new()
            .name("ninefold-watch".into())
            .spawn(move || watch(address, &news_in, &orders_out))?;
        Ok(Watcher { news, orders })
    }

    /// What was heard since the last call.
    pub fn news(&self) -> impl Iterator<Item = News> {
        self.news.try_iter()
    }

    /// Gives an order; says whether it will be carried out.
    pub fn order(&self, order: Order) -> bool {
        !matches!(self.orders.try_send(order), Err(TrySendError::Full(_)))
    }
}

/// The path for everything after this tick.
pub fn query(after_tick: u64, clients: usize) -> String {
    format!("clients={clients}&ticks=600&after={after_tick}")
}

fn watch(address: SocketAddr, news: &Sender<News>, orders: &Receiver<Order>) {
    let mut after_tick = 0;
    loop {
        let began = Instant::now();
        let (heard, every) = match fetch_state(address, &query(after_tick, CLIENTS), ANSWER_TIME_MAX) {
            Ok(state) => {
                // Another server counts from the beginning again.
                let last = state.ticks.recent.last().map(|tick| tick.number);
                after_tick = if state.ticks.run < after_tick { 0 } else { last.unwrap_or(after_tick) };
                (News::State(Box::new(state)), ASK_EVERY)
            }
            Err(error) => (News::Silent(error.to_string()), ASK_AGAIN_AFTER),
        };
        if news.send(heard).is_err() {
            return;
        }
        match orders.recv_timeout(every.saturating_sub(began.elapsed())) {
            Ok(Order::Record) => {
                let told = match ask_for_trace(address, ANSWER_TIME_MAX) {
                    Ok(()) => "a trace was asked for".to_owned(),
                    Err(error) => error.to_string(),
                };
                if news.send(News::Told(told)).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Clients that the picture has room for.
pub const CLIENTS: usize = 10;
