//! TLS and plain HTTP at one port, certificates read again, and the bounds of a handshake.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use common::{PATIENCE, Running, Setup, read_all};
use portcullis_server::limits::Limits;
use portcullis_server::tls::{Certificate, TlsError};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REQUEST: &[u8] = b"GET /?Action=DescribeRegions HTTP/1.1\r\nHost: h\r\n\
    Accept: application/json\r\nConnection: close\r\n\r\n";

/// A certificate of its own making, and the files it is kept in.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    der: CertificateDer<'static>,
}

fn make(folder: &Path) -> Pair {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Pair { certificate, key, der: made.cert.der().clone() }
}

struct Served {
    server: Running,
    certificate: Arc<Certificate>,
    pair: Pair,
    folder: tempfile::TempDir,
}

fn serve(limits: Limits) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let pair = make(folder.path());
    let read = Certificate::read(pair.certificate.clone(), pair.key.clone()).unwrap();
    let certificate = Arc::new(read);
    let mut setup = Setup::new(&folder.path().join("data"));
    setup.certificate = Some(Arc::clone(&certificate));
    setup.limits = limits;
    Served { server: setup.start().unwrap(), certificate, pair, folder }
}

/// An exchange inside TLS by a client that trusts one certificate.
fn exchange(server: &Running, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    stream.write_all(REQUEST)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn one_port_answers_both() {
    let served = serve(Limits::default());
    let inside = exchange(&served.server, &served.pair.der).unwrap();
    let plain = served.server.exchange(REQUEST);
    for answer in [inside, plain] {
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains(r#""Code":"MissingAccessKeyId""#), "{answer}");
    }
}

#[test]
fn where_tls_alone_is_answered_plain_http_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pair = make(folder.path());
    let read = Certificate::read(pair.certificate.clone(), pair.key.clone()).unwrap();
    let mut setup = Setup::new(&folder.path().join("data"));
    (setup.certificate, setup.tls_only) = (Some(Arc::new(read)), true);
    let server = setup.start().unwrap();
    let inside = exchange(&server, &pair.der).unwrap();
    assert!(inside.contains(r#""Code":"MissingAccessKeyId""#), "{inside}");
    let plain = server.exchange(REQUEST);
    assert!(plain.starts_with("HTTP/1.1 404 "), "{plain}");
    assert!(plain.contains(r#""Code":"InvalidProtocol.NeedSsl""#), "{plain}");
}

#[test]
fn a_certificate_is_read_again_or_stays() {
    let served = serve(Limits::default());
    let old = served.pair.der.clone();
    std::fs::write(&served.pair.key, "no key").unwrap();
    let error = served.certificate.read_again().unwrap_err();
    assert!(matches!(error, TlsError::File { what: "a private key", .. }), "{error}");
    exchange(&served.server, &old).unwrap();
    let new = make(served.folder.path());
    served.certificate.read_again().unwrap();
    exchange(&served.server, &new.der).unwrap();
    exchange(&served.server, &old).unwrap_err();
}

#[test]
fn what_is_no_pair_is_refused_by_name() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mine, other) = (make(one.path()), make(two.path()));
    let read = |certificate: &Path, key: &Path| {
        Certificate::read(certificate.to_owned(), key.to_owned()).unwrap_err()
    };
    let error = read(&mine.certificate, &other.key);
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");
    assert!(error.help().contains("the key that belongs"));
    let error = read(&mine.key, &mine.key);
    assert!(matches!(error, TlsError::File { what: "a certificate", .. }), "{error}");
    let error = read(&one.path().join("none.pem"), &mine.key);
    assert!(matches!(error, TlsError::File { .. }), "{error}");
    assert!(error.help().contains("PEM"));
}

#[test]
fn a_handshake_has_a_time_and_silence_too() {
    let limits = Limits { handshake_time_max_ms: 200, head_time_max_ms: 200, ..Limits::default() };
    let served = serve(limits);
    for first in [&[0x16, 3, 1][..], &[][..]] {
        let begun = Instant::now();
        let mut stream = served.server.connect();
        stream.write_all(first).unwrap();
        assert_eq!(read_all(&mut stream), "");
        assert!(begun.elapsed() < PATIENCE);
    }
}

#[test]
fn what_only_looks_like_tls_is_cut() {
    let served = serve(Limits::default());
    let mut stream = served.server.connect();
    stream.write_all(b"\x16GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, if anything.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 16, "{answer:?}");
}

#[test]
fn who_is_silent_does_not_hold_up_the_end() {
    let served = serve(Limits::default());
    let mut silent = served.server.connect();
    let mut shaking = served.server.connect();
    shaking.write_all(&[0x16, 3, 1]).unwrap();
    exchange(&served.server, &served.pair.der).unwrap();
    assert_eq!(served.server.stop().cut, 0);
    assert_eq!(read_all(&mut silent), "");
    assert_eq!(read_all(&mut shaking), "");
}
