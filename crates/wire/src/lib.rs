//! Every byte format that enters or leaves a process.
