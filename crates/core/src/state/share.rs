//! VPCs that more than one account may use: by whom, and who uses them.
//!
//! Who may use a VPC may put vSwitches and groups of its own there, and name the others' groups as
//! peers. It sees nothing else of the others, and cannot change the VPC.
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{Context, Outcome, OwnedVpcRow};
use crate::error::{ApiError, ErrorClass};
use crate::ids::{AccountId, VpcId};
use crate::limits::NAMED_IN_REFUSAL_MAX;
use crate::records::{Change, Record, RecordKey, Vpc, VpcShare};
use crate::state::account::account_not_found;
use crate::state::vpc::vpc_not_found;
use crate::state::{Decision, State};

impl State {
    /// The VPC, if the caller may use it: its own, or one that is shared with it.
    pub(super) fn usable_vpc(&self, context: &Context<'_>, id: &VpcId) -> Option<&Vpc> {
        let vpc = self.vpcs.get(id).filter(|vpc| self.may_use(context.caller, vpc))?;
        context.region.as_ref().is_none_or(|asked| *asked == vpc.region).then_some(vpc)
    }

    /// Whether an account may use a VPC.
    pub(super) fn may_use(&self, account: AccountId, vpc: &Vpc) -> bool {
        vpc.owner == account || self.vpc_shares.contains_key(&(vpc.id.clone(), account))
    }

    /// The VPCs that are shared with the caller.
    pub(super) fn vpcs_shared_with(&self, account: AccountId) -> impl Iterator<Item = &VpcId> {
        self.index.shared_vpcs.get(&account)
    }

    pub(super) fn share_vpc(
        &self,
        context: &Context<'_>,
        id: &VpcId,
        account: AccountId,
    ) -> Result<Decision, ApiError> {
        let vpc = self.vpcs.get(id).ok_or_else(vpc_not_found)?;
        let account = self.accounts.get(&account).ok_or_else(account_not_found)?;
        if vpc.owner == account.id {
            let message = "The VPC belongs to the specified account.";
            return Err(ApiError::new(ErrorClass::Conflict, "InvalidParameter.Account", message)
                .at("Account"));
        }
        if self.may_use(account.id, vpc) {
            return Ok(Decision::done(Vec::new()));
        }
        let quota = context.settings.quotas.shares_per_vpc;
        if self.index.shares_of_vpc.count(id) >= quota {
            let message = alloc::format!("The VPC is shared with {quota} accounts already.");
            return Err(ApiError::forbidden("QuotaExceeded.VpcShare", message).at("VpcId"));
        }
        let share = VpcShare { vpc: id.clone(), account: account.id, created_ms: context.now_ms };
        Ok(Decision::done(vec![Change::Put(Record::VpcShare(share))]))
    }

    pub(super) fn unshare_vpc(&self, id: &VpcId, account: AccountId) -> Result<Decision, ApiError> {
        if !self.vpc_shares.contains_key(&(id.clone(), account)) {
            let message = "The VPC is not shared with the specified account.";
            return Err(ApiError::not_found("EntityNotExist.VpcShare", message).at("Account"));
        }
        let used = self.used_by(id, account);
        if !used.is_empty() {
            let message = alloc::format!("The account uses the VPC: {}.", used.join(", "));
            return Err(ApiError::forbidden("DependencyViolation.VpcShare", message)
                .at("VpcId")
                .help("Delete these first, and revoke the rules that name them."));
        }
        Ok(Decision::done(vec![Change::Delete(RecordKey::VpcShare(id.clone(), account))]))
    }

    /// What an account has in a VPC, and who names it as a peer. Interfaces and instances stand in
    /// vSwitches of their own account.
    fn used_by(&self, vpc: &VpcId, account: AccountId) -> Vec<String> {
        let vswitches = self.index.vswitches_of_vpc.get(vpc);
        let vswitches = vswitches.filter_map(|id| self.vswitches.get(id));
        let vswitches = vswitches.filter(|vswitch| vswitch.owner == account);
        let vswitches = vswitches.map(|vswitch| alloc::format!("vSwitch {}", vswitch.id));
        let groups = self.index.groups_of_vpc.get(vpc).filter_map(|id| self.groups.get(id));
        let groups = groups.map(|entry| &entry.record).filter(|group| group.owner == account);
        let groups = groups.map(|group| {
            let naming: Vec<&str> = self
                .groups_naming(&group.id)
                .take(NAMED_IN_REFUSAL_MAX)
                .map(|id| id.as_str())
                .collect();
            match naming.is_empty() {
                true => alloc::format!("security group {}", group.id),
                false => {
                    alloc::format!("security group {} (a peer of {})", group.id, naming.join(" "))
                }
            }
        });
        groups.chain(vswitches).take(NAMED_IN_REFUSAL_MAX).collect()
    }

    pub(super) fn describe_owned_vpcs(&self) -> Decision {
        let row = |vpc: &Vpc| {
            let shares = self.index.shares_of_vpc.get(&vpc.id).filter_map(|account| {
                let share = self.vpc_shares.get(&(vpc.id.clone(), *account))?;
                Some((share.clone(), self.accounts.get(account)?.clone()))
            });
            let owner = self.accounts.get(&vpc.owner)?.clone();
            Some(OwnedVpcRow { vpc: vpc.clone(), owner, shares: shares.collect() })
        };
        Decision::read(Outcome::OwnedVpcs(self.vpcs.values().filter_map(row).collect()))
    }

    pub(super) fn put_vpc_share(&mut self, record: VpcShare) {
        self.index.shares_of_vpc.insert(record.vpc.clone(), record.account);
        self.index.shared_vpcs.insert(record.account, record.vpc.clone());
        self.vpc_shares.insert((record.vpc.clone(), record.account), record);
    }

    pub(super) fn remove_vpc_share(&mut self, vpc: &VpcId, account: AccountId) {
        if self.vpc_shares.remove(&(vpc.clone(), account)).is_some() {
            self.index.shares_of_vpc.remove(vpc, &account);
            self.index.shared_vpcs.remove(&account, vpc);
        }
    }
}
