//! Accounts and their access keys: made by whoever operates the server, and found by whoever
//! verifies a request.
//!
//! Knows no signature; secrets and tokens pass through.
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    AccessKeyRow, AccountRow, Context, CreateAccessKey, CreateRootAccount, Outcome,
    RotateAccessKey, Written,
};
use crate::error::{ApiError, ErrorClass};
use crate::ids::{AccessKeyId, AccountId, RegionId};
use crate::limits::{
    ACCOUNTS_MAX, EXPIRED_KEYS_PER_WRITE_MAX, KEY_SESSION_LIVES_S, NAMED_IN_REFUSAL_MAX,
};
use crate::records::{AccessKey, Account, Change, KeySession, Record, RecordKey};
use crate::state::{Decision, State, draw};
use crate::text::AccountName;

fn conflict(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(ErrorClass::Conflict, code, message)
}

/// No such account.
pub(super) fn account_not_found() -> ApiError {
    ApiError::not_found("EntityNotExist.Account", "The specified account does not exist.")
        .at("Account")
        .help("`portcullis account list` shows those that do.")
}

fn access_key_not_found() -> ApiError {
    ApiError::not_found("EntityNotExist.AccessKey", "The specified access key does not exist.")
        .at("AccessKeyId")
        .help("`portcullis key list` shows those that do.")
}

impl State {
    pub(super) fn create_root_account(
        &self,
        context: &mut Context<'_>,
        command: &CreateRootAccount,
    ) -> Result<Decision, ApiError> {
        if self.root_account().is_some() || self.access_keys.contains_key(&command.access_key) {
            let message = "The root account or its access key exists already.";
            return Err(conflict("EntityAlreadyExists.Account", message).at("AccessKeyId"));
        }
        let account = self.new_account(context, &command.name, true)?;
        let key = AccessKey {
            id: command.access_key.clone(),
            secret: command.secret.clone(),
            account: account.id,
            active: true,
            created_ms: context.now_ms,
            session: None,
        };
        let written = Written::Account { account: account.id };
        let changes =
            vec![Change::Put(Record::Account(account)), Change::Put(Record::AccessKey(key))];
        Ok(Decision::write(written, changes))
    }

    fn new_account(
        &self,
        context: &mut Context<'_>,
        name: &AccountName,
        root: bool,
    ) -> Result<Account, ApiError> {
        Ok(Account {
            id: draw::account(context.dice, |id| self.accounts.contains_key(id))?,
            name: name.clone(),
            root,
            created_ms: context.now_ms,
        })
    }

    pub(super) fn create_account(
        &self,
        context: &mut Context<'_>,
        name: &AccountName,
    ) -> Result<Decision, ApiError> {
        if name.as_str().bytes().all(|byte| byte.is_ascii_digit()) {
            // Rules call accounts by number or by name, in one parameter.
            let message = "The name of an account is not a number.";
            return Err(ApiError::invalid("InvalidParameter.AccountName", message)
                .at("AccountName")
                .help("Add a letter to it."));
        }
        if self.index.account_names.contains_key(name) {
            let message = "An account of this name exists already.";
            return Err(conflict("EntityAlreadyExists.Account", message).at("AccountName"));
        }
        if self.accounts.len() >= ACCOUNTS_MAX {
            let message = alloc::format!("A server has at most {ACCOUNTS_MAX} accounts.");
            return Err(ApiError::forbidden("LimitExceeded.Account", message)
                .help("Delete accounts that are no longer used."));
        }
        let account = self.new_account(context, name, false)?;
        let written = Written::Account { account: account.id };
        Ok(Decision::write(written, vec![Change::Put(Record::Account(account))]))
    }

    pub(super) fn delete_account(&self, id: AccountId) -> Result<Decision, ApiError> {
        let account = self.accounts.get(&id).ok_or_else(account_not_found)?;
        let refuse = |message: &str, help: &'static str| {
            let message = String::from(message);
            Err(ApiError::forbidden("DeleteConflict.Account", message).at("Account").help(help))
        };
        if account.root {
            return refuse("The root account cannot be deleted.", "");
        }
        let owned = self.owned_by(id);
        if !owned.is_empty() {
            let message = alloc::format!("The account still has {}.", owned.join(", "));
            return refuse(&message, "Delete these first, and end the shares.");
        }
        // What is left are temporary keys, which end with the account.
        let keys = self.index.keys_of_account.get(&id).cloned();
        let mut changes: Vec<Change> =
            keys.map(|key| Change::Delete(RecordKey::AccessKey(key))).collect();
        changes.push(Change::Delete(RecordKey::Account(id)));
        Ok(Decision::done(changes))
    }

    /// What keeps an account from being deleted, by name as far as there is room. Every part of the
    /// state is named here, so that a new kind of thing cannot be forgotten.
    fn owned_by(&self, account: AccountId) -> Vec<String> {
        let Self {
            world: _,
            accounts: _,
            access_keys,
            vpcs,
            vswitches,
            groups,
            interfaces,
            prefix_lists,
            port_range_lists,
            // Client tokens are remembered for their time, whoever is gone.
            tokens: _,
            // Bound interfaces are interfaces.
            bindings: _,
            vpc_shares,
            instances,
            index: _,
        } = self;
        fn named<T: core::fmt::Display>(kind: &str, id: T) -> String {
            alloc::format!("{kind} {id}")
        }
        let keys = access_keys.values().filter(|r| r.account == account && r.session.is_none());
        let keys = keys.map(|r| named("access key", &r.id));
        let vpcs = vpcs.values().filter(|r| r.owner == account).map(|r| named("VPC", &r.id));
        let vswitches = vswitches.values().filter(|r| r.owner == account);
        let vswitches = vswitches.map(|r| named("vSwitch", &r.id));
        let groups = groups.values().map(|entry| &entry.record).filter(|r| r.owner == account);
        let groups = groups.map(|r| named("security group", &r.id));
        let interfaces = interfaces.values().filter(|r| r.owner == account);
        let interfaces = interfaces.map(|r| named("network interface", &r.id));
        let prefix_lists = prefix_lists.values().filter(|r| r.owner == account);
        let prefix_lists = prefix_lists.map(|r| named("prefix list", &r.id));
        let port_range_lists = port_range_lists.values().filter(|r| r.owner == account);
        let port_range_lists = port_range_lists.map(|r| named("port range list", &r.id));
        let lists = prefix_lists.chain(port_range_lists);
        let instances = instances.values().filter(|r| r.owner == account);
        let instances = instances.map(|r| named("instance", &r.id));
        let shares = vpc_shares.values().filter(|r| r.account == account);
        let shares = shares.map(|r| named("a share of VPC", &r.vpc));
        let networks = keys.chain(vpcs).chain(vswitches).chain(groups).chain(interfaces);
        let owned = networks.chain(instances).chain(lists).chain(shares);
        owned.take(NAMED_IN_REFUSAL_MAX).collect()
    }

    pub(super) fn describe_accounts(&self, context: &Context<'_>) -> Decision {
        let row = |account: &Account| AccountRow {
            account: account.clone(),
            access_keys: self.keys_of(account.id).filter(|key| key.session.is_none()).count(),
            temporary_keys: self.temporary_keys_of(context, account.id),
        };
        Decision::read(Outcome::Accounts(self.accounts.values().map(row).collect()))
    }

    /// The account of this name or number. A number is spelled in one way only: what else reads as
    /// one, such as `+12` or `0012`, can be a name.
    pub fn account_called(&self, text: &str) -> Option<&Account> {
        let number = text.parse().ok().map(AccountId).filter(|id| id.to_string() == text);
        let by_number = number.and_then(|id| self.accounts.get(&id));
        by_number.or_else(|| {
            let name = text.parse::<AccountName>().ok()?;
            self.accounts.get(self.index.account_names.get(&name)?)
        })
    }

    fn keys_of(&self, account: AccountId) -> impl Iterator<Item = &AccessKey> {
        let ids = self.index.keys_of_account.get(&account);
        ids.filter_map(|id| self.access_keys.get(id))
    }

    fn temporary_keys_of(&self, context: &Context<'_>, account: AccountId) -> usize {
        let keys = self.keys_of(account).filter(|key| key.session.is_some());
        keys.filter(|key| !key.is_expired(context.now_ms)).count()
    }

    pub(super) fn create_access_key(
        &self,
        context: &Context<'_>,
        command: &CreateAccessKey,
    ) -> Result<Decision, ApiError> {
        let account = self.accounts.get(&command.account).ok_or_else(account_not_found)?;
        let quotas = &context.settings.quotas;
        let (has, quota, code, what) = match command.session {
            None => {
                let has = self.keys_of(account.id).filter(|key| key.session.is_none()).count();
                (has, quotas.access_keys_per_account, "LimitExceeded.AccessKey", "access keys")
            }
            Some(_) => {
                let has = self.temporary_keys_of(context, account.id);
                let quota = quotas.temporary_keys_per_account;
                (has, quota, "LimitExceeded.TemporaryKey", "temporary access keys")
            }
        };
        if has >= quota {
            let message =
                alloc::format!("The account has all the {quota} {what} that it may have.");
            return Err(ApiError::forbidden(code, message)
                .at("Account")
                .help("Delete one that is no longer used."));
        }
        let session = match &command.session {
            None => None,
            Some(asked) if KEY_SESSION_LIVES_S.contains(&asked.life_s) => {
                let expires_ms = context.now_ms.saturating_add(asked.life_s * 1000);
                Some(KeySession { token: asked.token.clone(), expires_ms })
            }
            Some(_) => {
                let (least, most) = (KEY_SESSION_LIVES_S.start(), KEY_SESSION_LIVES_S.end());
                let message =
                    alloc::format!("A temporary key is good for {least} to {most} seconds.");
                return Err(ApiError::invalid("InvalidParameter.DurationSeconds", message)
                    .at("DurationSeconds"));
            }
        };
        self.check_new_key(&command.access_key)?;
        let key = AccessKey {
            id: command.access_key.clone(),
            secret: command.secret.clone(),
            account: account.id,
            active: true,
            created_ms: context.now_ms,
            session,
        };
        Ok(Decision::done(vec![Change::Put(Record::AccessKey(key))]))
    }

    fn check_new_key(&self, id: &AccessKeyId) -> Result<(), ApiError> {
        match self.access_keys.contains_key(id) {
            false => Ok(()),
            true => {
                let message = "An access key of this id exists already.";
                Err(conflict("EntityAlreadyExists.AccessKey", message).at("AccessKeyId"))
            }
        }
    }

    /// The new key comes and the old one is disabled in one step, so that there is no moment with
    /// both and none with neither.
    pub(super) fn rotate_access_key(
        &self,
        context: &Context<'_>,
        command: &RotateAccessKey,
    ) -> Result<Decision, ApiError> {
        let old = self.access_keys.get(&command.access_key).ok_or_else(access_key_not_found)?;
        if old.session.is_some() {
            let message = "A temporary access key is not rotated.";
            return Err(ApiError::forbidden("InvalidParameter.AccessKeyId", message)
                .at("AccessKeyId")
                .help("Have a new one made."));
        }
        let mut decision = self.create_access_key(
            context,
            &CreateAccessKey {
                account: old.account,
                access_key: command.replacement.clone(),
                secret: command.secret.clone(),
                session: None,
            },
        )?;
        if old.active && !command.keep_old {
            let old = AccessKey { active: false, ..old.clone() };
            decision.changes.push(Change::Put(Record::AccessKey(old)));
        }
        Ok(decision)
    }

    pub(super) fn set_access_key_active(
        &self,
        context: &Context<'_>,
        id: &AccessKeyId,
        active: bool,
    ) -> Result<Decision, ApiError> {
        let key = self.access_keys.get(id).ok_or_else(access_key_not_found)?;
        if key.is_expired(context.now_ms) {
            return Err(access_key_not_found());
        }
        if key.active == active {
            return Ok(Decision::done(Vec::new()));
        }
        if !active {
            self.check_not_last(key)?;
        }
        let key = AccessKey { active, ..key.clone() };
        Ok(Decision::done(vec![Change::Put(Record::AccessKey(key))]))
    }

    pub(super) fn delete_access_key(
        &self,
        context: &Context<'_>,
        id: &AccessKeyId,
    ) -> Result<Decision, ApiError> {
        let key = self.access_keys.get(id).ok_or_else(access_key_not_found)?;
        if key.is_expired(context.now_ms) {
            return Err(access_key_not_found());
        }
        self.check_not_last(key)?;
        Ok(Decision::done(vec![Change::Delete(RecordKey::AccessKey(id.clone()))]))
    }

    /// The root account must be able to call, and not only until a temporary key ends.
    fn check_not_last(&self, key: &AccessKey) -> Result<(), ApiError> {
        let lasts = |key: &AccessKey| key.active && key.session.is_none();
        let is_root = self.accounts.get(&key.account).is_some_and(|account| account.root);
        let others = self.keys_of(key.account).filter(|other| other.id != key.id && lasts(other));
        if !is_root || !lasts(key) || others.count() > 0 {
            return Ok(());
        }
        let message = "The last active access key of the root account cannot go.";
        Err(ApiError::forbidden("DeleteConflict.AccessKey", message)
            .at("AccessKeyId")
            .help("Rotate it, or create or enable another one first."))
    }

    pub(super) fn describe_access_keys(
        &self,
        account: Option<AccountId>,
    ) -> Result<Decision, ApiError> {
        let accounts: Vec<&Account> = match account {
            Some(id) => vec![self.accounts.get(&id).ok_or_else(account_not_found)?],
            None => self.accounts.values().collect(),
        };
        let keys = accounts.into_iter().flat_map(|account| {
            self.keys_of(account.id).map(|key| AccessKeyRow {
                id: key.id.clone(),
                account: account.clone(),
                active: key.active,
                created_ms: key.created_ms,
                expires_ms: key.session.as_ref().map(|session| session.expires_ms),
            })
        });
        Ok(Decision::read(Outcome::AccessKeys(keys.collect())))
    }

    /// Adds the removal of a few expired temporary keys to a decision that changes something.
    pub(super) fn drop_expired_keys(&self, context: &Context<'_>, decision: &mut Decision) {
        if decision.changes.is_empty() {
            return;
        }
        let past = self.index.key_expiry.iter();
        let past = past.take_while(|(expires_ms, _)| *expires_ms <= context.now_ms);
        for (_, id) in past.take(EXPIRED_KEYS_PER_WRITE_MAX) {
            let key = RecordKey::AccessKey(id.clone());
            if !decision.changes.iter().any(|change| change.key() == key) {
                decision.changes.push(Change::Delete(key));
            }
        }
    }

    pub(super) fn put_account(&mut self, record: Account) {
        self.remove_account(record.id);
        self.index.account_names.insert(record.name.clone(), record.id);
        self.accounts.insert(record.id, record);
    }

    pub(super) fn remove_account(&mut self, id: AccountId) {
        if let Some(old) = self.accounts.remove(&id) {
            self.index.account_names.remove(&old.name);
        }
    }

    pub(super) fn put_access_key(&mut self, record: AccessKey) {
        self.remove_access_key(&record.id);
        self.index.keys_of_account.insert(record.account, record.id.clone());
        if let Some(session) = &record.session {
            self.index.key_expiry.insert((session.expires_ms, record.id.clone()));
        }
        self.access_keys.insert(record.id.clone(), record);
    }

    pub(super) fn remove_access_key(&mut self, id: &AccessKeyId) {
        let Some(old) = self.access_keys.remove(id) else { return };
        self.index.keys_of_account.remove(&old.account, id);
        if let Some(session) = old.session {
            self.index.key_expiry.remove(&(session.expires_ms, old.id));
        }
    }
}

/// Whether the caller may see what this account has in this region.
pub(super) fn sees(context: &Context<'_>, owner: AccountId, region: &RegionId) -> bool {
    owner == context.caller && context.region.as_ref().is_none_or(|asked| asked == region)
}

/// The region in which a new thing without a parent is made.
pub(super) fn region_of(context: &Context<'_>) -> Result<RegionId, ApiError> {
    context.region.clone().ok_or_else(|| {
        ApiError::invalid("MissingParameter.RegionId", "The specified RegionId should not be null.")
            .at("RegionId")
    })
}
