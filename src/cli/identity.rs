//! The flag that says which bundle is meant, shared by the commands that read one.

use std::path::Path;

#[cfg(feature = "operator")]
use crate::bundle::Bundle;
use crate::bundle::BundleError;
use crate::oci::Digest;
use crate::trust::{self, Trusted};

/// Which bundle it is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct IdentityArgs {
    /// Take the bundle with this identity and no other; `carrack build` prints it
    #[arg(long, value_name = "SHA256:DIGEST", requires = "bundle")]
    identity: Option<Digest>,
}

impl IdentityArgs {
    /// The head of the bundle at `path`.
    ///
    /// # Errors
    /// Where it cannot be read, is damaged, or is another bundle.
    #[cfg(feature = "operator")]
    pub(super) fn open(&self, path: &Path) -> Result<Bundle, BundleError> {
        Bundle::open_only(path, self.identity.as_ref())
    }

    /// The bundle at `path`, with its structure and head proven.
    ///
    /// # Errors
    /// Where it cannot be read, is damaged, or is another bundle.
    pub(super) fn establish(&self, path: &Path) -> Result<Trusted, BundleError> {
        trust::establish_only(path, self.identity.as_ref())
    }
}
