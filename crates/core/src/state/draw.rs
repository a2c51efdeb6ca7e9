//! New ids, numbers and addresses from dice. Knows how they look, and asks whether one is taken.
use alloc::string::String;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use crate::command::Dice;
use crate::error::{ApiError, ErrorClass};
use crate::ids::AccountId;
use crate::limits::VPC_IPV6_PREFIX_LENGTH;
use crate::net::{Mac, Prefix};

/// Letters and digits of an id, after its kind: 103 bits of dice.
const ID_CHARACTERS: usize = 20;
/// How often dice may show what is taken before they are called broken.
const ATTEMPTS_MAX: usize = 64;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

fn broken_dice() -> ApiError {
    ApiError::new(
        ErrorClass::Internal,
        "InternalError",
        "No free identifier was found; the source of random numbers repeats itself.",
    )
}

fn first_free<T>(
    mut draw: impl FnMut() -> Option<T>,
    taken: impl Fn(&T) -> bool,
) -> Result<T, ApiError> {
    (0..ATTEMPTS_MAX).find_map(|_| draw().filter(|drawn| !taken(drawn))).ok_or_else(broken_dice)
}

fn number(dice: &mut dyn Dice) -> u128 {
    let mut bytes = [0; 16];
    dice.fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// `prefix` and 20 lower-case letters and digits that are not taken.
pub(super) fn id<T: FromStr>(
    dice: &mut dyn Dice,
    prefix: &str,
    taken: impl Fn(&T) -> bool,
) -> Result<T, ApiError> {
    let mut draw = || {
        let mut text = String::from(prefix);
        let mut rest = number(dice);
        for _ in 0..ID_CHARACTERS {
            let letter = ALPHABET.get((rest % 36) as usize)?;
            text.push(char::from(*letter));
            rest /= 36;
        }
        text.parse().ok()
    };
    first_free(&mut draw, taken)
}

/// A number of 16 digits.
pub(super) fn account(
    dice: &mut dyn Dice,
    taken: impl Fn(&AccountId) -> bool,
) -> Result<AccountId, ApiError> {
    const LOWEST: u128 = 1_000_000_000_000_000;
    first_free(|| u64::try_from(LOWEST + number(dice) % (9 * LOWEST)).ok().map(AccountId), taken)
}

/// A locally administered unicast address.
pub(super) fn mac(dice: &mut dyn Dice, taken: impl Fn(&Mac) -> bool) -> Result<Mac, ApiError> {
    let draw = || {
        let mut bytes = [2; 6];
        let [_, rest @ ..] = &mut bytes;
        dice.fill(rest);
        Some(Mac(bytes))
    };
    first_free(draw, taken)
}

/// A /56 of the unique local addresses (RFC 4193).
pub(super) fn ipv6_block(
    dice: &mut dyn Dice,
    taken: impl Fn(&Prefix) -> bool,
) -> Result<Prefix, ApiError> {
    let draw = || {
        let bits = (0xfd << 120) | (number(dice) >> 8);
        Prefix::new(IpAddr::V6(Ipv6Addr::from_bits(bits)), VPC_IPV6_PREFIX_LENGTH)
    };
    first_free(draw, taken)
}
