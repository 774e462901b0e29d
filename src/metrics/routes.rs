//! What is answered to which request. No socket here.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Response, StatusCode, Uri};
use ninefold_protocol::time::Instant;

use super::health;
use crate::telemetry::{Asked, Live, RECENT_TICKS_MAX};

/// Clients that one document lists at most.
const CLIENTS_LISTED_MAX: usize = 4_096;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "ninefold\n\n\
    GET  /metrics   figures for Prometheus\n\
    GET  /state     everything as JSON; ?clients=10 lists so many, ?ticks=120 the last ticks, ?after=N those after N\n\
    GET  /healthz   200 while the server goes round\n\
    GET  /readyz    200 while its ticks come on time\n\
    POST /record    asks the flight recorder for a trace\n";

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// What the answers are made from.
#[derive(Debug)]
pub struct Source {
    /// What can be watched.
    pub live: std::sync::Arc<Live>,
    /// Connections that were turned away.
    pub refused: AtomicU64,
}

impl Source {
    /// Answers a request that came at `now`, the server's own time.
    pub fn answer(&self, now: Instant, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let is_get = *method == Method::GET || *method == Method::HEAD;
        match uri.path() {
            "/record" if *method == Method::POST => self.record(headers),
            "/record" => wrong_method("POST"),
            path @ ("/" | "/metrics" | "/state" | "/healthz" | "/readyz") if is_get => {
                self.get(now, path, uri)
            }
            "/" | "/metrics" | "/state" | "/healthz" | "/readyz" => wrong_method("GET, HEAD"),
            path => text(StatusCode::NOT_FOUND, format!("there is no {path} here\n\n{INDEX}")),
        }
    }

    fn get(&self, now: Instant, path: &str, uri: &Uri) -> Answer {
        match path {
            "/state" => match asked(uri.query().unwrap_or_default()) {
                Ok(asked) => self.state(now, &asked),
                Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
            },
            "/healthz" => verdict(health::healthy(&self.live, now)),
            "/readyz" => verdict(health::ready(&self.live, now)),
            _ => text(StatusCode::OK, INDEX.to_owned()),
        }
    }

    fn state(&self, now: Instant, asked: &Asked) -> Answer {
        match serde_json::to_vec(&self.live.state(now, asked)) {
            Ok(document) => answer(StatusCode::OK, JSON, document),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn record(&self, headers: &HeaderMap) -> Answer {
        // A page that somebody looks at on this machine could post here; browsers say whence.
        if headers.contains_key(ORIGIN) {
            return text(StatusCode::FORBIDDEN, "not from a web page\n".to_owned());
        }
        if self.live.recorder.ask() {
            text(StatusCode::ACCEPTED, "a trace was asked for\n".to_owned())
        } else {
            text(StatusCode::NOT_IMPLEMENTED, "this server has no flight recorder\n".to_owned())
        }
    }

    /// A connection was turned away.
    pub fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text(status: StatusCode, body: String) -> Answer {
    answer(status, TEXT, body)
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} here\n"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn verdict(verdict: Result<(), String>) -> Answer {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

/// Reads `clients=10&ticks=120&after=0`.
fn asked(query: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let number: u64 =
            value.parse().map_err(|_| format!("{name} wants a whole number and has \"{value}\""))?;
        let up_to = |max: usize| usize::try_from(number).unwrap_or(max).min(max);
        match name {
            "clients" => asked.clients = up_to(CLIENTS_LISTED_MAX),
            "ticks" => asked.ticks = up_to(RECENT_TICKS_MAX),
            "after" => asked.after_tick = number,
            _ => return Err(format!("there is no parameter {name}; there are clients, ticks and after")),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::Arc;

    fn source() -> Source {
        Source { live: Arc::new(Live::default()), refused: AtomicU64::new(0) }
    }

    fn ask(source: &Source, method: Method, uri: &str, headers: &HeaderMap) -> (u16, String) {
        let now = Instant::from_us(7_000_000);
        let answer = source.answer(now, &method, &uri.parse().unwrap(), headers);
        let status = answer.status().as_u16();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(answer.into_body().collect()).unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn each_path_has_its_methods_and_others_are_told_so() {
        let source = source();
        let none = HeaderMap::new();
        let status = |method: Method, uri: &str| ask(&source, method, uri, &none).0;
        assert_eq!(status(Method::GET, "/"), 200);
        assert_eq!(status(Method::GET, "/nothing"), 404);
        assert_eq!(status(Method::DELETE, "/state"), 405);
        assert_eq!(status(Method::GET, "/record"), 405);
        assert_eq!(status(Method::GET, "/healthz"), 503);
    }

    #[test]
    fn a_trace_is_asked_for_and_not_by_a_web_page() {
        let source = source();
        let mut headers = HeaderMap::new();
        assert_eq!(ask(&source, Method::POST, "/record", &headers).0, 501);
        source.live.recorder.announce();
        assert!(source.live.recorder.is_asked());
        assert_eq!(ask(&source, Method::POST, "/record", &headers).0, 202);
        assert!(source.live.recorder.is_asked());
        headers.insert(ORIGIN, HeaderValue::from_static("https://example.org"));
        assert_eq!(ask(&source, Method::POST, "/record", &headers).0, 403);
        assert!(!source.live.recorder.is_asked());
    }

    #[test]
    fn a_query_says_how_much_is_wanted_and_a_wrong_one_is_told() {
        let wanted = Asked { clients: 3, ticks: RECENT_TICKS_MAX, after_tick: 77 };
        assert_eq!(asked("clients=3&ticks=99999&after=77"), Ok(wanted));
        assert_eq!(asked(""), Ok(Asked::default()));
        assert!(asked("clients=x").unwrap_err().contains("clients wants a whole number"));
        let (status, why) = ask(&source(), Method::GET, "/state?clinets=3", &HeaderMap::new());
        assert_eq!((status, why.contains("no parameter clinets")), (400, true));
    }
}
