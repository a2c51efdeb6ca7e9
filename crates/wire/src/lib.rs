//! Every byte format that enters or leaves a process.

pub mod ecs;
pub mod flow_event;
pub mod record;
pub mod world;
