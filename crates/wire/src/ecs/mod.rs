//! The byte side of the ECS-compatible API: from an HTTP request to a command, and from an outcome to
//! an HTTP answer.
//!
//! The order of a call: [`carrier::Call::read`] merges the carriers, [`signature::verify`] finds who
//! calls. It never decides whether something is allowed or exists; that is the state's.

pub mod carrier;
pub mod form;
pub mod http;
pub mod json;
pub mod limits;
pub mod parameters;
pub mod refusal;
pub mod signature;
pub mod time;
