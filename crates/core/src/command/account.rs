//! What is asked of accounts, their keys and their shares of VPCs, and the rows of the answers. All
//! of it is administrative: no action of the public API asks for it.
use alloc::vec::Vec;

use crate::ids::{AccessKeyId, AccountId};
use crate::records::{AccessKeySecret, Account, SecurityToken, Vpc, VpcShare};
use crate::text::AccountName;

/// The first account and its access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRootAccount {
    /// The account's name.
    pub name: AccountName,
    /// The key's id.
    pub access_key: AccessKeyId,
    /// What it signs with.
    pub secret: AccessKeySecret,
}

/// A new access key of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccessKey {
    /// The account.
    pub account: AccountId,
    /// The key's id.
    pub access_key: AccessKeyId,
    /// What it signs with.
    pub secret: AccessKeySecret,
    /// Its token and how long it is good for; `None` makes a permanent key.
    pub session: Option<NewSession>,
}

/// What makes a new key a temporary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// What its requests must carry.
    pub token: SecurityToken,
    /// How long it is good for, in seconds.
    pub life_s: u64,
}

/// A new access key in the place of another one of the same account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateAccessKey {
    /// The old key.
    pub access_key: AccessKeyId,
    /// The new key's id.
    pub replacement: AccessKeyId,
    /// What the new key signs with.
    pub secret: AccessKeySecret,
    /// Whether the old key stays as it is; it is disabled otherwise.
    pub keep_old: bool,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The account.
    pub account: Account,
    /// How many permanent keys it has.
    pub access_keys: usize,
    /// How many temporary keys it has that have not expired.
    pub temporary_keys: usize,
}

/// One access key, without what is secret about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKeyRow {
    /// Its id.
    pub id: AccessKeyId,
    /// Its account.
    pub account: Account,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ends, in milliseconds since 1970; `None`: it is permanent.
    pub expires_ms: Option<u64>,
}

/// One VPC of any account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedVpcRow {
    /// The VPC.
    pub vpc: Vpc,
    /// Its account.
    pub owner: Account,
    /// With whom it is shared, by number, each with the account.
    pub shares: Vec<(VpcShare, Account)>,
}
