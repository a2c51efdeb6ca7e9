//! Random worlds and flows are legal, and come back from their files as they were.
#![allow(clippy::unwrap_used)] // All of this is test code.

use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{FlowMaker, WorldSize, random_world};
use portcullis_wire::world::{flow_line, read_flow, read_world, write_world};

#[test]
fn worlds_and_flows_come_back_from_their_files() {
    for seed in 0..300 {
        let world = random_world(seed, WorldSize::SMALL);
        let again = read_world(&write_world(&world));
        assert_eq!(again, Ok(world), "seed {seed}");
        let world = again.unwrap();
        let (maker, mut random) = (FlowMaker::new(&world), Random::new(seed));
        for number in 0..50 {
            let flow = maker.flow(&mut random).unwrap();
            assert_eq!(read_flow(&world, number, &flow_line(&flow)), Ok(flow), "seed {seed}");
        }
    }
}
