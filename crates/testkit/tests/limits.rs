//! What a compiled policy may be at most, one past it, and what becomes of a damaged image.
#![allow(clippy::unwrap_used, clippy::panic)] // All of this is test code.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_agent::sys::Sizes;
use portcullis_compile::abi;
use portcullis_compile::budget::{CELLS_MAX, CompileError, Limit};
use portcullis_compile::interface::{InterfaceSettings, compile};
use portcullis_compile::interpret;
use portcullis_compile::numbers::Numbers;
use portcullis_core::net::{Cidr, Ports, Prefix, Protocol};
use portcullis_core::resolve::{
    InterfacePolicy, ResolvedPeer, ResolvedRule, Rules, interface_policy,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::verdict::Reason;
use portcullis_core::world::GroupType;
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{FlowMaker, WorldSize, random_world};

fn policy() -> InterfacePolicy {
    InterfacePolicy {
        interface: "eni-a".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        mac: None,
        addresses: Vec::new(),
        checks_addresses: true,
        group_type: GroupType::Basic,
        intra_groups: Vec::new(),
        egress: [].into(),
        ingress: [].into(),
    }
}

fn host(number: u32) -> Prefix {
    Prefix::host(IpAddr::V4(Ipv4Addr::from_bits(number)))
}

fn rule(number: u32, peers: Vec<Prefix>) -> ResolvedRule {
    let rule = Rule {
        id: format!("sgr-{number}").parse().unwrap(),
        direction: Direction::Egress,
        protocol: Protocol::All,
        ports: PortMatch::Ports(Ports::Any),
        source_ports: Ports::Any,
        peer: Peer::Cidr(Cidr::from(host(number))),
        local: None,
        policy: Policy::Accept,
        priority: Priority::DEFAULT,
    };
    ResolvedRule {
        rule: Arc::new(rule),
        group: "sg-a".parse().unwrap(),
        peer: ResolvedPeer::Prefixes(peers),
        ports: vec![Ports::Any],
    }
}

fn words(policy: &InterfacePolicy) -> Result<usize, CompileError> {
    let settings = InterfaceSettings::new(1);
    compile(policy, &settings, &mut Numbers::new()).map(|compiled| compiled.word_count())
}

#[test]
fn rules_of_a_direction() {
    let rules = |count: u32| (0..count).map(|n| rule(n, vec![host(n)])).collect::<Vec<_>>();
    let most = abi::RULES_MAX as u32;
    let mut policy =
        InterfacePolicy { egress: rules(most).into(), ingress: rules(most).into(), ..policy() };
    assert!(words(&policy).is_ok());
    policy.ingress = rules(most + 1).into();
    let error = CompileError { limit: Limit::Rules, allowed: 1024, needed: 1025 };
    assert_eq!(words(&policy), Err(error));
}

#[test]
fn own_ranges_of_a_family_count_when_they_do_not_touch() {
    let addresses = |count: u32, step: u32| (0..count).map(|n| host(step * n)).collect();
    let most = abi::OWN_MAX as u32;
    let mut policy = InterfacePolicy { addresses: addresses(most, 2), ..policy() };
    assert!(words(&policy).is_ok());
    policy.addresses = addresses(10 * most, 1);
    assert!(words(&policy).is_ok());
    policy.addresses = addresses(most + 1, 2);
    let error = CompileError { limit: Limit::OwnRanges, allowed: 64, needed: 65 };
    assert_eq!(words(&policy), Err(error));
    assert_eq!(
        error.to_string(),
        "the policy needs 65 own address ranges of one family, at most 64 are possible"
    );
}

#[test]
fn groups_that_let_their_members_reach_each_other() {
    let groups = |count: u32| (0..count).map(|n| format!("sg-{n}").parse().unwrap()).collect();
    let mut policy = InterfacePolicy { intra_groups: groups(16), ..policy() };
    assert!(words(&policy).is_ok());
    policy.intra_groups = groups(17);
    assert_eq!(words(&policy).unwrap_err().limit, Limit::Groups);
}

#[test]
fn words_of_a_table_are_refused_before_they_fill_the_memory() {
    // Each rule's many peers change the set of possible rules at places of their own.
    let rules: Vec<_> = (0..1024u32)
        .map(|n| rule(n, (0..1100).map(|m| host((m * 1024 + n) * 2)).collect()))
        .collect();
    let policy = InterfacePolicy { egress: rules.into(), ..policy() };
    let error = words(&policy).unwrap_err();
    assert_eq!((error.limit, error.allowed), (Limit::Boundaries, (1 << 20) - 1));
}

#[test]
fn the_size_is_known_exactly() {
    // Without rules everything is one class: a root of ports, a page, its number, and where
    // addresses begin.
    let header = abi::TABLE_HEADER_WORDS as usize;
    let empty_table = header + (64 + 4 + 1 + 1) + (64 + 4 + 1 + 2);
    let interface = abi::INTERFACE_HEADER_WORDS as usize;
    assert_eq!(words(&policy()), Ok(interface + 2 * empty_table));
    // One rule adds two boundaries, an action and a page; both numbers stand in one word.
    let mut policy = InterfacePolicy { egress: [rule(7, vec![host(7)])].into(), ..policy() };
    assert_eq!(words(&policy), Ok(interface + 2 * empty_table + 2 + 1 + 4));
    // With source ports: boundaries of each field with their rows, and rows of one word.
    let [addresses, protocols, ports] = [2 * (1 + 1 + 2 + 1), 2 * 256, 2 * (1 + 1)];
    let mut with_source_ports = (*policy.egress[0].rule).clone();
    with_source_ports.source_ports = Ports::range(1, 2).unwrap();
    Arc::make_mut(&mut policy.egress)[0].rule = Arc::new(with_source_ports);
    let vectors = header + 1 + addresses + 2 * 2 + protocols + ports + 2 * 2 + 2;
    assert_eq!(words(&policy), Ok(interface + vectors + empty_table));
}

#[test]
fn cells_that_would_be_too_many_become_bit_vectors() {
    // Every address is in half of the rules and every port in some, so that no page of cells is
    // like another.
    let mut random = Random::new(3);
    let rules: Vec<_> = (0..1000)
        .map(|n| {
            let peers = (0..256).filter(|_| random.chance(50)).map(|m| host(2 * m)).collect();
            let mut of = rule(n, peers);
            of.rule = Arc::new(Rule { protocol: Protocol::TCP, ..(*of.rule).clone() });
            of.ports = vec![Ports::range(n as u16 + 1, n as u16 + 64).unwrap()];
            of
        })
        .collect();
    let table = |count: usize| {
        let policy = InterfacePolicy { egress: rules[..count].into(), ..policy() };
        let settings = InterfaceSettings::new(1);
        compile(&policy, &settings, &mut Numbers::new()).unwrap().egress
    };
    let is_classes = |table: &[u64]| table[abi::TABLE_FORM as usize] == abi::FORM_CLASSES;
    let (mut most, mut too_many) = (1, rules.len());
    while too_many - most > 1 {
        let middle = (most + too_many) / 2;
        if is_classes(&table(middle)) { most = middle } else { too_many = middle }
    }
    let (largest, next) = (table(most), table(too_many));
    assert!(is_classes(&largest) && !is_classes(&next));
    let [rows, remote] =
        [abi::TABLE_CLASSES4_ROWS, abi::TABLE_CLASSES4_REMOTE].map(|word| largest[word as usize]);
    let cells = 4 * ((remote >> 32) - rows) as usize;
    println!("{most} such rules take {cells} cells and page numbers");
    assert!(cells <= CELLS_MAX + 8 && cells > CELLS_MAX * 9 / 10, "{cells}");
}

/// A policy of 1,000 rules a direction as people write them: mostly TCP, single ports and ranges,
/// prefixes of all lengths, a tenth with groups as peers, some of IPv6.
fn ordinary_policy(random: &mut Random) -> InterfacePolicy {
    let mut rules = |direction: Direction| {
        let mut one = |number: u32| {
            let bits = random.number();
            let length = random.between(8, 32) as u8;
            let address = match random.chance(20) {
                true => IpAddr::V6((0x2001_0db8 << 96 | u128::from(bits) << 48).into()),
                false => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            };
            let length = if address.is_ipv6() { 32 + length } else { length };
            let mut of = rule(number, vec![Prefix::new(address, length).unwrap()]);
            if random.chance(10) {
                let group = format!("sg-{}", random.below(20)).parse().unwrap();
                of.peer = ResolvedPeer::Group(group);
            }
            let protocol = random.one_of([Protocol::TCP, Protocol::TCP, Protocol::UDP]);
            let first = random.between(1, 20_000) as u16;
            let last = first + random.one_of([0, 0, 9, 999]);
            of.ports = vec![Ports::range(first, last).unwrap()];
            let policy = if random.chance(75) { Policy::Accept } else { Policy::Drop };
            of.rule = Arc::new(Rule { direction, protocol, policy, ..(*of.rule).clone() });
            of
        };
        (0..1000).map(&mut one).collect::<Rules>()
    };
    let (egress, ingress) = (rules(Direction::Egress), rules(Direction::Ingress));
    InterfacePolicy { egress, ingress, addresses: vec![host(1)], ..policy() }
}

#[test]
fn a_thousand_interfaces_on_twenty_policies_fit_into_a_hundred_megabytes() {
    let mut random = Random::new(20);
    let (mut tables, mut forms) = (0, Vec::new());
    let mut interface = 0;
    for _ in 0..20 {
        let policy = ordinary_policy(&mut random);
        let settings = InterfaceSettings::new(1);
        let compiled = compile(&policy, &settings, &mut Numbers::new()).unwrap();
        tables += compiled.egress.len() + compiled.ingress.len() + 2;
        forms.extend([&compiled.egress, &compiled.ingress].map(|t| t[abi::TABLE_FORM as usize]));
        interface = compiled.interface.word_count() + 1;
    }
    assert!(forms.iter().all(|form| *form == abi::FORM_CLASSES), "{forms:?}");
    let sizes = Sizes::default();
    let pool = tables + 1000 * interface;
    println!("{} KiB a policy, {} KiB of the pool", tables * 8 / 20 / 1024, pool * 8 / 1024);
    assert!(pool < sizes.pool_words as usize, "{pool}");
    println!("{} MiB of maps beside flows", sizes.policy_bytes(2) >> 20);
    assert!(sizes.policy_bytes(2) <= 100 << 20);
    // As README.md says.
    assert_eq!((sizes.places(), sizes.flow_bytes() / 1_000_000), (393_216, 101));
}

#[test]
fn a_damaged_image_gives_an_error_or_a_verdict_and_never_more() {
    let mut random = Random::new(11);
    let (mut errors, mut verdicts) = (0, 0);
    for seed in 0..40 {
        let world = random_world(seed, WorldSize::SMALL);
        let maker = FlowMaker::new(&world);
        for _ in 0..50 {
            let flow = maker.flow(&mut random).unwrap();
            let policy = interface_policy(&world, flow.interface()).unwrap();
            let settings = InterfaceSettings::new(1);
            let compiled = compile(&policy, &settings, &mut Numbers::new()).unwrap();
            let mut pool = compiled.egress;
            let ingress = pool.len() as u64;
            pool.extend(compiled.ingress);
            let interface = pool.len() as u64;
            pool.extend(compiled.interface.words(0, ingress));
            for _ in 0..20 {
                let at = match random.chance(50) {
                    true => interface as usize + random.below(abi::INTERFACE_HEADER_WORDS as usize),
                    false => random.below(pool.len()),
                };
                let word = match random.below(3) {
                    0 => random.number(),
                    1 => random.below(pool.len()) as u64,
                    _ => (random.below(pool.len()) as u64) << 32 | random.below(64) as u64,
                };
                let good = std::mem::replace(&mut pool[at], word);
                match interpret::judge(&pool, interface, &flow, |_, _| &[0, 1]) {
                    Ok(outcome) => {
                        assert_eq!(outcome.counter.is_some(), outcome.reason == Reason::Rule);
                        verdicts += 1;
                    }
                    Err(interpret::DamagedImage) => errors += 1,
                }
                pool[at] = good;
            }
        }
    }
    assert!(errors > 1000 && verdicts > 1000, "{errors} errors, {verdicts} verdicts");
}
