//! One policy for another under load: every verdict is wholly the old one's or wholly the new
//! one's, and once a packet was judged by the new one none is by the old.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::ground::{Ground, ONLY_EVEN, ONLY_ODD, Observer, agent, enact};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swaps {
    /// Policies put in force one after the other.
    pub swaps: u64,
    /// Packets judged meanwhile.
    pub packets: u64,
    /// First packets judged while a swap was under way.
    pub during: u64,
}

/// Swaps so many times.
///
/// # Errors
/// Names the first verdict that is neither the old policy's nor the new one's, or comes too late.
pub fn swaps(count: u64) -> Result<Swaps, String> {
    let ground = Ground::new("swaps")?;
    ground.namespace.enter(|| {
        let mut agent = agent(&ground.instance, ground.directory.path())?;
        enact(&mut agent, 0)?;
        // Twice the number of the policy in force; odd: its successor is on the way.
        let (phase, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&ground, &phase, &stop));
            let mut swapped = Ok(());
            for number in 1..=count {
                if watcher.is_finished() {
                    break;
                }
                phase.fetch_add(1, Ordering::SeqCst);
                swapped = enact(&mut agent, number);
                phase.fetch_add(1, Ordering::SeqCst);
                if swapped.is_err() {
                    break;
                }
            }
            stop.store(true, Ordering::SeqCst);
            let watched =
                watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            swapped.map(|()| Swaps { swaps: count, ..watched })
        })
    })?
}

fn watch(ground: &Ground, phase: &AtomicU64, stop: &AtomicBool) -> Result<Swaps, String> {
    let mut observer = Observer::new(&ground.instance)?;
    observer.establish()?;
    // The newest policy that has judged a packet.
    let (mut newest, mut during) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        for port in [ONLY_EVEN, ONLY_ODD] {
            let before = phase.load(Ordering::SeqCst);
            let parity = observer.parity(port)?;
            let after = phase.load(Ordering::SeqCst);
            let (oldest, latest) = (newest.max(before / 2), after.div_ceil(2));
            let judge = (oldest..=latest).find(|number| number % 2 == parity);
            newest = judge.ok_or_else(|| {
                let policy = if parity == 0 { "an even" } else { "an odd" };
                format!("{policy} policy judged a packet, of {oldest} to {latest}")
            })?;
            during += u64::from(before % 2 == 1 || after % 2 == 1);
        }
        observer.invariants()?;
    }
    Ok(Swaps { swaps: 0, packets: observer.packets, during })
}
