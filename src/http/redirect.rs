//! Where a server may send a request on to, and what goes with it.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Method, Request, Response, StatusCode, Url};

use super::failure::any_cause;
use super::{Clients, Route, is_loopback};

/// Redirects in a row that are followed.
const MOST_REDIRECTS: usize = 10;

/// Why a request is not sent where a server points to. Neither text has a query, a user or a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// From HTTPS to plain HTTP, or from this machine's plain HTTP to that of another one.
    #[error("{from} redirects to {to}, and a redirect is followed to https:// only")]
    Plain {
        /// Where the answer came from, which an earlier redirect may have named.
        from: String,
        /// Where it points.
        to: String,
    },
    /// To an address that only this machine's own network or cloud answers at, such as 169.254.169.254.
    #[error("{from} redirects to {to}, a link-local address, and no redirect to these is followed")]
    LinkLocal {
        /// Where the answer came from, which an earlier redirect may have named.
        from: String,
        /// Where it points.
        to: String,
    },
    /// To no address, to one with a password in it, or round in circles.
    #[error("{0}")]
    Unusable(&'static str),
}

impl RedirectError {
    /// Why an address that a registry names is not asked for tokens, as the end of a sentence.
    pub(crate) fn of_realm(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "which is not https://",
            Self::LinkLocal { .. } => "which is a link-local address",
            Self::Unusable(_) => "which has a user or a password in it",
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The connection.
    Transport(reqwest::Error),
    /// What the answer points to.
    Redirect(RedirectError),
}

impl Clients {
    /// Sends a request and follows where the answers point, with the authorization left behind where they leave the
    /// server. `home` is what the user named: where the request itself goes elsewhere, because that server said so, the
    /// rules for redirects hold for it.
    pub(crate) async fn send(&self, home: &Url, mut request: Request) -> Result<Response, SendError> {
        if request.url().origin() != home.origin() {
            allowed(home, home, request.url()).map_err(SendError::Redirect)?;
        }
        for _ in 0..=MOST_REDIRECTS {
            let next = request.try_clone();
            let url = request.url().clone();
            let response = self.send_once(home, request).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            request = next
                .filter(|next| repeats(next.method(), response.status()))
                .ok_or(RedirectError::Unusable("the server redirects what may be sent to it alone"))
                .map_err(SendError::Redirect)?;
            let to = target(home, &url, &response).map_err(SendError::Redirect)?;
            if to.origin() != url.origin() {
                request.headers_mut().remove(AUTHORIZATION);
            }
            *request.url_mut() = to;
        }
        Err(SendError::Redirect(RedirectError::Unusable("it redirects again and again")))
    }

    async fn send_once(&self, home: &Url, request: Request) -> Result<Response, SendError> {
        let url = request.url().clone();
        let client = self.of(route(&url), url.host() != home.host()).map_err(SendError::Transport)?;
        client.execute(request).await.map_err(|error| match any_cause(&error, <dyn Error>::is::<LinkLocalName>) {
            true => SendError::Redirect(RedirectError::LinkLocal { from: shown(home), to: shown(&url) }),
            false => SendError::Transport(error),
        })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Whether a redirect of this status keeps the method and the body; others would make a GET of what is sent.
fn repeats(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        || matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT)
}

fn route(url: &Url) -> Route {
    match url.scheme() {
        "https" => Route::Secure,
        _ if is_loopback(host(url)) => Route::Loopback,
        _ => Route::Plain,
    }
}

/// The host, an IPv6 address without its brackets.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_matches(['[', ']'])
}

fn target(home: &Url, from: &Url, response: &Response) -> Result<Url, RedirectError> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or(RedirectError::Unusable("the server redirects without saying where to"))?;
    let to = from.join(location).map_err(|_| RedirectError::Unusable("the server redirects to what is no address"))?;
    allowed(home, from, &to)?;
    Ok(to)
}

/// Whether a server at `from` may send a request on to `to`. `home` is the server that the user named, whose own
/// address may be any.
pub(crate) fn allowed(home: &Url, from: &Url, to: &Url) -> Result<(), RedirectError> {
    if !to.username().is_empty() || to.password().is_some() {
        return Err(RedirectError::Unusable("the server redirects to an address with a password in it"));
    }
    let secure = match to.scheme() {
        "https" => true,
        // This machine's plain HTTP is private; that of another one is not.
        "http" => from.scheme() == "http" && (is_loopback(host(to)) || !is_loopback(host(from))),
        _ => false,
    };
    if !secure {
        return Err(RedirectError::Plain { from: shown(from), to: shown(to) });
    }
    let address = host(to).parse().ok().filter(|address| is_link_local(*address));
    if address.is_some() && to.host() != home.host() {
        return Err(RedirectError::LinkLocal { from: shown(from), to: shown(to) });
    }
    Ok(())
}

/// A URL for people: no user, no password, and `?…` for a query.
pub(crate) fn shown(url: &Url) -> String {
    let mut clean = url.clone();
    // Both fail only for a URL without a host, which has neither.
    let _ = clean.set_username("");
    let _ = clean.set_password(None);
    clean.set_query(None);
    clean.set_fragment(None);
    format!("{clean}{}", if url.query().is_some() { "?…" } else { "" })
}

/// Whether an address means the own link, or the metadata service of a cloud, which gives its credentials to whoever
/// asks from the machine. Most of these are link-local; the others are named.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_link_local_v4(address),
        IpAddr::V6(address) => is_link_local_v6(address),
    }
}

fn is_link_local_v4(address: Ipv4Addr) -> bool {
    // Alibaba's, Oracle's and Azure's own services.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
    address.is_link_local() || METADATA.contains(&address)
}

fn is_link_local_v6(address: Ipv6Addr) -> bool {
    // Amazon's and Google's over IPv6.
    const METADATA: [Ipv6Addr; 2] =
        [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
    address.is_unicast_link_local() || METADATA.contains(&address) || embedded(address).is_some_and(is_link_local_v4)
}

/// The IPv4 address that an IPv6 address leads to: mapped, compatible, translated (64:ff9b::/96) or tunnelled (2002::/16).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

/// A name that means link-local addresses alone.
#[derive(Debug, thiserror::Error)]
#[error("it has no address but link-local ones")]
struct LinkLocalName;

/// Resolves names for servers that another server has named: without their link-local addresses.
pub(super) struct PublicNames;

impl PublicNames {
    pub(super) fn shared() -> Arc<Self> {
        Arc::new(Self)
    }
}

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let some = !found.is_empty();
            let usable: Vec<_> = found.into_iter().filter(|found| !is_link_local(found.ip())).collect();
            match usable.is_empty() && some {
                true => Err(LinkLocalName.into()),
                false => Ok(Box::new(usable.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn check(from: &str, to: &str) -> Result<(), RedirectError> {
        allowed(&url(from), &url(from), &url(to))
    }

    #[test]
    fn https_stays_https_and_plain_http_of_this_machine_stays_here() {
        for (from, to) in [
            ("https://a.example.org/x", "https://b.example.org:8443/y"),
            ("https://a.example.org/x", "https://127.0.0.1/y"),
            ("http://127.0.0.1:5000/", "http://localhost:1/"),
            ("http://127.0.0.1:5000/", "https://b.example.org/"),
            ("http://registry.lan/", "http://store.lan/"),
            ("http://registry.lan/", "https://store.lan/"),
        ] {
            assert_eq!(check(from, to), Ok(()), "{from} {to}");
        }
        for (from, to) in [
            ("https://a.example.org/", "http://a.example.org/"),
            ("https://a.example.org/", "http://127.0.0.1/"),
            ("https://a.example.org/", "ftp://a.example.org/"),
            ("https://a.example.org/", "file:///etc/passwd"),
            ("https://a.example.org/", "data:text/plain,x"),
            ("http://127.0.0.1/", "http://b.example.org/"),
            ("http://[::1]/", "http://b.example.org/"),
        ] {
            let error = check(from, to).unwrap_err();
            assert!(matches!(error, RedirectError::Plain { .. }), "{from} {to} {error}");
        }
    }

    #[test]
    fn no_redirect_leads_to_a_link_local_or_metadata_address() {
        for to in [
            "https://169.254.169.254/latest/meta-data",
            "https://169.254.0.1:8443/",
            "https://2852039166/",
            "https://0xa9.0xfe.0xa9.0xfe/",
            "https://0251.0376.0251.0376/",
            "https://169.254.43518/",
            "https://[fe80::1]/",
            "https://[febf::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://[::169.254.169.254]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[fd00:ec2::254]/",
            "https://[fd20:ce::254]/",
            "https://100.100.100.200/",
            "https://168.63.129.16/",
            "https://192.0.0.192/",
            "http://169.254.169.254/",
        ] {
            let error = check("http://registry.lan/", to).unwrap_err();
            assert!(matches!(error, RedirectError::LinkLocal { .. }), "{to}: {error}");
        }
        for to in ["https://169.253.1.1/", "https://[fec0::1]/", "https://[2001:db8::a9fe:a9fe]/", "https://10.0.0.1/"]
        {
            assert_eq!(check("https://registry.lan/", to), Ok(()), "{to}");
        }
        assert_eq!(check("https://169.254.1.1/a", "https://169.254.1.1/b"), Ok(()), "what the user named itself");
    }

    #[test]
    fn no_secret_of_an_address_is_shown() {
        let error =
            check("https://a.example.org/x?sig=s3cret", "http://b.example.org/y?token=s3cret#s3cret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        let error = check("https://a.example.org/", "https://me:s3cret@b.example.org/").unwrap_err();
        assert!(error.to_string().contains("password in it") && !format!("{error:?}").contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn names_of_link_local_addresses_are_not_resolved() {
        // The C library takes numbers for names too, in any of their spellings.
        for name in ["169.254.169.254", "169.254.43518", "::ffff:169.254.1.1"] {
            let error = PublicNames.resolve(name.parse().unwrap()).await.err().unwrap();
            assert!(error.is::<LinkLocalName>(), "{name}: {error}");
        }
        assert!(PublicNames.resolve("127.0.0.1".parse().unwrap()).await.unwrap().next().is_some());
    }

    proptest::proptest! {
        #[test]
        fn every_way_to_write_a_link_local_address_is_known(low: u16) {
            let address = Ipv4Addr::from(0xa9fe_0000 | u32::from(low));
            proptest::prop_assert!(is_link_local(address.into()));
            proptest::prop_assert!(is_link_local(address.to_ipv6_mapped().into()));
            let text = format!("https://{}/", u32::from(address));
            proptest::prop_assert!(check("https://a.example.org/", &text).is_err());
        }
    }
}
