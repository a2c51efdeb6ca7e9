//! Which instances are asked for.
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::instance_not_found;
use crate::command::{Context, DescribeInstances, InstanceFilters, InstanceRow, Outcome};
use crate::error::ApiError;
use crate::ids::InstanceId;
use crate::records::{Instance, InterfaceRecord, InterfaceRole};
use crate::state::describe::{Descending, in_sight, part};
use crate::state::{Decision, State};

impl State {
    pub(in crate::state) fn describe_instances(
        &self,
        context: &Context<'_>,
        command: &DescribeInstances,
    ) -> Result<Decision, ApiError> {
        let filters = &command.filters;
        let candidates: Vec<&InstanceId> = match &filters.instances {
            Some(instances) => instances.iter().collect(),
            None => in_sight(&self.index.instances, context),
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_instance(context, id))
            .filter(|instance| self.meets(filters, instance))
            .map(|instance| Descending(instance.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?.rows(|key| self.instance_row(&key.0));
        Ok(Decision::read(Outcome::Instances(page)))
    }

    pub(in crate::state) fn describe_instance_attribute(
        &self,
        context: &Context<'_>,
        id: &InstanceId,
    ) -> Result<Decision, ApiError> {
        let row = self.own_instance(context, id).and_then(|own| self.instance_row(&own.id));
        let row = row.ok_or_else(instance_not_found)?;
        Ok(Decision::read(Outcome::InstanceAttribute(Box::new(row))))
    }

    fn instance_row(&self, id: &InstanceId) -> Option<InstanceRow> {
        let instance = self.instances.get(id)?.clone();
        let primary = self.primary_interface(id)?.clone();
        let mut further: Vec<InterfaceRecord> = self
            .interfaces_of(id)
            .filter(|record| record.role() == InterfaceRole::Secondary)
            .cloned()
            .collect();
        // By id before: those of one moment stay in a fixed order.
        further.sort_by_key(|record| record.attachment.as_ref().map(|own| own.attached_ms));
        Some(InstanceRow { instance, primary, further })
    }

    fn meets(&self, filters: &InstanceFilters, instance: &Instance) -> bool {
        let Some(primary) = self.primary_interface(&instance.id) else { return false };
        let has = |address: IpAddr| {
            self.interfaces_of(&instance.id).any(|own| own.addresses().any(|a| a == address))
        };
        let name = || instance.name.as_ref().map_or(instance.id.as_str(), |name| name.as_str());
        let same = |wanted: &Option<_>, own: &Option<_>| wanted.is_none() || wanted == own;
        !filters.nothing
            && filters.group.as_ref().is_none_or(|group| primary.groups.contains(group))
            && filters.vpc.as_ref().is_none_or(|vpc| primary.vpc == *vpc)
            && filters.vswitch.as_ref().is_none_or(|vswitch| primary.vswitch == *vswitch)
            && filters.zone.as_ref().is_none_or(|zone| primary.zone == *zone)
            && filters
                .private_addresses
                .as_ref()
                .is_none_or(|wanted| wanted.iter().any(|address| has(IpAddr::V4(*address))))
            && (filters.ipv6_addresses.is_empty()
                || filters.ipv6_addresses.iter().any(|address| has(IpAddr::V6(*address))))
            && filters.name.as_ref().is_none_or(|wanted| fits(wanted, name()))
            && filters.status.is_none_or(|wanted| wanted == Some(instance.status))
            && same(&filters.instance_type, &instance.instance_type)
            && same(&filters.image, &instance.image)
            && same(&filters.key_pair, &instance.key_pair)
            && (filters.resource_group.is_none()
                || filters.resource_group == instance.resource_group)
            && instance.tags.meet(&filters.tags)
    }
}

/// Whether a text is like `pattern`, in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("web", "web", true),
            ("web", "web1", false),
            ("web*", "web", true),
            ("web*", "web-01", true),
            ("*web", "my-web", true),
            ("*web", "web2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
