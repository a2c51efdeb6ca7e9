//! The byte side of the ECS-compatible API: from an HTTP request to a command, and from an
//! outcome to an HTTP answer.
//!
//! The order of a call: [`carrier::Call::read`] merges the carriers, [`signature::verify`] finds
//! who calls, [`action::dispatch`] finds the table of the action, [`decode::decode`] makes the
//! command; after the state has decided, [`render::success`] or [`render::failure`] writes the
//! answer. It never decides whether something is allowed or exists; that is the state's.

pub mod action;
pub mod answer;
pub mod arguments;
pub mod carrier;
pub mod decode;
pub mod form;
pub mod help;
pub mod http;
pub mod json;
pub mod limits;
mod outcome;
pub mod parameters;
pub mod refusal;
pub mod render;
pub mod signature;
pub mod time;
