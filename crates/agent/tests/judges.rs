//! The kernel program says what the reference evaluator and the compiled tables say, on random
//! worlds and flows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_agent::judge::KernelJudge;
use portcullis_agent::sys;
use portcullis_compile::image::Image;
use portcullis_core::evaluate::Evaluator;
use portcullis_core::verdict::{Judge, Reason};
use portcullis_testkit::capability;
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{FlowMaker, WorldSize, random_world};

/// Where the worlds come from unless `PORTCULLIS_TEST_SEED` says otherwise.
const SEED: u64 = 20_260_201;
const WORLDS: usize = 50;
const FLOWS_PER_WORLD: usize = 2_200;

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[test]
fn three_judges_agree() {
    if !capability::need("kernel judge", can_load) {
        return;
    }
    let seed = std::env::var("PORTCULLIS_TEST_SEED").ok();
    let seed = seed.map_or(SEED, |text| text.parse().expect("PORTCULLIS_TEST_SEED is a number"));
    println!("PORTCULLIS_TEST_SEED={seed}");
    let mut reasons = BTreeMap::<Reason, usize>::new();
    let mut in_kernel = Duration::ZERO;
    for number in 0..WORLDS {
        let size = match number % 25 {
            0 => WorldSize::with_rules(1_000),
            _ => WorldSize {
                groups: 2 + number % 9,
                rules: number % 60,
                interfaces: 1 + number % 12,
                lists: number % 4,
                groups_per_interface: if number % 10 == 1 { 16 } else { 3 },
            },
        };
        in_kernel += compare(seed + number as u64, size, &mut reasons);
    }
    let judged = reasons.values().sum::<usize>();
    println!("{judged} flows, {in_kernel:?} in the kernel: {reasons:?}");
    assert!(judged >= 100_000, "{judged}");
    for reason in
        [Reason::Baseline, Reason::Spoofed, Reason::IntraGroup, Reason::Rule, Reason::Default]
    {
        assert!(reasons.get(&reason).is_some_and(|count| *count > 1_000), "{reasons:?}");
    }
}

/// Judges flows of one random world by all three. Returns the time that the kernel took.
fn compare(seed: u64, size: WorldSize, reasons: &mut BTreeMap<Reason, usize>) -> Duration {
    let world = random_world(seed, size);
    let maker = FlowMaker::new(&world);
    let mut random = Random::new(!seed);
    let mut kernel = KernelJudge::new(&world).unwrap();
    let mut compiled = Image::new(&world).unwrap();
    let mut reference = Evaluator::new(&world);
    let mut in_kernel = Duration::ZERO;
    for _ in 0..FLOWS_PER_WORLD {
        let flow = maker.flow(&mut random).unwrap();
        let before = Instant::now();
        let verdict = kernel.judge(&flow).unwrap();
        in_kernel += before.elapsed();
        let expected = reference.judge(&flow).unwrap();
        assert_eq!(verdict, expected, "seed {seed}, {size:?}: {flow:?}");
        assert_eq!(compiled.judge(&flow).unwrap(), expected, "seed {seed}, {size:?}: {flow:?}");
        *reasons.entry(expected.reason).or_default() += 1;
    }
    in_kernel
}
