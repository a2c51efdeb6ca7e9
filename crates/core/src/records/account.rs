//! Who there is, what they sign with, and whose VPCs they may use.
use alloc::sync::Arc;
use core::fmt;

use crate::ids::{AccessKeyId, AccountId, VpcId};
use crate::text::AccountName;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name, by which a rule may call it (`DestGroupOwnerAccount`).
    pub name: AccountName,
    /// Whether it is the root account.
    pub root: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// What an access key signs with. Never shown: its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKeySecret(Arc<[u8]>);

impl AccessKeySecret {
    /// These bytes, as a secret.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for whoever signs or stores.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AccessKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The token that goes with every request of a temporary key (`SecurityToken`). As little shown as
/// the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityToken(Arc<str>);

impl SecurityToken {
    /// This text, as a token.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself, for whoever compares or stores.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecurityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(token)")
    }
}

/// What makes a key a temporary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySession {
    /// What its requests must carry.
    pub token: SecurityToken,
    /// From when on it is of no use, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, which requests name.
    pub id: AccessKeyId,
    /// What it signs with.
    pub secret: AccessKeySecret,
    /// The account it speaks for.
    pub account: AccountId,
    /// Whether it may be used.
    pub active: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Its token and its end; `None`: it is permanent.
    pub session: Option<KeySession>,
}

impl AccessKey {
    /// Whether it has come to its end. A permanent key never does.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.session.as_ref().is_some_and(|session| session.expires_ms <= now_ms)
    }
}

/// That a VPC is shared with an account that does not own it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcShare {
    /// The VPC.
    pub vpc: VpcId,
    /// Who may use it beside its owner.
    pub account: AccountId,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}
