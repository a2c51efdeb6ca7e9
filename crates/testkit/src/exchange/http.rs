//! A real server under test: each exchange is one HTTP/1.1 connection to an address. Offers nothing
//! but the exchange itself, so that cases that need a clock, quotas or accounts are not played.

use super::request::{Key, Request};
use super::{Reply, Server};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An exchange without an end after this time has failed.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The server at an address.
#[derive(Debug, Clone)]
pub struct HttpServer {
    address: SocketAddr,
    root: Key,
}

impl HttpServer {
    /// The server at `address` whose root account has this key.
    pub fn new(address: SocketAddr, root: Key) -> Self {
        Self { address, root }
    }

    fn exchange(&self, request: &Request) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, EXCHANGE_TIMEOUT)?;
        stream.set_read_timeout(Some(EXCHANGE_TIMEOUT))?;
        stream.set_write_timeout(Some(EXCHANGE_TIMEOUT))?;
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        for (name, value) in &request.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", request.body.len());
        // A server may answer and close before it has read a body that is too long.
        let sent = stream.write_all(&[head.as_bytes(), &request.body].concat());
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(_) if !answer.is_empty() => {}
            Err(error) => return Err(sent.err().unwrap_or(error)),
        }
        Ok(answer)
    }
}

impl Server for HttpServer {
    fn send(&mut self, request: &Request) -> Result<Reply, String> {
        let bytes = self.exchange(request).map_err(|error| error.to_string())?;
        read(&bytes).ok_or_else(|| format!("not HTTP: {}", String::from_utf8_lossy(&bytes)))
    }

    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn key(&self, name: &str) -> Option<Key> {
        (name == "root").then(|| self.root.clone())
    }

    fn offers(&self, _: &str) -> bool {
        false
    }

    fn later(&mut self, _: u64) {}

    fn set_quota(&mut self, name: &str, _: usize) -> Result<(), String> {
        Err(format!("no way to set `{name}` from outside"))
    }
}

/// The answer of a connection that the server has closed.
fn read(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let content_type = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let body = bytes.get(end + 4..)?.to_vec();
    Some(Reply { status, content_type: content_type.unwrap_or_default(), body })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn an_answer_is_read_from_its_bytes() {
        let reply = read(b"HTTP/1.1 404 Not Found\r\ncontent-type: a/b\r\nX: y\r\n\r\n{}").unwrap();
        assert_eq!((reply.status, reply.content_type.as_str()), (404, "a/b"));
        assert_eq!(reply.body, b"{}");
        assert!(read(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
