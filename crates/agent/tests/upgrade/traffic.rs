//! Real connections through the device, one that talks and one that is silent, and a flood that the
//! policy denies.
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_testkit::netns::Namespace;
use portcullis_testkit::wait;

use crate::{CLOSED_PORT, GUEST, HOST, OPEN_PORT};

const PATIENCE: Duration = Duration::from_secs(20);
/// Words and answers that must come through before traffic is said to go on.
const ROUNDS: u64 = 20;

/// All of it, until it is ended.
pub(crate) struct Traffic {
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    denied: Arc<AtomicU64>,
    talk: JoinHandle<Result<(), String>>,
    flood: JoinHandle<()>,
    silent: TcpStream,
    never: UdpSocket,
}

/// Answers every byte of every connection.
fn serve(host: &Namespace) {
    let listener = host.enter(|| TcpListener::bind((HOST, OPEN_PORT)).unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(3).flatten() {
            std::thread::spawn(move || {
                let (mut stream, mut word) = (stream, [0; 1]);
                while stream.read_exact(&mut word).is_ok() && stream.write_all(&word).is_ok() {}
            });
        }
    });
}

fn connect(guest: &Namespace) -> TcpStream {
    let address = (HOST, OPEN_PORT).into();
    let stream = guest.enter(|| TcpStream::connect_timeout(&address, PATIENCE).unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn say(stream: &mut TcpStream, word: u8) -> std::io::Result<()> {
    let mut answer = [0; 1];
    stream.write_all(&[word])?;
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, [word]);
    Ok(())
}

impl Traffic {
    pub(crate) fn new(host: &Namespace, guest: &Namespace) -> Self {
        serve(host);
        let never = host.enter(|| UdpSocket::bind((HOST, CLOSED_PORT)).unwrap()).unwrap();
        never.set_nonblocking(true).unwrap();
        let (mut talking, mut silent) = (connect(guest), connect(guest));
        say(&mut silent, 1).unwrap();
        let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, counts) = (is_over.clone(), rounds.clone());
        let talk = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                say(&mut talking, 2).map_err(|error| format!("the connection was cut: {error}"))?;
                counts.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let (ends, denied) = (is_over.clone(), Arc::new(AtomicU64::new(0)));
        let sent = denied.clone();
        let socket = guest.enter(|| UdpSocket::bind((GUEST, 0)).unwrap()).unwrap();
        let flood = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                // What the program drops is no error, or one that says nothing here.
                let _ = socket.send_to(&[3], (HOST, CLOSED_PORT));
                sent.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let traffic = Self { is_over, rounds, denied, talk, flood, silent, never };
        traffic.goes_on();
        traffic
    }

    /// The connection that talks has come further, and the flood has been at it.
    pub(crate) fn goes_on(&self) {
        for count in [&self.rounds, &self.denied] {
            let before = count.load(Ordering::Relaxed);
            wait::until("traffic to go on", PATIENCE, || {
                assert!(!self.talk.is_finished(), "the connection was cut");
                Ok((count.load(Ordering::Relaxed) > before + ROUNDS).then_some(()))
            })
            .unwrap();
        }
    }

    /// The silent connection is still there, new ones are possible, and nothing ever came through
    /// that is denied.
    pub(crate) fn end(mut self, guest: &Namespace) {
        self.goes_on();
        say(&mut self.silent, 4).unwrap();
        say(&mut connect(guest), 5).unwrap();
        self.is_over.store(true, Ordering::Relaxed);
        self.talk.join().unwrap().unwrap();
        self.flood.join().unwrap();
        let came = self.never.recv(&mut [0; 1]).map_err(|error| error.kind());
        assert_eq!(came, Err(ErrorKind::WouldBlock), "what is denied came through");
    }
}
