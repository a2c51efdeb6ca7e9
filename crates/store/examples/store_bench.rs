//! One round of one contender for the store bench: how many durable records a second, and how
//! long a start takes. It refuses to compare; the bench frame interleaves the rounds and does.
//!
//! `store_bench --engine embedded|redb|fjall|wal-floor --records N --group G --dir DIR
//! [--preload M] [--first F] [--value-bytes B] [--stop clean|abort] [--phase both|write|open]
//! [--writers W]`
//!
//! A record is one `put` of `B` bytes together with its entry in the history; `G` of them share a
//! durable commit. `redb` and `fjall` keep the very layout of the embedded engine but without its
//! guards, checks and witness; `wal-floor` only appends to a file and syncs it, with no way to find
//! anything again but to read it all.
//! `--preload` fills the store first, `--first` says how many records are there already. With
//! `--writers` so many threads commit one record each at the same time, and the engine groups them
//! as it likes; only `embedded` does. Prints one line of JSON. With `--phase write --stop abort`
//! the process ends as a crash would.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_store::{CommitError, Embedded, Limits, Operation, Store, Transaction};
use redb::ReadableDatabase;

type Failure = Box<dyn std::error::Error>;

/// Records of one commit while the store is filled before the measurement.
const PRELOAD_GROUP: u64 = 10_000;

fn main() -> Result<(), Failure> {
    let options = Options::from_arguments(std::env::args().skip(1))?;
    let mut line = Vec::new();
    if options.writers > 0 {
        println!("{{{}}}", measure_writers(&options)?.join(", "));
        return Ok(());
    }
    if options.phase != "open" {
        let mut contender = open(&options)?;
        let mut next = 0;
        while next < options.preload {
            let end = (next + PRELOAD_GROUP).min(options.preload);
            contender.commit(&records(next..end, options.value_bytes))?;
            next = end;
        }
        line.extend(measure_commits(contender.as_mut(), &options)?);
        if options.stop == "abort" {
            println!("{{{}}}", line.join(", "));
            std::process::abort();
        }
    }
    if options.phase != "write" {
        let started = Instant::now();
        let mut contender = open(&options)?;
        let opened = started.elapsed();
        let loaded = contender.load()?;
        let all = started.elapsed();
        line.push(format!("\"open_ms\": {:.3}", milliseconds(opened)));
        line.push(format!("\"open_and_load_ms\": {:.3}", milliseconds(all)));
        line.push(format!("\"records_loaded\": {loaded}"));
        line.push(format!("\"disk_bytes\": {}", disk_bytes(&options.directory)?));
    }
    println!("{{{}}}", line.join(", "));
    Ok(())
}

fn measure_commits(
    contender: &mut dyn Contender,
    options: &Options,
) -> Result<Vec<String>, Failure> {
    let mut latencies = Vec::new();
    let first = options.preload + options.first;
    let last = first + options.records;
    let started = Instant::now();
    let mut next = first;
    while next < last {
        let end = (next + options.group).min(last);
        let group = records(next..end, options.value_bytes);
        let began = Instant::now();
        contender.commit(&group)?;
        latencies.push(began.elapsed());
        next = end;
    }
    Ok(told(options, started.elapsed(), latencies))
}

/// Every writer commits its share of the records, one at a time.
fn measure_writers(options: &Options) -> Result<Vec<String>, Failure> {
    if options.engine != "embedded" {
        return Err(format!("`{}` cannot be used by many writers here", options.engine).into());
    }
    let store = Embedded::open(&options.directory, Limits::default())?;
    let share = options.records.div_ceil(options.writers);
    let write = |writer: u64| -> Result<Vec<Duration>, CommitError> {
        let first = writer * share;
        let commit = |record: Record| {
            let began = Instant::now();
            let put = Operation::put(record.key, record.value);
            store.commit(&[], vec![put]).map(|_| began.elapsed())
        };
        let last = (first + share).min(options.records);
        records(first..last, options.value_bytes).into_iter().map(commit).collect()
    };
    let started = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..options.writers).map(|writer| scope.spawn(move || write(writer))).collect();
        writers.into_iter().map(|writer| writer.join().map_err(|_| "a writer panicked")).collect()
    });
    let elapsed = started.elapsed();
    let latencies: Result<Vec<_>, &str> = latencies;
    let latencies: Result<Vec<_>, _> = latencies?.into_iter().collect();
    Ok(told(options, elapsed, latencies?.concat()))
}

fn told(options: &Options, elapsed: Duration, mut latencies: Vec<Duration>) -> Vec<String> {
    latencies.sort_unstable();
    let per_second = options.records as f64 / elapsed.as_secs_f64();
    vec![
        format!("\"engine\": \"{}\"", options.engine),
        format!("\"records\": {}", options.records),
        format!("\"group\": {}", options.group),
        format!("\"records_per_second\": {per_second:.1}"),
        format!("\"p50_us\": {:.1}", microseconds(&latencies, 50)),
        format!("\"p99_us\": {:.1}", microseconds(&latencies, 99)),
    ]
}

fn microseconds(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1)) * percent / 100;
    sorted.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn disk_bytes(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

struct Options {
    engine: String,
    records: u64,
    group: u64,
    preload: u64,
    /// Number of the first record, when the directory holds a store already.
    first: u64,
    value_bytes: usize,
    directory: PathBuf,
    stop: String,
    phase: String,
    /// Threads that commit at the same time; 0: one that commits groups.
    writers: u64,
}

impl Options {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Options, Failure> {
        let mut options = Options {
            engine: "embedded".to_string(),
            records: 10_000,
            group: 64,
            preload: 0,
            first: 0,
            value_bytes: 300,
            directory: PathBuf::new(),
            stop: "clean".to_string(),
            phase: "both".to_string(),
            writers: 0,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
            match name.as_str() {
                "--engine" => options.engine = value,
                "--records" => options.records = value.parse()?,
                "--group" => options.group = value.parse::<u64>()?.max(1),
                "--preload" => options.preload = value.parse()?,
                "--first" => options.first = value.parse()?,
                "--value-bytes" => options.value_bytes = value.parse()?,
                "--dir" => options.directory = PathBuf::from(value),
                "--stop" => options.stop = value,
                "--phase" => options.phase = value,
                "--writers" => options.writers = value.parse()?,
                _ => return Err(format!("unknown option `{name}`").into()),
            }
        }
        if options.directory.as_os_str().is_empty() {
            return Err("`--dir` is needed".into());
        }
        Ok(options)
    }
}

/// One record to be written: its number in the history, its key and its value.
struct Record {
    revision: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Record {
    /// What the history holds for it.
    fn log_entry(&self) -> Vec<u8> {
        [self.key.as_slice(), self.value.as_slice()].concat()
    }

    /// What the entries hold for it.
    fn stored_value(&self) -> Vec<u8> {
        [self.revision.to_le_bytes().as_slice(), self.value.as_slice()].concat()
    }
}

/// Keys as a server makes them: a prefix, the number of a group and, random in order, of a rule.
fn records(numbers: std::ops::Range<u64>, value_bytes: usize) -> Vec<Record> {
    let make = |number: u64| {
        let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let key = format!("rule/sg-{:08x}/sgr-{scattered:016x}", scattered >> 40);
        let mut value = Vec::with_capacity(value_bytes + 8);
        let mut seed = scattered;
        while value.len() < value_bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            value.extend_from_slice(format!("{:08x}", seed >> 32).as_bytes());
        }
        value.truncate(value_bytes);
        Record { revision: number + 1, key: key.into_bytes(), value }
    };
    numbers.map(make).collect()
}

trait Contender {
    /// Makes all of these durable together.
    fn commit(&mut self, records: &[Record]) -> Result<(), Failure>;
    /// Reads everything, as a starting server does; returns how many records there are.
    fn load(&mut self) -> Result<u64, Failure>;
}

fn open(options: &Options) -> Result<Box<dyn Contender>, Failure> {
    fs::create_dir_all(&options.directory)?;
    let directory = &options.directory;
    Ok(match options.engine.as_str() {
        "embedded" => Box::new(Ours(Embedded::open(directory, Limits::default())?)),
        "redb" => Box::new(Redb(redb::Database::create(directory.join("bench.redb"))?)),
        "fjall" => {
            let database = fjall::Database::builder(directory.join("bench.fjall")).open()?;
            let keyspace = |name| database.keyspace(name, fjall::KeyspaceCreateOptions::default);
            let entries = keyspace("entries")?;
            let (history, head) = (keyspace("history")?, keyspace("head")?);
            Box::new(Fjall { database, entries, history, head })
        }
        "wal-floor" => {
            let path = directory.join("bench.wal");
            let file = File::options().create(true).append(true).read(true).open(&path)?;
            Box::new(WalFloor { file, path })
        }
        other => return Err(format!("unknown engine `{other}`").into()),
    })
}

/// The product's own engine, through its contract.
struct Ours(Embedded);

impl Contender for Ours {
    fn commit(&mut self, records: &[Record]) -> Result<(), Failure> {
        for records in records.chunks(self.0.limits().transactions_per_batch_max) {
            let transaction = |record: &Record| {
                let put = Operation::put(record.key.clone(), record.value.clone());
                Transaction::new(Vec::new(), vec![put])
            };
            for answer in self.0.commit_batch(records.iter().map(transaction).collect()) {
                answer?;
            }
        }
        Ok(())
    }

    fn load(&mut self) -> Result<u64, Failure> {
        let mut count = 0;
        let mut bytes = 0;
        self.0.load(&mut |entry| {
            count += 1;
            bytes += entry.key.len() + entry.value.len();
        })?;
        std::hint::black_box(bytes);
        Ok(count)
    }
}

struct Redb(redb::Database);

const ENTRIES: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("entries");
const HISTORY: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("history");
const HEAD: redb::TableDefinition<'_, u8, u64> = redb::TableDefinition::new("head");

impl Contender for Redb {
    fn commit(&mut self, records: &[Record]) -> Result<(), Failure> {
        let transaction = self.0.begin_write()?;
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut history = transaction.open_table(HISTORY)?;
            let mut head = transaction.open_table(HEAD)?;
            for record in records {
                entries.insert(record.key.as_slice(), record.stored_value().as_slice())?;
                history.insert(record.revision, record.log_entry().as_slice())?;
            }
            head.insert(0, records.last().map_or(0, |record| record.revision))?;
        }
        Ok(transaction.commit()?)
    }

    fn load(&mut self) -> Result<u64, Failure> {
        let transaction = self.0.begin_read()?;
        let mut count = 0;
        let mut bytes = 0;
        for entry in transaction.open_table(ENTRIES)?.range::<&[u8]>(..)? {
            let (key, value) = entry?;
            bytes += key.value().len() + value.value().len();
            count += 1;
        }
        std::hint::black_box(bytes);
        Ok(count)
    }
}

struct Fjall {
    database: fjall::Database,
    entries: fjall::Keyspace,
    history: fjall::Keyspace,
    head: fjall::Keyspace,
}

impl Contender for Fjall {
    fn commit(&mut self, records: &[Record]) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for record in records {
            batch.insert(&self.entries, record.key.clone(), record.stored_value());
            batch.insert(&self.history, record.revision.to_be_bytes(), record.log_entry());
        }
        let head = records.last().map_or(0, |record| record.revision);
        batch.insert(&self.head, [0], head.to_be_bytes());
        Ok(batch.commit()?)
    }

    fn load(&mut self) -> Result<u64, Failure> {
        let mut count = 0;
        let mut bytes = 0;
        for guard in self.entries.iter() {
            let (key, value) = guard.into_inner()?;
            bytes += key.len() + value.len();
            count += 1;
        }
        std::hint::black_box(bytes);
        Ok(count)
    }
}

/// No engine: the bytes of the history alone, appended and synced.
struct WalFloor {
    file: File,
    path: PathBuf,
}

impl Contender for WalFloor {
    fn commit(&mut self, records: &[Record]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for record in records {
            let entry = record.log_entry();
            bytes.extend_from_slice(&u32::try_from(entry.len())?.to_le_bytes());
            bytes.extend_from_slice(&entry);
        }
        self.file.write_all(&bytes)?;
        Ok(self.file.sync_data()?)
    }

    fn load(&mut self) -> Result<u64, Failure> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        let mut count = 0;
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*length))?;
            rest = tail.get(length..).ok_or("the last record is cut off")?;
            count += 1;
        }
        Ok(count)
    }
}
