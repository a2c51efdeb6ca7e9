//! Every metric there is: its name, kind, labels and meaning. The page that is served and
//! `docs/reference/metrics.md` are both made of this table.
//!
//! It refuses to know how a value is found.

/// What a metric's numbers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They grow, until whoever counts starts anew.
    Counter,
    /// They go up and down.
    Gauge,
    /// How many were at most so large, for some sizes.
    Histogram,
}

impl Kind {
    /// Its name in the text format.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric with all its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What its numbers do.
    pub kind: Kind,
    /// What tells its series apart.
    pub labels: &'static [&'static str],
    /// What it says, without a full stop.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident $kind:ident $name:literal $labels:tt $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub const $constant: Family =
                Family { name: $name, kind: Kind::$kind, labels: &$labels, help: $help };
        )*

        /// All of them, in the order in which they are served.
        pub const FAMILIES: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD_INFO Gauge "portcullis_build_info" ["version"]
        "The program; always 1";
    STORE_REVISION Gauge "portcullis_store_revision" []
        "The newest durable revision, that answers come from";
    API_REQUESTS Counter "portcullis_api_requests_total" ["action", "code"]
        "API calls answered since the start, by action and error code (OK: carried out)";
    BINDINGS Gauge "portcullis_bindings" []
        "Network interfaces that are bound to a device of this host";
    ENFORCING Gauge "portcullis_enforcing" []
        "1: an agent enforces on this host; 0: the server runs without one";
    INTERFACES Gauge "portcullis_interfaces" ["state"]
        "Bound interfaces by how they stand: enforced, failed (old policy or closed), pending";
    REVISION_DESIRED Gauge "portcullis_revision_desired" []
        "The revision that the agent was told to enforce last";
    REVISION_IN_FORCE Gauge "portcullis_revision_in_force" []
        "The revision that the agent has read back from the kernel, apart from failed interfaces";
    PASSES Counter "portcullis_passes_total" ["result"]
        "Passes of the agent since the start: complete, or incomplete where an interface failed";
    PASS_SECONDS Histogram "portcullis_pass_duration_seconds" []
        "How long the agent's passes took";
    HEALS Counter "portcullis_heals_total" ["changed"]
        "How often what others changed in the kernel was put right since the start, by what it was";
    RULE_PACKETS Counter "portcullis_rule_packets_total" ["security_group", "rule"]
        "Packets that a rule decided on at all interfaces of this host, replies included";
    RULE_BYTES Counter "portcullis_rule_bytes_total" ["security_group", "rule"]
        "Bytes of these packets";
    RULE_LAST_HIT Gauge "portcullis_rule_last_hit_timestamp_seconds" ["security_group", "rule"]
        "When the last of these packets came, in Unix time; absent if none did";
    INTERFACE_PACKETS Counter "portcullis_interface_packets_total"
        ["interface", "direction", "verdict", "reason"]
        "Packets judged at an interface: accept or drop, and the step of the verdict that decided";
    INTERFACE_BYTES Counter "portcullis_interface_bytes_total"
        ["interface", "direction", "verdict", "reason"]
        "Bytes of these packets";
    FLOWS Gauge "portcullis_flows" ["interface"]
        "Entries of an interface in the flow table, those that idled out a moment ago included";
    FLOWS_LIMIT Gauge "portcullis_flows_limit" ["interface"]
        "Entries that the interface may have";
    HOST_FLOWS Gauge "portcullis_host_flows" []
        "Entries of all interfaces in the flow table of this host";
    HOST_FLOWS_LIMIT Gauge "portcullis_host_flows_limit" []
        "Entries that the flow table of this host has room for";
    EVENTS Counter "portcullis_flow_events_total" ["event"]
        "Flow events read from the kernel since the start";
    EVENTS_LOST Counter "portcullis_flow_events_lost_total" ["interface"]
        "Flow events that the kernel left out, for the interface's rate or for want of room";
    EVENTS_MISSED Counter "portcullis_flow_events_missed_total" []
        "Flow events that the flow log or a follower was too slow for, each counted once";
    LOG_WRITTEN Counter "portcullis_flow_log_written_total" []
        "Lines written to the flow log since the start";
    LOG_UNWRITTEN Counter "portcullis_flow_log_unwritten_total" []
        "Flow events that the flow log's disk did not take";
}
