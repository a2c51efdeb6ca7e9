//! The ground that live tests stand on: without any filter, everything gets through.

use portcullis_testkit::capability::need;
use portcullis_testkit::lab::probe::{Attempt, Kind, pass_bytes};
use portcullis_testkit::lab::pulse::{Pulse, Stream};
use portcullis_testkit::lab::topology::{
    FAR, FAR_V6, NARROW_MTU, OUTSIDE, OUTSIDE_OTHER, OUTSIDE_V6, Subnet, Topology,
};
use portcullis_testkit::netns::available;
use portcullis_testkit::wait::until;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn subnet() -> Subnet {
    Subnet { ipv4: [10, 77, 1, 0].into(), ipv6: [0x2001, 0xdb8, 0x77, 1, 0, 0, 0, 0].into() }
}

#[test]
fn without_a_filter_everything_gets_through() {
    if !need("live", available) {
        return;
    }
    let topology = Topology::new(subnet()).unwrap();
    let a = topology.instance("a", subnet(), 10).unwrap();
    let b = topology.instance("b", subnet(), 11).unwrap();
    let targets: [(IpAddr, _); 7] = [
        (OUTSIDE.into(), &topology.outside),
        (OUTSIDE_OTHER.into(), &topology.outside),
        (OUTSIDE_V6.into(), &topology.outside),
        (FAR.into(), &topology.far),
        (FAR_V6.into(), &topology.far),
        (b.ipv4.into(), &b.namespace),
        (b.ipv6.into(), &b.namespace),
    ];
    for (address, namespace) in targets {
        for kind in [Kind::Tcp, Kind::Udp, Kind::Ping] {
            let there = Attempt {
                kind,
                source: SocketAddr::new(a.address_like(address), 0),
                destination: SocketAddr::new(address, 8000),
            };
            let mut flight = there.launch(&a.namespace, namespace).unwrap();
            until(&format!("{there:?}"), PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
            let back = Attempt {
                kind,
                source: SocketAddr::new(address, 4000),
                destination: SocketAddr::new(a.address_like(address), 8001),
            };
            let mut flight = back.launch(namespace, &a.namespace).unwrap();
            until(&format!("{back:?}"), PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
        }
    }
}

#[test]
fn the_narrow_hop_is_found_by_its_errors() {
    if !need("live", available) {
        return;
    }
    let topology = Topology::new(subnet()).unwrap();
    let a = topology.instance("a", subnet(), 10).unwrap();
    for far in [IpAddr::from(FAR), IpAddr::from(FAR_V6)] {
        let attempt = Attempt {
            kind: Kind::Tcp,
            source: SocketAddr::new(a.address_like(far), 0),
            destination: SocketAddr::new(far, 8000),
        };
        let mut flight = attempt.launch(&a.namespace, &topology.far).unwrap();
        until("the handshake", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
        let (mut near_end, mut far_end) = flight.into_streams().unwrap();
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(200_000).collect();
        pass_bytes(&mut near_end, &mut far_end, &bytes, PATIENCE).unwrap();
        let learned = a.namespace.enter(|| {
            let mut command = std::process::Command::new("ip");
            command.args(["route", "get", &far.to_string()]).output().unwrap()
        });
        let learned = String::from_utf8(learned.unwrap().stdout).unwrap();
        assert!(learned.contains(&format!("mtu {NARROW_MTU}")), "{learned}");
    }
}

#[test]
fn steady_traffic_tells_what_it_lost() {
    if !need("live", available) {
        return;
    }
    let topology = Topology::new(subnet()).unwrap();
    let a = topology.instance("a", subnet(), 10).unwrap();
    let from = (&a.namespace, SocketAddr::new(a.ipv4.into(), 4000));
    let to = (&topology.outside, SocketAddr::new(OUTSIDE.into(), 5000));
    let pulse = Pulse::start(from, to, Duration::from_millis(1)).unwrap();
    pulse.await_received(20, PATIENCE).unwrap();
    // A route to nowhere loses at once and silently; a link that goes down may keep packets until
    // the neighbour answers again.
    topology.host.ip(&format!("route add blackhole {OUTSIDE}/32")).unwrap();
    pulse.await_sent(30, PATIENCE).unwrap();
    topology.host.ip(&format!("route del blackhole {OUTSIDE}/32")).unwrap();
    pulse.await_received(20, PATIENCE).unwrap();
    let beats = pulse.stop().unwrap();
    let lost = beats.iter().filter(|beat| beat.received.is_none()).count();
    assert!(lost >= 20 && lost <= beats.len() - 40, "{lost} of {}", beats.len());

    let attempt = Attempt { kind: Kind::Tcp, source: from.1, destination: to.1 };
    let mut flight = attempt.launch(&a.namespace, &topology.outside).unwrap();
    until("the handshake", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
    let (near_end, far_end) = flight.into_streams().unwrap();
    let stream = Stream::start(near_end, far_end).unwrap();
    stream.await_received(50, PATIENCE).unwrap();
}
