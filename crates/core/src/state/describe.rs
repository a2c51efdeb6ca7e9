//! From all that match to the part that was asked for. Knows keys and pages, nothing of what the
//! rows are.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::command::{Context, Page, Paging};
use crate::error::ApiError;
use crate::ids::SecurityGroupRuleId;
use crate::multimap::Multimap;
use crate::state::index::Place;

/// The highest id first, as the API lists groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descending<T>(pub(super) T);

impl<T: Ord> PartialOrd for Descending<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Descending<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        other.0.cmp(&self.0)
    }
}

impl<T: fmt::Display> fmt::Display for Descending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: FromStr> FromStr for Descending<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Self)
    }
}

/// The oldest rule first; rules of one call by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleKey {
    pub(super) created_ms: u64,
    pub(super) id: SecurityGroupRuleId,
}

impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_ms, self.id)
    }
}

impl FromStr for RuleKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (created_ms, id) = text.split_once('.').ok_or(())?;
        Ok(Self {
            created_ms: created_ms.parse().map_err(|_| ())?,
            id: id.parse().map_err(|_| ())?,
        })
    }
}

/// The keys, sorted, of the part that was asked for. A token is the last key of the part before: it
/// holds even when that row is gone meanwhile.
pub(super) fn part<K: Ord + fmt::Display + FromStr>(
    mut keys: Vec<K>,
    paging: &Paging,
) -> Result<Page<K>, ApiError> {
    keys.sort_unstable();
    keys.dedup();
    let total = keys.len();
    let paging = paging.clone();
    match &paging {
        Paging::All => Ok(Page { rows: keys, total, next: None, paging }),
        Paging::Number { page, size } => {
            let skipped = u64::from(page.saturating_sub(1)) * u64::from(*size);
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            let rows = keys.into_iter().skip(skipped).take(*size as usize).collect();
            Ok(Page { rows, total, next: None, paging })
        }
        Paging::Token { after, max_results } => {
            let start = match after {
                None => 0,
                Some(token) => {
                    let last: K = token.parse().map_err(|_| bad_token())?;
                    keys.partition_point(|key| *key <= last)
                }
            };
            let size = *max_results as usize;
            let more = total.saturating_sub(start) > size;
            let rows: Vec<K> = keys.into_iter().skip(start).take(size).collect();
            let next: Option<String> = rows.last().filter(|_| more).map(|last| last.to_string());
            Ok(Page { rows, total, next, paging })
        }
    }
}

fn bad_token() -> ApiError {
    ApiError::invalid("InvalidParameter.NextToken", "The specified NextToken is invalid.")
        .at("NextToken")
        .help("Send the NextToken of the answer before, unchanged.")
}

/// Everything of one kind that the caller may see, in the regions that were asked for.
pub(super) fn in_sight<'a, T: Ord>(
    index: &'a Multimap<Place, T>,
    context: &Context<'_>,
) -> Vec<&'a T> {
    let all = context.settings.regions.iter().map(|region| &region.id);
    let asked = all.filter(|id| context.region.as_ref().is_none_or(|region| region == *id));
    let places: Vec<Place> = asked.map(|region| (context.caller, region.clone())).collect();
    places.iter().flat_map(|place| index.get(place)).collect()
}

impl<K> Page<K> {
    /// The same part with rows for keys.
    pub(super) fn rows<T>(self, row: impl Fn(K) -> Option<T>) -> Page<T> {
        let rows = self.rows.into_iter().filter_map(row).collect();
        Page { rows, total: self.total, next: self.next, paging: self.paging }
    }
}
