//! Every seed of the fuzz targets, through the very functions that the fuzzer calls. Most seeds are
//! made from the cases of the repository; those in `fuzz/seeds` were kept by hand or found by the
//! fuzzer. With `PORTCULLIS_SEEDS` set to a folder all of them are written there, for `./x fuzz`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]
#![allow(unreachable_pub, reason = "the library of the fuzz targets is a crate of its own")]

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fuzz::{SEAL_KEY, TARGETS};
use portcullis_core::records::Change;
use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::{Case, Exchange, Step};
use portcullis_testkit::exchange::{is_runnable, read_folder, run};
use portcullis_testkit::random_world::{WorldSize, random_world};
use portcullis_wire::ecs::form::encode_pairs;
use portcullis_wire::record;
use portcullis_wire::record::seal::SealKey;
use portcullis_wire::world::write_world;

/// Records of one kind that are worth keeping.
const RECORDS_PER_KIND: usize = 4;

/// Small, with something of everything.
const WORLD: WorldSize =
    WorldSize { groups: 4, rules: 12, interfaces: 4, lists: 2, groups_per_interface: 3 };

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn exchanges(cases: &[Case]) -> impl Iterator<Item = &Exchange> {
    cases.iter().flat_map(|case| &case.steps).filter_map(|step| match step {
        Step::Exchange(exchange) => Some(exchange.as_ref()),
        Step::Later(_) | Step::As(_) | Step::Share(_) | Step::Tell(_) => None,
    })
}

/// The calls of the cases as queries; of those with the same names the first.
fn queries(cases: &[Case]) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut queries = Vec::new();
    for exchange in exchanges(cases) {
        let action = exchange.action.rsplit('.').next().unwrap();
        let mut pairs = vec![("Action", action), ("RegionId", "cn-hangzhou")];
        pairs.extend(
            exchange.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let names: Vec<_> = pairs.iter().skip(1).map(|(name, _)| (*name).to_owned()).collect();
        let query = encode_pairs(pairs);
        if query.len() < 4096 && seen.insert((action.to_owned(), names)) {
            queries.push(query.into_bytes());
        }
    }
    queries
}

/// What the cases leave in the store: the length of a key, the key, the value.
fn records(cases: &[Case]) -> Vec<Vec<u8>> {
    let seal = SealKey::new(&SEAL_KEY);
    let mut kinds: BTreeMap<u8, usize> = BTreeMap::new();
    let mut records = Vec::new();
    for case in cases {
        let mut server = InProcess::new().unwrap();
        let Some(way) = case.ways.first() else { continue };
        if !is_runnable(case, &server) {
            continue;
        }
        run(case, *way, &mut server).unwrap();
        for kept in server.state().records() {
            let (key, value) = record::encode(&Change::Put(kept), &seal);
            let count = kinds.entry(key[0]).or_default();
            *count += 1;
            if *count <= RECORDS_PER_KIND {
                let length = [u8::try_from(key.len()).unwrap()];
                records.push([&length[..], &key, &value.unwrap()].concat());
            }
        }
    }
    records
}

fn lines(path: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// What the repository's own cases give a target.
fn made(target: &str, cases: &[Case]) -> Vec<Vec<u8>> {
    match target {
        "form" | "parameters" | "action" => queries(cases),
        "json" => exchanges(cases)
            .filter_map(|exchange| exchange.json.clone())
            .map(String::into_bytes)
            .collect(),
        "record" => records(cases),
        "world" => (0..6)
            .map(|seed| write_world(&random_world(seed, WORLD)).into_bytes())
            .chain([std::fs::read(root().join("docs/guide/world.json")).unwrap()])
            .collect(),
        "flow" => lines("docs/guide/flows.jsonl"),
        "control" => Vec::new(),
        _ => files("cases/signed"),
    }
}

#[test]
fn every_seed_passes_through_its_target() {
    let cases = read_folder(&root().join("cases/api")).unwrap();
    let folder = std::env::var_os("PORTCULLIS_SEEDS").map(PathBuf::from);
    for (name, target) in TARGETS {
        let mut seeds = made(name, &cases);
        seeds.extend(files(&format!("fuzz/seeds/{name}")));
        assert!(seeds.len() > 2, "{name} has {} seeds", seeds.len());
        for (number, seed) in seeds.iter().enumerate() {
            if let Some(folder) = &folder {
                let own = folder.join(name);
                std::fs::create_dir_all(&own).unwrap();
                std::fs::write(own.join(format!("seed-{number}")), seed).unwrap();
            }
            target(seed);
        }
    }
}

#[test]
fn every_target_is_built_and_has_its_program() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("\nname = \"{name}\"\n")), "{name}");
        let program = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(program).unwrap();
        assert!(text.contains(&format!("portcullis_fuzz::{name}(data)")), "{name}");
    }
}
