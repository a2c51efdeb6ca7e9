//! A whole server on loopback with everything else as arguments: its clock, its store, its host.
//!
//! What it should answer is the tests' affair.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod store;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::settings::Settings;
use portcullis_core::text::DeviceName;
use portcullis_server::clock::{Clock, SystemClock};
use portcullis_server::directory::DataDirectory;
use portcullis_server::host::HostLink;
use portcullis_server::identity::Credentials;
use portcullis_server::limits::Limits;
use portcullis_server::server::{Ended, Options, Server, StartError};
use portcullis_server::source::{EmbeddedSource, Source};
use portcullis_server::throttle::ThrottleRule;
use portcullis_server::tls::Certificate;
use portcullis_testkit::client::{Answer, Client, Way};
use tokio::sync::oneshot;

pub(crate) const KEY_ID: &str = "testkey";
pub(crate) const KEY_SECRET: &str = "testsecret";
pub(crate) const REGION: &str = "cn-hangzhou";
/// How long anything here may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The system's clock, moved by hand. It shows no millisecond twice, so that what is made later is
/// seen to be younger.
#[derive(Debug, Default)]
pub(crate) struct MovedClock {
    offset_ms: AtomicU64,
    last_ms: AtomicU64,
}

impl MovedClock {
    pub(crate) fn later(&self, milliseconds: u64) {
        self.offset_ms.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now_ms(&self) -> u64 {
        let now_ms = SystemClock.now_ms() + self.offset_ms.load(Ordering::SeqCst);
        let next = |last_ms: u64| Some(now_ms.max(last_ms + 1));
        let last_ms = self.last_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        now_ms.max(last_ms.unwrap_or_default() + 1)
    }
}

/// What a test wants to be different.
pub(crate) struct Setup {
    pub(crate) directory: PathBuf,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) source: Option<Box<dyn Source>>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) binds: Vec<(NetworkInterfaceId, DeviceName)>,
    pub(crate) link: Option<HostLink>,
    pub(crate) settings: Settings,
    pub(crate) throttle: Vec<ThrottleRule>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) tls_only: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<MovedClock>,
}

impl Setup {
    pub(crate) fn new(directory: &Path) -> Setup {
        Setup {
            directory: directory.to_owned(),
            key_file: None,
            source: None,
            credentials: Some(Credentials {
                access_key_id: KEY_ID.into(),
                access_key_secret: KEY_SECRET.into(),
            }),
            binds: Vec::new(),
            link: None,
            settings: Settings::new([REGION.parse().unwrap()]),
            throttle: Vec::new(),
            certificate: None,
            tls_only: false,
            limits: Limits::default(),
            clock: Arc::default(),
        }
    }

    pub(crate) fn start(self) -> Result<Running, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let directory = DataDirectory::prepare(self.directory)?;
        let embedded = EmbeddedSource { directory: directory.store() };
        let clock = Arc::clone(&self.clock);
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            metrics: Some("127.0.0.1:0".parse().unwrap()),
            source: self.source.unwrap_or_else(|| Box::new(embedded)),
            key_file: self.key_file.unwrap_or_else(|| directory.key_file()),
            directory: directory.clone(),
            settings: self.settings,
            throttle: self.throttle,
            credentials: self.credentials,
            binds: self.binds,
            link: self.link,
            certificate: self.certificate,
            tls_only: self.tls_only,
            limits: self.limits,
            clock: self.clock,
            program_version: "test",
        };
        let server = runtime.block_on(Server::start(options))?;
        let (address, drawn_key) = (server.address(), server.drawn_key().cloned());
        let metrics = server.metrics().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(server.run(async move {
            let _ = stopped.await;
        }));
        Ok(Running {
            runtime,
            stop: Some(stop),
            ended: Some(ended),
            address,
            metrics,
            drawn_key,
            directory,
            clock,
        })
    }
}

/// A running server. Dropping it stops it.
pub(crate) struct Running {
    runtime: tokio::runtime::Runtime,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<tokio::task::JoinHandle<Ended>>,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) drawn_key: Option<Credentials>,
    pub(crate) directory: DataDirectory,
    pub(crate) clock: Arc<MovedClock>,
}

impl Running {
    pub(crate) fn client(&self) -> Client {
        Client {
            address: self.address,
            key_id: KEY_ID.into(),
            key_secret: KEY_SECRET.into(),
            region: REGION.into(),
            way: Way::Form,
            namespace: None,
        }
    }

    /// Calls, whatever the answer.
    pub(crate) fn try_call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.client().try_call(action, parameters).unwrap()
    }

    /// Calls, and insists on success.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.client().call(action, parameters).unwrap()
    }

    /// Status and code of a call.
    pub(crate) fn code(&self, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
        let answer = self.try_call(action, parameters);
        (answer.status, answer.text("/Code").unwrap_or_default())
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn signal(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> Ended {
        let ended = self.ended.take().unwrap();
        self.runtime.block_on(ended).unwrap()
    }

    /// Stops it and waits until it has.
    pub(crate) fn stop(mut self) -> Ended {
        if self.stop.is_some() {
            self.signal();
        }
        let ended = self.ended.take().unwrap();
        self.runtime.block_on(ended).unwrap()
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes on a new connection and reads until the server closes it.
    pub(crate) fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        read_all(&mut stream)
    }
}

/// What the server says until it closes the connection. A reset counts as the end: it comes when
/// the server closes without having read all.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error} after {}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Polls until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A network with one interface; its id and its group's.
pub(crate) fn make_interface(server: &Running) -> (String, String) {
    let vpc = server.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]);
    let vpc = vpc.text("/VpcId").unwrap();
    let switch = [("VpcId", vpc.as_str()), ("ZoneId", "z-a"), ("CidrBlock", "10.0.0.0/24")];
    let switch = server.call("CreateVSwitch", &switch).text("/VSwitchId").unwrap();
    let group = server.call("CreateSecurityGroup", &[("VpcId", vpc.as_str())]);
    let group = group.text("/SecurityGroupId").unwrap();
    let interface = [("VSwitchId", switch.as_str()), ("SecurityGroupId", group.as_str())];
    let interface = server.call("CreateNetworkInterface", &interface);
    (interface.text("/NetworkInterfaceId").unwrap(), group)
}
