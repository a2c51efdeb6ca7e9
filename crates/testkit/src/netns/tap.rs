//! The guest end of a tap device: what a virtual machine would hold. It moves frames, no more.
//!
//! Opening a tap takes an `ioctl` that no safe wrapper offers, so a few lines of Python hold it.

use super::Namespace;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const PROGRAM: &str = include_str!("tap_guest.py");

/// A guest that holds one tap device open; the device is there as long as the guest.
#[derive(Debug)]
pub struct TapGuest {
    child: Child,
    input: ChildStdin,
    frames: Receiver<Vec<u8>>,
}

impl TapGuest {
    /// Makes the tap device in a namespace and holds its guest end.
    ///
    /// # Errors
    /// When the device cannot be made.
    pub fn new(namespace: &Namespace, device: &str) -> Result<Self, String> {
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAM, device]);
        let mut child = namespace.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let (Some(input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a guest without pipes".to_owned());
        };
        let (sender, frames) = channel();
        std::thread::spawn(move || {
            while let Some(frame) = read_frame(&mut output) {
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        let guest = Self { child, input, frames };
        // The first, empty frame says that the device is there.
        guest.receive(Duration::from_secs(10)).ok_or_else(|| format!("no tap `{device}`"))?;
        Ok(guest)
    }

    /// Sends a frame from the guest.
    ///
    /// # Errors
    /// When the guest is gone.
    pub fn send(&mut self, frame: &[u8]) -> Result<(), String> {
        let length = u16::try_from(frame.len()).map_err(|_| "frame too long".to_owned())?;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        let written = self.input.write_all(&bytes).and_then(|()| self.input.flush());
        written.map_err(|error| format!("tap guest: {error}"))
    }

    /// The next frame that reaches the guest.
    pub fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        self.frames.recv_timeout(patience).ok()
    }
}

impl Drop for TapGuest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_frame(output: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    output.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
    output.read_exact(&mut frame).ok()?;
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::need;
    use crate::netns::available;
    use crate::packet::{Arp, BROADCAST, ETHERTYPE_ARP, Ethernet};
    use std::time::Instant;

    #[test]
    fn frames_pass_between_guest_and_host() {
        if !need("namespaces", available) {
            return;
        }
        let namespace = Namespace::new().unwrap();
        let mut guest = TapGuest::new(&namespace, "tap0").unwrap();
        namespace.ip("addr add 10.0.0.1/24 dev tap0\nlink set tap0 up").unwrap();
        let mac = [2, 0, 0, 0, 0, 7];
        let question = Arp::request(mac, [10, 0, 0, 7].into(), [10, 0, 0, 1].into());
        guest.send(&Ethernet::new(mac, BROADCAST).arp(&question)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let answered = std::iter::from_fn(|| {
            guest.receive(deadline.saturating_duration_since(Instant::now()))
        })
        .any(|frame| {
            frame.get(12..14) == Some(&ETHERTYPE_ARP.to_be_bytes()) && frame.get(21) == Some(&2)
        });
        assert!(answered);
        drop(guest);
        assert!(!namespace.has_device("tap0").unwrap());
    }
}
