//! A writer at full rate, killed at random moments, and a ledger outside it of what it was told.
//!
//! After each kill: nothing acknowledged is missing or different, nothing refused is there, every
//! transaction is there whole or not at all, and the state is what its history says. While the
//! writer lives nobody else can open its store.

// Everything in here is a test; the lint only knows the functions marked as one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use portcullis_store::{
    Commit, CommitError, Embedded, Guard, Limits, Operation, Revision, Store, Transaction,
};

const ROUNDS: u64 = 200;
/// Set for the writer: where the store is, and the number of the round.
const DIRECTORY_VARIABLE: &str = "PORTCULLIS_STORE_TEST_DIRECTORY";
const ROUND_VARIABLE: &str = "PORTCULLIS_STORE_TEST_ROUND";
const SEED_VARIABLE: &str = "PORTCULLIS_STORE_TEST_SEED";

const THREADS: u64 = 4;
const BATCH: u64 = 4;
/// Acknowledgements after which a writer is killed, at most.
const ACKNOWLEDGED_MAX: u64 = 250;
/// A loaded machine must do that much within this time.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Both sides need the whole history of a round.
fn limits() -> Limits {
    Limits { history_revisions_max: 1_000_000, ..Limits::default() }
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    // The writer is this very test, run again by itself.
    if let Ok(directory) = std::env::var(DIRECTORY_VARIABLE) {
        let round = std::env::var(ROUND_VARIABLE).unwrap().parse().unwrap();
        return write_until_killed(Path::new(&directory), round);
    }
    let seed = std::env::var(SEED_VARIABLE).map_or(20_261_124, |seed| seed.parse().unwrap());
    println!("{SEED_VARIABLE}={seed}");
    let mut dice = Dice(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut known = Known::default();
    let (mut acknowledged, mut unacknowledged) = (0, 0);
    for round in 0..ROUNDS {
        let ledger = run_and_kill(directory.path(), round, &mut dice);
        let found = known.check(directory.path(), &ledger, round);
        acknowledged += ledger.acknowledged.len();
        unacknowledged += found - ledger.acknowledged.len();
    }
    println!("{ROUNDS} rounds, {acknowledged} acknowledged, {unacknowledged} found beyond that");
    assert!(acknowledged > 10_000, "the writer must have been at work when it was killed");
}

/// What the writer said: the content of each acknowledged revision, and the names of transactions
/// that it was refused.
#[derive(Default)]
struct Ledger {
    acknowledged: BTreeMap<u64, String>,
    refused: BTreeSet<String>,
}

/// Starts a writer, kills it at some moment and returns all that it said until then.
fn run_and_kill(directory: &Path, round: u64, dice: &mut Dice) -> Ledger {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["a_killed_writer_loses_nothing_acknowledged", "--exact", "--nocapture"])
        .env(DIRECTORY_VARIABLE, directory)
        .env(ROUND_VARIABLE, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = read_lines(writer.stdout.take().unwrap());
    let mut ledger = Ledger::default();
    // One round in eight is killed while it starts, the others after some acknowledgements; and
    // then a little later, so that the moment does not depend on what is being said.
    let is_early = dice.below(8) == 0;
    let wanted = if is_early { 0 } else { 1 + dice.below(ACKNOWLEDGED_MAX) };
    while (ledger.acknowledged.len() as u64) < wanted {
        ledger.note(&lines.recv_timeout(PATIENCE).expect("the writer goes on until it is killed"));
    }
    if !is_early {
        let error = Embedded::open(directory, limits()).err().unwrap();
        assert_eq!(error.code(), "Locked", "round {round}: the writer has it open");
    }
    let later = Duration::from_micros(dice.below(if is_early { 15_000 } else { 3_000 }));
    match lines.recv_timeout(later) {
        Ok(line) => ledger.note(&line),
        Err(RecvTimeoutError::Timeout) => (),
        Err(RecvTimeoutError::Disconnected) => panic!("round {round}: the writer ended by itself"),
    }
    kill(&mut writer);
    // What is still in the pipe was said before the kill.
    lines.iter().for_each(|line| ledger.note(&line));
    ledger
}

fn kill(writer: &mut Child) {
    writer.kill().unwrap();
    let status = writer.wait().unwrap();
    assert_eq!(status.code(), None, "the writer was killed, it did not end");
}

fn read_lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            sender.send(line.unwrap()).unwrap();
        }
    });
    receiver
}

impl Ledger {
    fn note(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["acknowledged", revision, content] => {
                let earlier = self.acknowledged.insert(revision.parse().unwrap(), content.into());
                assert_eq!(earlier, None, "revision {revision} was given twice");
            }
            ["refused", name] => assert!(self.refused.insert(name.into())),
            // The test harness of the writer says a few words of its own.
            _ => assert!(!line.contains("panicked"), "{line}"),
        }
    }
}

/// The state up to the end of the last round.
#[derive(Default)]
struct Known {
    revision: Revision,
    state: State,
}

impl Known {
    /// Opens what the killed writer has left and holds it against the ledger. Returns how many
    /// commits the round has made.
    fn check(&mut self, directory: &Path, ledger: &Ledger, round: u64) -> usize {
        let store = Embedded::open(directory, limits()).unwrap();
        let mut loaded = State::new();
        let visit = &mut |entry: portcullis_store::Entry<'_>| {
            loaded.insert(entry.key.to_vec(), (entry.modified, entry.value.to_vec()));
        };
        let head = store.load(visit).unwrap();
        let mut watch = store.watch(self.revision).unwrap();
        let mut found = BTreeMap::new();
        while watch.seen() < head {
            let commit = watch.next(Duration::ZERO).unwrap().unwrap();
            let name = whole_transaction(&commit);
            assert!(!ledger.refused.contains(&name), "round {round}: refused `{name}` is there");
            found.insert(commit.revision.number(), content(&commit.operations));
            self.apply(&commit);
        }
        for (revision, content) in &ledger.acknowledged {
            let there = found.get(revision);
            assert_eq!(
                there,
                Some(content),
                "round {round}: revision {revision}, {head} is newest"
            );
        }
        // What nobody was told of can only be what was under way.
        let beyond = found.len() - ledger.acknowledged.len();
        assert!(beyond as u64 <= THREADS * BATCH, "round {round}: {beyond} unacknowledged");
        assert_eq!(self.state, loaded, "round {round}");
        store.compact(head).unwrap();
        found.len()
    }

    fn apply(&mut self, commit: &Commit) {
        self.revision = commit.revision;
        for operation in &commit.operations {
            let key = operation.key().to_vec();
            match operation.value() {
                Some(value) => self.state.insert(key, (commit.revision, value.to_vec())),
                None => self.state.remove(&key),
            };
        }
    }
}

/// The name of a transaction, which its first operation carries together with the number of all.
fn whole_transaction(commit: &Commit) -> String {
    let value = commit.operations[0].value().unwrap();
    let (name, count) = std::str::from_utf8(value).unwrap().split_once(' ').unwrap();
    assert_eq!(count.trim_end(), commit.operations.len().to_string(), "`{name}` is not whole");
    name.to_string()
}

/// Something that two different lists of operations do not share.
fn content(operations: &[Operation]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for operation in operations {
        (operation.key(), operation.value()).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}

fn write_until_killed(directory: &Path, round: u64) {
    let store = &Embedded::open(directory, limits()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut dice = Dice(round * THREADS + thread);
                for number in 0.. {
                    write_batch(store, &format!("{round}/{thread}/{number}"), &mut dice);
                }
            });
        }
    });
}

/// Commits a few transactions together and says what became of each.
fn write_batch(store: &Embedded, name: &str, dice: &mut Dice) {
    let count = 1 + dice.below(BATCH);
    let names: Vec<_> = (0..count).map(|number| format!("{name}/{number}")).collect();
    let batch: Vec<_> = names.iter().map(|name| transaction(store, name, dice)).collect();
    let answers = store.commit_batch(batch.clone());
    let mut said = String::new();
    for ((name, transaction), answer) in names.iter().zip(&batch).zip(answers) {
        said.push_str(&match answer {
            Ok(revision) => {
                format!("acknowledged {revision} {}\n", content(&transaction.operations))
            }
            Err(CommitError::Conflict { .. }) => format!("refused {name}\n"),
            Err(error) => panic!("{error}"),
        });
    }
    // One write, which a pipe takes whole: a line is never cut by the kill.
    let mut output = std::io::stdout().lock();
    output.write_all(said.as_bytes()).unwrap();
    output.flush().unwrap();
}

fn transaction(store: &Embedded, name: &str, dice: &mut Dice) -> Transaction {
    let guards = match dice.below(4) {
        // Often true, and refused when another thread was first.
        0 => vec![Guard::store_at(store.head())],
        // Refused once the key is there.
        1 => vec![Guard::absent(format!("key/{}", dice.below(400)))],
        _ => Vec::new(),
    };
    let others = dice.below(4);
    let padding = " ".repeat(dice.below(400) as usize);
    let first = format!("{name} {}{padding}", 1 + others);
    let mut operations = vec![Operation::put(format!("name/{}", dice.below(50)), first)];
    for _ in 0..others {
        let key = format!("key/{}", dice.below(400));
        operations.push(match dice.below(3) {
            0 => Operation::delete(key),
            _ => Operation::put(key, name.repeat(1 + dice.below(20) as usize)),
        });
    }
    Transaction::new(guards, operations)
}
