//! Accounts and their keys: made once by whoever starts the server, and found by whoever verifies a
//! request.
//!
//! Knows no signature; the secret passes through.
use alloc::vec;

use crate::command::{Context, CreateRootAccount, Written};
use crate::error::{ApiError, ErrorClass};
use crate::ids::{AccountId, RegionId};
use crate::records::{AccessKey, Account, Change, Record};
use crate::state::{Decision, State, draw};

impl State {
    pub(super) fn create_root_account(
        &self,
        context: &mut Context<'_>,
        command: &CreateRootAccount,
    ) -> Result<Decision, ApiError> {
        if self.root_account().is_some() || self.access_keys.contains_key(&command.access_key) {
            return Err(ApiError::new(
                ErrorClass::Conflict,
                "EntityAlreadyExists.Account",
                "The root account or its access key exists already.",
            )
            .at("AccessKeyId"));
        }
        let account = draw::account(context.dice, |id| self.accounts.contains_key(id))?;
        let record = Account {
            id: account,
            name: command.name.clone(),
            root: true,
            created_ms: context.now_ms,
        };
        let key = AccessKey {
            id: command.access_key.clone(),
            secret: command.secret.clone(),
            account,
            active: true,
            created_ms: context.now_ms,
        };
        let changes =
            vec![Change::Put(Record::Account(record)), Change::Put(Record::AccessKey(key))];
        Ok(Decision::write(Written::Account { account }, changes))
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
