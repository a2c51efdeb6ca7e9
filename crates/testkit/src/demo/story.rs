//! What happens in the demo, in the language of scripts, part by part.

/// One part of the story.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// A new act, with its title.
    Act(&'static str),
    /// A line that is done and not shown.
    Setup(&'static str),
    /// A call that is shown, and the flow by which its effect is timed.
    Change {
        /// The line.
        line: &'static str,
        /// The flow whose fate it turns.
        watch: Option<&'static str>,
    },
    /// A flow with what is expected of it.
    Flow(&'static str),
    /// A TCP stream that goes on beside everything that follows.
    StreamOpens(&'static str),
    /// The stream comes to a halt.
    StreamStops(&'static str),
    /// The stream goes on, with not a byte lost.
    StreamGoesOn(&'static str),
}

const fn change(line: &'static str) -> Part {
    Part::Change { line, watch: None }
}

const fn turn(line: &'static str, watch: &'static str) -> Part {
    Part::Change { line, watch: Some(watch) }
}

/// All of it.
pub(super) const STORY: &[Part] = &[
    Part::Act("No rules yet: a basic group lets everything out and nothing in"),
    Part::Setup("group web"),
    Part::Setup("group db"),
    Part::Setup("instance web in web"),
    Part::Setup("instance db in db"),
    Part::Flow("web tcp outside:443 -> passes; web egress default"),
    Part::Flow("outside tcp web:80 -> dropped; web ingress default"),
    Part::Flow("web tcp db:5432 -> dropped; web egress default; db ingress default"),
    Part::Act("The way out is closed, last in order"),
    turn("closed = web egress drop all to anywhere priority 100", "web tcp outside:443 -> dropped"),
    Part::Flow("web tcp outside:443 -> dropped; web egress rule closed"),
    Part::Flow("web ping outside -> dropped; web egress rule closed"),
    Part::Act("The call it all starts from: HTTPS to one network, ahead of that"),
    turn(
        "https = web egress accept tcp 443/443 to 198.51.100.0/24 priority 10",
        "web tcp outside:443 -> passes",
    ),
    Part::Flow("web tcp outside:443 -> passes; web egress rule https"),
    Part::Flow("web tcp outside:444 -> dropped; web egress rule closed"),
    Part::Flow("web udp outside:443 -> dropped; web egress rule closed"),
    Part::Act("Two rules of equal priority: drop goes first"),
    turn(
        "except = web egress drop tcp 443/443 to other priority 10",
        "web tcp other:443 -> dropped",
    ),
    Part::Flow("web tcp other:443 -> dropped; web egress rule except"),
    Part::Flow("web tcp outside:443 -> passes; web egress rule https"),
    Part::Act("A group as the other side: the sender's way out and the receiver's way in"),
    change("to-db = web egress accept tcp 5432/5432 to group:db priority 10"),
    turn("from-web = db ingress accept tcp 5432/5432 from group:web", "web tcp db:5432 -> passes"),
    Part::Flow("web tcp db:5432 -> passes; web egress rule to-db; db ingress rule from-web"),
    Part::Flow("outside tcp db:5432 -> dropped; db ingress default"),
    Part::Act("IPv6 has rules of its own"),
    change("closed6 = web egress drop all to anywhere6 priority 100"),
    turn(
        "ping6 = web egress accept icmpv6 to anywhere6 priority 10",
        "web ping outside6 -> passes",
    ),
    Part::Flow("web ping outside6 -> passes; web egress rule ping6"),
    Part::Flow("web tcp outside6:443 -> dropped; web egress rule closed6"),
    Part::Act("Taken back under a running stream, and given again"),
    Part::StreamOpens("web tcp outside:443 -> passes; web egress rule https"),
    turn("revoke https", "web tcp outside:443 -> dropped"),
    Part::StreamStops("web tcp outside:443 -> dropped; web egress blocked"),
    turn(
        "https = web egress accept tcp 443/443 to 198.51.100.0/24 priority 10",
        "web tcp outside:443 -> passes",
    ),
    Part::StreamGoesOn("web tcp outside:443 -> passes; web egress tracked"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::language::{Step, read};

    #[test]
    fn every_line_is_understood() {
        for part in STORY {
            let (lines, is_flow) = match *part {
                Part::Act(_) => continue,
                Part::Setup(line) => (vec![line], false),
                Part::Change { line, watch } => {
                    if let Some(watch) = watch {
                        assert!(matches!(read(watch), Ok(Some(Step::Flow(_)))), "{watch}");
                    }
                    (vec![line], false)
                }
                Part::Flow(line)
                | Part::StreamOpens(line)
                | Part::StreamStops(line)
                | Part::StreamGoesOn(line) => (vec![line], true),
            };
            for line in lines {
                let step = read(line).unwrap().unwrap();
                assert_eq!(matches!(step, Step::Flow(_)), is_flow, "{line}");
            }
        }
    }
}
