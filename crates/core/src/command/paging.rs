//! Which part of a long answer: by page number, or from a token on.
use alloc::string::String;
use alloc::vec::Vec;

/// What part of the rows is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// All of them.
    All,
    /// `PageNumber`, from 1, and `PageSize`.
    Number {
        /// Which page.
        page: u32,
        /// Rows of a page.
        size: u32,
    },
    /// `NextToken` and `MaxResults`.
    Token {
        /// `NextToken` as it came; `None`: from the start.
        after: Option<String>,
        /// Rows at most.
        max_results: u32,
    },
}

/// A part of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the order of the action.
    pub rows: Vec<T>,
    /// How many there are in all.
    pub total: usize,
    /// `NextToken`; `None` on the last part, and when paging by number.
    pub next: Option<String>,
    /// How they were asked for, which answers repeat.
    pub paging: Paging,
}
