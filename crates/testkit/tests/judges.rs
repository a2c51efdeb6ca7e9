//! The reference evaluator and the compiled tables give one verdict, reason and rule on every flow
//! of random worlds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;

use portcullis_compile::image::Image;
use portcullis_core::evaluate::Evaluator;
use portcullis_core::verdict::{Judge, Reason};
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{FlowMaker, WorldSize, random_world};

/// Where the worlds come from unless `PORTCULLIS_TEST_SEED` says otherwise.
const SEED: u64 = 20_260_101;

fn seed() -> u64 {
    let seed = std::env::var("PORTCULLIS_TEST_SEED").ok();
    let seed = seed.map_or(SEED, |text| text.parse().expect("PORTCULLIS_TEST_SEED is a number"));
    println!("PORTCULLIS_TEST_SEED={seed}");
    seed
}

/// Judges flows of one random world twice and counts the reasons given.
fn compare(seed: u64, size: WorldSize, flows: usize, reasons: &mut BTreeMap<Reason, usize>) {
    let world = random_world(seed, size);
    let maker = FlowMaker::new(&world);
    let mut random = Random::new(!seed);
    let mut reference = Evaluator::new(&world);
    let mut compiled = Image::new(&world).unwrap();
    for _ in 0..flows {
        let flow = maker.flow(&mut random).unwrap();
        let expected = reference.judge(&flow).unwrap();
        let found = compiled.judge(&flow);
        if found.as_ref() != Ok(&expected) {
            panic!(
                "seed {seed}, {size:?}: {flow:?}:
{expected:?} by the reference,
\
                 {found:?} by the tables"
            );
        }
        *reasons.entry(expected.reason).or_default() += 1;
    }
}

#[test]
fn compiled_tables_agree_with_the_reference_on_a_million_flows() {
    let seed = seed();
    let mut reasons = BTreeMap::new();
    for world in 0..2_000 {
        let size = WorldSize {
            groups: 2 + world % 9,
            rules: world % 60,
            interfaces: 1 + world % 12,
            lists: world % 4,
            groups_per_interface: if world % 50 == 0 { 16 } else { 3 },
        };
        compare(seed + world as u64, size, 490, &mut reasons);
    }
    for world in 0..4 {
        compare(seed + world, WorldSize::with_rules(2_000), 10_000, &mut reasons);
    }
    println!("{reasons:?}");
    assert!(reasons.values().sum::<usize>() >= 1_000_000);
    // No step is left out by the aim of the flows.
    for reason in
        [Reason::Baseline, Reason::Spoofed, Reason::IntraGroup, Reason::Rule, Reason::Default]
    {
        assert!(reasons.get(&reason).is_some_and(|count| *count > 10_000), "{reasons:?}");
    }
}
