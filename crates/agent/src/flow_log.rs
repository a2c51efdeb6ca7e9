//! The flow log: events as JSON lines in a file that is moved aside when it is full.
//!
//! Written by a thread of its own, so that a disk that is slow, full or gone holds nobody up: what
//! finds no room in the queue, or cannot be written, is counted, reported and told by a `lost` line
//! when writing works again.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use portcullis_wire::flow_event::{EventName, FlowEvent, time_text};

use crate::event::lost;
use crate::hub::{Heard, Listener};
use crate::reader::unix_ms;

/// Name of the file that is written to; older ones have `.1` (the newest of them) and so on behind.
pub const FILE_NAME: &str = "flows.jsonl";
/// Bytes of one file, unless configured.
pub const FILE_MEGABYTES_DEFAULT: u64 = 64;
/// The largest that may be configured.
pub const FILE_MEGABYTES_MAX: u64 = 1 << 20;
/// Older files that are kept, unless configured.
pub const OLDER_FILES_DEFAULT: u32 = 8;
/// The most that may be configured.
pub const OLDER_FILES_MAX: u32 = 1000;
/// Events that wait for the disk; more are lost.
pub const QUEUE_MAX: usize = 16_384;
/// Bytes that are written at once where events come faster than the disk takes them.
const WRITE_BYTES: usize = 1 << 16;
/// More than the longest line has.
const LINE_BYTES_MAX: u64 = 1 << 12;
/// Who speaks to whom is not everybody's business.
const FILE_MODE: u32 = 0o640;
/// How long a failed disk is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLogSettings {
    /// The directory of the files; made if need be.
    pub directory: PathBuf,
    /// Bytes of one file; a line is never cut.
    pub file_bytes_max: u64,
    /// Older files that are kept.
    pub older_files: u32,
    /// What is written; [`EventName::Lost`] always is.
    pub events: BTreeSet<EventName>,
}

/// What became of events at a log.
#[derive(Debug, Default)]
pub struct LogCounts {
    written: AtomicU64,
    unwritten: AtomicU64,
}

impl LogCounts {
    /// Lines written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Events that the disk did not take.
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

/// The hub's end of a log.
struct Queue {
    events: BTreeSet<EventName>,
    lines: SyncSender<Arc<FlowEvent>>,
}

impl Listener for Queue {
    fn wants(&self, event: &FlowEvent) -> bool {
        event.event == EventName::Lost || self.events.contains(&event.event)
    }

    fn hear(&mut self, event: &Arc<FlowEvent>) -> Heard {
        match self.lines.try_send(event.clone()) {
            Ok(()) => Heard::Yes,
            Err(TrySendError::Full(_)) => Heard::Full,
            Err(TrySendError::Disconnected(_)) => Heard::Gone,
        }
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// Starts the thread that writes. It ends when the listener is dropped. It counts for `counts`.
pub fn start(
    settings: FlowLogSettings,
    counts: Arc<LogCounts>,
) -> io::Result<(Box<dyn Listener>, std::thread::JoinHandle<()>)> {
    let (lines, inbox) = sync_channel(QUEUE_MAX);
    let queue = Queue { events: settings.events.clone(), lines };
    let writer = Writer { files: Files::new(settings), failed_at: None, lost: 0, counts };
    let thread =
        std::thread::Builder::new().name("flow-log".into()).spawn(move || writer.run(&inbox))?;
    Ok((Box::new(queue), thread))
}

struct Writer {
    files: Files,
    failed_at: Option<Instant>,
    lost: u64,
    counts: Arc<LogCounts>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Arc<FlowEvent>>) {
        loop {
            self.counts.written.store(self.files.written, Ordering::Relaxed);
            // What has been taken is on the disk's side before the thread waits.
            let next = match inbox.try_recv() {
                Ok(event) => Ok(event),
                Err(_) => {
                    self.flush();
                    inbox.recv_timeout(RETRY)
                }
            };
            match next {
                Ok(event) => self.take(&event),
                Err(RecvTimeoutError::Timeout) => self.catch_up(),
                Err(RecvTimeoutError::Disconnected) => return self.catch_up(),
            }
        }
    }

    fn take(&mut self, event: &FlowEvent) {
        if !self.is_well(|| event.time.clone()) {
            return self.lose(weight(event));
        }
        if let Err(unwritten) = self.files.write(event) {
            self.fail(&unwritten);
        }
    }

    /// Tells what is missing, without an event that comes behind it.
    fn catch_up(&mut self) {
        self.is_well(|| time_text(unix_ms()));
    }

    fn flush(&mut self) {
        if let Err(unwritten) = self.files.flush() {
            self.fail(&unwritten);
        }
    }

    /// Whether lines can be written. If some could not, the file says so before it says more.
    fn is_well(&mut self, now: impl FnOnce() -> String) -> bool {
        if self.lost == 0 {
            return true;
        }
        if self.failed_at.is_some_and(|at| at.elapsed() < RETRY) {
            return false;
        }
        let told = self.files.write(&lost(now(), None, self.lost));
        match told.and_then(|()| self.files.flush()) {
            Ok(()) => {
                tracing::info!(lost = self.lost, "the flow log is written again");
                (self.lost, self.failed_at) = (0, None);
                true
            }
            Err(unwritten) => {
                self.report(&unwritten.error);
                false
            }
        }
    }

    fn fail(&mut self, unwritten: &Unwritten) {
        self.report(&unwritten.error);
        self.lose(unwritten.events);
    }

    fn report(&mut self, error: &io::Error) {
        if self.failed_at.replace(Instant::now()).is_none() {
            let path = self.files.path(0);
            tracing::error!(path = %path.display(), %error, "the flow log cannot be written");
        }
    }

    fn lose(&mut self, count: u64) {
        self.lost += count;
        self.counts.unwritten.fetch_add(count, Ordering::Relaxed);
    }
}

/// The events that a line stands for.
fn weight(event: &FlowEvent) -> u64 {
    event.lost.unwrap_or(1)
}

/// Why events were not written, and how many.
#[derive(Debug)]
struct Unwritten {
    error: io::Error,
    events: u64,
}

/// A file that is written to, up to here.
struct Open {
    file: File,
    bytes: u64,
}

/// A line that the file has not taken yet: where it ends, and what it stands for.
struct Waiting {
    end: usize,
    weight: u64,
}

/// The files of one log. Whole lines are written; what a failure cut short is taken back.
struct Files {
    settings: FlowLogSettings,
    open: Option<Open>,
    bytes: Vec<u8>,
    lines: Vec<Waiting>,
    /// Lines that are in files.
    written: u64,
}

impl Files {
    fn new(settings: FlowLogSettings) -> Self {
        Self { settings, open: None, bytes: Vec::new(), lines: Vec::new(), written: 0 }
    }

    fn path(&self, age: u32) -> PathBuf {
        let name = if age == 0 { FILE_NAME.to_owned() } else { format!("{FILE_NAME}.{age}") };
        self.settings.directory.join(name)
    }

    /// Takes an event; it is in the file after [`Files::flush`] at the latest.
    fn write(&mut self, event: &FlowEvent) -> Result<(), Unwritten> {
        let weight = weight(event);
        let and_this = |unwritten: Unwritten| Unwritten {
            events: unwritten.events + weight,
            error: unwritten.error,
        };
        let line = match line(event) {
            Ok(line) => line,
            Err(error) => return Err(Unwritten { error, events: weight }),
        };
        self.make_room(line.len() as u64).map_err(and_this)?;
        self.bytes.extend(line);
        self.lines.push(Waiting { end: self.bytes.len(), weight });
        if self.bytes.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Opens a file that has room for so many bytes more.
    fn make_room(&mut self, bytes: u64) -> Result<(), Unwritten> {
        let open = self.take_open().map_err(|error| self.give_up(error, 0))?;
        let before = open.bytes + self.bytes.len() as u64;
        self.open = Some(open);
        if before > 0 && before + bytes > self.settings.file_bytes_max {
            self.flush()?;
            self.rotate().map_err(|error| self.give_up(error, 0))?;
        }
        Ok(())
    }

    /// The file, out of this value's hands.
    fn take_open(&mut self) -> io::Result<Open> {
        match self.open.take() {
            Some(open) => Ok(open),
            None => append(&self.path(0), &self.settings.directory),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        let kept = self.settings.older_files;
        for age in (0..kept).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // More may be there of a time when more were kept.
        let surplus = if kept == 0 { 0 } else { kept + 1 };
        for age in surplus..=OLDER_FILES_MAX {
            match fs::remove_file(self.path(age)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Unwritten> {
        if self.lines.is_empty() {
            return Ok(());
        }
        if self.is_elsewhere() {
            self.open = None;
        }
        let mut open = self.take_open().map_err(|error| self.give_up(error, 0))?;
        let (taken, written) = write_all(&mut open.file, &self.bytes);
        let whole = self.lines.iter().map(|line| line.end).rfind(|end| *end <= taken).unwrap_or(0);
        open.bytes += whole as u64;
        self.written += self.lines.iter().filter(|line| line.end <= taken).count() as u64;
        if let Err(error) = written {
            if taken > whole
                && let Err(error) = open.file.set_len(open.bytes)
            {
                tracing::debug!(%error, "a cut line is taken away at the next opening");
            }
            return Err(self.give_up(error, whole));
        }
        self.bytes.clear();
        self.lines.clear();
        self.open = Some(open);
        Ok(())
    }

    /// Somebody has moved the file away, or removed it.
    fn is_elsewhere(&self) -> bool {
        let identity = |file: fs::Metadata| (file.dev(), file.ino());
        let opened = self.open.as_ref().and_then(|open| open.file.metadata().ok()).map(identity);
        opened.is_some() && opened != fs::metadata(self.path(0)).ok().map(identity)
    }

    /// Lets go of a file that failed, and of what it had not taken.
    fn give_up(&mut self, error: io::Error, whole: usize) -> Unwritten {
        let left = self.lines.drain(..).filter(|line| line.end > whole);
        let events = left.map(|line| line.weight).sum();
        self.bytes.clear();
        self.open = None;
        Unwritten { error, events }
    }
}

fn line(event: &FlowEvent) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes all, and says how much of it went before a failure.
fn write_all(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (taken, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, Ok(()))
}

/// Opens a file to write on; a line that a crash has cut is taken away first.
fn append(path: &Path, directory: &Path) -> io::Result<Open> {
    fs::create_dir_all(directory)?;
    let mut options = File::options();
    let mut file = options.read(true).append(true).create(true).mode(FILE_MODE).open(path)?;
    let mut bytes = file.metadata()?.len();
    if bytes > 0 {
        let from = bytes.saturating_sub(LINE_BYTES_MAX);
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        (&file).take(LINE_BYTES_MAX).read_to_end(&mut end)?;
        let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // What is longer than a line is none of ours: it is left, and ended.
        if whole == 0 && from > 0 {
            file.write_all(b"\n")?;
            bytes += 1;
        } else if whole < end.len() {
            bytes = from + whole as u64;
            file.set_len(bytes)?;
        }
    }
    Ok(Open { file, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: usize) -> FlowEvent {
        FlowEvent::new(format!("{number:04}"), EventName::New)
    }

    fn times(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let events = text.lines().filter_map(|line| serde_json::from_str::<FlowEvent>(line).ok());
        events.map(|event| event.time).collect()
    }

    fn settings(directory: &Path) -> FlowLogSettings {
        FlowLogSettings {
            directory: directory.into(),
            // Two lines of 29 bytes each fit.
            file_bytes_max: 60,
            older_files: 2,
            events: EventName::ALL.into(),
        }
    }

    #[test]
    fn full_files_are_moved_aside_and_the_oldest_removed() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::new(settings(&directory.path().join("made")));
        (0..7).try_for_each(|number| files.write(&event(number))).unwrap();
        files.flush().unwrap();
        assert_eq!(times(&files.path(0)), ["0006"]);
        assert_eq!(times(&files.path(1)), ["0004", "0005"]);
        assert_eq!(times(&files.path(2)), ["0002", "0003"]);
        assert!(!files.path(3).exists());
        // A file that is there is written on, after a line that was cut.
        drop(files);
        let mut files = Files::new(settings(&directory.path().join("made")));
        fs::write(files.path(0), "{\"time\":").unwrap();
        files.write(&event(7)).unwrap();
        files.flush().unwrap();
        assert_eq!(times(&files.path(0)), ["0007"]);
    }

    #[test]
    fn none_kept_means_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut files =
            Files::new(FlowLogSettings { older_files: 0, ..settings(directory.path()) });
        (0..3).try_for_each(|number| files.write(&event(number))).unwrap();
        files.flush().unwrap();
        assert_eq!(times(&files.path(0)), ["0002"]);
        assert!(!files.path(1).exists());
    }

    fn writer(settings: FlowLogSettings) -> Writer {
        Writer { files: Files::new(settings), failed_at: None, lost: 0, counts: Arc::default() }
    }

    #[test]
    fn a_cut_line_is_taken_away_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let long = "x".repeat(LINE_BYTES_MAX as usize + 1);
        for (before, after) in [
            ("", ""),
            ("{}\n", "{}\n"),
            ("{}\n{\"time\":", "{}\n"),
            ("{\"time\":", ""),
            (long.as_str(), &format!("{long}\n")),
        ] {
            fs::write(&path, before).unwrap();
            let open = append(&path, directory.path()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            assert_eq!(open.bytes, after.len() as u64);
        }
    }

    #[test]
    fn what_is_kept_no_longer_goes_and_a_file_that_was_moved_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut files =
            Files::new(FlowLogSettings { older_files: 4, ..settings(directory.path()) });
        (0..11).try_for_each(|number| files.write(&event(number))).unwrap();
        files.flush().unwrap();
        assert!(files.path(4).exists() && !files.path(5).exists());
        files.settings.older_files = 1;
        (11..13).try_for_each(|number| files.write(&event(number))).unwrap();
        files.flush().unwrap();
        assert!(files.path(1).exists() && !files.path(2).exists() && !files.path(4).exists());

        fs::remove_file(files.path(0)).unwrap();
        files.write(&event(13)).unwrap();
        files.flush().unwrap();
        assert_eq!(times(&files.path(0)), ["0013"]);
    }

    #[test]
    fn a_disk_that_fails_loses_lines_and_says_so_later() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        fs::write(&place, "not a directory").unwrap();
        let mut writer = writer(FlowLogSettings { file_bytes_max: 9999, ..settings(&place) });
        writer.take(&event(1));
        writer.take(&event(2));
        assert_eq!(writer.counts.unwritten(), 2);
        fs::remove_file(&place).unwrap();
        writer.failed_at = Instant::now().checked_sub(RETRY);
        writer.take(&event(3));
        writer.flush();
        let text = fs::read_to_string(place.join(FILE_NAME)).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"0003\",\"event\":\"lost\",\"lost\":2}\n\
             {\"time\":\"0003\",\"event\":\"new\"}\n"
        );
    }

    /// A disk without room takes what is handed to it only when it is written, all at once.
    #[test]
    fn a_full_disk_loses_all_that_waited_and_says_so_without_another_event() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let roomy = FlowLogSettings { file_bytes_max: 9999, ..settings(directory.path()) };
        let mut writer = writer(roomy);
        writer.take(&event(1));
        // What is missing already is missing still, not a single line.
        writer.take(&lost("0002".into(), Some("eni-1"), 40));
        assert_eq!((writer.lost, writer.files.lines.len()), (0, 2));
        writer.flush();
        assert_eq!(writer.lost, 41);
        writer.failed_at = Instant::now().checked_sub(RETRY);
        writer.take(&event(3));
        assert_eq!((writer.lost, writer.counts.unwritten()), (42, 42));

        fs::remove_file(&path).unwrap();
        writer.failed_at = Instant::now().checked_sub(RETRY);
        writer.catch_up();
        let told: FlowEvent = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((told.event, told.lost, writer.lost), (EventName::Lost, Some(42), 0));
        assert_eq!(writer.files.written, 1);
    }

    /// A disk that takes a part: whole lines stay, the cut one is taken back and counted.
    #[test]
    fn a_disk_that_fills_up_keeps_whole_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let roomy = FlowLogSettings { file_bytes_max: 9999, ..settings(directory.path()) };
        let mut files = Files::new(roomy);
        (0..3).try_for_each(|number| files.write(&event(number))).unwrap();
        // As if the disk had taken the first line and a part of the second.
        let failed = files.give_up(io::ErrorKind::StorageFull.into(), files.lines[0].end);
        assert_eq!((failed.events, files.lines.len(), files.open.is_none()), (2, 0, true));
        fs::write(&path, "{\"time\":\"0000\",\"event\":\"new\"}\n{\"time\"").unwrap();
        files.write(&event(7)).unwrap();
        files.flush().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), times(&path).len());
        assert_eq!(times(&path), ["0000", "0007"]);
    }

    #[test]
    fn only_what_is_wanted_waits_for_the_disk() {
        let (lines, inbox) = sync_channel(2);
        let mut queue = Queue { events: [EventName::Deny].into(), lines };
        let event = |name| Arc::new(FlowEvent::new(String::new(), name));
        for (name, wanted) in
            [(EventName::New, false), (EventName::Deny, true), (EventName::Lost, true)]
        {
            assert_eq!(queue.wants(&event(name)), wanted, "{name:?}");
        }
        for heard in [Heard::Yes, Heard::Yes, Heard::Full] {
            assert_eq!(queue.hear(&event(EventName::Deny)), heard);
        }
        assert_eq!(inbox.try_iter().count(), 2);
        drop(inbox);
        assert_eq!(queue.hear(&event(EventName::Deny)), Heard::Gone);
    }
}
