//! Names of things: one type per noun, so that a group's id is never taken for an interface's.
//!
//! An id is opaque text of a bounded alphabet. Nothing here knows how ids are made or what they
//! point to.
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use crate::limits::ID_LENGTH_MAX;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError {
    /// The kind of id that was asked for, e.g. `SecurityGroupId`.
    pub kind: &'static str,
    /// The text as given.
    pub text: String,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a {}: 1 to {ID_LENGTH_MAX} letters, digits, `-`, `_`, `.` are expected",
            self.text, self.kind
        )
    }
}

impl core::error::Error for IdError {}

fn is_id(text: &str) -> bool {
    (1..=ID_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_id(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { kind: stringify!($name), text: text.into() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A security group, `sg-…`.
    SecurityGroupId;
    /// A rule of a group, `sgr-…`; stays with the rule for its life.
    SecurityGroupRuleId;
    /// A network interface (ENI), `eni-…`: the unit of enforcement.
    NetworkInterfaceId;
    /// An instance, `i-…`: what interfaces are attached to.
    InstanceId;
    /// A VPC, `vpc-…`: the space in which addresses are unique.
    VpcId;
    /// A vSwitch, `vsw-…`: a subnet of a VPC.
    VSwitchId;
    /// A prefix list, `pl-…`.
    PrefixListId;
    /// A port range list, `prl-…`.
    PortRangeListId;
    /// A region, e.g. `cn-hangzhou`; configuration decides which exist.
    RegionId;
    /// A zone of a region, as a vSwitch names it.
    ZoneId;
    /// The router of a VPC, `vrt-…`.
    RouterId;
    /// The system route table of a VPC, `vtb-…`.
    RouteTableId;
    /// A resource group, as the caller named it; none is kept here.
    ResourceGroupId;
    /// An access key's id: who says to be asking.
    AccessKeyId;
}

/// An account's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u64);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_bounded_text() {
        assert!("sg-a_1.b".parse::<SecurityGroupId>().is_ok());
        let long = "a".repeat(ID_LENGTH_MAX);
        assert!(long.parse::<VpcId>().is_ok());
        for bad in ["", "a b", "sg-ü", &(long + "a")] {
            let error = bad.parse::<VpcId>().unwrap_err();
            assert_eq!((error.kind, error.text.as_str()), ("VpcId", bad));
        }
    }
}
