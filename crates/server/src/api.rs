//! One request of the API, from plain HTTP to plain HTTP: who asks, what for, what became of it.
//!
//! Every step is somebody else's: the wire reads, verifies, decodes and renders; the state decides;
//! the writer keeps; the host enforces. Here is their order, and the refusal of replays.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::command::{Context, Outcome};
use portcullis_core::error::ApiError;
use portcullis_core::ids::{AccessKeyId, AccountId};
use portcullis_core::settings::Settings;
use portcullis_wire::ecs::action;
use portcullis_wire::ecs::carrier::Call;
use portcullis_wire::ecs::decode::{Decoded, decode};
use portcullis_wire::ecs::http::{HttpRequest, HttpResponse};
use portcullis_wire::ecs::refusal::{Refusal, code};
use portcullis_wire::ecs::render::{self, Presentation, Receipt};
use portcullis_wire::ecs::signature::{self, Authenticated, SigningKey};

use crate::clock::{Clock, SystemDice};
use crate::host::{Asker, Host, Waited};
use crate::identity::request_id;
use crate::limits::Limits;
use crate::listen::Service;
use crate::metrics::{Calls, OK, UNKNOWN};
use crate::nonces::{Nonce, Nonces, Replay};
use crate::published::Published;
use crate::refusal;
use crate::throttle::{Caller, Throttle};
use crate::writer::{Write, WriteQueue};

/// All that an answer may need.
pub(crate) struct Api {
    pub(crate) published: Arc<Published>,
    pub(crate) queue: WriteQueue,
    pub(crate) host: Arc<Host>,
    pub(crate) nonces: Mutex<Nonces>,
    /// Nothing where the operator has no rules.
    pub(crate) throttle: Option<Mutex<Throttle>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) calls: Arc<Calls>,
}

/// Who a call is from, once its signature is verified.
struct Proof {
    caller: AccountId,
    signer: AccessKeyId,
    nonce: Nonce,
}

/// A call that was carried out.
struct Done {
    action_name: &'static str,
    decoded: Decoded,
    outcome: Outcome,
    receipt: Receipt,
}

impl Service for Api {
    async fn answer(&self, request: HttpRequest) -> HttpResponse {
        let id = request_id();
        let call = match Call::read(&request) {
            Ok(call) => call,
            Err(refused) => {
                self.calls.count(UNKNOWN, &refused.code);
                return render::failure(&Presentation::guess(&request), &refused, &id);
            }
        };
        let presentation = Presentation::of(&call);
        let carried_out = self.carry_out(&call).await;
        self.count(&call, &carried_out);
        match carried_out {
            Ok(Done { action_name, decoded, outcome, receipt }) => {
                let receipt = Receipt { request_id: id, ..receipt };
                render::success(&presentation, action_name, &decoded, &outcome, &receipt)
            }
            Err(refused) => {
                tracing::debug!(request = id, code = %refused.code, "a call is refused");
                render::failure(&presentation, &refused, &id)
            }
        }
    }
}

impl Api {
    fn count(&self, call: &Call<'_>, carried_out: &Result<Done, Refusal>) {
        match carried_out {
            Ok(done) => self.calls.count(done.action_name, OK),
            Err(refused) => {
                let action = action::dispatch(call).map_or(UNKNOWN, |action| action.name);
                self.calls.count(action, &refused.code);
            }
        }
    }

    async fn carry_out(&self, call: &Call<'_>) -> Result<Done, Refusal> {
        render::check_format(call)?;
        let proof = self.authenticate(call)?;
        let caller = proof.caller;
        let action = action::dispatch(call)?;
        self.throttle(caller, action.name)?;
        let decoded = decode(action, call)?;
        let (outcome, receipt) = match decoded.command.is_write() {
            true => self.write(proof, &decoded).await?,
            false => (self.read(caller, &decoded)?, Receipt::default()),
        };
        Ok(Done { action_name: action.name, decoded, outcome, receipt })
    }

    /// Who calls, with the proof that this very call was not made before.
    fn authenticate(&self, call: &Call<'_>) -> Result<Proof, Refusal> {
        let now_ms = self.clock.now_ms();
        let evidence = signature::verify(call, now_ms, |id| self.signing_key(id))?;
        let nonce = self.admit(&evidence, now_ms)?;
        // The key of such a signature was found by this id.
        let signer = evidence.access_key_id().parse().map_err(|_| refusal::key_is_gone())?;
        Ok(Proof { caller: evidence.account(), signer, nonce })
    }

    /// Refuses what its account may not call so often.
    fn throttle(&self, account: AccountId, action: &'static str) -> Result<(), Refusal> {
        let Some(throttle) = &self.throttle else { return Ok(()) };
        let name = self
            .published
            .read(|state, _| state.account(account).map(|account| account.name.clone()));
        let account_name = name.as_ref().map(|name| name.as_str()).unwrap_or_default();
        let caller = Caller { account, account_name, action };
        // Nothing in there panics half-way; a poisoned lock guards whole buckets.
        let mut throttle = throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.admit(&caller, self.clock.now_ms()).map_err(|retry_after_ms| {
            code::THROTTLING_USER
                .refuse("Request was denied due to user flow control.")
                .with_help(format!("Try again after {retry_after_ms} milliseconds."))
                .after(retry_after_ms)
        })
    }

    fn signing_key(&self, id: &str) -> Option<SigningKey> {
        let id: AccessKeyId = id.parse().ok()?;
        self.published.read(|state, _| state.access_key(&id).map(SigningKey::from))
    }

    fn admit(&self, evidence: &Authenticated, now_ms: u64) -> Result<Nonce, Refusal> {
        let (access_key_id, text) = evidence.nonce_key();
        let nonce = Nonce::new(access_key_id, text, evidence.timestamp_ms());
        // Nothing in there panics half-way; a poisoned lock guards a whole memory.
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        nonces.admit(nonce, now_ms).map_err(|replay| match replay {
            Replay::Expired => code::TIMESTAMP_EXPIRED
                .refuse("Specified time stamp or date value is expired.")
                .with_help("The server no longer remembers requests of that time.")
                .at("Timestamp"),
            Replay::Used => code::NONCE_USED
                .refuse("Specified signature nonce was used already.")
                .with_help("Draw a new nonce for every request.")
                .at("SignatureNonce"),
            Replay::Full => Refusal::from(refusal::unavailable(
                "The server cannot remember more requests at the moment.",
                "Nothing was changed. Try again after a minute.",
            )),
        })?;
        Ok(nonce)
    }

    fn read(&self, caller: AccountId, decoded: &Decoded) -> Result<Outcome, ApiError> {
        let mut context = Context {
            caller,
            region: decoded.region.clone(),
            now_ms: self.clock.now_ms(),
            dice: &mut SystemDice,
            settings: &self.settings,
            idempotency: None,
            dry_run: decoded.dry_run,
        };
        self.published
            .read(|state, _| state.apply(&mut context, &decoded.command))
            .map(|decision| decision.outcome)
    }

    async fn write(&self, proof: Proof, decoded: &Decoded) -> Result<(Outcome, Receipt), ApiError> {
        let Proof { caller, signer, nonce } = proof;
        let write = Write {
            command: decoded.command.clone(),
            caller,
            signer: Some(signer),
            region: decoded.region.clone(),
            idempotency: decoded.idempotency.clone(),
            dry_run: decoded.dry_run,
            nonce: Some(nonce),
            wants_concerned: decoded.wait_timeout_ms.is_some(),
        };
        let committed = self.queue.write(write).await?;
        let mut receipt = Receipt { revision: Some(committed.revision), ..Receipt::default() };
        if let Some(asked_ms) = decoded.wait_timeout_ms {
            let timeout = Duration::from_millis(asked_ms.min(self.limits.wait_time_max_ms));
            let (revision, concerned) = (committed.revision, &committed.concerned);
            let waited = Waited { revision, concerned, asker: Asker::Account(caller) };
            receipt.enforcement = Some(self.host.wait(timeout, &waited).await);
        }
        Ok((committed.outcome, receipt))
    }
}
