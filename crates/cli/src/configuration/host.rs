//! What is decided about this host: what its agent does where rules leave it open, and which
//! interface is tied to which device.

use std::net::Ipv4Addr;

use portcullis_agent::pinned::{INSTANCE_DEFAULT, Switches};
use portcullis_agent::run::{CHECK_S_DEFAULT, PICK_UP_S_DEFAULT};
use portcullis_agent::sys::Hook;
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::text::DeviceName;

use super::file::File;
use super::layers::{Environment, Placed, first, switch, variable};
use super::{Bind, ConfigurationError, Flags};

/// Longest time between two looks for what others changed.
const CHECK_S_MAX: u64 = 3600;

/// The name under which the agent pins its programs and maps.
pub(super) fn instance(
    flags: &Flags,
    environment: Environment<'_>,
    file: &File,
) -> Result<String, ConfigurationError> {
    let instance = first([
        flags.instance.clone().map(|text| Placed { text, place: "--instance".into() }),
        variable(environment, "PORTCULLIS_INSTANCE")?,
        file.keys.instance.as_ref().map(|value| file.placed(value)),
        Some(Placed { text: INSTANCE_DEFAULT.into(), place: "default".into() }),
    ]);
    Ok(instance.text)
}

/// How the agent is told to put programs at devices.
pub(super) fn hook(
    flags: &Flags,
    environment: Environment<'_>,
    file: &File,
) -> Result<Option<Hook>, ConfigurationError> {
    let flag = flags.hook.clone().map(|text| Placed { text, place: "--hook".into() });
    let named = flag.or(variable(environment, "PORTCULLIS_HOOK")?);
    let named = named.or_else(|| file.keys.hook.as_ref().map(|hook| file.placed(hook)));
    named.map(|hook| hook.parse("write `tcx` or `clsact`")).transpose()
}

pub(super) fn switches(
    flags: &Flags,
    environment: Environment<'_>,
    file: &File,
) -> Result<Switches, ConfigurationError> {
    let variable = |name: &str| variable(environment, name);
    let pick_up_s = match (flags.pick_up_seconds, variable("PORTCULLIS_PICK_UP_SECONDS")?) {
        (Some(seconds), _) => seconds,
        (None, Some(text)) => text.parse("write a number of seconds")?,
        (None, None) => file.keys.pick_up_seconds.unwrap_or(PICK_UP_S_DEFAULT),
    };
    Ok(Switches {
        pick_up_s,
        keep_established: switch(
            flags.keep_established,
            variable("PORTCULLIS_KEEP_ESTABLISHED")?,
            file.keys.keep_established,
        )?,
        any_link_local: switch(
            flags.any_link_local,
            variable("PORTCULLIS_ANY_LINK_LOCAL")?,
            file.keys.any_link_local,
        )?,
        check_s: check_s(flags, variable("PORTCULLIS_CHECK_SECONDS")?, file)?,
        dhcp_servers: dhcp_servers(flags, variable("PORTCULLIS_DHCP_SERVER")?, file)?,
    })
}

/// How long somebody's change may stand before it is looked for.
fn check_s(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<u64, ConfigurationError> {
    let in_file = file.keys.check_seconds.as_ref();
    let (seconds, place) = match (flags.check_seconds, variable) {
        (Some(seconds), _) => (seconds, "--check-seconds".to_owned()),
        (None, Some(text)) => (text.parse("write a number of seconds")?, text.place),
        (None, None) => match in_file {
            Some(seconds) => (*seconds.get_ref(), file.place(seconds.span().start)),
            None => (CHECK_S_DEFAULT, String::new()),
        },
    };
    if (1..=CHECK_S_MAX).contains(&seconds) {
        return Ok(seconds);
    }
    Err(ConfigurationError {
        place,
        message: format!("{seconds} seconds are not from 1 to {CHECK_S_MAX}"),
        help: "write a number of seconds in that range",
    })
}

fn dhcp_servers(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<Vec<Ipv4Addr>, ConfigurationError> {
    let placed: Vec<Placed> = if !flags.dhcp_server.is_empty() {
        let place = || "--dhcp-server".to_owned();
        let texts = flags.dhcp_server.iter();
        texts.map(|text| Placed { text: text.clone(), place: place() }).collect()
    } else if let Some(list) = variable {
        let texts = list.text.split(',').map(|text| text.trim().to_owned());
        texts.map(|text| Placed { text, place: list.place.clone() }).collect()
    } else {
        file.keys.dhcp_server.iter().map(|value| file.placed(value)).collect()
    };
    placed.iter().map(|server| server.parse("write an IPv4 address")).collect()
}

pub(super) fn binds(file: &File) -> Result<Vec<Bind>, ConfigurationError> {
    let mut binds: Vec<Bind> = Vec::with_capacity(file.keys.bind.len());
    for keys in &file.keys.bind {
        let interface: NetworkInterfaceId =
            file.placed(&keys.interface).parse("write the id of a network interface")?;
        let device: DeviceName =
            file.placed(&keys.device).parse("write the name of a device of this host")?;
        if binds.iter().any(|bind| bind.interface == interface) {
            let message = format!("interface `{interface}` is tied twice");
            return Err(file.error(keys.interface.span().start, message));
        }
        if binds.iter().any(|bind| bind.device == device) {
            let message = format!("device `{device}` is tied twice");
            return Err(file.error(keys.device.span().start, message));
        }
        binds.push(Bind { interface, device });
    }
    Ok(binds)
}
