//! Brings together the batches that arrive while a write to the disk is under way, so that they
//! share the next one.
//!
//! The first caller that finds nobody writing writes for all that wait. It refuses to know what is
//! written: that is a function of the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::contract::{Revision, Transaction};
use crate::error::{CommitError, StoreError};
use crate::limits::Limits;

/// What a batch is answered with, in the order of its transactions.
pub(crate) type Answers = Vec<Result<Revision, CommitError>>;

/// The batches of all callers.
#[derive(Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
    answered: Condvar,
}

#[derive(Default)]
struct Line {
    next_ticket: u64,
    waiting: Vec<Batch>,
    answers: Vec<(u64, Answers)>,
    is_writing: bool,
}

struct Batch {
    ticket: u64,
    transactions: Vec<Transaction>,
    bytes: usize,
}

impl Queue {
    /// Waits until the transactions have been written, by this caller or by another, and returns
    /// their answers. `write` takes one group of transactions and answers each.
    pub(crate) fn submit(
        &self,
        limits: &Limits,
        transactions: Vec<Transaction>,
        write: &dyn Fn(Vec<Transaction>) -> Answers,
    ) -> Answers {
        let bytes = transactions.iter().map(Transaction::bytes).sum();
        let mut line = self.lock();
        let ticket = line.next_ticket;
        line.next_ticket += 1;
        line.waiting.push(Batch { ticket, transactions, bytes });
        loop {
            if let Some(at) = line.answers.iter().position(|(owner, _)| *owner == ticket) {
                return line.answers.swap_remove(at).1;
            }
            if line.is_writing {
                line = self.answered.wait(line).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            line.is_writing = true;
            let group = line.next_group(limits);
            drop(line);
            let answers = write_group(group, write);
            line = self.lock();
            line.is_writing = false;
            line.answers.extend(answers);
            self.answered.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Only whole values are moved under the lock, so it is sound whoever panicked.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Takes the batches that have waited longest, within the bounds of one batch. The first is
    /// always taken: if it alone exceeds a bound, it is refused when it is decided.
    fn next_group(&mut self, limits: &Limits) -> Vec<Batch> {
        let (mut count, mut bytes, mut taken) = (0, 0, 0);
        for batch in &self.waiting {
            count += batch.transactions.len();
            bytes += batch.bytes;
            let is_over =
                count > limits.transactions_per_batch_max || bytes > limits.batch_bytes_max;
            if is_over && taken > 0 {
                break;
            }
            taken += 1;
        }
        self.waiting.drain(..taken).collect()
    }
}

fn write_group(
    group: Vec<Batch>,
    write: &dyn Fn(Vec<Transaction>) -> Answers,
) -> Vec<(u64, Answers)> {
    let mut shape = Vec::with_capacity(group.len());
    let mut together = Vec::new();
    for mut batch in group {
        shape.push((batch.ticket, batch.transactions.len()));
        together.append(&mut batch.transactions);
    }
    // If the engine panics, those who wait must still hear something: that nobody knows.
    let written = catch_unwind(AssertUnwindSafe(|| write(together)));
    let mut answers = written.unwrap_or_default().into_iter();
    let unknown = || Err(CommitError::Unknown(StoreError::Stopped));
    let answer = |(ticket, count)| {
        let mut own: Answers = answers.by_ref().take(count).collect();
        own.resize_with(count, unknown);
        (ticket, own)
    };
    shape.into_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::contract::Operation;

    fn transactions(count: usize) -> Vec<Transaction> {
        vec![Transaction::new(Vec::new(), vec![Operation::put("key", "value")]); count]
    }

    /// Answers each transaction with its position in the group.
    fn positions(group: Vec<Transaction>) -> Answers {
        (0..group.len() as u64).map(|position| Ok(Revision::new(position))).collect()
    }

    #[test]
    fn callers_that_wait_share_the_next_write() {
        let queue = Queue::default();
        let (begun, release) = (Barrier::new(2), Barrier::new(2));
        let writes = AtomicUsize::new(0);
        let limits = Limits::default();
        let write = |group: Vec<Transaction>| {
            if writes.fetch_add(1, Ordering::SeqCst) == 0 {
                begun.wait();
                release.wait();
            }
            positions(group)
        };
        let submit = |count| queue.submit(&limits, transactions(count), &write).len();
        let submit = &submit;
        std::thread::scope(|scope| {
            scope.spawn(move || assert_eq!(submit(1), 1));
            begun.wait();
            for count in 1..=5 {
                scope.spawn(move || assert_eq!(submit(count), count));
            }
            // The five are in line once the sixth ticket is given out.
            while queue.lock().next_ticket < 6 {
                std::thread::yield_now();
            }
            release.wait();
        });
        assert_eq!(writes.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_group_keeps_the_bounds_of_a_batch() {
        let limits = Limits { transactions_per_batch_max: 4, ..Limits::default() };
        let mut line = Line::default();
        for (ticket, count) in [(0, 9), (1, 2), (2, 2), (3, 1)] {
            line.waiting.push(Batch { ticket, transactions: transactions(count), bytes: 8 });
        }
        let mut tickets =
            || -> Vec<u64> { line.next_group(&limits).iter().map(|batch| batch.ticket).collect() };
        assert_eq!([tickets(), tickets(), tickets()], [vec![0], vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_panic_while_writing_leaves_nobody_waiting() {
        let queue = Queue::default();
        let limits = Limits::default();
        let answers = queue.submit(&limits, transactions(2), &|_| panic!("the engine is broken"));
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|answer| matches!(answer, Err(CommitError::Unknown(_)))));
        assert_eq!(queue.submit(&limits, transactions(1), &positions).len(), 1);
    }
}
