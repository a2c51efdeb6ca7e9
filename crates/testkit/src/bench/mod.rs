//! What the bench of the data path is made of: one policy, the forms in which contenders enforce
//! it, and packets through each. `lab datapath` plays it; `./x bench datapath` says in which order.
//!
//! Every contender stands at the host's end of a veth pair between two namespaces of its own, made
//! by the same code: nothing of one is ever in the way of another's packets.

pub mod contender;
pub mod host;
pub mod iptables;
pub mod linear;
pub mod nft;
pub mod ours;
pub mod scenario;
pub mod session;
pub mod stage;
pub mod talk;
