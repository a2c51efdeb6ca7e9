//! Client tokens: the same write twice has the first one's answer and happens once.
//!
//! Knows a digest of what was asked, not what it was. Only writes that succeeded are remembered.
use crate::command::{Context, Outcome, Written};
use crate::error::ApiError;
use crate::ids::AccountId;
use crate::limits::{CLIENT_TOKEN_LIFE_MS, EXPIRED_TOKENS_PER_WRITE_MAX};
use crate::records::{Change, Record, RecordKey, TokenRecord};
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
    pub(super) fn remember(&self, context: &Context<'_>, decision: &mut Decision) {
        let own = context.idempotency.as_ref().map(|asked| (context.caller, &asked.token));
        if own.is_none() && decision.changes.is_empty() {
            return;
        }
        let expired = self
            .index
            .token_expiry
            .iter()
            .take_while(|(expires_ms, _, _)| *expires_ms <= context.now_ms)
            .filter(|(_, account, token)| own != Some((*account, token)))
            .take(EXPIRED_TOKENS_PER_WRITE_MAX)
            .map(|(_, account, token)| Change::Delete(RecordKey::Token(*account, token.clone())));
        decision.changes.extend(expired);
        if let (Some(asked), Outcome::Written(written)) = (&context.idempotency, &decision.outcome)
        {
            decision.changes.push(Change::Put(Record::Token(TokenRecord {
                account: context.caller,
                token: asked.token.clone(),
                digest: asked.digest,
                written: written.clone(),
                expires_ms: context.now_ms.saturating_add(CLIENT_TOKEN_LIFE_MS),
            })));
        }
    }

    pub(super) fn put_token(&mut self, record: TokenRecord) {
        self.remove_token(record.account, &record.token);
        self.index.token_expiry.insert((record.expires_ms, record.account, record.token.clone()));
        self.tokens.insert((record.account, record.token.clone()), record);
    }

    pub(super) fn remove_token(&mut self, account: AccountId, token: &ClientToken) {
        if let Some(old) = self.tokens.remove(&(account, token.clone())) {
            self.index.token_expiry.remove(&(old.expires_ms, account, old.token));
        }
    }
}
