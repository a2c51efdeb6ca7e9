//! Where events go: to listeners that take them at once, or miss them.
//!
//! Nobody is waited for. What a listener had no room for is counted, and told to it before the next
//! event that it takes. Knows nothing of files or sockets.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_wire::flow_event::FlowEvent;

use crate::event::lost;

/// Most followers at once.
pub const FOLLOWERS_MAX: usize = 16;

/// What became of an event at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It has it.
    Yes,
    /// It had no room.
    Full,
    /// It listens no longer.
    Gone,
}

/// Takes events without delay.
pub trait Listener: Send {
    /// Whether it wants to hear of this event.
    fn wants(&self, event: &FlowEvent) -> bool;
    /// Takes one, if there is room.
    fn hear(&mut self, event: &Arc<FlowEvent>) -> Heard;
    /// Whether it listens no longer.
    fn is_gone(&self) -> bool;
}

/// There are [`FOLLOWERS_MAX`] followers already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{FOLLOWERS_MAX} are following already, as many as may")]
pub struct TooMany;

struct Seat {
    listener: Box<dyn Listener>,
    is_follower: bool,
    lost: u64,
}

impl Seat {
    /// Tells what the listener has missed, if it has.
    fn tell_lost(&mut self, time: &str) -> Heard {
        if self.lost == 0 {
            return Heard::Yes;
        }
        let heard = self.listener.hear(&Arc::new(lost(time.to_owned(), None, self.lost)));
        if heard == Heard::Yes {
            self.lost = 0;
        }
        heard
    }
}

/// All listeners.
#[derive(Default)]
pub struct Hub {
    seats: Mutex<Vec<Seat>>,
    missed: AtomicU64,
}

impl Hub {
    /// Adds a listener that has its place whoever follows.
    pub fn keep(&self, listener: Box<dyn Listener>) {
        self.seats().push(Seat { listener, is_follower: false, lost: 0 });
    }

    /// Adds a follower.
    pub fn follow(&self, listener: Box<dyn Listener>) -> Result<(), TooMany> {
        let mut seats = self.seats();
        seats.retain(|seat| !seat.listener.is_gone());
        if seats.iter().filter(|seat| seat.is_follower).count() >= FOLLOWERS_MAX {
            return Err(TooMany);
        }
        seats.push(Seat { listener, is_follower: true, lost: 0 });
        Ok(())
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.seats().is_empty()
    }

    /// Tells everyone who wants to know.
    pub fn tell(&self, event: FlowEvent) {
        let event = Arc::new(event);
        self.seats().retain_mut(|seat| {
            if !seat.listener.wants(&event) {
                return !seat.listener.is_gone();
            }
            let heard = match seat.tell_lost(&event.time) {
                Heard::Yes => seat.listener.hear(&event),
                other => other,
            };
            if heard == Heard::Full {
                seat.lost += event.lost.unwrap_or(1);
                self.missed.fetch_add(1, Ordering::Relaxed);
            }
            heard != Heard::Gone
        });
    }

    /// Tells those who have missed something so, without waiting for another event.
    pub fn tell_missed(&self, time: &str) {
        self.seats().retain_mut(|seat| seat.tell_lost(time) != Heard::Gone);
    }

    /// Lets everybody go.
    pub fn close(&self) {
        self.seats().clear();
    }

    /// How many events listeners have missed, all of them together.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_wire::flow_event::EventName;
    use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

    struct Ear(SyncSender<Arc<FlowEvent>>, Arc<AtomicU64>);

    impl Listener for Ear {
        fn wants(&self, event: &FlowEvent) -> bool {
            event.event != EventName::End
        }

        fn hear(&mut self, event: &Arc<FlowEvent>) -> Heard {
            match self.0.try_send(event.clone()) {
                Ok(()) => Heard::Yes,
                Err(TrySendError::Full(_)) => Heard::Full,
                Err(TrySendError::Disconnected(_)) => Heard::Gone,
            }
        }

        fn is_gone(&self) -> bool {
            self.1.load(Ordering::Relaxed) == 1
        }
    }

    fn ear(hub: &Hub, room: usize) -> (Receiver<Arc<FlowEvent>>, Arc<AtomicU64>) {
        let (told, heard) = sync_channel(room);
        let gone = Arc::new(AtomicU64::new(0));
        hub.follow(Box::new(Ear(told, gone.clone()))).unwrap();
        (heard, gone)
    }

    fn event(time: &str) -> FlowEvent {
        FlowEvent::new(time.to_owned(), EventName::New)
    }

    #[test]
    fn who_is_slow_misses_events_and_is_told_so() {
        let hub = Hub::default();
        let ((slow, _), (quick, _)) = (ear(&hub, 2), ear(&hub, 9));
        for time in ["1", "2", "3", "4"] {
            hub.tell(event(time));
        }
        assert_eq!((hub.missed(), quick.try_iter().count()), (2, 4));
        assert_eq!(slow.try_iter().map(|e| e.time.clone()).collect::<Vec<_>>(), ["1", "2"]);
        hub.tell(event("5"));
        let heard: Vec<_> = slow.try_iter().map(|e| (e.event, e.lost)).collect();
        assert_eq!(heard, [(EventName::Lost, Some(2)), (EventName::New, None)]);
        // What is not wanted is not missed, and what is missing of others stays missing.
        let told = FlowEvent { lost: Some(7), ..FlowEvent::new("6".into(), EventName::Lost) };
        [event("6"), event("6"), FlowEvent::new("6".into(), EventName::End), told.clone(), told]
            .into_iter()
            .for_each(|event| hub.tell(event));
        hub.tell_missed("7");
        assert_eq!(slow.try_iter().count(), 2);
        hub.tell_missed("8");
        hub.tell_missed("9");
        assert_eq!(slow.try_iter().map(|e| e.lost).collect::<Vec<_>>(), [Some(14)]);
        drop((slow, quick));
        hub.tell(event("6"));
        assert!(hub.is_empty());
    }

    #[test]
    fn seats_are_bounded_and_given_again() {
        let hub = Hub::default();
        hub.keep(Box::new(Ear(sync_channel(1).0, Arc::default())));
        let mut ears: Vec<_> = (0..FOLLOWERS_MAX).map(|_| ear(&hub, 1)).collect();
        let (told, _heard) = sync_channel(1);
        let one_more = || Box::new(Ear(told.clone(), Arc::default()));
        assert_eq!(
            hub.follow(one_more()).unwrap_err().to_string(),
            "16 are following already, as many as may"
        );
        ears.pop().unwrap().1.store(1, Ordering::Relaxed);
        hub.follow(one_more()).unwrap();
    }
}
