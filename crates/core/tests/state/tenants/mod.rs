//! Random commands of several accounts against a model made of lists: networks, interfaces and
//! their addresses, instances, groups across accounts, tags of every kind, shared VPCs.
//!
//! What a command is refused with is one of the codes that apply, whichever is found first; what is
//! another account's is unknown and nothing else. After each step the state holds what the model
//! holds, and what each account may read is what the model says, on pages of any size.
mod accounts;
mod addresses;
mod groups;
mod held;
mod instances;
mod interfaces;
mod labels;
mod model;
mod networks;
mod pages;
mod pair;

use std::collections::BTreeSet;

use pair::Pair;

impl Pair {
    fn step(&mut self) {
        self.harness.now_ms += 1;
        self.choose_who();
        match self.dice.below(60) {
            0..=2 => self.create_vpc(),
            3 => self.delete_vpc(),
            4 | 5 => self.modify_vpc(),
            6..=9 => self.create_vswitch(),
            10 => self.delete_vswitch(),
            11 | 12 => self.modify_vswitch(),
            13..=16 => self.create_group(),
            17 => self.delete_group(),
            18 => self.rename_group(),
            19..=22 => self.change_rules(),
            23..=28 => self.create_interface(),
            29 | 30 => self.modify_interface(),
            31 => self.delete_interface(),
            32 | 33 => self.attach(),
            34 => self.detach(),
            35..=37 => self.join_or_leave(),
            38 | 39 => self.change_binding(),
            40..=42 => self.assign(),
            43 | 44 => self.unassign(),
            45..=48 => self.make_instances(),
            49 => self.start_or_stop(),
            50 => self.delete_instances(),
            51 => self.modify_instance(),
            52 | 53 => self.change_tags(),
            54 => self.move_resource_group(),
            55 => self.create_list(),
            56 => self.delete_list(),
            57 => match self.chance(3) {
                true => self.delete_account(),
                false => self.create_account(),
            },
            58 => self.share_vpc(),
            _ => self.unshare_vpc(),
        }
    }
}

#[test]
fn random_commands_of_several_accounts_have_the_model_s_answers() {
    const SEEDS: u64 = 50;
    const STEPS: usize = 600;
    let (mut codes, mut done) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed);
        for step in 0..STEPS {
            let place = format!("seed {seed}, step {step}");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let before = pair.model.clone();
                pair.step();
                pair.compare(&before);
                if step % 20 == 19 {
                    pair.check_reads();
                }
            }));
            if let Err(panic) = result {
                eprintln!("at {place}");
                std::panic::resume_unwind(panic);
            }
        }
        codes.append(&mut pair.codes);
        done.append(&mut pair.done);
    }
    // Every refusal that the model knows has happened, and every command was carried out.
    assert_eq!(codes.iter().map(String::as_str).collect::<Vec<_>>(), CODES);
    assert_eq!(done.iter().map(String::as_str).collect::<Vec<_>>(), DONE);
}

const CODES: &[&str] = &[
    "AclLimitExceed",
    "AuthorizationLimitExceed",
    "DeleteConflict.Account",
    "DependencyViolation",
    "DependencyViolation.Ipv6Address",
    "DependencyViolation.NetworkInterface",
    "DependencyViolation.SecurityGroup",
    "DependencyViolation.VSwitch",
    "DependencyViolation.VpcShare",
    "EniPerInstanceLimitExceeded",
    "EntityAlreadyExists.Account",
    "EntityNotExist.Account",
    "EntityNotExist.VpcShare",
    "IncorrectInstanceStatus",
    "InstanceLastSecurityGroup",
    "InstanceNotInSecurityGroup",
    "InstanceSecurityGroupLimitExceeded",
    "InvalidBinding.NotFound",
    "InvalidCidrBlock.Malformed",
    "InvalidCidrBlock.Overlapped",
    "InvalidDestGroupId.Mismatch",
    "InvalidDestGroupId.NotFound",
    "InvalidEcsId.NotFound",
    "InvalidEniId.NotFound",
    "InvalidInstanceId.AlreadyExists",
    "InvalidInstanceId.Mismatch",
    "InvalidInstanceId.NotFound",
    "InvalidIp.Address",
    "InvalidIp.IpRepeated",
    "InvalidIp.IpUnassigned",
    "InvalidIpv6CidrBlock.Malformed",
    "InvalidIpv6CidrBlock.Overlapped",
    "InvalidOperation.AvailabilityZoneMismatch",
    "InvalidOperation.DeletionProtection",
    "InvalidOperation.DetachPrimaryEniNotAllowed",
    "InvalidOperation.DeviceInUse",
    "InvalidOperation.InvalidEniState",
    "InvalidOperation.Ipv4CountExceeded",
    "InvalidOperation.Ipv6CountExceeded",
    "InvalidOperation.MaxCountExceed",
    "InvalidOperation.VpcMismatch",
    "InvalidParam.DestGroupId",
    "InvalidParam.DestGroupOwner",
    "InvalidParam.MacAddress",
    "InvalidParam.NetworkInterface",
    "InvalidParameter",
    "InvalidParameter.Account",
    "InvalidParameter.AccountName",
    "InvalidParameter.ConnectionTrackingConfiguration",
    "InvalidParameter.Mismatch",
    "InvalidPortRangeListId.NotFound",
    "InvalidPrefixListId.NotFound",
    "InvalidPrivateIpAddress.Duplicated",
    "InvalidResourceId.NotFound",
    "InvalidResourceType.NotFound",
    "InvalidSecurityGroup.IsSame",
    "InvalidSecurityGroupId.NotFound",
    "InvalidSecurityGroupId.NotVpc",
    "InvalidUserCidr.Malformed",
    "InvalidVSwitch.Ipv6NotTurnOn",
    "InvalidVSwitchId.IpInvalid",
    "InvalidVSwitchId.IpNotEnough",
    "InvalidVSwitchId.NotFound",
    "InvalidVpcID.NotFound",
    "InvalidVpcId.NotFound",
    "InvalidVswitchID.NotFound",
    "JoinedGroupLimitExceed",
    "LimitExceed.PrefixListPerRegion",
    "MaxEniCountExceeded",
    "MissingIpv6CidrBlock",
    "MissingParameter",
    "MissingParameter.RegionId",
    "MissingSecurityGroupId",
    "OperationDenied",
    "QuotaExceed.SecurityGroup",
    "QuotaExceed.Tags",
    "QuotaExceeded.VSwitch",
    "QuotaExceeded.Vpc",
    "QuotaExceeded.VpcShare",
    "SecurityGroupInstanceLimitExceed",
    "SecurityGroupInstanceLimitExceeded",
];

const DONE: &[&str] = &[
    "AssignIpv6Addresses",
    "AssignPrivateIpAddresses",
    "AttachNetworkInterface",
    "Authorize",
    "Authorize, another account's group as the peer",
    "BindInterface",
    "CreateAccount",
    "CreateInstance",
    "CreateNetworkInterface",
    "CreatePortRangeList",
    "CreatePrefixList",
    "CreateSecurityGroup",
    "CreateVSwitch",
    "CreateVpc",
    "DeleteAccount",
    "DeleteInstances",
    "DeleteNetworkInterface",
    "DeletePortRangeList",
    "DeletePrefixList",
    "DeleteSecurityGroup",
    "DeleteVSwitch",
    "DeleteVpc",
    "DetachNetworkInterface",
    "JoinSecurityGroup",
    "LeaveSecurityGroup",
    "ModifyInstanceAttribute",
    "ModifyNetworkInterfaceAttribute",
    "ModifySecurityGroupAttribute",
    "ModifyVSwitchAttribute",
    "ModifyVpcAttribute",
    "MoveResourceGroup",
    "Revoke",
    "RunInstances",
    "ShareVpc",
    "StartInstances",
    "StopInstances",
    "TagResources",
    "UnassignAddresses",
    "UnbindInterface",
    "UnshareVpc",
    "UntagResources",
];
