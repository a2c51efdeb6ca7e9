//! Numbered, durable history under ordered keys; engines and their one contract suite.
