//! The bounds of the server, each with its name and its reason.
//!
//! It refuses to know how a bound is kept; what a client sees at one stands with each.

/// The bounds that a server keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at the same time. One more is answered 503 and closed.
    pub connections_max: usize,
    /// Bytes of a request's line and headers. More is answered 431.
    pub head_bytes_max: usize,
    /// Headers of one request. More is answered 431.
    pub headers_max: usize,
    /// Bytes of a request's body. More is answered 413.
    pub body_bytes_max: usize,
    /// How long a request's head may take, and how long a connection may idle between requests.
    pub head_time_max_ms: u64,
    /// How long a request's body may take once its head is there. Longer is answered 408.
    pub body_time_max_ms: u64,
    /// How long a TLS handshake may take. Longer is cut.
    pub handshake_time_max_ms: u64,
    /// How long a client may take nothing of an answer before its connection is cut.
    pub stall_time_max_ms: u64,
    /// Writes that wait for the writer. One more is answered 503.
    pub queue_max: usize,
    /// Writes that share one durable commit.
    pub batch_max: usize,
    /// Requests that are remembered so that they cannot be replayed. Beyond it the oldest are
    /// forgotten and the window narrows: see [`crate::nonces`].
    pub nonces_max: usize,
    /// The longest `WaitTimeout` that is honoured; a longer one is shortened to it.
    pub wait_time_max_ms: u64,
    /// How long a stopping server waits for what is in flight.
    pub grace_time_max_ms: u64,
    /// Bytes of one line on the control socket.
    pub control_line_bytes_max: usize,
    /// Control connections at the same time. One more is closed with an error.
    pub control_connections_max: usize,
}

impl Limits {
    /// Below the usual limit of 1,024 open files, with room for the store and the kernel's maps.
    pub const CONNECTIONS_MAX: usize = 768;
    /// Clients put whole rule lists into the query; the HTTP library takes 64 KiB of it.
    pub const HEAD_BYTES_MAX: usize = 128 * 1024;
    /// Clients send fewer than twenty.
    pub const HEADERS_MAX: usize = 100;
    /// As much as the wire takes in.
    pub const BODY_BYTES_MAX: usize = portcullis_wire::ecs::limits::BODY_BYTES_MAX;
    /// The usual keep-alive of clients.
    pub const HEAD_TIME_MAX_MS: u64 = 60_000;
    /// Bytes of a body that is too large which are taken and forgotten, so that its sender hears
    /// the answer.
    pub const DISCARD_BYTES_MAX: usize = 4 * Self::BODY_BYTES_MAX;
    /// How long that may take.
    pub const DISCARD_TIME_MAX: std::time::Duration = std::time::Duration::from_millis(500);
    /// The largest body over a slow line.
    pub const BODY_TIME_MAX_MS: u64 = 30_000;
    /// A few round trips over a slow line.
    pub const HANDSHAKE_TIME_MAX_MS: u64 = 10_000;
    /// As for bodies.
    pub const STALL_TIME_MAX_MS: u64 = 30_000;
    /// More than all connections can have waiting, so that only the control socket adds to it.
    pub const QUEUE_MAX: usize = 1024;
    /// Enough that the disk is no longer the bound, few enough that the first waits little.
    pub const BATCH_MAX: usize = 256;
    /// Half an hour of 2,000 requests a second, in about 130 MB at worst.
    pub const NONCES_MAX: usize = 4_000_000;
    /// What a call may ask for.
    pub const WAIT_TIME_MAX_MS: u64 = portcullis_wire::ecs::limits::WAIT_TIMEOUT_MS_MAX;
    /// Longer than the default `WaitTimeout`, shorter than a service manager's patience.
    pub const GRACE_TIME_MAX_MS: u64 = 15_000;
    /// A command is a few names long.
    pub const CONTROL_LINE_BYTES_MAX: usize = 64 * 1024;
    /// People and scripts of one host.
    pub const CONTROL_CONNECTIONS_MAX: usize = 32;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: Limits::CONNECTIONS_MAX,
            head_bytes_max: Limits::HEAD_BYTES_MAX,
            headers_max: Limits::HEADERS_MAX,
            body_bytes_max: Limits::BODY_BYTES_MAX,
            head_time_max_ms: Limits::HEAD_TIME_MAX_MS,
            body_time_max_ms: Limits::BODY_TIME_MAX_MS,
            handshake_time_max_ms: Limits::HANDSHAKE_TIME_MAX_MS,
            stall_time_max_ms: Limits::STALL_TIME_MAX_MS,
            queue_max: Limits::QUEUE_MAX,
            batch_max: Limits::BATCH_MAX,
            nonces_max: Limits::NONCES_MAX,
            wait_time_max_ms: Limits::WAIT_TIME_MAX_MS,
            grace_time_max_ms: Limits::GRACE_TIME_MAX_MS,
            control_line_bytes_max: Limits::CONTROL_LINE_BYTES_MAX,
            control_connections_max: Limits::CONTROL_CONNECTIONS_MAX,
        }
    }
}
