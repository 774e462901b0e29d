//! A counter for everything that the connection layer refuses or ends.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident $(($refusal:ident))?,)*) => {
        /// The counts since the start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: u64,)*
        }

        impl Counters {
            /// Every counter with its name, in the order in which they are told.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Datagrams that were refused, for whatever reason.
            pub fn refused(&self) -> u64 {
                0 $($(+ { let _ = stringify!($refusal); self.$name })?)*
            }
        }
    };
}

counters! {
    /// Sessions that began.
    connected,
    /// Sessions that the client ended.
    left,
    /// Sessions that ended in silence.
    timed_out,
    /// Sessions that made way for the same client's next one.
    replaced,
    /// Clients denied because every slot was taken.
    denied,
    /// Datagrams that are no packet.
    malformed (refused),
    /// Packets from an address without a session or handshake.
    from_nobody (refused),
    /// Packets that only a server sends.
    unexpected (refused),
    /// Packets that came before, or too late to tell.
    replayed (refused),
    /// Packets of a session that are not authentic.
    forged (refused),
    /// Requests of another game or version.
    request_protocol (refused),
    /// Requests whose token has expired, or expires too far ahead to be remembered.
    request_expired (refused),
    /// Requests and responses whose token was used before.
    request_used_token (refused),
    /// Requests whose private token is not authentic.
    request_forged (refused),
    /// Requests whose token is for other servers.
    request_other_server (refused),
    /// Requests beyond what is opened in a while.
    request_over_limit (refused),
    /// Responses that do not repeat the challenge.
    response_forged (refused),
    /// Requests beyond the handshakes that are kept.
    handshakes_over_limit (refused),
    /// Responses beyond the used tokens that are kept.
    used_tokens_over_limit (refused),
    /// Answers beyond those that may wait to be sent.
    answers_over_limit,
}
