//! The contract suite: what every engine must do, run on each of them. Random histories are
//! compared with a model that a child could read.

// Everything in here is a test; the lint only knows the functions marked as one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use model::random_histories_agree_with_the_model;
use portcullis_store::{
    Commit, CommitError, Embedded, Found, Guard, Limits, Memory, Operation, Revision, Store,
    StoreError, Transaction, export,
};
use tempfile::TempDir;

/// Long enough for a loaded machine; a test that meets it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a watcher that must find nothing.
const AT_ONCE: Duration = Duration::ZERO;

/// An engine under test.
trait Engine: Sized + Sync {
    /// Whether older commits are found when they are no longer in memory.
    const HAS_HISTORY_ON_DISK: bool;
    /// Random histories to compare; those that wait for a disk are fewer.
    const HISTORIES: u32;
    fn fresh(limits: Limits) -> Self;
    fn restored(limits: Limits, bytes: &[u8]) -> Result<Self, StoreError>;
    fn store(&self) -> &dyn Store;
    /// Ends the store and starts it again, where it can outlive that.
    fn restart(self) -> Self;
}

struct InMemory(Memory);

impl Engine for InMemory {
    const HAS_HISTORY_ON_DISK: bool = false;
    const HISTORIES: u32 = 1000;

    fn fresh(limits: Limits) -> Self {
        InMemory(Memory::new(limits))
    }

    fn restored(limits: Limits, mut bytes: &[u8]) -> Result<Self, StoreError> {
        Memory::restore(limits, &mut bytes).map(InMemory)
    }

    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn restart(self) -> Self {
        self
    }
}

struct OnDisk {
    store: Option<Embedded>,
    directory: TempDir,
}

impl Engine for OnDisk {
    const HAS_HISTORY_ON_DISK: bool = true;
    const HISTORIES: u32 = 60;

    fn fresh(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(Embedded::open(directory.path(), limits).unwrap());
        OnDisk { store, directory }
    }

    fn restored(limits: Limits, mut bytes: &[u8]) -> Result<Self, StoreError> {
        let directory = tempfile::tempdir().unwrap();
        let store = Some(Embedded::restore(directory.path(), limits, &mut bytes)?);
        Ok(OnDisk { store, directory })
    }

    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn restart(mut self) -> Self {
        let limits = self.store().limits().clone();
        drop(self.store.take());
        self.store = Some(Embedded::open(self.directory.path(), limits).unwrap());
        self
    }
}

type Entries = BTreeMap<Vec<u8>, (Revision, Vec<u8>)>;

fn load(store: &dyn Store) -> (Revision, Entries) {
    let mut entries = Entries::new();
    let mut last: Option<Vec<u8>> = None;
    let revision = store.load(&mut |entry| {
        let key = entry.key.to_vec();
        assert!(last.as_ref() < Some(&key), "entries come in the order of their keys");
        last = Some(key.clone());
        entries.insert(key, (entry.modified, entry.value.to_vec()));
    });
    (revision.unwrap(), entries)
}

fn revision(number: u64) -> Revision {
    Revision::new(number)
}

fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    store.commit(&[], vec![Operation::put(key, value)]).unwrap()
}

fn entries(expected: &[(&str, u64, &str)]) -> Entries {
    let entry = |(key, modified, value): &(&str, u64, &str)| {
        (key.as_bytes().to_vec(), (revision(*modified), value.as_bytes().to_vec()))
    };
    expected.iter().map(entry).collect()
}

fn an_empty_store_is_at_zero<E: Engine>() {
    let engine = E::fresh(Limits::default());
    for engine in [engine, E::fresh(Limits::default()).restart()] {
        assert_eq!(engine.store().head(), Revision::ZERO);
        assert_eq!(load(engine.store()), (Revision::ZERO, Entries::new()));
        let mut watch = engine.store().watch(Revision::ZERO).unwrap();
        assert_eq!(watch.next(AT_ONCE).unwrap(), None);
    }
}

fn commits_are_numbered_and_last<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let store = engine.store();
    assert_eq!(put(store, "b", "one"), revision(1));
    assert_eq!(put(store, "a", ""), revision(2));
    assert_eq!(put(store, "b", "two"), revision(3));
    let operations = vec![Operation::delete("a"), Operation::put("c", "three")];
    assert_eq!(store.commit(&[], operations).unwrap(), revision(4));
    let engine = engine.restart();
    let expected = entries(&[("b", 3, "two"), ("c", 4, "three")]);
    assert_eq!(load(engine.store()), (revision(4), expected));
    assert_eq!(engine.store().head(), revision(4));
    assert_eq!(put(engine.store(), "d", "four"), revision(5));
}

fn keys_are_ordered_bytewise<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let keys: [&[u8]; 6] = [b"\0", b"\0\0", b"a", b"a\xff", b"b", b"\xff"];
    let operations = keys.iter().rev().map(|key| Operation::put(*key, *key)).collect();
    engine.store().commit(&[], operations).unwrap();
    let (_, entries) = load(engine.store());
    assert_eq!(entries.keys().map(Vec::as_slice).collect::<Vec<_>>(), keys);
}

fn of_several_operations_on_a_key_the_last_stands<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let operations = vec![
        Operation::put("a", "one"),
        Operation::delete("a"),
        Operation::put("a", "two"),
        Operation::put("b", "one"),
        Operation::delete("b"),
        Operation::delete("absent"),
    ];
    engine.store().commit(&[], operations.clone()).unwrap();
    assert_eq!(load(engine.store()).1, entries(&[("a", 1, "two")]));
    let mut watch = engine.store().watch(Revision::ZERO).unwrap();
    let commit = watch.next(PATIENCE).unwrap().unwrap();
    assert_eq!(*commit, Commit { revision: revision(1), operations });
}

fn guards_hold_or_nothing_happens<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let store = engine.store();
    put(store, "a", "one");
    put(store, "b", "one");
    let at = |number| Found::ModifiedAt(revision(number));
    let refused = [
        (vec![Guard::absent("a")], 0, at(1)),
        (vec![Guard::modified_at("a", revision(2))], 0, at(1)),
        (vec![Guard::modified_at("absent", revision(1))], 0, Found::Absent),
        (vec![Guard::store_at(revision(1))], 0, Found::StoreAt(revision(2))),
        (vec![Guard::store_at(revision(3))], 0, Found::StoreAt(revision(2))),
        (vec![Guard::absent("c"), Guard::modified_at("b", revision(1))], 1, at(2)),
        (vec![Guard::absent("b"), Guard::absent("a")], 0, at(2)),
    ];
    for (guards, wrong, wanted) in refused {
        let before = load(store);
        let error = store.commit(&guards, vec![Operation::put("x", "x")]).unwrap_err();
        let CommitError::Conflict { position, guard, found } = &error else {
            panic!("{guards:?} gives {error:?}");
        };
        assert_eq!((*position, guard, *found), (wrong, &guards[wrong], wanted));
        assert_eq!(error.code(), "Conflict");
        assert_eq!(load(store), before);
    }
    let guards =
        [Guard::modified_at("a", revision(1)), Guard::absent("c"), Guard::store_at(revision(2))];
    assert_eq!(store.commit(&guards, vec![Operation::put("c", "")]).unwrap(), revision(3));
    store.commit(&[], vec![Operation::delete("a")]).unwrap();
    store.commit(&[Guard::absent("a")], vec![Operation::put("a", "again")]).unwrap();
}

fn a_conflict_says_what_and_what_to_do<E: Engine>() {
    let engine = E::fresh(Limits::default());
    put(engine.store(), "rule\x01", "one");
    let error = engine.store().commit(&[Guard::absent("rule\x01")], vec![Operation::put("a", "")]);
    let error = error.unwrap_err();
    let expected = r"guard 0 does not hold: `rule\x01` is absent, but revision 1 changed it";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.help(), "read the newest state, decide again and commit with new guards");
}

fn a_batch_is_judged_in_order<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let transaction =
        |guard, key: &str| Transaction::new(vec![guard], vec![Operation::put(key, "")]);
    let answers = engine.store().commit_batch(vec![
        transaction(Guard::store_at(revision(0)), "a"),
        transaction(Guard::absent("a"), "b"),
        Transaction::new(vec![Guard::modified_at("a", revision(1))], vec![Operation::delete("a")]),
        Transaction::default(),
        transaction(Guard::absent("a"), "c"),
        transaction(Guard::store_at(revision(3)), "d"),
    ]);
    let answers: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().map_err(CommitError::code)).collect();
    let (one, two, three, four) = (&revision(1), &revision(2), &revision(3), &revision(4));
    let (conflict, empty) = (Err("Conflict"), Err("Empty"));
    assert_eq!(answers, [Ok(one), conflict, Ok(two), empty, Ok(three), Ok(four)]);
    let expected = entries(&[("c", 3, ""), ("d", 4, "")]);
    assert_eq!(load(engine.restart().store()), (revision(4), expected));
    assert_eq!(E::fresh(Limits::default()).store().commit_batch(Vec::new()).len(), 0);
}

fn watchers_see_all_in_order<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let numbers = 600;
    let mut early = engine.store().watch(Revision::ZERO).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=numbers {
                put(engine.store(), "key", &number.to_string());
            }
        });
        for number in 1..=numbers {
            let commit = early.next(PATIENCE).unwrap().unwrap();
            assert_eq!(commit.revision, revision(number));
            assert_eq!(commit.operations, [Operation::put("key", number.to_string())]);
        }
    });
    assert_eq!(early.next(AT_ONCE).unwrap(), None);
    assert_eq!(early.seen(), revision(numbers));
    let mut late = engine.store().watch(revision(numbers - 2)).unwrap();
    assert_eq!(late.next(PATIENCE).unwrap().unwrap().revision, revision(numbers - 1));
    let error = engine.store().watch(revision(numbers + 1)).err().unwrap();
    assert!(matches!(error, StoreError::Future { requested, head }
        if requested == revision(601) && head == revision(600)));
}

fn a_load_and_a_watch_from_it_miss_nothing<E: Engine>() {
    let engine = E::fresh(Limits::default());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..300 {
                put(engine.store(), &format!("key{}", number % 7), &number.to_string());
            }
        });
        while engine.store().head() < revision(300) {
            let (at, mut state) = load(engine.store());
            let mut watch = engine.store().watch(at).unwrap();
            let (end, expected) = load(engine.store());
            while watch.seen() < end {
                let commit = watch.next(PATIENCE).unwrap().unwrap();
                apply(&mut state, &commit);
            }
            assert_eq!(state, expected);
        }
    });
}

fn apply(state: &mut Entries, commit: &Commit) {
    for operation in &commit.operations {
        match operation.value() {
            Some(value) => {
                state.insert(operation.key().to_vec(), (commit.revision, value.to_vec()))
            }
            None => state.remove(operation.key()),
        };
    }
}

fn compaction_forgets_the_way_not_the_state<E: Engine>() {
    let engine = E::fresh(Limits::default());
    let store = engine.store();
    (1..=10).for_each(|number| assert_eq!(put(store, "a", "x"), revision(number)));
    let mut slow = store.watch(revision(3)).unwrap();
    let before = load(store);
    store.compact(revision(7)).unwrap();
    store.compact(revision(5)).unwrap();
    assert!(matches!(store.compact(revision(11)), Err(StoreError::Future { .. })));
    assert_eq!(load(store), before);
    let cut = slow.next(AT_ONCE).unwrap_err();
    assert!(matches!(cut, StoreError::Compacted { requested, oldest }
        if requested == revision(3) && oldest == revision(7)));
    assert_eq!(cut.help(), "load the whole state and watch from its revision");
    let engine = engine.restart();
    let store = engine.store();
    assert_eq!(store.watch(revision(6)).err().unwrap().code(), "Compacted");
    let mut watch = store.watch(revision(7)).unwrap();
    for number in 8..=10 {
        assert_eq!(watch.next(PATIENCE).unwrap().unwrap().revision, revision(number));
    }
    store.compact(revision(10)).unwrap();
    assert_eq!(put(store, "a", "y"), revision(11));
    assert_eq!(watch.next(PATIENCE).unwrap().unwrap().revision, revision(11));
}

fn a_history_that_is_too_long_is_shortened<E: Engine>() {
    let engine = E::fresh(Limits { history_revisions_max: 20, ..Limits::default() });
    let mut slow = engine.store().watch(Revision::ZERO).unwrap();
    for _ in 0..50 {
        put(engine.store(), "a", "x");
    }
    let engine = engine.restart();
    assert_eq!(engine.store().watch(revision(29)).err().unwrap().code(), "Compacted");
    let mut watch = engine.store().watch(revision(30)).unwrap();
    for number in 31..=50 {
        assert_eq!(watch.next(PATIENCE).unwrap().unwrap().revision, revision(number));
    }
    let cut = slow.next(AT_ONCE).unwrap_err();
    assert!(["Compacted", "Stopped"].contains(&cut.code()), "{cut}");
}

fn a_slow_watcher_costs_no_memory<E: Engine>() {
    // The bound leaves room for one commit only, so what is behind comes from elsewhere or not.
    let engine = E::fresh(Limits { watch_bytes_max: 300, ..Limits::default() });
    let mut slow = engine.store().watch(Revision::ZERO).unwrap();
    let value = "x".repeat(100);
    for _ in 0..600 {
        put(engine.store(), "a", &value);
    }
    if E::HAS_HISTORY_ON_DISK {
        for number in 1..=600 {
            assert_eq!(slow.next(AT_ONCE).unwrap().unwrap().revision, revision(number));
        }
        assert_eq!(slow.next(AT_ONCE).unwrap(), None);
    } else {
        let cut = slow.next(AT_ONCE).unwrap_err();
        assert_eq!(cut.to_string(), "revision 0 is compacted, the oldest to watch from is 599");
    }
    let mut fast = engine.store().watch(revision(599)).unwrap();
    assert_eq!(fast.next(PATIENCE).unwrap().unwrap().revision, revision(600));
}

fn every_limit_holds_at_the_limit_and_one_past_it<E: Engine>() {
    let limits = Limits {
        key_bytes_max: 4,
        value_bytes_max: 10,
        operations_per_transaction_max: 3,
        guards_per_transaction_max: 2,
        transaction_bytes_max: 26,
        transactions_per_batch_max: 2,
        batch_bytes_max: 40,
        ..Limits::default()
    };
    let puts = |count: usize, key: usize, value: usize| -> Vec<Operation> {
        vec![Operation::put("k".repeat(key), "v".repeat(value)); count]
    };
    let transaction = |operations| Transaction::new(Vec::new(), operations);
    let guarded = |count, key: usize| {
        Transaction::new(vec![Guard::absent("g".repeat(key)); count], puts(1, 1, 1))
    };
    // A batch and, where it must be refused: the limit, its value, what was asked for.
    type Case = (Vec<Transaction>, Option<(&'static str, usize, usize)>);
    let cases: Vec<Case> = vec![
        (vec![transaction(puts(1, 4, 0))], None),
        (vec![transaction(puts(1, 5, 0))], Some(("key_bytes_max", 4, 5))),
        (vec![guarded(1, 4)], None),
        (vec![guarded(1, 5)], Some(("key_bytes_max", 4, 5))),
        (vec![transaction(puts(1, 1, 10))], None),
        (vec![transaction(puts(1, 1, 11))], Some(("value_bytes_max", 10, 11))),
        (vec![transaction(puts(3, 1, 1))], None),
        (vec![transaction(puts(4, 1, 1))], Some(("operations_per_transaction_max", 3, 4))),
        (vec![guarded(2, 1)], None),
        (vec![guarded(3, 1)], Some(("guards_per_transaction_max", 2, 3))),
        (vec![transaction(puts(2, 3, 10))], None),
        (vec![transaction(puts(3, 3, 6))], Some(("transaction_bytes_max", 26, 27))),
        (vec![transaction(puts(1, 1, 1)); 2], None),
        (vec![transaction(puts(1, 1, 1)); 3], Some(("transactions_per_batch_max", 2, 3))),
        (vec![transaction(puts(2, 1, 9)); 2], None),
        (vec![transaction(puts(3, 1, 6)); 2], Some(("batch_bytes_max", 40, 42))),
    ];
    let engine = E::fresh(limits);
    for (batch, expected) in cases {
        let before = load(engine.store());
        let count = batch.len();
        let answers = engine.store().commit_batch(batch.clone());
        assert_eq!(answers.len(), count);
        let Some((name, most, got)) = expected else {
            assert!(answers.iter().all(Result::is_ok), "{batch:?}: {answers:?}");
            continue;
        };
        for answer in answers {
            let error = answer.unwrap_err();
            assert_eq!(error.to_string(), format!("{name} is at most {most}, got {got}"));
            assert_eq!(error.code(), "LimitExceeded");
        }
        assert_eq!(load(engine.store()), before, "{name}");
    }
    let empty = engine.store().commit(&[], vec![Operation::delete("")]).unwrap_err();
    assert_eq!(empty.to_string(), "a key is empty");
    let empty = engine.store().commit(&[], Vec::new()).unwrap_err();
    assert_eq!(empty.to_string(), "the list of operations is empty");
}

fn threads_that_commit_together_each_have_their_own_answer<E: Engine>() {
    let engine = E::fresh(Limits::default()).restart();
    let (threads, commits) = (8, 40);
    let store = engine.store();
    let commit = |thread: u32| -> Vec<u64> {
        let keys = (0..commits).map(|number| format!("{thread}/{number}"));
        keys.map(|key| put(store, &key, "x").number()).collect()
    };
    let mut revisions: Vec<u64> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || commit(thread))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    revisions.sort_unstable();
    let all = u64::from(threads * commits);
    assert_eq!(revisions, (1..=all).collect::<Vec<_>>());
    assert_eq!(load(engine.store()).1.len() as u64, all);
}

fn an_export_is_the_whole_state<E: Engine>() {
    let engine = E::fresh(Limits::default());
    for number in 0..100 {
        put(engine.store(), &format!("key/{number}"), &"v".repeat(number * 37));
    }
    engine.store().commit(&[], vec![Operation::delete("key/3")]).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(export(engine.store(), &mut bytes).unwrap(), revision(101));
    let copy = E::restored(Limits::default(), &bytes).unwrap().restart();
    assert_eq!(load(copy.store()), load(engine.store()));
    assert_eq!(copy.store().watch(revision(100)).err().unwrap().code(), "Compacted");
    let mut watch = copy.store().watch(revision(101)).unwrap();
    let guard = [Guard::modified_at("key/7", revision(8))];
    copy.store().commit(&guard, vec![Operation::put("key/7", "")]).unwrap();
    assert_eq!(watch.next(PATIENCE).unwrap().unwrap().revision, revision(102));

    let mut restored_bytes = Vec::new();
    let again = E::restored(Limits::default(), &bytes).unwrap();
    export(again.store(), &mut restored_bytes).unwrap();
    assert!(restored_bytes == bytes, "an export of what was restored is the same export");
}

fn a_damaged_export_is_refused<E: Engine>() {
    let engine = E::fresh(Limits::default());
    for number in 0..5 {
        put(engine.store(), &number.to_string(), "value");
    }
    let mut bytes = Vec::new();
    export(engine.store(), &mut bytes).unwrap();
    let refused =
        |bytes: &[u8]| E::restored(Limits::default(), bytes).err().map(|error| error.code());
    for end in 0..bytes.len() {
        assert_eq!(refused(&bytes[..end]), Some("Corrupt"), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        // The four bytes after the first twenty are the format.
        let expected = if (20..24).contains(&at) { "UnknownFormat" } else { "Corrupt" };
        assert_eq!(refused(&damaged), Some(expected), "flip at {at}");
    }
    bytes.push(0);
    assert_eq!(refused(&bytes), Some("Corrupt"));
}

macro_rules! suite {
    ($module:ident, $engine:ident: $($name:ident),+ $(,)?) => {
        mod $module {
            $(
                #[test]
                fn $name() {
                    super::$name::<super::$engine>();
                }
            )+
        }
    };
}

macro_rules! suites {
    ($($names:tt)+) => {
        suite!(memory, InMemory: $($names)+);
        suite!(embedded, OnDisk: $($names)+);
    };
}

suites!(
    an_empty_store_is_at_zero,
    commits_are_numbered_and_last,
    keys_are_ordered_bytewise,
    of_several_operations_on_a_key_the_last_stands,
    guards_hold_or_nothing_happens,
    a_conflict_says_what_and_what_to_do,
    a_batch_is_judged_in_order,
    watchers_see_all_in_order,
    a_load_and_a_watch_from_it_miss_nothing,
    compaction_forgets_the_way_not_the_state,
    a_history_that_is_too_long_is_shortened,
    a_slow_watcher_costs_no_memory,
    every_limit_holds_at_the_limit_and_one_past_it,
    threads_that_commit_together_each_have_their_own_answer,
    an_export_is_the_whole_state,
    a_damaged_export_is_refused,
    random_histories_agree_with_the_model,
);
