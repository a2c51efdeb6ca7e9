//! Random commands against a model made of lists: the same answers, the same number of changes, the
//! same contents, and pages that add up.
//!
//! The model knows no index and looks through everything; it is meant to be read, not to be quick.
mod driver;
mod naive;
mod naive_lists;
mod pages;
mod steps;

use std::collections::BTreeSet;

use driver::Pair;

const GROUPS_MAX: usize = 6;
const RULES_PER_GROUP: usize = 6;
const RULES_PER_INTERFACE: usize = 6;
const GROUPS_PER_INTERFACE: usize = 3;
const ADDRESSES_PER_GROUP: usize = 3;
const INTERFACES_PER_GROUP: usize = 1;
const LISTS_MAX: usize = 3;
const ASSOCIATIONS_MAX: usize = 2;
/// A /29 without its first and its last three addresses.
const OFFSETS: std::ops::RangeInclusive<u8> = 1..=4;

/// Puts and deletes, or a code.
type Answer = Result<(usize, usize), String>;

fn refuse<T>(code: &str) -> Result<T, String> {
    Err(code.to_string())
}

#[test]
fn random_commands_have_the_model_s_answers() {
    const SEEDS: u64 = 200;
    const STEPS: usize = 150;
    let mut codes = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed);
        for step in 0..STEPS {
            // On a failure this says where to look.
            let place = format!("seed {seed}, step {step}");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pair.step();
                pair.compare_contents();
                if step % 10 == 9 {
                    pair.check_pages();
                }
            }));
            if let Err(panic) = result {
                eprintln!("at {place}");
                std::panic::resume_unwind(panic);
            }
        }
        codes.append(&mut pair.codes);
    }
    // Every refusal that the model knows has happened, so the commands do reach them.
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    assert_eq!(
        codes,
        [
            "AclLimitExceed",
            "AuthorizationLimitExceed",
            "DependencyViolation",
            "InvalidBinding.NotFound",
            "InvalidDestGroupId.Mismatch",
            "InvalidDestGroupId.NotFound",
            "InvalidEniId.NotFound",
            "InvalidIp.IpRepeated",
            "InvalidOperation.DeviceInUse",
            "InvalidOperation.InvalidEniState",
            "InvalidOperation.MaxCountExceed",
            "InvalidOperation.ModifyPortRangeType",
            "InvalidOperation.ModifySgRuleEntityType",
            "InvalidOperation.RuleDuplicate",
            "InvalidOperation.VpcMismatch",
            "InvalidParam.DestGroupId",
            "InvalidParam.DuplicatePermissions",
            "InvalidParam.SourceGroupId",
            "InvalidParameter.CidrDuplicated",
            "InvalidParameter.CidrMalformed",
            "InvalidParameter.PortRange",
            "InvalidParameter.PortRangeDuplicated",
            "InvalidPolicy.Malformed",
            "InvalidPortRangeListId.AssociationExist",
            "InvalidPortRangeListId.NotFound",
            "InvalidPrefixListId.NotFound",
            "InvalidPrivateIpAddress.Duplicated",
            "InvalidResourceId.NotFound",
            "InvalidSecurityGroup.IsSame",
            "InvalidSecurityGroupId.NotFound",
            "InvalidSecurityGroupRuleId.NotFound",
            "InvalidSourceGroupId.Mismatch",
            "InvalidSourceGroupId.NotFound",
            "InvalidVSwitchId.IpInvalid",
            "InvalidVSwitchId.IpNotEnough",
            "JoinedGroupLimitExceed",
            "LimitExceed.MaxEntries",
            "LimitExceed.PortRangeListAssociationResource",
            "LimitExceed.PrefixListAssociationResource",
            "LimitExceed.PrefixListPerRegion",
            "MissingSecurityGroupId",
            "NotAllowed.AssociationExist",
            "OperationDenied",
            "QuotaExceed.SecurityGroup",
            "SecurityGroupInstanceLimitExceed",
            "SecurityGroupRule.NotFound",
        ]
    );
}
