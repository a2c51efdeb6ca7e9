//! Steady traffic while something else happens: numbered datagrams, or one TCP stream.
//!
//! Each tells afterwards exactly what arrived and when. Why something did not is not known here.

use super::probe::bind_udp;
use crate::netns::Namespace;
use crate::wait::until;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
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
    /// Begins to send, one datagram per `pace`.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn start(
        from: (&Namespace, SocketAddr),
        to: (&Namespace, SocketAddr),
        pace: Duration,
    ) -> Result<Self, String> {
        let receiver = bind_udp(to.0, to.1)?;
        let sender = bind_udp(from.0, from.1)?;
        let text = |error: std::io::Error| error.to_string();
        receiver.set_read_timeout(Some(READ_TIMEOUT)).map_err(text)?;
        sender.connect(to.1).map_err(text)?;
        let shared = Arc::new(Shared::default());
        let (sending, receiving) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || sending.send_all(&sender, pace)),
            std::thread::spawn(move || receiving.receive_all(&receiver)),
        ];
        Ok(Self { shared, threads })
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
    fn send_all(&self, sender: &UdpSocket, pace: Duration) {
        let begun = Instant::now();
        let mut number = 0u64;
        while !self.stop_sending.load(Ordering::SeqCst) {
            let sent = Instant::now();
            self.with_beats(|beats| beats.insert(number, Beat { sent, received: None }));
            if let Err(error) = sender.send(&number.to_be_bytes()) {
                self.tell(&error);
                return;
            }
            number += 1;
            self.sent.store(number, Ordering::SeqCst);
            let next = begun + pace * u32::try_from(number).unwrap_or(u32::MAX);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn receive_all(&self, receiver: &UdpSocket) {
        let mut buffer = [0; 8];
        loop {
            match receiver.recv(&mut buffer) {
                Ok(_) => {
                    let received = Some(Instant::now());
                    let number = u64::from_be_bytes(buffer);
                    self.with_beats(|beats| {
                        if let Some(beat) = beats.get_mut(&number) {
                            beat.received = received;
                        }
                    });
                    self.received.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    if self.stop_receiving.load(Ordering::SeqCst) {
                        return;
                    }
                }
                Err(error) => {
                    self.tell(&error);
                    return;
                }
            }
        }
    }

    fn with_beats<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Beat>) -> T) {
        work(&mut self.beats.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn tell(&self, error: &std::io::Error) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| error.to_string());
    }
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
