//! Client tokens: the same write twice has the first one's answer and happens once.
//!
//! Knows a digest of what was asked, not what it was. Only writes that succeeded are remembered.
use alloc::vec::Vec;

use crate::command::{Context, Outcome, Written};
use crate::error::ApiError;
use crate::ids::AccountId;
use crate::limits::{CLIENT_TOKEN_LIFE_MS, EXPIRED_TOKENS_PER_WRITE_MAX};
use crate::records::{Change, Record, RecordKey, TokenRecord};
use crate::state::index::shift;
use crate::state::{Decision, State};
use crate::text::ClientToken;

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
            let leaving = expired.iter().filter(|(account, _)| *account == context.caller).count();
            self.check_token_quota(context, &asked.token, leaving)?;
            decision.changes.push(Change::Put(Record::Token(TokenRecord {
                account: context.caller,
                token: asked.token.clone(),
                digest: asked.digest,
                written: written.clone(),
                expires_ms: context.now_ms.saturating_add(CLIENT_TOKEN_LIFE_MS),
            })));
        }
        let removed = expired.into_iter().map(|(account, token)| RecordKey::Token(account, token));
        decision.changes.extend(removed.map(Change::Delete));
        Ok(())
    }

    /// Every token is kept for its whole life, so there must be an end to their number. `leaving`
    /// of the caller's go with this very write.
    fn check_token_quota(
        &self,
        context: &Context<'_>,
        token: &ClientToken,
        leaving: usize,
    ) -> Result<(), ApiError> {
        let is_known = self.tokens.contains_key(&(context.caller, token.clone()));
        let count = self.index.tokens_of_account.get(&context.caller).copied().unwrap_or(0);
        let quota = context.settings.quotas.client_tokens_per_account;
        if is_known || count.saturating_sub(leaving) < quota {
            return Ok(());
        }
        let message = alloc::format!(
            "The account's {quota} client tokens of the last 24 hours are all remembered."
        );
        Err(ApiError::forbidden("QuotaExceed.ClientToken", message)
            .at("ClientToken")
            .help("Send the request without a ClientToken, or wait until older ones expire."))
    }

    pub(super) fn put_token(&mut self, record: TokenRecord) {
        self.remove_token(record.account, &record.token);
        self.index.token_expiry.insert((record.expires_ms, record.account, record.token.clone()));
        shift(&mut self.index.tokens_of_account, &record.account, 1, 0);
        self.tokens.insert((record.account, record.token.clone()), record);
    }

    pub(super) fn remove_token(&mut self, account: AccountId, token: &ClientToken) {
        if let Some(old) = self.tokens.remove(&(account, token.clone())) {
            self.index.token_expiry.remove(&(old.expires_ms, account, old.token));
            shift(&mut self.index.tokens_of_account, &account, 0, 1);
        }
    }
}
