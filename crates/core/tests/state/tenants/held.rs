//! What the real state holds, in the model's words.
use portcullis_core::net::Prefix;
use portcullis_core::records::{InterfaceRecord, InterfaceRole, Record};
use portcullis_core::rule::Peer;
use portcullis_core::state::State;
use portcullis_core::text::Tags;
use portcullis_core::world::GroupType;

use super::model::*;

fn text<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::to_string)
}

fn labels<T: ToString>(tags: &Tags, group: &Option<T>) -> Labels {
    let tags = tags.iter().map(|tag| (tag.key.to_string(), tag.value.to_string()));
    Labels { tags: tags.collect(), group: text(group) }
}

fn first(prefix: Prefix) -> u128 {
    prefix.range().0
}

fn interface(record: &InterfaceRecord) -> Interface {
    Interface {
        id: record.id.to_string(),
        owner: record.owner.0,
        region: record.region.to_string(),
        vpc: record.vpc.to_string(),
        vswitch: record.vswitch.to_string(),
        zone: record.zone.to_string(),
        mac: record.mac.to_string(),
        own: Own {
            primary: record.primary.to_bits().into(),
            secondary: record.secondary.iter().map(|own| own.to_bits().into()).collect(),
            ipv4_prefixes: record.ipv4_prefixes.iter().map(|own| first(own.prefix())).collect(),
            ipv6: record.ipv6.iter().map(|own| own.to_bits()).collect(),
            ipv6_prefixes: record.ipv6_prefixes.iter().map(|own| first(own.prefix())).collect(),
        },
        groups: record.groups.iter().map(ToString::to_string).collect(),
        name: text(&record.name),
        description: text(&record.description),
        source_dest_check: record.source_dest_check,
        delete_on_release: record.delete_on_release,
        tracking: record
            .connection_tracking
            .map(|own| (own.tcp_established_s(), own.tcp_closed_s(), own.udp_s())),
        queues: record.queue_number,
        attached: record.attachment.as_ref().map(|own| Attached {
            instance: own.instance.to_string(),
            primary: own.role == InterfaceRole::Primary,
            since_ms: own.attached_ms,
        }),
        device: None,
        labels: labels(&record.tags, &record.resource_group),
    }
}

/// Everything in the state, as the model would hold it.
// tidy: long because it is one table, of every record
pub(super) fn held(state: &State) -> Model {
    let mut held = Model::default();
    let mut devices = Vec::new();
    for record in state.records() {
        match record {
            Record::Account(own) => held.accounts.push(Account {
                id: own.id.0,
                name: own.name.to_string(),
                root: own.root,
            }),
            Record::AccessKey(_) | Record::Token(_) => {}
            Record::Vpc(own) => held.vpcs.push(Vpc {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                cidr: own.cidr.to_string(),
                ipv6: text(&own.ipv6_cidr),
                router: own.router.to_string(),
                route_table: own.route_table.to_string(),
                name: text(&own.name),
                description: text(&own.description),
                labels: labels(&own.tags, &own.resource_group),
            }),
            Record::VSwitch(own) => held.vswitches.push(VSwitch {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                vpc: own.vpc.to_string(),
                zone: own.zone.to_string(),
                cidr: own.cidr.to_string(),
                ipv6: text(&own.ipv6_cidr),
                name: text(&own.name),
                description: text(&own.description),
                labels: labels(&own.tags, &None::<String>),
            }),
            Record::Group(own) => held.groups.push(Group {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                vpc: text(&own.vpc),
                enterprise: own.group_type == GroupType::Enterprise,
                name: text(&own.name),
                labels: labels(&own.tags, &own.resource_group),
            }),
            Record::Rule(own) => {
                let Peer::Group(peer) = &own.rule.peer else { panic!("{own:?}") };
                held.rules.push(Rule {
                    group: own.group.to_string(),
                    peer: peer.to_string(),
                    priority: own.rule.priority.number(),
                    foreign: own.peer_owner.as_ref().map(|own| (own.account.0, own.text.clone())),
                });
            }
            Record::Interface(own) => held.interfaces.push(interface(&own)),
            Record::Binding(own) => {
                devices.push((own.interface.to_string(), own.device.to_string()));
            }
            Record::PrefixList(own) => held.lists.push(List {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                of_ports: false,
                labels: labels(&own.tags, &own.resource_group),
            }),
            Record::PortRangeList(own) => held.lists.push(List {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                of_ports: true,
                labels: labels(&own.tags, &own.resource_group),
            }),
            Record::Instance(own) => held.instances.push(Instance {
                id: own.id.to_string(),
                owner: own.owner.0,
                region: own.region.to_string(),
                name: text(&own.name),
                description: text(&own.description),
                running: own.status.name() == "Running",
                protected: own.deletion_protection,
                started_ms: own.started_ms,
                labels: labels(&own.tags, &own.resource_group),
            }),
            Record::VpcShare(own) => held.shares.push((own.vpc.to_string(), own.account.0)),
        }
    }
    for (id, device) in devices {
        get_mut(&mut held.interfaces, &id).device = Some(device);
    }
    held.sorted()
}
