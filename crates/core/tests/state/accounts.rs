//! Accounts, their keys, and VPCs that several of them use.
use portcullis_core::limits::{ACCOUNTS_MAX, EXPIRED_KEYS_PER_WRITE_MAX};
use portcullis_core::records::{Account, Change, Record};

use super::harness::Harness;
use super::language::{check, run};

#[test]
fn a_number_of_an_account_has_one_spelling() {
    let harness = Harness::new();
    assert!(harness.state.account_called("42").is_some());
    for text in ["+42", "042", " 42", "42 ", &("0".repeat(60_000) + "42")] {
        assert!(harness.state.account_called(text).is_none(), "{}", text.len());
    }
}

#[test]
fn an_account_has_one_name_and_goes_when_it_owns_nothing() {
    check(
        "
        account a
        account a2
        account a => 409 EntityAlreadyExists.Account AccountName
        account root => 409 EntityAlreadyExists.Account AccountName
        account 12 => 400 InvalidParameter.AccountName AccountName
        delete-account 77 => 404 EntityNotExist.Account Account
        delete-account root => 403 DeleteConflict.Account Account

        key k a
        delete-account a => 403 DeleteConflict.Account Account
        delete-key k => ok -1
        vpc v as=a
        delete-account a => 403 DeleteConflict.Account Account
        delete-vpc v as=a => ok -1
        vpc w
        share w a
        delete-account a => 403 DeleteConflict.Account Account
        unshare w a => ok -1
        group classic as=a
        delete-account a => 403 DeleteConflict.Account Account
        delete-group classic as=a => ok -1
        key t a life=900
        delete-account a => ok -2
        account a
        delete-account a => ok -1
        ",
    );
}

#[test]
fn a_refusal_names_what_the_account_owns() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        account a
        key k a
        vpc v as=a
        vswitch s vpc=v cidr=172.16.0.0/24 as=a
        group g vpc=v as=a
        eni e vswitch=s groups=g as=a
        ",
    );
    let id = |harness: &Harness, name: &str| harness.ids[name].clone();
    let account = portcullis_core::ids::AccountId(id(&harness, "a").parse().unwrap());
    let command = portcullis_core::command::Command::DeleteAccount { account };
    let error = harness.decide(&harness.sender(), &command).unwrap_err();
    let [v, s, g, e] = ["v", "s", "g", "e"].map(|name| id(&harness, name));
    assert_eq!(
        error.message,
        format!(
            "The account still has access key k, VPC {v}, vSwitch {s}, security group {g}, \
             network interface {e}."
        )
    );
}

#[test]
fn accounts_have_an_end() {
    let mut harness = Harness::new();
    let has = harness.state.records().filter(|r| matches!(r, Record::Account(_))).count();
    for number in has..ACCOUNTS_MAX - 1 {
        let name = format!("n{number}").parse().unwrap();
        let id = portcullis_core::ids::AccountId(100 + number as u64);
        let account = Account { id, name, root: false, created_ms: 0 };
        harness.absorb(Change::Put(Record::Account(account)));
    }
    run(&mut harness, "account last\n account more => 403 LimitExceeded.Account");
}

#[test]
fn keys_are_made_rotated_disabled_and_deleted() {
    check(
        "
        account a
        key k a
        key k a => 409 EntityAlreadyExists.AccessKey AccessKeyId
        key x 77 => 404 EntityNotExist.Account Account
        disable k
        disable k => ok
        keys a => k of a disabled
        enable k
        rotate k k2 => ok +2
        rotate k2 k3 keep => ok +1
        rotate k k4 => ok +1
        rotate none k5 => 404 EntityNotExist.AccessKey AccessKeyId
        rotate k k2 => 409 EntityAlreadyExists.AccessKey AccessKeyId
        keys a => k of a disabled; k2 of a; k3 of a; k4 of a
        key k5 a
        key k6 a => 403 LimitExceeded.AccessKey Account
        rotate k k6 => 403 LimitExceeded.AccessKey Account
        delete-key k => ok -1
        delete-key k => 404 EntityNotExist.AccessKey AccessKeyId
        disable k => 404 EntityNotExist.AccessKey AccessKeyId
        key k6 a
        keys 77 => 404 EntityNotExist.Account Account
        ",
    );
}

#[test]
fn the_root_account_keeps_a_key_that_lasts() {
    check(
        "
        disable AKID => 403 DeleteConflict.AccessKey AccessKeyId
        delete-key AKID => 403 DeleteConflict.AccessKey AccessKeyId
        key t root life=900
        disable AKID => 403 DeleteConflict.AccessKey AccessKeyId
        key k root
        disable k
        delete-key AKID => 403 DeleteConflict.AccessKey AccessKeyId
        enable k
        disable AKID
        delete-key k => 403 DeleteConflict.AccessKey AccessKeyId
        delete-key AKID => ok -1
        rotate k k2 => ok +2
        keys root => k of root disabled; k2 of root; t of root ends=1900000
        delete-key k => ok -1
        delete-key t => ok -1
        ",
    );
}

#[test]
fn a_temporary_key_has_an_end() {
    let mut harness = Harness::new();
    harness.settings.quotas.temporary_keys_per_account = 2;
    run(
        &mut harness,
        "
        key t other life=899 => 400 InvalidParameter.DurationSeconds DurationSeconds
        key t other life=43201 => 400 InvalidParameter.DurationSeconds DurationSeconds
        key t other life=43200
        key u other life=900
        key w other life=900 => 403 LimitExceeded.TemporaryKey Account
        rotate u x => 403 InvalidParameter.AccessKeyId AccessKeyId
        disable u
        enable u
        accounts later=899999 => other@example.com [0, 2]; root [1, 0]
        accounts later=1 => other@example.com [0, 1]; root [1, 0]
        disable u => 404 EntityNotExist.AccessKey AccessKeyId
        delete-key u => 404 EntityNotExist.AccessKey AccessKeyId
        # Whatever is written next takes the expired key along, and its place is free before.
        key w other life=900 => ok +1 -1
        keys other => t of other@example.com ends=44200000; w of other@example.com ends=2800000
        # A write that changes nothing removes nothing; one about the key itself does so once.
        enable t later=900000 => ok
        disable t => ok +1 -1
        delete-key t => ok -1
        ",
    );
}

#[test]
fn expired_keys_go_a_few_at_a_time() {
    let mut harness = Harness::new();
    let more = EXPIRED_KEYS_PER_WRITE_MAX + 2;
    for number in 0..more {
        run(&mut harness, &format!("key t{number} other life=900"));
    }
    run(&mut harness, &format!("vpc v later=900000 => ok +1 -{EXPIRED_KEYS_PER_WRITE_MAX}"));
    run(&mut harness, "vpc w => ok +1 -2\n vpc x\n keys other =>");
}

#[test]
fn a_shared_vpc_holds_vswitches_and_groups_of_all_its_accounts() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        account a
        account b
        vpc v tags=k:v
        vswitch s vpc=v cidr=172.16.0.0/24
        vswitch sa vpc=v cidr=172.16.1.0/24 as=a => 404 InvalidVpcID.NotFound VpcId
        share v a
        share v a => ok
        share v root => 409 InvalidParameter.Account Account
        share vpc-none a => 404 InvalidVpcID.NotFound VpcId
        share v 77 => 404 EntityNotExist.Account Account
        owned-vpcs => v of root a

        vpcs as=a => 1 [v 172.16.0.0/12]
        vpcs as=a ids=v => 1 [v 172.16.0.0/12]
        # The owner's tags are the owner's.
        vpcs as=a tags=k:v => 0 []
        vpcs tags=k:v => 1 [v 172.16.0.0/12 s]
        vpcs as=a region=cn-qingdao-env17-d01 => 0 []
        vpcs as=b => 0 []
        vswitches as=a => 0 []
        vswitches as=a vpc=v => 0 []
        delete-vpc v as=a => 404 InvalidVpcID.NotFound VpcId

        vswitch sa vpc=v cidr=172.16.1.0/24 as=a
        # Blocks of one VPC never overlap, whoever has them.
        vswitch sx vpc=v cidr=172.16.0.0/25 as=a => 400 InvalidCidrBlock.Overlapped CidrBlock
        vpcs as=a => 1 [v 172.16.0.0/12 sa]
        vpcs => 1 [v 172.16.0.0/12 s]
        group g vpc=v
        group ga vpc=v as=a
        group gx vpc=v as=b => 404 InvalidVpcId.NotFound VpcId
        groups vpc=v => 1 [g [0, 6000, 0, 0]]
        groups vpc=v as=a => 1 [ga [0, 6000, 0, 0]]
        eni e vswitch=s groups=g
        eni ea vswitch=sa groups=ga as=a
        eni x vswitch=s groups=ga as=a => 404 InvalidVSwitchId.NotFound VSwitchId
        eni x vswitch=sa groups=g as=a => \
            404 InvalidSecurityGroupId.NotFound SecurityGroupId
        enis vpc=v => 1 [e 172.16.0.1 g Available]
        enis vpc=v as=a => 1 [ea 172.16.1.1 ga Available]
        enis group=g as=a => 0 []
        enis vswitch=s as=a => 0 []
        modify-eni ea groups=ga,g as=a => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        delete-eni e as=a => 404 InvalidEniId.NotFound NetworkInterfaceId
        delete-vswitch s as=a => 404 InvalidVswitchID.NotFound VSwitchId
        ",
    );
}

#[test]
fn groups_of_a_shared_vpc_are_peers_by_id_and_owner() {
    check(
        "
        account a
        account b
        vpc v
        vpc w
        share v a
        group g vpc=v
        group h vpc=w
        group ga vpc=v as=a
        group classic
        egress ga peer=g as=a => 404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=g account=root as=a
        egress ga peer=h account=root as=a => 404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=classic account=root as=a => 404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=g account=other@example.com as=a => \
            404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=g account=nobody as=a => 404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=g owner=77 as=a => 404 InvalidDestGroupId.NotFound DestGroupId
        egress ga peer=g owner=42 account=root as=a => \
            400 InvalidParam.DestGroupOwner DestGroupOwnerAccount
        egress ga peer=g owner=77 account=root as=a => \
            400 InvalidParam.DestGroupOwner DestGroupOwnerAccount
        ingress g peer=ga owner=a
        ingress g peer=ga owner=b => 404 InvalidSourceGroupId.NotFound SourceGroupId
        ingress g peer=ga owner=b account=a => \
            400 InvalidParam.SourceGroupOwner SourceGroupOwnerAccount
        # Classic groups of two accounts have no network in common.
        group foreign as=a
        egress foreign peer=classic account=root nic=intranet as=a => \
            404 InvalidDestGroupId.NotFound DestGroupId
        ",
    );
}

#[test]
fn a_share_ends_when_nobody_needs_it() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        account a
        vpc v
        share v a
        vswitch sa vpc=v cidr=172.16.1.0/24 as=a
        group g vpc=v
        group ga vpc=v as=a
        ingress g peer=ga owner=a
        unshare v other => 404 EntityNotExist.VpcShare Account
        unshare v a => 403 DependencyViolation.VpcShare VpcId
        ",
    );
    let [v, sa, g, ga, a] = ["v", "sa", "g", "ga", "a"].map(|name| harness.ids[name].clone());
    let account = portcullis_core::ids::AccountId(a.parse().unwrap());
    let command =
        portcullis_core::command::Command::UnshareVpc { vpc: v.parse().unwrap(), account };
    let error = harness.decide(&harness.sender(), &command).unwrap_err();
    let expected =
        format!("The account uses the VPC: security group {ga} (a peer of {g}), vSwitch {sa}.");
    assert_eq!(error.message, expected);
    run(
        &mut harness,
        "
        revoke-ingress g peer=ga owner=a => ok -1
        delete-group ga as=a => ok -1
        unshare v a => 403 DependencyViolation.VpcShare VpcId
        delete-vswitch sa as=a => ok -1
        unshare v a => ok -1
        unshare v a => 404 EntityNotExist.VpcShare Account
        vpcs as=a => 0 []
        # A VPC takes its shares along.
        share v a
        delete-group g => ok -1
        delete-vpc v => ok -2
        delete-account a => ok -1
        ",
    );
}

#[test]
fn shares_have_a_quota() {
    let mut harness = Harness::new();
    harness.settings.quotas.shares_per_vpc = 1;
    run(
        &mut harness,
        "
        account a
        vpc v
        share v a
        share v other => 403 QuotaExceeded.VpcShare VpcId
        ",
    );
}
