//! The event ring, read by one reader at a time.
//!
//! Knows records, not what anybody makes of them. Losses are counted per slot by the program
//! ([`Datapath::events_lost`](super::Datapath::events_lost)).
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::{MapData, RingBuf};

use super::abi::{self, Event};

/// What the kernel puts before each record.
const HEADER_BYTES: usize = 8;

/// Reads the records of an instance's ring.
pub struct Events {
    ring: RingBuf<MapData>,
    records_max: u32,
}

impl Events {
    pub(super) fn new(map: OwnedFd, bytes: u32) -> io::Result<Self> {
        let data = MapData::from_fd(map).map_err(io::Error::other)?;
        let map = aya::maps::Map::from_map_data(data).map_err(io::Error::other)?;
        let ring = RingBuf::try_from(map).map_err(io::Error::other)?;
        Ok(Self { ring, records_max: bytes / (abi::EVENT_BYTES + HEADER_BYTES) as u32 })
    }

    /// The most records that can be there at once.
    pub fn records_max(&self) -> u32 {
        self.records_max
    }

    /// The next record, if there is one now.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let item = self.ring.next()?;
            if let Some(event) = Event::from_bytes(&item) {
                return Some(event);
            }
        }
    }
}

impl AsFd for Events {
    /// Readable when there are records.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}
