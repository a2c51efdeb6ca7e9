//! Steady traffic while something else happens: numbered datagrams, or one TCP stream.
//!
//! Each tells afterwards exactly what arrived and when. Why something did not is not known here.

use super::probe::bind_udp;
use crate::netns::{Link, Namespace};
use crate::wait::until;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a reader waits before it looks whether it shall stop.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// A stream sends so many bytes at a time.
const CHUNK_BYTES: usize = 256;

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived, if it did.
    pub received: Option<Instant>,
}

/// Datagrams at a steady pace from one place to another, until stopped.
#[derive(Debug)]
pub struct Pulse {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop_sending: AtomicBool,
    stop_receiving: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    beats: Mutex<BTreeMap<u64, Beat>>,
    trouble: Mutex<Option<String>>,
}

impl Pulse {
    /// Begins to send datagrams, one per `pace`.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn start(
        from: (&Namespace, SocketAddr),
        to: (&Namespace, SocketAddr),
        pace: Duration,
    ) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let receiver = bind_udp(to.0, to.1)?;
        let sender = bind_udp(from.0, from.1)?;
        receiver.set_read_timeout(Some(READ_TIMEOUT)).map_err(text)?;
        sender.connect(to.1).map_err(text)?;
        let send = move |number: u64| {
            sender.send(&number.to_be_bytes()).map(|_| ()).map_err(|error| error.to_string())
        };
        let receive = move || {
            let mut buffer = [0; 8];
            match receiver.recv(&mut buffer) {
                Ok(_) => Ok(Heard::Number(u64::from_be_bytes(buffer))),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(Heard::Silence),
                Err(error) => Err(error.to_string()),
            }
        };
        Ok(Self::run(send, receive, pace))
    }

    /// Begins to send frames that carry their number, one per `pace`. They are found again by the
    /// number alone, so anything may carry it.
    pub fn start_frames(
        from: Link,
        to: Link,
        frame: impl Fn(&[u8]) -> Vec<u8> + Send + 'static,
        pace: Duration,
    ) -> Self {
        let send = move |number: u64| from.send(&frame(&mark(number)));
        let receive = move || {
            let Some(frame) = to.receive_within(READ_TIMEOUT)? else { return Ok(Heard::Silence) };
            Ok(marked(&frame).map_or(Heard::Other, Heard::Number))
        };
        Self::run(send, receive, pace)
    }

    fn run(
        send: impl FnMut(u64) -> Result<(), String> + Send + 'static,
        receive: impl FnMut() -> Result<Heard, String> + Send + 'static,
        pace: Duration,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (sending, receiving) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || sending.send_all(send, pace)),
            std::thread::spawn(move || receiving.receive_all(receive)),
        ];
        Self { shared, threads }
    }

    /// How many were sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// How many arrived so far.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Waits until so many more have been sent.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub fn await_sent(&self, more: u64, patience: Duration) -> Result<(), String> {
        let goal = self.sent() + more;
        until("datagrams to be sent", patience, || Ok((self.sent() >= goal).then_some(())))
    }

    /// Waits until so many more have arrived.
    ///
    /// # Errors
    /// When that takes longer than `patience`.
    pub fn await_received(&self, more: u64, patience: Duration) -> Result<(), String> {
        let goal = self.received() + more;
        until("datagrams to arrive", patience, || Ok((self.received() >= goal).then_some(())))
    }

    /// Stops, and returns all that was sent, in order.
    ///
    /// # Errors
    /// When a socket failed on the way.
    pub fn stop(mut self) -> Result<Vec<Beat>, String> {
        self.shared.stop_sending.store(true, Ordering::SeqCst);
        let receiving = self.threads.pop();
        self.threads.drain(..).for_each(|thread| _ = thread.join());
        // The receiver ends at the first silence after this.
        self.shared.stop_receiving.store(true, Ordering::SeqCst);
        receiving.into_iter().for_each(|thread| _ = thread.join());
        let trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        let beats = self.shared.beats.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(beats.values().copied().collect())
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.shared.stop_sending.store(true, Ordering::SeqCst);
        self.shared.stop_receiving.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}

impl Shared {
    fn send_all(&self, mut send: impl FnMut(u64) -> Result<(), String>, pace: Duration) {
        let begun = Instant::now();
        let mut number = 0u64;
        while !self.stop_sending.load(Ordering::SeqCst) {
            let sent = Instant::now();
            self.with_beats(|beats| _ = beats.insert(number, Beat { sent, received: None }));
            if let Err(error) = send(number) {
                return complain(&self.trouble, &error);
            }
            number += 1;
            self.sent.store(number, Ordering::SeqCst);
            let next = begun + pace * u32::try_from(number).unwrap_or(u32::MAX);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn receive_all(&self, mut receive: impl FnMut() -> Result<Heard, String>) {
        loop {
            match receive() {
                Ok(Heard::Number(number)) => self.note(number),
                Ok(Heard::Silence) if self.stop_receiving.load(Ordering::SeqCst) => return,
                Ok(Heard::Silence | Heard::Other) => {}
                Err(error) => return complain(&self.trouble, &error),
            }
        }
    }

    fn note(&self, number: u64) {
        let received = Some(Instant::now());
        self.with_beats(|beats| {
            if let Some(beat) = beats.get_mut(&number) {
                beat.received = received;
            }
        });
        self.received.fetch_add(1, Ordering::SeqCst);
    }

    fn with_beats<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Beat>) -> T) {
        work(&mut self.beats.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a receiver heard.
enum Heard {
    Number(u64),
    /// Something else arrived.
    Other,
    /// Nothing arrived for a while.
    Silence,
}

/// Begins what carries a number, so that it is told from all other bytes.
const MARK: [u8; 8] = *b"pc-pulse";

fn mark(number: u64) -> Vec<u8> {
    [MARK, number.to_be_bytes()].concat()
}

fn marked(frame: &[u8]) -> Option<u64> {
    let at = frame.windows(MARK.len()).position(|window| window == MARK)?;
    let number = frame.get(at + MARK.len()..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*number))
}

/// From a moment until steady traffic began to arrive, by what arrived after it.
pub fn until_arriving(beats: &[Beat], moment: Instant) -> Option<Duration> {
    let arrivals = beats.iter().filter_map(|beat| beat.received);
    arrivals.filter(|received| *received >= moment).min()?.checked_duration_since(moment)
}

/// From a moment until steady traffic ceased to arrive: until the first beat after which none came.
pub fn until_lost(beats: &[Beat], moment: Instant) -> Option<Duration> {
    let after = beats.iter().rposition(|beat| beat.received.is_some()).map_or(0, |last| last + 1);
    let first_lost = beats.get(after)?.sent;
    Some(first_lost.saturating_duration_since(moment))
}

/// One TCP stream that never ends by itself: small pieces one way, and a count of what arrived.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    trouble: Arc<Mutex<Option<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Begins to send over an established connection.
    ///
    /// # Errors
    /// When the connection cannot be set up for it.
    pub fn start(mut from: TcpStream, mut to: TcpStream) -> Result<Self, String> {
        for end in [&from, &to] {
            let set = end.set_nonblocking(false).and_then(|()| {
                end.set_write_timeout(Some(READ_TIMEOUT))?;
                end.set_read_timeout(Some(READ_TIMEOUT))
            });
            set.map_err(|error| error.to_string())?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let trouble = Arc::new(Mutex::new(None));
        let (sender_stop, sender_trouble) = (stop.clone(), trouble.clone());
        let (reader_stop, reader_trouble, arrived) =
            (stop.clone(), trouble.clone(), received.clone());
        let threads = vec![
            std::thread::spawn(move || {
                let mut number = 0u64;
                while !sender_stop.load(Ordering::SeqCst) {
                    let byte = u8::try_from(number % 251).unwrap_or(0);
                    match from.write(&[byte; 1]) {
                        Ok(count) => number += count as u64,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return complain(&sender_trouble, &error.to_string()),
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
            }),
            std::thread::spawn(move || {
                let (mut buffer, mut number) = ([0; CHUNK_BYTES], 0u64);
                while !reader_stop.load(Ordering::SeqCst) {
                    let count = match to.read(&mut buffer) {
                        Ok(0) => return complain(&reader_trouble, "the stream ended"),
                        Ok(count) => count,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => 0,
                        Err(error) => return complain(&reader_trouble, &error.to_string()),
                    };
                    for byte in buffer.iter().take(count) {
                        if u64::from(*byte) != number % 251 {
                            return complain(&reader_trouble, "a byte is out of order");
                        }
                        number += 1;
                    }
                    arrived.store(number, Ordering::SeqCst);
                }
            }),
        ];
        Ok(Self { stop, received, trouble, threads })
    }

    /// How many bytes arrived so far.
    ///
    /// # Errors
    /// When the stream broke.
    pub fn received(&self) -> Result<u64, String> {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(self.received.load(Ordering::SeqCst)),
        }
    }

    /// Waits until so many more bytes have arrived.
    ///
    /// # Errors
    /// When that takes longer than `patience`, or the stream broke.
    pub fn await_received(&self, more: u64, patience: Duration) -> Result<(), String> {
        let goal = self.received()? + more;
        until("the stream to go on", patience, || Ok((self.received()? >= goal).then_some(())))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}

fn complain(trouble: &Mutex<Option<String>>, text: &str) {
    let mut trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
    trouble.get_or_insert_with(|| text.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_wherever_it_is_carried() {
        let frame = [b"head", &*mark(7), b"tail"].concat();
        assert_eq!(marked(&frame), Some(7));
        assert_eq!(marked(b"pc-puls"), None);
        assert_eq!(marked(b"pc-pulse1234567"), None);
    }

    #[test]
    fn effects_are_read_from_what_arrived() {
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let beat =
            |ms: u64, received: Option<u64>| Beat { sent: at(ms), received: received.map(at) };
        let opened = [beat(0, None), beat(1, None), beat(2, Some(3)), beat(3, Some(4))];
        assert_eq!(until_arriving(&opened, at(1)), Some(Duration::from_millis(2)));
        assert_eq!(until_lost(&opened, at(1)), None);
        let closed = [beat(0, Some(1)), beat(1, None), beat(2, Some(3)), beat(5, None)];
        assert_eq!(until_lost(&closed, at(1)), Some(Duration::from_millis(4)));
        assert_eq!(until_arriving(&closed, at(4)), None);
    }
}
