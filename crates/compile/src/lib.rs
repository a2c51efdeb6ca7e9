//! Resolved rules to first-match tables and the kernel image, with an interpreter in user space.
