//! Security groups and their quotas.
use std::collections::BTreeSet;

use portcullis_core::command::{
    Command, DescribeSecurityGroups, Outcome, Page, Paging, SecurityGroupRow,
};

use super::harness::Harness;
use super::language::{check, run};

#[test]
fn a_group_is_made_listed_and_deleted() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        group g vpc=v name=web description=front tags=k:v
        group h vpc=v type=enterprise
        group c
        groups => 3 [c [0, 6000, 0, 0]; g [0, 6000, 0, 0]; h [0, 65536, 0, 0]]
        groups ids=g,sg-none => 1 [g [0, 6000, 0, 0]]
        groups ids= => 0 []
        groups vpc=v type=enterprise => 1 [h [0, 65536, 0, 0]]
        groups vpc=v ids=c => 0 []
        groups name=web => 1 [g [0, 6000, 0, 0]]
        groups name=we => 0 []
        groups tags=k:v => 1 [g [0, 6000, 0, 0]]
        groups in-vpc=false => 1 [c [0, 6000, 0, 0]]
        groups as=other => 0 []
        groups as=other vpc=v => 0 []
        rules g as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        rules g region=cn-qingdao-env17-d01 => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        group x vpc=vpc-none => 404 InvalidVpcId.NotFound VpcId
        group x vpc=v as=other => 404 InvalidVpcId.NotFound VpcId
        group x type=enterprise => 403 InvalidVpcId.NotFound VpcId
        delete-group sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        delete-group g as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        egress g dest=10.0.0.0/8 | dest=10.0.0.0/9 => ok +2
        groups ids=g => 1 [g [0, 6000, 2, 0]]
        delete-group g => ok -3
        delete-group g => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn a_group_stays_while_something_depends_on_it() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        eni e vswitch=s groups=g
        delete-group g => 403 DependencyViolation SecurityGroupId
        modify-eni e groups=h
        egress h peer=g
        groups ids=h => 1 [h [1, 5999, 1, 1]]
        delete-group g => 403 DependencyViolation SecurityGroupId
        egress h peer=g ports=81/81
        revoke-egress h peer=g => ok -1
        delete-group g => 403 DependencyViolation SecurityGroupId
        revoke-egress h peer=g ports=81/81 => ok -1
        delete-group g => ok -1
        ",
    );
}

#[test]
fn inner_access_is_changed_in_basic_groups_only() {
    check(
        "
        vpc v
        group g vpc=v
        group h vpc=v type=enterprise
        policy g accept => ok
        policy g drop
        policy g drop => ok
        policy g accept
        policy h drop => ok
        policy h accept => 400 InvalidPolicy.Malformed InnerAccessPolicy
        policy sg-none drop => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn at_each_quota_the_next_one_is_refused() {
    let mut harness = Harness::new();
    harness.settings.quotas.groups_per_region = 4;
    harness.settings.quotas.vpcs_per_region = 1;
    harness.settings.quotas.vswitches_per_vpc = 1;
    harness.settings.quotas.interfaces_per_region = 4;
    harness.settings.quotas.groups_per_interface = 2;
    harness.settings.quotas.rules_per_group = 3;
    harness.settings.quotas.rules_per_interface = 4;
    harness.settings.quotas.addresses_per_basic_group = 3;
    harness.settings.quotas.interfaces_per_enterprise_group = 1;
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vpc w => 403 QuotaExceeded.Vpc
        vpc w region=cn-qingdao-env17-d01
        vswitch s vpc=v cidr=10.0.0.0/24
        vswitch t vpc=v cidr=10.0.1.0/24 => 403 QuotaExceeded.VSwitch VpcId
        group a vpc=v
        group b vpc=v
        group c vpc=v
        group d vpc=v type=enterprise
        group e vpc=v => 403 QuotaExceed.SecurityGroup
        eni x vswitch=s groups=a,b,c => 400 JoinedGroupLimitExceed SecurityGroupId
        eni x vswitch=s groups=a,b
        eni y vswitch=s groups=a more=2 => 403 SecurityGroupInstanceLimitExceed SecurityGroupId
        eni y vswitch=s groups=a more=1
        groups ids=a => 1 [a [3, 0, 0, 0]]
        eni z vswitch=s groups=d
        eni u vswitch=s groups=d => 403 SecurityGroupInstanceLimitExceed SecurityGroupId
        eni u vswitch=s groups=c
        eni t vswitch=s groups=c => 403 MaxEniCountExceeded
        egress a dest=1.1.1.1 | dest=1.1.1.2 | dest=1.1.1.3 => ok +3
        egress a dest=1.1.1.4 => 403 AuthorizationLimitExceed SecurityGroupId
        egress a dest=1.1.1.3 => ok
        ingress a source=1.1.1.4 => 403 AuthorizationLimitExceed SecurityGroupId
        egress b dest=1.1.1.1 | dest=1.1.1.2 => 403 AuthorizationLimitExceed SecurityGroupId
        egress b dest=1.1.1.1
        egress c dest=1.1.1.1 | dest=1.1.1.2 => ok +2
        modify-eni u groups=c,b
        modify-eni y groups=a,c => 403 AclLimitExceed SecurityGroupId
        revoke-egress a dest=1.1.1.1 => ok -1
        modify-eni y groups=a,c
        ",
    );
}

fn list(harness: &mut Harness, paging: Paging) -> Page<SecurityGroupRow> {
    let command = Command::DescribeSecurityGroups(DescribeSecurityGroups {
        groups: None,
        vpc: None,
        name: None,
        group_type: None,
        in_vpc: None,
        resource_group: None,
        tags: Vec::new(),
        paging,
    });
    match harness.send(&harness.sender(), &command).unwrap().outcome {
        Outcome::SecurityGroups(page) => page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_go_down_the_ids_and_leave_none_out() {
    let mut harness = Harness::new();
    for index in 0..7 {
        run(&mut harness, &format!("group g{index}"));
    }
    let all: Vec<_> =
        list(&mut harness, Paging::All).rows.into_iter().map(|row| row.group.id).collect();
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by(|one, other| one > other), "{all:?}");

    let page = |harness: &mut Harness, page| list(harness, Paging::Number { page, size: 3 });
    let numbered: Vec<_> =
        (1..=3).flat_map(|n| page(&mut harness, n).rows).map(|row| row.group.id).collect();
    assert_eq!(numbered, all);
    assert_eq!((page(&mut harness, 3).rows.len(), page(&mut harness, 4).rows.len()), (1, 0));
    assert_eq!(page(&mut harness, 4).total, 7);

    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = list(&mut harness, Paging::Token { after, max_results: 3 });
        seen.extend(page.rows.iter().map(|row| row.group.id.clone()));
        match page.next {
            Some(token) => after = Some(token),
            None => break,
        }
        // The row that the token names is gone before the next part is read.
        let gone = harness.names[&seen[seen.len() - 1].to_string()].clone();
        run(&mut harness, &format!("delete-group {gone} => ok -1"));
    }
    assert_eq!(seen, all);
    let left: BTreeSet<_> =
        list(&mut harness, Paging::All).rows.into_iter().map(|row| row.group.id).collect();
    assert_eq!(left.len(), 5);
    run(&mut harness, "groups max=3 after=$ => 400 InvalidParameter.NextToken NextToken");
}

#[test]
fn a_group_gets_another_name_and_description() {
    check(
        "
        vpc v
        group g vpc=v name=web description=front
        modify-group g => ok
        modify-group g name=web description=front => ok
        modify-group g name=api
        groups name=api => 1 [g [0, 6000, 0, 0]]
        modify-group g description= => ok +1
        modify-group g description= => ok
        modify-group g name=other as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        modify-group sg-none name=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}
