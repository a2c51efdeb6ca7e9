//! What the operator decides and no request can change: the regions, the quotas, and what serves
//! the API.
//!
//! Values only; reading them from files and the environment is the program's business.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::ids::RegionId;
use crate::limits::GROUPS_PER_INTERFACE_MAX;

/// A region that the server answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// Its name for people.
    pub local_name: String,
}

impl Region {
    /// A region whose name is its id.
    pub fn new(id: RegionId) -> Self {
        Self { local_name: id.to_string(), id }
    }
}

/// A quota as the operator knows it: its name, and what it may be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its name, a field of [`Quotas`].
    pub name: &'static str,
    /// What it is unless set.
    pub default: usize,
    /// The least it may be set to.
    pub least: usize,
    /// The most it may be set to.
    pub most: usize,
    /// What it bounds.
    pub about: &'static str,
}

/// Why a quota cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaError {
    /// There is no quota of this name.
    Unknown,
    /// The number is not one that it may have.
    Outside(Quota),
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such quota"),
            Self::Outside(quota) => {
                write!(
                    f,
                    "it is from {} to {}, {} by default",
                    quota.least, quota.most, quota.default
                )
            }
        }
    }
}

impl core::error::Error for QuotaError {}

macro_rules! quotas {
    ($(
        $(#[doc = $about:literal])+
        $name:ident = $default:literal in $least:literal..=$most:expr;
    )*) => {
        /// How much an account may have. At a quota the next one is refused.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Quotas {
            $($(#[doc = $about])+ pub $name: usize,)*
        }

        impl Default for Quotas {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl Quotas {
            /// Every quota, in the order in which they are listed.
            pub const ALL: &'static [Quota] = &[$(Quota {
                name: stringify!($name),
                default: $default,
                least: $least,
                most: $most,
                about: concat!($($about),+),
            },)*];

            /// Sets the quota of this name.
            pub fn set(&mut self, name: &str, number: usize) -> Result<(), QuotaError> {
                let quota = Self::ALL.iter().find(|quota| quota.name == name);
                let quota = quota.ok_or(QuotaError::Unknown)?;
                if !(quota.least..=quota.most).contains(&number) {
                    return Err(QuotaError::Outside(*quota));
                }
                match name {
                    $(stringify!($name) => self.$name = number,)*
                    _ => return Err(QuotaError::Unknown),
                }
                Ok(())
            }
        }
    };
}

// Name, default, and what the operator may set. The text goes into the guide as it is.
quotas! {
    /// Groups of one interface.
    groups_per_interface = 10 in 1..=GROUPS_PER_INTERFACE_MAX;
    /// Rules of one group, both directions together.
    rules_per_group = 1000 in 1..=4000;
    /// Rules of all groups of one interface in sum.
    rules_per_interface = 1000 in 1..=10_000;
    /// Addresses of all interfaces in a basic group.
    addresses_per_basic_group = 6000 in 1..=65_536;
    /// Interfaces in an enterprise group.
    interfaces_per_enterprise_group = 65_536 in 1..=65_536;
    /// Groups of an account in a region.
    groups_per_region = 500 in 1..=100_000;
    /// Prefix lists of an account in a region.
    prefix_lists_per_region = 100 in 1..=10_000;
    /// Port range lists of an account in a region.
    port_range_lists_per_region = 100 in 1..=10_000;
    /// Groups whose rules name the same prefix list or port range list.
    associations_per_list = 1000 in 1..=100_000;
    /// VPCs of an account in a region.
    vpcs_per_region = 500 in 1..=10_000;
    /// vSwitches of a VPC.
    vswitches_per_vpc = 500 in 1..=10_000;
    /// Interfaces of an account in a region.
    interfaces_per_region = 100_000 in 1..=1_000_000;
    /// Interfaces of an instance, the primary one too.
    interfaces_per_instance = 32 in 1..=256;
    /// Client tokens of an account that are remembered at the same time; the default is three
    /// writes a second all day.
    client_tokens_per_account = 250_000 in 1..=10_000_000;
    /// Bytes of memory that an account's client tokens and the answers to them take, about.
    client_token_bytes_per_account = 268_435_456 in 1_048_576..=4_000_000_000;
    /// Permanent access keys of an account.
    access_keys_per_account = 5 in 2..=100;
    /// Temporary access keys of an account that have not expired.
    temporary_keys_per_account = 1000 in 1..=3000;
    /// Accounts that one VPC is shared with.
    shares_per_vpc = 100 in 1..=1000;
}

impl Quotas {
    /// Groups of one interface in force: the quota, bounded by the model.
    pub fn groups_per_interface(&self) -> usize {
        self.groups_per_interface.min(GROUPS_PER_INTERFACE_MAX)
    }
}

/// What the API is served by. Requests do not depend on it; DescribeEndpoints tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocols {
    /// Plain HTTP.
    #[default]
    Http,
    /// Both, at one port.
    HttpAndHttps,
    /// TLS alone.
    Https,
}

impl Protocols {
    /// The API's spellings.
    pub const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Http => &["HTTP"],
            Self::HttpAndHttps => &["HTTP", "HTTPS"],
            Self::Https => &["HTTPS"],
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The regions that exist, in the order in which they are listed.
    pub regions: Vec<Region>,
    /// How much an account may have.
    pub quotas: Quotas,
    /// What the API is served by.
    pub protocols: Protocols,
}

impl Settings {
    /// These regions with the default quotas, served by plain HTTP.
    pub fn new(regions: impl IntoIterator<Item = RegionId>) -> Self {
        Self {
            regions: regions.into_iter().map(Region::new).collect(),
            quotas: Quotas::default(),
            protocols: Protocols::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quota_can_be_set_to_both_of_its_ends_and_not_beyond() {
        let defaults = Quotas::default();
        for quota in Quotas::ALL {
            let mut quotas = Quotas::default();
            assert_eq!(quotas.set(quota.name, quota.default), Ok(()), "{}", quota.name);
            assert_eq!(quotas, defaults, "{}", quota.name);
            for end in [quota.least, quota.most] {
                assert_eq!(quotas.set(quota.name, end), Ok(()), "{}", quota.name);
                assert_eq!(quotas == defaults, end == quota.default, "{}", quota.name);
            }
            for beyond in [quota.least - 1, quota.most + 1] {
                assert_eq!(quotas.set(quota.name, beyond), Err(QuotaError::Outside(*quota)));
            }
        }
        assert_eq!(Quotas::default().set("rules", 1), Err(QuotaError::Unknown));
    }
}
