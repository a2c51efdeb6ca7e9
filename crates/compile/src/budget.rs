//! How large a compiled policy may become, and the error that names the limit it would break.
//!
//! A policy over a limit is refused whole before anything of it is loaded; nothing is cut off to
//! make it fit.
use core::fmt;

use crate::abi;

/// Most words of one TABLE blob (16 MiB of them, 128 MiB): a bound on memory that no policy within
/// the API's quotas nears.
pub const TABLE_WORDS_MAX: usize = 1 << 24;
/// Most cells and page numbers of one family of a class table (256 KiB): a policy that needs more
/// is matched by bit vectors, whose size does not grow with the product of its fields.
pub const CELLS_MAX: usize = 1 << 17;
/// Most cells that are computed for it, before rows and columns that say the same are made one.
pub const RAW_CELLS_MAX: usize = 1 << 22;
/// Most numbers of one kind that a process hands out.
pub const NUMBERS_MAX: usize = 1 << 31;

/// Which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Rules of one direction of an interface.
    Rules,
    /// Boundaries of one dimension of a table.
    Boundaries,
    /// Own address ranges of one family.
    OwnRanges,
    /// Groups of one interface or address.
    Groups,
    /// Words of one table.
    TableWords,
    /// Words of the whole pool.
    PoolWords,
    /// Numbers given to groups, VPCs or rules.
    Numbers,
}

impl Limit {
    /// What is counted, in the plural.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules of one direction",
            Self::Boundaries => "boundaries of one field",
            Self::OwnRanges => "own address ranges of one family",
            Self::Groups => "groups of one interface",
            Self::TableWords => "words of one table",
            Self::PoolWords => "words of the policy pool",
            Self::Numbers => "numbers of one kind",
        }
    }
}

/// A policy that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileError {
    /// The bound it breaks.
    pub limit: Limit,
    /// How many are allowed.
    pub allowed: usize,
    /// How many it would need, at least.
    pub needed: usize,
}

impl CompileError {
    /// Stable name of the failure.
    pub const CODE: &'static str = "PolicyTooLarge";

    /// What to do next.
    pub const fn help(&self) -> &'static str {
        match self.limit {
            Limit::Rules => "join the rules of a group by wider CIDRs, prefix lists or port lists",
            Limit::Boundaries | Limit::TableWords => {
                "name fewer or wider CIDRs and port ranges in rules and lists"
            }
            Limit::OwnRanges => "give the interface adjacent addresses or a prefix",
            Limit::Groups => "take the interface out of some groups",
            Limit::PoolWords => "raise the pool size of this host, or bind fewer interfaces to it",
            Limit::Numbers => "restart the agent",
        }
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, allowed, needed } = self;
        write!(f, "the policy needs {needed} {}, at most {allowed} are possible", limit.name())
    }
}

impl core::error::Error for CompileError {}

/// Refuses more than a limit allows.
pub(crate) fn check(limit: Limit, needed: usize) -> Result<(), CompileError> {
    let allowed = match limit {
        Limit::Rules => abi::RULES_MAX as usize,
        Limit::Boundaries => abi::BOUNDARIES_MAX as usize,
        Limit::OwnRanges => abi::OWN_MAX as usize,
        Limit::Groups => abi::GROUPS_PER_MEMBER_MAX as usize,
        Limit::TableWords => TABLE_WORDS_MAX,
        // Offsets are counted in 32 bits; the kernel's pool is smaller and asks for itself.
        Limit::PoolWords => u32::MAX as usize,
        Limit::Numbers => NUMBERS_MAX,
    };
    if needed > allowed { Err(CompileError { limit, allowed, needed }) } else { Ok(()) }
}
