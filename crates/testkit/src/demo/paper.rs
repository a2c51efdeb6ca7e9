//! The stage where nothing can be enforced: the same calls, and the verdicts of compiled tables.
//!
//! The server runs without its agent; `portcullis evaluate` judges each flow by the world that the
//! API's own answers describe.

use super::stage::{self, Change, Row, Seen, Stage};
use crate::client::Way;
use crate::lab::estate::Estate;
use crate::lab::language::{FlowKind, FlowLine, Judgement, Step};
use crate::lab::product::Product;
use serde_json::{Value, json};
use std::path::Path;

/// The first instance's number in its subnet.
const FIRST_NUMBER: u8 = 10;
/// A port that programs choose for themselves.
const SOURCE_PORT: u16 = 40_000;

pub(super) struct Paper {
    product: Product,
    estate: Estate,
}

impl Paper {
    pub(super) fn new(program: &Path) -> Result<Self, String> {
        let product = Product::start(program, None, &["--no-agent"])?;
        let estate = Estate::new(product.client(Way::Route)?)?;
        Ok(Self { product, estate })
    }

    /// What the compiled tables say of a flow: at its sender, and if it gets that far, at its
    /// receiver.
    fn judge(&self, line: &FlowLine) -> Result<Seen, String> {
        let mut flows = String::new();
        let mut places = Vec::new();
        for (name, direction) in [(&line.from, "egress"), (&line.to, "ingress")] {
            let name = name.trim_end_matches('6');
            let Ok(interface) = self.estate.interface(name) else { continue };
            flows += &format!("{}\n", self.flow_json(line, &interface.id, direction)?);
            places.push((name.to_owned(), direction.to_owned()));
        }
        let verdicts = self.evaluate(&flows)?;
        let mut seen = Seen { passes: true, judgements: Vec::new() };
        for ((instance, direction), verdict) in places.into_iter().zip(verdicts.lines()) {
            let verdict: Value = serde_json::from_str(verdict).map_err(|e| e.to_string())?;
            let text = |name: &str| verdict.get(name).and_then(Value::as_str).unwrap_or_default();
            let rule = Some(text("SecurityGroupRuleId").to_owned()).filter(|id| !id.is_empty());
            let reason = text("Reason").to_owned();
            seen.judgements.push(Judgement { instance, direction, reason, rule });
            seen.passes = text("Verdict") == "Accept";
            if !seen.passes {
                break;
            }
        }
        Ok(seen)
    }

    fn flow_json(
        &self,
        line: &FlowLine,
        interface: &str,
        direction: &str,
    ) -> Result<Value, String> {
        let destination = self.estate.address(&line.to)?;
        let protocol = match line.kind {
            FlowKind::Tcp => 6,
            FlowKind::Udp => 17,
            FlowKind::Ping if destination.is_ipv4() => 1,
            FlowKind::Ping => 58,
        };
        // The sender's address in the family that it writes to.
        let source = match (&line.from, destination.is_ipv4()) {
            (name, true) => self.estate.address(name)?,
            (name, false) => self.estate.address(&format!("{}6", name.trim_end_matches('6')))?,
        };
        let mut flow = json!({
            "NetworkInterfaceId": interface,
            "Direction": direction,
            "Protocol": protocol,
            "SourceIp": source,
            "DestIp": destination,
        });
        if line.kind != FlowKind::Ping
            && let Some(object) = flow.as_object_mut()
        {
            object.insert("SourcePort".to_owned(), SOURCE_PORT.into());
            object.insert("DestPort".to_owned(), line.port.into());
        }
        Ok(flow)
    }

    fn evaluate(&self, flows: &str) -> Result<String, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (world_path, flows_path) =
            (directory.path().join("world.json"), directory.path().join("flows.jsonl"));
        let written = std::fs::write(&world_path, self.estate.world()?.to_string())
            .and_then(|()| std::fs::write(&flows_path, flows));
        written.map_err(|error| error.to_string())?;
        let (world, flows) = (world_path.to_string_lossy(), flows_path.to_string_lossy());
        self.product.run(&["evaluate", "--world", &world, "--flows", &flows])
    }
}

impl Stage for Paper {
    fn estate(&self) -> &Estate {
        &self.estate
    }

    fn product(&self) -> &Product {
        &self.product
    }

    fn change(&mut self, line: &str, _watch: Option<&str>) -> Result<Option<Change>, String> {
        let step = stage::step(line)?;
        let described = stage::describe(&self.estate, &step)?;
        let call = match &step {
            Step::Group { name, enterprise } => {
                self.estate.create_group(name, *enterprise)?;
                None
            }
            Step::Instance { name, groups } => {
                let taken = u8::try_from(self.estate.interfaces().len()).unwrap_or(u8::MAX);
                let number = FIRST_NUMBER.saturating_add(taken);
                self.estate.create_interface(name, number, [2, 0, 0, 0, 0x77, number], groups)?;
                None
            }
            Step::Authorize(rule) => Some(self.estate.authorize(rule)?),
            Step::Revoke(name) => Some(self.estate.revoke(name)?),
            _ => return Err(format!("`{line}` cannot be done on paper")),
        };
        Ok(stage::change_made(&self.estate, &step, described, call, None))
    }

    fn flow(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        let seen = self.judge(&line)?;
        stage::row(&self.estate, &line, &seen)
    }

    fn open_stream(&mut self, line: &str) -> Result<Row, String> {
        self.flow(line)
    }

    /// On paper every flow is a new one: what stops a stream is what a new flow meets.
    fn stream_stops(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        let seen = self.judge(&line)?;
        let as_expected = FlowLine { passes: false, ..line };
        new_flow_row(&self.estate, &as_expected, &seen)
    }

    fn stream_goes_on(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        let seen = self.judge(&line)?;
        new_flow_row(&self.estate, &line, &seen)
    }
}

/// A row where only the fate was foretold.
fn new_flow_row(estate: &Estate, line: &FlowLine, seen: &Seen) -> Result<Row, String> {
    let judgements = Vec::new();
    let fate = Seen { passes: seen.passes, judgements: Vec::new() };
    let row = stage::row(estate, &FlowLine { judgements, ..line.clone() }, &fate)?;
    Ok(Row { said: seen.judgements.iter().map(stage::said).collect(), ..row })
}
