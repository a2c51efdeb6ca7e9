//! A whole server: put together, started, and taken down in the right order.
//!
//! Order of the start: the directory, the store and its lock, the key file, the sockets, the root
//! account, the host. Nothing is answered before the state is complete. Order of the end: no more
//! requests, those in flight, the writer with what it has queued, the store. What the kernel
//! enforces stays.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_core::command::{Command, CreateRootAccount};
use portcullis_core::error::{ApiError, ErrorClass};
use portcullis_core::ids::{AccessKeyId, NetworkInterfaceId};
use portcullis_core::records::AccessKeySecret;
use portcullis_core::settings::{Protocols, Settings};
use portcullis_core::text::{AccountName, DeviceName};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};

use crate::api::Api;
use crate::clock::{Clock, SystemDice};
use crate::control::server as control;
use crate::directory::{DataDirectory, DirectoryError};
use crate::host::{Host, HostLink};
use crate::identity::{Credentials, NoRandomness};
use crate::key_file::{KeyFile, KeyFileError};
use crate::limits::Limits;
use crate::listen;
use crate::metrics::{self, Calls, Metrics};
use crate::nonces::{Nonce, Nonces};
use crate::published::Published;
use crate::runs::Sweeper;
use crate::source::{self, LoadError, Opened, Source};
use crate::throttle::{Throttle, ThrottleRule};
use crate::tls::Certificate;
use crate::writer::{Started, WriteQueue, Writer};

/// The name of the first account.
const ROOT_ACCOUNT_NAME: &str = "root";

/// How long a configured binding waits after the store has failed it.
const BIND_PAUSE: Duration = Duration::from_millis(500);

/// All that a server needs to start.
pub struct Options {
    /// Where to serve the API. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to serve the metrics, if anywhere. Port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// The data directory, prepared.
    pub directory: DataDirectory,
    /// The file with the key that secrets are sealed with; made if it is absent.
    pub key_file: PathBuf,
    /// Where the state comes from.
    pub source: Box<dyn Source>,
    /// Regions and quotas.
    pub settings: Settings,
    /// How often accounts may call; nothing is refused without a rule.
    pub throttle: Vec<ThrottleRule>,
    /// The first access key, for a first start; made up if there is none.
    pub credentials: Option<Credentials>,
    /// What to tie, as soon as the interface exists.
    pub binds: Vec<(NetworkInterfaceId, DeviceName)>,
    /// The agent of this host, if anything is to be enforced.
    pub link: Option<HostLink>,
    /// What is shown to those who speak TLS. Without it HTTP is plain only.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether those who speak plain HTTP are refused, where there is a certificate.
    pub tls_only: bool,
    /// The bounds to keep.
    pub limits: Limits,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// What `status` says the program is.
    pub program_version: &'static str,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no state.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The address of the API, or of the metrics, cannot be used.
    #[error("cannot listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The control socket cannot be made.
    #[error("cannot make the control socket `{}`", path.display())]
    Control {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The first access key that was given is none.
    #[error("the first access key cannot be used: {0}")]
    Credentials(String),
    /// No access key could be made up.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The root account could not be made.
    #[error("cannot make the root account: {0}")]
    RootAccount(ApiError),
    /// The system gives no thread.
    #[error("cannot start the writer's thread")]
    Thread(#[source] io::Error),
}

/// What the API is served by; without a certificate it is plain HTTP.
pub fn served_by(has_certificate: bool, tls_only: bool) -> Protocols {
    match (has_certificate, tls_only) {
        (false, _) => Protocols::Http,
        (true, false) => Protocols::HttpAndHttps,
        (true, true) => Protocols::Https,
    }
}

impl StartError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            StartError::Directory(error) => error.help(),
            StartError::Load(error) => error.help(),
            StartError::KeyFile(error) => error.help(),
            StartError::Listen { .. } => "choose another address, or stop whoever uses it",
            StartError::Control { .. } => "the path of a socket has at most 107 bytes",
            StartError::Credentials(_) => {
                "an id has 1 to 100 letters, digits, `-`, `_`, `.`; a secret 8 to 128 printable \
                 ASCII characters"
            }
            StartError::NoRandomness(_) => "check that the system has a source of random numbers",
            StartError::RootAccount(_) => "see the log for what the store says",
            StartError::Thread(_) => "check the limits on processes and memory",
        }
    }
}

/// A server that is ready.
pub struct Server {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    drawn_key: Option<Credentials>,
    enforces: bool,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    api: tokio::task::JoinHandle<usize>,
    writer: JoinHandle<()>,
    writer_end: oneshot::Receiver<()>,
    socket: PathBuf,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections that were cut because they took longer than the grace time.
    pub cut: usize,
    /// Whether the writer ended as it should. If not, a fault of the program ended it.
    pub is_clean: bool,
}

impl Server {
    /// Starts a server. It must be called within a runtime with more than one thread.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running.
    // tidy: long because the order of a start is read in one piece
    pub async fn start(options: Options) -> Result<Server, StartError> {
        let Options { listen, directory, mut source, settings, .. } = options;
        let key = options.credentials.map(check_credentials).transpose()?;
        let mut key_file = KeyFile::read_or_draw(&options.key_file)?;
        let opened = open(source.as_mut(), &mut key_file)?;
        let now_ms = options.clock.now_ms();
        let nonces = restore_nonces(&opened.nonces, options.limits.nonces_max, now_ms);
        let is_first = opened.state.root_account().is_none();
        let protocols = served_by(options.certificate.is_some(), options.tls_only);
        let settings = Arc::new(Settings { protocols, ..settings });
        let writer = Writer::new(
            source,
            key_file.seal().clone(),
            opened,
            Arc::clone(&settings),
            Arc::clone(&options.clock),
            Box::new(SystemDice),
            options.limits.batch_max,
        );
        let (published, open_store) = (writer.published(), writer.open_store());
        let started = writer.start(options.limits.queue_max).map_err(StartError::Thread)?;
        let Started { queue, thread: writer, end: writer_end } = started;
        if !is_first {
            warn_of_unused(key.as_ref(), &published);
        }
        // A start that fails here has drawn no key that nobody would be told.
        let (tcp, address, unix) = sockets(listen, &directory).await?;
        let scraped = bind_metrics(options.metrics).await?;
        let drawn_key = match is_first {
            true => make_root_account(&directory, &queue, key).await?,
            false => None,
        };
        let (stop, stopped) = watch::channel(false);
        let host = Arc::new(Host::connect(options.link, Arc::clone(&published), stopped.clone()));
        let administration = Arc::new(control::Administration {
            published: Arc::clone(&published),
            queue: queue.clone(),
            open_store,
            host: Arc::clone(&host),
            settings: Arc::clone(&settings),
            clock: Arc::clone(&options.clock),
            limits: options.limits.clone(),
            listen: address.to_string(),
            program_version: options.program_version,
        });
        let calls = Arc::<Calls>::default();
        let sweeper = Sweeper::new(directory.clone(), Arc::clone(&administration));
        let bound =
            bind_wanted(options.binds, Arc::clone(&published), queue.clone(), stopped.clone());
        let mut tasks = vec![
            tokio::spawn(control::listen(unix, administration, stopped.clone())),
            tokio::spawn(sweeper.sweep(stopped.clone())),
            tokio::spawn(bound),
        ];
        let metrics = scraped.as_ref().and_then(|listener| listener.local_addr().ok());
        let page = Metrics::new(&published, &host, &calls, options.program_version);
        tasks.extend(scraped.map(|listener| serve_metrics(listener, page, stopped.clone())));
        let enforces = host.enforces();
        let api = Arc::new(Api {
            published,
            queue,
            host,
            nonces: Mutex::new(nonces),
            throttle: Throttle::of_rules(options.throttle).map(Mutex::new),
            settings,
            clock: options.clock,
            limits: options.limits.clone(),
            calls,
        });
        let door = listen::Door::of(options.certificate, options.tls_only, options.limits);
        let api = tokio::spawn(listen::listen(tcp, api, door, stopped));
        let socket = directory.control_socket();
        Ok(Server {
            address,
            metrics,
            drawn_key,
            enforces,
            stop,
            tasks,
            api,
            writer,
            writer_end,
            socket,
        })
    }

    /// Where the API is served, the port included.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the metrics are served, the port included.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// The access key that this start has made up.
    pub fn drawn_key(&self) -> Option<&Credentials> {
        self.drawn_key.as_ref()
    }

    /// Whether an agent enforces on this host.
    pub fn enforces(&self) -> bool {
        self.enforces
    }

    /// Serves until `signal`, then ends in order.
    pub async fn run(self, signal: impl Future<Output = ()>) -> Ended {
        let mut signal = std::pin::pin!(signal);
        let mut api = self.api;
        let early = tokio::select! {
            () = signal.as_mut() => None,
            ended = &mut api => Some(ended),
            // It ends before its queues are gone only by a fault: without it nothing can be kept.
            _ = self.writer_end => {
                tracing::error!("the writer has ended by a fault; the server stops");
                None
            }
        };
        self.stop.send_replace(true);
        let ended = match early {
            Some(ended) => ended,
            None => api.await,
        };
        for task in self.tasks {
            let _ = task.await;
        }
        // With the last queue gone the writer finishes and closes the store.
        let writer = self.writer;
        let joined = tokio::task::spawn_blocking(move || writer.join()).await;
        let _ = std::fs::remove_file(&self.socket);
        let is_clean = matches!(joined, Ok(Ok(()))) && ended.is_ok();
        Ended { cut: ended.unwrap_or_default(), is_clean }
    }
}

/// Opens the store with the key of the file, which is written where it is new; records of an
/// earlier version are written again.
fn open(source: &mut dyn Source, key_file: &mut KeyFile) -> Result<Opened, StartError> {
    let mut opened = source::load(source, key_file.seal()).map_err(|error| match error {
        LoadError::OtherKey { sealed, .. } => key_file.is_not(sealed).into(),
        error => StartError::from(error),
    })?;
    key_file.keep()?;
    opened.renew(key_file.seal())?;
    Ok(opened)
}

/// A first access key that was given and is not one of this server's would be missed only when it
/// is refused.
fn warn_of_unused(key: Option<&FirstKey>, published: &Published) {
    let Some(key) = key else { return };
    if published.read(|state, _| state.access_key(&key.id).is_none()) {
        tracing::warn!(
            access_key_id = %key.id,
            "the access key that was given is not used: the root account has its own already"
        );
    }
}

async fn bind_metrics(wanted: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    match wanted {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

fn serve_metrics(
    listener: TcpListener,
    page: Metrics,
    stopped: watch::Receiver<bool>,
) -> tokio::task::JoinHandle<()> {
    let door = listen::Door::of(None, false, metrics::limits());
    tokio::spawn(async move {
        listen::listen(listener, Arc::new(page), door, stopped).await;
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| StartError::Listen { address, source })
}

async fn sockets(
    listen: SocketAddr,
    directory: &DataDirectory,
) -> Result<(TcpListener, SocketAddr, UnixListener), StartError> {
    let tcp = bind(listen).await?;
    let address = tcp.local_addr();
    let address = address.map_err(|source| StartError::Listen { address: listen, source })?;
    let path = directory.control_socket();
    match control::bind(&path) {
        Ok(unix) => Ok((tcp, address, unix)),
        Err(source) => Err(StartError::Control { path, source }),
    }
}

fn restore_nonces(stored: &[Nonce], maximum: usize, now_ms: u64) -> Nonces {
    let mut nonces = Nonces::new(maximum);
    for nonce in stored {
        nonces.restore(*nonce, now_ms);
    }
    nonces
}

/// A first access key in the model's own types.
struct FirstKey {
    credentials: Credentials,
    id: AccessKeyId,
    secret: AccessKeySecret,
}

fn check_credentials(credentials: Credentials) -> Result<FirstKey, StartError> {
    let id = credentials.access_key_id.parse();
    // What stands there may be the secret, given in the wrong place: it is not shown.
    let id = id.map_err(|_| StartError::Credentials("its id is malformed".to_owned()))?;
    let secret = credentials.access_key_secret.as_bytes();
    let is_sound = (8..=128).contains(&secret.len()) && secret.iter().all(u8::is_ascii_graphic);
    if !is_sound {
        return Err(StartError::Credentials("its secret is malformed".to_owned()));
    }
    let secret = AccessKeySecret::new(secret);
    Ok(FirstKey { credentials, id, secret })
}

/// Makes the root account, and keeps its key for its owner before it is of any use. A key that was
/// made up is returned.
async fn make_root_account(
    directory: &DataDirectory,
    queue: &WriteQueue,
    given: Option<FirstKey>,
) -> Result<Option<Credentials>, StartError> {
    let is_drawn = given.is_none();
    let key = match given {
        Some(key) => key,
        None => check_credentials(Credentials::draw()?)?,
    };
    directory.keep_credentials(&key.credentials)?;
    let name: AccountName =
        ROOT_ACCOUNT_NAME.parse().map_err(|error| StartError::Credentials(format!("{error}")))?;
    let command = CreateRootAccount { name, access_key: key.id, secret: key.secret };
    let write = control::administrative(Command::CreateRootAccount(command));
    queue.write(write).await.map_err(StartError::RootAccount)?;
    Ok(is_drawn.then_some(key.credentials))
}

/// Whether a write that was refused so may succeed later, as it is.
fn is_passing(error: &ApiError) -> bool {
    match error.class {
        ErrorClass::Internal | ErrorClass::Unavailable => true,
        ErrorClass::Invalid
        | ErrorClass::Forbidden
        | ErrorClass::NotFound
        | ErrorClass::Conflict => false,
    }
}

/// Ties what the configuration wants tied, each once, as soon as its interface exists.
async fn bind_wanted(
    mut wanted: Vec<(NetworkInterfaceId, DeviceName)>,
    published: Arc<Published>,
    queue: WriteQueue,
    mut stop: watch::Receiver<bool>,
) {
    let mut revisions = published.revisions();
    for (interface, device) in &wanted {
        if published.read(|state, _| state.interface(interface).is_none()) {
            tracing::warn!(
                %interface, %device,
                "the interface does not exist yet; it is tied to the device when it does"
            );
        }
    }
    while !wanted.is_empty() {
        revisions.mark_unchanged();
        let exists = |interface: &NetworkInterfaceId| {
            published.read(|state, _| state.interface(interface).is_some())
        };
        let (ready, rest): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(interface, _)| exists(interface));
        wanted = rest;
        let mut is_put_back = false;
        for (interface, device) in ready {
            let command =
                Command::BindInterface { interface: interface.clone(), device: device.clone() };
            match queue.write(control::administrative(command)).await {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%interface, %device, %error, "cannot tie them yet");
                    wanted.push((interface, device));
                    is_put_back = true;
                }
                Err(error) => tracing::error!(%interface, %device, %error, "cannot tie them"),
            }
        }
        if wanted.is_empty() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(BIND_PAUSE), if is_put_back => {}
            moved = revisions.changed() => {
                if moved.is_err() {
                    return;
                }
            }
            () = listen::stopped(&mut stop) => return,
        }
    }
}
