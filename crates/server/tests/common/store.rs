//! Stores that misbehave on purpose: one that waits at a gate, one whose writes fail.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use portcullis_server::source::Source;
use portcullis_store::{
    CommitError, Entry, Limits, Memory, Revision, Store, StoreError, Transaction, Watch,
};

/// What happens to the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: it is committed.
    None,
    /// It is committed, but the store says that it does not know, and stops.
    UnknownButDone,
    /// It is not committed, but the store says that it does not know, and stops.
    UnknownAndLost,
    /// The store refuses it and stops.
    Refused,
    /// The store finds the first transaction too large.
    TooLarge,
    /// The store's code has a fault.
    Panic,
    /// It waits until the gate is opened, then it is committed.
    Gate,
}

/// The plan of what fails, shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Plan(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    faults: VecDeque<Fault>,
    failing_opens: usize,
    waiting: bool,
    open: bool,
}

impl Plan {
    pub(crate) fn batches(&self, faults: &[Fault]) {
        self.0.0.lock().unwrap().faults.extend(faults);
    }

    /// Nothing fails any more.
    pub(crate) fn forget(&self) {
        *self.0.0.lock().unwrap() = State::default();
    }

    pub(crate) fn fail_opens(&self, count: usize) {
        self.0.0.lock().unwrap().failing_opens = count;
    }

    /// Waits until a batch stands at the gate.
    pub(crate) fn wait_for_gate(&self) {
        let (state, moved) = &*self.0;
        let guard = state.lock().unwrap();
        drop(moved.wait_while(guard, |state| !state.waiting).unwrap());
    }

    pub(crate) fn open_gate(&self) {
        let (state, moved) = &*self.0;
        state.lock().unwrap().open = true;
        moved.notify_all();
    }

    fn next(&self) -> Fault {
        self.0.0.lock().unwrap().faults.pop_front().unwrap_or(Fault::None)
    }

    fn stand_at_gate(&self) {
        let (state, moved) = &*self.0;
        let mut guard = state.lock().unwrap();
        guard.waiting = true;
        moved.notify_all();
        drop(moved.wait_while(guard, |state| !state.open).unwrap());
    }
}

/// A memory store that outlives its being "closed", with a plan of faults.
pub(crate) struct FaultySource {
    pub(crate) memory: Arc<Memory>,
    pub(crate) plan: Plan,
}

impl FaultySource {
    pub(crate) fn new() -> FaultySource {
        let memory = Arc::new(Memory::new(Limits::default()));
        FaultySource { memory, plan: Plan::default() }
    }

    /// The same store, to be opened by another server.
    pub(crate) fn again(&self) -> FaultySource {
        FaultySource { memory: Arc::clone(&self.memory), plan: self.plan.clone() }
    }
}

impl Source for FaultySource {
    fn open(&mut self) -> Result<Box<dyn Store>, StoreError> {
        let mut state = self.plan.0.0.lock().unwrap();
        if state.failing_opens > 0 {
            state.failing_opens -= 1;
            return Err(StoreError::Stopped);
        }
        drop(state);
        let stopped = Mutex::new(false);
        Ok(Box::new(Faulty { memory: Arc::clone(&self.memory), plan: self.plan.clone(), stopped }))
    }
}

struct Faulty {
    memory: Arc<Memory>,
    plan: Plan,
    stopped: Mutex<bool>,
}

impl Store for Faulty {
    fn limits(&self) -> &Limits {
        self.memory.limits()
    }

    fn head(&self) -> Revision {
        self.memory.head()
    }

    fn commit_batch(&self, transactions: Vec<Transaction>) -> Vec<Result<Revision, CommitError>> {
        let count = transactions.len();
        let mut stopped = self.stopped.lock().unwrap();
        if *stopped {
            return vec![Err(CommitError::Refused(StoreError::Stopped)); count];
        }
        let unknown = || vec![Err(CommitError::Unknown(StoreError::Stopped)); count];
        match self.plan.next() {
            Fault::Panic => panic!("the store has a fault"),
            Fault::None => self.memory.commit_batch(transactions),
            Fault::Gate => {
                self.plan.stand_at_gate();
                self.memory.commit_batch(transactions)
            }
            Fault::UnknownButDone => {
                *stopped = true;
                self.memory.commit_batch(transactions);
                unknown()
            }
            Fault::UnknownAndLost => {
                *stopped = true;
                unknown()
            }
            Fault::Refused => {
                *stopped = true;
                vec![Err(CommitError::Refused(StoreError::Stopped)); count]
            }
            Fault::TooLarge => {
                let refused =
                    CommitError::Limit { limit: "value_bytes_max", maximum: 1, actual: 2 };
                let rest = transactions.into_iter().skip(1).collect::<Vec<_>>();
                let mut results = vec![Err(refused)];
                results.extend(self.memory.commit_batch(rest));
                results
            }
        }
    }

    fn load(&self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<Revision, StoreError> {
        self.memory.load(visit)
    }

    fn watch(&self, after: Revision) -> Result<Watch, StoreError> {
        self.memory.watch(after)
    }

    fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.memory.compact(before)
    }
}
