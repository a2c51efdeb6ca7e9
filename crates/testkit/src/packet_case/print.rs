//! A frame as the words that make it: what [`Draft`] was or could have been read from.
use std::fmt;
use std::net::IpAddr;

use super::draft::{Body, Carried, Content, Draft, Header, Internet};
use crate::packet::{Flags, Mac};

/// TCP's flags by their words.
pub(super) const FLAGS: [(Flags, &str); 4] =
    [(Flags::FIN, "fin"), (Flags::SYN, "syn"), (Flags::RST, "rst"), (Flags::ACK, "ack")];

fn mac(mac: &Mac) -> String {
    portcullis_core::net::Mac(*mac).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut frame = String::new();
        if let Some(source) = &self.mac {
            frame += &format!(" mac={}", mac(source));
        }
        if let Some(tag) = self.vlan {
            frame += &format!(" vlan={tag}");
        }
        if let Some(bytes) = self.cut {
            frame += &format!(" cut={bytes}");
        }
        if let Some(bytes) = self.pad {
            frame += &format!(" pad={bytes}");
        }
        for (offset, bytes) in &self.pokes {
            frame += &format!(" poke={offset}:{}", hex(bytes));
        }
        match &self.body {
            Body::Frame(kind, bytes) => write!(f, "frame {kind:04x} {}{frame}", hex(bytes)),
            Body::Arp(arp) => {
                let word = if arp.reply { "reply" } else { "request" };
                write!(f, "arp {word} {} {}", arp.sender, arp.target)?;
                if let Some(sender) = &arp.sender_mac {
                    write!(f, " sender={}", mac(sender))?;
                }
                f.write_str(&frame)
            }
            Body::Internet(packet) => packet.write(f, &frame),
        }
    }
}

impl Internet {
    /// The packet's words, those of its frame among them: ahead of what it quotes.
    fn write(&self, f: &mut fmt::Formatter<'_>, frame: &str) -> fmt::Result {
        let end = |address: IpAddr, port: &u16| format!("{address}@{port}");
        let (from, to) = (self.source, self.destination);
        let mut quoted = None;
        match &self.carried {
            Carried::Tcp { source, destination, flags } => {
                write!(f, "tcp {} > {}", end(from, source), end(to, destination))?;
                for (_, word) in FLAGS.iter().filter(|(flag, _)| flags & flag.0 != 0) {
                    write!(f, " {word}")?;
                }
            }
            Carried::Udp { source, destination } => {
                write!(f, "udp {} > {}", end(from, source), end(to, destination))?;
            }
            Carried::Echo { reply, identifier } => {
                let word = if *reply { "reply" } else { "echo" };
                write!(f, "{word} {from} > {to} {identifier}")?;
            }
            Carried::Ip(protocol) => write!(f, "ip {from} > {to} {protocol}")?,
            Carried::Icmp { kind, code, content } => {
                write!(f, "icmp {from} > {to} {kind}")?;
                if *code != 0 {
                    write!(f, " code={code}")?;
                }
                match content {
                    Content::Payload => {}
                    Content::Bytes(bytes) => write!(f, " body={}", hex(bytes))?,
                    Content::Quoted(packet, quote) => {
                        if let Some(quote) = quote {
                            write!(f, " quote={quote}")?;
                        }
                        quoted = Some(packet);
                    }
                }
            }
        }
        self.write_options(f)?;
        f.write_str(frame)?;
        match quoted {
            Some(packet) => {
                f.write_str(" quoting ")?;
                packet.write(f, "")
            }
            None => Ok(()),
        }
    }

    fn write_options(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.payload != 0 {
            write!(f, " payload={}", self.payload)?;
        }
        if self.hop != 64 {
            write!(f, " hop={}", self.hop)?;
        }
        if self.id != 1 {
            write!(f, " id={}", self.id)?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset={offset}")?;
        }
        if self.more {
            f.write_str(" more")?;
        }
        if let Some((first, last)) = self.only {
            write!(f, " only={first}..{last}")?;
        }
        if !self.options.is_empty() {
            write!(f, " options={}", hex(&self.options))?;
        }
        let name = |header: &Header| Header::ALL.iter().find(|(h, _)| h == header).map(|(_, n)| *n);
        let extensions: Vec<&str> = self.extensions.iter().filter_map(name).collect();
        if !extensions.is_empty() {
            write!(f, " ext={}", extensions.join(","))?;
        }
        if self.then_destination {
            f.write_str(" then-destination")?;
        }
        match self.length {
            Some(length) => write!(f, " length={length}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::rule::Direction;

    use crate::differential::{Step, Subject, Traffic};
    use crate::packet_case::language::draft;

    #[test]
    fn what_is_written_reads_as_the_same_frame() {
        let own = [2, 0, 0, 0, 0, 1];
        let mut frames = 0;
        for seed in 0..20 {
            let subject = Subject::random(seed);
            let sequence = Traffic::new(seed, &subject).sequence(60);
            for step in &sequence.steps {
                let Step::Frame(direction, made) = step else { continue };
                let read = draft(&made.to_string()).unwrap();
                let [made_bytes, read_bytes] = [made, &read].map(|d| d.frame(*direction, own));
                assert_eq!(made_bytes, read_bytes, "{made}");
                frames += 1;
            }
        }
        assert!(frames > 900, "{frames}");
        for bad in ["", "tcp", "tcp 10.0.0.1 > ::1", "icmp 10.0.0.1 > 10.0.0.2", "arp tell a b"] {
            assert!(draft(bad).is_err(), "{bad}");
        }
        let tagged = draft("frame 0806 00 vlan=7 mac=02:00:00:00:00:09").unwrap();
        assert_eq!(
            tagged.frame(Direction::Egress, own)[6..18],
            [2, 0, 0, 0, 0, 9, 0x81, 0, 0, 7, 8, 6]
        );
    }
}
