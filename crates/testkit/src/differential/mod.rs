//! Packets and sequences of packets, judged by the reference, the compiled tables and the kernel
//! program at once: verdict, reason and rule must be the same after every packet.
//!
//! [`run`] makes subjects and sequences from a seed; what it finds is shrunk to the shortest
//! sequence that still shows it and told as a case of `cases/packets`.
mod coverage;
mod judges;
mod neighbours;
mod report;
mod sequence;
mod shrink;
mod subject;
mod traffic;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

pub use coverage::{Coverage, EXPECTED};
pub use judges::{Answer, Difference, Judges, Kernel, Played};
pub use sequence::{PICK_UP_S, STEP_MS, Sequence, Step, plain_site};
pub use subject::Subject;
pub use traffic::Traffic;

/// Sequences of each subject.
const SEQUENCES: usize = 24;
/// Steps of a sequence.
const STEPS: usize = 60;

/// What came of a run: a difference as a case, if there is one.
#[derive(Debug)]
pub struct Outcome {
    /// What was judged.
    pub coverage: Coverage,
    /// The first difference, as a case.
    pub case: Option<String>,
}

/// How much is judged.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where subjects come from: the same for the same seed, whatever the number of threads.
    pub seed: u64,
    /// At least so many pairs of policy and packet.
    pub pairs: u64,
    /// Threads, each with a kernel program of its own.
    pub threads: usize,
}

/// Judges, until there are pairs enough or a difference is found. `progress` hears of the sum after
/// every subject.
pub fn run(plan: &Plan, progress: impl Fn(&Coverage) + Sync) -> io::Result<Outcome> {
    let next = AtomicU64::new(plan.seed);
    let outcome = Mutex::new(Outcome { coverage: Coverage::default(), case: None });
    let work = || -> io::Result<()> {
        let mut kernel = Kernel::new()?;
        loop {
            let mut coverage = Coverage::default();
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let case = one_subject(&mut kernel, seed, &mut coverage)?;
            let mut sum = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            sum.coverage.add(&coverage);
            progress(&sum.coverage);
            if sum.case.is_none() {
                sum.case = case;
            }
            if sum.case.is_some() || sum.coverage.packets() >= plan.pairs {
                return Ok(());
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(outcome.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A sequence about which the judges agree, as a case: what a finding looks like.
pub fn example(kernel: &mut Kernel, seed: u64) -> io::Result<Option<String>> {
    let subject = Subject::random(seed);
    let sequence = Traffic::new(!seed, &subject).sequence(STEPS);
    let played = Judges::new(kernel, &subject)?.play(&sequence, &mut Coverage::default())?;
    let Played::Alike(answers) = played else { return Ok(None) };
    Ok(Some(report::case(&format!("Seed {seed}."), &subject, &sequence, &answers)))
}

/// All sequences of one subject, until judges disagree.
fn one_subject(
    kernel: &mut Kernel,
    seed: u64,
    coverage: &mut Coverage,
) -> io::Result<Option<String>> {
    let subject = Subject::random(seed);
    let mut traffic = Traffic::new(!seed, &subject);
    let mut judges = Judges::new(kernel, &subject)?;
    for _ in 0..SEQUENCES {
        let sequence = traffic.sequence(STEPS);
        coverage.sequences += 1;
        match judges.play(&sequence, coverage)? {
            Played::Alike(_) => {}
            Played::Paused => coverage.paused += 1,
            Played::Differently(difference) => {
                drop(judges);
                let found = (subject.clone(), sequence, *difference);
                let (subject, sequence, difference) = shrink::shrink(kernel, found)?;
                let heading =
                    format!("Seed {seed}: {} said {}.", difference.judge, difference.found);
                let case = report::case(&heading, &subject, &sequence, &difference.answers);
                return Ok(Some(case));
            }
        }
    }
    Ok(None)
}
