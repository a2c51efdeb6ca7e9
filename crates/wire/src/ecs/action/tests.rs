//! The table as a whole: what it promises to decoders, help and clients.
