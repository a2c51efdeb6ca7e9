//! The listener: connections in, whole requests to the service, answers out.
//!
//! It keeps the bounds of a connection (how many, how large, how slow) and knows nothing of what a
//! request means. The stream type is a parameter of [`converse`], so that TLS can stand between the
//! socket and HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_wire::ecs::http::{HttpRequest, HttpResponse};
use portcullis_wire::ecs::refusal::Refusal;
use portcullis_wire::ecs::render::{self, Presentation};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use crate::identity::request_id;
use crate::limits::Limits;
use crate::refusal;
use crate::stall::StallGuard;
use crate::tls::{self, Certificate};

/// How long the listener rests after the system refused it a connection (no more open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whoever answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// The answer to one request. Never fails: a failure is an answer too.
    fn answer(&self, request: HttpRequest) -> impl Future<Output = HttpResponse> + Send;
}

/// Answers those who speak plain HTTP where TLS is asked for: a refusal in their own language. What
/// they ask is not looked at.
struct TlsOnly;

impl Service for TlsOnly {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        refusal::needs_tls(&request)
    }
}

/// What every connection passes.
#[derive(Clone)]
pub(crate) struct Door {
    /// Shown to those who speak TLS.
    pub(crate) certificate: Option<Arc<Certificate>>,
    /// Whether those who do not are refused, where there is a certificate.
    pub(crate) tls_only: bool,
    /// The bounds to keep.
    pub(crate) limits: Arc<Limits>,
}

impl Door {
    /// This one.
    pub(crate) fn of(
        certificate: Option<Arc<Certificate>>,
        tls_only: bool,
        limits: Limits,
    ) -> Door {
        Door { certificate, tls_only, limits: Arc::new(limits) }
    }
}

/// Accepts connections until `stop` is set, then lets what is in flight finish within the grace
/// time. Returns how many connections had to be cut after it.
pub(crate) async fn listen<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    door: Door,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let places = Arc::new(Semaphore::new(door.limits.connections_max));
    let door = Arc::new(door);
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = conversations.join_next() => continue,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = Arc::clone(&places).try_acquire_owned();
                let (service, door) = (Arc::clone(&service), Arc::clone(&door));
                let stop = stop.clone();
                conversations.spawn(greet(stream, place.ok(), service, door, stop));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    finish(conversations, Duration::from_millis(door.limits.grace_time_max_ms)).await
}

/// Waits until `stop` is set, or nobody is left who could set it.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Waits for the open conversations, not longer than `grace`, then cuts the rest.
async fn finish(mut conversations: JoinSet<()>, grace: Duration) -> usize {
    let all_over = async { while conversations.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_over).await.is_ok() {
        return 0;
    }
    let rest = conversations.len();
    conversations.shutdown().await;
    rest
}

/// One connection, with its place or with the news that there is none.
async fn greet<S: Service>(
    stream: TcpStream,
    place: Option<OwnedSemaphorePermit>,
    service: Arc<S>,
    door: Arc<Door>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(place) = place else {
        turn_away(&stream);
        return;
    };
    // Answers are small and whole: waiting for more of them gains nothing.
    let _ = stream.set_nodelay(true);
    let limits = Arc::clone(&door.limits);
    match &door.certificate {
        None => converse(stream, service, limits, stop).await,
        Some(certificate) => match language(&stream, &limits, &mut stop).await {
            None => {}
            Some(Language::Plain) if door.tls_only => {
                converse(stream, Arc::new(TlsOnly), limits, stop).await;
            }
            Some(Language::Plain) => converse(stream, service, limits, stop).await,
            Some(Language::Tls) => {
                if let Some(stream) = shake_hands(certificate, stream, &limits, &mut stop).await {
                    converse(stream, service, limits, stop).await;
                }
            }
        },
    }
    drop(place);
}

/// What a client begins with.
enum Language {
    Plain,
    Tls,
}

/// Looks at the first byte and leaves it where it is. Nothing when none comes in time.
async fn language(
    stream: &TcpStream,
    limits: &Limits,
    stop: &mut watch::Receiver<bool>,
) -> Option<Language> {
    let mut first = [0];
    let patience = Duration::from_millis(limits.head_time_max_ms);
    let seen = tokio::select! {
        seen = tokio::time::timeout(patience, stream.peek(&mut first)) => seen,
        () = stopped(stop) => return None,
    };
    match (seen, first) {
        (Ok(Ok(1)), [tls::FIRST_BYTE]) => Some(Language::Tls),
        (Ok(Ok(1)), _) => Some(Language::Plain),
        _ => None,
    }
}

/// The stream inside TLS. Nothing when they do not come to terms in time.
async fn shake_hands(
    certificate: &Certificate,
    stream: TcpStream,
    limits: &Limits,
    stop: &mut watch::Receiver<bool>,
) -> Option<TlsStream<TcpStream>> {
    let patience = Duration::from_millis(limits.handshake_time_max_ms);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(patience, certificate.acceptor().accept(stream)) => shaken,
        () = stopped(stop) => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
    None
}

/// Tells a client that there are too many, as far as that is possible without waiting.
fn turn_away(stream: &TcpStream) {
    tracing::warn!("a connection is turned away: connections_max is reached");
    let answer = refusal::too_many_connections();
    let mut text = format!(
        "HTTP/1.1 {} Service Unavailable\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Retry-After: 1\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len(),
    )
    .into_bytes();
    text.extend_from_slice(&answer.body);
    // A fresh connection has room for it; if not, closing says enough.
    let _ = stream.try_write(&text);
}

/// Requests and answers on one stream, until either side has enough.
async fn converse<T, S>(
    stream: T,
    service: Arc<S>,
    limits: Arc<Limits>,
    mut stop: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    let patience = Duration::from_millis(limits.stall_time_max_ms);
    let stream = TokioIo::new(StallGuard::new(stream, patience));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .max_buf_size(limits.head_bytes_max)
        .max_headers(limits.headers_max)
        .header_read_timeout(Duration::from_millis(limits.head_time_max_ms));
    let answer = service_fn(|request| {
        let (service, limits) = (Arc::clone(&service), Arc::clone(&limits));
        async move { Ok::<_, Infallible>(answer(service.as_ref(), &limits, request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(stream, answer));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// One request: read whole, answered, sent.
async fn answer<S: Service>(
    service: &S,
    limits: &Limits,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let plain = without_body(&head);
    match read(limits, body).await {
        Ok(body) => response(service.answer(plain.with_body(body)).await),
        Err(refused) => {
            // What can be known of the client's dialect stands in the head.
            let presentation = Presentation::guess(&plain);
            response(render::failure(&presentation, &refused, &request_id()))
        }
    }
}

/// The head of a request as plain data.
fn without_body(head: &Parts) -> HttpRequest {
    let mut plain = HttpRequest::new(head.method.as_str(), &head.uri.to_string());
    for (name, value) in &head.headers {
        // What is no text cannot have been signed, and no header of ours is outside ASCII.
        if let Ok(value) = value.to_str() {
            plain = plain.with_header(name.as_str(), value);
        }
    }
    plain
}

/// Takes what arrives of a body and forgets it, up to a bound.
async fn discard(body: &mut Incoming) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > Limits::DISCARD_BYTES_MAX {
            return;
        }
    }
}

/// The whole body of a request.
async fn read(limits: &Limits, mut body: Incoming) -> Result<Bytes, Refusal> {
    let maximum = limits.body_bytes_max;
    if body.size_hint().lower() > maximum as u64 {
        // Whoever is still sending would see a broken connection in place of the answer.
        let discarded = tokio::time::timeout(Limits::DISCARD_TIME_MAX, discard(&mut body));
        let _ = discarded.await;
        return Err(refusal::body_too_large(maximum));
    }
    let patience = Duration::from_millis(limits.body_time_max_ms);
    let collected = tokio::time::timeout(patience, Limited::new(body, maximum).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(refusal::body_too_large(maximum)),
        Ok(Err(error)) => Err(refusal::body_unreadable(error.as_ref())),
        Err(_) => Err(refusal::body_too_slow(limits.body_time_max_ms)),
    }
}

/// An answer in the terms of the HTTP library.
fn response(answer: HttpResponse) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
