//! Damage to the files of a store: cut off, flipped, lost. Whatever is done to them, the store is
//! refused with a reason, or it holds exactly a state that existed and everything acknowledged.

// Everything in here is a test; the lint only knows the functions marked as one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_store::{Embedded, Guard, Limits, Operation, Revision, Store, StoreError};
use tempfile::TempDir;

const STORE: &str = "store.redb";
const WITNESS: &str = "store.acknowledged";
/// Commits in the store that is damaged.
const COMMITS: u64 = 80;

type State = BTreeMap<Vec<u8>, (Revision, Vec<u8>)>;

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

/// A directory in memory where there is one: nothing here depends on what a disk does, and
/// thousands of stores are opened.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn load(store: &Embedded) -> Result<(Revision, State), StoreError> {
    let mut state = State::new();
    let revision = store.load(&mut |entry| {
        state.insert(entry.key.to_vec(), (entry.modified, entry.value.to_vec()));
    })?;
    Ok((revision, state))
}

/// The files of a store, and what anybody was told it holds.
struct Image {
    store: Vec<u8>,
    witness: Vec<u8>,
    acknowledged: (Revision, State),
}

impl Image {
    /// A store of some commits. Its files are as a killed process leaves them, or a closed store.
    fn take(is_closed: bool) -> Image {
        let directory = scratch();
        let store = Embedded::open(directory.path(), Limits::default()).unwrap();
        let mut dice = Dice(7);
        for number in 0..COMMITS {
            let key = format!("rule/sg-{}/{}", dice.below(5), dice.below(30));
            let value = format!("{number}").repeat(1 + dice.below(120) as usize);
            let operation = match dice.below(8) {
                0 => Operation::delete(key),
                _ => Operation::put(key, value),
            };
            store
                .commit(&[], vec![operation, Operation::put("last", format!("{number}"))])
                .unwrap();
        }
        let acknowledged = load(&store).unwrap();
        let read = |name| fs::read(directory.path().join(name)).unwrap();
        if is_closed {
            drop(store);
            return Image { store: read(STORE), witness: read(WITNESS), acknowledged };
        }
        Image { store: read(STORE), witness: read(WITNESS), acknowledged }
    }

    /// Opens the files, changed by `damage`, and judges what comes of it. Returns whether they
    /// were accepted.
    fn judge(&self, what: &str, damage: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) -> bool {
        let directory = scratch();
        let (mut store, mut witness) = (self.store.clone(), self.witness.clone());
        damage(&mut store, &mut witness);
        fs::write(directory.path().join(STORE), store).unwrap();
        fs::write(directory.path().join(WITNESS), witness).unwrap();
        match judge_directory(directory.path(), &self.acknowledged) {
            Ok(()) => true,
            Err(error) => {
                let is_clear = matches!(error.code(), "Corrupt" | "UnknownFormat");
                assert!(is_clear, "{what}: {}: {error}", error.code());
                assert!(!error.help().is_empty());
                false
            }
        }
    }
}

/// If the store opens it holds what was acknowledged, its history too, and goes on from there.
fn judge_directory(path: &Path, acknowledged: &(Revision, State)) -> Result<(), StoreError> {
    let store = Embedded::open(path, Limits::default())?;
    assert_eq!(&load(&store)?, acknowledged);
    let mut watch = store.watch(Revision::ZERO)?;
    let mut replayed = State::new();
    while watch.seen() < acknowledged.0 {
        let commit = watch.next(Duration::ZERO)?.unwrap();
        for operation in &commit.operations {
            let key = operation.key().to_vec();
            match operation.value() {
                Some(value) => replayed.insert(key, (commit.revision, value.to_vec())),
                None => replayed.remove(&key),
            };
        }
    }
    assert_eq!(&replayed, &acknowledged.1);
    // Writing must not land on pages that are in use.
    for number in 0..3 {
        store.commit(&[], vec![Operation::put(format!("new{number}"), "x".repeat(5000))]).unwrap();
    }
    drop(store);
    let store = Embedded::open(path, Limits::default())?;
    let (revision, mut state) = load(&store)?;
    assert_eq!(revision.number(), acknowledged.0.number() + 3);
    state.retain(|key, _| !key.starts_with(b"new"));
    assert_eq!(state, acknowledged.1);
    Ok(())
}

fn images() -> [(&'static str, Image); 2] {
    [("killed", Image::take(false)), ("closed", Image::take(true))]
}

#[test]
fn untouched_files_are_accepted() {
    for (name, image) in images() {
        assert!(image.judge(name, |_, _| ()), "{name}");
    }
}

#[test]
fn a_store_that_is_cut_off_is_refused_or_whole() {
    for (name, image) in images() {
        let length = image.store.len();
        let mut dice = Dice(11);
        let blocks = (0..length).step_by(length / 64);
        let last_bytes = (1..=16).map(|missing| length - missing);
        let last_pages = (1..=16).map(|pages| length - pages * 4096);
        let first = [0, 1, 8, 9, 63, 64, 191, 192, 319, 320, 511, 512, 4095, 4096];
        let random = (0..40).map(|_| dice.below(length as u64) as usize).collect::<Vec<_>>();
        let ends = blocks.chain(last_bytes).chain(last_pages).chain(first).chain(random);
        let mut refused = 0;
        for end in ends {
            let accepted = image.judge(&format!("{name}: cut at {end}"), |store, _| {
                store.truncate(end);
            });
            refused += usize::from(!accepted);
        }
        assert!(refused > 60, "{name}: only {refused} refused");
    }
}

#[test]
fn a_store_whose_end_was_not_written_is_refused_or_whole() {
    for (name, image) in images() {
        let pages = image.store.len() / 4096;
        for page in 0..pages {
            // Zeros, as a file system shows a block that it had no time to write, and the rest of
            // the file with it or not.
            let start = page * 4096;
            image.judge(&format!("{name}: page {page} is zero"), |store, _| {
                store[start..start + 4096].fill(0);
            });
            if page % 4 == 0 {
                image.judge(&format!("{name}: zeros from page {page}"), |store, _| {
                    store[start..].fill(0);
                });
            }
            image.judge(&format!("{name}: page {page} is torn"), |store, _| {
                store[start + 512..start + 4096].fill(0xa5);
            });
        }
    }
}

#[test]
fn flipped_bits_of_a_store_are_refused_or_harmless() {
    for (name, image) in images() {
        let mut refused = 0;
        let mut flip = |at: usize, bit: u64| {
            let accepted = image.judge(&format!("{name}: byte {at} bit {bit}"), |store, _| {
                store[at] ^= 1 << bit;
            });
            refused += usize::from(!accepted);
        };
        // Every byte of the header in turn, where one bit decides what counts.
        let mut dice = Dice(13);
        for at in 0..512 {
            flip(at, dice.below(8));
        }
        for bit in 0..8 {
            flip(9, bit);
        }
        for _ in 0..400 {
            flip(dice.below(image.store.len() as u64) as usize, dice.below(8));
        }
        // And where there is something: the bytes that are not zero.
        let used: Vec<usize> =
            (512..image.store.len()).filter(|at| image.store[*at] != 0).collect();
        for _ in 0..400 {
            flip(used[dice.below(used.len() as u64) as usize], dice.below(8));
        }
        assert!(refused > 100, "{name}: only {refused} refused");
    }
}

#[test]
fn flipped_bits_of_the_witness_are_refused_or_harmless() {
    let (name, image) = ("killed", Image::take(false));
    for slot in [0, 4096] {
        for at in slot..slot + 40 {
            assert!(image.judge(&format!("{name}: witness byte {at}"), |_, witness| {
                witness[at] ^= 1 << (at % 8);
            }));
        }
    }
    for end in [0, 1, 39, 40, 4096, 4135] {
        let accepted = image.judge(&format!("{name}: witness cut at {end}"), |_, witness| {
            witness.truncate(end);
        });
        assert_eq!(accepted, end >= 40, "cut at {end}");
    }
    assert!(!image.judge(name, |_, witness| witness.fill(0)));
}

#[test]
fn an_older_copy_of_the_store_is_refused() {
    let (directory, older) = (scratch(), scratch());
    let copy = older.path().join(STORE);
    let store = Embedded::open(directory.path(), Limits::default()).unwrap();
    store.commit(&[], vec![Operation::put("a", "one")]).unwrap();
    fs::copy(directory.path().join(STORE), &copy).unwrap();
    store.commit(&[], vec![Operation::put("a", "two")]).unwrap();
    drop(store);
    fs::copy(&copy, directory.path().join(STORE)).unwrap();
    let error = Embedded::open(directory.path(), Limits::default()).err().unwrap();
    let place = directory.path().join(STORE).display().to_string();
    let detail = "it ends at revision 1, but revision 2 was acknowledged";
    assert_eq!(error.to_string(), format!("the store is damaged at {place}: {detail}"));
    assert!(error.help().ends_with("`portcullis restore` the newest export into another"));
}

#[test]
fn a_file_that_is_missing_is_named() {
    for (missing, left) in [(STORE, WITNESS), (WITNESS, STORE)] {
        let directory = scratch();
        let store = Embedded::open(directory.path(), Limits::default()).unwrap();
        store.commit(&[], vec![Operation::put("a", "one")]).unwrap();
        drop(store);
        fs::remove_file(directory.path().join(missing)).unwrap();
        let error = Embedded::open(directory.path(), Limits::default()).err().unwrap();
        assert_eq!(error.code(), "Corrupt");
        assert!(error.to_string().contains(missing), "{error}");
        assert!(directory.path().join(left).exists(), "nothing is made anew over a remainder");
    }
}

#[test]
fn making_a_store_may_be_interrupted_anywhere() {
    let whole = scratch();
    drop(Embedded::open(whole.path(), Limits::default()).unwrap());
    let leftovers: [&[(&str, &str)]; 3] = [
        &[("store.redb.new", "half a file")],
        &[("store.redb.new", "half a file"), (WITNESS, "")],
        &[(WITNESS, ""), ("store.redb.new", "")],
    ];
    for files in leftovers {
        let directory = scratch();
        for (name, text) in files {
            let path = directory.path().join(name);
            match *name {
                WITNESS => drop(fs::copy(whole.path().join(WITNESS), path).unwrap()),
                _ => fs::write(path, text).unwrap(),
            }
        }
        let store = Embedded::open(directory.path(), Limits::default()).unwrap();
        assert_eq!(store.head(), Revision::ZERO);
        assert!(!directory.path().join("store.redb.new").exists());
    }
}

#[test]
fn only_one_may_have_a_directory_open() {
    let directory = scratch();
    let store = Embedded::open(directory.path(), Limits::default()).unwrap();
    let error = Embedded::open(directory.path(), Limits::default()).err().unwrap();
    let path = directory.path().display();
    assert_eq!(error.to_string(), format!("`{path}` is in use by another process"));
    assert_eq!(error.code(), "Locked");
    assert_eq!(error.help(), "stop the other process or choose another directory");
    let mut watch = store.watch(Revision::ZERO).unwrap();
    drop(store);
    Embedded::open(directory.path(), Limits::default()).unwrap();
    assert_eq!(watch.next(Duration::from_secs(30)).unwrap_err().code(), "Stopped");
}

#[test]
fn nothing_is_restored_over_a_store() {
    let directory = scratch();
    let store = Embedded::open(directory.path(), Limits::default()).unwrap();
    store.commit(&[Guard::absent("a")], vec![Operation::put("a", "one")]).unwrap();
    let path: PathBuf = directory.path().join("export");
    assert_eq!(portcullis_store::export_to_file(&store, &path).unwrap(), Revision::new(1));
    assert!(!directory.path().join("export.new").exists());
    drop(store);
    let restore = |into: &Path| {
        Embedded::restore(into, Limits::default(), &mut fs::File::open(&path).unwrap())
    };
    assert_eq!(restore(directory.path()).err().unwrap().code(), "NotEmpty");
    let other = scratch();
    let store = restore(&other.path().join("deep/inside")).unwrap();
    assert_eq!(load(&store).unwrap().1.len(), 1);
}

#[cfg(unix)]
#[test]
fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = scratch();
    let directory = parent.path().join("store");
    let store = Embedded::open(&directory, Limits::default()).unwrap();
    // A draft that was left over does not lend the export its mode.
    fs::write(directory.join("export.new"), "").unwrap();
    fs::set_permissions(directory.join("export.new"), fs::Permissions::from_mode(0o644)).unwrap();
    portcullis_store::export_to_file(&store, &directory.join("export")).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let mut names = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        names += 1;
    }
    assert_eq!(names, 4);
}
