//! How often an account may call an action: a bucket of calls for each pair of both that a rule of
//! the operator's speaks of. Off without rules.
//!
//! The time is an argument. A bucket is one number, the moment at which it will be full again (the
//! generic cell rate algorithm), and a full bucket is no bucket at all, so that only those who call
//! now take memory. It knows accounts and names of actions, and nothing of what they do.

use std::collections::HashMap;

use portcullis_core::ids::AccountId;

/// Buckets at the same time, in about 5 MB. With all in use a pair without a bucket is refused.
pub const BUCKETS_MAX: usize = 100_000;
/// How often, at most, a full memory is looked through for buckets that are full again.
const SWEEP_INTERVAL_US: u64 = 1_000_000;
/// The most calls a minute that can be configured.
pub const CALLS_PER_MINUTE_MAX: u32 = 6_000_000;
/// The most calls at once that can be configured.
pub const BURST_MAX: u32 = 1_000_000;

const MINUTE_US: u64 = 60_000_000;

/// How often: so many calls a minute in the long run, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    calls_per_minute: u32,
    burst: u32,
}

impl Rate {
    /// This rate; `None` unless both are from 1 to [`CALLS_PER_MINUTE_MAX`] and [`BURST_MAX`].
    pub fn new(calls_per_minute: u32, burst: u32) -> Option<Rate> {
        let is_sound = (1..=CALLS_PER_MINUTE_MAX).contains(&calls_per_minute)
            && (1..=BURST_MAX).contains(&burst);
        is_sound.then_some(Rate { calls_per_minute, burst })
    }

    /// The time that one call takes to come back, rounded up so that the rate is never exceeded.
    fn interval_us(self) -> u64 {
        MINUTE_US.div_ceil(u64::from(self.calls_per_minute))
    }
}

/// A rate, and whose calls of what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleRule {
    /// Only this account, by number or name.
    pub account: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// How often.
    pub rate: Rate,
}

/// Who calls what.
pub(crate) struct Caller<'a> {
    pub(crate) account: AccountId,
    pub(crate) account_name: &'a str,
    pub(crate) action: &'static str,
}

/// The buckets.
pub(crate) struct Throttle {
    rules: Vec<ThrottleRule>,
    buckets_max: usize,
    /// When each will be full again, in microseconds since 1970.
    full_at_us: HashMap<(AccountId, &'static str), u64>,
    /// When they were last looked through for full ones.
    swept_at_us: u64,
}

impl Throttle {
    /// The buckets of these rules; nothing where there are none.
    pub(crate) fn of_rules(rules: Vec<ThrottleRule>) -> Option<Throttle> {
        (!rules.is_empty()).then(|| Throttle::new(rules, BUCKETS_MAX))
    }

    fn new(rules: Vec<ThrottleRule>, buckets_max: usize) -> Throttle {
        Throttle { rules, buckets_max, full_at_us: HashMap::new(), swept_at_us: 0 }
    }

    /// Takes a call out of the caller's bucket, or says after how many milliseconds there is one.
    pub(crate) fn admit(&mut self, caller: &Caller<'_>, now_ms: u64) -> Result<(), u64> {
        let Some(rate) = self.rate_of(caller) else { return Ok(()) };
        let interval_us = rate.interval_us();
        let emptied_us = interval_us * u64::from(rate.burst);
        let now_us = now_ms.saturating_mul(1000);
        let key = (caller.account, caller.action);
        // A clock that was set back leaves no bucket emptier than empty.
        let full_at_us = self.full_at_us.get(&key).copied().unwrap_or(0);
        let full_at_us = full_at_us.clamp(now_us, now_us.saturating_add(emptied_us));
        let next_us = full_at_us.saturating_add(interval_us);
        let wait_us = next_us.saturating_sub(now_us.saturating_add(emptied_us));
        if wait_us > 0 {
            self.full_at_us.insert(key, full_at_us);
            return Err(wait_us.div_ceil(1000));
        }
        if !self.full_at_us.contains_key(&key) && self.full_at_us.len() >= self.buckets_max {
            // A refusal must cost little: they are not looked through at each.
            if self.swept_at_us.abs_diff(now_us) >= SWEEP_INTERVAL_US {
                self.swept_at_us = now_us;
                self.full_at_us.retain(|_, full_at_us| *full_at_us > now_us);
            }
            if self.full_at_us.len() >= self.buckets_max {
                return Err(interval_us.div_ceil(1000));
            }
        }
        self.full_at_us.insert(key, next_us);
        Ok(())
    }

    /// The rate of the rule that says most: account and action, else the account, else the action,
    /// else neither. Of two that say as much the first holds.
    fn rate_of(&self, caller: &Caller<'_>) -> Option<Rate> {
        let is_of = |rule: &&ThrottleRule| {
            let account = rule.account.as_deref().is_none_or(|account| {
                account == caller.account_name || account == caller.account.to_string()
            });
            account && rule.action.as_deref().is_none_or(|action| action == caller.action)
        };
        let weight = |rule: &ThrottleRule| (rule.account.is_none(), rule.action.is_none());
        self.rules.iter().filter(is_of).min_by_key(|rule| weight(rule)).map(|rule| rule.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_764_000_000_000;

    fn rule(account: &str, action: &str, calls_per_minute: u32, burst: u32) -> ThrottleRule {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let rate = Rate::new(calls_per_minute, burst).unwrap();
        ThrottleRule { account: some(account), action: some(action), rate }
    }

    fn caller(account: u64, action: &'static str) -> Caller<'static> {
        let account_name = if account == 1 { "root" } else { "web" };
        Caller { account: AccountId(account), account_name, action }
    }

    /// How many calls in a row are admitted.
    fn row(throttle: &mut Throttle, caller: &Caller<'_>, now_ms: u64) -> usize {
        (0..100).take_while(|_| throttle.admit(caller, now_ms).is_ok()).count()
    }

    #[test]
    fn without_rules_nothing_is_refused_and_nothing_kept() {
        assert!(Throttle::of_rules(Vec::new()).is_none());
        let mut throttle = Throttle::new(Vec::new(), BUCKETS_MAX);
        assert_eq!(row(&mut throttle, &caller(1, "A"), NOW_MS), 100);
        assert!(throttle.full_at_us.is_empty());
    }

    #[test]
    fn a_burst_is_admitted_then_one_call_an_interval() {
        let mut throttle = Throttle::new(vec![rule("", "", 60, 3)], BUCKETS_MAX);
        let caller = caller(1, "A");
        assert_eq!(row(&mut throttle, &caller, NOW_MS), 3);
        assert_eq!(throttle.admit(&caller, NOW_MS), Err(1000));
        assert_eq!(throttle.admit(&caller, NOW_MS + 999), Err(1), "a refusal costs nothing");
        assert_eq!(throttle.admit(&caller, NOW_MS + 1000), Ok(()));
        assert_eq!(throttle.admit(&caller, NOW_MS + 1000), Err(1000));
        assert_eq!(row(&mut throttle, &caller, NOW_MS + 3000), 2);
        assert_eq!(row(&mut throttle, &caller, NOW_MS + 1_000_000), 3, "no more than a burst");
    }

    #[test]
    fn what_is_said_to_wait_is_enough_and_not_too_much() {
        for (calls_per_minute, burst) in [(7, 1), (60, 5), (999, 2), (CALLS_PER_MINUTE_MAX, 1)] {
            let mut throttle =
                Throttle::new(vec![rule("", "", calls_per_minute, burst)], BUCKETS_MAX);
            let caller = caller(1, "A");
            row(&mut throttle, &caller, NOW_MS);
            let wait_ms = throttle.admit(&caller, NOW_MS).unwrap_err();
            assert!(throttle.admit(&caller, NOW_MS + wait_ms - 1).is_err());
            assert!(throttle.admit(&caller, NOW_MS + wait_ms).is_ok());
        }
    }

    #[test]
    fn each_account_has_a_bucket_for_each_action() {
        let mut throttle = Throttle::new(vec![rule("", "", 60, 2)], BUCKETS_MAX);
        for caller in [caller(1, "A"), caller(1, "B"), caller(2, "A")] {
            assert_eq!(row(&mut throttle, &caller, NOW_MS), 2);
        }
    }

    #[test]
    fn the_rule_that_says_most_holds() {
        let rules = vec![
            rule("", "", 60, 1),
            rule("", "A", 60, 2),
            rule("web", "", 60, 3),
            rule("2", "A", 60, 4),
            rule("web", "A", 60, 5),
            rule("", "C", 60, 6),
        ];
        for (number, action, burst) in
            [(1, "B", 1), (1, "A", 2), (2, "B", 3), (2, "A", 4), (2, "C", 3), (1, "C", 6)]
        {
            let mut throttle = Throttle::new(rules.clone(), BUCKETS_MAX);
            assert_eq!(
                row(&mut throttle, &caller(number, action), NOW_MS),
                burst,
                "{number} {action}"
            );
        }
        let only_web = vec![rule("web", "", 60, 3)];
        assert_eq!(row(&mut Throttle::new(only_web, BUCKETS_MAX), &caller(1, "A"), NOW_MS), 100);
    }

    #[test]
    fn memory_has_an_end_and_full_buckets_leave_it() {
        let mut throttle = Throttle::new(vec![rule("", "", 60, 1)], 2);
        assert_eq!(throttle.admit(&caller(1, "A"), NOW_MS), Ok(()));
        assert_eq!(throttle.admit(&caller(2, "A"), NOW_MS), Ok(()));
        assert_eq!(throttle.admit(&caller(3, "A"), NOW_MS), Err(1000));
        assert_eq!(throttle.full_at_us.len(), 2);
        let before = throttle.swept_at_us;
        assert_eq!(throttle.admit(&caller(3, "A"), NOW_MS + 999), Err(1000));
        assert_eq!(throttle.swept_at_us, before, "not looked through again so soon");
        assert_eq!(throttle.admit(&caller(3, "A"), NOW_MS + 1000), Ok(()));
        assert_eq!(throttle.full_at_us.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let mut throttle = Throttle::new(vec![rule("", "", 60, 2)], BUCKETS_MAX);
        let caller = caller(1, "A");
        assert_eq!(row(&mut throttle, &caller, NOW_MS), 2);
        assert_eq!(throttle.admit(&caller, NOW_MS - 3_600_000), Err(1000));
        assert_eq!(throttle.admit(&caller, NOW_MS - 3_600_000 + 1000), Ok(()));
    }

    #[test]
    fn a_rate_has_two_ends() {
        assert!(Rate::new(1, 1).is_some());
        assert!(Rate::new(CALLS_PER_MINUTE_MAX, BURST_MAX).is_some());
        for (calls_per_minute, burst) in
            [(0, 1), (1, 0), (CALLS_PER_MINUTE_MAX + 1, 1), (1, BURST_MAX + 1)]
        {
            assert_eq!(Rate::new(calls_per_minute, burst), None);
        }
    }
}
