//! Tags and resource groups of every kind of resource: one table says where each kind has them, and
//! what is done to them knows no kind.
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::command::{
    Context, DescribeTags, ListTagResources, MoveResourceGroup, Outcome, Resource, ResourceKind,
    TagCountRow, TagResources, TagRow, Untag, UntagResources,
};
use crate::error::ApiError;
use crate::ids::{AccountId, RegionId, ResourceGroupId};
use crate::limits::TAGS_PER_RESOURCE_MAX;
use crate::records::{
    Change, GroupRecord, Instance, InterfaceRecord, PortRangeListRecord, PrefixListRecord, Record,
    VSwitch, Vpc,
};
use crate::state::account::sees;
use crate::state::describe::{in_sight, part};
use crate::state::{Decision, State};
use crate::text::{Tag, TagKey, TagValue, Tags};

/// What every kind of resource has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Labels {
    tags: Tags,
    resource_group: Option<ResourceGroupId>,
}

/// A resource that is there: whose, where, and what it is called by.
struct Labelled {
    owner: AccountId,
    region: RegionId,
    labels: Labels,
}

/// What of a record is asked for here.
macro_rules! labelled {
    ($record:expr) => {
        $record.map(|record| Labelled {
            owner: record.owner,
            region: record.region.clone(),
            labels: Labels {
                tags: record.tags.clone(),
                resource_group: record.resource_group.clone(),
            },
        })
    };
}

/// The place of one tag in the order of the answer, which is that of the resources' ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TagPlace {
    resource: alloc::string::String,
    key: TagKey,
}

impl fmt::Display for TagPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No id holds a slash.
        write!(f, "{}/{}", self.resource, self.key)
    }
}

impl FromStr for TagPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (resource, key) = text.split_once('/').ok_or(())?;
        Ok(Self { resource: resource.into(), key: key.parse().map_err(|_| ())? })
    }
}

/// A tag in the order of its text; it keys the pages of DescribeTags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct TagText {
    key: TagKey,
    value: TagValue,
}

impl fmt::Display for TagText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.key, self.value)
    }
}

impl FromStr for TagText {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (key, value) = text.split_once('\n').ok_or(())?;
        let (key, value) = (key.parse().map_err(|_| ())?, value.parse().map_err(|_| ())?);
        Ok(Self { key, value })
    }
}

fn resource_not_found(resource: &Resource) -> ApiError {
    let message = alloc::format!("The specified ResourceId `{}` does not exist.", resource.id());
    ApiError::not_found("InvalidResourceId.NotFound", message)
        .at("ResourceId")
        .help("Check the id, ResourceType and RegionId.")
}

impl State {
    /// The table: where each kind has its tags.
    fn labelled(&self, resource: &Resource) -> Option<Labelled> {
        match resource {
            Resource::SecurityGroup(id) => labelled!(self.groups.get(id).map(|own| &own.record)),
            Resource::NetworkInterface(id) => labelled!(self.interfaces.get(id)),
            Resource::Instance(id) => labelled!(self.instances.get(id)),
            Resource::PrefixList(id) => labelled!(self.prefix_lists.get(id)),
            Resource::PortRangeList(id) => labelled!(self.port_range_lists.get(id)),
            Resource::Vpc(id) => labelled!(self.vpcs.get(id)),
            Resource::VSwitch(id) => {
                let vswitch = self.vswitches.get(id)?;
                // Of a shared VPC only its owner knows the resource group.
                let vpc = self.vpcs.get(&vswitch.vpc).filter(|vpc| vpc.owner == vswitch.owner);
                Some(Labelled {
                    owner: vswitch.owner,
                    region: vswitch.region.clone(),
                    labels: Labels {
                        tags: vswitch.tags.clone(),
                        resource_group: vpc.and_then(|vpc| vpc.resource_group.clone()),
                    },
                })
            }
        }
    }

    /// The same table the other way: the record of a resource with new labels.
    fn relabelled(&self, resource: &Resource, labels: Labels) -> Option<Record> {
        let Labels { tags, resource_group } = labels;
        match resource {
            Resource::SecurityGroup(id) => {
                let record = self.groups.get(id)?.record.clone();
                Some(Record::Group(GroupRecord { tags, resource_group, ..record }))
            }
            Resource::NetworkInterface(id) => {
                let record = self.interfaces.get(id)?.clone();
                let record = InterfaceRecord { tags, resource_group, ..record };
                Some(Record::Interface(Box::new(record)))
            }
            Resource::PrefixList(id) => {
                let record = self.prefix_lists.get(id)?.clone();
                Some(Record::PrefixList(PrefixListRecord { tags, resource_group, ..record }))
            }
            Resource::PortRangeList(id) => {
                let record = self.port_range_lists.get(id)?.clone();
                Some(Record::PortRangeList(PortRangeListRecord { tags, resource_group, ..record }))
            }
            Resource::Instance(id) => {
                let record = self.instances.get(id)?.clone();
                let record = Instance { tags, resource_group, ..record };
                Some(Record::Instance(Box::new(record)))
            }
            Resource::Vpc(id) => {
                let record = self.vpcs.get(id)?.clone();
                Some(Record::Vpc(Vpc { tags, resource_group, ..record }))
            }
            Resource::VSwitch(id) => {
                // Its resource group is that of its VPC, which no action moves by the vSwitch.
                let record = self.vswitches.get(id)?.clone();
                Some(Record::VSwitch(VSwitch { tags, ..record }))
            }
        }
    }

    /// All of one kind that the caller may see.
    fn resources_in_sight(&self, context: &Context<'_>, kind: ResourceKind) -> Vec<Resource> {
        fn all<'a, T: Clone + 'a>(
            ids: impl IntoIterator<Item = &'a T>,
            resource: fn(T) -> Resource,
        ) -> Vec<Resource> {
            ids.into_iter().cloned().map(resource).collect()
        }
        let index = &self.index;
        match kind {
            ResourceKind::SecurityGroup => {
                all(in_sight(&index.groups, context), Resource::SecurityGroup)
            }
            ResourceKind::NetworkInterface => {
                all(in_sight(&index.interfaces, context), Resource::NetworkInterface)
            }
            ResourceKind::Instance => all(in_sight(&index.instances, context), Resource::Instance),
            ResourceKind::PrefixList => {
                all(in_sight(&index.prefix_lists, context), Resource::PrefixList)
            }
            ResourceKind::PortRangeList => {
                all(in_sight(&index.port_range_lists, context), Resource::PortRangeList)
            }
            ResourceKind::Vpc => all(in_sight(&index.vpcs, context), Resource::Vpc),
            ResourceKind::VSwitch => all(in_sight(&index.vswitches, context), Resource::VSwitch),
        }
    }

    /// The labels of a resource of the caller's.
    fn own_labels(&self, context: &Context<'_>, resource: &Resource) -> Option<Labels> {
        let labelled = self.labelled(resource)?;
        (labelled.owner == context.caller && sees(context, labelled.owner, &labelled.region))
            .then_some(labelled.labels)
    }

    /// The changes that give each resource its new labels; all are there, or none is changed.
    fn relabel(
        &self,
        context: &Context<'_>,
        resources: &[Resource],
        new: impl Fn(&Labels) -> Result<Labels, ApiError>,
    ) -> Result<Decision, ApiError> {
        let mut changes = Vec::new();
        let mut resources: Vec<&Resource> = resources.iter().collect();
        resources.sort_unstable();
        resources.dedup();
        for resource in resources {
            let not_found = || resource_not_found(resource);
            let old = self.own_labels(context, resource).ok_or_else(not_found)?;
            let labels = new(&old)?;
            if labels != old {
                let record = self.relabelled(resource, labels).ok_or_else(not_found)?;
                changes.push(Change::Put(record));
            }
        }
        Ok(Decision::done(changes))
    }

    pub(super) fn tag_resources(
        &self,
        context: &Context<'_>,
        command: &TagResources,
    ) -> Result<Decision, ApiError> {
        self.relabel(context, &command.resources, |old| {
            let tags = old.tags.with(&command.tags).map_err(|_| {
                let message =
                    alloc::format!("A resource would have more than {TAGS_PER_RESOURCE_MAX} tags.");
                ApiError::forbidden("QuotaExceed.Tags", message)
                    .at("Tag")
                    .help("Remove tags of the resource first.")
            })?;
            Ok(Labels { tags, ..old.clone() })
        })
    }

    pub(super) fn untag_resources(
        &self,
        context: &Context<'_>,
        command: &UntagResources,
    ) -> Result<Decision, ApiError> {
        self.relabel(context, &command.resources, |old| {
            let tags = match &command.untag {
                Untag::All => Tags::default(),
                Untag::Keys(keys) => old.tags.without(keys),
            };
            Ok(Labels { tags, ..old.clone() })
        })
    }

    pub(super) fn move_resource_group(
        &self,
        context: &Context<'_>,
        command: &MoveResourceGroup,
    ) -> Result<Decision, ApiError> {
        if command.resource.kind() == ResourceKind::VSwitch {
            let message = "A vSwitch is in the resource group of its VPC.";
            return Err(ApiError::not_found("InvalidResourceType.NotFound", message)
                .at("ResourceType")
                .help("Move the VPC."));
        }
        self.relabel(context, core::slice::from_ref(&command.resource), |old| {
            let resource_group = Some(command.resource_group.clone());
            Ok(Labels { resource_group, ..old.clone() })
        })
    }

    pub(super) fn list_tag_resources(
        &self,
        context: &Context<'_>,
        command: &ListTagResources,
    ) -> Result<Decision, ApiError> {
        let resources = if command.resources.is_empty() {
            self.resources_in_sight(context, command.kind)
        } else {
            command.resources.clone()
        };
        let mut places = Vec::new();
        for resource in &resources {
            let Some(labels) = self.own_labels(context, resource) else { continue };
            let searches = &command.searches;
            if !searches.iter().all(|search| labels.tags.iter().any(|tag| search.fits(tag))) {
                continue;
            }
            let meant = labels.tags.iter().filter(|tag| {
                searches.is_empty() || searches.iter().any(|search| search.fits(tag))
            });
            places.extend(
                meant.map(|tag| TagPlace { resource: resource.id().into(), key: tag.key.clone() }),
            );
        }
        let page = part(places, &command.paging)?.rows(|place| {
            let resource = command.kind.resource(&place.resource)?;
            let labels = self.own_labels(context, &resource)?;
            let tag = labels.tags.iter().find(|tag| tag.key == place.key)?.clone();
            Some(TagRow { resource, tag })
        });
        Ok(Decision::read(Outcome::Tags(command.kind, page)))
    }

    pub(super) fn describe_tags(
        &self,
        context: &Context<'_>,
        command: &DescribeTags,
    ) -> Result<Decision, ApiError> {
        let resources = match &command.resource {
            Some(resource) => alloc::vec![resource.clone()],
            None => {
                let of = |kind: &ResourceKind| self.resources_in_sight(context, *kind);
                command.kinds.iter().flat_map(of).collect()
            }
        };
        let mut counts: BTreeMap<TagText, BTreeMap<ResourceKind, usize>> = BTreeMap::new();
        for resource in &resources {
            let Some(labels) = self.own_labels(context, resource) else { continue };
            let searches = &command.searches;
            let meant = |tag: &&Tag| searches.is_empty() || searches.iter().any(|s| s.fits(tag));
            for tag in labels.tags.iter().filter(meant) {
                let text = TagText { key: tag.key.clone(), value: tag.value.clone() };
                *counts.entry(text).or_default().entry(resource.kind()).or_default() += 1;
            }
        }
        let page = part(counts.keys().cloned().collect(), &command.paging)?.rows(|text| {
            let of = counts.get(&text)?;
            let count = |kind: &ResourceKind| (*kind, of.get(kind).copied().unwrap_or_default());
            let counts = command.kinds.iter().map(count).collect();
            Some(TagCountRow { tag: Tag { key: text.key, value: text.value }, counts })
        });
        Ok(Decision::read(Outcome::TagCounts(page)))
    }
}
