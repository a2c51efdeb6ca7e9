//! What of a record verdicts depend on: its counterpart in a world.
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::ids::SecurityGroupRuleId;
use crate::list::{List, PortRanges, Prefixes};
use crate::net::Cidr;
use crate::records::{GroupRecord, InterfaceRecord};
use crate::rule::Rule;
use crate::world::{Group, Interface, PortRangeList, PrefixList};

impl GroupRecord {
    /// The group with these rules.
    pub fn in_world(&self, rules: BTreeMap<SecurityGroupRuleId, Arc<Rule>>) -> Group {
        Group {
            id: self.id.clone(),
            vpc: self.vpc.clone(),
            group_type: self.group_type,
            inner_access: self.inner_access,
            rules,
        }
    }
}

impl InterfaceRecord {
    /// The interface.
    pub fn in_world(&self) -> Interface {
        Interface {
            id: self.id.clone(),
            vpc: self.vpc.clone(),
            mac: Some(self.mac),
            addresses: self.prefixes().collect(),
            groups: self.groups.clone(),
            source_dest_check: self.source_dest_check,
        }
    }
}

impl List<Prefixes> {
    /// The list.
    pub fn in_world(&self) -> PrefixList {
        let entries = self.entries.iter().map(|entry| Cidr::from(entry.value)).collect();
        PrefixList { id: self.id.clone(), family: self.scope, entries }
    }
}

impl List<PortRanges> {
    /// The list.
    pub fn in_world(&self) -> PortRangeList {
        let entries = self.entries.iter().map(|entry| entry.value).collect();
        PortRangeList { id: self.id.clone(), entries }
    }
}
