//! What stands beside a datagram on its way between the kernel and us, as bytes: addresses and control messages.
//!
//! The kernel's own bytes are read like anybody else's: at offsets, checked, without a pointer. What is wrong is `None`.

use std::mem::offset_of;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of an address of either family.
const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
/// Bytes of a control message's header; what it says stands behind it, both aligned as a length is.
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>().next_multiple_of(size_of::<usize>());
/// Room for one control message of up to 16 bytes: a time stamp, or the length of a segment.
pub const CONTROL_BYTES: usize =
    HEADER_BYTES + size_of::<libc::timespec>().next_multiple_of(size_of::<usize>());

// Where Linux has them, on every machine that we build for.
const _: () = assert!(offset_of!(libc::cmsghdr, cmsg_len) == 0 && size_of::<usize>() == 8);
const _: () =
    assert!(offset_of!(libc::cmsghdr, cmsg_level) == LEVEL && offset_of!(libc::cmsghdr, cmsg_type) == TYPE);
const _: () = assert!(size_of::<libc::timespec>() == 16 && offset_of!(libc::timespec, tv_nsec) == 8);
const _: () = assert!(
    offset_of!(libc::sockaddr_in, sin_family) == 0 && offset_of!(libc::sockaddr_in6, sin6_family) == 0
);
const _: () = assert!(
    offset_of!(libc::sockaddr_in, sin_port) == PORT && offset_of!(libc::sockaddr_in6, sin6_port) == PORT
);
const LEVEL: usize = 8;
const TYPE: usize = 12;
const PORT: usize = 2;
const V4_ADDRESS: usize = offset_of!(libc::sockaddr_in, sin_addr);
const V6_FLOW: usize = offset_of!(libc::sockaddr_in6, sin6_flowinfo);
const V6_ADDRESS: usize = offset_of!(libc::sockaddr_in6, sin6_addr);
const V6_SCOPE: usize = offset_of!(libc::sockaddr_in6, sin6_scope_id);

/// The room of a control message, aligned as its header must be.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub struct Control(pub [u8; CONTROL_BYTES]);

/// The room of an address, aligned as the kernel's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Name(pub [u8; NAME_BYTES]);

fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn put(bytes: &mut [u8], offset: usize, part: &[u8]) {
    bytes[offset..][..part.len()].copy_from_slice(part);
}

impl Control {
    /// Nothing.
    pub const EMPTY: Control = Control([0; CONTROL_BYTES]);

    /// Tells the kernel where to cut a run into datagrams; and how many bytes of it to read.
    pub fn segment(bytes: u16) -> (Control, usize) {
        let mut control = Control::EMPTY;
        let length = HEADER_BYTES + size_of::<u16>();
        put(&mut control.0, 0, &length.to_ne_bytes());
        put(&mut control.0, LEVEL, &libc::SOL_UDP.to_ne_bytes());
        put(&mut control.0, TYPE, &libc::UDP_SEGMENT.to_ne_bytes());
        put(&mut control.0, HEADER_BYTES, &bytes.to_ne_bytes());
        (control, length.next_multiple_of(size_of::<usize>()))
    }

    /// When the kernel took the datagram that this came with, nanoseconds since the Unix epoch. It has written so many
    /// bytes.
    pub fn stamp_ns(&self, written: usize) -> Option<u64> {
        let bytes = self.0.get(..written)?;
        let length = usize::from_ne_bytes(at(bytes, 0)?);
        let [level, kind] = [LEVEL, TYPE].map(|offset| at(bytes, offset).map(i32::from_ne_bytes));
        let is_stamp = (level?, kind?) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS);
        if !is_stamp || length != HEADER_BYTES + size_of::<libc::timespec>() {
            return None;
        }
        let s = u64::try_from(i64::from_ne_bytes(at(bytes, HEADER_BYTES)?)).ok()?;
        let ns = u64::try_from(i64::from_ne_bytes(at(bytes, HEADER_BYTES + 8)?)).ok()?;
        s.checked_mul(1_000_000_000)?.checked_add(ns)
    }
}

impl Name {
    /// No address.
    pub const EMPTY: Name = Name([0; NAME_BYTES]);

    /// An address as the kernel wants it, and how many bytes of it.
    pub fn of(address: SocketAddr) -> (Name, usize) {
        let mut name = Name::EMPTY;
        let bytes = &mut name.0;
        put(bytes, PORT, &address.port().to_be_bytes());
        let (family, length) = match address {
            SocketAddr::V4(v4) => {
                put(bytes, V4_ADDRESS, &v4.ip().octets());
                (libc::AF_INET, size_of::<libc::sockaddr_in>())
            }
            SocketAddr::V6(v6) => {
                put(bytes, V6_FLOW, &v6.flowinfo().to_ne_bytes());
                put(bytes, V6_ADDRESS, &v6.ip().octets());
                put(bytes, V6_SCOPE, &v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, NAME_BYTES)
            }
        };
        put(bytes, 0, &(family as libc::sa_family_t).to_ne_bytes());
        (name, length)
    }

    /// The address that the kernel wrote.
    pub fn address(&self) -> Option<SocketAddr> {
        let bytes = &self.0;
        let port = u16::from_be_bytes(at(bytes, PORT)?);
        match i32::from(libc::sa_family_t::from_ne_bytes(at(bytes, 0)?)) {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(at::<4>(bytes, V4_ADDRESS)?);
                Some(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(at::<16>(bytes, V6_ADDRESS)?);
                let [flow, scope] =
                    [V6_FLOW, V6_SCOPE].map(|offset| at(bytes, offset).map(u32::from_ne_bytes));
                Some(SocketAddrV6::new(ip, port, flow?, scope?).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A stamp as Linux writes it on a little-endian machine of 64 bits.
    const STAMP: [u8; 32] = [
        32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 35, 0, 0, 0, // length, SOL_SOCKET, SCM_TIMESTAMPNS
        5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, // seconds, nanoseconds
    ];

    #[test]
    #[cfg(target_endian = "little")]
    fn control_messages_stand_where_the_kernel_has_them() {
        let mut control = Control(STAMP);
        assert_eq!(control.stamp_ns(STAMP.len()), Some(5_000_000_007));
        assert_eq!(control.stamp_ns(STAMP.len() - 1), None, "it has not written all of it");
        control.0[12] = 36;
        assert_eq!(control.stamp_ns(STAMP.len()), None, "another message");
        let (control, length) = Control::segment(1_225);
        let expected = [18, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 103, 0, 0, 0, 0xc9, 4, 0, 0, 0, 0, 0, 0];
        assert_eq!((&control.0[..length], length), (&expected[..], 24));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_stand_where_the_kernel_has_them() {
        let (name, length) = Name::of("10.1.2.3:258".parse().unwrap());
        assert_eq!((&name.0[..8], length), (&[2, 0, 1, 2, 10, 1, 2, 3][..], 16));
        let (name, length) = Name::of("[1::2]:258".parse().unwrap());
        let expected = [10, 0, 1, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0];
        assert_eq!((name.0, length), (expected, 28));
        assert_eq!(Name::EMPTY.address(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_bytes_are_a_stamp_or_none(
            mut bytes in any::<[u8; CONTROL_BYTES]>(),
            looks_right in 0..=HEADER_BYTES,
            written in 0..=2 * CONTROL_BYTES,
        ) {
            bytes[..looks_right].copy_from_slice(&STAMP[..looks_right]);
            let stamp = Control(bytes).stamp_ns(written);
            prop_assert!(stamp.is_none() || (written == CONTROL_BYTES && bytes[..16] == STAMP[..16]));
        }

        #[test]
        fn any_bytes_are_an_address_or_none_and_an_address_comes_back(
            mut bytes in any::<[u8; NAME_BYTES]>(),
            family in prop_oneof![Just(2_u16), Just(10), any::<u16>()],
        ) {
            bytes[..2].copy_from_slice(&family.to_ne_bytes());
            match Name(bytes).address() {
                Some(address) => {
                    let (name, length) = Name::of(address);
                    prop_assert_eq!(name.address(), Some(address));
                    // What lies behind an IPv4 address is nobody's.
                    let meant = if family == 2 { 8 } else { length };
                    prop_assert_eq!(&name.0[..meant], &bytes[..meant]);
                }
                None => prop_assert!(family != 2 && family != 10),
            }
        }
    }
}
