//! An agent that dies without a word at any instant, over and over, under traffic: nothing passes
//! against both policies, none before the first one, and no connection is cut.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_agent::sys::Instance;
use portcullis_core::verdict::Reason;

use super::ground::{Ground, ONLY_EVEN, ONLY_ODD, Observer, agent, enact, told};
use crate::random::Random;

/// The agent must have put a policy in force by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Looks after which, at the latest, an agent that starts is killed in every other round.
const STARTING_PACKETS: usize = 12_000;
/// The same, after it has put another policy in force.
const SWAPPING_PACKETS: usize = 6_000;
/// Packets looked at after each death.
const AFTERWARDS: usize = 200;

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deaths {
    /// Agents killed.
    pub rounds: u64,
    /// Of them, those that had put another policy in force.
    pub swapped: u64,
    /// Packets judged.
    pub packets: u64,
    /// Packets judged before the first policy.
    pub closed: u64,
}

/// What dies: puts one policy in force after the other, for ever. The calling thread is in the
/// device's namespace.
///
/// # Errors
/// When a policy does not come into force.
pub fn enforce(instance: &str, directory: &Path) -> Result<(), String> {
    let instance = Instance::new(instance).map_err(told)?;
    let mut agent = agent(&instance, directory)?;
    let mut number = 0;
    loop {
        enact(&mut agent, number)?;
        number += 1;
    }
}

/// Kills so many agents; `program` is the laboratory.
///
/// # Errors
/// Names the first packet that was judged as no policy says.
pub fn deaths(program: &Path, rounds: u64, seed: u64) -> Result<Deaths, String> {
    let ground = Ground::new("deaths")?;
    let mut random = Random::new(seed);
    let mut found = Deaths::default();
    ground.namespace.enter(|| {
        let mut observer = Observer::new(&ground.instance)?;
        let mut known = None;
        while found.rounds < rounds {
            let mut command = Command::new(program);
            command.args(["enforce", "--instance", instance_name(&ground.instance)]);
            command.arg("--directory").arg(ground.directory.path());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
            let mut child = command.spawn().map_err(|e| format!("{}: {e}", program.display()))?;
            let lived = live(&mut observer, &mut random, &mut known, &mut found);
            let ended = child.try_wait().map_err(told)?;
            child.kill().and_then(|()| child.wait()).map_err(told)?;
            lived.map_err(|error| format!("round {}: {error}", found.rounds))?;
            if let Some(status) = ended {
                return Err(format!("the agent ended by itself: {status}"));
            }
            // The last good policy, and no other, until the next agent comes.
            for _ in 0..AFTERWARDS {
                settled(&mut observer, &mut known, &mut found)?;
            }
            found.rounds += 1;
        }
        found.packets = observer.packets;
        Ok(found)
    })?
}

fn instance_name(instance: &Instance) -> &str {
    instance.directory().file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The life of one agent, until it shall die.
fn live(
    observer: &mut Observer,
    random: &mut Random,
    known: &mut Option<u64>,
    found: &mut Deaths,
) -> Result<(), String> {
    let before = *known;
    let starts_only = before.is_some() && random.chance(50);
    let mut left = random.below(if starts_only { STARTING_PACKETS } else { SWAPPING_PACKETS });
    let (began, mut swapped) = (Instant::now(), false);
    while left > 0 {
        look(observer, known, found)?;
        swapped |= known.is_some() && *known != before;
        if swapped || starts_only {
            left -= 1;
        } else if began.elapsed() > PATIENCE {
            return Err("the agent puts no policy in force".to_owned());
        }
    }
    found.swapped += u64::from(swapped);
    Ok(())
}

/// One packet to each port while policies may change.
fn look(
    observer: &mut Observer,
    known: &mut Option<u64>,
    found: &mut Deaths,
) -> Result<(), String> {
    if known.is_none() {
        let said = observer.first(ONLY_EVEN)?;
        if said.reason == Reason::Closed && !said.accepted {
            found.closed += 1;
            return Ok(());
        }
        // The first policy is in force, or was and has been replaced.
        *known = Some(observer.parity(ONLY_EVEN)?);
        observer.establish()?;
    }
    for port in [ONLY_EVEN, ONLY_ODD] {
        *known = Some(observer.parity(port)?);
    }
    observer.invariants()
}

/// The same while nobody changes them: both ports are judged by one policy, and always the same.
fn settled(
    observer: &mut Observer,
    known: &mut Option<u64>,
    found: &mut Deaths,
) -> Result<(), String> {
    if known.is_none() {
        return look(observer, known, found);
    }
    let policies = [observer.parity(ONLY_EVEN)?, observer.parity(ONLY_ODD)?];
    if policies[0] != policies[1] || known.is_some_and(|known| known != policies[0]) {
        // The agent may have died between the last look and the kill: what stands then, stands.
        let again = [observer.parity(ONLY_EVEN)?, observer.parity(ONLY_ODD)?];
        if policies[0] != policies[1] || again != policies {
            return Err(format!("after a death, packets are judged by {policies:?}, {again:?}"));
        }
        *known = Some(policies[0]);
    }
    observer.invariants()
}
