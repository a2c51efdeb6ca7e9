//! TCP through a contender: transactions on one connection, a connection for each transaction, and
//! a stream, by a client at the instance's end and a server at the host's. It computes no ratio.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::scenario::Tuple;
use super::session::Sample;
use super::stage::{Stage, pin};

/// The first byte of a connection: what the server does with the rest.
const ECHO: u8 = b'e';
const SWALLOW: u8 = b's';

const TRANSACTIONS: usize = 2_000;
const CONNECTIONS: usize = 400;
const STREAM_BYTES: usize = 64 << 20;
const WRITE_BYTES: usize = 128 << 10;
/// Whoever waits longer than this waits in vain.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Starts a server behind the contender for as long as this process runs. Echoes run on the
/// client's processor, so that a transaction is all work and no waiting; streams on another.
///
/// # Errors
/// When the port is taken.
pub fn serve(stage: &Stage, port: u16, processor: usize) -> Result<(), String> {
    let bound = stage.host.enter(|| TcpListener::bind((IpAddr::from([0, 0, 0, 0]), port)))?;
    let listener = bound.map_err(|error| format!("port {port}: {error}"))?;
    let serve = move || {
        for stream in listener.incoming().flatten() {
            // A client that ends a connection by a reset is no fault.
            let _ = serve_one(stream, processor);
        }
    };
    let thread = std::thread::Builder::new().name("server".into()).spawn(serve);
    thread.map(|_| ()).map_err(|error| error.to_string())
}

fn serve_one(mut stream: TcpStream, processor: usize) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let elsewhere = usize::from(processor == 0);
    let place = if kind == [SWALLOW] { elsewhere } else { processor };
    pin(place).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; WRITE_BYTES];
    loop {
        let count = match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if kind == [ECHO] {
            stream.write_all(bytes.get(..count).unwrap_or_default())?;
        }
    }
    // The end of a stream is answered, so that its sender knows that all of it has arrived.
    if kind == [SWALLOW] { stream.write_all(&kind) } else { Ok(()) }
}

/// All three, once.
///
/// # Errors
/// When the server is not reached.
pub fn talk(stage: &Stage, to: Tuple, processor: usize) -> Result<Sample, String> {
    let at = SocketAddr::from((to.destination, to.destination_port));
    let spoken = stage.instance.enter(|| {
        pin(processor).map_err(std::io::Error::other)?;
        Ok(Sample::from([
            ("rr_p50_us", transactions(at)?),
            ("crr_p50_us", connections(at)?),
            ("stream_mbit", stream(at)?),
        ]))
    })?;
    spoken.map_err(|error: std::io::Error| format!("{at}: {error}"))
}

fn connect(at: SocketAddr, kind: u8) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&at, SILENCE_MAX)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    stream.write_all(&[kind])?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])
}

fn transactions(at: SocketAddr) -> std::io::Result<f64> {
    let mut stream = connect(at, ECHO)?;
    exchange(&mut stream)?;
    let mut took = Vec::with_capacity(TRANSACTIONS);
    for _ in 0..TRANSACTIONS {
        let began = Instant::now();
        exchange(&mut stream)?;
        took.push(began.elapsed());
    }
    Ok(middle_us(took))
}

fn connections(at: SocketAddr) -> std::io::Result<f64> {
    let mut took = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let began = Instant::now();
        let mut stream = connect(at, ECHO)?;
        exchange(&mut stream)?;
        took.push(began.elapsed());
        // Ended by a reset: nothing of it is left that the next one could meet.
        let reset = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&stream, sockopt::Linger, &reset)?;
    }
    Ok(middle_us(took))
}

fn stream(at: SocketAddr) -> std::io::Result<f64> {
    let mut stream = connect(at, SWALLOW)?;
    let bytes = vec![0; WRITE_BYTES];
    let began = Instant::now();
    for _ in 0..STREAM_BYTES / WRITE_BYTES {
        stream.write_all(&bytes)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(STREAM_BYTES as f64 * 8.0 / 1e6 / began.elapsed().as_secs_f64())
}

fn middle_us(mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    took.get(took.len() / 2).map_or(f64::NAN, |middle| middle.as_secs_f64() * 1e6)
}
