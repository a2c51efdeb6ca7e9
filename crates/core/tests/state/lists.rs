//! Prefix lists and port range lists: their entries, who names them, and what they count.
use portcullis_core::command::{AddedEntry, Command, Edit, ModifyList};
use portcullis_core::limits::ENTRIES_PER_CALL_MAX;
use portcullis_core::net::Ports;

use super::harness::Harness;
use super::language::{check, run};

#[test]
fn a_list_is_made_changed_and_deleted() {
    check(
        "
        pl p family=4 name=office max=3 entries=10.0.0.0/8:main,192.0.2.1
        pl q family=6 name=office6 entries=2001_db8__/32 tags=k:v resource-group=rg-1
        pls => 2 [p office V4 2/3 in 0; q office6 V6 1/10 in 0]
        pls ids=p,pl-none => 1 [p office V4 2/3 in 0]
        pls family=6 => 1 [q office6 V6 1/10 in 0]
        pls name=office => 1 [p office V4 2/3 in 0]
        pls tags=k:v => 1 [q office6 V6 1/10 in 0]
        pls resource-group=rg-1 => 1 [q office6 V6 1/10 in 0]
        pls as=other => 0 []
        pls region=cn-qingdao-env17-d01 => 0 []
        pl-entries p => 10.0.0.0/8 `main`; 192.0.2.1/32
        pl-entries q => 2001:db8::/32
        pl-entries p as=other => 404 InvalidPrefixListId.NotFound PrefixListId
        pl-groups pl-none => 404 InvalidPrefixListId.NotFound PrefixListId
        modify-pl p => ok
        modify-pl p name=office => ok
        modify-pl p name=home description=text
        modify-pl p description= => ok +1
        modify-pl p add=192.0.2.1:host,198.51.100.0/24
        pl-entries p => 10.0.0.0/8 `main`; 192.0.2.1/32 `host`; 198.51.100.0/24
        modify-pl p add=192.0.2.1 => ok
        modify-pl p add=192.0.2.1: => ok +1
        modify-pl p remove=203.0.113.0/24 => ok
        modify-pl p remove=10.0.0.0/8 add=10.0.0.0/8
        pl-entries p => 192.0.2.1/32; 198.51.100.0/24; 10.0.0.0/8
        modify-pl p add=203.0.113.0/24 => 400 LimitExceed.MaxEntries AddEntry
        modify-pl p remove=192.0.2.1 add=203.0.113.0/24
        modify-pl p add=__/0 => 400 InvalidParameter.CidrMalformed AddEntry.N.Cidr
        modify-pl p remove=__/0 => 400 InvalidParameter.CidrMalformed RemoveEntry.N.Cidr
        modify-pl p add=1.1.1.1,1.1.1.1/32 => 400 InvalidParameter.CidrDuplicated AddEntry.N.Cidr
        modify-pl p remove=1.1.1.1,1.1.1.1 => \
            400 InvalidParameter.CidrDuplicated RemoveEntry.N.Cidr
        modify-pl p as=other => 404 InvalidPrefixListId.NotFound PrefixListId
        pl x family=4 max=1 entries=1.1.1.1,1.1.1.2 => 400 LimitExceed.MaxEntries Entry
        pl x family=4 entries=1.1.1.1,1.1.1.1 => 400 InvalidParameter.CidrDuplicated Entry.N.Cidr
        pl x family=4 entries=__1 => 400 InvalidParameter.CidrMalformed Entry.N.Cidr
        pl x family=4 region=none => 400 MissingParameter.RegionId RegionId
        delete-pl p as=other => 404 InvalidPrefixListId.NotFound PrefixListId
        delete-pl p => ok -1
        delete-pl p => 404 InvalidPrefixListId.NotFound PrefixListId
        ",
    );
}

#[test]
fn a_port_range_list_is_the_same_with_ports() {
    check(
        "
        prl p name=web max=3 entries=80/80:plain,443/443
        prls => 1 [p web () 2/3 in 0]
        prl-entries p => 80/80 `plain`; 443/443
        modify-prl p add=1/65535
        modify-prl p add=22/22 => 400 LimitExceed.MaxEntries AddEntry
        modify-prl p remove=80/80,1/65535 add=8000/8999:many name=many
        prl-entries p => 443/443; 8000/8999 `many`
        modify-prl p add=-1/-1 => 400 InvalidParameter.PortRange AddEntry.N.PortRange
        modify-prl p add=1/1,1/1 => 400 InvalidParameter.PortRangeDuplicated AddEntry.N.PortRange
        prl x entries=-1/-1 => 400 InvalidParameter.PortRange Entry.N.PortRange
        prl-entries prl-none => 404 InvalidPortRangeListId.NotFound PortRangeListId
        prl-groups p as=other => 404 InvalidPortRangeListId.NotFound PortRangeListId
        delete-prl p => ok -1
        delete-prl p => 404 InvalidPortRangeListId.NotFound PortRangeListId
        ",
    );
}

#[test]
fn the_size_of_a_list_and_of_a_call_is_bounded() {
    let mut harness = Harness::new();
    harness.settings.quotas.prefix_lists_per_region = 2;
    harness.settings.quotas.port_range_lists_per_region = 1;
    run(
        &mut harness,
        "
        pl a family=4 max=0 => 400 InvalidParameter MaxEntries
        pl a family=4 max=201 => 400 InvalidParameter MaxEntries
        pl a family=4 max=1
        pl b family=4 max=200
        pl c family=4 => 404 LimitExceed.PrefixListPerRegion
        pl c family=4 region=cn-qingdao-env17-d01
        pl d family=4 as=other
        prl p max=0 => 400 InvalidOperation.MaxEntriesCountExceed MaxEntries
        prl p max=2001 => 400 InvalidOperation.MaxEntriesCountExceed MaxEntries
        prl p max=2000
        prl q => 400 InvalidOperation.MaxCountExceed
        ",
    );
    let range = |port: u16| Ports::range(port, port).unwrap();
    let added = |port: usize| AddedEntry { value: range(port as u16), description: Edit::Keep };
    let list = harness.ids["p"].parse().unwrap();
    let modify = |added: Vec<AddedEntry<Ports>>, remove: Vec<Ports>| {
        Command::ModifyPortRangeList(ModifyList {
            list: harness.ids["p"].parse().unwrap(),
            name: None,
            description: Edit::Keep,
            add: added,
            remove,
        })
    };
    let most = modify((1..=ENTRIES_PER_CALL_MAX).map(added).collect(), Vec::new());
    let beyond = modify((1..=ENTRIES_PER_CALL_MAX + 1).map(added).collect(), Vec::new());
    let removed = modify(Vec::new(), (1..=ENTRIES_PER_CALL_MAX as u16 + 1).map(range).collect());
    let sender = harness.sender();
    assert_eq!(harness.send(&sender, &beyond).unwrap_err().code, "LimitExceed.Entry");
    assert_eq!(harness.send(&sender, &removed).unwrap_err().code, "LimitExceed.Entry");
    harness.send(&sender, &most).unwrap();
    assert_eq!(harness.state.port_range_list(&list).unwrap().entries.len(), ENTRIES_PER_CALL_MAX);
}

#[test]
fn rules_name_lists_and_lists_know_who_does() {
    check(
        "
        vpc v
        group g vpc=v
        group h vpc=v
        group classic
        pl p family=4 name=office
        pl six family=6
        prl w name=web
        pl foreign family=4 as=other
        prl ports as=other
        egress g list=foreign => 404 InvalidPrefixListId.NotFound DestPrefixListId
        ingress g list=foreign => 404 InvalidPrefixListId.NotFound SourcePrefixListId
        egress g dest=1.1.1.1 ports=none port-list=ports => \
            404 InvalidPortRangeListId.NotFound PortRangeListId
        egress classic list=p => 400 NotSupported.ClassicNetworkPrefixList DestPrefixListId
        egress g list=six source=10.0.0.1 => \
            400 InvalidParam.PrefixListAddressFamilyMismatch DestPrefixListId
        egress g list=six proto=ICMP ports=-1/-1 => \
            400 InvalidParam.PrefixListAddressFamilyMismatch DestPrefixListId
        ingress g list=p proto=ICMPV6 ports=-1/-1 => \
            400 InvalidParam.PrefixListAddressFamilyMismatch SourcePrefixListId
        egress g list=p ports=none port-list=w
        egress g list=p ports=none port-list=w => ok
        ingress h list=p
        ingress h list=p ports=81/81
        ingress h source=1.1.1.1 ports=none port-list=w
        rules g => 1 [egress TCP w p Accept 1 intranet (office) (web)]
        pls ids=p => 1 [p office V4 0/10 in 2]
        prls => 1 [w web () 0/10 in 2]
        pl-groups p => 2 [g; h]
        prl-groups w => 2 [g; h]
        pl-groups six => 0 []
        delete-pl p => 400 NotAllowed.AssociationExist PrefixListId
        delete-prl w => 400 InvalidPortRangeListId.AssociationExist PortRangeListId
        revoke-egress g list=p ports=none port-list=w => ok -1
        pl-groups p => 1 [h]
        delete-group h => ok -4
        delete-pl p => ok -1
        delete-prl w => ok -1
        ",
    );
}

#[test]
fn a_list_counts_with_its_max_entries() {
    let mut harness = Harness::new();
    harness.settings.quotas.rules_per_group = 10;
    harness.settings.quotas.rules_per_interface = 12;
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        pl p family=4 max=4
        pl big family=4 max=11
        prl w max=2
        prl x max=3
        egress g list=big => 403 AuthorizationLimitExceed SecurityGroupId
        egress g list=p ports=none port-list=x => 403 AuthorizationLimitExceed SecurityGroupId
        egress g list=p ports=none port-list=w
        groups ids=g => 1 [g [0, 6000, 1, 0]]
        egress g dest=1.1.1.1 | dest=1.1.1.2 => ok +2
        egress g dest=1.1.1.3 => 403 AuthorizationLimitExceed SecurityGroupId
        egress g list=p ports=none port-list=w => ok
        eni e vswitch=s groups=g,h
        egress h ports=none port-list=x dest=1.1.1.1 => \
            403 AuthorizationLimitExceed SecurityGroupId
        egress h ports=none port-list=w dest=1.1.1.1
        revoke-egress g list=p ports=none port-list=w => ok -1
        egress h ports=none port-list=x dest=1.1.1.1
        modify-eni e groups=h
        egress g list=p
        egress g list=p priority=2 => ok +1
        modify-eni e groups=g,h => 403 AclLimitExceed SecurityGroupId
        ",
    );
}

#[test]
fn a_list_has_so_many_associations_and_no_more() {
    let mut harness = Harness::new();
    harness.settings.quotas.associations_per_list = 1;
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        group h vpc=v
        pl p family=4
        prl w
        egress g list=p
        egress g list=p ports=81/81
        egress h list=p => 403 LimitExceed.PrefixListAssociationResource SecurityGroupId
        egress h dest=1.1.1.1 ports=none port-list=w
        ingress g source=1.1.1.1 ports=none port-list=w => \
            403 LimitExceed.PortRangeListAssociationResource SecurityGroupId
        revoke-egress g list=p | list=p ports=81/81 => ok -2
        egress h list=p
        ",
    );
}
