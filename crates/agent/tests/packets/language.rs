//! The language of the cases: text to a [`Script`]. It knows frames and the names of steps, and
//! runs nothing.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use portcullis_core::net::Cidr;
use portcullis_core::rule::Direction;
use portcullis_testkit::packet::{
    Arp, BROADCAST, Ethernet, Extension, Flags, Fragment, Icmp, Ipv4, Ipv6, Mac, Tcp, Udp, icmp,
    icmpv6,
};

/// The other end of the wire.
const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 0xfe];

/// A file of cases.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The words after `interface`.
    pub(crate) interface: Vec<String>,
    /// Sets of rules by name, in order: the words of each rule.
    pub(crate) rules: Vec<(String, Vec<Vec<String>>)>,
    /// The cases.
    pub(crate) cases: Vec<Case>,
    names: BTreeMap<String, String>,
}

/// One sequence from an empty state.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: String,
    /// Its steps with their line numbers.
    pub(crate) steps: Vec<(usize, Step)>,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A frame, and the expected answer: accepted, reason, and the rule if it matters which.
    Frame(Direction, Vec<u8>, bool, String, Option<String>),
    /// Time goes by.
    Wait(Duration),
    /// Another set of rules comes into force; `closed`: none.
    Policy(String),
    /// An address becomes a member of this group alone.
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
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
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
                self.cases.last_mut().unwrap().steps.push((at, step));
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
                let frame = Packet { direction, own, words: &words[1..equals] }.frame()?;
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

/// The words that describe one frame.
struct Packet<'a> {
    direction: Direction,
    own: Mac,
    words: &'a [String],
}

/// An address with the port behind `@`.
fn end(text: &str) -> Result<(IpAddr, u16), String> {
    let (address, port) = text.split_once('@').unwrap_or((text, "0"));
    Ok((address.parse().map_err(|_| format!("no address: `{address}`"))?, number(port)?))
}

impl Packet<'_> {
    /// The value of `key=value`.
    fn option(&self, key: &str) -> Option<&str> {
        let own = self.words.iter().take_while(|word| *word != "quoting");
        own.filter_map(|word| word.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    fn flag(&self, key: &str) -> bool {
        self.words.iter().take_while(|word| *word != "quoting").any(|word| word == key)
    }

    /// Words that are no options.
    fn plain(&self) -> Vec<&str> {
        let own = self.words.iter().take_while(|word| *word != "quoting");
        own.filter(|word| !word.contains('=')).map(String::as_str).collect()
    }

    fn frame(&self) -> Result<Vec<u8>, String> {
        let out = self.direction == Direction::Egress;
        let source = match self.option("mac") {
            Some(text) => mac(text)?,
            None if out => self.own,
            None => OTHER_MAC,
        };
        let plain = self.plain();
        let destination = match (plain[0], out) {
            ("arp", _) => BROADCAST,
            (_, true) => OTHER_MAC,
            (_, false) => self.own,
        };
        let mut ethernet = Ethernet::new(source, destination);
        if let Some(tag) = self.option("vlan") {
            ethernet = ethernet.vlan(number(tag)?);
        }
        let mut frame = match plain[0] {
            "frame" => {
                let kind = u16::from_str_radix(plain[1], 16).map_err(|_| "no ethertype")?;
                ethernet.frame(kind, &hex(plain.get(2).copied().unwrap_or(""))?)
            }
            "arp" => {
                let address = |text: &str| text.parse().map_err(|_| format!("no IPv4: `{text}`"));
                let (sender, target) = (address(plain[2])?, address(plain[3])?);
                let sender_mac = self.option("sender").map_or(Ok(source), mac)?;
                ethernet.arp(&match plain[1] {
                    "request" => Arp::request(sender_mac, sender, target),
                    "reply" => Arp::reply(sender_mac, sender, OTHER_MAC, target),
                    other => return error(format!("`{other}` is no ARP message")),
                })
            }
            _ => {
                let packet = self.internet()?;
                if packet[0] >> 4 == 4 { ethernet.ipv4(&packet) } else { ethernet.ipv6(&packet) }
            }
        };
        if let Some(bytes) = self.option("cut") {
            frame.truncate(number(bytes)?);
        }
        if let Some(bytes) = self.option("pad") {
            frame.resize(frame.len() + number::<usize>(bytes)?, 0);
        }
        // `poke=OFFSET:HEX` writes over bytes, counted from the start of the IP header.
        for word in self.words.iter().filter_map(|word| word.strip_prefix("poke=")) {
            let (offset, bytes) = word.split_once(':').ok_or("poke=OFFSET:HEX")?;
            let at = 14 + number::<usize>(offset)?;
            for (to, from) in frame[at..].iter_mut().zip(hex(bytes)?) {
                *to = from;
            }
        }
        Ok(frame)
    }

    /// The IP packet.
    fn internet(&self) -> Result<Vec<u8>, String> {
        let plain = self.plain();
        let (from, to) = (plain.get(1), plain.get(3));
        let (source, source_port) = end(from.ok_or("no source")?)?;
        let (destination, destination_port) = end(to.ok_or("no destination")?)?;
        let payload = vec![0; self.option("payload").map_or(Ok(0), number)?];
        let ports = (source_port, destination_port);
        let (protocol, carried) = self.transport(&plain, (source, destination), ports, &payload)?;
        let carried = match self.option("only") {
            Some(range) => {
                let (first, last) = range.split_once("..").ok_or("only=FIRST..LAST")?;
                let (first, last) = (number::<usize>(first)?, number::<usize>(last)?);
                carried[first.min(carried.len())..last.min(carried.len())].to_vec()
            }
            None => carried,
        };
        self.wrap(source, destination, protocol, &carried)
    }

    fn transport(
        &self,
        plain: &[&str],
        (source, destination): (IpAddr, IpAddr),
        (source_port, destination_port): (u16, u16),
        payload: &[u8],
    ) -> Result<(u8, Vec<u8>), String> {
        let identifier = || plain.get(4).map_or(Ok(1), |text| number::<u16>(text));
        Ok(match plain[0] {
            "tcp" => {
                let flag = |name: &str, bit: u8| if self.flag(name) { bit } else { 0 };
                let flags = flag("fin", Flags::FIN.0)
                    | flag("syn", Flags::SYN.0)
                    | flag("rst", Flags::RST.0)
                    | flag("ack", Flags::ACK.0);
                let segment = Tcp::new(source_port, destination_port, Flags(flags));
                (6, segment.over(source, destination, payload))
            }
            "udp" => {
                (17, Udp::new(source_port, destination_port).over(source, destination, payload))
            }
            "echo" | "reply" => {
                let request = plain[0] == "echo";
                let head = match (request, source.is_ipv4()) {
                    (true, true) => Icmp::echo_request(identifier()?),
                    (false, true) => Icmp::echo_reply(identifier()?),
                    (true, false) => Icmp::echo_request_v6(identifier()?),
                    (false, false) => Icmp::echo_reply_v6(identifier()?),
                };
                self.icmp(source, destination, head, payload)
            }
            // `icmp A > B TYPE [body=HEX] [quoting …]`
            "icmp" => {
                let kind = number(plain.get(4).ok_or("no type")?)?;
                let code = self.option("code").map_or(Ok(0), number)?;
                let mut body = self.option("body").map_or(Ok(payload.to_vec()), hex)?;
                if let Some(at) = self.words.iter().position(|word| word == "quoting") {
                    let direction = self.direction.reverse();
                    let quoted = Packet { direction, own: self.own, words: &self.words[at + 1..] };
                    body = quoted.internet()?;
                    body.truncate(self.option("quote").map_or(Ok(usize::MAX), number)?);
                }
                self.icmp(source, destination, Icmp { kind, code, rest: [0; 4] }, &body)
            }
            "ip" => (number(plain.get(4).ok_or("no protocol")?)?, payload.to_vec()),
            other => return error(format!("`{other}` is no packet")),
        })
    }

    fn icmp(&self, source: IpAddr, to: IpAddr, head: Icmp, body: &[u8]) -> (u8, Vec<u8>) {
        match (source, to) {
            (IpAddr::V6(source), IpAddr::V6(to)) => (58, icmpv6(source, to, head, body)),
            _ => (1, icmp(head, body)),
        }
    }

    fn fragment(&self) -> Result<Option<Fragment>, String> {
        let (offset, more) = (self.option("offset"), self.flag("more"));
        if offset.is_none() && !more {
            return Ok(None);
        }
        Ok(Some(Fragment { offset: offset.map_or(Ok(0), number)?, more, keep_whole: false }))
    }

    fn wrap(
        &self,
        from: IpAddr,
        to: IpAddr,
        protocol: u8,
        carried: &[u8],
    ) -> Result<Vec<u8>, String> {
        let hop = self.option("hop").map_or(Ok(64), number)?;
        let stated_length = self.option("length").map(number).transpose()?;
        let id = self.option("id").map_or(Ok(1), number)?;
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Ok(Ipv4 {
                time_to_live: hop,
                identification: id as u16,
                fragment: self.fragment()?.unwrap_or_default(),
                options: self.option("options").map_or(Ok(Vec::new()), hex)?,
                stated_length,
                ..Ipv4::new(from, to, protocol)
            }
            .wrap(carried)),
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                Ok(self.wrap_v6((from, to), protocol, (hop, stated_length, id), carried)?)
            }
            _ => error("addresses of two families"),
        }
    }

    fn wrap_v6(
        &self,
        (from, to): (Ipv6Addr, Ipv6Addr),
        protocol: u8,
        (hop_limit, stated_length, id): (u8, Option<u16>, u32),
        carried: &[u8],
    ) -> Result<Vec<u8>, String> {
        let mut extensions = Vec::new();
        for name in self.option("ext").unwrap_or("").split(',').filter(|name| !name.is_empty()) {
            extensions.push(match name {
                "hop" => Extension::HopByHop(Vec::new()),
                "routing" => Extension::Routing(Vec::new()),
                "destination" => Extension::Destination(Vec::new()),
                "long" => Extension::Destination(vec![0; 30]),
                "atomic" => Extension::Fragment(Fragment::default(), id),
                other => return error(format!("`{other}` is no extension header")),
            });
        }
        if let Some(fragment) = self.fragment()? {
            extensions.push(Extension::Fragment(fragment, id));
        }
        if self.flag("then-destination") {
            extensions.push(Extension::Destination(Vec::new()));
        }
        Ok(Ipv6 { hop_limit, extensions, stated_length, ..Ipv6::new(from, to, protocol) }
            .wrap(carried))
    }
}
