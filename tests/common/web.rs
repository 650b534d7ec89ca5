//! A web server of the test's own: TLS with an authority of its own or plain, faults on demand; and a proxy.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What happens instead of the right answer.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The right headers, so many bytes of the body, then the connection ends.
    BreakAfter(usize),
    /// Another status, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// This status with headers, and a body that never ends.
    Endless(u16, Vec<(&'static str, String)>),
    /// This body with headers.
    Page(Vec<(&'static str, String)>, &'static [u8]),
    /// No `Content-Length`; the end of the connection is the end.
    NoLength,
    /// Another first byte.
    WrongBytes,
    /// The whole, whatever range was asked for.
    IgnoreRange,
    /// Pieces of so many bytes, each after a pause.
    Slow(usize, Duration),
    /// A `Content-Length` that is so much larger than the body.
    ClaimMore(usize),
}

/// A request that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

/// What is behind an address.
#[derive(Debug, Clone, Copy)]
enum Serves {
    /// What was put there.
    Content,
    /// A proxy, whose tunnels end here.
    Tunnel(SocketAddr),
    /// Another server.
    Another(SocketAddr),
}

#[derive(Default)]
struct State {
    content: HashMap<String, Vec<u8>>,
    faults: HashMap<String, VecDeque<Fault>>,
    always: HashMap<String, Fault>,
    requests: Vec<Request>,
    connects: Vec<String>,
    require: Option<String>,
    drained: bool,
}

type Shared = Arc<Mutex<State>>;

/// A running server. Dropped, it closes all.
pub(crate) struct Web {
    address: SocketAddr,
    state: Shared,
    authority: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Plain HTTP.
    pub(crate) fn plain() -> Self {
        Self::start(None, None, Serves::Content)
    }

    /// HTTPS as `localhost`, `127.0.0.1` and every name of `example.org`.
    pub(crate) fn secure() -> Self {
        Self::secure_as(&["localhost", "127.0.0.1", "*.example.org"], Serves::Content)
    }

    /// HTTPS as every one of `names`, in front of the plain server at `target`.
    pub(crate) fn front(names: &[&str], target: SocketAddr) -> Self {
        Self::secure_as(names, Serves::Another(target))
    }

    fn secure_as(names: &[&str], serves: Serves) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, secret).unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), Some(authority.pem()), serves)
    }

    /// A proxy whose every tunnel ends at `target`, whatever host is asked for.
    pub(crate) fn proxy(target: &Self) -> Self {
        Self::start(None, None, Serves::Tunnel(target.address))
    }

    fn start(tls: Option<TlsAcceptor>, authority: Option<String>, serves: Serves) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let state = Shared::default();
        let shared = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let stream = tokio::select! {
                        _ = &mut stopped => return,
                        accepted = listener.accept() => accepted.unwrap().0,
                    };
                    let (shared, tls) = (Arc::clone(&shared), tls.clone());
                    tokio::spawn(async move {
                        // A client that hangs up or does not trust the certificate ends its connection.
                        match tls {
                            None => drop(serve(stream, serves, &shared).await),
                            Some(tls) => {
                                let Ok(stream) = tls.accept(stream).await else { return };
                                let _ = serve(stream, serves, &shared).await;
                            }
                        }
                    });
                }
            });
        });
        Self { address, state, authority, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT/PATH` or `https://localhost:PORT/PATH`.
    pub(crate) fn url(&self, path: &str) -> String {
        match self.authority {
            Some(_) => format!("https://localhost:{}/{path}", self.address.port()),
            None => format!("http://{}/{path}", self.address),
        }
    }

    /// Writes the authority's certificate.
    pub(crate) fn write_authority(&self, file: &Path) {
        std::fs::write(file, self.authority.as_ref().unwrap()).unwrap();
    }

    /// Serves `content` under `/PATH`.
    pub(crate) fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().content.insert(format!("/{path}"), content.into());
    }

    /// Answers the next requests for `/PATH` with faults, one each.
    pub(crate) fn inject(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.entry(format!("/{path}")).or_default().extend(faults);
    }

    /// Answers every request for `/PATH` with a fault.
    pub(crate) fn always(&self, path: &str, fault: Fault) {
        self.state.lock().unwrap().always.insert(format!("/{path}"), fault);
    }

    /// Points `/PATH` elsewhere.
    pub(crate) fn redirect(&self, path: &str, to: impl Into<String>) {
        self.always(path, Fault::Status(302, vec![("Location", to.into())]));
    }

    /// Lets in only who sends this `Authorization`.
    pub(crate) fn require(&self, authorization: &str) {
        self.state.lock().unwrap().require = Some(authorization.to_owned());
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Whether a client has read 256 MiB of an answer without end.
    pub(crate) fn drained(&self) -> bool {
        self.state.lock().unwrap().drained
    }

    /// What tunnels were asked of a proxy.
    pub(crate) fn connects(&self) -> Vec<String> {
        self.state.lock().unwrap().connects.clone()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(text).unwrap())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    serves: Serves,
    state: &Shared,
) -> std::io::Result<()> {
    match serves {
        Serves::Content => answer(stream, state).await,
        Serves::Tunnel(target) => forward(stream, target, state).await,
        Serves::Another(target) => {
            let mut server = tokio::net::TcpStream::connect(target).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut server).await.map(drop)
        }
    }
}

async fn forward<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    target: SocketAddr,
    state: &Shared,
) -> std::io::Result<()> {
    let head = head(&mut client).await?;
    state.lock().unwrap().connects.push(head.lines().next().unwrap().to_owned());
    if !head.starts_with("CONNECT ") {
        return client.write_all(b"HTTP/1.1 405 Only Tunnels\r\ncontent-length: 0\r\n\r\n").await;
    }
    let mut server = tokio::net::TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Answers one request; every connection has one.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: &Shared) -> std::io::Result<()> {
    let head = head(&mut stream).await?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let (range, authorization) = (header("range"), header("authorization"));
    let (content, fault, allowed) = {
        let mut state = state.lock().unwrap();
        let allowed = state.require.is_none() || state.require == authorization;
        state.requests.push(Request { path: path.clone(), range: range.clone(), authorization });
        let fault = state.faults.get_mut(&path).and_then(VecDeque::pop_front);
        (state.content.get(&path).cloned(), fault.or_else(|| state.always.get(&path).cloned()), allowed)
    };
    let (status, mut headers, body) = match (fault.clone(), content) {
        _ if !allowed => (401, vec![("WWW-Authenticate", "Basic realm=\"test\"".to_owned())], Vec::new()),
        (Some(Fault::Status(status, headers) | Fault::Endless(status, headers)), _) => (status, headers, Vec::new()),
        (Some(Fault::Page(headers, body)), _) => (200, headers, body.to_vec()),
        (_, None) => (404, Vec::new(), b"nothing here".to_vec()),
        (fault, Some(content)) => {
            let start = range.filter(|_| !matches!(fault, Some(Fault::IgnoreRange)));
            let start = start.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
            match start {
                None => (200, Vec::new(), content),
                Some(start) if start >= content.len() => (416, Vec::new(), Vec::new()),
                Some(start) => {
                    let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
                    (206, vec![("Content-Range", range)], content[start..].to_vec())
                }
            }
        }
    };
    let length = body.len() + if let Some(Fault::ClaimMore(more)) = fault { more } else { 0 };
    if !matches!(fault, Some(Fault::NoLength | Fault::Endless(..))) {
        headers.push(("Content-Length", length.to_string()));
    }
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    stream.write_all(format!("HTTP/1.1 {status} Answer\r\nConnection: close\r\n{headers}\r\n").as_bytes()).await?;
    match fault {
        Some(Fault::BreakAfter(bytes)) => stream.write_all(&body[..bytes.min(body.len())]).await?,
        Some(Fault::WrongBytes) => {
            let mut wrong = body;
            wrong[0] ^= 1;
            stream.write_all(&wrong).await?;
        }
        // Until the client hangs up, or has read more than any answer may have.
        Some(Fault::Endless(..)) => {
            for _ in 0..4_096 {
                stream.write_all(&[b'x'; 64 << 10]).await?;
            }
            state.lock().unwrap().drained = true;
        }
        Some(Fault::Slow(piece, pause)) => {
            for piece in body.chunks(piece) {
                tokio::time::sleep(pause).await;
                stream.write_all(piece).await?;
                stream.flush().await?;
            }
        }
        _ => stream.write_all(&body).await?,
    }
    stream.shutdown().await
}
