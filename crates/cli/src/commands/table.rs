//! Plain tables for people: a heading, columns as wide as they need to be, numbers to the right.
//!
//! It knows no colours and no terminal; what it prints can be piped.

use std::fmt::Write as _;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A table's text, ending with a line break.
pub(crate) fn table<const N: usize>(
    heading: [(&str, Side); N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let sides = heading.map(|(_, side)| side);
    let mut lines = vec![heading.map(|(title, _)| title.to_owned())];
    lines.extend(rows);
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut printed = String::new();
        for ((cell, width), side) in line.iter().zip(widths).zip(sides) {
            // Writing to a string cannot fail.
            let _ = match side {
                Side::Left => write!(printed, "{cell:<width$}  "),
                Side::Right => write!(printed, "{cell:>width$}  "),
            };
        }
        text.push_str(printed.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let heading = [("RULE", Side::Left), ("PACKETS", Side::Right), ("WHY", Side::Left)];
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["sgr-éa", "7", ""]), row(["s", "12345678", "x y"])];
        let expected = "RULE     PACKETS  WHY\nsgr-éa         7\ns       12345678  x y\n";
        assert_eq!(table(heading, rows), expected);
    }
}
