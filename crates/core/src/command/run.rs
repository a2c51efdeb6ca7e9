//! Runs: an interface and its binding that live as long as one command of the host does.
//!
//! Knows the name by which such a binding is told from others; what a command is, is not known.
use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::ids::{SecurityGroupId, VSwitchId};
use crate::text::DeviceName;

/// What the names of runs' devices begin with.
const PREFIX: &str = "pcr-";
/// Lower-case letters and digits behind it: what the name of a device has room for.
const LETTERS: usize = 11;

/// The host's end of a run's device, which is also the run's own name. No other binding may have
/// such a name, so that the state alone says which interfaces are those of runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunDevice(DeviceName);

impl RunDevice {
    /// The one that these bytes stand for.
    pub fn drawn(bytes: [u8; 8]) -> Option<Self> {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rest = u64::from_le_bytes(bytes);
        let mut name = PREFIX.to_string();
        for _ in 0..LETTERS {
            name.push(char::from(*ALPHABET.get((rest % 36) as usize)?));
            rest /= 36;
        }
        name.parse().ok()
    }

    /// The device as that of a run, if its name is one.
    pub fn of(device: &DeviceName) -> Option<Self> {
        let own = device.as_str().strip_prefix(PREFIX)?;
        let is_own = own.len() == LETTERS
            && own.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_own.then(|| Self(device.clone()))
    }

    /// The device.
    pub fn device(&self) -> &DeviceName {
        &self.0
    }

    /// The device's name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for RunDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no device of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRunDevice;

impl fmt::Display for NoRunDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a run's device is `{PREFIX}` and {LETTERS} lower-case letters or digits")
    }
}

impl core::error::Error for NoRunDevice {}

impl FromStr for RunDevice {
    type Err = NoRunDevice;

    fn from_str(text: &str) -> Result<Self, NoRunDevice> {
        let device: DeviceName = text.parse().map_err(|_| NoRunDevice)?;
        Self::of(&device).ok_or(NoRunDevice)
    }
}

/// The IPv6 address that a run is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunIpv6 {
    /// None.
    #[default]
    None,
    /// One that is chosen here.
    Any,
    /// This one.
    This(Ipv6Addr),
}

/// An interface of these groups, tied to the device of a run. It is owned by whoever owns the first
/// of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartRun {
    /// The device; it need not be there yet.
    pub device: RunDevice,
    /// The groups, at least one.
    pub groups: Vec<SecurityGroupId>,
    /// `None`: the only one that the owner has in the first group's VPC.
    pub vswitch: Option<VSwitchId>,
    /// `None`: the lowest free one.
    pub primary: Option<Ipv4Addr>,
    /// Its address in IPv6.
    pub ipv6: RunIpv6,
}
