//! The flow log: events as JSON lines in a file that is moved aside when it is full.
//!
//! Written by a thread of its own, so that a disk that is slow, full or gone holds nobody up: what
//! finds no room in the queue, or cannot be written, is counted, reported and told by a `lost` line
//! when writing works again.
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use portcullis_wire::flow_event::{EventName, FlowEvent};

use crate::event::lost;
use crate::hub::{Heard, Listener};

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

/// The hub's end of a log.
struct Queue {
    events: BTreeSet<EventName>,
    lines: SyncSender<Arc<FlowEvent>>,
}

impl Listener for Queue {
    fn hear(&mut self, event: &Arc<FlowEvent>) -> Heard {
        if event.event != EventName::Lost && !self.events.contains(&event.event) {
            return Heard::Yes;
        }
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

/// Starts the thread that writes. It ends when the listener is dropped. `unwritten` counts what the
/// disk did not take.
pub fn start(
    settings: FlowLogSettings,
    unwritten: Arc<AtomicU64>,
) -> io::Result<(Box<dyn Listener>, std::thread::JoinHandle<()>)> {
    let (lines, inbox) = sync_channel(QUEUE_MAX);
    let queue = Queue { events: settings.events.clone(), lines };
    let writer = Writer { files: Files::new(settings), failed_at: None, lost: 0, unwritten };
    let thread =
        std::thread::Builder::new().name("flow-log".into()).spawn(move || writer.run(&inbox))?;
    Ok((Box::new(queue), thread))
}

struct Writer {
    files: Files,
    failed_at: Option<Instant>,
    lost: u64,
    unwritten: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Arc<FlowEvent>>) {
        loop {
            // What has been written is on the disk's side before the thread waits.
            let next = match inbox.try_recv() {
                Ok(event) => Ok(event),
                Err(_) => {
                    if let Err(error) = self.files.flush() {
                        self.fail(&error, 0);
                    }
                    inbox.recv_timeout(RETRY)
                }
            };
            match next {
                Ok(event) => self.take(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, event: &FlowEvent) {
        if self.failed_at.is_some_and(|at| at.elapsed() < RETRY) {
            return self.lose(1);
        }
        let before = (self.lost > 0).then(|| lost(event.time.clone(), None, self.lost));
        let written = before.iter().chain([event]).try_for_each(|event| self.files.write(event));
        match written {
            Ok(()) => {
                if self.failed_at.take().is_some() {
                    tracing::info!(lost = self.lost, "the flow log is written again");
                }
                self.lost = 0;
            }
            Err(error) => self.fail(&error, 1),
        }
    }

    fn fail(&mut self, error: &io::Error, count: u64) {
        if self.failed_at.is_none() {
            let path = self.files.path(0);
            tracing::error!(path = %path.display(), %error, "the flow log cannot be written");
        }
        self.failed_at = Some(Instant::now());
        self.files.close();
        self.lose(count);
    }

    fn lose(&mut self, count: u64) {
        self.lost += count;
        self.unwritten.fetch_add(count, Ordering::Relaxed);
    }
}

/// The files of one log.
struct Files {
    settings: FlowLogSettings,
    open: Option<(BufWriter<File>, u64)>,
}

impl Files {
    fn new(settings: FlowLogSettings) -> Self {
        Self { settings, open: None }
    }

    fn path(&self, age: u32) -> PathBuf {
        let name = if age == 0 { FILE_NAME.to_owned() } else { format!("{FILE_NAME}.{age}") };
        self.settings.directory.join(name)
    }

    fn write(&mut self, event: &FlowEvent) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        let length = line.len() as u64;
        let is_full = |written: u64| written > 0 && written + length > self.settings.file_bytes_max;
        if self.open.as_ref().is_some_and(|(_, written)| is_full(*written)) {
            self.rotate()?;
        }
        let (file, written) = match &mut self.open {
            Some(open) => open,
            None => {
                let opened = append(&self.path(0), &self.settings.directory)?;
                self.open.insert(opened)
            }
        };
        file.write_all(&line)?;
        *written += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        self.open = None;
        for age in (0..self.settings.older_files).rev() {
            match fs::rename(self.path(age), self.path(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.settings.older_files == 0 {
            fs::remove_file(self.path(0))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }

    /// Lets go of a file that failed; what it had not taken is gone.
    fn close(&mut self) {
        if let Some((file, _)) = self.open.take() {
            drop(file.into_parts());
        }
    }
}

/// Opens a file to write on; a line that a crash has cut is ended first.
fn append(path: &Path, directory: &Path) -> io::Result<(BufWriter<File>, u64)> {
    fs::create_dir_all(directory)?;
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    let mut written = file.metadata()?.len();
    if written > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(written - 1))?;
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
            written += 1;
        }
    }
    Ok((BufWriter::new(file), written))
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

    #[test]
    fn a_disk_that_fails_loses_lines_and_says_so_later() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("place");
        fs::write(&place, "not a directory").unwrap();
        let unwritten = Arc::new(AtomicU64::new(0));
        let files = Files::new(FlowLogSettings { file_bytes_max: 9999, ..settings(&place) });
        let mut writer =
            Writer { files, failed_at: None, lost: 0, unwritten: Arc::clone(&unwritten) };
        writer.take(&event(1));
        writer.take(&event(2));
        assert_eq!(unwritten.load(Ordering::Relaxed), 2);
        fs::remove_file(&place).unwrap();
        writer.failed_at = Instant::now().checked_sub(RETRY);
        writer.take(&event(3));
        writer.files.flush().unwrap();
        let text = fs::read_to_string(place.join(FILE_NAME)).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"0003\",\"event\":\"lost\",\"lost\":2}\n\
             {\"time\":\"0003\",\"event\":\"new\"}\n"
        );
    }

    #[test]
    fn only_what_is_wanted_waits_for_the_disk() {
        let (lines, inbox) = sync_channel(2);
        let mut queue = Queue { events: [EventName::Deny].into(), lines };
        let hear =
            |queue: &mut Queue, name| queue.hear(&Arc::new(FlowEvent::new(String::new(), name)));
        for (name, heard) in [
            (EventName::New, Heard::Yes),
            (EventName::Deny, Heard::Yes),
            (EventName::Lost, Heard::Yes),
            (EventName::Deny, Heard::Full),
            (EventName::End, Heard::Yes),
        ] {
            assert_eq!(hear(&mut queue, name), heard, "{name:?}");
        }
        assert_eq!(inbox.try_iter().count(), 2);
        drop(inbox);
        assert_eq!(hear(&mut queue, EventName::Deny), Heard::Gone);
    }
}
