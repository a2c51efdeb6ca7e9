//! One host: plan, execute, read back; the only crate that touches the kernel.
