//! What a host has to say about itself, as plain numbers under names.
//!
//! Whoever assembles the program fills it in; the server only serves it.

/// A host at one moment. What is counted may be a moment apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Telemetry {
    /// The revision that was to be enforced last; 0 before there was one.
    pub revision_desired: u64,
    /// Every rule that a bound interface has.
    pub rules: Vec<RuleSeries>,
    /// Every interface that has its place on the host.
    pub interfaces: Vec<InterfaceSeries>,
    /// Entries that the flow table has room for.
    pub flows_limit: u64,
    /// Events read from the kernel, by name.
    pub events: Vec<(&'static str, u64)>,
    /// Events that listeners were too slow for.
    pub events_missed: u64,
    /// Lines written to the flow log.
    pub log_written: u64,
    /// Events that its disk did not take.
    pub log_unwritten: u64,
    /// How often others' changes were put right, by what they were.
    pub heals: Vec<(&'static str, u64)>,
    /// The agent's passes.
    pub passes: PassSeries,
}

/// What a rule has decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSeries {
    /// The id of its group.
    pub group: String,
    /// Its id.
    pub rule: String,
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one came, in milliseconds of Unix time; 0: never.
    pub last_hit_unix_ms: u64,
}

/// What happened at an interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterfaceSeries {
    /// Its id.
    pub interface: String,
    /// Its packets.
    pub judged: Vec<JudgedSeries>,
    /// Entries in the flow table.
    pub flows: u64,
    /// Entries that it may have, where that is known.
    pub flows_limit: Option<u64>,
    /// Events that the kernel left out.
    pub events_lost: u64,
}

/// Packets that were judged alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JudgedSeries {
    /// `egress` or `ingress`.
    pub direction: &'static str,
    /// `accept` or `drop`.
    pub verdict: &'static str,
    /// The step that decided.
    pub reason: &'static str,
    /// How many.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Passes and how long they took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PassSeries {
    /// Those after which every interface had what it should.
    pub complete: u64,
    /// The others.
    pub incomplete: u64,
    /// Bounds in seconds, with how many took at most so long.
    pub at_most: Vec<(f64, u64)>,
    /// How long all of them took together, in seconds.
    pub seconds: f64,
}
