//! One host: plan, execute, read back; the only crate that touches the kernel.
//!
//! Knows resolved policies and devices; knows nothing of accounts, requests or the store. `unsafe`
//! stands in [`sys`] alone.
pub mod attach;
pub mod audit;
pub mod board;
pub mod device;
pub mod event;
pub mod execute;
pub mod flow_log;
pub mod hits;
pub mod hub;
pub mod installed;
pub mod judge;
pub mod kernel;
pub mod layout;
pub mod ledger;
pub mod membership;
pub mod network;
pub mod pinned;
pub mod policy;
pub mod pool;
pub mod reader;
pub mod run;
pub mod sandbox;
pub mod sys;
pub mod tables;
pub mod thread;
pub mod traffic_control;
pub mod view;
