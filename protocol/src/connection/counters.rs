//! A counter for everything that the two ends of a connection refuse or end.

macro_rules! counters {
    (
        $(#[doc = $whole:literal])+
        $counters:ident { $($(#[doc = $doc:literal])+ $name:ident $(($refusal:ident))?,)* }
    ) => {
        $(#[doc = $whole])+
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl $counters {
            /// Every counter with its name, in the order in which they are told.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Datagrams that were refused, for whatever reason.
            pub fn refused(&self) -> u64 {
                0 $($(+ { let _ = stringify!($refusal); self.$name })?)*
            }
        }

        impl std::ops::AddAssign for $counters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// What a server counts from its start.
    Counters {
        /// Sessions that began.
        connected,
        /// Sessions that the client ended.
        left,
        /// Sessions that ended in silence.
        timed_out,
        /// Sessions that made way for the same client's next one.
        replaced,
        /// Sessions that followed their client to a new address.
        moved,
        /// Challenges to new addresses.
        paths_challenged,
        /// Answers to a path's challenge that are wrong, late or from elsewhere.
        paths_refused,
        /// Packets from new addresses beyond the challenges that are sent.
        paths_over_limit,
        /// Requests and responses denied because every slot was taken.
        denied,
        /// Handshakes that were given up by the client or its line.
        handshakes_expired,
        /// Datagrams that are no packet.
        malformed (refused),
        /// Packets from an address without a session or handshake.
        from_nobody (refused),
        /// Packets that only a server sends, or that no one sends now.
        unexpected (refused),
        /// Packets that came before, or too late to tell.
        replayed (refused),
        /// Packets of a session that are not authentic.
        forged (refused),
        /// Packets of a session beyond what is taken of one client in a while.
        packets_over_limit (refused),
        /// Requests of another game or version.
        request_protocol (refused),
        /// Requests whose token has expired, or expires too far ahead to be remembered.
        request_expired (refused),
        /// Requests whose token was made before the server started.
        request_before_start (refused),
        /// Requests whose token is in use at another address, or whose session has ended.
        request_used_token (refused),
        /// Requests whose private token is not authentic.
        request_forged (refused),
        /// Requests whose private token is authentic and says nothing sensible: its maker is at fault.
        request_malformed_token (refused),
        /// Requests and responses of clients that are in already.
        already_connected (refused),
        /// Requests whose token is for other servers.
        request_other_server (refused),
        /// Requests beyond what is opened in a while for all networks.
        request_over_limit (refused),
        /// Requests beyond what is opened in a while for one network.
        request_network_over_limit (refused),
        /// Responses that do not repeat their own address's challenge.
        response_forged (refused),
        /// Responses beyond what is opened in a while.
        response_over_limit (refused),
        /// Requests beyond the handshakes that are kept.
        handshakes_over_limit (refused),
        /// Requests beyond the handshakes that are kept for one network.
        handshakes_network_over_limit (refused),
        /// Requests beyond the addresses that may be on the way in with one token.
        handshakes_token_over_limit (refused),
        /// Requests and responses beyond the used tokens that are kept.
        used_tokens_over_limit (refused),
        /// Answers beyond those that may wait to be sent.
        answers_over_limit,
        /// Farewells beyond those that may wait to be sent.
        farewells_over_limit,
        /// Datagrams that came while too many events waited to be polled.
        events_over_limit (refused),
    }
}

counters! {
    /// What a client counts from its start.
    ClientCounters {
        /// Servers that were given up for the token's next one.
        servers_passed_over,
        /// Datagrams from elsewhere than the server that is tried.
        from_elsewhere (refused),
        /// Datagrams after the end.
        after_the_end (refused),
        /// Datagrams that are no packet.
        malformed (refused),
        /// Packets that only a client sends, or that nobody sends in this state.
        unexpected (refused),
        /// Payloads that came before the keep-alive that lets us in.
        early (refused),
        /// Packets that came before, or too late to tell.
        replayed (refused),
        /// Packets that are not authentic.
        forged (refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_added_up_and_other_counts_are_not() {
        let counters = Counters { forged: 2, malformed: 1, connected: 9, ..Counters::default() };
        assert_eq!(counters.refused(), 3);
        assert!(counters.each().any(|(name, count)| (name, count) == ("connected", 9)));
        let mut sum = Counters { forged: 1, ..Counters::default() };
        sum += counters;
        assert_eq!((sum.forged, sum.malformed, sum.connected), (3, 1, 9));
    }
}
