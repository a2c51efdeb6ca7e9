//! The language of the cases: text to a [`Script`]. It knows frames and the names of steps, and
//! runs nothing.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use portcullis_core::net::Cidr;
use portcullis_core::rule::Direction;

use super::draft::{ArpDraft, Body, Carried, Content, Draft, Header, Internet};
use super::print::FLAGS;
use crate::packet::Mac;

/// A file of cases.
#[derive(Debug, Default)]
pub struct Script {
    /// The words after `interface`.
    pub interface: Vec<String>,
    /// Sets of rules by name, in order: the words of each rule.
    pub rules: Vec<(String, Vec<Vec<String>>)>,
    /// The cases.
    pub cases: Vec<Case>,
    names: BTreeMap<String, String>,
}

/// One sequence from an empty state.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Its steps with their line numbers.
    pub steps: Vec<(usize, Step)>,
}

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// A frame, and the expected answer: accepted, reason, and the rule if it matters which.
    Frame(Direction, Vec<u8>, bool, String, Option<String>),
    /// Time goes by.
    Wait(Duration),
    /// Another set of rules comes into force; `closed`: none.
    Policy(String),
    /// The interface has these addresses instead.
    Addresses(Vec<Cidr>),
    /// Addresses of packets are held against the interface's own, or not.
    Check(bool),
    /// An address becomes a member of these groups alone.
    Join(Cidr, String),
    /// An address is in no group any more.
    Leave(Cidr),
    /// Running flows are picked up for so long.
    PickUp(Duration),
    /// So many flows are removed as expired.
    Sweep(u32),
    /// So many flow entries there are.
    Flows(u64),
    /// Any link-local address is the interface's own.
    AnyLinkLocal,
    /// DHCPv4 clients may speak to this server.
    DhcpServer(Ipv4Addr),
}

fn error<T>(text: impl Into<String>) -> Result<T, String> {
    Err(text.into())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not such a number"))
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16))
        .collect::<Result<_, _>>()
        .map_err(|_| format!("`{text}` is not hexadecimal"))
}

fn duration(text: &str) -> Result<Duration, String> {
    match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(ms), _) => Ok(Duration::from_millis(number(ms)?)),
        (None, Some(s)) => Ok(Duration::from_secs(number(s)?)),
        _ => error(format!("`{text}` is not a time like 30s")),
    }
}

fn mac(text: &str) -> Result<Mac, String> {
    let mac: portcullis_core::net::Mac = text.parse().map_err(|_| format!("no MAC: `{text}`"))?;
    Ok(mac.0)
}

impl Script {
    /// Reads a file; an error begins with the line's number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim_end();
            if !line.is_empty() {
                script.line(index + 1, line).map_err(|e| format!("{}: {e}", index + 1))?;
            }
        }
        Ok(script)
    }

    fn line(&mut self, at: usize, line: &str) -> Result<(), String> {
        if let Some(name) = line.strip_prefix("case ") {
            self.cases.push(Case { name: name.to_string(), steps: Vec::new() });
            return Ok(());
        }
        let words: Vec<String> = line.split_whitespace().map(|word| self.word(word)).collect();
        let indented = line.starts_with(' ');
        match (words[0].as_str(), indented, self.cases.last().is_some()) {
            ("let", false, _) => {
                self.names.insert(words[1].clone(), words[2].clone());
            }
            ("interface", false, _) => self.interface = words[1..].to_vec(),
            ("rules", false, _) => self.rules.push((words[1].clone(), Vec::new())),
            (_, true, false) => match self.rules.last_mut() {
                Some((_, rules)) => rules.push(words),
                None => return error("a rule outside a set"),
            },
            (_, true, true) => {
                let step = self.step(&words)?;
                if let Some(case) = self.cases.last_mut() {
                    case.steps.push((at, step));
                }
            }
            (other, ..) => return error(format!("`{other}` is no statement")),
        }
        Ok(())
    }

    /// A word with the names in it replaced: whole, before `@`, or after `=`.
    fn word(&self, word: &str) -> String {
        let (head, rest) = match word.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                return format!("{key}={}", self.word(value));
            }
            _ => match word.split_once('@') {
                Some((head, port)) => (head, format!("@{port}")),
                None => (word, String::new()),
            },
        };
        format!("{}{rest}", self.names.get(head).map_or(head, String::as_str))
    }

    fn step(&self, words: &[String]) -> Result<Step, String> {
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        let cidr = |text: &str| text.parse::<Cidr>().map_err(|e| e.to_string());
        Ok(match word(0) {
            "out" | "in" => {
                let equals = words.iter().position(|w| w == "=");
                let equals = equals.ok_or("a frame without `= accept|drop REASON`")?;
                let direction =
                    if word(0) == "out" { Direction::Egress } else { Direction::Ingress };
                let own = mac(&self.interface[0])?;
                let frame = Words(&words[1..equals]).draft()?.frame(direction, own);
                let accepted = match word(equals + 1) {
                    "accept" => true,
                    "drop" => false,
                    other => return error(format!("`{other}` is neither accept nor drop")),
                };
                let by = match word(equals + 3) {
                    "" => None,
                    "by" => Some(word(equals + 4).to_string()),
                    other => return error(format!("`{other}` after an answer")),
                };
                Step::Frame(direction, frame, accepted, word(equals + 2).to_string(), by)
            }
            "wait" => Step::Wait(duration(word(1))?),
            "policy" => Step::Policy(word(1).to_string()),
            "addresses" => {
                Step::Addresses(words[1..].iter().map(|text| cidr(text)).collect::<Result<_, _>>()?)
            }
            "check" => match word(1) {
                "on" => Step::Check(true),
                "off" => Step::Check(false),
                other => return error(format!("`{other}` is neither on nor off")),
            },
            "join" => Step::Join(cidr(word(1))?, word(2).to_string()),
            "leave" => Step::Leave(cidr(word(1))?),
            "pick-up" => Step::PickUp(duration(word(1))?),
            "sweep" => Step::Sweep(number(word(1))?),
            "flows" => Step::Flows(number(word(1))?),
            "any-link-local" => Step::AnyLinkLocal,
            "dhcp-server" => Step::DhcpServer(number(word(1))?),
            other => return error(format!("`{other}` is no step")),
        })
    }
}

/// The words that describe one frame or one packet.
struct Words<'a>(&'a [String]);

/// An address with the port behind `@`.
fn end(text: &str) -> Result<(IpAddr, u16), String> {
    let (address, port) = text.split_once('@').unwrap_or((text, "0"));
    Ok((address.parse().map_err(|_| format!("no address: `{address}`"))?, number(port)?))
}

impl Words<'_> {
    /// Those ahead of a quoted packet.
    fn own(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).take_while(|word| *word != "quoting")
    }

    /// The value of `key=value`.
    fn option(&self, key: &str) -> Option<&str> {
        self.own().filter_map(|word| word.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, String> {
        self.option(key).map(number).transpose()
    }

    fn flag(&self, key: &str) -> bool {
        self.own().any(|word| word == key)
    }

    /// Words that are no options, by place.
    fn plain(&self, at: usize) -> Option<&str> {
        self.own().filter(|word| !word.contains('=')).nth(at)
    }

    fn draft(&self) -> Result<Draft, String> {
        let mut draft = Draft::carrying(match self.plain(0).ok_or("no packet")? {
            "frame" => {
                let kind = self.plain(1).and_then(|text| u16::from_str_radix(text, 16).ok());
                Body::Frame(kind.ok_or("no ethertype")?, hex(self.plain(2).unwrap_or(""))?)
            }
            "arp" => Body::Arp(self.arp()?),
            _ => Body::Internet(self.internet()?),
        });
        draft.mac = self.option("mac").map(mac).transpose()?;
        draft.vlan = self.number("vlan")?;
        draft.cut = self.number("cut")?;
        draft.pad = self.number("pad")?;
        // `poke=OFFSET:HEX` writes over bytes, counted from the start of the IP header.
        for word in self.0.iter().filter_map(|word| word.strip_prefix("poke=")) {
            let (offset, bytes) = word.split_once(':').ok_or("poke=OFFSET:HEX")?;
            draft.pokes.push((number(offset)?, hex(bytes)?));
        }
        Ok(draft)
    }

    fn arp(&self) -> Result<ArpDraft, String> {
        let address = |at| {
            let text = self.plain(at).unwrap_or("");
            text.parse().map_err(|_| format!("no IPv4: `{text}`"))
        };
        Ok(ArpDraft {
            reply: match self.plain(1) {
                Some("request") => false,
                Some("reply") => true,
                other => return error(format!("{other:?} is no ARP message")),
            },
            sender: address(2)?,
            target: address(3)?,
            sender_mac: self.option("sender").map(mac).transpose()?,
        })
    }

    /// The IP packet.
    fn internet(&self) -> Result<Internet, String> {
        let (source, source_port) = end(self.plain(1).ok_or("no source")?)?;
        let (destination, destination_port) = end(self.plain(3).ok_or("no destination")?)?;
        if source.is_ipv4() != destination.is_ipv4() {
            return error("addresses of two families");
        }
        let carried = self.carried((source_port, destination_port))?;
        let mut packet = Internet::new(source, destination, carried);
        packet.payload = self.number("payload")?.unwrap_or(0);
        packet.hop = self.number("hop")?.unwrap_or(packet.hop);
        packet.id = self.number("id")?.unwrap_or(packet.id);
        packet.offset = self.number("offset")?;
        packet.more = self.flag("more");
        if let Some(range) = self.option("only") {
            let (first, last) = range.split_once("..").ok_or("only=FIRST..LAST")?;
            packet.only = Some((number(first)?, number(last)?));
        }
        packet.options = hex(self.option("options").unwrap_or(""))?;
        for name in self.option("ext").unwrap_or("").split(',').filter(|name| !name.is_empty()) {
            let header = Header::ALL.iter().find(|(_, found)| *found == name);
            let (header, _) = header.ok_or(format!("`{name}` is no extension header"))?;
            packet.extensions.push(*header);
        }
        packet.then_destination = self.flag("then-destination");
        packet.length = self.number("length")?;
        Ok(packet)
    }

    fn carried(&self, (source, destination): (u16, u16)) -> Result<Carried, String> {
        let fourth = self.plain(4);
        Ok(match self.plain(0).unwrap_or("") {
            "tcp" => {
                let set = FLAGS.iter().filter(|(_, word)| self.flag(word));
                let flags = set.fold(0, |flags, (flag, _)| flags | flag.0);
                Carried::Tcp { source, destination, flags }
            }
            "udp" => Carried::Udp { source, destination },
            word @ ("echo" | "reply") => {
                let identifier = fourth.map_or(Ok(1), number)?;
                Carried::Echo { reply: word == "reply", identifier }
            }
            // `icmp A > B TYPE [body=HEX] [quoting …]`
            "icmp" => Carried::Icmp {
                kind: number(fourth.ok_or("no type")?)?,
                code: self.number("code")?.unwrap_or(0),
                content: self.content()?,
            },
            "ip" => Carried::Ip(number(fourth.ok_or("no protocol")?)?),
            other => return error(format!("`{other}` is no packet")),
        })
    }

    fn content(&self) -> Result<Content, String> {
        if let Some(at) = self.0.iter().position(|word| word == "quoting") {
            let quoted = Words(&self.0[at + 1..]).internet()?;
            return Ok(Content::Quoted(Box::new(quoted), self.number("quote")?));
        }
        Ok(match self.option("body") {
            Some(bytes) => Content::Bytes(hex(bytes)?),
            None => Content::Payload,
        })
    }
}

/// The frame that words like those of a case describe.
#[cfg(test)]
pub(super) fn draft(words: &str) -> Result<Draft, String> {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Words(&words).draft()
}
