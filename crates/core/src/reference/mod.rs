//! The reference judge of packets and of their sequences at one interface: sections 2 and 4 of
//! `docs/reference/verdicts.md`, read aloud.
//!
//! Frames come as bytes, time as an argument, and the state is a value. It is naive on purpose: a
//! flow is judged again at every packet, whether anything has changed or not. What rules say, the
//! reference evaluator says; no code is shared with the compiled tables or the kernel program.
mod baseline;
mod flows;
mod parse;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

pub use baseline::NDP_OPTIONS_MAX;
pub use flows::FlowKey;
pub use parse::EXTENSION_HEADERS_MAX;

use crate::evaluate::Evaluator;
use crate::flow::Flow;
use crate::rule::{Direction, Policy};
use crate::verdict::{DecidingRule, JudgeError, Reason, Verdict};
use crate::world::Interface;
use baseline::Here;
use flows::{Entry, FirstFragment, FragmentKey};
use parse::{Content, Echo, Packet, RST, Transport};

/// What the host's configuration and the interface's settings say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Any link-local address is taken for the interface's own.
    pub any_link_local: bool,
    /// DHCPv4 servers to which clients may speak directly.
    pub dhcp4_servers: Vec<Ipv4Addr>,
    /// Flows keep their first verdict when rules change.
    pub keep_established: bool,
    /// Until when packets of running flows may begin entries.
    pub pick_up_until_ns: u64,
    /// Idle time of established TCP flows.
    pub idle_established_s: u64,
    /// Idle time of closed and reset TCP flows.
    pub idle_closed_s: u64,
    /// Idle time of UDP flows.
    pub idle_udp_s: u64,
    /// Most flows.
    pub quota: usize,
}

/// A frame at an interface, and when it is there.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Where.
    pub interface: &'a Interface,
    /// Which way it goes.
    pub direction: Direction,
    /// From the Ethernet header on, without a checksum at its end.
    pub frame: &'a [u8],
    /// On a clock that never goes back.
    pub now_ns: u64,
}

/// The verdict on a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Accept or drop.
    pub policy: Policy,
    /// The first step that applied.
    pub reason: Reason,
    /// The rule that decided, or that decides on the packet's flow now.
    pub rule: Option<DecidingRule>,
    /// The first packet that steps 8 to 10 judged, if the verdict is theirs.
    pub asked: Option<Flow>,
}

impl Said {
    fn without_rule(policy: Policy, reason: Reason) -> Self {
        Self { policy, reason, rule: None, asked: None }
    }

    fn drop(reason: Reason) -> Self {
        Self::without_rule(Policy::Drop, reason)
    }
}

/// Which of several flows gives way to a new one: the rules leave that to whoever enforces them.
pub type GiveWay<'a> = &'a mut dyn FnMut(&[FlowKey]) -> usize;

/// The state of one interface: its flows, and the datagrams of which a first fragment has passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    flows: BTreeMap<FlowKey, Entry>,
    fragments: BTreeMap<FragmentKey, FirstFragment>,
}

/// All that one judgement needs beside the state.
struct Case<'a, 'w> {
    at: &'a Here<'a>,
    now_ns: u64,
    /// `None`: the interface has no policy yet.
    rules: Option<&'a mut Evaluator<'w>>,
    give_way: GiveWay<'a>,
}

impl Case<'_, '_> {
    /// Steps 7 to 10 for the first packet of a flow.
    fn ask(&mut self, flow: Option<&Flow>) -> Result<Said, JudgeError> {
        let (Some(rules), Some(flow)) = (&mut self.rules, flow) else {
            return Ok(Said::drop(Reason::Closed));
        };
        let Verdict { policy, reason, rule } = rules.judge_by_groups(self.at.interface, flow)?;
        Ok(Said { policy, reason, rule, asked: Some(flow.clone()) })
    }

    /// What is said of a running flow now, and by which rule.
    fn judge_again(
        &mut self,
        flow: &Flow,
        rule: &Option<DecidingRule>,
    ) -> Result<(Policy, Option<DecidingRule>), JudgeError> {
        if self.at.site.keep_established {
            return Ok((Policy::Accept, rule.clone()));
        }
        let said = self.ask(Some(flow))?;
        Ok((said.policy, said.rule))
    }

    fn first_packet(&self, key: &FlowKey, direction: Direction) -> Option<Flow> {
        key.first_packet(&self.at.interface.id, direction)
    }
}

impl Reference {
    /// No flow yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many flows are live.
    pub fn flow_count(&self, site: &Site, now_ns: u64) -> usize {
        self.flows.values().filter(|entry| entry.is_live(site, now_ns)).count()
    }

    /// Judges a frame by the rules in force, or by none while the interface has no policy yet.
    pub fn judge(
        &mut self,
        site: &Site,
        rules: Option<&mut Evaluator<'_>>,
        arrival: &Arrival<'_>,
        give_way: GiveWay<'_>,
    ) -> Result<Said, JudgeError> {
        let Arrival { interface, direction, now_ns, .. } = *arrival;
        let frame = match parse::frame(arrival.frame) {
            Ok(frame) => frame,
            Err(reason) => return Ok(Said::drop(reason)),
        };
        let at = Here { site, interface, direction, source_mac: frame.source_mac };
        let packet = match frame.content {
            Content::Arp(message) => {
                return Ok(Said::without_rule(at.arp(&message), Reason::Baseline));
            }
            Content::Ip(packet) => packet,
        };
        if let Some(policy) = at.baseline(&packet) {
            if policy == Policy::Accept {
                self.note_fragment(&packet, direction, None, now_ns);
            }
            return Ok(Said::without_rule(policy, Reason::Baseline));
        }
        if at.is_spoofed(&packet) {
            return Ok(Said::drop(Reason::Spoofed));
        }
        let mut case = Case { at: &at, now_ns, rules, give_way };
        if packet.is_later_fragment() {
            return self.later_fragment(&mut case, &packet);
        }
        if let Some(said) = self.tracked_error(&mut case, &packet)? {
            return Ok(said);
        }
        self.judge_flow(&mut case, &packet)
    }

    /// Remembers an accepted first fragment; any other packet is none.
    fn note_fragment(
        &mut self,
        packet: &Packet<'_>,
        direction: Direction,
        judged_by: Option<Flow>,
        now_ns: u64,
    ) {
        let Some((key, fragment)) = fragment_key(packet, direction) else { return };
        if fragment.is_first() {
            let header_end = fragment.header_end;
            self.fragments
                .insert(key, FirstFragment { accepted_ns: now_ns, header_end, judged_by });
        }
    }

    /// Step 4 for a fragment that carries no transport header.
    fn later_fragment(
        &self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
    ) -> Result<Said, JudgeError> {
        let orphan = Said::drop(Reason::FragmentOrphan);
        let Some((key, fragment)) = fragment_key(packet, case.at.direction) else {
            return Ok(orphan);
        };
        let first = self.fragments.get(&key).filter(|first| first.is_live(case.now_ns));
        let Some(first) = first else { return Ok(orphan) };
        if fragment.offset < first.header_end {
            return Ok(Said::drop(Reason::Malformed));
        }
        if let Some(flow) = &first.judged_by
            && case.judge_again(flow, &None)?.0 == Policy::Drop
        {
            return Ok(Said::drop(Reason::Blocked));
        }
        Ok(Said::without_rule(Policy::Accept, Reason::Tracked))
    }

    /// Step 4 for an ICMP error about a packet that a live flow passed; it renews no idle time.
    fn tracked_error(
        &mut self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
    ) -> Result<Option<Said>, JudgeError> {
        let Transport::Icmp(kind, _, message) = packet.transport else { return Ok(None) };
        let is_error = match packet.source {
            core::net::IpAddr::V4(_) => matches!(kind, 3 | 11 | 12),
            core::net::IpAddr::V6(_) => matches!(kind, 1..=4),
        };
        let quoted = parse::quoted(packet, message).filter(|_| is_error);
        let Some(quoted) = quoted.filter(|quoted| quoted.source == packet.destination) else {
            return Ok(None);
        };
        let direction = case.at.direction.reverse();
        let entry = self.flows.get(&FlowKey::of_quoted(&quoted, direction));
        let entry = entry.filter(|entry| entry.is_live(case.at.site, case.now_ns));
        let Some(entry) = entry.filter(|entry| entry.sent.has(direction)) else {
            return Ok(None);
        };
        let (policy, rule) = case.judge_again(&entry.first, &entry.rule)?;
        if policy == Policy::Drop {
            return Ok(None);
        }
        let first = entry.first.clone();
        self.note_fragment(packet, case.at.direction, Some(first), case.now_ns);
        Ok(Some(Said { rule, ..Said::without_rule(Policy::Accept, Reason::Tracked) }))
    }

    /// Steps 4 to 10 for a packet with a transport header that is no tracked error.
    fn judge_flow(
        &mut self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
    ) -> Result<Said, JudgeError> {
        let direction = case.at.direction;
        let Some(key) = FlowKey::of(packet, direction) else {
            return self.judge_singly(case, packet);
        };
        let entry = self.flows.get(&key);
        let entry = entry.filter(|entry| entry.is_live(case.at.site, case.now_ns));
        if let Some(entry) = entry.filter(|entry| !packet.is_syn() || entry.takes_syn(direction)) {
            let mut entry = entry.clone();
            let (policy, rule) = case.judge_again(&entry.first, &entry.rule)?;
            if policy == Policy::Accept {
                entry.accept(packet, direction, case.now_ns);
                self.note_fragment(packet, direction, Some(entry.first.clone()), case.now_ns);
                self.flows.insert(key, entry);
                return Ok(Said { rule, ..Said::without_rule(policy, Reason::Tracked) });
            }
            if can_begin(packet) {
                let said = case.ask(case.first_packet(&key, direction).as_ref())?;
                if said.policy == Policy::Accept {
                    return self.begin(case, packet, key, said);
                }
            }
            return Ok(Said { rule, ..Said::drop(Reason::Blocked) });
        }
        if can_begin(packet) {
            let said = case.ask(case.first_packet(&key, direction).as_ref())?;
            return match said.policy {
                Policy::Accept => self.begin(case, packet, key, said),
                Policy::Drop => Ok(said),
            };
        }
        self.pick_up(case, packet, key)
    }

    /// ICMP that is neither echo nor tracked begins no flow.
    fn judge_singly(
        &mut self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
    ) -> Result<Said, JudgeError> {
        let direction = case.at.direction;
        let id = case.at.interface.id.clone();
        let (source, destination) = (packet.source, packet.destination);
        let flow = Flow::new(id, direction, packet.protocol, source, destination, None).ok();
        let said = case.ask(flow.as_ref())?;
        if said.policy == Policy::Accept {
            self.note_fragment(packet, direction, flow, case.now_ns);
        }
        Ok(said)
    }

    /// Section 4, pick-up; outside of it the packet has no flow.
    fn pick_up(
        &mut self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
        key: FlowKey,
    ) -> Result<Said, JudgeError> {
        let is_reset = matches!(packet.transport, Transport::Tcp(_, flags) if flags & RST != 0);
        if is_reset || case.now_ns >= case.at.site.pick_up_until_ns {
            return Ok(Said::drop(Reason::NoFlow));
        }
        // Ingress first: that is the first direction if both are accepted.
        for direction in [Direction::Ingress, Direction::Egress] {
            let said = case.ask(case.first_packet(&key, direction).as_ref())?;
            if said.policy == Policy::Accept {
                return self.begin(case, packet, key, said);
            }
        }
        Ok(Said::drop(Reason::NoFlow))
    }

    /// Begins a flow, anew if there is an entry, by the verdict that accepts it.
    fn begin(
        &mut self,
        case: &mut Case<'_, '_>,
        packet: &Packet<'_>,
        key: FlowKey,
        said: Said,
    ) -> Result<Said, JudgeError> {
        let Some(first) = said.asked.clone() else { return Ok(said) };
        let (site, now_ns) = (case.at.site, case.now_ns);
        self.flows.retain(|_, entry| entry.is_live(site, now_ns));
        if !self.flows.contains_key(&key) && self.flows.len() >= site.quota {
            let mut candidates = Vec::new();
            for (key, entry) in &self.flows {
                let (verdict, _) = case.judge_again(&entry.first, &None)?;
                if entry.gives_way(verdict) {
                    candidates.push(key.clone());
                }
            }
            if candidates.is_empty() {
                return Ok(Said::drop(Reason::FlowTableFull));
            }
            let chosen = (case.give_way)(&candidates);
            if let Some(chosen) = candidates.get(chosen) {
                self.flows.remove(chosen);
            }
        }
        let mut entry = Entry::begin(first.clone(), said.rule.clone(), packet);
        entry.accept(packet, case.at.direction, now_ns);
        self.flows.insert(key, entry);
        self.note_fragment(packet, case.at.direction, Some(first), now_ns);
        Ok(said)
    }
}

fn fragment_key(
    packet: &Packet<'_>,
    direction: Direction,
) -> Option<(FragmentKey, parse::Fragment)> {
    let fragment = packet.fragment?;
    let key = FragmentKey {
        direction,
        source: packet.source,
        destination: packet.destination,
        protocol: fragment.protocol,
        identification: fragment.identification,
    };
    Some((key, fragment))
}

/// Step 6: TCP begins with a SYN without ACK, an echo with its request.
fn can_begin(packet: &Packet<'_>) -> bool {
    match packet.transport {
        Transport::Tcp(..) => packet.is_syn(),
        Transport::Icmp(..) => matches!(packet.echo(), Some(Echo::Request(_))),
        Transport::Udp(_) | Transport::Opaque => true,
    }
}
