//! The embedded engine on a simulated disk that fails or loses power at every step in turn.
//!
//! The disk keeps what was synced; of what was written since, a power cut keeps any sectors and
//! loses any others. It refuses to simulate a disk that lies about having synced.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::{StorageBackend, TableDefinition};

use super::{Embedded, Tables};
use crate::contract::{Operation, Revision, Store};
use crate::error::CommitError;
use crate::export::Export;
use crate::limits::Limits;

const SECTOR_BYTES: usize = 512;
const COMMITS: u64 = 12;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// Sequences of numbers that are the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn perform(&self, bytes: &mut Vec<u8>) {
        match self {
            Write::Length(length) => bytes.resize(*length, 0),
            Write::Bytes(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }

    /// The parts that a power cut can tell apart.
    fn sectors(&self) -> Vec<Write> {
        let Write::Bytes(offset, data) = self else { return vec![self.clone()] };
        let mut sectors = Vec::new();
        let mut start = 0;
        while start < data.len() {
            let end = (start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES).min(data.len());
            sectors.push(Write::Bytes(offset + start, data[start..end].to_vec()));
            start = end;
        }
        sectors
    }
}

#[derive(Debug, Default)]
struct Platter {
    synced: Vec<u8>,
    current: Vec<u8>,
    unsynced: Vec<Write>,
    /// Changes that still work; afterwards every one fails.
    steps_left: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl Disk {
    /// A disk after a power cut: what was synced, and by chance some of what was not.
    fn after_power_cut(&self, dice: &mut Dice) -> Disk {
        let platter = self.0.lock().unwrap();
        let mut bytes = platter.synced.clone();
        let chance = dice.below(5);
        for sector in platter.unsynced.iter().flat_map(Write::sectors) {
            if dice.below(4) < chance {
                sector.perform(&mut bytes);
            }
        }
        let (synced, current) = (bytes.clone(), bytes);
        Disk(Arc::new(Mutex::new(Platter { synced, current, ..Platter::default() })))
    }

    fn change(&self, change: impl FnOnce(&mut Platter)) -> Result<(), Error> {
        let mut platter = self.0.lock().unwrap();
        if let Some(left) = &mut platter.steps_left {
            *left = left.checked_sub(1).ok_or(Error::from(ErrorKind::StorageFull))?;
        }
        change(&mut platter);
        Ok(())
    }

    fn write(&self, write: Write) -> Result<(), Error> {
        self.change(|platter| {
            write.perform(&mut platter.current);
            platter.unsynced.push(write);
        })
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let platter = self.0.lock().unwrap();
        let start = offset as usize;
        let found = platter.current.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(Error::from(ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), Error> {
        Disk::write(self, Write::Length(len as usize))
    }

    fn sync_data(&self) -> Result<(), Error> {
        self.change(|platter| {
            platter.synced = platter.current.clone();
            platter.unsynced.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        Disk::write(self, Write::Bytes(offset as usize, data.to_vec()))
    }
}

fn limits() -> Limits {
    // A short history, so that commits shorten it too.
    Limits { history_revisions_max: 5, ..Limits::default() }
}

fn open(disk: &Disk) -> Embedded {
    let tables = Tables::open_on(disk.clone(), Path::new("disk"), None).unwrap();
    Embedded::with_tables(tables, None, limits()).unwrap()
}

fn fresh() -> Disk {
    let disk = Disk::default();
    Tables::create_on(disk.clone(), Path::new("disk"), &Export::empty()).unwrap();
    disk
}

fn load(store: &Embedded) -> (Revision, State) {
    let mut state = State::new();
    let revision = store.load(&mut |entry| {
        state.insert(entry.key.to_vec(), entry.value.to_vec());
    });
    (revision.unwrap(), state)
}

fn operations(number: u64) -> Vec<Operation> {
    let mut dice = Dice(number);
    let large = dice.below(9000) as usize;
    vec![
        Operation::put(format!("key/{}", dice.below(9)), format!("{number} ").repeat(large)),
        Operation::delete(format!("key/{}", dice.below(9))),
        Operation::put("number", number.to_string()),
    ]
}

/// The state after so many commits.
fn expected(commits: u64) -> State {
    let mut state = State::new();
    for operation in (1..=commits).flat_map(operations) {
        match operation {
            Operation::Put { key, value } => state.insert(key, value),
            Operation::Delete { key } => state.remove(&key),
        };
    }
    state
}

/// Commits until the disk fails. Returns the last acknowledged number, and whether it did fail.
fn run(store: &Embedded) -> (u64, bool) {
    for number in 1..=COMMITS {
        match store.commit(&[], operations(number)) {
            Ok(revision) => assert_eq!(revision.number(), number),
            Err(CommitError::Unknown(_) | CommitError::Refused(_)) => return (number - 1, true),
            Err(error) => panic!("{error}"),
        }
    }
    (COMMITS, false)
}

#[test]
fn after_a_power_cut_at_any_step_all_that_was_acknowledged_is_there() {
    let mut step = 0;
    let mut found_beyond = 0;
    loop {
        let disk = fresh();
        let store = open(&disk);
        disk.0.lock().unwrap().steps_left = Some(step);
        let (acknowledged, has_failed) = run(&store);
        for cut in 0..6 {
            let mut dice = Dice((step * 6 + cut) as u64);
            let (revision, state) = load(&open(&disk.after_power_cut(&mut dice)));
            let number = revision.number();
            let possible = acknowledged..=acknowledged + u64::from(has_failed);
            assert!(possible.contains(&number), "step {step} cut {cut}: {number}, {possible:?}");
            assert_eq!(state, expected(number), "step {step} cut {cut}");
            found_beyond += u64::from(number > acknowledged);
        }
        if !has_failed {
            break;
        }
        step += 1;
    }
    assert!(step > COMMITS as usize * 2, "only {step} steps");
    assert!(found_beyond > 0, "no cut came between the write and the acknowledgement");
}

#[test]
fn after_a_failed_write_the_store_stops_and_says_so() {
    let steps = 1..;
    for step in steps {
        let disk = fresh();
        let store = open(&disk);
        disk.0.lock().unwrap().steps_left = Some(step);
        let (acknowledged, has_failed) = run(&store);
        if !has_failed {
            assert!(step > COMMITS as usize);
            return;
        }
        // Even if the disk works again: nobody knows what it holds now.
        disk.0.lock().unwrap().steps_left = None;
        let error = store.commit(&[], operations(1)).unwrap_err();
        assert_eq!(
            (error.code(), error.help()),
            ("Refused", "check the disk, then open the store again")
        );
        assert_eq!(store.load(&mut |_| ()).unwrap_err().code(), "Stopped");
        assert_eq!(store.compact(Revision::ZERO).unwrap_err().code(), "Stopped");
        assert_eq!(store.head().number(), acknowledged, "nothing unacknowledged is shown");
        let mut watch = store.watch(Revision::new(acknowledged.saturating_sub(2))).unwrap();
        while watch.seen().number() < acknowledged {
            assert!(watch.next(Duration::ZERO).unwrap().is_some());
        }
        assert_eq!(watch.next(Duration::from_secs(30)).unwrap_err().code(), "Stopped");
    }
}

#[test]
fn a_failed_write_names_what_and_where_and_why() {
    let disk = fresh();
    let store = open(&disk);
    disk.0.lock().unwrap().steps_left = Some(0);
    let error = store.commit(&[], operations(1)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(error.to_string(), "the outcome of the transaction is unknown");
    assert_eq!(source.to_string(), "cannot write `disk`");
    assert!(source.source().is_some());
    assert_eq!(error.help(), "open the store again and look whether the transaction is there");
}

#[test]
fn a_store_of_another_format_is_refused() {
    const HEAD: TableDefinition<'_, u8, (u32, u64, u64)> = TableDefinition::new("head");
    for (row, code) in [((2, 5, 0), "UnknownFormat"), ((1, 5, 6), "Corrupt")] {
        let disk = fresh();
        let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(HEAD).unwrap().insert(0, row).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let tables = Tables::open_on(disk, Path::new("disk"), None).unwrap();
        let error = tables.head().err().unwrap();
        assert_eq!(error.code(), code);
        if code == "UnknownFormat" {
            assert_eq!(error.to_string(), "`disk` has format 2, this program reads format 1");
            assert!(error.help().starts_with("use the version of the program that wrote it"));
        }
    }
}
