//! `portcullis flows`: the flows that are running on this host, or events as they happen.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use portcullis_server::control::message::{Answer, FlowRow, Request};
use portcullis_wire::flow_event::FlowEvent;

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists the flows that are running on this host, or tells events as they happen.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    listing: Listing,
    /// Tell events as they happen, until interrupted
    #[arg(long)]
    follow: bool,
    /// Of this network interface only
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    interface: String,
    /// Tell only what is dropped
    #[arg(long, requires = "follow")]
    deny: bool,
}

/// Lists or tells them.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { listing, interface, .. } = arguments;
    if arguments.follow {
        let request = Request::Follow { interface: interface.clone(), deny: arguments.deny };
        let is_json = listing.print.json;
        return listing.place.follow(request, |event| {
            let line = if is_json { serde_json::to_string(&event)? } else { sentence(&event) };
            let mut output = io::stdout().lock();
            writeln!(output, "{line}").and_then(|()| output.flush())
        });
    }
    let mut left_out = 0;
    let rows = |answer| match answer {
        Answer::Flows(list) => {
            left_out = list.left_out;
            Some(list.flows)
        }
        _ => None,
    };
    let heading = [
        ("INTERFACE", Side::Left),
        ("DIRECTION", Side::Left),
        ("PROTOCOL", Side::Right),
        ("LOCAL", Side::Left),
        ("REMOTE", Side::Left),
        ("STATE", Side::Left),
        ("RULE", Side::Left),
        ("PACKETS", Side::Right),
        ("BYTES", Side::Right),
        ("AGE", Side::Right),
    ];
    let cells = |row: FlowRow| {
        let [packets, bytes] = [row.packets, row.bytes].map(|count| count.to_string());
        let (protocol, age) = (row.protocol.to_string(), format!("{} s", row.age_ms / 1000));
        let FlowRow { interface, direction, local, remote, state, rule, .. } = row;
        [interface, direction, protocol, local, remote, state, rule, packets, bytes, age]
    };
    let request = Request::Flows { interface: interface.clone() };
    listing.run(request, rows, heading, cells)?;
    if left_out > 0 {
        eprintln!("{left_out} older flows are left out; name an --interface");
    }
    Ok(())
}

/// An event for people.
fn sentence(event: &FlowEvent) -> String {
    let mut words = vec![event.time.clone(), event.event.name().to_owned()];
    words.extend([&event.interface, &event.direction].into_iter().flatten().cloned());
    words.extend(event.protocol.map(|number| format!("protocol {number}")));
    let side = |address: Option<IpAddr>, port: Option<u16>| match (address, port) {
        (Some(address), Some(port)) => Some(SocketAddr::new(address, port).to_string()),
        (address, _) => address.map(|address| address.to_string()),
    };
    words.extend(side(event.local_address, event.local_port));
    words.extend(side(event.remote_address, event.remote_port));
    words.extend([&event.reason, &event.rule, &event.cause].into_iter().flatten().cloned());
    if event.cause.is_some() {
        let both = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0) + b.unwrap_or(0);
        let packets = both(event.egress_packets, event.ingress_packets);
        let bytes = both(event.egress_bytes, event.ingress_bytes);
        words.push(format!("{packets} packets, {bytes} bytes"));
    }
    words.extend(event.lost.map(|count| format!("{count} events are missing")));
    words.join(" ")
}
