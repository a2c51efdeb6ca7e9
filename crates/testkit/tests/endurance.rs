//! Swaps under load, an agent killed over and over, floods at a full table: some of each; `./x
//! endurance` does more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::path::Path;

use portcullis_core::limits::FLOWS_PER_INTERFACE_RESERVED;
use portcullis_testkit::{capability, endurance, lab};

#[test]
fn every_verdict_is_wholly_of_one_policy() {
    if !capability::need("swaps", lab::available) {
        return;
    }
    let found = endurance::swaps(100).unwrap();
    println!("{found:?}");
    assert!(found.swaps == 100 && found.during > 1_000, "{found:?}");
}

#[test]
fn an_agent_that_is_killed_opens_and_cuts_nothing() {
    if !capability::need("deaths", lab::available) {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_lab"));
    let found = endurance::deaths(program, 8, 7).unwrap();
    println!("{found:?}");
    assert!(found.closed > 100 && found.swapped > 2, "{found:?}");
}

#[test]
fn floods_at_a_full_table_cut_nobody_elses_connections() {
    if !capability::need("floods", lab::available) {
        return;
    }
    let found = endurance::flood(30_000).unwrap();
    println!("{found:?}");
    assert_eq!((found.survived, found.late), (300, FLOWS_PER_INTERFACE_RESERVED.into()));
}
