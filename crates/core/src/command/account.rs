//! What is asked of accounts.
use crate::ids::AccessKeyId;
use crate::records::AccessKeySecret;
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
