//! Fields of accounts, keys and shares, as far as anybody may read them: no secret, no token.
use portcullis_core::command::{AccessKeyRow, AccountRow, OwnedVpcRow};

use super::time;
use crate::ecs::answer::{Answer, Fields};

pub(super) fn account(row: &AccountRow) -> Answer {
    Fields::new()
        .text("AccountId", row.account.id)
        .text("AccountName", &row.account.name)
        .text("CreateDate", time::format(row.account.created_ms))
        .into()
}

pub(super) fn access_key(row: &AccessKeyRow) -> Answer {
    Fields::new()
        .text("AccessKeyId", &row.id)
        .text("AccountId", row.account.id)
        .text("Status", if row.active { "Active" } else { "Inactive" })
        .text("CreateDate", time::format(row.created_ms))
        .text_or_empty("Expiration", row.expires_ms.map(time::format))
        .into()
}

pub(super) fn owned_vpc(row: &OwnedVpcRow) -> Answer {
    let shares = row.shares.iter().map(|(share, _)| Answer::of(share.account));
    Fields::new()
        .text("VpcId", &row.vpc.id)
        .text("OwnerId", row.owner.id)
        .list("SharedWith", "AccountId", shares)
        .into()
}
