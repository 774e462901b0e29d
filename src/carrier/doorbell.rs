//! Wakes a thread that waits for sockets.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// A doorbell. Who waits for it waits for [`Doorbell::as_fd`] to be readable, and then calls [`Doorbell::answer`].
#[derive(Debug)]
pub struct Doorbell {
    button: UnixStream,
    bell: UnixStream,
}

impl Doorbell {
    /// A doorbell that was not rung.
    pub fn new() -> io::Result<Self> {
        let (button, bell) = UnixStream::pair()?;
        button.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        Ok(Doorbell { button, bell })
    }

    /// Wakes the thread, now or when it next waits.
    pub fn ring(&self) {
        // It fails where so many rings wait that one more says nothing.
        let _ = (&self.button).write(&[1]);
    }

    /// Forgets the rings so far.
    pub fn answer(&self) {
        let mut rings = [0; 64];
        while (&self.bell).read(&mut rings).is_ok_and(|read| read == rings.len()) {}
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(doorbell: &Doorbell) -> bool {
        poll(&mut [PollFd::new(doorbell, PollFlags::IN)], Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn it_rings_until_it_is_answered_however_often_it_was_rung() {
        let doorbell = Doorbell::new().unwrap();
        for count in [1, 64, 65, 1_000_000] {
            assert!(!rings(&doorbell));
            (0..count).for_each(|_| doorbell.ring());
            assert!(rings(&doorbell));
            doorbell.answer();
        }
        assert!(!rings(&doorbell));
    }
}
