//! Connecting, stepping, and the game's own socket.

use std::ffi::c_char;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ninefold_client::Client;
use ninefold_client::net::{Driver, DriverError, Trust};
use ninefold_client::protocol::connection::DATAGRAM_BYTES_MAX;
use ninefold_client::protocol::time::{Duration, Instant};

use crate::border;
use crate::config::{NinefoldConfig, Setup, setup, token};
use crate::handle::{Inner, Line, NinefoldClient, create, enter};
use crate::status::{Failure, NinefoldStatus, Outcome};

/// Bytes that a buffer for ninefold_client_poll_transmit must have.
pub const NINEFOLD_DATAGRAM_BYTES_MAX: usize = 1_231;
const _: () = assert!(NINEFOLD_DATAGRAM_BYTES_MAX == DATAGRAM_BYTES_MAX);

/// Where a datagram comes from or goes to. Its layout never changes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NinefoldAddress {
    /// In network order; of IPv4 the first four bytes count.
    pub ip: [u8; 16],
    /// In the machine's own order.
    pub port: u16,
    /// 4 or 6.
    pub version: u8,
    /// 0.
    pub reserved: u8,
}

impl NinefoldAddress {
    fn read(self) -> Result<SocketAddr, Failure> {
        let ip: IpAddr = match self.version {
            4 => Ipv4Addr::new(self.ip[0], self.ip[1], self.ip[2], self.ip[3]).into(),
            6 => Ipv6Addr::from(self.ip).into(),
            version => {
                let words = format_args!("from->version is {version}, neither 4 nor 6");
                return Err(Failure::new(NinefoldStatus::Argument, words));
            }
        };
        Ok((ip, self.port).into())
    }

    fn of(address: SocketAddr) -> NinefoldAddress {
        let mut ip = [0; 16];
        let version = match address.ip() {
            IpAddr::V4(v4) => {
                ip[..4].copy_from_slice(&v4.octets());
                4
            }
            IpAddr::V6(v6) => {
                ip = v6.octets();
                6
            }
        };
        NinefoldAddress { ip, port: address.port(), version, reserved: 0 }
    }
}

fn not_opened(error: DriverError) -> Failure {
    let status = match error {
        DriverError::Client(_) => NinefoldStatus::Token,
        DriverError::System(_) => NinefoldStatus::System,
    };
    Failure::new(status, error)
}

fn driven(driver: Driver, setup: Setup) -> (Line, Instant) {
    let driver = match setup.store {
        Some(store) => driver.with_store(store),
        None => driver,
    };
    (Line::Driver(Box::new(driver)), Instant::ZERO)
}

/// Makes a client with a UDP socket of its own, which begins to connect to the servers that the token lists with
/// its first ninefold_client_step. `token` is the connect token: its 2,048 bytes, or their base64. `config` may be
/// NULL. On failure `*client` is NULL, and ninefold_client_error(NULL, ...) has words.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_udp(
    config: *const NinefoldConfig,
    token_bytes: *const u8,
    token_length: usize,
    client: *mut *mut NinefoldClient,
) -> NinefoldStatus {
    let make = || {
        // SAFETY: the caller's promises.
        let (token, setup) = unsafe { (token(token_bytes, token_length)?, setup(config)?) };
        let driver = Driver::udp(&setup.client, &token).map_err(not_opened)?;
        Ok(driven(driver, setup))
    };
    // SAFETY: the caller's promise.
    unsafe { create(client, make) }
}

/// Makes a client that connects over QUIC to `server`, such as "203.0.113.9:4433" or "[2001:db8::9]:4433", and
/// trusts the one certificate whose SHA-256 is `fingerprint`, 64 hexadecimal digits. It has a thread of its
/// own. The rest is as with ninefold_client_udp.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_quic(
    config: *const NinefoldConfig,
    token_bytes: *const u8,
    token_length: usize,
    server: *const c_char,
    fingerprint: *const c_char,
    client: *mut *mut NinefoldClient,
) -> NinefoldStatus {
    let make = || {
        // SAFETY: the caller's promises.
        let (server, fingerprint) =
            unsafe { (border::text(server, "server")?, border::text(fingerprint, "fingerprint")?) };
        let not_read = |error: &dyn std::fmt::Display| Failure::new(NinefoldStatus::Address, error);
        let server: SocketAddr = server.parse().map_err(|error| not_read(&error))?;
        let trust = Trust::Fingerprint(fingerprint.parse().map_err(|error| not_read(&error))?);
        // SAFETY: the caller's promises.
        let (token, setup) = unsafe { (token(token_bytes, token_length)?, setup(config)?) };
        let driver = Driver::quic(&setup.client, &token, server, &trust).map_err(not_opened)?;
        Ok(driven(driver, setup))
    };
    // SAFETY: the caller's promise.
    unsafe { create(client, make) }
}

/// Makes a client without a socket or a clock: the game hands it datagrams and the time, in microseconds from any
/// origin, never backwards. `config->unix_s_at_zero` must say what time that origin is. The rest is as with
/// ninefold_client_udp.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_new(
    config: *const NinefoldConfig,
    token_bytes: *const u8,
    token_length: usize,
    now_us: u64,
    client: *mut *mut NinefoldClient,
) -> NinefoldStatus {
    let make = || {
        // SAFETY: the caller's promises.
        let (token, setup) = unsafe { (token(token_bytes, token_length)?, setup(config)?) };
        let now = Instant::from_us(now_us);
        let made = Client::new(now, &setup.client, &token);
        let mut core = made.map_err(|error| Failure::new(NinefoldStatus::Token, error))?;
        if let Some(store) = &setup.store {
            core.offer(store.offers());
        }
        Ok((Line::Own(Box::new(core), setup.store), now))
    };
    // SAFETY: the caller's promise.
    unsafe { create(client, make) }
}

fn driver(inner: &mut Inner) -> Result<&mut Driver, Failure> {
    match &mut inner.line {
        Line::Driver(driver) => Ok(driver),
        Line::Own(..) => Err(Failure::new(
            NinefoldStatus::Kind,
            "this client has no socket of its own: hand it datagrams, or make it with ninefold_client_udp",
        )),
    }
}

fn core(inner: &mut Inner) -> Result<&mut Client, Failure> {
    match &mut inner.line {
        Line::Own(client, _) => Ok(client),
        Line::Driver(_) => Err(Failure::new(
            NinefoldStatus::Kind,
            "this client has a socket of its own: call ninefold_client_step, or make it with ninefold_client_new",
        )),
    }
}

fn system(error: std::io::Error) -> Failure {
    Failure::new(NinefoldStatus::System, error)
}

/// One frame of a client with a socket of its own: takes what came, lets time pass, sends what there is to say.
/// Never waits. NINEFOLD_STATUS_SYSTEM means that the socket cannot be read now; the session lives on as long as
/// its token allows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_step(client: *mut NinefoldClient) -> NinefoldStatus {
    let step = |inner: &mut Inner| -> Outcome {
        driver(inner)?.step().map_err(system)?;
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, step) }
}

/// Waits until something has come for a client with a socket of its own, or it has something to do, at most so long, and
/// maybe less. For programs without a frame loop: step after it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_wait(
    client: *mut NinefoldClient,
    at_most_us: u64,
) -> NinefoldStatus {
    let wait = |inner: &mut Inner| -> Outcome {
        driver(inner)?.wait(Duration::from_us(at_most_us)).map_err(system)?;
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, wait) }
}

/// Goes on from another port, as after a change of network; for a client with a socket of its own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_rebind(client: *mut NinefoldClient) -> NinefoldStatus {
    let rebind = |inner: &mut Inner| -> Outcome {
        driver(inner)?.rebind().map_err(system)?;
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, rebind) }
}

/// Takes one datagram that came for a client without a socket. It is decrypted in place, so that the bytes are
/// others afterwards. What is not from the server is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_handle_datagram(
    client: *mut NinefoldClient,
    now_us: u64,
    from: *const NinefoldAddress,
    datagram: *mut u8,
    length: usize,
) -> NinefoldStatus {
    let handle = |inner: &mut Inner| -> Outcome {
        let core = core(inner)?;
        // SAFETY: the caller's promises; any bytes are an address.
        let (from, datagram) =
            unsafe { (border::one(from, "from")?, border::bytes_mut(datagram, length, "datagram")?) };
        core.handle_datagram(Instant::from_us(now_us), from.read()?, datagram);
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, handle) }
}

/// Lets time pass for a client without a socket: once per frame, after the datagrams that came. What is asked after it
/// is answered as of this time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_handle_timeout(
    client: *mut NinefoldClient,
    now_us: u64,
) -> NinefoldStatus {
    let handle = |inner: &mut Inner| -> Outcome {
        let now = Instant::from_us(now_us);
        core(inner)?;
        inner.told_at = now;
        if let Line::Own(client, Some(store)) = &mut inner.line {
            store.serve(now, client);
        }
        inner.client_mut().handle_timeout(now);
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, handle) }
}

/// The next datagram that a client without a socket has to send: its bytes go to the front of `buffer`, which has
/// `room` of at least NINEFOLD_DATAGRAM_BYTES_MAX bytes, their number to `length`, where to, to `to`. Call it after
/// ninefold_client_handle_timeout until it returns NINEFOLD_STATUS_NOTHING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_poll_transmit(
    client: *mut NinefoldClient,
    now_us: u64,
    to: *mut NinefoldAddress,
    buffer: *mut u8,
    room: usize,
    length: *mut usize,
) -> NinefoldStatus {
    let poll = |inner: &mut Inner| -> Outcome {
        let core = core(inner)?;
        // Checked before the datagram is taken, so that it is not lost to a mistake.
        border::check(to.cast_const(), "to")?;
        // SAFETY: the caller's promises.
        let buffer = unsafe {
            border::put(length, 0, "length")?;
            border::bytes_mut(buffer, room, "buffer")?
        };
        if room < NINEFOLD_DATAGRAM_BYTES_MAX {
            let words = format_args!("buffer has {room} bytes, and needs {NINEFOLD_DATAGRAM_BYTES_MAX}");
            return Err(Failure::new(NinefoldStatus::Argument, words));
        }
        let Some(transmit) = core.poll_transmit(Instant::from_us(now_us), buffer) else {
            return Ok(NinefoldStatus::Nothing);
        };
        // SAFETY: the caller's promises.
        unsafe {
            border::put(to, NinefoldAddress::of(transmit.to), "to")?;
            border::put(length, transmit.bytes, "length")?;
        }
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, poll) }
}

/// Ends the session. A client with a socket of its own says goodbye at once; one without has it to send. Freeing a
/// client with a socket does the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ninefold_client_leave(client: *mut NinefoldClient) -> NinefoldStatus {
    let leave = |inner: &mut Inner| -> Outcome {
        match &mut inner.line {
            Line::Driver(driver) => driver.leave(),
            Line::Own(client, _) => client.disconnect(),
        }
        Ok(NinefoldStatus::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { enter(client, leave) }
}
