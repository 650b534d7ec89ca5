//! Which tags a repository has.

use reqwest::header::LINK;
use reqwest::{Client, StatusCode, Url};

use super::auth::Operation;
use super::{Registry, RegistryError, RegistryErrorKind, Wanted, failure};
use crate::http::{ReadError, Tries, read_up_to};
use crate::oci::Reference;

/// Bytes of one answer that are read.
const MAX_PAGE: u64 = 8 << 20;
/// Tags that are read of one repository.
const MAX_TAGS: usize = 100_000;
/// Pages that are read of one repository; most registries have a hundred tags or more on each.
const MAX_PAGES: usize = 1_000;

impl Registry {
    /// Every tag of the reference's repository, in the registry's order.
    ///
    /// # Errors
    /// See [`RegistryErrorKind`]. Passing failures are retried first.
    pub async fn tags(&self, reference: &Reference) -> Result<Vec<String>, RegistryError> {
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.tags_once(reference).await {
                Ok(tags) => return Ok(tags),
                Err(kind) if tries.wait(kind.retry()).await => {}
                Err(kind) => return Err(kind.about(reference)),
            }
        }
    }

    async fn tags_once(&self, reference: &Reference) -> Result<Vec<String>, RegistryErrorKind> {
        #[derive(serde::Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        let mut next: Option<Url> = None;
        for _ in 0..MAX_PAGES {
            let get = |client: &Client, base: &str| match &next {
                Some(url) => client.get(url.clone()),
                None => client.get(format!("{base}/tags/list")),
            };
            let response = self.exchange(reference, Operation::Pull, get).await?;
            if response.status() != StatusCode::OK {
                return Err(failure(reference, response, Wanted::Tags).await);
            }
            let asked = response.url().clone();
            let following = following(&response)?;
            let body = read_up_to(response, MAX_PAGE).await.map_err(|error| match error {
                ReadError::TooLong => RegistryErrorKind::Protocol("a list of tags that is larger than 8 MiB"),
                ReadError::TooSlow => RegistryErrorKind::TooSlow { registry: reference.registry().to_owned() },
                ReadError::Broken(_, source) => RegistryErrorKind::of_transport(reference.registry(), source),
            })?;
            let page: Option<Page> = serde_json::from_slice(&body).ok();
            let page = page.ok_or(RegistryErrorKind::Protocol("the list of tags is not understood"))?;
            let page = page.tags.unwrap_or_default();
            if tags.len() + page.len() > MAX_TAGS {
                return Err(RegistryErrorKind::Protocol("more tags than are read of a repository"));
            }
            let empty = page.is_empty();
            tags.extend(page);
            match following {
                Some(url) if url == asked => {
                    return Err(RegistryErrorKind::Protocol("a list of tags that goes round in circles"));
                }
                Some(url) if !empty => next = Some(url),
                _ => return Ok(tags),
            }
        }
        Err(RegistryErrorKind::Protocol("a list of tags that has more pages than are read of a repository"))
    }
}

/// The next page of the same server: `Link: </v2/NAME/tags/list?last=X&n=100>; rel="next"`.
fn following(response: &reqwest::Response) -> Result<Option<Url>, RegistryErrorKind> {
    let Some(link) = response.headers().get(LINK).and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let Some((address, rest)) = link.trim().strip_prefix('<').and_then(|link| link.split_once('>')) else {
        return Err(RegistryErrorKind::Protocol("a list of tags whose next page is not understood"));
    };
    if !rest.contains("next") {
        return Ok(None);
    }
    let url = response.url().join(address).ok().filter(|url| url.origin() == response.url().origin());
    url.map(Some).ok_or(RegistryErrorKind::Protocol("a list of tags that goes on at another server"))
}
