//! Accounts that come and go, and VPCs that they share.
use portcullis_core::command::*;
use portcullis_core::ids::AccountId;

use super::model::*;
use super::pair::*;

impl Model {
    fn has_anything(&self, account: u64) -> bool {
        fn any<T: Owned>(things: &[T], account: u64) -> bool {
            things.iter().any(|own| own.owner() == account)
        }
        any(&self.vpcs, account)
            || any(&self.vswitches, account)
            || any(&self.groups, account)
            || any(&self.interfaces, account)
            || any(&self.instances, account)
            || any(&self.lists, account)
            || self.shares.iter().any(|(_, with)| *with == account)
    }
}

impl Pair {
    pub(super) fn create_account(&mut self) {
        let name = self.one_of(&["ann", "bob", "123"]).to_string();
        let taken = self.model.accounts.iter().any(|own| own.name == name);
        let refusals = match (name == "123", taken) {
            (true, _) => only("InvalidParameter.AccountName"),
            (false, true) => only("EntityAlreadyExists.Account"),
            (false, false) => Refusals::new(),
        };
        let command = Command::CreateAccount { name: parsed(&name) };
        let Some(outcome) = self.send(&command, &refusals) else { return };
        let Outcome::Written(Written::Account { account }) = outcome else { panic!() };
        self.model.accounts.push(Account { id: account.0, name, root: false });
    }

    pub(super) fn delete_account(&mut self) {
        let id = self.some_account();
        let refusals = match self.model.accounts.iter().find(|own| own.id == id) {
            None => only("EntityNotExist.Account"),
            Some(own) if own.root || self.model.has_anything(id) => only("DeleteConflict.Account"),
            Some(_) => Refusals::new(),
        };
        let command = Command::DeleteAccount { account: AccountId(id) };
        if self.send(&command, &refusals).is_some() {
            self.model.accounts.retain(|own| own.id != id);
        }
    }

    /// A VPC of anybody.
    fn any_vpc(&mut self) -> String {
        let ids: Vec<String> = self.model.vpcs.iter().map(|own| own.id.clone()).collect();
        if ids.is_empty() || self.chance(20) { "vpc-none".into() } else { self.one_of(&ids) }
    }

    pub(super) fn share_vpc(&mut self) {
        let (id, account) = (self.any_vpc(), self.some_account());
        let with = || self.model.shares.iter().filter(|(own, _)| *own == id);
        let shared = with().any(|(_, own)| *own == account);
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        let vpc = self.model.vpcs.iter().find(|own| own.id == id);
        refuse(vpc.is_none(), "InvalidVpcID.NotFound");
        let known = self.model.accounts.iter().any(|own| own.id == account);
        refuse(!known, "EntityNotExist.Account");
        let own = vpc.is_some_and(|vpc| vpc.owner == account);
        refuse(own, "InvalidParameter.Account");
        let full = !own && !shared && with().count() >= SHARES_MAX;
        refuse(full, "QuotaExceeded.VpcShare");
        let command = Command::ShareVpc { vpc: parsed(&id), account: AccountId(account) };
        if self.send(&command, &refusals).is_some() && !shared {
            self.model.shares.push((id, account));
        }
    }

    pub(super) fn unshare_vpc(&mut self) {
        let (id, account) = match self.model.shares.is_empty() || self.chance(6) {
            true => (self.any_vpc(), self.some_account()),
            false => self.model.shares[self.dice.below(self.model.shares.len())].clone(),
        };
        let groups = self.model.groups.iter();
        let used = groups.clone().any(|own| own.owner == account && own.vpc.as_ref() == Some(&id))
            || self.model.vswitches.iter().any(|own| own.owner == account && own.vpc == id);
        let refusals = match self.model.shares.contains(&(id.clone(), account)) {
            false => only("EntityNotExist.VpcShare"),
            true if used => only("DependencyViolation.VpcShare"),
            true => Refusals::new(),
        };
        let command = Command::UnshareVpc { vpc: parsed(&id), account: AccountId(account) };
        if self.send(&command, &refusals).is_some() {
            self.model.shares.retain(|own| *own != (id.clone(), account));
        }
    }
}
