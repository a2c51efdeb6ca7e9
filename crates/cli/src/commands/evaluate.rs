//! `portcullis evaluate`: verdicts on flows in a world file, by the judge of one's choice.
//!
//! Reads, asks, prints. What a verdict is, the judges know.
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_agent::judge::KernelJudge;
use portcullis_compile::budget::CompileError;
use portcullis_compile::image::{Image, compile_error};
use portcullis_core::evaluate::Evaluator;
use portcullis_core::verdict::{Judge, JudgeError};
use portcullis_core::world::World;
use portcullis_wire::world::{FLOW_BYTES_MAX, InputError, read_flow, read_world, verdict_line};

use crate::failure::{Failure, STATUS_BAD_INPUT, STATUS_FAILED};

/// Judge flows in a world file, without a server.
///
/// Prints one line of JSON a flow, in order. Exit status: 0 when all flows are judged, 2 when the
/// input is bad (nothing is printed after the error's place), 1 when the engine fails.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Groups, interfaces and lists, in the shapes of the API's answers.
    #[arg(long, value_name = "FILE")]
    world: PathBuf,
    /// One new flow a line, as JSON; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    flows: PathBuf,
    /// Who judges.
    #[arg(long, value_enum, default_value_t = Engine::Compiled)]
    engine: Engine,
}

/// Who judges. All give the same verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// The specification read aloud: slow and plain.
    Reference,
    /// The tables that the kernel program walks, walked in user space.
    Compiled,
    /// The kernel program itself; needs root.
    Kernel,
}

/// Judges all flows and prints the verdicts.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.world.display().to_string();
    let text = std::fs::read_to_string(&arguments.world)
        .map_err(|error| Failure::of_file(STATUS_BAD_INPUT, &name, &error))?;
    let world = read_world(&text).map_err(|error| Failure::in_input(&name, error))?;
    let mut judge = judge(arguments.engine, &world)?;
    let flows = open(&arguments.flows)?;
    let mut output = BufWriter::new(io::stdout().lock());
    let name = arguments.flows.display().to_string();
    let judged = judge_all(&world, &mut *judge, flows, &name, &mut output);
    // What was judged before an error is printed before the error is.
    let flushed = output.flush().map_err(|error| printing(&error));
    judged.and(flushed)
}

/// The judge of an engine.
fn judge<'w>(engine: Engine, world: &'w World) -> Result<Box<dyn Judge + 'w>, Failure> {
    match engine {
        Engine::Reference => Ok(Box::new(Evaluator::new(world))),
        Engine::Compiled => match Image::new(world) {
            Ok(image) => Ok(Box::new(image)),
            Err(error) => Err(of_judge(compile_error(error, "the world"))),
        },
        Engine::Kernel => match KernelJudge::new(world) {
            Ok(judge) => Ok(Box::new(judge)),
            Err(error) => Err(of_judge(error)),
        },
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path)
        .map_err(|error| Failure::of_file(STATUS_BAD_INPUT, &path.display().to_string(), &error))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Judges the flows of one input, a line at a time. Blank lines are no flows.
fn judge_all(
    world: &World,
    judge: &mut dyn Judge,
    mut flows: impl BufRead,
    name: &str,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        // Its end, and one byte more than a line may have, so that a longer one is seen to be.
        let mut bounded = flows.by_ref().take(FLOW_BYTES_MAX as u64 + 2);
        let count = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::of_file(STATUS_BAD_INPUT, name, &error))?;
        if count == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.len() <= FLOW_BYTES_MAX && str::from_utf8(&line).is_err() {
            return Err(not_utf8(name, number));
        }
        if text.trim().is_empty() {
            continue;
        }
        let flow = read_flow(world, number, text).map_err(|e| Failure::in_input(name, e))?;
        let verdict = judge.judge(&flow).map_err(of_judge)?;
        writeln!(output, "{}", verdict_line(&verdict)).map_err(|error| printing(&error))?;
    }
    Ok(())
}

/// A world too large for an engine is bad input; anything else is the engine's failure.
fn of_judge(error: JudgeError) -> Failure {
    let status = if error.code == CompileError::CODE { STATUS_BAD_INPUT } else { STATUS_FAILED };
    Failure::of_judge(status, error)
}

fn not_utf8(name: &str, line: usize) -> Failure {
    let error = InputError {
        code: "MalformedText",
        message: "the line is not UTF-8".into(),
        help: "write the flows as UTF-8".into(),
        place: format!("line {line}"),
    };
    Failure::in_input(name, error)
}

fn printing(error: &io::Error) -> Failure {
    Failure::of_file(STATUS_FAILED, "standard output", error)
}
