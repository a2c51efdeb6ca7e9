//! The server's side of the control socket: lines in, lines out.
//!
//! Changes go the same way as those of the API, through the writer; what only the kernel knows is
//! asked of the host. There is no authentication beyond the permissions of the directory.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::command::Command;
use portcullis_core::error::ApiError;
use portcullis_core::ids::{AccountId, NetworkInterfaceId};
use portcullis_core::settings::Settings;
use portcullis_core::text::DeviceName;
use portcullis_store::export_to_file;
use portcullis_wire::ecs::render::{Enforcement, EnforcementStatus};
use portcullis_wire::flow_event::FlowEvent;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::control::message::{
    Answer, BindingRow, Changed, Exported, Following, Problem, Reply, Request, Status,
    read_question,
};
use crate::control::run;
use crate::host::{Asker, Filter, Host, HostView, Waited};
use crate::limits::Limits;
use crate::listen::stopped;
use crate::open_store::OpenStore;
use crate::published::Published;
use crate::writer::{Write, WriteQueue, cause_of};

/// How long a client may be silent between questions.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the listener rests after the system refused it a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SOCKET_MODE: u32 = 0o600;
/// Administrative commands are nobody's: no account owns the host.
pub(crate) const NOBODY: AccountId = AccountId(0);

/// All that an answer may need.
pub(crate) struct Administration {
    pub(crate) published: Arc<Published>,
    pub(crate) queue: WriteQueue,
    pub(crate) open_store: Arc<OpenStore>,
    pub(crate) host: Arc<Host>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) listen: String,
    pub(crate) program_version: &'static str,
}

/// Makes the socket. Whoever calls this holds the directory's lock, so that a socket which is
/// already there is a dead server's.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// Answers until `stop` is set; what is being answered then is finished within the grace time.
pub(crate) async fn listen(
    listener: UnixListener,
    administration: Arc<Administration>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(administration.limits.control_connections_max));
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = conversations.join_next() => continue,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = Arc::clone(&places).try_acquire_owned().ok();
                let (administration, stop) = (Arc::clone(&administration), stop.clone());
                conversations.spawn(async move {
                    let ended = match place {
                        Some(_) => converse(stream, &administration, stop).await,
                        None => turn_away(stream).await,
                    };
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let grace = Duration::from_millis(administration.limits.grace_time_max_ms);
    let all_over = async { while conversations.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, all_over).await.is_err() {
        conversations.shutdown().await;
    }
}

async fn turn_away(mut stream: UnixStream) -> io::Result<()> {
    let help = "close some of them, then try again";
    let problem = Problem::new("TooManyConnections", "too many control connections", help, "");
    stream.write_all(&line(&Reply::problem(problem))).await
}

async fn converse(
    stream: UnixStream,
    administration: &Administration,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let maximum = administration.limits.control_line_bytes_max;
        let question = tokio::select! {
            question = tokio::time::timeout(SILENCE_MAX, read(&mut reader, maximum)) => question??,
            () = stopped(&mut stop) => return Ok(()),
        };
        let Some(question) = question else { return Ok(()) };
        if question.len() > maximum {
            let message = format!("a question is at most {maximum} bytes");
            let reply = Reply::problem(Problem::new("QuestionTooLong", message, "", ""));
            return writer.write_all(&line(&reply)).await;
        }
        let reply = match read_question(&question) {
            Ok(Request::Follow { interface, deny }) => {
                let filter =
                    Filter { interface: (!interface.is_empty()).then_some(interface), deny };
                match administration.ask_host_for(|view| view.follow(filter)).await {
                    Ok(events) => return follow(events, &mut reader, &mut writer, stop).await,
                    Err(problem) => Err(problem),
                }
            }
            Ok(request) => administration.answer(request).await,
            Err(problem) => Err(problem),
        };
        let reply = reply.map_or_else(Reply::problem, Reply::answer);
        writer.write_all(&line(&reply)).await?;
    }
}

/// Tells events until the client hangs up. It is never waited for by those who make them.
async fn follow(
    mut events: mpsc::Receiver<FlowEvent>,
    reader: &mut BufReader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    writer.write_all(&line(&Reply::answer(Answer::Following(Following {})))).await?;
    let mut anything = [0; 64];
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            read = reader.read(&mut anything) => match read? {
                0 => return Ok(()),
                // Whatever it says, it is not waited for.
                _ => continue,
            },
            () = stopped(&mut stop) => return Ok(()),
        };
        let Some(event) = event else { return Ok(()) };
        let told = line(&Reply::answer(Answer::Event(Box::new(event))));
        tokio::select! {
            written = writer.write_all(&told) => written?,
            () = stopped(&mut stop) => return Ok(()),
        }
    }
}

/// One line without its end; one byte more than `maximum` says that it is longer.
async fn read(
    reader: &mut BufReader<OwnedReadHalf>,
    maximum: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = maximum as u64 + 1;
    let read = reader.take(most).read_until(b'\n', &mut line).await?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok((read > 0).then_some(line))
}

fn line(reply: &Reply) -> Vec<u8> {
    // Plain structures of text and numbers: writing them as JSON cannot fail.
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    line
}

impl Administration {
    async fn answer(&self, request: Request) -> Result<Answer, Problem> {
        match request {
            Request::Bind { interface, device, wait_timeout_ms } => {
                let interface: NetworkInterfaceId = parse(&interface, "interface")?;
                let device: DeviceName = parse(&device, "device")?;
                let command = Command::BindInterface { interface: interface.clone(), device };
                self.change(command, &interface, wait_timeout_ms).await
            }
            Request::Unbind { interface, wait_timeout_ms } => {
                let interface: NetworkInterfaceId = parse(&interface, "interface")?;
                let command = Command::UnbindInterface { interface: interface.clone() };
                self.change(command, &interface, wait_timeout_ms).await
            }
            Request::Bindings {} => self.bindings().await.map(Answer::Bindings),
            Request::Hits {} => self.ask_host(|view| view.hits()).await.map(Answer::Hits),
            Request::Drops {} => self.ask_host(|view| view.drops()).await.map(Answer::Drops),
            Request::Heals {} => self.ask_host(|view| view.heals()).await.map(Answer::Heals),
            Request::Passes {} => self.ask_host(|view| view.passes()).await.map(Answer::Passes),
            Request::Flows { interface } => {
                let list = move |view: &dyn HostView| {
                    view.flows((!interface.is_empty()).then_some(interface.as_str()))
                };
                self.ask_host(list).await.map(Answer::Flows)
            }
            // Its answer is more than one line: see [`converse`].
            Request::Follow { .. } => Ok(Answer::Following(Following {})),
            Request::Status {} => Ok(Answer::Status(self.status())),
            Request::Export { path } => self.export(path).await.map(Answer::Exported),
            Request::CreateAccount { name } => self.create_account(&name).await,
            Request::Accounts {} => self.accounts().map(Answer::Accounts),
            Request::DeleteAccount { account } => self.delete_account(&account).await,
            Request::CreateKey { account } => self.create_key(&account, None).await,
            Request::CreateToken { account, life_s } => {
                self.create_key(&account, Some(life_s)).await
            }
            Request::Keys { account } => self.keys(&account),
            Request::DisableKey { key } => self.set_key_active(&key, false).await,
            Request::EnableKey { key } => self.set_key_active(&key, true).await,
            Request::DeleteKey { key } => self.delete_key(&key).await,
            Request::RotateKey { key, keep_old } => self.rotate_key(&key, keep_old).await,
            Request::ShareVpc { vpc, account } => self.share_vpc(&vpc, &account).await,
            Request::UnshareVpc { vpc, account } => self.unshare_vpc(&vpc, &account).await,
            Request::Vpcs {} => self.vpcs(),
            Request::StartRun { device, groups, vswitch, address, ipv6, wait_timeout_ms } => {
                let asked = run::Asked { device, groups, vswitch, address, ipv6 };
                self.start_run(asked, wait_timeout_ms).await
            }
            Request::EndRun { device, wait_timeout_ms } => {
                self.end_run(&device, wait_timeout_ms).await
            }
        }
    }

    async fn change(
        &self,
        command: Command,
        interface: &NetworkInterfaceId,
        wait_timeout_ms: u64,
    ) -> Result<Answer, Problem> {
        let committed = self.queue.write(administrative(command)).await.map_err(problem)?;
        let changed = self.wait_for(committed.revision, interface, wait_timeout_ms).await;
        Ok(Answer::Changed(changed))
    }

    /// How a change of an interface stands when it is in force, or the time is up.
    pub(super) async fn wait_for(
        &self,
        revision: u64,
        interface: &NetworkInterfaceId,
        wait_timeout_ms: u64,
    ) -> Changed {
        let timeout_ms = wait_timeout_ms.min(self.limits.wait_time_max_ms);
        let timeout = Duration::from_millis(timeout_ms);
        let concerned = BTreeSet::from([interface.clone()]);
        let waited = Waited { revision, concerned: &concerned, asker: Asker::Operator };
        let enforcement = self.host.wait(timeout, &waited).await;
        changed(revision, &enforcement, interface)
    }

    /// What the state ties; how it stands is the host's to say.
    async fn bindings(&self) -> Result<Vec<BindingRow>, Problem> {
        if self.host.enforces() {
            return self.ask_host(|view| view.bindings()).await;
        }
        Ok(self.published.read(|state, _| {
            let row = |binding: &portcullis_core::records::Binding| BindingRow {
                interface: binding.interface.to_string(),
                device: binding.device.to_string(),
                state: "not-enforced".to_owned(),
                detail: "the server runs without an agent".to_owned(),
            };
            state.bindings().map(row).collect()
        }))
    }

    /// Asks on a thread of its own: the kernel may take a while.
    async fn ask_host<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn HostView) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Problem> {
        let failed = |cause| Problem::new("HostFailed", cause, "the server's log may say more", "");
        self.ask_host_for(move |view| question(view).map_err(failed)).await
    }

    async fn ask_host_for<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn HostView) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let Some(view) = self.host.view() else {
            let message = "nothing is enforced here: the server runs without an agent";
            let help = "start `portcullis serve` as root and without --no-agent";
            return Err(Problem::new("NotEnforced", message, help, ""));
        };
        let asked = tokio::task::spawn_blocking(move || question(view.as_ref())).await;
        asked.map_err(|error| {
            Problem::new("HostFailed", error.to_string(), "the server's log may say more", "")
        })?
    }

    /// Writes all that is kept to a file, while requests go on.
    async fn export(&self, path: String) -> Result<Exported, Problem> {
        if !Path::new(&path).is_absolute() {
            let message = format!("`{path}` is no absolute path");
            return Err(Problem::new("MalformedPath", message, "begin it with `/`", "path"));
        }
        let Some(store) = self.open_store.get() else {
            let help = "see the server's log for what the store says";
            return Err(Problem::new("StoreFailed", "the store is out of order", help, ""));
        };
        let written = tokio::task::spawn_blocking(move || {
            export_to_file(store.as_ref(), Path::new(&path)).map(|revision| (path, revision))
        });
        match written.await {
            Ok(Ok((path, revision))) => Ok(Exported { path, revision: revision.number() }),
            Ok(Err(error)) => {
                let cause = cause_of(&error);
                let message = [error.to_string(), cause].join(": ");
                let message = message.trim_end_matches(": ");
                Err(Problem::new("ExportFailed", message, error.help(), "path"))
            }
            Err(error) => Err(Problem::new("ExportFailed", error.to_string(), "", "")),
        }
    }

    fn status(&self) -> Status {
        let (revision, bindings) =
            self.published.read(|state, revision| (revision, state.bindings().count()));
        Status {
            program_version: self.program_version.to_owned(),
            process_id: std::process::id(),
            listen: self.listen.clone(),
            revision,
            enforcing: self.host.enforces(),
            bindings,
        }
    }
}

/// A write of the host's own.
pub(crate) fn administrative(command: Command) -> Write {
    Write {
        command,
        caller: NOBODY,
        signer: None,
        region: None,
        idempotency: None,
        dry_run: false,
        nonce: None,
        wants_concerned: false,
    }
}

fn changed(revision: u64, enforcement: &Enforcement, interface: &NetworkInterfaceId) -> Changed {
    let Enforcement { status, interfaces } = enforcement;
    let detail = match interfaces.iter().find(|(id, _)| id == interface.as_str()) {
        Some((_, reason)) if !reason.is_empty() => reason.clone(),
        _ if *status == EnforcementStatus::NotEnforced => {
            "the server runs without an agent".to_owned()
        }
        _ => {
            let others: Vec<String> =
                interfaces.iter().map(|(id, reason)| format!("{id} {reason}")).collect();
            others.join("; ").trim_end().to_owned()
        }
    };
    Changed { revision, enforcement: status.name().to_owned(), detail }
}

pub(super) fn parse<T: FromStr>(text: &str, place: &str) -> Result<T, Problem>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        Problem::new("MalformedName", error.to_string(), "check its spelling", place)
    })
}

pub(super) fn problem(error: ApiError) -> Problem {
    Problem::new(&error.code, error.message, &error.help, &error.place)
}
