//! The load on moto, the stand-in for another cloud's API that people test with: the same work in
//! its own dialect. It checks no signature, closes its connections after each answer, and keeps
//! everything in memory. A group takes 60 rules there, so a thousand lie in twenty groups.

use super::{DESCRIBED_RULES, PORTS, Took, Work, send};
use crate::wait::until;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// What it says when it is ready, before its address.
const READY: &str = "Running on http://";
/// It takes 60.
const RULES_PER_GROUP: usize = 50;

/// A running moto server.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Moto {
    /// Starts the program `moto_server`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path) -> Result<Moto, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let log = directory.path().join("log");
        let open = || File::options().create(true).append(true).open(&log);
        let (Ok(out), Ok(err)) = (open(), open()) else {
            return Err(format!("{} cannot be written", log.display()));
        };
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut moto = Moto { child, address, _directory: directory };
        moto.address = until("moto to be ready", START_TIMEOUT, || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if let Ok(Some(status)) = moto.child.try_wait() {
                return Err(format!("it ended with {status}: {said}"));
            }
            let address = said.split_once(READY).and_then(|(_, rest)| rest.lines().next());
            Ok(address.and_then(|address| address.trim().parse().ok()))
        })?;
        Ok(moto)
    }

    /// Makes what the work needs, and sends the load.
    ///
    /// # Errors
    /// When an answer is not 200.
    pub fn load(&self, work: Work, connections: usize, requests: usize) -> Result<Took, String> {
        let server = (self.address, self.child.id());
        let rules = if work == Work::Authorize { requests } else { DESCRIBED_RULES };
        let groups = self.make_groups(rules.div_ceil(RULES_PER_GROUP))?;
        if work == Work::Authorize {
            let group = |number| groups.get(number % groups.len()).map_or("", String::as_str);
            let call = |number| self.request(&authorize(group(number), number..number + 1));
            let calls: Vec<Vec<u8>> = (0..rules).map(call).collect();
            return send(server, &calls, connections);
        }
        let filled = groups.iter().zip((0..rules).step_by(RULES_PER_GROUP));
        let fill: Vec<Vec<u8>> = filled
            .map(|(group, first)| authorize(group, first..first + RULES_PER_GROUP))
            .map(|form| self.request(&form))
            .collect();
        send(server, &fill, 1)?;
        let named: String =
            (1..).zip(&groups).map(|(n, group)| format!("&GroupId.{n}={group}")).collect();
        let request = self.request(&format!("Action=DescribeSecurityGroups{named}"));
        send(server, &vec![request; requests], connections)
    }

    fn make_groups(&self, count: usize) -> Result<Vec<String>, String> {
        let vpc = self.call("Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId")?;
        (0..count)
            .map(|number| {
                let call = "Action=CreateSecurityGroup&GroupDescription=bench";
                self.call(&format!("{call}&GroupName=bench-{number}&VpcId={vpc}"), "groupId")
            })
            .collect()
    }

    /// Calls; the answer is the text of the first element of this name.
    fn call(&self, form: &str, element: &str) -> Result<String, String> {
        let answer = self.exchange(&self.request(form)).map_err(|error| error.to_string())?;
        let found = answer.split_once(&format!("<{element}>"));
        let found = found.and_then(|(_, rest)| rest.split_once('<'));
        found.map(|(text, _)| text.to_owned()).ok_or(answer)
    }

    fn exchange(&self, request: &[u8]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, CALL_TIMEOUT)?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        stream.write_all(request)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// It wants to see a signature's scope, to know which of its services is meant.
    fn request(&self, form: &str) -> Vec<u8> {
        let form = format!("{form}&Version=2016-11-15");
        format!(
            "POST / HTTP/1.1\r\nHost: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/ec2/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            self.address,
            form.len()
        )
        .into_bytes()
    }
}

/// A call that adds the rules of these numbers.
fn authorize(group: &str, numbers: Range<usize>) -> String {
    let mut form = format!("Action=AuthorizeSecurityGroupEgress&GroupId={group}");
    for (place, number) in (1..).zip(numbers) {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        let port = 1 + number % (PORTS - 1);
        form += &format!(
            "&IpPermissions.{place}.IpProtocol=tcp&IpPermissions.{place}.FromPort={port}\
             &IpPermissions.{place}.ToPort={port}\
             &IpPermissions.{place}.IpRanges.1.CidrIp=10.{a}.{b}.{c}/32"
        );
    }
    form
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
