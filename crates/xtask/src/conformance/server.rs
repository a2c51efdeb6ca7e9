//! The server under test: the real program on the loopback interface with a fresh data folder, and
//! the authority that its certificate comes from. One server for each client: none sees another's
//! traces.

use super::environment::quietly;
use crate::{Outcome, run};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The access key that every client signs with.
pub(crate) const KEY: &str = "conformance";
pub(crate) const SECRET: &str = "conformance-secret";

const READY: &str = "portcullis is ready at http://";

/// A running server; ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `host:port`.
    pub(crate) place: String,
}

impl Server {
    /// Starts one whose data and certificates are in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path, name: &str) -> Outcome<Self> {
        let data = folder.join("data").join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data).map_err(|error| error.to_string())?;
        }
        let mut command = Command::new(program);
        command.args(["serve", "--no-agent", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        command.args(["--region", "cn-hangzhou", "--region", "cn-qingdao-env17-d01"]);
        command.arg("--tls-cert").arg(folder.join("server.pem"));
        command.arg("--tls-key").arg(folder.join("server.key"));
        command
            .env("PORTCULLIS_CONFIG", "/dev/null")
            .env("PORTCULLIS_ACCESS_KEY_ID", KEY)
            .env("PORTCULLIS_ACCESS_KEY_SECRET", SECRET);
        let log = std::fs::File::create(folder.join(format!("server-{name}.log")));
        command.stderr(log.map_err(|error| error.to_string())?).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("the server: {error}"))?;
        let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
        let ready = lines.map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix(READY)?;
            let end = rest
                .find(|letter: char| letter != ':' && letter != '.' && !letter.is_ascii_digit());
            Some(rest.get(..end.unwrap_or(rest.len()))?.to_owned())
        });
        let mut server = Self { child, place: String::new() };
        server.place = ready.ok_or("the server ended before it was ready")?;
        Ok(server)
    }

    /// Has the operator's command make a temporary access key for the account of [`KEY`].
    pub(crate) fn temporary_key(program: &Path, folder: &Path, name: &str) -> Outcome<Temporary> {
        let mut command = Command::new(program);
        command.args(["key", "token", "root", "--json", "--data"]);
        command.arg(folder.join("data").join(name)).env("PORTCULLIS_CONFIG", "/dev/null");
        let output = command.output();
        let output = output.map_err(|error| format!("`{}`: {error}", run::shown(&command)))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let told: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("`{}`: {error}", run::shown(&command)))?;
        let text = |field: &str| told.get(field).and_then(Value::as_str).map(str::to_owned);
        let fields = (text("access_key_id"), text("access_key_secret"), text("security_token"));
        let (Some(key), Some(secret), Some(token)) = fields else {
            return Err(format!("no temporary key: {told}"));
        };
        Ok(Temporary { key, secret, token })
    }
}

/// A temporary access key.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an authority of our own and a certificate for the loopback address; returns the file of
/// the authority's certificate.
pub(crate) fn certify(folder: &Path) -> Outcome<PathBuf> {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    let authority = "-subj /CN=authority -addext keyUsage=critical,keyCertSign \
                     -keyout authority.key -out authority.pem";
    let server = "-subj /CN=server -CA authority.pem -CAkey authority.key \
                  -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE \
                  -keyout server.key -out server.pem";
    for own in [authority, server] {
        let words: Vec<&str> = new.split(' ').chain(own.split_whitespace()).collect();
        let mut command = run::command("openssl", &words);
        command.current_dir(folder);
        quietly(command)?;
    }
    Ok(folder.join("authority.pem"))
}
