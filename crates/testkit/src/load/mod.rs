//! A load for the benches: prepared requests over some connections, from one thread, each answer
//! timed. It speaks just enough HTTP/1.1 to find the end of an answer, and knows no server: those
//! have a file each.

mod moto;
mod ours;

pub use moto::Moto;
pub use ours::Ours;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A server that says nothing for so long has failed.
const SILENCE_MAX_MS: u16 = 60_000;
/// Answers that are taken from the system in one go.
const READY_MAX: usize = 64;
/// Bytes that are read in one go.
const READ_BYTES: usize = 256 * 1024;

/// The unit of processor times in Linux' `/proc`: a hundredth of a second on all we run on.
const TICK_MS: u64 = 10;

/// What requests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Each adds one rule to one of many groups.
    Authorize,
    /// Each reads a thousand rules.
    Describe,
}

/// The rules that one `Describe` reads.
pub const DESCRIBED_RULES: usize = 1_000;

/// Ports there are; the rules go through them from 1 on.
const PORTS: usize = 65_536;

/// How a load went.
#[derive(Debug, Clone)]
pub struct Took {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// From each request to the end of its answer, shortest first.
    pub latencies: Vec<Duration>,
    /// Bytes of all answers, headers included.
    pub answer_bytes: usize,
    /// What the server's process took of the processors meanwhile.
    pub server_time: Duration,
}

impl Took {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that so many percent of the requests did not exceed, in microseconds.
    pub fn percentile_us(&self, percent: usize) -> f64 {
        let index = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }

    /// Bytes of one answer, on average.
    pub fn bytes_per_answer(&self) -> f64 {
        self.answer_bytes as f64 / self.latencies.len() as f64
    }

    /// Processor time of the server for one answer, on average, in microseconds.
    pub fn server_us_per_answer(&self) -> f64 {
        self.server_time.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }
}

/// The processor time that a process has taken so far, its threads together.
fn processor_time(process: u32) -> Result<Duration, String> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The program's name stands in parentheses and may hold anything; what follows are numbers.
    let numbers = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').skip(11));
    let ticks = numbers.into_iter().flatten().take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>().map_err(|error| format!("{path}: {error}"))?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// Sends all requests to the server that runs in `process`, over so many connections, the next on
/// each when the last is answered.
///
/// # Errors
/// When a connection fails, or an answer is not 200.
pub fn send(
    (address, process): (SocketAddr, u32),
    requests: &[Vec<u8>],
    connections: usize,
) -> Result<Took, String> {
    let failed = |error: nix::errno::Errno| format!("epoll: {error}");
    let epoll = Epoll::new(EpollCreateFlags::empty()).map_err(failed)?;
    let mut lines = Vec::new();
    for _ in 0..connections.min(requests.len()) {
        lines.push(Line { stream: None, began: Instant::now(), answer: Vec::new(), head: None });
    }
    for (number, line) in lines.iter_mut().enumerate() {
        line.connect(&epoll, address, number)?;
    }
    let mut waiting = requests.iter();
    let mut took = Took {
        elapsed: Duration::ZERO,
        latencies: Vec::with_capacity(requests.len()),
        answer_bytes: 0,
        server_time: Duration::ZERO,
    };
    let mut scratch = vec![0; READ_BYTES];
    let time_before = processor_time(process)?;
    let started = Instant::now();
    for (line, request) in lines.iter_mut().zip(waiting.by_ref()) {
        line.ask(request)?;
    }
    let mut ready = [EpollEvent::empty(); READY_MAX];
    while took.latencies.len() < requests.len() {
        let count = epoll.wait(&mut ready, EpollTimeout::from(SILENCE_MAX_MS)).map_err(failed)?;
        if count == 0 {
            return Err(format!("no answer within {SILENCE_MAX_MS} ms"));
        }
        for event in ready.iter().take(count) {
            let number = usize::try_from(event.data()).unwrap_or(usize::MAX);
            let Some(line) = lines.get_mut(number) else { continue };
            let Some(is_closing) = line.hear(&mut scratch, &mut took)? else { continue };
            if is_closing {
                line.stream = None;
            }
            let Some(request) = waiting.next() else { continue };
            line.began = Instant::now();
            if is_closing {
                line.connect(&epoll, address, number)?;
            }
            line.ask(request)?;
        }
    }
    took.elapsed = started.elapsed();
    took.server_time = processor_time(process)?.saturating_sub(time_before);
    took.latencies.sort_unstable();
    Ok(took)
}

/// One connection and what has come of the answer to its request.
struct Line {
    stream: Option<TcpStream>,
    began: Instant,
    answer: Vec<u8>,
    head: Option<Head>,
}

impl Line {
    fn connect(&mut self, epoll: &Epoll, address: SocketAddr, number: usize) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("connecting to {address}: {error}");
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(failed)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
        epoll.add(&stream, event).map_err(|error| format!("epoll: {error}"))?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Sends a request. It is small and the line idle, so the system takes it whole.
    fn ask(&mut self, request: &[u8]) -> Result<(), String> {
        self.began = Instant::now();
        let stream = self.stream.as_mut().ok_or("no connection")?;
        stream.write_all(request).map_err(|error| format!("sending: {error}"))
    }

    /// Takes what has arrived. Once the answer is whole: whether the server closes the connection.
    fn hear(&mut self, scratch: &mut [u8], took: &mut Took) -> Result<Option<bool>, String> {
        let Some(stream) = self.stream.as_mut() else { return Ok(None) };
        let count = match stream.read(scratch) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(format!("receiving: {error}")),
        };
        self.answer.extend_from_slice(scratch.get(..count).unwrap_or_default());
        if self.head.is_none() {
            self.head = Head::read(&self.answer)?;
        }
        let Some(head) = self.head.filter(|head| self.answer.len() >= head.answer_bytes) else {
            return match count {
                0 => Err("the server closed a connection in the middle of an answer".to_owned()),
                _ => Ok(None),
            };
        };
        if head.status != 200 {
            return Err(format!("refused: {}", String::from_utf8_lossy(&self.answer)));
        }
        took.latencies.push(self.began.elapsed());
        took.answer_bytes += self.answer.len();
        self.answer.clear();
        self.head = None;
        Ok(Some(head.is_closing))
    }
}

/// What the head of an answer says about the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Bytes of head and body.
    answer_bytes: usize,
    is_closing: bool,
}

impl Head {
    /// Nothing while the head is not whole.
    fn read(answer: &[u8]) -> Result<Option<Head>, String> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(end) = answer.windows(END.len()).position(|window| window == END) else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default());
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("no status in `{head}`"))?;
        let header = |name: &str| {
            let pairs = head.lines().filter_map(|line| line.split_once(':'));
            let mut own = pairs.filter(|(own, _)| own.eq_ignore_ascii_case(name));
            own.next().map(|(_, value)| value.trim())
        };
        let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
        let length = length.ok_or_else(|| format!("no length in `{head}`"))?;
        let is_closing = header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        Ok(Some(Head { status, answer_bytes: end + END.len() + length, is_closing }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Took, processor_time, send};
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    #[test]
    fn a_head_says_where_the_answer_ends() {
        let text = "HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(Head::read(&text.as_bytes()[..text.len() - 4]), Ok(None));
        let head = Head { status: 200, answer_bytes: text.len(), is_closing: true };
        assert_eq!(Head::read(text.as_bytes()), Ok(Some(head)));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::read(b"HTTP\r\n\r\n").is_err());
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let latencies = (1..=200).map(Duration::from_micros).collect();
        let (elapsed, server_time) = (Duration::from_millis(100), Duration::from_millis(40));
        let took = Took { elapsed, latencies, answer_bytes: 600, server_time };
        assert_eq!((took.per_second(), took.bytes_per_answer()), (2_000.0, 3.0));
        assert_eq!(took.server_us_per_answer(), 200.0);
        assert_eq!((took.percentile_us(50), took.percentile_us(99)), (100.0, 198.0));
    }

    /// Answers each request line with a body of its length; closes when asked to.
    fn serve(listener: &TcpListener, connections: usize) {
        std::thread::scope(|scope| {
            for _ in 0..connections {
                let (stream, _) = listener.accept().unwrap();
                scope.spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap() > 0 {
                        let (kind, status) = match line.trim_end() {
                            "close" => ("Connection: close\r\n", 200),
                            "refuse" => ("", 400),
                            _ => ("", 200),
                        };
                        let head =
                            format!("HTTP/1.1 {status} X\r\n{kind}Content-Length: 4\r\n\r\n");
                        (&stream).write_all((head + "body").as_bytes()).unwrap();
                        if !kind.is_empty() {
                            return;
                        }
                        line.clear();
                    }
                });
            }
        });
    }

    #[test]
    fn every_request_is_answered_over_lines_that_stay_and_lines_that_close() {
        for (line, requests, connections, accepted) in
            [("stay\n", 50, 4, 4), ("close\n", 9, 3, 9), ("stay\n", 2, 5, 2)]
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || serve(&listener, accepted));
            let server_process = (address, std::process::id());
            let took = send(server_process, &vec![line.into(); requests], connections).unwrap();
            assert_eq!(took.latencies.len(), requests);
            assert!(took.latencies.is_sorted());
            assert!(took.bytes_per_answer() > 40.0);
            server.join().unwrap();
        }
    }

    #[test]
    fn the_time_of_a_process_grows() {
        let own = std::process::id();
        let before = processor_time(own).unwrap();
        let mut sum = 0_u64;
        while processor_time(own).unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(processor_time(u32::MAX).is_err());
    }

    #[test]
    fn a_refusal_ends_the_load() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || serve(&listener, 1));
        let server_process = (address, std::process::id());
        let error = send(server_process, &[b"refuse\n".to_vec()], 1).unwrap_err();
        assert!(error.starts_with("refused: HTTP/1.1 400"), "{error}");
        server.join().unwrap();
    }
}
