//! Which tokens have been used, by whom, and whether their session is over.
//!
//! A token belongs to the address that first showed it (NETCODE 1.02, Processing Connection Requests), so
//! that one token copied on its way cannot fill the table of handshakes. Once its session has ended it is
//! refused for good. An entry is forgotten only when its token has expired; when there is no room, the new
//! token is refused, never an old one forgotten.
//!
//! The store does not outlive the process. Tokens from before its start cannot be told from others, as a
//! request does not carry the time of its making; what such a token must not allow is prevented elsewhere:
//! a recorded session cannot be replayed, since challenges of another process are worthless, and no nonce
//! repeats, since sequences start at the clock.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ahash::{AHashMap, RandomState};

use crate::connection::crypto::Tag;

/// What is known of a token that an address shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has used it.
    Unused,
    /// This address has, and may again.
    Own,
    /// Another address has.
    Foreign,
    /// Its session has ended.
    Ended,
}

/// There is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

struct Used {
    address: SocketAddr,
    has_ended: bool,
}

/// The used tokens that have not expired.
pub(super) struct UsedTokens {
    by_tag: AHashMap<Tag, Used>,
    /// The same tokens, those first that expire first.
    by_expiry: BTreeSet<(u64, Tag)>,
    tokens_max: usize,
}

impl UsedTokens {
    pub fn new(tokens_max: usize, hasher: RandomState) -> Self {
        UsedTokens { by_tag: AHashMap::with_hasher(hasher), by_expiry: BTreeSet::new(), tokens_max }
    }

    /// What is known of the token with this tag, shown by `address`.
    pub fn standing(&self, tag: &Tag, address: SocketAddr) -> Standing {
        match self.by_tag.get(tag) {
            None => Standing::Unused,
            Some(used) if used.has_ended => Standing::Ended,
            Some(used) if used.address == address => Standing::Own,
            Some(_) => Standing::Foreign,
        }
    }

    /// Binds an unused token to an address.
    pub fn enter(&mut self, tag: Tag, address: SocketAddr, expire_unix_s: u64) -> Result<(), Full> {
        debug_assert_eq!(self.standing(&tag, address), Standing::Unused);
        if self.by_tag.len() >= self.tokens_max {
            return Err(Full);
        }
        self.by_tag.insert(tag, Used { address, has_ended: false });
        self.by_expiry.insert((expire_unix_s, tag));
        Ok(())
    }

    /// The token's session is over. One that has expired meanwhile needs no mark.
    pub fn end(&mut self, tag: &Tag) {
        if let Some(used) = self.by_tag.get_mut(tag) {
            used.has_ended = true;
        }
    }

    /// Forgets up to `steps` tokens that have expired.
    pub fn forget_expired(&mut self, unix_s: u64, steps: usize) {
        for _ in 0..steps {
            match self.by_expiry.first() {
                Some((expire_unix_s, tag)) if *expire_unix_s <= unix_s => {
                    self.by_tag.remove(tag);
                    self.by_expiry.pop_first();
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(tokens_max: usize) -> UsedTokens {
        UsedTokens::new(tokens_max, RandomState::with_seeds(1, 2, 3, 4))
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    #[test]
    fn a_token_belongs_to_its_first_address_until_its_session_ends() {
        let mut used = store(8);
        let tag = [1; 16];
        assert_eq!(used.standing(&tag, address(1)), Standing::Unused);
        used.enter(tag, address(1), 100).unwrap();
        assert_eq!(used.standing(&tag, address(1)), Standing::Own);
        assert_eq!(used.standing(&tag, address(2)), Standing::Foreign);
        used.end(&tag);
        assert_eq!(used.standing(&tag, address(1)), Standing::Ended);
        assert_eq!(used.standing(&tag, address(2)), Standing::Ended);
    }

    #[test]
    fn only_what_has_expired_is_forgotten() {
        let mut used = store(8);
        for (n, expiry) in [(1, 100), (2, 99), (3, 101), (4, 100)] {
            used.enter([n; 16], address(1), expiry).unwrap();
        }
        used.forget_expired(100, 2);
        let known =
            |used: &UsedTokens| [1, 2, 3, 4].map(|n| used.standing(&[n; 16], address(1)) == Standing::Own);
        assert_eq!(known(&used), [false, false, true, true]);
        used.forget_expired(100, 100);
        assert_eq!(known(&used), [false, false, true, false]);
    }

    #[test]
    fn without_room_the_new_one_is_refused() {
        let mut used = store(1);
        used.enter([1; 16], address(1), 100).unwrap();
        assert_eq!(used.enter([2; 16], address(1), 200), Err(Full));
        assert_eq!(used.standing(&[1; 16], address(1)), Standing::Own);
        used.forget_expired(100, 1);
        assert_eq!(used.enter([2; 16], address(1), 200), Ok(()));
    }
}
