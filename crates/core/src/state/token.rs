//! Client tokens: the same write twice has the first one's answer and happens once.
//!
//! Knows a digest of what was asked, not what it was. Only writes that succeeded are remembered.
use alloc::format;
use alloc::vec::Vec;

use crate::command::{Context, Outcome, Written};
use crate::error::ApiError;
use crate::ids::AccountId;
use crate::limits::{CLIENT_TOKEN_LIFE_MS, EXPIRED_TOKENS_PER_WRITE_MAX};
use crate::records::{Change, Record, RecordKey, TokenRecord};
use crate::state::{Decision, State};
use crate::text::ClientToken;

/// What a token takes beside the text of its answer: its record, and its places in two maps.
/// Rounded up.
const TOKEN_BYTES: usize = 512;

/// The tokens of one account that are remembered, the expired ones that are still there included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TokenSum {
    count: usize,
    bytes: usize,
}

impl TokenSum {
    fn with(self, record: &TokenRecord) -> Self {
        Self { count: self.count + 1, bytes: self.bytes.saturating_add(bytes_of(record)) }
    }

    fn without(self, record: &TokenRecord) -> Self {
        let count = self.count.saturating_sub(1);
        Self { count, bytes: self.bytes.saturating_sub(bytes_of(record)) }
    }
}

/// About how much memory a record takes: it depends on nothing but the record.
fn bytes_of(record: &TokenRecord) -> usize {
    TOKEN_BYTES + record.token.as_str().len() + record.written.text_bytes()
}

impl State {
    /// What was answered to the same request, if its token is known and has not expired.
    pub(super) fn recall(&self, context: &Context<'_>) -> Result<Option<Written>, ApiError> {
        let Some(asked) = &context.idempotency else { return Ok(None) };
        let key = (context.caller, asked.token.clone());
        match self.tokens.get(&key).filter(|known| context.now_ms < known.expires_ms) {
            None => Ok(None),
            Some(known) if known.digest == asked.digest => Ok(Some(known.written.clone())),
            Some(_) => Err(ApiError::invalid(
                "IdempotentParameterMismatch",
                "The request uses the same ClientToken as a previous, but non-identical request.",
            )
            .at("ClientToken")
            .help("Repeat a request with the parameters it had, or send a new ClientToken.")),
        }
    }

    /// Adds what the token needs to a decision: the answer under the token, and a few expired
    /// tokens removed.
    pub(super) fn remember(
        &self,
        context: &Context<'_>,
        decision: &mut Decision,
    ) -> Result<(), ApiError> {
        let own = context.idempotency.as_ref().map(|asked| (context.caller, &asked.token));
        if own.is_none() && decision.changes.is_empty() {
            return Ok(());
        }
        let expired: Vec<(AccountId, ClientToken)> = self
            .index
            .token_expiry
            .iter()
            .take_while(|(expires_ms, _, _)| *expires_ms <= context.now_ms)
            .filter(|(_, account, token)| own != Some((*account, token)))
            .take(EXPIRED_TOKENS_PER_WRITE_MAX)
            .map(|(_, account, token)| (*account, token.clone()))
            .collect();
        if let (Some(asked), Outcome::Written(written)) = (&context.idempotency, &decision.outcome)
        {
            let record = TokenRecord {
                account: context.caller,
                token: asked.token.clone(),
                digest: asked.digest,
                written: written.clone(),
                expires_ms: context.now_ms.saturating_add(CLIENT_TOKEN_LIFE_MS),
            };
            self.check_token_quotas(context, &record, &expired)?;
            decision.changes.push(Change::Put(Record::Token(record)));
        }
        let removed = expired.into_iter().map(|(account, token)| RecordKey::Token(account, token));
        decision.changes.extend(removed.map(Change::Delete));
        Ok(())
    }

    /// Every token is kept for its whole life, so there must be an end to their number and to their
    /// bytes. Those that expired and go with this very write make room, and so does the token's own
    /// old record.
    fn check_token_quotas(
        &self,
        context: &Context<'_>,
        record: &TokenRecord,
        expired: &[(AccountId, ClientToken)],
    ) -> Result<(), ApiError> {
        let known = self.index.tokens_of_account.get(&context.caller).copied().unwrap_or_default();
        let own = (record.account, record.token.clone());
        let leaving = expired.iter().chain([&own]).filter(|(account, _)| *account == own.0);
        let leaving = leaving.filter_map(|key| self.tokens.get(key));
        let left = leaving.fold(known, TokenSum::without).with(record);
        let quotas = &context.settings.quotas;
        let message = if left.count > quotas.client_tokens_per_account {
            let quota = quotas.client_tokens_per_account;
            format!("The account's {quota} client tokens of the last 24 hours are all remembered.")
        } else if left.bytes > quotas.client_token_bytes_per_account {
            let quota = quotas.client_token_bytes_per_account;
            format!("The answers to the account's client tokens take {quota} bytes already.")
        } else {
            return Ok(());
        };
        Err(ApiError::forbidden("QuotaExceed.ClientToken", message)
            .at("ClientToken")
            .help("Send the request without a ClientToken, or wait until older ones expire."))
    }

    pub(super) fn put_token(&mut self, record: TokenRecord) {
        self.remove_token(record.account, &record.token);
        self.index.token_expiry.insert((record.expires_ms, record.account, record.token.clone()));
        let sum = self.index.tokens_of_account.entry(record.account).or_default();
        *sum = sum.with(&record);
        self.tokens.insert((record.account, record.token.clone()), record);
    }

    pub(super) fn remove_token(&mut self, account: AccountId, token: &ClientToken) {
        if let Some(old) = self.tokens.remove(&(account, token.clone())) {
            let left = self.index.tokens_of_account.remove(&account).unwrap_or_default();
            let left = left.without(&old);
            if left != TokenSum::default() {
                self.index.tokens_of_account.insert(account, left);
            }
            self.index.token_expiry.remove(&(old.expires_ms, account, old.token));
        }
    }
}
