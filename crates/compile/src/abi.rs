//! The mirror of `datapath/abi.h`: the layout shared by the kernel program and its user side.
//!
//! The header is the original and says what each word means; a test compares every constant of it
//! with this file. It knows no values, only where they stand.

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: u64 = $value;)*

        /// Every constant by name, for the comparison with the header.
        #[cfg(test)]
        const ALL: &[(&str, u64)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    /// Raised whenever a layout changes; part of the pin path.
    LAYOUT_VERSION = 3;
    /// Form of a TABLE blob: a row of bits for each value.
    FORM_VECTORS = 0;
    /// Form of a TABLE blob: a cell for each pair of classes.
    FORM_CLASSES = 1;
    /// A cell for which no rule matches.
    CELL_NONE = 65535;
    /// Cells of a page.
    PAGE_CELLS = 16;
    /// In a value of IPv6: it leads to the low halves of addresses.
    INNER = 1 << 63;
    /// In an entry of a tree of ports: it leads to more entries.
    DEEPER = 32768;
    /// Words in which such entries count places.
    CHUNK_WORDS = 4;
    /// Most rules of one interface and direction.
    RULES_MAX = 1024;
    /// Words of the longest row.
    ROW_WORDS_MAX = RULES_MAX / 64;
    /// Steps of a search among boundaries.
    SEARCH_STEPS = 20;
    /// Most boundaries of one dimension.
    BOUNDARIES_MAX = (1 << SEARCH_STEPS) - 1;
    /// Most groups of one interface, and so of one address.
    GROUPS_PER_MEMBER_MAX = 16;
    /// Most own ranges of one interface and family.
    OWN_MAX = 64;

    /// Word of a TABLE blob: how many rules.
    TABLE_RULES = 0;
    /// 1: accept when no rule matches.
    TABLE_DEFAULT = 1;
    /// `FORM_*`.
    TABLE_FORM = 2;
    /// Section: what each rule does.
    TABLE_ACTIONS = 3;
    /// How many groups rules name as peers.
    TABLE_GROUPS = 4;
    /// Section: classes of remote IPv4 addresses.
    TABLE_CLASSES4_REMOTE = 5;
    /// Offset of the tree of protocols and ports of IPv4.
    TABLE_CLASSES4_PORTS = 6;
    /// Offset of the page numbers of IPv4's rows.
    TABLE_CLASSES4_ROWS = 7;
    /// Offset of the cells of IPv4.
    TABLE_CLASSES4_CELLS = 8;
    /// Section: rows of groups among the cells of IPv4.
    TABLE_CLASSES4_GROUPS = 9;
    /// Section: classes of the high halves of remote IPv6 addresses.
    TABLE_CLASSES6_REMOTE = 10;
    /// Offset of the tree of protocols and ports of IPv6.
    TABLE_CLASSES6_PORTS = 11;
    /// Offset of the page numbers of IPv6's rows.
    TABLE_CLASSES6_ROWS = 12;
    /// Offset of the cells of IPv6.
    TABLE_CLASSES6_CELLS = 13;
    /// Section: rows of groups among the cells of IPv6.
    TABLE_CLASSES6_GROUPS = 14;
    /// Section: boundaries of remote IPv4 addresses.
    TABLE_REMOTE4_BOUNDS = 15;
    /// Section: rows of their classes.
    TABLE_REMOTE4_CLASSES = 16;
    /// Section: boundaries of remote IPv6 addresses.
    TABLE_REMOTE6_BOUNDS = 17;
    /// Section: rows of their classes.
    TABLE_REMOTE6_CLASSES = 18;
    /// Section: boundaries of local IPv4 addresses.
    TABLE_LOCAL4_BOUNDS = 19;
    /// Section: rows of their classes.
    TABLE_LOCAL4_CLASSES = 20;
    /// Section: boundaries of local IPv6 addresses.
    TABLE_LOCAL6_BOUNDS = 21;
    /// Section: rows of their classes.
    TABLE_LOCAL6_CLASSES = 22;
    /// Section: 256 rows by final protocol, IPv4.
    TABLE_PROTOCOL4 = 23;
    /// Section: 256 rows by final protocol, IPv6.
    TABLE_PROTOCOL6 = 24;
    /// Section: boundaries of destination ports.
    TABLE_DPORT_BOUNDS = 25;
    /// Section: rows of their classes.
    TABLE_DPORT_CLASSES = 26;
    /// Section: boundaries of source ports.
    TABLE_SPORT_BOUNDS = 27;
    /// Section: rows of their classes.
    TABLE_SPORT_CLASSES = 28;
    /// Section: numbers of the groups that rules name as peers, sorted.
    TABLE_GROUP_NUMBERS = 29;
    /// Section: their rows.
    TABLE_GROUP_ROWS = 30;
    /// Words of a TABLE blob's header.
    TABLE_HEADER_WORDS = 31;
    /// In an action: the rule accepts. The other bits are its counter number.
    ACTION_ACCEPT = 1 << 63;

    /// Word of an INTERFACE blob: a number that no other interface ever had on this host.
    INTERFACE_HANDLE = 0;
    /// `FLAG_*`.
    INTERFACE_FLAGS = 1;
    /// The MAC in the low 48 bits.
    INTERFACE_MAC = 2;
    /// The VPC number.
    INTERFACE_VPC = 3;
    /// Pool offset of the egress TABLE blob.
    INTERFACE_EGRESS = 4;
    /// Pool offset of the ingress TABLE blob.
    INTERFACE_INGRESS = 5;
    /// Section: own IPv4 ranges, pairs.
    INTERFACE_OWN4 = 6;
    /// Section: own IPv6 ranges, quadruples.
    INTERFACE_OWN6 = 7;
    /// Section: groups whose members pass ahead of rules.
    INTERFACE_INTRA = 8;
    /// Idle time of established TCP flows.
    INTERFACE_IDLE_ESTABLISHED_S = 9;
    /// Idle time of closed and reset TCP flows.
    INTERFACE_IDLE_CLOSED_S = 10;
    /// Idle time of UDP flows.
    INTERFACE_IDLE_UDP_S = 11;
    /// Most flow entries.
    INTERFACE_QUOTA = 12;
    /// Words of an INTERFACE blob's header.
    INTERFACE_HEADER_WORDS = 13;
    /// Addresses of packets are held against the interface's own.
    FLAG_CHECK_ADDRESSES = 1;
    /// The MAC is known.
    FLAG_MAC = 2;
    /// Flows keep their first verdict when rules change.
    FLAG_KEEP_ESTABLISHED = 4;
    /// The interface has no policy yet: baseline only.
    FLAG_CLOSED = 8;
}

/// Words of a row over so many rules.
pub const fn row_words(rules: usize) -> usize {
    rules.div_ceil(64)
}

/// A section: where it starts and how many it counts.
pub const fn section(offset: u64, count: u64) -> u64 {
    (offset << 32) | count
}

/// A section's offset and count.
pub const fn section_parts(word: u64) -> (u64, u64) {
    (word >> 32, word & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const HEADER: &str = include_str!("../../../datapath/abi.h");

    /// Evaluates the small expressions of the header: sums, products, shifts, parentheses, known
    /// names.
    struct Expression<'a> {
        rest: &'a str,
        names: &'a BTreeMap<String, u64>,
    }

    impl Expression<'_> {
        fn eat(&mut self, token: &str) -> bool {
            self.rest = self.rest.trim_start();
            self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
        }

        fn atom(&mut self) -> u64 {
            if self.eat("(") {
                let value = self.shift();
                assert!(self.eat(")"), "`)` expected before `{}`", self.rest);
                return value;
            }
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest;
            let digits = word.trim_end_matches("ull");
            digits.parse().unwrap_or_else(|_| {
                *self.names.get(word).unwrap_or_else(|| panic!("unknown `{word}`"))
            })
        }

        fn product(&mut self) -> u64 {
            let mut value = self.atom();
            loop {
                if self.eat("/") {
                    value /= self.atom();
                } else if self.eat("*") {
                    value *= self.atom();
                } else {
                    return value;
                }
            }
        }

        fn sum(&mut self) -> u64 {
            let mut value = self.product();
            loop {
                if self.eat("+") {
                    value += self.product();
                } else if self.eat("-") {
                    value -= self.product();
                } else {
                    return value;
                }
            }
        }

        fn shift(&mut self) -> u64 {
            let mut value = self.sum();
            while self.eat("<<") {
                value <<= self.sum();
            }
            value
        }
    }

    fn evaluate(text: &str, names: &BTreeMap<String, u64>) -> u64 {
        let mut expression = Expression { rest: text, names };
        let value = expression.shift();
        assert_eq!(expression.rest.trim(), "", "in `{text}`");
        value
    }

    fn without_comments(text: &str) -> String {
        let mut parts = text.split("/*");
        let mut out = parts.next().unwrap().to_string();
        for part in parts {
            out.push_str(part.split_once("*/").expect("a comment ends").1);
        }
        out
    }

    /// Every constant of the header; and the body of its one macro with an argument.
    fn header() -> (BTreeMap<String, u64>, String) {
        let (mut names, mut row) = (BTreeMap::new(), String::new());
        let mut next_of_enum = 0;
        for line in without_comments(HEADER).lines() {
            let line = line.trim();
            if let Some(define) = line.strip_prefix("#define ") {
                let Some((name, value)) = define.split_once(' ') else { continue };
                if let Some(argument) = name.strip_prefix("PC_ROW(") {
                    assert_eq!(argument, "rules)");
                    row = value.to_string();
                } else {
                    let value = evaluate(value, &names);
                    names.insert(name.to_string(), value);
                }
            } else if line.starts_with("enum ") {
                next_of_enum = 0;
            } else if line.starts_with("PC_") {
                names.insert(line.trim_end_matches(',').to_string(), next_of_enum);
                next_of_enum += 1;
            }
        }
        (names, row)
    }

    #[test]
    fn the_mirror_is_the_header() {
        let (names, row) = header();
        let mirror: BTreeMap<String, u64> =
            ALL.iter().map(|(name, value)| (format!("PC_{name}"), *value)).collect();
        assert_eq!(names, mirror);
        for rules in [0, 1, 63, 64, 65, 1024] {
            let text = row.replace("rules", &rules.to_string());
            assert_eq!(evaluate(&text, &names), row_words(rules) as u64, "{text}");
        }
    }

    #[test]
    fn a_section_is_offset_and_count() {
        assert_eq!(section_parts(section(7, 9)), (7, 9));
    }
}
