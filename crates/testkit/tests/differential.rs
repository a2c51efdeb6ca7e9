//! Packets and sequences of packets: the reference, the compiled tables and the kernel program say
//! the same of every one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use portcullis_agent::sys;
use portcullis_core::rule::Direction;
use portcullis_testkit::capability;
use portcullis_testkit::differential::{self, Plan};

/// Where the subjects come from unless `PORTCULLIS_TEST_SEED` says otherwise.
const SEED: u64 = 20_261_101;
const PAIRS: u64 = 1_000_000;

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[test]
fn three_judges_agree_on_a_million_packets() {
    if !capability::need("packet judges", can_load) {
        return;
    }
    let seed = std::env::var("PORTCULLIS_TEST_SEED").ok();
    let seed = seed.map_or(SEED, |text| text.parse().expect("PORTCULLIS_TEST_SEED is a number"));
    println!("PORTCULLIS_TEST_SEED={seed}");
    let plan = Plan { seed, pairs: PAIRS, threads: 1 };
    let outcome = differential::run(&plan, |_| {}).unwrap();
    println!("{}", outcome.coverage);
    if let Some(case) = outcome.case {
        panic!("the judges disagree:\n{case}");
    }
    // No reason is left out by the aim of the packets, in the directions that know it.
    for (reason, policy) in differential::EXPECTED {
        let [out, into] = [Direction::Egress, Direction::Ingress]
            .map(|direction| outcome.coverage.given(reason, policy, direction));
        assert!(out + into > 1_000, "{} {}: {out} + {into}", policy.name(), reason.name());
        assert!(out.min(into) > 100, "{} {}: {out} + {into}", policy.name(), reason.name());
    }
    assert!(outcome.coverage.by_tables > PAIRS / 5, "{}", outcome.coverage.by_tables);
    // A machine that pauses all the time proves nothing.
    assert!(outcome.coverage.paused < outcome.coverage.sequences / 10);
}
