//! Who is there: NETCODE 1.02, sans-IO.
