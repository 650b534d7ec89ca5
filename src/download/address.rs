//! Addresses of what is downloaded, and which of them are trusted to say what they are.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::http::{Route, is_loopback, shown};

/// An address that may be downloaded from: `https://`, or `http://` of this machine. Printed, it is without its query,
/// which is where some servers have tokens and signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    /// What the user named: the address itself, or the document that names it.
    home: Url,
}

/// Why a text is not an address that may be downloaded from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL with a host.
    #[error("{text:?} is not an address such as https://example.org/file: {reason}")]
    Malformed {
        /// The text, without what may be a password.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A scheme other than `https`.
    #[error("{0} is not https://, which is what files are fetched by")]
    NotHttps(String),
    /// A user's name or password is in it.
    #[error("the address on {0} has a user or password in it, which would be kept in the profile and its lock")]
    Login(String),
}

impl Address {
    /// The address as it was written, with its query.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host, with the port where one is given.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The address that `text` means where it stands in a document of this address: absolute, or relative to it.
    ///
    /// # Errors
    /// Where that is none that may be downloaded from.
    pub fn join(&self, text: &str) -> Result<Self, AddressError> {
        match self.url.join(text) {
            Ok(url) => Ok(Self { home: self.home.clone(), ..Self::checked(url)? }),
            Err(error) => Err(AddressError::Malformed { text: masked(text), reason: error.to_string() }),
        }
    }

    /// The same with `name` in place of what follows the last slash of the path, and without a query.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        url.set_path(&format!("{folder}/{name}"));
        Self { url, home: self.home.clone() }
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The server that the user named, which no other may send on to where it likes.
    pub(super) fn home(&self) -> &Url {
        &self.home
    }

    pub(super) fn route(&self) -> Route {
        if self.url.scheme() == "https" { Route::Secure } else { Route::Loopback }
    }

    fn checked(mut url: Url) -> Result<Self, AddressError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError::Login(url.host_str().unwrap_or_default().to_owned()));
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        match url.scheme() {
            "https" if !host.is_empty() => {}
            "http" if is_loopback(host) => {}
            _ => return Err(AddressError::NotHttps(shown(&url))),
        }
        // It is never sent, and would make two addresses of one.
        url.set_fragment(None);
        Ok(Self { home: url.clone(), url })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let malformed = |reason: String| AddressError::Malformed { text: masked(text), reason };
        let url = Url::parse(text).map_err(|error| malformed(error.to_string()))?;
        if url.cannot_be_a_base() {
            return Err(malformed("it has no host".to_owned()));
        }
        Self::checked(url)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.url))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no URL, without what may be a login: everything before an `@`.
fn masked(text: &str) -> String {
    let Some((login, rest)) = text.rsplit_once('@') else { return text.to_owned() };
    let scheme = login.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}…@{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine() {
        for good in ["https://example.org/a", "http://127.0.0.1:80/a", "http://localhost/a", "http://[::1]:5000/a"] {
            assert_eq!(good.parse::<Address>().map(|address| address.host().is_empty()), Ok(false), "{good}");
        }
        for (bad, part) in [
            ("http://example.org/a", "http://example.org/a is not https://"),
            ("http://localhost.example.org/", "not https://"),
            ("ftp://example.org/a", "not https://"),
            ("file:///etc/passwd", "not https://"),
            ("./k3s", "not an address"),
            ("data:text/plain,x", "no host"),
            ("https://", "empty host"),
        ] {
            let error = bad.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        for text in ["https://me:s3cret@example.org/a", "https://s3cret@example.org/a", "https://me:s3cret@[/a"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        let signed: Address = "https://example.org/a?signature=s3cret#part".parse().unwrap();
        assert_eq!((signed.to_string(), format!("{signed:?}")), ("https://example.org/a?…".into(), signed.to_string()));
        assert_eq!(signed.as_str(), "https://example.org/a?signature=s3cret");
    }

    #[test]
    fn addresses_within_documents() {
        let index: Address = "https://example.org/charts/index.yaml?x=1".parse().unwrap();
        let join = |text: &str| index.join(text).map(|address| address.to_string()).map_err(|error| error.to_string());
        assert_eq!(join("a-1.tgz").unwrap(), "https://example.org/charts/a-1.tgz");
        assert_eq!(join("/a-1.tgz").unwrap(), "https://example.org/a-1.tgz");
        assert_eq!(join("https://other.example.org/a.tgz").unwrap(), "https://other.example.org/a.tgz");
        assert!(join("http://example.org/a.tgz").unwrap_err().contains("not https"));
        assert!(join("//me:s3cret@example.org/a.tgz").unwrap_err().contains("user or password"));
        assert_eq!(index.sibling("x.tgz").as_str(), "https://example.org/charts/x.tgz");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_safe(text in "(https?://)?\\PC{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                assert!(address.as_str().starts_with("http"));
                assert!(!address.to_string().contains('@') || !address.as_str().contains("://@"));
            }
        }
    }
}
