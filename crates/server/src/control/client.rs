//! The client's side of the control socket: one question, its answer.
//!
//! It blocks and needs no runtime: it serves programs for people.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use portcullis_wire::flow_event::FlowEvent;

use crate::control::message::{Answer, Outcome, Problem, Question, Reply, Request, VERSION};
use crate::directory::DataDirectory;

/// How long a server may take beyond what the question itself asks to wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a server says that has no place for one more conversation.
const TOO_MANY_CONNECTIONS: &str = "TooManyConnections";
/// Between two attempts at a server that has too many conversations.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of an answer: a line for each rule of a full host.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes of an event.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No server listens there.
    #[error("no server answers at `{}`", path.display())]
    NoServer {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("the server at `{}` did not answer", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The server refused.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Problem),
}

impl ClientError {
    /// Whether the server had no place for the question, and so has not read it.
    fn is_crowd(&self) -> bool {
        match self {
            ClientError::NoServer { .. } => false,
            ClientError::Broken { source, .. } => source.kind() == io::ErrorKind::BrokenPipe,
            ClientError::Refused(problem) => problem.code == TOO_MANY_CONNECTIONS,
        }
    }

    /// What to do next.
    pub fn help(&self) -> String {
        match self {
            ClientError::NoServer { .. } => {
                "start `portcullis serve`, or name its data directory with --data; you must be \
                 the user that runs it"
                    .to_owned()
            }
            ClientError::Broken { .. } => "see the server's log".to_owned(),
            ClientError::Refused(problem) => problem.help.clone(),
        }
    }
}

/// Asks the server of a data directory. One that has too many conversations is asked again for a
/// while.
///
/// # Errors
/// See [`ClientError`].
pub fn ask(directory: &DataDirectory, request: Request) -> Result<Answer, ClientError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask_once(directory, request.clone()) {
            Err(error) if error.is_crowd() && Instant::now() < until => sleep(PAUSE),
            done => return done,
        }
    }
}

fn ask_once(directory: &DataDirectory, request: Request) -> Result<Answer, ClientError> {
    let path = directory.control_socket();
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(source) => return Err(ClientError::NoServer { path, source }),
    };
    match converse(&stream, request) {
        Ok(Reply { result: Outcome::Answer(answer), .. }) => Ok(answer),
        Ok(Reply { result: Outcome::Error(problem), .. }) => Err(ClientError::Refused(problem)),
        Err(source) => Err(ClientError::Broken { path, source }),
    }
}

/// Has the server of a data directory tell events, each to `hear`, until that wants no more or the
/// server ends.
///
/// # Errors
/// See [`ClientError`].
pub fn follow(
    directory: &DataDirectory,
    request: Request,
    mut hear: impl FnMut(FlowEvent) -> io::Result<()>,
) -> Result<(), ClientError> {
    let path = directory.control_socket();
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(source) => return Err(ClientError::NoServer { path, source }),
    };
    let broken = |source| ClientError::Broken { path: path.clone(), source };
    send(&stream, request).map_err(broken)?;
    let mut lines = BufReader::new(&stream);
    loop {
        let mut line = Vec::new();
        lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(broken)?;
        if line.is_empty() {
            return Ok(());
        }
        match read(&line).map_err(broken)?.result {
            Outcome::Answer(Answer::Event(event)) => {
                if hear(*event).is_err() {
                    return Ok(());
                }
            }
            Outcome::Answer(_) => {}
            Outcome::Error(problem) => return Err(ClientError::Refused(problem)),
        }
    }
}

fn converse(stream: &UnixStream, request: Request) -> io::Result<Reply> {
    let waits_ms = request.wait_timeout_ms();
    stream.set_read_timeout(Some(PATIENCE + Duration::from_millis(waits_ms)))?;
    send(stream, request)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    read(&answer)
}

fn send(mut stream: &UnixStream, request: Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Question { version: VERSION, request })?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn read(line: &[u8]) -> io::Result<Reply> {
    let reply: Reply = serde_json::from_slice(line)?;
    if reply.version != VERSION {
        let text = format!("it speaks version {}, not {VERSION}", reply.version);
        return Err(io::Error::other(text));
    }
    Ok(reply)
}
