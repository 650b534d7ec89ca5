//! What a Kubernetes distribution wants of a host besides the bundle's own files: configuration, units, and what is done
//! to start, save and remove it.
//!
//! Owns what distributions call their files, flags and units. It is pure: it looks at no host and does nothing.

mod step;

pub use step::{SAVED, Step};

/// What a distribution wants of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// Files, besides those of the bundle.
    pub files: Vec<SetupFile>,
    /// What brings it up once all files are there, in order; ends with waiting until it is ready.
    pub start: Vec<Step>,
    /// What takes it down and away again, before its files are removed.
    pub remove: Vec<Step>,
    /// How its state is saved before an upgrade; none where this machine has none.
    pub save: Option<Save>,
}

/// A file that a distribution reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupFile {
    /// Its path within the root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub text: String,
    /// Whether a secret is in it.
    pub private: bool,
}

/// How a cluster's state is saved and put back. In the steps, [`SAVED`] stands for the folder of the copy, which exists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Save {
    /// Where the state is; where nothing is there, nothing is saved.
    pub state: String,
    /// What saves it. What these steps stop is started again by those of [`Setup::start`].
    pub save: Vec<Step>,
    /// What puts it back, while the distribution's own files are those that it was saved with.
    pub restore: Vec<Step>,
}
