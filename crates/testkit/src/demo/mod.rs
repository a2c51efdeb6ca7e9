//! `./x demo`: two instances, a host outside, signed calls, and what became of every packet.
//!
//! The `story` says what happens, a `stage` carries it out, in the kernel or, where nothing can
//! be enforced, on paper; the `screen` shows it. Whatever differs from the story is told and
//! counted. Nothing is left behind.

mod enforced;
mod paper;
mod screen;
mod stage;
mod story;
mod talk;

use crate::{lab, wait};
use enforced::Enforced;
use paper::Paper;
use screen::Screen;
use stage::{Row, Stage};
use std::path::PathBuf;
use std::time::Duration;
use story::{Part, STORY};

/// What the caller decides.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program `portcullis`.
    pub program: PathBuf,
    /// Leave it running at the end, and say how to talk to it.
    pub keep: bool,
}

/// Shows it. Whether all went as the story says.
///
/// # Errors
/// When it cannot go on, or somebody asked it to stop.
pub fn run(options: &Options) -> Result<bool, String> {
    let mut screen = Screen::new();
    let lacks = lab::lacks();
    let as_told = if lacks.is_empty() {
        screen.title("Two instances and a host outside, in network namespaces of their own.")?;
        screen.head("The time is from the call to the first packet that meets another fate.")?;
        let mut stage = Enforced::new(&options.program)?;
        let as_told = tell(&mut screen, &mut stage)?;
        screen.counters(&stage.counters()?)?;
        conclude(&mut screen, as_told)?;
        if options.keep {
            keep(&mut screen, &stage)?;
        }
        as_told
    } else {
        screen.title("Two instances and a host outside, by their names only.")?;
        screen.not_enforced(&lacks)?;
        screen
            .head("The calls are made all the same; verdicts are those of the compiled tables.")?;
        let mut stage = Paper::new(&options.program)?;
        let as_told = tell(&mut screen, &mut stage)?;
        conclude(&mut screen, as_told)?;
        if options.keep {
            keep(&mut screen, &stage)?;
        }
        as_told
    };
    Ok(as_told)
}

fn tell(screen: &mut Screen, stage: &mut dyn Stage) -> Result<bool, String> {
    let mut as_told = true;
    let mut effect = None;
    for part in STORY {
        if wait::interrupted() {
            return Err("interrupted".to_owned());
        }
        let row = match part {
            Part::Act(title) => {
                screen.act(title)?;
                continue;
            }
            Part::Setup(line) => {
                stage.change(line, None)?;
                continue;
            }
            Part::Change { line, watch } => {
                let change = stage.change(line, *watch)?;
                effect = change.as_ref().and_then(|change| change.effect);
                change.iter().try_for_each(|change| screen.change(change))?;
                continue;
            }
            Part::Flow(line) => stage.flow(line)?,
            Part::StreamOpens(line) => stage.open_stream(line)?,
            Part::StreamStops(line) => stage.stream_stops(line)?,
            Part::StreamGoesOn(line) => stage.stream_goes_on(line)?,
        };
        as_told &= row.trouble.is_none();
        screen.row(&Row { effect: effect.take(), ..row })?;
    }
    Ok(as_told)
}

fn conclude(screen: &mut Screen, as_told: bool) -> Result<(), String> {
    screen.conclusion(if as_told {
        Ok("Everything went as expected.")
    } else {
        Err("Something differs from what was expected: see the rows marked with ✗.")
    })
}

/// Waits until somebody asks for the end.
fn keep(screen: &mut Screen, stage: &dyn Stage) -> Result<(), String> {
    screen.talk(&talk::write(stage)?)?;
    let forever = Duration::from_secs(u64::from(u32::MAX));
    let ended = wait::until::<()>("the end", forever, || Ok(None));
    if wait::interrupted() { Ok(()) } else { ended }
}
