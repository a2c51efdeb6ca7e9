//! What tests share: case language, packets, signed client, namespace lab. Never shipped.

pub mod bench;
pub mod capability;
pub mod cases;
pub mod client;
pub mod demo;
pub mod differential;
pub mod docs;
pub mod endurance;
pub mod exchange;
pub mod exposition;
pub mod lab;
pub mod load;
pub mod netns;
pub mod packet;
pub mod packet_case;
pub mod random;
pub mod random_world;
pub mod wait;
