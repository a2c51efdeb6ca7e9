//! The one writer: decides on the newest state, commits what was decided together, publishes it,
//! then answers.
//!
//! The writer keeps a *leading* state that is ahead of the published one while a commit is under
//! way. What must never be true: that a client has an answer to a write which is not durable, or
//! that a write which was refused is found after a restart. So every answer of a batch, refusals
//! included, waits for the commits it was decided upon, and when one of those fails the leading
//! state is thrown away and the rest is decided again. It knows no byte of HTTP.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use portcullis_core::command::{Command, Context, Dice, Idempotency, Outcome};
use portcullis_core::error::ApiError;
use portcullis_core::host;
use portcullis_core::ids::{AccessKeyId, AccountId, NetworkInterfaceId, RegionId};
use portcullis_core::records::Change;
use portcullis_core::settings::Settings;
use portcullis_core::state::State;
use portcullis_store::{CommitError, Guard, Operation, Revision, Store, StoreError, Transaction};
use portcullis_wire::record::{self, seal::SealKey};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::host::Asker;
use crate::nonces::Nonce;
use crate::open_store::OpenStore;
use crate::published::Published;
use crate::refusal;
use crate::source::{self, Opened, Source};

/// Nonces that are past and removed with each write; two, so that their number falls.
const PAST_NONCES_PER_WRITE: usize = 2;

/// How often one batch is tried again after the store has failed. A store that opens and fails at
/// every commit, as on a full disk, must hold nobody for ever.
const STORE_FAILURES_PER_BATCH_MAX: usize = 2;

/// A command that may change something, with all that its decision depends on.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) command: Command,
    pub(crate) caller: AccountId,
    /// The access key that signed it, which must be good still when its turn comes. Nothing where
    /// it came by the control socket.
    pub(crate) signer: Option<AccessKeyId>,
    pub(crate) region: Option<RegionId>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) dry_run: bool,
    /// The signed request it came by: kept with the change, so that it never happens twice.
    pub(crate) nonce: Option<Nonce>,
    /// Whether the caller will wait for its enforcement, and so wants to know whom it concerns.
    pub(crate) wants_concerned: bool,
}

/// A write that is durable and visible.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) outcome: Outcome,
    pub(crate) revision: u64,
    /// The tied interfaces that it concerns, where that was asked for.
    pub(crate) concerned: BTreeSet<NetworkInterfaceId>,
}

type Answer = Result<Committed, ApiError>;

struct Job {
    write: Write,
    answer: oneshot::Sender<Answer>,
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct WriteQueue(mpsc::Sender<Job>);

impl WriteQueue {
    /// Has a write decided, committed and published.
    pub(crate) async fn write(&self, write: Write) -> Answer {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Job { write, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(stopping())),
            Err(mpsc::error::TrySendError::Full(_)) => Err(refusal::unavailable(
                "The server has too many writes waiting.",
                "Nothing was changed. Try again after a short while.",
            )),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(stopping()),
        }
    }
}

fn stopping() -> ApiError {
    refusal::unavailable(
        "The server is stopping.",
        "If a write was under way, look whether it happened, or repeat it with its ClientToken.",
    )
}

/// What the writer works with.
pub(crate) struct Writer {
    source: Box<dyn Source>,
    seal: SealKey,
    /// Nothing while the store is out of order.
    store: Option<Arc<dyn Store>>,
    /// The same, for those who read the store itself.
    open_store: Arc<OpenStore>,
    leading: State,
    /// The revision that the next transaction gets, less one.
    head: Revision,
    published: Arc<Published>,
    stored_nonces: BinaryHeap<Reverse<Nonce>>,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    dice: Box<dyn Dice + Send>,
    batch_max: usize,
}

/// A writer at work.
pub(crate) struct Started {
    pub(crate) queue: WriteQueue,
    pub(crate) thread: std::thread::JoinHandle<()>,
    /// Answers, with an error, once the thread has ended.
    pub(crate) end: oneshot::Receiver<()>,
}

/// One job with what was decided about it.
struct Decided {
    job: Job,
    result: Result<Outcome, ApiError>,
    concerned: BTreeSet<NetworkInterfaceId>,
    /// Nothing where there is nothing to keep.
    step: Option<Step>,
}

/// What a commit leaves to be decided again.
struct Rest {
    jobs: VecDeque<Job>,
    /// Whether the store failed, rather than found a write too large.
    store_failed: bool,
}

impl Rest {
    fn of(decided: VecDeque<Decided>, store_failed: bool) -> Rest {
        Rest { jobs: decided.into_iter().map(|decided| decided.job).collect(), store_failed }
    }
}

/// What one transaction of the store does.
struct Step {
    changes: Vec<Change>,
    past_nonces: Vec<Nonce>,
}

impl Writer {
    pub(crate) fn new(
        source: Box<dyn Source>,
        seal: SealKey,
        opened: Opened,
        settings: Arc<Settings>,
        clock: Arc<dyn Clock>,
        dice: Box<dyn Dice + Send>,
        batch_max: usize,
    ) -> Writer {
        let Opened { store, state, revision, nonces, outdated: _ } = opened;
        Writer {
            source,
            seal,
            open_store: Arc::new(OpenStore::of(&store)),
            store: Some(store),
            leading: state.clone(),
            head: Revision::new(revision),
            published: Arc::new(Published::new(state, revision)),
            stored_nonces: nonces.into_iter().map(Reverse).collect(),
            settings,
            clock,
            dice,
            batch_max,
        }
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    pub(crate) fn open_store(&self) -> Arc<OpenStore> {
        Arc::clone(&self.open_store)
    }

    /// Starts the thread. It ends, and the store is closed, when every queue is gone and what was
    /// queued is done.
    pub(crate) fn start(mut self, queue_max: usize) -> std::io::Result<Started> {
        let (sender, mut queue) = mpsc::channel(queue_max);
        let (running, end) = oneshot::channel();
        let thread = std::thread::Builder::new().name("writer".into()).spawn(move || {
            // Dropped with the thread, however it ends.
            let _running: oneshot::Sender<()> = running;
            while let Some(first) = queue.blocking_recv() {
                let mut jobs = VecDeque::from([first]);
                while jobs.len() < self.batch_max
                    && let Ok(job) = queue.try_recv()
                {
                    jobs.push_back(job);
                }
                self.work(jobs);
            }
        })?;
        Ok(Started { queue: WriteQueue(sender), thread, end })
    }

    /// Answers every job.
    fn work(&mut self, mut jobs: VecDeque<Job>) {
        let mut failures = 0;
        while !jobs.is_empty() {
            let is_open = self.store.is_some() || self.reopen();
            if !is_open || failures > STORE_FAILURES_PER_BATCH_MAX {
                for job in jobs.drain(..) {
                    answer(job, Err(out_of_order()));
                }
                return;
            }
            let decided = jobs.drain(..).map(|job| self.decide(job)).collect();
            let rest = self.commit(decided);
            failures += usize::from(rest.store_failed);
            jobs = rest.jobs;
        }
    }

    /// Decides one job on the leading state, and moves that on.
    fn decide(&mut self, job: Job) -> Decided {
        let write = &job.write;
        let refused = |job, error| Decided {
            job,
            result: Err(error),
            concerned: BTreeSet::new(),
            step: None,
        };
        if let Err(error) = check_signer(&self.leading, write) {
            return refused(job, error);
        }
        let now_ms = self.clock.now_ms();
        let mut context = Context {
            caller: write.caller,
            region: write.region.clone(),
            now_ms,
            dice: self.dice.as_mut(),
            settings: &self.settings,
            idempotency: write.idempotency.clone(),
            dry_run: write.dry_run,
        };
        let decision = match self.leading.apply(&mut context, &write.command) {
            Ok(decision) => decision,
            Err(error) => return refused(job, error),
        };
        let concerned = concerned(&self.leading, write, &decision.changes);
        for change in &decision.changes {
            self.leading.absorb(change.clone());
        }
        // Even a write that changes nothing now could change something when it is replayed later.
        let is_kept = !decision.changes.is_empty() || write.nonce.is_some();
        let step = is_kept.then(|| Step {
            changes: decision.changes,
            past_nonces: self.take_past_nonces(now_ms),
        });
        Decided { job, result: Ok(decision.outcome), concerned, step }
    }

    fn take_past_nonces(&mut self, now_ms: u64) -> Vec<Nonce> {
        let mut past = Vec::new();
        while past.len() < PAST_NONCES_PER_WRITE
            && let Some(Reverse(nonce)) = self.stored_nonces.peek()
            && nonce.is_past(now_ms)
        {
            past.push(*nonce);
            self.stored_nonces.pop();
        }
        past
    }

    /// Commits what was decided and answers.
    fn commit(&mut self, decided: VecDeque<Decided>) -> Rest {
        let Some(store) = &self.store else { return Rest::of(decided, true) };
        let mut expected = self.head;
        let transactions: Vec<Transaction> = decided
            .iter()
            .filter_map(|decided| {
                let step = decided.step.as_ref()?;
                let guard = Guard::store_at(expected);
                expected = expected.next();
                let nonce = decided.job.write.nonce;
                Some(Transaction::new(vec![guard], operations(step, nonce, &self.seal)))
            })
            .collect();
        let results = commit_in_batches(store.as_ref(), transactions);
        self.conclude(decided, results)
    }

    /// Publishes and answers up to the first failure.
    fn conclude(
        &mut self,
        mut decided: VecDeque<Decided>,
        results: Vec<Result<Revision, CommitError>>,
    ) -> Rest {
        let mut results = results.into_iter();
        let mut done = Vec::new();
        let mut changes = Vec::new();
        let mut failure = None;
        while let Some(next) = decided.front_mut() {
            if let Some(step) = &mut next.step {
                // A store that gives too few answers has not said that the rest is durable.
                let silent = Err(CommitError::Unknown(StoreError::Stopped));
                match results.next().unwrap_or(silent) {
                    Ok(revision) => {
                        self.head = revision;
                        changes.append(&mut step.changes);
                        self.stored_nonces.extend(next.job.write.nonce.map(Reverse));
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            done.extend(decided.pop_front().map(|next| (next, self.head.number())));
        }
        if self.head.number() != self.published.read(|_, revision| revision) {
            self.published.absorb(changes, self.head.number());
        }
        for (next, revision) in done {
            next.answer(revision);
        }
        match failure {
            None => Rest::of(decided, false),
            Some(error) => self.recover(decided, &error),
        }
    }

    /// After a transaction that did not happen, or may not have: it stands first in `decided`. The
    /// leading state is wrong, and so is everything decided after it.
    fn recover(&mut self, mut decided: VecDeque<Decided>, error: &CommitError) -> Rest {
        let steps = decided.iter().filter_map(|decided| decided.step.as_ref());
        let past = steps.flat_map(|step| step.past_nonces.iter().copied());
        self.stored_nonces.extend(past.map(Reverse));
        self.leading = self.published.read(|state, _| state.clone());
        let store_failed = match error {
            CommitError::Limit { .. } | CommitError::Empty { .. } => {
                tracing::error!(%error, "a write does not fit the store");
                if let Some(first) = decided.pop_front() {
                    answer(first.job, Err(too_large()));
                }
                false
            }
            CommitError::Conflict { .. } | CommitError::Refused(_) => {
                self.close(error);
                true
            }
            CommitError::Unknown(_) => {
                self.close(error);
                self.find_out(&mut decided);
                true
            }
        };
        Rest::of(decided, store_failed)
    }

    /// Gives up the open store. It is opened again before the next commit.
    fn close(&mut self, error: &CommitError) {
        let cause = cause_of(error);
        tracing::error!(%error, cause, "the store has failed and will be opened again");
        self.store = None;
    }

    /// Looks in the store itself which of these writes, the first of which may have happened, have.
    /// Those are answered; the others stay, to be decided again.
    fn find_out(&mut self, decided: &mut VecDeque<Decided>) {
        let mut revision = self.head;
        if !self.reopen() {
            for decided in decided.drain(..) {
                answer(decided.job, Err(outcome_unknown()));
            }
            return;
        }
        // There is one writer and every transaction guards on its revision: a revision that is
        // there now is the transaction that expected to get it.
        while let Some(next) = decided.front() {
            if next.step.is_some() {
                if revision.next() > self.head {
                    break;
                }
                revision = revision.next();
            }
            if let Some(next) = decided.pop_front() {
                next.answer(revision.number());
            }
        }
    }

    /// Opens the store again and starts from what it holds.
    fn reopen(&mut self) -> bool {
        match source::load(self.source.as_mut(), &self.seal) {
            Ok(Opened { store, state, revision, nonces, outdated: _ }) => {
                tracing::info!(revision, "the store is open again");
                self.open_store.replace(&store);
                self.store = Some(store);
                self.head = Revision::new(revision);
                self.leading = state.clone();
                self.published.replace(state, revision);
                self.stored_nonces = nonces.into_iter().map(Reverse).collect();
                true
            }
            Err(error) => {
                let cause = cause_of(&error);
                tracing::error!(%error, cause, "the store cannot be opened again");
                false
            }
        }
    }
}

/// Commits in order, in as many batches as the store's bounds ask for. What comes after a failure
/// is not tried, and has no answer.
fn commit_in_batches(
    store: &dyn Store,
    transactions: Vec<Transaction>,
) -> Vec<Result<Revision, CommitError>> {
    let limits = store.limits();
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    let mut results = Vec::new();
    for transaction in transactions {
        let bytes = transaction.bytes();
        let is_full = batch.len() >= limits.transactions_per_batch_max
            || batch_bytes + bytes > limits.batch_bytes_max;
        // One that is too large for any batch stands alone, for the store to refuse.
        if is_full && !batch.is_empty() {
            results.append(&mut store.commit_batch(std::mem::take(&mut batch)));
            batch_bytes = 0;
            if results.iter().any(Result::is_err) {
                return results;
            }
        }
        batch_bytes += bytes;
        batch.push(transaction);
    }
    if !batch.is_empty() {
        results.append(&mut store.commit_batch(batch));
    }
    results
}

/// Refuses a write whose key was disabled or deleted while it waited for its turn. What was
/// answered of such a key holds for every write that comes after.
fn check_signer(state: &State, write: &Write) -> Result<(), ApiError> {
    let Some(signer) = &write.signer else { return Ok(()) };
    match state.access_key(signer) {
        Some(key) if key.account != write.caller => Err(refusal::key_is_gone()),
        Some(key) if !key.active => Err(refusal::key_is_disabled()),
        Some(_) => Ok(()),
        None => Err(refusal::key_is_gone()),
    }
}

/// The tied interfaces that a write is to wait for. One that changes nothing cannot tell: it may be
/// the repetition of one that did, so it waits for all of its caller's.
fn concerned(state: &State, write: &Write, changes: &[Change]) -> BTreeSet<NetworkInterfaceId> {
    match (write.wants_concerned, changes) {
        (false, _) => BTreeSet::new(),
        (true, []) => Asker::Account(write.caller).tied(state),
        (true, changes) => host::concerned(state, changes),
    }
}

impl Decided {
    /// Tells the client what was decided, now that it holds.
    fn answer(self, revision: u64) {
        let concerned = self.concerned;
        let result = self.result.map(|outcome| Committed { outcome, revision, concerned });
        answer(self.job, result);
    }
}

/// What lies behind an error, for the log.
pub(crate) fn cause_of(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

/// What the store is asked to do for one decided write.
fn operations(step: &Step, nonce: Option<Nonce>, seal: &SealKey) -> Vec<Operation> {
    let changes = step.changes.iter().map(|change| match record::encode(change, seal) {
        (key, Some(value)) => Operation::put(key, value),
        (key, None) => Operation::delete(key),
    });
    let kept = nonce.iter().map(|nonce| Operation::put(nonce.key(), Vec::new()));
    let past = step.past_nonces.iter().map(|nonce| Operation::delete(nonce.key()));
    changes.chain(kept).chain(past).collect()
}

fn answer(job: Job, result: Answer) {
    // A client that is gone hears nothing; what was done stays done.
    let _ = job.answer.send(result);
}

fn out_of_order() -> ApiError {
    refusal::unavailable(
        "The store is out of order, so nothing can be written.",
        "Nothing was changed. Try again; the operator finds the reason in the server's log.",
    )
}

fn outcome_unknown() -> ApiError {
    refusal::internal(
        "The store failed while the write was under way, and it is not known whether it happened.",
        "Look whether it has happened, or repeat it with its ClientToken.",
    )
}

fn too_large() -> ApiError {
    // Not a fault of ours: clients repeat those, and this one would never be smaller.
    ApiError::forbidden(
        "LimitExceeded.ChangeSize",
        "The change is larger than the store takes at once.",
    )
    .help("Nothing was changed. Split the request.")
}

#[cfg(test)]
mod tests {
    use portcullis_core::command::{CreateAccessKey, Written};
    use portcullis_core::records::AccessKeySecret;
    use portcullis_store::{Limits, Memory};
    use portcullis_wire::record::seal::SEAL_KEY_BYTES;

    use super::*;
    use crate::clock::{SystemClock, SystemDice};
    use crate::control::server::administrative;

    struct InMemory(Limits);

    impl Source for InMemory {
        fn open(&mut self) -> Result<Box<dyn Store>, StoreError> {
            Ok(Box::new(Memory::new(self.0.clone())))
        }
    }

    /// A writer over a store of these bounds, with the seal of its records.
    fn writer(limits: Limits) -> Writer {
        let seal = SealKey::new(&[7; SEAL_KEY_BYTES]);
        let mut source = InMemory(limits);
        let opened = source::load(&mut source, &seal).unwrap();
        let settings = Arc::new(Settings::new(["cn-hangzhou".parse().unwrap()]));
        let (clock, dice) = (Arc::new(SystemClock), Box::new(SystemDice));
        Writer::new(Box::new(source), seal, opened, settings, clock, dice, 256)
    }

    #[test]
    fn a_batch_is_cut_to_the_bounds_of_the_store() {
        const WRITES: usize = 40;
        let bytes = Limits { batch_bytes_max: 1000, ..Limits::default() };
        let transactions = Limits { transactions_per_batch_max: 3, ..Limits::default() };
        let both = Limits { batch_bytes_max: 300, transaction_bytes_max: 5, ..Limits::default() };
        for (limits, expected) in [(bytes, WRITES), (transactions, WRITES), (both, 0)] {
            let mut writer = writer(limits.clone());
            let (mut jobs, mut answers) = (VecDeque::new(), Vec::new());
            for number in 0..WRITES {
                let name = format!("account{number}").parse().unwrap();
                let write = administrative(Command::CreateAccount { name });
                let (answer, answered) = oneshot::channel();
                jobs.push_back(Job { write, answer });
                answers.push(answered);
            }
            writer.work(jobs);
            let mut kept = 0;
            for mut answered in answers {
                match answered.try_recv().unwrap() {
                    Ok(committed) => {
                        kept += 1;
                        assert_eq!(committed.revision, kept);
                    }
                    Err(error) => assert_eq!(error.code, "LimitExceeded.ChangeSize"),
                }
            }
            assert_eq!(kept, expected as u64, "{limits:?}");
            assert_eq!(writer.published().read(|_, revision| revision), kept);
        }
    }

    #[test]
    fn a_key_that_is_disabled_or_deleted_carries_no_write_that_comes_after() {
        let key: AccessKeyId = "first".parse().unwrap();
        let disable = Command::SetAccessKeyActive { access_key: key.clone(), active: false };
        let delete = Command::DeleteAccessKey { access_key: key.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (last_word, code) in
            [(disable, "InvalidAccessKeyId.Inactive"), (delete, "InvalidAccessKeyId.NotFound")]
        {
            let queue = writer(Limits::default()).start(256).unwrap().queue;
            let create = Command::CreateAccount { name: "web".parse().unwrap() };
            let made = runtime.block_on(queue.write(administrative(create))).unwrap();
            let Outcome::Written(Written::Account { account }) = made.outcome else { panic!() };
            let create = Command::CreateAccessKey(CreateAccessKey {
                account,
                access_key: key.clone(),
                secret: AccessKeySecret::new(b"testsecret"),
                session: None,
            });
            runtime.block_on(queue.write(administrative(create))).unwrap();
            let signed = || Write {
                caller: account,
                signer: Some(key.clone()),
                ..administrative(Command::DeleteVpc { vpc: "vpc-none".parse().unwrap() })
            };
            let (before, last_word, after) = runtime.block_on(async {
                let last_word = queue.write(administrative(last_word));
                tokio::join!(biased; queue.write(signed()), last_word, queue.write(signed()))
            });
            assert_eq!(before.unwrap_err().code, "InvalidVpcID.NotFound");
            last_word.unwrap();
            assert_eq!(after.unwrap_err().code, code);
        }
    }
}
