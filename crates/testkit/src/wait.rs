//! Waiting for a level, never for a time: every wait has a deadline and says what it waited for.
//!
//! A program that was asked to stop (see [`interrupt`]) stops waiting at once, so that guards run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks. Short against every effect measured here, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(1);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends all waits of this process, now and later.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether somebody asked this process to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Looks again and again until there is something, at most for so long.
///
/// # Errors
/// When the time is over, when the look fails, or when the process was asked to stop.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let deadline = Instant::now() + patience;
    loop {
        // The time is read before the look, so that the last look happens after the deadline.
        let late = Instant::now() >= deadline;
        if let Some(found) = look()? {
            return Ok(found);
        }
        if interrupted() {
            return Err(format!("interrupted while waiting for {what}"));
        }
        if late {
            return Err(format!("waited {} ms in vain for {what}", patience.as_millis()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_returned_and_what_does_not_is_named() {
        let mut looks = 0;
        let found = until("the third look", Duration::from_secs(5), || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found, Ok(3));
        let missed = until::<()>("rain", Duration::from_millis(3), || Ok(None));
        assert_eq!(missed.unwrap_err(), "waited 3 ms in vain for rain");
        let failed = until::<()>("rain", Duration::from_secs(5), || Err("no sky".to_owned()));
        assert_eq!(failed.unwrap_err(), "no sky");
    }
}
