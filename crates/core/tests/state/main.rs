//! The state machine from outside: scripts in a tiny language, and random commands against a model
//! a child could read.
// Nothing here ships; a test may stop at the first surprise.
#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts;
mod addresses;
mod groups;
mod harness;
mod hosts;
mod instances;
mod language;
mod lists;
mod model;
mod networks;
mod rules;
mod runs;
mod scale;
mod show;
mod tags;
mod tenants;
mod tokens;
