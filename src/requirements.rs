//! What a host must have, as a value that both sides speak of.

use serde::{Deserialize, Serialize};

/// What a host must have. Zero asks for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Requirements {
    /// Processors, in thousandths of a core.
    #[serde(skip_serializing_if = "is_zero")]
    pub cpu_milli: u64,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory: u64,
    /// Disk in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub disk: u64,
}

impl Requirements {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(amount: &u64) -> bool {
    *amount == 0
}
