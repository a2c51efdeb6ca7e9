//! From the embedded object to maps and programs in the kernel.
//!
//! Knows the object's names. Maps that are pinned already are used as they are; programs are always
//! loaded afresh, so that a newer agent brings its own.
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::maps::Map;
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use super::Sizes;
use super::abi::{
    BLOCK_PLACES, COUNTERS_PER_WORD, REASON_STRIDE, SLOT_BLOCKS, SLOT_WORDS, WORD_PLACES,
};

/// The kernel program, compiled by `datapath/build.sh`.
static OBJECT: &[u8] =
    include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../datapath/portcullis.bpf.o"));

/// Maps that are shared between the program and the user side.
pub(super) const MAPS: [&str; 16] = [
    "pool",
    "config",
    "slots",
    "devices",
    "members",
    "flows",
    "places",
    "place_words",
    "block_owners",
    "slot_blocks",
    "spare",
    "fragments",
    "hits",
    "retired",
    "reasons",
    "events",
];
/// The programs.
pub(super) const PROGRAMS: [&str; 4] = ["pc_egress", "pc_ingress", "pc_sweep", "pc_adopt"];

/// What was loaded, by name.
pub(super) struct Loaded {
    pub(super) maps: BTreeMap<&'static str, OwnedFd>,
    pub(super) programs: BTreeMap<&'static str, OwnedFd>,
}

/// Where a map is pinned in an instance's directory.
pub(super) fn map_pin(directory: &Path, name: &str) -> std::path::PathBuf {
    directory.join(format!("map_{name}"))
}

fn sized<'a>(loader: &mut EbpfLoader<'a>, sizes: &Sizes) {
    debug_assert_eq!(SLOT_WORDS * 8, 128);
    let reasons = sizes.slots * 2 * REASON_STRIDE as u32;
    for (name, entries) in [
        ("pool", sizes.pool_words),
        ("slots", sizes.slots),
        ("members", sizes.members),
        ("flows", sizes.places()),
        ("places", sizes.places()),
        ("place_words", sizes.places() / WORD_PLACES),
        ("block_owners", sizes.places() / BLOCK_PLACES),
        ("slot_blocks", sizes.slots * SLOT_BLOCKS),
        ("fragments", sizes.fragments),
        ("hits", sizes.counters),
        ("retired", sizes.counters.div_ceil(COUNTERS_PER_WORD)),
        ("reasons", reasons),
        ("events", sizes.event_bytes),
    ] {
        loader.map_max_entries(name, entries);
    }
}

fn map_descriptor(map: Map, name: &str) -> io::Result<OwnedFd> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data) => data.fd().as_fd().try_clone_to_owned(),
        _ => Err(io::Error::other(format!("map `{name}` is of an unexpected type"))),
    }
}

/// Loads the object; its maps are pinned in `directory`, or are those found there.
pub(super) fn load(sizes: &Sizes, directory: Option<&Path>) -> io::Result<Loaded> {
    let mut loader = EbpfLoader::new();
    sized(&mut loader, sizes);
    if let Some(directory) = directory {
        for name in MAPS {
            loader.map_pin_path(name, map_pin(directory, name));
        }
    }
    let mut object: Ebpf = loader.load(OBJECT).map_err(io::Error::other)?;
    let mut programs = BTreeMap::new();
    for name in PROGRAMS {
        let program = object.program_mut(name).ok_or_else(|| missing(name))?;
        let program: &mut SchedClassifier = program.try_into().map_err(io::Error::other)?;
        program.load().map_err(io::Error::other)?;
        let descriptor = program.fd().map_err(io::Error::other)?.as_fd().try_clone_to_owned()?;
        programs.insert(name, descriptor);
    }
    let mut maps = BTreeMap::new();
    for name in MAPS {
        let map = object.take_map(name).ok_or_else(|| missing(name))?;
        maps.insert(name, map_descriptor(map, name)?);
    }
    Ok(Loaded { maps, programs })
}

fn missing(name: &str) -> io::Error {
    io::Error::other(format!("the embedded kernel program has no `{name}`"))
}
