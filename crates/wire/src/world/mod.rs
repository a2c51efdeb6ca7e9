//! World files: policies without a server. Reads and writes `world.json` and `flows.jsonl`, and
//! writes verdict lines.
//!
//! A world uses the API's own response shapes. What is wrong is refused with its place; a rule is
//! never skipped or widened. What a verdict is, this module does not know.

mod error;
mod flow;
mod lists;
mod node;
mod object;
mod read;
mod rule;
mod write;

pub use error::{InputError, Place};
pub use flow::{FLOW_BYTES_MAX, read_flow};
pub use read::read_world;
pub use write::{flow_line, verdict_line, write_world};
