//! `portcullis run`: one command in a network namespace of its own, behind a fresh interface.
//!
//! The order is what matters. Nothing of the command runs before its rules are in force; no end of
//! its device is up before that; and at the end the device goes before the binding does. Whatever
//! is left when this process is killed, the server takes away once it finds the lease abandoned.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::ExitCode;

use portcullis_agent::network::Network;
use portcullis_agent::sandbox::{
    Commanded, Ending, NAME_SERVERS_MAX, Sandbox, SandboxError, end_as,
};
use portcullis_core::net::{Cidr, Mac, Prefix};
use portcullis_server::control::message::{Answer, Request};
use portcullis_server::control::run::{ANY_ADDRESS, RunRow};
use portcullis_server::directory::DataDirectory;
use portcullis_server::lease::Lease;
use portcullis_wire::ecs::limits::{WAIT_TIMEOUT_MS_DEFAULT, WAIT_TIMEOUT_MS_MAX};

use crate::commands::socket::{Place, ask_at, strange};
use crate::failure::Failure;

/// Exit status where the command did not run, as of `env` and its like.
const STATUS_NOT_RUN: u8 = 125;
/// Exit status where the command is there and cannot be started.
const STATUS_NOT_STARTED: u8 = 126;
/// Exit status where there is no such command.
const STATUS_NO_COMMAND: u8 = 127;

/// The command's end of its device.
const INNER_DEVICE: &str = "eth0";
/// Most networks that are led to the gateway.
const ROUTES_MAX: usize = 64;
/// How long the end waits for the host.
const END_WAIT_MS: u64 = 2_000;

/// Runs a command in its own network namespace, behind a fresh interface in security groups
///
/// The command starts when the rules are in force. Its exit status is passed through, signals are
/// handed to it, and it has the terminal. When it ends, whatever it left running is killed, and
/// the interface is deleted. 125 is the exit status where it was not run, 126 where it cannot be
/// started, 127 where there is no such command.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The id of a security group; may be repeated
    #[arg(long = "security-group", value_name = "GROUP", required = true)]
    groups: Vec<String>,
    /// The id of the vSwitch [default: the only one in the VPC of the group]
    #[arg(long, value_name = "VSWITCH")]
    vswitch: Option<String>,
    /// Its IPv4 address [default: the lowest free one]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Ipv4Addr>,
    /// Have an IPv6 address too: this one, or the lowest free one
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true)]
    ipv6: Option<Option<Ipv6Addr>>,
    /// A network to reach by the gateway [repeatable; default: all]
    #[arg(long = "route", value_name = "NETWORK", value_parser = network)]
    routes: Vec<Prefix>,
    /// A name server to ask [repeatable; default: those of the host]
    #[arg(long = "dns", value_name = "ADDRESS")]
    name_servers: Vec<IpAddr>,
    /// How long to wait until the rules are in force
    #[arg(long, value_name = "MILLISECONDS", default_value_t = WAIT_TIMEOUT_MS_DEFAULT,
          value_parser = clap::value_parser!(u64).range(..=WAIT_TIMEOUT_MS_MAX))]
    wait_timeout_ms: u64,
    #[command(flatten)]
    place: Place,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A network with its length and without host bits.
fn network(text: &str) -> Result<Prefix, String> {
    let cidr: Cidr = text.parse().map_err(|error| format!("{error}"))?;
    cidr.exact().ok_or_else(|| "it has bits beyond its length".to_owned())
}

/// Runs it. The exit status is the command's.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match attempt(arguments) {
        Ok(ending) => ExitCode::from(end_as(ending)),
        Err(failure) => failure.report(),
    }
}

fn attempt(arguments: Arguments) -> Result<Ending, Failure> {
    let not_run = |failure| Failure { status: STATUS_NOT_RUN, ..failure };
    check(&arguments).map_err(not_run)?;
    let directory = arguments.place.directory().map_err(not_run)?;
    let mut command = arguments.command.iter().cloned();
    let commanded = Commanded {
        program: command.next().unwrap_or_default(),
        arguments: command.collect(),
        name_servers: arguments.name_servers.clone(),
    };
    // The first thing that needs root: it says so best.
    let mut sandbox = Sandbox::new(&commanded).map_err(of_sandbox)?;
    let lease = Lease::take(&directory).map_err(|error| {
        let help = "start `portcullis serve`, or name its data directory with --data";
        not_run(Failure::because("LeaseFailed", &error, help))
    })?;
    let ended = work(&arguments, &directory, &lease, &mut sandbox);
    // Nothing of the command may live when the device goes, whatever came before.
    drop(sandbox);
    clean(&directory, lease, ended.is_err());
    ended
}

fn check(arguments: &Arguments) -> Result<(), Failure> {
    let bounds = [
        ("--dns", arguments.name_servers.len(), NAME_SERVERS_MAX),
        ("--route", arguments.routes.len(), ROUTES_MAX),
    ];
    for (name, count, most) in bounds {
        if count > most {
            let message = format!("{name} is given {count} times");
            let help = format!("give it at most {most} times");
            return Err(Failure::new("TooMany", message, help));
        }
    }
    if arguments.ipv6.is_none()
        && arguments.routes.iter().any(|network| network.address().is_ipv6())
    {
        let help = "add --ipv6, or leave the IPv6 network out";
        return Err(Failure::new("NoIpv6", "--route names an IPv6 network", help));
    }
    Ok(())
}

/// All between the lease and the end of the command.
fn work(
    arguments: &Arguments,
    directory: &DataDirectory,
    lease: &Lease,
    sandbox: &mut Sandbox,
) -> Result<Ending, Failure> {
    let not_run = |failure| Failure { status: STATUS_NOT_RUN, ..failure };
    let device = lease.device().as_str();
    let mut host = Network::open().map_err(|error| of_network(&error))?;
    host.make_veth(device, INNER_DEVICE, sandbox.namespace())
        .map_err(|error| of_network(&error))?;
    let row = start(arguments, directory, device).map_err(not_run)?;
    if let Some(address) = [&row.address, &row.ipv6].into_iter().find(|text| is_of_host(text)) {
        let message = format!("`{address}` is an address of this host");
        let help = "name another one with --address or --ipv6=";
        return Err(not_run(Failure::new("HostAddress", message, help)));
    }
    let wiring = Wiring::of(&row, &arguments.routes).ok_or_else(|| not_run(strange()))?;
    wiring
        .outside(&mut host, device)
        .and_then(|()| wiring.inside(&mut Network::open_in(sandbox.namespace())?))
        .map_err(|error| of_network(&error))?;
    sandbox.launch().map_err(of_sandbox)?;
    sandbox.wait().map_err(|error| {
        not_run(Failure::because("WaitFailed", &error, "this is a fault of the program"))
    })
}

/// Has the interface made and tied, and waits until its rules are in force.
fn start(
    arguments: &Arguments,
    directory: &DataDirectory,
    device: &str,
) -> Result<RunRow, Failure> {
    let request = Request::StartRun {
        device: device.to_owned(),
        groups: arguments.groups.clone(),
        vswitch: arguments.vswitch.clone().unwrap_or_default(),
        address: arguments.address.map(|address| address.to_string()).unwrap_or_default(),
        ipv6: match arguments.ipv6 {
            None => String::new(),
            Some(None) => ANY_ADDRESS.to_owned(),
            Some(Some(address)) => address.to_string(),
        },
        wait_timeout_ms: arguments.wait_timeout_ms,
    };
    let Answer::Run(row) = ask_at(directory, request)? else { return Err(strange()) };
    if row.changed.enforcement == "Enforced" {
        return Ok(row);
    }
    let message = format!("the rules are not in force: {}", row.changed.detail);
    let help = "run it in the network namespace of the server; a longer --wait-timeout-ms gives \
                the host more time, and the server's log may say more";
    Err(Failure::new("NotInForce", message.trim_end_matches([':', ' ']), help))
}

/// Packets for an address that the host itself has never leave it.
fn is_of_host(address: &str) -> bool {
    address.parse().is_ok_and(|address: IpAddr| UdpSocket::bind((address, 0)).is_ok())
}

/// Takes everything away. What cannot be now, the server takes away later, which is not worth a
/// word where there is a failure to report anyway.
fn clean(directory: &DataDirectory, lease: Lease, is_quiet: bool) {
    let device = lease.device().as_str();
    let removed = Network::open().and_then(|mut host| host.remove(device));
    if let Err(error) = removed {
        eprintln!("portcullis run: device `{device}` stays, and its rules with it: {error}");
        return;
    }
    let request = Request::EndRun { device: device.to_owned(), wait_timeout_ms: END_WAIT_MS };
    match ask_at(directory, request) {
        Ok(_) => {}
        Err(failure) if failure.message.starts_with("InvalidRun.NotFound") => {}
        Err(_) if is_quiet => return,
        Err(failure) => {
            let why = failure.message;
            eprintln!("portcullis run: the server deletes the interface later: {why}");
            return;
        }
    }
    // A lease that stays is found abandoned.
    let _ = lease.release();
}

/// Addresses and routes of both ends of the device.
struct Wiring {
    mac: Mac,
    /// Each with where it sends what is for others.
    addresses: Vec<(IpAddr, IpAddr)>,
    networks: Vec<Prefix>,
}

impl Wiring {
    fn of(row: &RunRow, routes: &[Prefix]) -> Option<Wiring> {
        let mut addresses = vec![(row.address.parse().ok()?, row.gateway.parse().ok()?)];
        if !row.ipv6.is_empty() {
            addresses.push((row.ipv6.parse().ok()?, row.ipv6_gateway.parse().ok()?));
        }
        let mut networks = routes.to_vec();
        if networks.is_empty() {
            let everything = |(address, _): &(IpAddr, IpAddr)| match address {
                IpAddr::V4(_) => Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0),
                IpAddr::V6(_) => Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0),
            };
            networks = addresses.iter().filter_map(everything).collect();
        }
        Some(Wiring { mac: row.mac.parse().ok()?, addresses, networks })
    }

    /// The host's end: the gateway's addresses, and the way to those of the command.
    fn outside(&self, network: &mut Network, device: &str) -> std::io::Result<()> {
        let index = network.index(device)?;
        for (_, gateway) in &self.addresses {
            network.add_address(index, *gateway)?;
        }
        network.set_up(index)?;
        for (address, _) in &self.addresses {
            network.add_route(index, Prefix::host(*address), None)?;
        }
        Ok(())
    }

    /// The command's end. Everything beyond it is reached by the gateway, neighbours too.
    fn inside(&self, network: &mut Network) -> std::io::Result<()> {
        let loopback = network.index("lo")?;
        network.set_up(loopback)?;
        let index = network.index(INNER_DEVICE)?;
        network.set_mac(index, self.mac)?;
        for (address, _) in &self.addresses {
            network.add_address(index, *address)?;
        }
        network.set_up(index)?;
        for (address, gateway) in &self.addresses {
            network.add_route(index, Prefix::host(*gateway), None)?;
            let is_own = |to: &&Prefix| to.address().is_ipv4() == address.is_ipv4();
            for to in self.networks.iter().filter(is_own) {
                network.add_route(index, *to, Some(*gateway))?;
            }
        }
        Ok(())
    }
}

fn of_network(error: &std::io::Error) -> Failure {
    let help = "the kernel refuses a device, an address or a route; `ip link`, `ip address` and \
                `ip route` show what is there";
    Failure { status: STATUS_NOT_RUN, ..Failure::because("NetworkFailed", error, help) }
}

fn of_sandbox(error: SandboxError) -> Failure {
    let (status, code, help) = match &error {
        SandboxError::NotRoot => (STATUS_NOT_RUN, "NotRoot", "run it as root"),
        SandboxError::Command { is_absent: true, .. } => {
            (STATUS_NO_COMMAND, "NoCommand", "check its spelling and PATH")
        }
        SandboxError::Command { is_absent: false, .. } => {
            (STATUS_NOT_STARTED, "NotStarted", "check that it may be executed")
        }
        SandboxError::Refused { .. } | SandboxError::Inside(_) => (
            STATUS_NOT_RUN,
            "CannotSandbox",
            "run it as root on the host; a container needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
        ),
        SandboxError::Gone => (STATUS_NOT_RUN, "CannotSandbox", "see the kernel's log"),
    };
    Failure { status, ..Failure::because(code, &error, help) }
}
