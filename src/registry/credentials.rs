//! Credentials as Docker keeps them: `config.json` and the helpers that it names.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::http::Login;

/// Where credentials come from.
#[derive(Debug, Clone)]
pub struct Credentials {
    config: Option<PathBuf>,
}

impl Credentials {
    /// `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn from_environment() -> Self {
        let folder = std::env::var_os("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
        Self { config: folder.map(|folder| folder.join("config.json")) }
    }

    /// The given file, in the form of Docker's `config.json`.
    pub fn from_file(path: &Path) -> Self {
        Self { config: Some(path.to_owned()) }
    }

    /// No credentials: every access is anonymous.
    pub fn none() -> Self {
        Self { config: None }
    }

    /// Finds the login for `registry`; this may run a credential helper and wait for it. The error is a reason without
    /// anything secret: what helpers print is left out, because it may be.
    pub(super) fn find(&self, registry: &str) -> Result<Option<Login>, String> {
        let Some(path) = &self.config else { return Ok(None) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let key = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
        match docker_credential::get_credential_from_reader(BufReader::new(file), key) {
            Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Some(Login { user, password })),
            Ok(DockerCredential::IdentityToken(_)) => Err(format!(
                "{} holds an identity token for it, which is not supported; log in with a password or access token",
                path.display()
            )),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
            // What every helper prints for a registry that it does not know.
            Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
                if format!("{stdout}{stderr}").to_lowercase().contains("credentials not found") =>
            {
                Ok(None)
            }
            Err(error) => Err(reason(&error, path)),
        }
    }
}

fn reason(error: &CredentialRetrievalError, path: &Path) -> String {
    let path = path.display();
    match error {
        CredentialRetrievalError::HelperFailure { helper, .. } => format!("the helper {helper:?} of {path} failed"),
        CredentialRetrievalError::HelperCommunicationError => format!("the helper that {path} names cannot be run"),
        CredentialRetrievalError::MalformedHelperResponse => {
            format!("the helper that {path} names gave an answer that is not understood")
        }
        CredentialRetrievalError::ConfigReadError => format!("{path} is not a Docker configuration"),
        CredentialRetrievalError::CredentialDecodingError => {
            format!("its \"auth\" in {path} is not base64 of USER:PASSWORD")
        }
        CredentialRetrievalError::CredentialMismatchError => {
            format!("its \"auth\" in {path} says something else than its \"username\" and \"password\"")
        }
        CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound => {
            format!("{path} holds none")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(config: &str, registry: &str) -> Result<Option<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Credentials::from_file(&path).find(registry).map(|login| login.map(|login| (login.user, login.password)))
    }

    #[test]
    fn docker_hub_has_a_key_of_its_own() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNz"}}}"#;
        assert_eq!(find(config, "docker.io").unwrap(), Some(("user".into(), "pass".into())));
        assert_eq!(find(config, "quay.io").unwrap(), None);
    }

    #[test]
    fn no_file_means_anonymous_and_a_bad_one_is_an_error() {
        assert!(matches!(Credentials::from_file(Path::new("/nonexistent/config.json")).find("quay.io"), Ok(None)));
        assert!(find("{", "quay.io").unwrap_err().contains("config.json"));
        assert!(find(r#"{"auths": {"quay.io": {"auth": "%"}}}"#, "quay.io").unwrap_err().contains("base64"));
    }

    #[test]
    fn an_identity_token_is_refused_by_name_and_not_shown() {
        let error = find(r#"{"auths": {"quay.io": {"identitytoken": "s3cret"}}}"#, "quay.io").unwrap_err();
        assert!(error.contains("identity token") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn a_helper_that_is_not_there_is_an_error() {
        let error = find(r#"{"credsStore": "no-such-helper-anywhere"}"#, "quay.io").unwrap_err();
        assert!(error.contains("helper"), "{error}");
    }
}
