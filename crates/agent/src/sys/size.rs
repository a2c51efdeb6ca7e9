//! How large a program is as the kernel runs it: its instructions, what the verifier went through
//! for them, and the deepest stack that a chain of its calls can take.
//!
//! Reads instructions and refuses to know what they do beyond calls and the frame pointer.
use std::collections::BTreeSet;
use std::io;

use portcullis_core::rule::Direction;

use super::{Datapath, call};

/// Bytes of an instruction.
const INSTRUCTION_BYTES: usize = 8;
/// The kernel rounds every function's frame up to so many bytes.
const FRAME_STEP_BYTES: u32 = 16;
const FRAME_POINTER: u8 = 10;
const REGISTERS: usize = 11;
/// Registers that a call overwrites: r0 to r5.
const OVERWRITTEN: usize = 6;

const CLASS: u8 = 0x07;
const LOAD: u8 = 0x00;
const LOAD_REGISTER: u8 = 0x01;
const STORE: u8 = 0x02;
const STORE_REGISTER: u8 = 0x03;
const ALU: u8 = 0x04;
const ALU64: u8 = 0x07;
const CALL: u8 = 0x85;
const MOVE: u8 = 0xbf;
const ADD: u8 = 0x07;
const LOAD_WIDE: u8 = 0x18;
/// In the source register's place: the call is to a function of the program, the wide load is of
/// one's address.
const OF_PROGRAM: u8 = 1;
const FUNCTION_ADDRESS: u8 = 4;

/// What a program takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramSize {
    /// Instructions after the verifier has rewritten them.
    pub instructions: u32,
    /// Instructions that the verifier went through, on all paths.
    pub verified_instructions: u32,
    /// The frames of the deepest chain of calls.
    pub stack_bytes: u32,
}

impl Datapath {
    /// How large the program of a direction is.
    pub fn program_size(&self, direction: Direction) -> io::Result<ProgramSize> {
        let program = self.direction_program(direction);
        let bytes = call::translated_instructions(program)?;
        let code: Vec<Instruction> =
            bytes.chunks_exact(INSTRUCTION_BYTES).map(Instruction::new).collect();
        Ok(ProgramSize {
            instructions: code.len() as u32,
            verified_instructions: call::verified_instructions(program)?,
            stack_bytes: stack_bytes(&code),
        })
    }
}

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u8,
    destination: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    fn new(bytes: &[u8]) -> Self {
        let registers = super::abi::part::<1>(bytes, 1)[0];
        Self {
            code: super::abi::part::<1>(bytes, 0)[0],
            destination: registers & 0x0f,
            source: registers >> 4,
            offset: i16::from_ne_bytes(super::abi::part(bytes, 2)),
            immediate: i32::from_ne_bytes(super::abi::part(bytes, 4)),
        }
    }

    /// The function of the program that is called or handed on here, as the number of its first
    /// instruction. Where the kernel has compiled it, the distance stands in the call's offset and
    /// the immediate is the function's number.
    fn callee(&self, at: usize) -> Option<usize> {
        let distance = match (self.code, self.source) {
            (CALL, OF_PROGRAM) if self.offset != 0 => i64::from(self.offset),
            (CALL, OF_PROGRAM) | (LOAD_WIDE, FUNCTION_ADDRESS) => i64::from(self.immediate),
            _ => return None,
        };
        usize::try_from(at as i64 + 1 + distance).ok()
    }
}

/// The lowest place that a function reaches below its frame pointer, rounded as the kernel does.
fn frame_bytes(function: &[Instruction]) -> u32 {
    let (mut lowest, mut pointers) = (0i32, [None::<i32>; REGISTERS]);
    pointers[usize::from(FRAME_POINTER)] = Some(0);
    for one in function {
        let of = |register: u8| usize::from(register).min(REGISTERS - 1);
        let (destination, source) = (of(one.destination), of(one.source));
        match one.code & CLASS {
            LOAD_REGISTER => {
                let at = pointers[source].map_or(0, |p| p + i32::from(one.offset));
                lowest = lowest.min(at);
                pointers[destination] = None;
            }
            STORE | STORE_REGISTER => {
                let at = pointers[destination].map_or(0, |p| p + i32::from(one.offset));
                lowest = lowest.min(at);
            }
            ALU | ALU64 | LOAD => {
                pointers[destination] = match one.code {
                    MOVE => pointers[source],
                    ADD => pointers[destination].map(|p| p.saturating_add(one.immediate)),
                    _ => None,
                };
                lowest = lowest.min(pointers[destination].unwrap_or(0));
            }
            _ if one.code == CALL => pointers[..OVERWRITTEN].fill(None),
            _ => {}
        }
    }
    lowest.unsigned_abs().next_multiple_of(FRAME_STEP_BYTES)
}

/// The frames of the deepest chain of calls from the first instruction.
fn stack_bytes(code: &[Instruction]) -> u32 {
    let calls = |from: usize, to: usize| {
        code.iter().enumerate().take(to).skip(from).filter_map(|(at, one)| one.callee(at))
    };
    let starts: BTreeSet<usize> = std::iter::once(0).chain(calls(0, code.len())).collect();
    let end = |start: usize| starts.range(start + 1..).next().copied().unwrap_or(code.len());
    // The kernel takes no recursion, and at most so many calls one within the other as functions.
    let mut deepest: std::collections::BTreeMap<usize, u32> = Default::default();
    for _ in 0..starts.len() {
        for start in &starts {
            let function = code.get(*start..end(*start)).unwrap_or_default();
            let below = calls(*start, end(*start)).filter_map(|callee| deepest.get(&callee)).max();
            let below = below.copied().unwrap_or(0);
            deepest.insert(*start, frame_bytes(function).saturating_add(below));
        }
    }
    deepest.get(&0).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (code, destination, source, offset, immediate)
    fn code(lines: &[(u8, u8, u8, i16, i32)]) -> Vec<Instruction> {
        let one = |(code, destination, source, offset, immediate)| Instruction {
            code,
            destination,
            source,
            offset,
            immediate,
        };
        lines.iter().copied().map(one).collect()
    }

    const EXIT: (u8, u8, u8, i16, i32) = (0x95, 0, 0, 0, 0);

    #[test]
    fn a_frame_ends_with_what_is_reached_through_any_copy_of_the_pointer() {
        let direct = code(&[(0x7b, 10, 1, -24, 0), (0x79, 2, 10, -8, 0), EXIT]);
        assert_eq!(frame_bytes(&direct), 32);
        let copied = code(&[(MOVE, 2, 10, 0, 0), (ADD, 2, 0, 0, -64), (0x7b, 2, 1, -8, 0), EXIT]);
        assert_eq!(frame_bytes(&copied), 80);
        let overwritten = code(&[(MOVE, 2, 10, 0, 0), (CALL, 0, 0, 0, 1), (0x7b, 2, 1, -99, 0)]);
        assert_eq!(frame_bytes(&overwritten), 0);
    }

    #[test]
    fn a_chain_counts_every_frame_on_its_way_and_the_deepest_alone() {
        // Main (16) calls the second (32), which hands on the third (48); main calls the third too.
        let all = code(&[
            (0x7b, 10, 1, -8, 0),
            (CALL, 0, OF_PROGRAM, 2, 1),
            (CALL, 0, OF_PROGRAM, 4, 2),
            EXIT,
            (0x7b, 10, 1, -32, 0),
            (LOAD_WIDE, 1, FUNCTION_ADDRESS, 0, 1),
            EXIT,
            (0x7b, 10, 1, -40, 0),
            EXIT,
        ]);
        assert_eq!(stack_bytes(&all), 16 + 32 + 48);
        assert_eq!(stack_bytes(&all[7..]), 48);
        assert_eq!(stack_bytes(&[]), 0);
    }
}
