//! The shortest sequence that still shows a difference: steps, rules and oddities are left out one
//! after the other as long as the judges still disagree.
use std::io;

use super::coverage::Coverage;
use super::judges::{Difference, Judges, Kernel, Played};
use super::sequence::{Sequence, Step};
use super::subject::Subject;
use crate::packet_case::Draft;

type Found = (Subject, Sequence, Difference);

/// Whether the judges still disagree, and where.
fn differs(
    kernel: &mut Kernel,
    subject: &Subject,
    sequence: &Sequence,
) -> io::Result<Option<Difference>> {
    let mut judges = Judges::new(kernel, subject)?;
    // A pause says nothing either way; a few attempts are enough.
    for _ in 0..5 {
        match judges.play(sequence, &mut Coverage::default())? {
            Played::Alike(_) => return Ok(None),
            Played::Paused => {}
            Played::Differently(difference) => return Ok(Some(*difference)),
        }
    }
    Ok(None)
}

/// Makes a finding small.
pub(super) fn shrink(kernel: &mut Kernel, found: Found) -> io::Result<Found> {
    let (mut subject, mut sequence, mut difference) = found;
    sequence.steps.truncate(difference.step + 1);
    loop {
        let before = sequence.steps.len();
        for at in (0..sequence.steps.len()).rev() {
            let mut shorter = sequence.clone();
            if at >= shorter.steps.len() {
                continue;
            }
            shorter.steps.remove(at);
            if let Some(found) = differs(kernel, &subject, &shorter)? {
                shorter.steps.truncate(found.step + 1);
                (sequence, difference) = (shorter, found);
            }
        }
        if sequence.steps.len() == before {
            break;
        }
    }
    for at in 0..sequence.steps.len() {
        for plainer in plainer(&sequence.steps[at]) {
            let mut simpler = sequence.clone();
            simpler.steps[at] = plainer;
            if let Some(found) = differs(kernel, &subject, &simpler)? {
                (sequence, difference) = (simpler, found);
            }
        }
    }
    leave_rules_out(kernel, &mut subject, &sequence)?;
    if let Some(found) = differs(kernel, &subject, &sequence)? {
        difference = found;
    }
    Ok((subject, sequence, difference))
}

/// The step with one oddity less.
fn plainer(step: &Step) -> Vec<Step> {
    let Step::Frame(direction, draft) = step else { return Vec::new() };
    let without = |change: fn(&mut Draft)| {
        let mut plainer = draft.clone();
        change(&mut plainer);
        (plainer != *draft).then_some(Step::Frame(*direction, plainer))
    };
    [
        without(|draft| draft.pad = None),
        without(|draft| draft.cut = None),
        without(|draft| draft.mac = None),
        without(|draft| draft.pokes.clear()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn leave_rules_out(
    kernel: &mut Kernel,
    subject: &mut Subject,
    sequence: &Sequence,
) -> io::Result<()> {
    for at in 0..subject.worlds.len() {
        let rules: Vec<_> = subject.worlds[at]
            .groups()
            .flat_map(|group| group.rules.keys().map(|rule| (group.id.clone(), rule.clone())))
            .collect();
        for (group, rule) in rules {
            let mut smaller = subject.clone();
            smaller.worlds[at].remove_rule(&group, &rule);
            if differs(kernel, &smaller, sequence)?.is_some() {
                *subject = smaller;
            }
        }
    }
    Ok(())
}
