//! Tags and resource groups of whatever has them: what is asked, and the rows of the answer.
//!
//! A resource is named by its kind and its own typed id, so that no id is looked for among the
//! wrong things.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::command::Paging;
use crate::ids::{
    InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId, ResourceGroupId,
    SecurityGroupId, VSwitchId, VpcId,
};
use crate::text::{Tag, TagKey, Tags};

/// Declares the kinds of things that have tags, each with the type of its id.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($id:ty);)*) => {
        /// A kind of thing that has tags.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResourceKind {
            $($(#[$doc])* $kind,)*
        }

        /// One thing that has tags.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Resource {
            $($(#[$doc])* $kind($id),)*
        }

        impl ResourceKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The thing of this kind with this id, if the text is one.
            pub fn resource(self, id: &str) -> Option<Resource> {
                match self {
                    $(Self::$kind => id.parse().ok().map(Resource::$kind),)*
                }
            }
        }

        impl Resource {
            /// Its kind.
            pub fn kind(&self) -> ResourceKind {
                match self {
                    $(Self::$kind(_) => ResourceKind::$kind,)*
                }
            }

            /// Its id.
            pub fn id(&self) -> &str {
                match self {
                    $(Self::$kind(id) => id.as_str(),)*
                }
            }
        }
    };
}

kinds! {
    /// A security group.
    SecurityGroup(SecurityGroupId);
    /// A network interface.
    NetworkInterface(NetworkInterfaceId);
    /// `instance`.
    Instance(InstanceId);
    /// A prefix list.
    PrefixList(PrefixListId);
    /// A port range list.
    PortRangeList(PortRangeListId);
    /// A VPC.
    Vpc(VpcId);
    /// A vSwitch.
    VSwitch(VSwitchId);
}

/// TagResources: all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagResources {
    /// `ResourceId.N`.
    pub resources: Vec<Resource>,
    /// `Tag.N`: keys that are there get the new value.
    pub tags: Tags,
}

/// Which tags go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untag {
    /// `All`.
    All,
    /// `TagKey.N`: those that are there.
    Keys(Vec<TagKey>),
}

/// UntagResources: all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntagResources {
    /// `ResourceId.N`.
    pub resources: Vec<Resource>,
    /// `TagKey.N`, `All`.
    pub untag: Untag,
}

/// A text of a tag, or a part of it: `text`, `text*` or `*text*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagPattern {
    /// The whole text.
    Is(String),
    /// What it begins with.
    BeginsWith(String),
    /// What it holds.
    Holds(String),
}

impl FromStr for TagPattern {
    type Err = TagPatternError;

    fn from_str(text: &str) -> Result<Self, TagPatternError> {
        if text == "*" {
            return Ok(Self::Holds(String::new()));
        }
        let (before, rest) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
        let (after, inner) = rest.strip_suffix('*').map_or((false, rest), |inner| (true, inner));
        if inner.contains('*') {
            return Err(TagPatternError);
        }
        match (before, after) {
            (false, false) => Ok(Self::Is(inner.into())),
            (false, true) => Ok(Self::BeginsWith(inner.into())),
            (true, true) => Ok(Self::Holds(inner.into())),
            (true, false) => Err(TagPatternError),
        }
    }
}

/// An asterisk stands where none may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagPatternError;

impl fmt::Display for TagPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not `text`, `text*` or `*text*`")
    }
}

impl core::error::Error for TagPatternError {}

impl TagPattern {
    /// Whether a text is meant.
    pub fn fits(&self, text: &str) -> bool {
        match self {
            Self::Is(own) => own == text,
            Self::BeginsWith(own) => text.starts_with(own.as_str()),
            Self::Holds(own) => text.contains(own.as_str()),
        }
    }
}

/// `Tag.N` or `TagFilter.N`: a key, and the values it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSearch {
    /// The key.
    pub key: TagPattern,
    /// One of these; none: any.
    pub values: Vec<TagPattern>,
}

impl TagSearch {
    /// Whether a tag is meant.
    pub fn fits(&self, tag: &Tag) -> bool {
        self.key.fits(tag.key.as_str())
            && (self.values.is_empty()
                || self.values.iter().any(|value| value.fits(tag.value.as_str())))
    }
}

/// ListTagResources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTagResources {
    /// `ResourceType`.
    pub kind: ResourceKind,
    /// `ResourceId.N`; none: all of the kind.
    pub resources: Vec<Resource>,
    /// What a resource must have, all of it; its other tags are then left out.
    pub searches: Vec<TagSearch>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// DescribeTags: which tags there are, each once, however many resources have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeTags {
    /// `ResourceType`: of these kinds.
    pub kinds: Vec<ResourceKind>,
    /// `ResourceId`: of this one alone.
    pub resource: Option<Resource>,
    /// Only these; none: all.
    pub searches: Vec<TagSearch>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// JoinResourceGroup and MoveResourceGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveResourceGroup {
    /// `ResourceType`, `ResourceId`.
    pub resource: Resource,
    /// `ResourceGroupId`, `NewResourceGroupId`.
    pub resource_group: ResourceGroupId,
}

/// A tag, and of each kind that was asked for how many have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCountRow {
    /// The tag.
    pub tag: Tag,
    /// How many have it, by kind.
    pub counts: Vec<(ResourceKind, usize)>,
}

/// One tag of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    /// Whose.
    pub resource: Resource,
    /// The tag.
    pub tag: Tag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_text_or_a_part_of_one() {
        let fits = |pattern: &str, text: &str| pattern.parse::<TagPattern>().map(|p| p.fits(text));
        assert_eq!(fits("env", "env"), Ok(true));
        assert_eq!(fits("env", "env1"), Ok(false));
        assert_eq!(fits("env*", "env1"), Ok(true));
        assert_eq!(fits("env*", "an env"), Ok(false));
        assert_eq!(fits("*env*", "an env1"), Ok(true));
        assert_eq!((fits("*", "any"), fits("**", "any")), (Ok(true), Ok(true)));
        for bad in ["*env", "e*v", "e**", "***"] {
            assert_eq!(fits(bad, bad), Err(TagPatternError), "{bad}");
        }
    }

    #[test]
    fn an_id_is_of_one_kind() {
        let resource = ResourceKind::Vpc.resource("vpc-1").unwrap();
        assert_eq!((resource.kind(), resource.id()), (ResourceKind::Vpc, "vpc-1"));
        assert_eq!(ResourceKind::VSwitch.resource("a b"), None);
    }
}
