//! A small file that says which revision was last acknowledged, beside the engine's own file.
//!
//! An engine that finds its newest commit damaged cannot tell one that was being written when the
//! power failed from one that was acknowledged and then went bad, and drops it either way. The
//! witness can. It is written after a commit is durable and before it is acknowledged, without
//! waiting for the disk: after a killed process it is exact, after a power cut it may be some
//! seconds old, which only makes the check weaker. Two places are written in turn, so that a torn
//! write spoils at most one. It refuses to know what a commit holds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::contract::Revision;
use crate::error::StoreError;

/// The version of the whole store's format, files and records. A reader refuses any other.
pub(crate) const FORMAT: u32 = 1;

const MAGIC: &[u8; 12] = b"portcullis-w";
/// The two slots are in different blocks of any disk, so that no torn write spoils both.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const SLOT_BYTES: usize = 40;

/// What was last acknowledged.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    path: PathBuf,
    acknowledged: Revision,
    /// Position in [`SLOT_OFFSETS`] of the slot that is written next.
    next_slot: usize,
}

impl Witness {
    /// Begins a witness in `file` that has seen nothing.
    pub(super) fn create(file: File, path: &Path) -> Result<Witness, StoreError> {
        let path = path.to_path_buf();
        let mut witness = Witness { file, path, acknowledged: Revision::ZERO, next_slot: 0 };
        for _ in SLOT_OFFSETS {
            witness.acknowledge(Revision::ZERO)?;
        }
        witness.sync()?;
        Ok(witness)
    }

    /// Reads the witness in `file`.
    pub(super) fn open(file: File, path: &Path) -> Result<Witness, StoreError> {
        let mut newest: Option<(usize, Revision)> = None;
        for (slot, offset) in SLOT_OFFSETS.into_iter().enumerate() {
            let mut bytes = [0; SLOT_BYTES];
            // A file that is too short has lost the slot, like one with the wrong bytes in it.
            let is_read = file.read_exact_at(&mut bytes, offset).is_ok();
            let revision = if is_read { decode(&bytes, path)? } else { None };
            if revision > newest.map(|(_, revision)| revision) {
                newest = revision.map(|revision| (slot, revision));
            }
        }
        let Some((slot, acknowledged)) = newest else {
            return Err(StoreError::corrupt(path.display().to_string(), "no part of it is intact"));
        };
        let next_slot = (slot + 1) % SLOT_OFFSETS.len();
        Ok(Witness { file, path: path.to_path_buf(), acknowledged, next_slot })
    }

    /// The newest revision that anybody may have been told of, as far as this file knows.
    pub(super) fn acknowledged(&self) -> Revision {
        self.acknowledged
    }

    /// Notes that `revision` is durable and about to be acknowledged.
    pub(super) fn acknowledge(&mut self, revision: Revision) -> Result<(), StoreError> {
        let offset = SLOT_OFFSETS.get(self.next_slot).copied().unwrap_or_default();
        let written = self.file.write_all_at(&encode(revision), offset);
        written.map_err(|error| StoreError::io("write", &self.path, error))?;
        self.next_slot = (self.next_slot + 1) % SLOT_OFFSETS.len();
        self.acknowledged = revision;
        Ok(())
    }

    /// Waits until what was noted is on the disk.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|error| StoreError::io("sync", &self.path, error))
    }
}

fn encode(revision: Revision) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    let (body, checksum) = slot.split_at_mut(SLOT_BYTES - 16);
    let fields = MAGIC.iter().copied().chain(FORMAT.to_le_bytes());
    let fields = fields.chain(revision.number().to_le_bytes());
    body.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
    checksum.copy_from_slice(&xxh3_128(body).to_le_bytes());
    slot
}

/// The revision in a slot, nothing if the slot is damaged, an error if its format is another.
fn decode(slot: &[u8; SLOT_BYTES], path: &Path) -> Result<Option<Revision>, StoreError> {
    let (body, checksum) = slot.split_at(SLOT_BYTES - 16);
    if checksum != xxh3_128(body).to_le_bytes() {
        return Ok(None);
    }
    let Some((format, revision)) = body.strip_prefix(MAGIC).and_then(|fields| {
        let (format, rest) = fields.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*format), u64::from_le_bytes(*rest.first_chunk::<8>()?)))
    }) else {
        return Ok(None);
    };
    if format != FORMAT {
        let place = path.display().to_string();
        return Err(StoreError::UnknownFormat { place, found: format, supported: FORMAT });
    }
    Ok(Some(Revision::new(revision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopen(path: &Path) -> Result<Revision, StoreError> {
        let file = File::options().read(true).write(true).open(path).unwrap();
        Witness::open(file, path).map(|witness| witness.acknowledged())
    }

    fn written(path: &Path) -> Witness {
        let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
        let mut witness = Witness::create(file, path).unwrap();
        for number in 1..=7 {
            witness.acknowledge(Revision::new(number)).unwrap();
        }
        witness
    }

    #[test]
    fn it_remembers_the_newest_and_survives_the_loss_of_one_slot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let witness = written(&path);
        assert_eq!(reopen(&path).unwrap(), Revision::new(7));
        for (offset, left) in [(0, 6), (4096, 7)] {
            let mut slot = [0; SLOT_BYTES];
            witness.file.read_exact_at(&mut slot, offset).unwrap();
            for at in 0..SLOT_BYTES {
                for bit in 0..8 {
                    let mut damaged = slot;
                    damaged[at] ^= 1 << bit;
                    witness.file.write_all_at(&damaged, offset).unwrap();
                    let found = reopen(&path).unwrap();
                    assert_eq!(found, Revision::new(left), "byte {at} bit {bit}");
                }
            }
            witness.file.write_all_at(&slot, offset).unwrap();
        }
    }

    #[test]
    fn without_an_intact_slot_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let witness = written(&path);
        witness.file.set_len(10).unwrap();
        assert_eq!(reopen(&path).unwrap_err().code(), "Corrupt");
    }

    #[test]
    fn another_format_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("witness");
        let witness = written(&path);
        let mut slot = encode(Revision::new(9));
        slot[12] = 2;
        let checksum = xxh3_128(&slot[..SLOT_BYTES - 16]).to_le_bytes();
        slot[SLOT_BYTES - 16..].copy_from_slice(&checksum);
        witness.file.write_all_at(&slot, 0).unwrap();
        let error = reopen(&path).unwrap_err();
        assert!(matches!(error, StoreError::UnknownFormat { found: 2, supported: 1, .. }));
    }
}
