//! Every bound of the model by name. A number that limits something stands here and nowhere else.

/// Longest id, in bytes (the API's own bound for group ids).
pub const ID_LENGTH_MAX: usize = 100;
/// Lowest and highest `Priority`.
pub const PRIORITY_MIN: u8 = 1;
/// Highest `Priority` number, the last to be asked.
pub const PRIORITY_MAX: u8 = 100;
/// Most groups that one interface may be in, whatever the quota says (`spec.md` section 1).
pub const GROUPS_PER_INTERFACE_MAX: usize = 16;
