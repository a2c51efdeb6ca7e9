//! One request to a running server, and its answer. It knows HTTP/1.1 as far as that, TLS where the
//! endpoint says so, and nothing of what is asked.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long the server may be silent: longer than the longest wait for enforcement that it honours.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where a server answers: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    is_tls: bool,
    host: String,
    port: u16,
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no http:// or https://")?;
        let (is_tls, port) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return Err(format!("the scheme `{scheme}` is neither http nor https")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || rest.contains(['/', '?', '@']) {
            return Err("it is a host and a port, without a path".to_owned());
        }
        // A port stands behind the last colon, unless that is inside an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, digits)) if !digits.ends_with(']') => {
                (host, digits.parse().map_err(|_| format!("`{digits}` is no port"))?)
            }
            _ => (rest, port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { is_tls, host, port })
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Posts a form and waits for the answer.
///
/// # Errors
/// With what went wrong, in words.
pub(crate) fn post(
    endpoint: &Endpoint,
    authority: Option<&Path>,
    form: &str,
) -> Result<Answer, String> {
    let shown = if endpoint.host.contains(':') {
        format!("[{}]:{}", endpoint.host, endpoint.port)
    } else {
        format!("{}:{}", endpoint.host, endpoint.port)
    };
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {shown}\r\nAccept: application/json\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let stream = connect(endpoint).map_err(|error| format!("cannot reach {shown}: {error}"))?;
    let bytes = if endpoint.is_tls {
        let client = tls_client(endpoint, authority)?;
        exchange(StreamOwned::new(client, stream), &request)
    } else {
        exchange(stream, &request)
    };
    let bytes = bytes.map_err(|error| format!("{shown} did not answer: {error}"))?;
    read_answer(&bytes).ok_or_else(|| format!("what {shown} answered is no HTTP"))
}

fn connect(endpoint: &Endpoint) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the name has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIME_MAX) {
            Ok(stream) => {
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                stream.set_write_timeout(Some(SILENCE_MAX))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn tls_client(endpoint: &Endpoint, authority: Option<&Path>) -> Result<ClientConnection, String> {
    let path = authority.ok_or("https needs the certificate to trust: --ca-cert FILE")?;
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| format!("`{}` is no name of a server", endpoint.host))?;
    let configuration = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(configuration), name).map_err(|error| error.to_string())
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The server closes after its answer, so that what follows the head is the body.
fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_a_port() {
        let endpoint = |is_tls, host: &str, port| {
            Ok::<_, String>(Endpoint { is_tls, host: host.to_owned(), port })
        };
        for (text, expected) in [
            ("http://127.0.0.1:8080", endpoint(false, "127.0.0.1", 8080)),
            ("http://127.0.0.1:8080/", endpoint(false, "127.0.0.1", 8080)),
            ("https://gate.example", endpoint(true, "gate.example", 443)),
            ("https://[::1]:8443", endpoint(true, "::1", 8443)),
            ("http://[::1]", endpoint(false, "::1", 80)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
        for text in ["", "127.0.0.1:8080", "ftp://h", "http://", "http://h/x", "http://h:port"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = read_answer(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!(answer, Answer { status: 404, body: "{}".to_owned() });
        for bad in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n"] {
            assert_eq!(read_answer(bad.as_bytes()), None, "{bad}");
        }
    }
}
