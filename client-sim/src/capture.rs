//! The datagrams of a run as a capture file, as `tcpdump` would write it, and the keys to open them with.
//!
//! The format is libpcap's classic one with raw IP packets (LINKTYPE_RAW). Addresses, ports and times are the
//! datagrams' own; checksums are not filled in, which their formats allow (UDP over IPv4) or nobody checks.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ninefold_client::protocol::connection::ConnectToken;
use ninefold_client::protocol::time::Instant;

/// A capture grows to so many bytes at most; what comes after is not written.
const BYTES_MAX: u64 = 2 << 30;
const PCAP_MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_RAW: u32 = 101;
const SNAP_BYTES: u32 = 65_535;
const UDP: u8 = 17;
const HOPS: u8 = 64;
const UDP_HEADER_BYTES: usize = 8;
const IPV4_HEADER_BYTES: usize = 20;

/// A capture that is being written.
#[derive(Debug)]
pub struct Capture {
    unix_s_at_origin: u64,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    bytes: u64,
    /// The first failure; nothing is written after it.
    failed: Option<io::Error>,
}

/// The file of the keys that go with a capture.
pub fn key_log_beside(capture: &Path) -> PathBuf {
    let mut name = capture.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

impl Capture {
    /// Begins a capture, and writes the keys of these tokens beside it.
    pub fn create(path: &Path, unix_s_at_origin: u64, tokens: &[ConnectToken]) -> io::Result<Capture> {
        let mut keys = BufWriter::new(File::create(key_log_beside(path))?);
        for token in tokens {
            writeln!(keys, "{}", token.key_log_line())?;
        }
        keys.flush()?;
        let mut file = BufWriter::new(File::create(path)?);
        // Version 2.4, no time zone, no accuracy.
        for word in [PCAP_MAGIC, 4 << 16 | 2, 0, 0, SNAP_BYTES, LINKTYPE_RAW] {
            file.write_all(&word.to_le_bytes())?;
        }
        let out = Mutex::new(Out { file, bytes: 24, failed: None });
        Ok(Capture { unix_s_at_origin, out })
    }

    /// Writes one datagram.
    pub fn datagram(&self, at: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if out.failed.is_some() || out.bytes >= BYTES_MAX {
            return;
        }
        let packet = ip_packet(from, to, datagram);
        let (s, us) = (self.unix_s_at_origin + at.as_us() / 1_000_000, at.as_us() % 1_000_000);
        let bytes = packet.len() as u32;
        let header = [s as u32, us as u32, bytes, bytes].map(u32::to_le_bytes).concat();
        out.bytes += (header.len() + packet.len()) as u64;
        let written = out.file.write_all(&header).and_then(|()| out.file.write_all(&packet));
        out.failed = written.err();
    }

    /// Writes what is left, and tells whether all went well.
    pub fn finish(&self) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.failed.take() {
            Some(error) => Err(error),
            None => out.file.flush(),
        }
    }
}

/// A datagram with the headers of UDP and IP in front, in network order.
fn ip_packet(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let udp_bytes = (UDP_HEADER_BYTES + datagram.len()) as u16;
    let mut packet = Vec::with_capacity(60 + datagram.len());
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let all = IPV4_HEADER_BYTES as u16 + udp_bytes;
            packet.extend([0x45, 0]);
            packet.extend(all.to_be_bytes());
            packet.extend([0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(udp_bytes.to_be_bytes());
            packet.extend([UDP, HOPS]);
            packet.extend(octets(from));
            packet.extend(octets(to));
        }
    }
    packet.extend([from.port(), to.port(), udp_bytes, 0].map(u16::to_be_bytes).concat());
    packet.extend(datagram);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_gets_its_headers() {
        let from: SocketAddr = "10.0.0.1:258".parse().unwrap();
        let to: SocketAddr = "10.0.0.2:40000".parse().unwrap();
        let packet = ip_packet(from, to, &[7; 5]);
        let literal = [
            0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 0x9c, 0x40, 0, 13,
            0, 0, 7, 7, 7, 7, 7,
        ];
        assert_eq!(packet, literal);
        let six: SocketAddr = "[::1]:9".parse().unwrap();
        assert_eq!(ip_packet(six, six, &[7; 5]).len(), 40 + 8 + 5);
    }
}
