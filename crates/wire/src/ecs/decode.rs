//! From a call to the command it asks for, with the options that surround every action.
//!
//! Required parameters are checked from the action's table before its decoder runs. Who calls and
//! whether the command is carried out is decided elsewhere.
use portcullis_core::command::{Command, Idempotency};
use portcullis_core::ids::RegionId;
use sha2::{Digest, Sha256};

use super::action::{Action, Kind};
use super::arguments::Arguments;
use super::carrier::Call;
use super::limits::{WAIT_TIMEOUT_MS_DEFAULT, WAIT_TIMEOUT_MS_MAX};
use super::refusal::Refusal;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The command.
    pub command: Command,
    /// The region, where one was named.
    pub region: Option<RegionId>,
    /// The client token of a write, with the digest of what it asks for.
    pub idempotency: Option<Idempotency>,
    /// Whether to check only.
    pub dry_run: bool,
    /// How long to wait for enforcement, where that is asked for.
    pub wait_timeout_ms: Option<u64>,
}

/// Reads a call as the action's table says.
pub fn decode(action: &'static Action, call: &Call<'_>) -> Result<Decoded, Refusal> {
    let arguments = Arguments::new(action, &call.parameters);
    let region = region(action, call, &arguments)?;
    for parameter in action.parameters().filter(|parameter| parameter.required) {
        // A list is asked for by its decoder, which knows what else may stand for it.
        let absent = parameter.kind != Kind::List && arguments.text(parameter.name).is_none();
        if absent && parameter.name != "RegionId" {
            return Err(Refusal::missing(parameter.name));
        }
    }
    let command = (action.decode)(&arguments)?;
    let mut decoded =
        Decoded { command, region, idempotency: None, dry_run: false, wait_timeout_ms: None };
    if action.write {
        let token = arguments.parse("ClientToken")?;
        decoded.idempotency =
            token.map(|token| Idempotency { token, digest: digest(action, call, &decoded.region) });
        decoded.dry_run = arguments.boolean("DryRun")?.unwrap_or(false);
        let timeout = arguments.integer("WaitTimeout", 0..=WAIT_TIMEOUT_MS_MAX)?;
        let wait = arguments.boolean("WaitUntilEnforced")?.unwrap_or(false);
        decoded.wait_timeout_ms = wait.then_some(timeout.unwrap_or(WAIT_TIMEOUT_MS_DEFAULT));
    }
    Ok(decoded)
}

fn region(
    action: &Action,
    call: &Call<'_>,
    arguments: &Arguments<'_>,
) -> Result<Option<RegionId>, Refusal> {
    let required = action.parameter("RegionId").is_some_and(|parameter| parameter.required);
    match call.region()? {
        Some(text) => text.parse().map(Some).map_err(|_| arguments.refuse("RegionId", text)),
        None if required => Err(Refusal::missing("RegionId")),
        None => Ok(None),
    }
}

/// Parameters of every write that are no part of what it asks for.
const NOT_ASKED: [&str; 4] = ["ClientToken", "DryRun", "WaitUntilEnforced", "WaitTimeout"];

/// SHA-256 over the action and those parameters that its table knows, by name. Whatever carried
/// them and whatever surrounds them (signature, format, unknown parameters) does not matter.
fn digest(action: &Action, call: &Call<'_>, region: &Option<RegionId>) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut put = |text: &str| {
        // Lengths keep neighbours apart.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    put(action.name);
    put(region.as_ref().map_or("", RegionId::as_str));
    let known = |name: &str| {
        let root = root(name);
        root != "RegionId"
            && !NOT_ASKED.contains(&root)
            && action.parameters().any(|parameter| self::root(parameter.name) == root)
    };
    for (name, value) in call.parameters.pairs() {
        if known(name) && !value.is_empty() {
            put(name);
            put(value);
        }
    }
    digest.finalize().into()
}

/// `Tag` of `Tag.1.Key`.
fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}
