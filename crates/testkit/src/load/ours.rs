//! The load on `portcullis serve`: signed calls over HTTP, each with a nonce of its own, signed
//! before the clock starts. What is measured is elsewhere.

use super::{DESCRIBED_RULES, PORTS, Took, Work, send};
use crate::client::{Client, Way};
use crate::lab::product::Product;
use serde_json::json;
use std::path::Path;

/// Many, so that no group reaches its thousand rules.
const GROUPS: usize = 100;
/// Rules that one call may add.
const RULES_PER_CALL: usize = 100;

/// A server of ours with a fresh store.
#[derive(Debug)]
pub struct Ours {
    product: Product,
    groups: Vec<String>,
}

impl Ours {
    /// Starts it with what the work needs. The store is a real directory, for which `TMPDIR` names
    /// the place.
    ///
    /// # Errors
    /// When it does not start, or refuses.
    pub fn start(program: &Path, work: Work) -> Result<Ours, String> {
        let product = Product::start(program, None, &["--no-agent"])?;
        let client = product.client(Way::Form)?;
        let vpc = client.call("CreateVpc", &[("CidrBlock", "10.0.0.0/8")])?.text("/VpcId")?;
        let count = if work == Work::Authorize { GROUPS } else { 1 };
        let groups: Result<Vec<String>, String> = (0..count)
            .map(|_| {
                client.call("CreateSecurityGroup", &[("VpcId", &vpc)])?.text("/SecurityGroupId")
            })
            .collect();
        let ours = Ours { product, groups: groups? };
        if work == Work::Describe {
            ours.fill(&client)?;
        }
        Ok(ours)
    }

    /// Gives the only group its rules.
    fn fill(&self, client: &Client) -> Result<(), String> {
        let rules: Vec<_> = (0..DESCRIBED_RULES).map(rule).collect();
        for rules in rules.chunks(RULES_PER_CALL) {
            let rules: Vec<_> = rules
                .iter()
                .map(|rule| {
                    rule.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
                })
                .map(serde_json::Value::Object)
                .collect();
            let group = self.groups.first().ok_or("no group")?;
            let rules = json!(rules).to_string();
            let parameters = [("SecurityGroupId", group.as_str()), ("Permissions", &rules)];
            client.call("AuthorizeSecurityGroupEgress", &parameters)?;
        }
        Ok(())
    }

    /// Sends the load, and looks whether all of it has happened.
    ///
    /// # Errors
    /// When an answer is not 200, or a rule is not there.
    pub fn load(&self, work: Work, connections: usize, requests: usize) -> Result<Took, String> {
        let client = self.product.client(Way::Form)?;
        let prepared: Vec<Vec<u8>> = (0..requests)
            .map(|number| {
                let group = self.groups.get(number % self.groups.len()).map_or("", String::as_str);
                match work {
                    Work::Authorize => {
                        let rule = rule(number);
                        let mut parameters = vec![("SecurityGroupId", group)];
                        parameters.extend(rule.iter().map(|(name, text)| (*name, text.as_str())));
                        client.kept_alive("AuthorizeSecurityGroupEgress", &parameters)
                    }
                    Work::Describe => client.kept_alive(
                        "DescribeSecurityGroupAttribute",
                        &[("SecurityGroupId", group)],
                    ),
                }
            })
            .collect();
        let process = self.product.process().ok_or("it is not running")?;
        let took = send((client.address, process), &prepared, connections)?;
        let expected = if work == Work::Authorize { requests } else { DESCRIBED_RULES };
        let found = self.count_rules(&client)?;
        if found == expected {
            Ok(took)
        } else {
            Err(format!("{expected} rules should be there, {found} are"))
        }
    }

    fn count_rules(&self, client: &Client) -> Result<usize, String> {
        let counted = self.groups.iter().map(|group| {
            let parameters = [("SecurityGroupId", group.as_str())];
            let answer = client.call("DescribeSecurityGroupAttribute", &parameters)?;
            answer.list("/Permissions/Permission").map(<[_]>::len)
        });
        counted.sum()
    }
}

/// The parameters of one rule, unlike any other's, for the same traffic as moto's.
fn rule(number: usize) -> [(&'static str, String); 5] {
    let [_, a, b, c] = (number as u32).to_be_bytes();
    let port = 1 + number % (PORTS - 1);
    [
        ("IpProtocol", "tcp".to_owned()),
        ("PortRange", format!("{port}/{port}")),
        ("DestCidrIp", format!("10.{a}.{b}.{c}")),
        ("Priority", "1".to_owned()),
        ("Policy", "accept".to_owned()),
    ]
}
