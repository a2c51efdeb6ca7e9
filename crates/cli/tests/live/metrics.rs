//! The metrics of a host that enforces: real packets, one scrape, and the numbers that the commands
//! tell too.

use super::{PATIENCE, scene_with};
use portcullis_server::metrics::table::FAMILIES;
use portcullis_testkit::exposition::Exposition;
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::wait::until;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

const RULES: &str = "group a
     closed = a egress drop all to anywhere priority 100
     web = a egress accept tcp 80/80 to outside
     instance a in a
     a tcp outside:80 -> passes; a egress rule web
     a tcp outside:81 -> dropped; a egress rule closed";

fn scrape(scene: &Scene) -> Result<Exposition, String> {
    let log = scene.product.log();
    let said = log.lines().rev().find_map(|line| line.strip_prefix("metrics are at http://"));
    let address = said.and_then(|rest| rest.strip_suffix("/metrics")).ok_or("no address")?;
    let host = &scene.topology.host;
    let mut stream = host.enter(|| TcpStream::connect(address))?.map_err(|e| e.to_string())?;
    let mut answer = String::new();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let told = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
    told.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(answer);
    }
    Exposition::read(body)
}

#[test]
fn a_scrape_tells_what_real_packets_came_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_string_lossy().into_owned();
    let flags = ["--metrics", "127.0.0.1:0", "--flow-log", &path, "--pick-up-seconds", "0"];
    let Some(mut scene) = scene_with(&flags) else { return };
    scene.play(RULES).unwrap();
    let interface = scene.estate.interface("a").unwrap().id.clone();
    let group = scene.estate.group("a").unwrap().to_owned();
    let [web, closed] = ["web", "closed"].map(|rule| scene.estate.rule(rule).unwrap().id.clone());

    // What the agent pins up is up to a tick old, and packets of the connection may still come.
    let page = until("the metrics to agree with the commands", PATIENCE, || {
        let (before, page) = (Counts::read(&scene.product)?, scrape(&scene)?);
        let is_still = Counts::read(&scene.product)? == before;
        let agree = |rule: &String| {
            let labels = [("security_group", group.as_str()), ("rule", rule.as_str())];
            let scraped = page.value("portcullis_rule_packets_total", &labels).unwrap_or(0.0);
            scraped == before.of(&Counter::Hit { rule: rule.clone() }) as f64 && scraped > 0.0
        };
        let revision = page.value("portcullis_store_revision", &[])?;
        let in_force = page.value("portcullis_revision_in_force", &[]) == Ok(revision)
            && page.value("portcullis_revision_desired", &[]) == Ok(revision);
        let is_written = page.value("portcullis_flow_log_written_total", &[])? >= 2.0;
        let agree = is_still && in_force && is_written && [&web, &closed].into_iter().all(agree);
        Ok(agree.then_some((before, page)))
    });
    let (counts, page) = page.unwrap();

    let names: Vec<&str> = page.families.keys().map(String::as_str).collect();
    let mut all: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
    all.sort_unstable();
    assert_eq!(names, all, "every metric has a value here");
    let mut judged = 0;
    for (counter, count) in counts.iter() {
        let Counter::Judged { interface, direction, reason, accepted } = counter else { continue };
        let verdict = if *accepted { "accept" } else { "drop" };
        let labels = [
            ("interface", interface.as_str()),
            ("direction", direction.as_str()),
            ("verdict", verdict),
            ("reason", reason.as_str()),
        ];
        let packets = page.value("portcullis_interface_packets_total", &labels).unwrap();
        let bytes = page.value("portcullis_interface_bytes_total", &labels).unwrap();
        assert!(packets == count as f64 && bytes > packets * 14.0, "{counter:?}");
        judged += 1;
    }
    assert!(judged >= 3, "{counts}");
    let row = |rule: &str| {
        let answer = scene.product.ask(&json!({"request": "hits"})).unwrap();
        let rows = answer["hits"].as_array().unwrap();
        rows.iter().find(|row| row["rule"] == rule).cloned().unwrap()
    };
    let of_closed = [("rule", closed.as_str())];
    let bytes = page.value("portcullis_rule_bytes_total", &of_closed).unwrap();
    assert_eq!(Some(bytes as u64), row(&closed)["bytes"].as_u64());
    let hit = page.value("portcullis_rule_last_hit_timestamp_seconds", &of_closed).unwrap();
    assert!(hit > 1_700_000_000.0, "{hit}");

    let at = [("interface", interface.as_str())];
    for (name, labels, value) in [
        ("portcullis_bindings", &[][..], 1.0),
        ("portcullis_enforcing", &[], 1.0),
        ("portcullis_interfaces", &[("state", "enforced")], 1.0),
        ("portcullis_interfaces", &[("state", "failed")], 0.0),
        ("portcullis_interfaces", &[("state", "pending")], 0.0),
        ("portcullis_heals_total", &[("changed", "devices")], 0.0),
        ("portcullis_flow_events_lost_total", &at, 0.0),
        ("portcullis_flow_events_missed_total", &[], 0.0),
        ("portcullis_flow_log_unwritten_total", &[], 0.0),
    ] {
        assert_eq!(page.value(name, labels), Ok(value), "{name} {labels:?}");
    }
    for (name, labels, least) in [
        ("portcullis_flow_events_total", &[("event", "new")][..], 1.0),
        ("portcullis_flow_events_total", &[("event", "deny")], 1.0),
        ("portcullis_passes_total", &[("result", "complete")], 1.0),
        ("portcullis_flows_limit", &at, 1.0),
        ("portcullis_api_requests_total", &[("action", "CreateSecurityGroup")], 1.0),
    ] {
        let value = page.value(name, labels).unwrap();
        assert!(value >= least, "{name} {labels:?}: {value}");
    }
    let flows = |name: &str| page.value(name, &[]).unwrap();
    assert_eq!(page.value("portcullis_flows", &at), Ok(flows("portcullis_host_flows")));
    assert!(flows("portcullis_host_flows_limit") >= flows("portcullis_host_flows"));
}
