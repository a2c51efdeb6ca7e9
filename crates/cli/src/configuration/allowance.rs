//! How much accounts may have and how often they may call: the tables `quotas` and `throttle` of
//! the file. They have no flag and no variable.

use std::collections::BTreeMap;

use portcullis_core::settings::{QuotaError, Quotas};
use portcullis_server::throttle::{BURST_MAX, CALLS_PER_MINUTE_MAX, Rate, ThrottleRule};
use portcullis_wire::ecs::action;
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigurationError, File};

/// Rules about how often calls are allowed; each call looks at all of them.
const THROTTLE_RULES_MAX: usize = 1000;

/// The table `quotas`: names of quotas with hyphens.
pub(super) type QuotaKeys = BTreeMap<Spanned<String>, Spanned<usize>>;

/// One rule of `throttle`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ThrottleKeys {
    account: Option<String>,
    action: Option<Spanned<String>>,
    calls_per_minute: Spanned<u32>,
    burst: Spanned<u32>,
}

pub(super) fn quotas(file: &File) -> Result<Quotas, ConfigurationError> {
    let mut quotas = Quotas::default();
    for (name, number) in &file.keys.quotas {
        let own = name.get_ref().replace('-', "_");
        quotas.set(&own, *number.get_ref()).map_err(|error| {
            let at = match error {
                QuotaError::Unknown => name.span().start,
                QuotaError::Outside(_) => number.span().start,
            };
            file.error(at, format!("quota `{}`: {error}", name.get_ref()))
        })?;
    }
    Ok(quotas)
}

pub(super) fn throttle(file: &File) -> Result<Vec<ThrottleRule>, ConfigurationError> {
    let keys = &file.keys.throttle;
    if let Some(beyond) = keys.get(THROTTLE_RULES_MAX) {
        let message = format!("there are more than {THROTTLE_RULES_MAX} rules of `throttle`");
        return Err(file.error(beyond.calls_per_minute.span().start, message));
    }
    keys.iter().map(|keys| throttle_rule(file, keys)).collect()
}

fn throttle_rule(file: &File, keys: &ThrottleKeys) -> Result<ThrottleRule, ConfigurationError> {
    if let Some(action) = &keys.action
        && !action::all().any(|own| own.name == action.get_ref())
    {
        let message = format!("there is no action `{}`", action.get_ref());
        return Err(file.error(action.span().start, message));
    }
    let rate = Rate::new(*keys.calls_per_minute.get_ref(), *keys.burst.get_ref());
    let rate = rate.ok_or_else(|| {
        let message = format!(
            "calls-per-minute is from 1 to {CALLS_PER_MINUTE_MAX}, burst from 1 to {BURST_MAX}"
        );
        file.error(keys.calls_per_minute.span().start, message)
    })?;
    let action = keys.action.as_ref().map(|action| action.get_ref().clone());
    Ok(ThrottleRule { account: keys.account.clone(), action, rate })
}
