//! Which tokens have been used, by whom, and whether their session is over.
//!
//! A token is used when its challenge has been answered: from then on it belongs to the address that
//! answered, and once its session has ended it is refused for good. Until then it is anybody's who shows
//! it, from a few addresses at a time ([`super::handshakes`]). On a carrier that has proven the address, to
//! be let in is to use it, and to use it up. An entry is forgotten only when its token
//! has expired; when there is no room, the new token is refused, never an old one forgotten.
//!
//! The store does not outlive the process. An extended token says when it was made
//! ([`crate::connection::extension`]), and one from before the start is refused. A standard token does not;
//! where all live equally long ([`super::HandshakeLimits::token_lifetime_s`]), their expiry tells it. Where
//! they do not, what such a token must not allow is prevented elsewhere: a recorded session cannot be
//! replayed, since challenges of another process are worthless, and no nonce repeats, since sequences start
//! at the clock.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ahash::{AHashMap, RandomState};

use crate::connection::crypto::Tag;

/// What is known of a token that somebody shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has used it.
    Unused,
    /// This address has a session with it.
    InUse(SocketAddr),
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

    /// What is known of the token with this tag.
    pub fn standing(&self, tag: &Tag) -> Standing {
        match self.by_tag.get(tag) {
            None => Standing::Unused,
            Some(used) if used.has_ended => Standing::Ended,
            Some(used) => Standing::InUse(used.address),
        }
    }

    /// Whether there is no room for one more.
    pub fn is_full(&self) -> bool {
        self.by_tag.len() >= self.tokens_max
    }

    /// Binds an unused token to the address that answered its challenge.
    pub fn enter(&mut self, tag: Tag, address: SocketAddr, expire_unix_s: u64) -> Result<(), Full> {
        debug_assert_eq!(self.standing(&tag), Standing::Unused);
        if self.is_full() {
            return Err(Full);
        }
        self.by_tag.insert(tag, Used { address, has_ended: false });
        self.by_expiry.insert((expire_unix_s, tag));
        Ok(())
    }

    /// The token's session has moved.
    pub fn rebind(&mut self, tag: &Tag, address: SocketAddr) {
        if let Some(used) = self.by_tag.get_mut(tag) {
            used.address = address;
        }
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
    fn a_token_belongs_to_its_address_until_its_session_ends() {
        let mut used = store(8);
        let tag = [1; 16];
        assert_eq!(used.standing(&tag), Standing::Unused);
        used.enter(tag, address(1), 100).unwrap();
        assert_eq!(used.standing(&tag), Standing::InUse(address(1)));
        used.end(&tag);
        assert_eq!(used.standing(&tag), Standing::Ended);
    }

    #[test]
    fn only_what_has_expired_is_forgotten() {
        let mut used = store(8);
        for (n, expiry) in [(1, 100), (2, 99), (3, 101), (4, 100)] {
            used.enter([n; 16], address(1), expiry).unwrap();
        }
        used.forget_expired(100, 2);
        let known = |used: &UsedTokens| [1, 2, 3, 4].map(|n| used.standing(&[n; 16]) != Standing::Unused);
        assert_eq!(known(&used), [false, false, true, true]);
        used.forget_expired(100, 100);
        assert_eq!(known(&used), [false, false, true, false]);
    }

    #[test]
    fn without_room_the_new_one_is_refused() {
        let mut used = store(1);
        used.enter([1; 16], address(1), 100).unwrap();
        assert_eq!(used.enter([2; 16], address(1), 200), Err(Full));
        assert_eq!(used.standing(&[1; 16]), Standing::InUse(address(1)));
        used.forget_expired(100, 1);
        assert_eq!(used.enter([2; 16], address(1), 200), Ok(()));
    }
}
