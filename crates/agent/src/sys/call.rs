//! The `bpf(2)` system call, one safe function for each command that is used.
//!
//! Knows commands, descriptors and bytes; what a map means is for others. The lengths of keys and
//! values are part of each [`Map`], which asked the kernel for them, so that the kernel never reads
//! or writes beyond a buffer.
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MAP_CREATE: i32 = 0;
const MAP_LOOKUP_ELEM: i32 = 1;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const MAP_GET_NEXT_KEY: i32 = 4;
const OBJ_PIN: i32 = 6;
const OBJ_GET: i32 = 7;
const PROG_TEST_RUN: i32 = 10;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const MAP_LOOKUP_BATCH: i32 = 24;
const LINK_CREATE: i32 = 28;
const LINK_UPDATE: i32 = 29;
const LINK_DETACH: i32 = 34;

const MAP_TYPE_ARRAY: u32 = 2;
const MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;
/// Attach types of the two tcx hooks.
pub(super) const TCX_INGRESS: u32 = 46;
pub(super) const TCX_EGRESS: u32 = 47;
const LINK_TYPE_TCX: u32 = 11;

/// Largest attribute block that is passed.
const ATTRIBUTE_WORDS: usize = 18;

/// The command's attribute block, filled by offset as `union bpf_attr` lays it out.
#[derive(Default)]
struct Attribute {
    words: [u64; ATTRIBUTE_WORDS],
}

impl Attribute {
    fn half(mut self, offset: usize, value: u32) -> Self {
        let shift = if cfg!(target_endian = "little") == offset.is_multiple_of(8) { 0 } else { 32 };
        self.words[offset / 8] |= u64::from(value) << shift;
        self
    }

    fn word(mut self, offset: usize, value: u64) -> Self {
        self.words[offset / 8] = value;
        self
    }

    fn descriptor(self, offset: usize, value: BorrowedFd<'_>) -> Self {
        self.half(offset, value.as_raw_fd() as u32)
    }
}

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr() as u64
}

fn address_mut(bytes: &mut [u8]) -> u64 {
    bytes.as_mut_ptr() as u64
}

/// The call itself; the attribute's buffers must outlive it and be as large as the command says.
fn bpf(command: i32, attribute: &mut Attribute) -> io::Result<i64> {
    // SAFETY: the block is ours and of the size given, and every caller in this file passes buffers
    // that it holds across the call, of the sizes that the kernel uses for the command.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attribute.words.as_mut_ptr(),
            size_of_val(&attribute.words),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn bpf_descriptor(command: i32, attribute: &mut Attribute) -> io::Result<OwnedFd> {
    let descriptor = bpf(command, attribute)?;
    // SAFETY: these commands return a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

/// Whether the kernel knows the system call and lets us use it: asks for a descriptor of nothing.
pub(super) fn probe() -> io::Result<()> {
    match bpf(OBJ_GET_INFO_BY_FD, &mut Attribute::default().half(0, u32::MAX)) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EBADFD)) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn path_text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Gives an object a name in a BPF file system.
pub(super) fn pin(descriptor: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = path_text(path)?;
    let attribute = Attribute::default().word(0, path.as_ptr() as u64).descriptor(8, descriptor);
    bpf(OBJ_PIN, &mut { attribute }).map(|_| ())
}

/// Opens the object of that name.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = path_text(path)?;
    bpf_descriptor(OBJ_GET, &mut Attribute::default().word(0, path.as_ptr() as u64))
}

fn info<const N: usize>(descriptor: BorrowedFd<'_>) -> io::Result<[u8; N]> {
    ask_info(descriptor, [0; N])
}

/// The same with what the kernel is to find in the block.
fn ask_info<const N: usize>(descriptor: BorrowedFd<'_>, mut bytes: [u8; N]) -> io::Result<[u8; N]> {
    let attribute = Attribute::default().descriptor(0, descriptor).half(4, N as u32);
    bpf(OBJ_GET_INFO_BY_FD, &mut attribute.word(8, address_mut(&mut bytes)))?;
    Ok(bytes)
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(super::abi::part(bytes, at))
}

/// A map and the sizes of what is in it.
#[derive(Debug)]
pub(super) struct Map {
    descriptor: OwnedFd,
    key_bytes: usize,
    /// Of one value as a look-up gives it: for per-CPU maps, those of all processors.
    value_bytes: usize,
    /// Entries that it has or may have.
    pub(super) entries: u32,
}

impl Map {
    /// Takes the map over and asks for its sizes.
    pub(super) fn new(descriptor: OwnedFd, processors: usize) -> io::Result<Self> {
        use std::os::fd::AsFd;
        let info: [u8; 32] = info(descriptor.as_fd())?;
        let per_cpu = matches!(half(&info, 0), 5 | 6 | 10);
        let value_bytes = half(&info, 12) as usize;
        let value_bytes =
            if per_cpu { value_bytes.next_multiple_of(8) * processors } else { value_bytes };
        let (key_bytes, entries) = (half(&info, 8) as usize, half(&info, 16));
        Ok(Self { descriptor, key_bytes, value_bytes, entries })
    }

    /// The kernel's number for it, which no other map of this boot has.
    pub(super) fn id(&self) -> io::Result<u32> {
        const ID: usize = 4;
        let info: [u8; ID + 4] = info(self.descriptor())?;
        Ok(half(&info, ID))
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.descriptor.as_fd()
    }

    fn attribute(&self, key: &[u8]) -> io::Result<Attribute> {
        if key.len() != self.key_bytes {
            return Err(io::Error::other("a key of another size than the map's"));
        }
        Ok(Attribute::default().descriptor(0, self.descriptor()).word(8, address(key)))
    }

    /// The value at `key`.
    pub(super) fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.value_bytes];
        let attribute = self.attribute(key)?.word(16, address_mut(&mut value));
        match bpf(MAP_LOOKUP_ELEM, &mut { attribute }) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value at `key`.
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if value.len() != self.value_bytes {
            return Err(io::Error::other("a value of another size than the map's"));
        }
        let attribute = self.attribute(key)?.word(16, address(value));
        bpf(MAP_UPDATE_ELEM, &mut { attribute }).map(|_| ())
    }

    /// Sets every processor's value at `key` to zeros.
    pub(super) fn zero(&self, key: &[u8]) -> io::Result<()> {
        self.put(key, &vec![0; self.value_bytes])
    }

    /// Removes `key`; says whether it was there.
    pub(super) fn delete(&self, key: &[u8]) -> io::Result<bool> {
        match bpf(MAP_DELETE_ELEM, &mut { self.attribute(key)? }) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The key after this one; the first without one.
    pub(super) fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        let mut next = vec![0; self.key_bytes];
        let attribute = match key {
            Some(key) => self.attribute(key)?,
            None => Attribute::default().descriptor(0, self.descriptor()),
        };
        match bpf(MAP_GET_NEXT_KEY, &mut attribute.word(16, address_mut(&mut next))) {
            Ok(_) => Ok(Some(next)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Some entries, at most so many, from where an earlier call ended; and where the next begins.
    /// For hashes only.
    pub(super) fn some(&self, from: Option<u32>, most: u32) -> io::Result<Batch> {
        let count = most as usize;
        let (mut keys, mut values) =
            (vec![0; count * self.key_bytes], vec![0; count * self.value_bytes]);
        let (from_bytes, mut next) = (from.unwrap_or(0).to_ne_bytes(), [0; 4]);
        let mut attribute = Attribute::default()
            .word(8, address_mut(&mut next))
            .word(16, address_mut(&mut keys))
            .word(24, address_mut(&mut values))
            .half(32, most)
            .descriptor(36, self.descriptor());
        if from.is_some() {
            attribute = attribute.word(0, address(&from_bytes));
        }
        let is_end = match bpf(MAP_LOOKUP_BATCH, &mut attribute) {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let [low, high] = halves(attribute.words[4]);
        let found = if cfg!(target_endian = "little") { low } else { high };
        let entries = keys
            .chunks_exact(self.key_bytes)
            .zip(values.chunks_exact(self.value_bytes))
            .take(found as usize)
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect();
        Ok(Batch { entries, next: (!is_end).then(|| u32::from_ne_bytes(next)) })
    }

    /// All keys with their values; entries that come and go meanwhile may be missing.
    pub(super) fn all(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut key = self.next_key(None)?;
        // A key that is removed while it is asked for its next one leads back to the first: bounded
        // all the same.
        let most = self.entries as usize * 2;
        while let Some(at) = key {
            if found.len() > most {
                return Err(io::Error::other("the map changed too much while it was read"));
            }
            key = self.next_key(Some(&at))?;
            if let Some(value) = self.get(&at)? {
                found.push((at, value));
            }
        }
        found.sort();
        found.dedup_by(|a, b| a.0 == b.0);
        Ok(found)
    }
}

/// Keys and values, and where the rest begins.
pub(super) struct Batch {
    pub(super) entries: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) next: Option<u32>,
}

/// The lower and the upper half of a word.
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// By it one waits until every program that runs now has ended: the kernel does that when it
/// replaces a map inside a map.
#[derive(Debug)]
pub(super) struct Barrier {
    outer: Map,
    inner: OwnedFd,
}

impl Barrier {
    pub(super) fn new() -> io::Result<Self> {
        use std::os::fd::AsFd;
        let array = |kind: u32, inner: Option<BorrowedFd<'_>>| {
            let attribute = Attribute::default().half(0, kind).half(4, 4).half(8, 4).half(12, 1);
            let inner = inner.map_or(0, |fd| fd.as_raw_fd() as u32);
            bpf_descriptor(MAP_CREATE, &mut attribute.half(20, inner))
        };
        let inner = array(MAP_TYPE_ARRAY, None)?;
        let outer = array(MAP_TYPE_ARRAY_OF_MAPS, Some(inner.as_fd()))?;
        let outer = Map { descriptor: outer, key_bytes: 4, value_bytes: 4, entries: 1 };
        Ok(Self { outer, inner })
    }

    pub(super) fn wait(&self) -> io::Result<()> {
        self.outer.put(&0u32.to_ne_bytes(), &(self.inner.as_raw_fd() as u32).to_ne_bytes())
    }
}

/// Attaches a program to a tcx hook of a device, after those that are there.
pub(super) fn attach(program: BorrowedFd<'_>, device: u32, hook: u32) -> io::Result<OwnedFd> {
    let attribute = Attribute::default().descriptor(0, program).half(4, device).half(8, hook);
    bpf_descriptor(LINK_CREATE, &mut { attribute })
}

/// Puts another program into a link, without a gap.
pub(super) fn replace(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attribute = Attribute::default().descriptor(0, link).descriptor(4, program);
    bpf(LINK_UPDATE, &mut { attribute }).map(|_| ())
}

/// Takes a link off its device; a device that is gone is no error.
pub(super) fn detach(link: BorrowedFd<'_>) -> io::Result<()> {
    match bpf(LINK_DETACH, &mut Attribute::default().descriptor(0, link)) {
        Err(error) if error.raw_os_error() != Some(libc::ENOLINK) => Err(error),
        _ => Ok(()),
    }
}

/// Where a tcx link stands, and what with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkPlace {
    /// 0 when it is gone.
    pub(super) device: u32,
    /// The attach type.
    pub(super) hook: u32,
    /// The kernel's number of the program.
    pub(super) program: u32,
}

/// Where a link stands; `None` if it is none of tcx.
pub(super) fn link_place(link: BorrowedFd<'_>) -> io::Result<Option<LinkPlace>> {
    let info: [u8; 32] = info(link)?;
    Ok((half(&info, 0) == LINK_TYPE_TCX).then(|| LinkPlace {
        device: half(&info, 16),
        hook: half(&info, 20),
        program: half(&info, 8),
    }))
}

/// The kernel's number of a program.
pub(super) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    let info: [u8; 8] = info(program)?;
    Ok(half(&info, 4))
}

/// Instructions that the verifier went through for a program.
pub(super) fn verified_instructions(program: BorrowedFd<'_>) -> io::Result<u32> {
    const VERIFIED: usize = 216;
    let info: [u8; VERIFIED + 8] = info(program)?;
    Ok(half(&info, VERIFIED))
}

/// A program's instructions as the verifier left them.
pub(super) fn translated_instructions(program: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    const LENGTH: usize = 20;
    const ADDRESS: usize = 32;
    let found: [u8; ADDRESS + 8] = info(program)?;
    let mut code = vec![0; half(&found, LENGTH) as usize];
    let mut asked = [0; ADDRESS + 8];
    asked[LENGTH..LENGTH + 4].copy_from_slice(&(code.len() as u32).to_ne_bytes());
    asked[ADDRESS..].copy_from_slice(&address_mut(&mut code).to_ne_bytes());
    ask_info(program, asked)?;
    Ok(code)
}

/// What a program run in a test left: its return value and `cb[0]`, `cb[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TestRun {
    pub(super) value: i32,
    pub(super) cb: [u32; 2],
}

/// What a packet's context says in a test.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TestContext {
    pub(super) mark: u32,
    /// The device it stands at, in the calling thread's network namespace; 0: the loopback device.
    pub(super) device: u32,
    /// Packets that it is cut into on the wire.
    pub(super) segments: u32,
}

/// Runs a program once on a frame.
pub(super) fn test_run(
    program: BorrowedFd<'_>,
    frame: &[u8],
    said: TestContext,
) -> io::Result<TestRun> {
    // Offsets in struct __sk_buff.
    const MARK: usize = 8;
    const DEVICE: usize = 40;
    const CB: usize = 48;
    const GSO_SEGS: usize = 164;
    const CONTEXT_BYTES: usize = 256;
    let mut context = [0u8; CONTEXT_BYTES];
    for (at, value) in [(MARK, said.mark), (DEVICE, said.device), (GSO_SEGS, said.segments)] {
        context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    let mut result = [0u8; CONTEXT_BYTES];
    let mut attribute = Attribute::default()
        .descriptor(0, program)
        .half(8, frame.len() as u32)
        .word(16, address(frame))
        .half(40, CONTEXT_BYTES as u32)
        .half(44, CONTEXT_BYTES as u32)
        .word(48, address(&context))
        .word(56, address_mut(&mut result));
    bpf(PROG_TEST_RUN, &mut attribute)?;
    let value = (attribute.words[0] >> 32) as u32;
    let value = if cfg!(target_endian = "little") { value } else { attribute.words[0] as u32 };
    Ok(TestRun { value: value as i32, cb: [half(&result, CB), half(&result, CB + 4)] })
}
