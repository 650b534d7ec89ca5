//! Where every library error becomes a message, a cause chain, hints and an exit code. All `From` impls live here.

#[cfg(feature = "installer")]
mod installer;
#[cfg(feature = "operator")]
mod operator;

use crate::bundle::BundleError;
use crate::io::PathError;

/// What kind of failure it is: the exit code, and what a person should look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wrong usage of the command line.
    Usage,
    /// The profile, site or lock is wrong.
    Input,
    /// A registry or the network failed.
    Registry,
    /// A local file or disk: not writable, full, not found.
    Local,
    /// Integrity, signature or format: damaged, not a bundle, a newer format.
    Integrity,
    /// The host is not ready.
    NotReady,
    /// Apply failed and was undone.
    RolledBack,
    /// Apply failed and needs a person.
    NeedsPerson,
    /// A bug in Carrack.
    Bug,
    /// Interrupted by the user.
    Interrupted,
}

impl Kind {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Input => 10,
            Self::Registry => 20,
            Self::Local => 25,
            Self::Integrity => 30,
            Self::NotReady => 40,
            Self::RolledBack => 50,
            Self::NeedsPerson => 51,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// What the layers of the HTTP client say of an error from further below, and which tells nobody anything.
const LAYERS: [&str; 4] = ["error sending request", "client error (Connect)", "dns error", "error resolving DNS"];

/// What a command ends with when it fails.
#[derive(Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// One line that states a fact, with the names in it.
    pub message: String,
    /// Why, outermost first, a line each.
    pub causes: Vec<String>,
    /// What to do next, a line each; commands as one would type them.
    pub hints: Vec<String>,
    /// Blocks that are shown as they are, between message and causes: one for each mistake in a document. In JSON they
    /// are causes.
    pub details: Vec<String>,
    /// What `--json` adds to the error as `report`, where a command has a document of its own to show even so: the checks
    /// of a host that is not ready, the differences of one that has changed.
    pub report: Option<Box<serde_json::Value>>,
}

impl CliError {
    /// An error without cause or hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), details: Vec::new(), report: None }
    }

    /// An error with the message and causes of `error`.
    pub fn from_error(kind: Kind, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut said = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Transparent wrappers repeat their source; once is enough for a reader.
            if !said.contains(&text) && !LAYERS.contains(&text.as_str()) {
                causes.push(text.clone());
                said = text;
            }
            next = cause.source();
        }
        Self { kind, message: error.to_string(), causes, hints: Vec::new(), details: Vec::new(), report: None }
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with a document for `--json`.
    #[must_use]
    pub fn report(mut self, report: serde_json::Value) -> Self {
        self.report = Some(Box::new(report));
        self
    }
}

impl From<PathError> for CliError {
    fn from(error: PathError) -> Self {
        Self::from_error(Kind::Local, &error)
    }
}

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        let later = "use the carrack and carrack-install that came with the bundle";
        let hint = match &error {
            BundleError::Io(_) => return Self::from_error(Kind::Local, &error),
            BundleError::Other { .. } => "name the file that was built: carrack build PROFILE -o BUNDLE",
            BundleError::NotABundle { .. } => {
                "copy the file again from where it was built, and check it there too: carrack verify BUNDLE"
            }
            // The bundle is whole, and it is this host's installer that will not do.
            BundleError::LaterInstaller { .. } => return Self::from_error(Kind::NotReady, &error).hint(later),
            BundleError::Newer { .. } => later,
            BundleError::Another { .. } => {
                "name the file of the bundle with that identity: carrack-install verify BUNDLE shows it, and carrack build did"
            }
            BundleError::Damaged { .. } => {
                "copy the bundle again from where it was built, and check it there too: carrack verify BUNDLE"
            }
        };
        Self::from_error(Kind::Integrity, &error).hint(hint)
    }
}

impl From<crate::problem::Problems> for CliError {
    fn from(problems: crate::problem::Problems) -> Self {
        use crate::problem::{Problem, Problems};
        match problems {
            Problems::Unreadable(error) => {
                let missing = error.source.kind() == std::io::ErrorKind::NotFound;
                let error = Self::from(error);
                if missing { error.hint("begin with a profile that works: carrack init DIR") } else { error }
            }
            Problems::Found(found) => {
                let message = match &found[..] {
                    [_] => "1 problem found".to_owned(),
                    many => format!("{} problems found", many.len()),
                };
                let details = found.iter().map(Problem::to_string).collect();
                Self { details, ..Self::new(Kind::Input, message) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn layers_of_the_http_client_are_no_causes() {
        let texts = ["no such name", "dns error", "client error (Connect)", "error sending request", "no answer"];
        let chain = texts.into_iter().fold(None, |source, text| Some(Box::new(Layer(text, source))));
        let error = CliError::from_error(Kind::Registry, &*chain.unwrap());
        assert_eq!((error.message.as_str(), error.causes), ("no answer", vec!["no such name".to_owned()]));
    }
}
