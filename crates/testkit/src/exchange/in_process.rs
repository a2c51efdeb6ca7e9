//! A server without sockets: the wire's decoding, the state machine and the wire's answers, with a
//! clock that goes on by a millisecond a call and dice from a seed.

use super::language::{Share, Throttled};
use super::request::{Key, Request};
use super::{Reply, Server};
use portcullis_core::command::{Command, Context, CreateRootAccount, Dice};
use portcullis_core::ids::{AccessKeyId, AccountId};
use portcullis_core::records::{
    AccessKey, AccessKeySecret, Account, Change, KeySession, Record, SecurityToken,
};
use portcullis_core::settings::{Protocols, Quotas, Region, Settings};
use portcullis_core::state::State;
use portcullis_wire::ecs::action::dispatch;
use portcullis_wire::ecs::carrier::Call;
use portcullis_wire::ecs::decode::decode;
use portcullis_wire::ecs::http::{HttpRequest, HttpResponse};
use portcullis_wire::ecs::refusal::{Refusal, code};
use portcullis_wire::ecs::render::{
    Enforcement, EnforcementStatus, Presentation, Receipt, check_format, failure, request_id,
    success,
};
use portcullis_wire::ecs::signature::{SigningKey, verify};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What requests of the key `temporary` must carry.
pub const SECURITY_TOKEN: &str = "to+ken/=";
/// How long that key is good for.
pub const SESSION_LIFE_MS: u64 = 3_600_000;
/// Noon of a day, in milliseconds since 1970.
const NOON_MS: u64 = 1_764_000_000_000;

/// Numbers that look random and come the same way from the same seed.
#[derive(Clone)]
struct SeededDice(u64);

impl Dice for SeededDice {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // Constants of a well-known 64-bit linear generator; its high bits are good enough
            // here.
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

/// The server.
#[derive(Clone)]
pub struct InProcess {
    state: State,
    settings: Settings,
    dice: SeededDice,
    now_ms: u64,
    nonces: BTreeMap<(String, String), u64>,
    revision: u64,
}

impl InProcess {
    /// An empty server with a root account, two that have nothing, and a key of the root account
    /// that is disabled.
    ///
    /// # Errors
    /// When the accounts cannot be made.
    pub fn new() -> Result<Self, String> {
        let mut regions = Vec::new();
        for id in ["cn-hangzhou", "cn-qingdao-env17-d01"] {
            regions.push(Region::new(id.parse().map_err(|error| format!("{error}"))?));
        }
        let (quotas, protocols) = (Quotas::default(), Protocols::default());
        let settings = Settings { regions, quotas, protocols };
        let mut server = Self {
            state: State::new(),
            settings,
            dice: SeededDice(1),
            now_ms: NOON_MS,
            nonces: BTreeMap::new(),
            revision: 0,
        };
        server.make_accounts()?;
        Ok(server)
    }

    /// What it has come to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A command of the operator's.
    fn administer(&mut self, command: &Command) -> Result<(), String> {
        let mut context = Context {
            caller: AccountId(0),
            region: None,
            now_ms: self.now_ms,
            dice: &mut self.dice,
            settings: &self.settings,
            idempotency: None,
            dry_run: false,
        };
        let decision =
            self.state.apply(&mut context, command).map_err(|error| error.to_string())?;
        decision.changes.into_iter().for_each(|change| self.state.absorb(change));
        Ok(())
    }

    fn make_accounts(&mut self) -> Result<(), String> {
        let bad = |error: &dyn std::fmt::Display| error.to_string();
        let command = Command::CreateRootAccount(CreateRootAccount {
            name: "root".parse().map_err(|error| bad(&error))?,
            access_key: "rootkey".parse().map_err(|error| bad(&error))?,
            secret: AccessKeySecret::new(b"rootsecret"),
        });
        self.administer(&command)?;
        let root = self.state.root_account().ok_or("no root account")?.id;
        let (other, stranger) = (AccountId(1234), AccountId(5678));
        for (id, name) in [(other, "other@example.com"), (stranger, "stranger@example.com")] {
            let name = name.parse().map_err(|error| bad(&error))?;
            let account = Account { id, name, root: false, created_ms: self.now_ms };
            self.state.absorb(Change::Put(Record::Account(account)));
        }
        let session = KeySession {
            token: SecurityToken::new(SECURITY_TOKEN),
            expires_ms: self.now_ms + SESSION_LIFE_MS,
        };
        for (id, secret, account, active, session) in [
            ("otherkey", "othersecret", other, true, None),
            ("strangerkey", "strangersecret", stranger, true, None),
            ("oldkey", "oldsecret", root, false, None),
            ("temporarykey", "temporarysecret", root, true, Some(session)),
        ] {
            self.state.absorb(Change::Put(Record::AccessKey(AccessKey {
                id: id.parse().map_err(|error| bad(&error))?,
                secret: AccessKeySecret::new(secret.as_bytes()),
                account,
                active,
                created_ms: self.now_ms,
                session,
            })));
        }
        Ok(())
    }

    fn answer(&mut self, request: &HttpRequest) -> HttpResponse {
        self.now_ms += 1;
        let mut random = [0; 16];
        self.dice.fill(&mut random);
        let id = request_id(random);
        let mut presentation = Presentation::guess(request);
        self.carry_out(request, &id, &mut presentation)
            .unwrap_or_else(|refusal| failure(&presentation, &refusal, &id))
    }

    fn carry_out(
        &mut self,
        request: &HttpRequest,
        id: &str,
        presentation: &mut Presentation,
    ) -> Result<HttpResponse, Refusal> {
        let call = Call::read(request)?;
        *presentation = Presentation::of(&call);
        check_format(&call)?;
        let evidence = verify(&call, self.now_ms, |id| {
            self.state.access_key(&id.parse().ok()?).map(SigningKey::from)
        })?;
        let (key, nonce) = evidence.nonce_key();
        let nonce = (key.to_owned(), nonce.to_owned());
        if self.nonces.insert(nonce, evidence.expires_at_ms()).is_some_and(|t| t > self.now_ms) {
            let message = "Specified signature nonce was used already.";
            return Err(code::NONCE_USED.refuse(message));
        }
        let action = dispatch(&call)?;
        let decoded = decode(action, &call)?;
        let mut context = Context {
            caller: evidence.account(),
            region: decoded.region.clone(),
            now_ms: self.now_ms,
            dice: &mut self.dice,
            settings: &self.settings,
            idempotency: decoded.idempotency.clone(),
            dry_run: decoded.dry_run,
        };
        let decision = self.state.apply(&mut context, &decoded.command)?;
        decision.changes.into_iter().for_each(|change| self.state.absorb(change));
        let write = decoded.command.is_write();
        self.revision += u64::from(write);
        let waited = decoded.wait_timeout_ms.filter(|_| write);
        let receipt = Receipt {
            request_id: id.to_owned(),
            revision: write.then_some(self.revision),
            enforcement: waited.map(|_| Enforcement {
                status: EnforcementStatus::NotEnforced,
                interfaces: Vec::new(),
            }),
        };
        Ok(success(presentation, action.name, &decoded, &decision.outcome, &receipt))
    }
}

impl Server for InProcess {
    fn send(&mut self, request: &Request) -> Result<Reply, String> {
        let mut http = HttpRequest::new(&request.method, &request.target);
        http.headers.clone_from(&request.headers);
        http.body.clone_from(&request.body);
        let response = self.answer(&http);
        Ok(Reply {
            status: response.status,
            content_type: response.content_type.to_owned(),
            headers: response.headers.into_iter().map(|(n, v)| (n.to_owned(), v)).collect(),
            body: response.body,
        })
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn key(&self, name: &str) -> Option<Key> {
        let keys = [
            ("root", "rootkey", "rootsecret"),
            ("other", "otherkey", "othersecret"),
            ("old", "oldkey", "oldsecret"),
            ("stranger", "strangerkey", "strangersecret"),
            ("temporary", "temporarykey", "temporarysecret"),
        ];
        keys.iter()
            .find(|(own, _, _)| *own == name)
            .map(|(_, id, secret)| Key { id: (*id).to_owned(), secret: (*secret).to_owned() })
    }

    fn share(&mut self, share: &Share) -> Result<(), String> {
        let bad = |error: &dyn std::fmt::Display| error.to_string();
        let key = self.key(&share.key).ok_or("no such key")?;
        let key: AccessKeyId = key.id.parse().map_err(|error| bad(&error))?;
        let account = self.state.access_key(&key).ok_or("no such key")?.account;
        let vpc = share.vpc.parse().map_err(|error| bad(&error))?;
        let command = match share.shared {
            true => Command::ShareVpc { vpc, account },
            false => Command::UnshareVpc { vpc, account },
        };
        self.administer(&command)
    }

    fn tell(&mut self, _question: Map<String, Value>) -> Result<Value, String> {
        Err("no control socket here".to_owned())
    }

    fn offers(&self, need: &str) -> bool {
        matches!(need, "clock" | "quotas" | "accounts" | "tokens" | "long-targets")
    }

    fn later(&mut self, milliseconds: u64) {
        self.now_ms += milliseconds;
    }

    fn set_quota(&mut self, name: &str, number: usize) -> Result<(), String> {
        let set = self.settings.quotas.set(name, number);
        set.map_err(|error| format!("quota `{name}`: {error}"))
    }

    fn throttle(&mut self, rules: &[Throttled]) -> Result<(), String> {
        if rules.is_empty() { Ok(()) } else { Err("no rates here".to_owned()) }
    }
}
