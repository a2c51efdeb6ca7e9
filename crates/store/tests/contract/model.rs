//! Random histories, and a model that says what comes of them.

use portcullis_store::{
    Commit, Guard, Limits, Operation, Revision, Store, StoreError, Transaction,
};
use proptest::prelude::*;

use super::{AT_ONCE, Engine, Entries, PATIENCE, apply, load, revision};

/// The model: a list of commits, and the state that follows from it.
#[derive(Default)]
struct Model {
    commits: Vec<Commit>,
    state: Entries,
    oldest: u64,
}

impl Model {
    fn head(&self) -> u64 {
        self.commits.len() as u64
    }

    fn holds(&self, guard: &Guard) -> bool {
        let modified = |key: &Vec<u8>| self.state.get(key).map(|(modified, _)| *modified);
        match guard {
            Guard::ModifiedAt { key, revision } => modified(key) == Some(*revision),
            Guard::Absent { key } => modified(key).is_none(),
            Guard::StoreAt { revision } => revision.number() == self.head(),
        }
    }

    fn commit(&mut self, transaction: &Transaction) -> Option<Revision> {
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            return None;
        }
        let revision = revision(self.head() + 1);
        let commit = Commit { revision, operations: transaction.operations.clone() };
        apply(&mut self.state, &commit);
        self.commits.push(commit);
        Some(revision)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Transaction>),
    Compact(u64),
    Watch(u64),
    Restart,
}

fn a_key() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"b\0".to_vec(), b"\xff".to_vec()])
}

fn a_transaction() -> impl Strategy<Value = Transaction> {
    let guard = prop_oneof![
        (a_key(), 0..20u64).prop_map(|(key, number)| Guard::modified_at(key, revision(number))),
        a_key().prop_map(Guard::absent),
        (0..20u64).prop_map(|number| Guard::store_at(revision(number))),
    ];
    let value = prop::collection::vec(any::<u8>(), 0..9);
    let operation = prop_oneof![
        3 => (a_key(), value).prop_map(|(key, value)| Operation::put(key, value)),
        1 => a_key().prop_map(Operation::delete),
    ];
    let guards = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(guard, 1..3)];
    (guards, prop::collection::vec(operation, 1..4))
        .prop_map(|(guards, operations)| Transaction { guards, operations })
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(a_transaction(), 1..5).prop_map(Step::Commit),
        1 => (0..25u64).prop_map(Step::Compact),
        2 => (0..25u64).prop_map(Step::Watch),
        1 => Just(Step::Restart),
    ]
}

fn check_watch(store: &dyn Store, model: &Model, from: u64) {
    match store.watch(revision(from)) {
        Ok(mut watch) => {
            assert!((model.oldest..=model.head()).contains(&from));
            for expected in &model.commits[from as usize..] {
                assert_eq!(&*watch.next(PATIENCE).unwrap().unwrap(), expected);
            }
            assert_eq!(watch.next(AT_ONCE).unwrap(), None);
        }
        Err(StoreError::Future { .. }) => assert!(from > model.head()),
        Err(StoreError::Compacted { .. }) => assert!(from < model.oldest),
        Err(error) => panic!("{error}"),
    }
}

pub(super) fn random_histories_agree_with_the_model<E: Engine>() {
    let config =
        ProptestConfig { cases: E::HISTORIES, failure_persistence: None, ..Default::default() };
    let steps = prop::collection::vec(a_step(), 1..12);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&steps, |steps| {
        let mut engine = E::fresh(Limits::default());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit(batch) => {
                    let expected: Vec<_> = batch.iter().map(|each| model.commit(each)).collect();
                    let answers = engine.store().commit_batch(batch);
                    let answers: Vec<_> = answers.into_iter().map(Result::ok).collect();
                    assert_eq!(answers, expected);
                }
                Step::Compact(before) => {
                    let compacted = engine.store().compact(revision(before));
                    assert_eq!(compacted.is_ok(), before <= model.head());
                    if compacted.is_ok() {
                        model.oldest = model.oldest.max(before);
                    }
                }
                Step::Watch(from) => check_watch(engine.store(), &model, from),
                Step::Restart => engine = engine.restart(),
            }
            assert_eq!(engine.store().head(), revision(model.head()));
            assert_eq!(load(engine.store()), (revision(model.head()), model.state.clone()));
        }
        check_watch(engine.store(), &model, model.oldest);
        Ok(())
    });
    result.unwrap();
}
