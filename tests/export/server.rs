//! A stand-in for an API server on loopback: discovery, lists in pages, and what goes wrong with them.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What happens to the lists of a kind, by its plural.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The user may not list them.
    Forbidden,
    /// The user may list them in one namespace only.
    ForbiddenOutside(&'static str),
    /// No answer ever comes.
    Silent,
    /// So many `continue` tokens are forgotten; where it is more than one, the server makes pages even unasked.
    Gone(usize),
    /// The body ends too early.
    Broken,
    /// No JSON, but a secret of somebody's.
    Garbage,
    /// The body goes on and on.
    Endless,
    /// The same with the status of an error.
    EndlessError,
    /// After every page comes another, each with an object of its own.
    Pages,
    /// Every page is followed by itself.
    Circle,
}

/// So much of an endless body is sent at last, lest a client that reads it all takes the machine with it.
const ENDLESS: usize = 512 << 20;

#[derive(Debug, Clone)]
struct Kind {
    group: String,
    version: String,
    plural: String,
    kind: String,
    namespaced: bool,
}

#[derive(Default)]
struct State {
    kinds: Vec<Kind>,
    objects: HashMap<(String, String), Vec<Value>>,
    faults: HashMap<String, Fault>,
    gone: usize,
    requests: Vec<String>,
    token: Option<String>,
    groups_down: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

/// A running API server. Dropped, it closes all.
pub(crate) struct ApiServer {
    address: SocketAddr,
    state: Shared,
    certificate: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ApiServer {
    pub(crate) fn plain() -> Self {
        Self::start(None, None)
    }

    pub(crate) fn secure() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned(), "0.0.0.0".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, secret).unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), Some(certificate.pem()))
    }

    fn start(tls: Option<TlsAcceptor>, certificate: Option<String>) -> Self {
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
                        // A client that hangs up ends its connection.
                        match tls {
                            None => drop(answer(stream, &shared).await),
                            Some(tls) => {
                                let Ok(stream) = tunnel(stream, &shared).await else { return };
                                let Ok(stream) = tls.accept(stream).await else { return };
                                let _ = answer(stream, &shared).await;
                            }
                        }
                    });
                }
            });
        });
        Self { address, state, certificate, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The address, for being named as a proxy.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a kubeconfig with the contexts `lab`, the current one, and `gone`, where nobody listens.
    pub(crate) fn write_kubeconfig(&self, file: &Path) {
        let mut cluster = json!({"server": self.url()});
        if let Some(pem) = &self.certificate {
            let place = file.with_file_name("authority.pem");
            std::fs::write(&place, pem).unwrap();
            cluster["certificate-authority"] = place.to_str().unwrap().into();
        }
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let token = self.state.lock().unwrap().token.clone().unwrap_or_else(|| "none".to_owned());
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}, {"name": "gone", "cluster": {"server": format!("http://{closed}")}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [
                {"name": "lab", "context": {"cluster": "lab", "user": "me"}},
                {"name": "gone", "context": {"cluster": "gone", "user": "me"}},
            ],
        });
        std::fs::write(file, config.to_string()).unwrap();
    }

    /// Lets in only who brings this token.
    pub(crate) fn require(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Serves a kind: `apps/v1`, `deployments`, `Deployment`.
    pub(crate) fn kind(&self, api_version: &str, plural: &str, kind: &str, namespaced: bool) {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.state.lock().unwrap().kinds.push(Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
        });
    }

    /// Adds an object, whose `apiVersion` and `kind` are left out of lists of the server's own kinds, as there.
    pub(crate) fn object(&self, object: Value) {
        let mut state = self.state.lock().unwrap();
        let api_version = object["apiVersion"].as_str().unwrap();
        let (group, _) = api_version.split_once('/').unwrap_or(("", api_version));
        let found = state.kinds.iter().find(|kind| kind.group == group && object["kind"] == kind.kind);
        let kind = found.unwrap_or_else(|| panic!("{api_version} {} is not served", object["kind"])).clone();
        let mut object = object;
        if !kind.group.contains("example.org") {
            object.as_object_mut().unwrap().remove("apiVersion");
            object.as_object_mut().unwrap().remove("kind");
        }
        state.objects.entry((kind.group, kind.plural)).or_default().push(object);
    }

    pub(crate) fn fault(&self, plural: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(plural.to_owned(), fault);
    }

    pub(crate) fn heal(&self, plural: &str) {
        self.state.lock().unwrap().faults.remove(plural);
    }

    /// The server that has this group and version does not answer.
    pub(crate) fn group_down(&self, group_version: &str) {
        self.state.lock().unwrap().groups_down.push(group_version.to_owned());
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Is the proxy to itself, where a client asks for a tunnel first.
async fn tunnel(mut stream: TcpStream, state: &Shared) -> std::io::Result<TcpStream> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == *b"C" {
        let head = head(&mut stream).await?;
        state.lock().unwrap().requests.push(head.lines().next().unwrap().to_owned());
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    Ok(stream)
}

async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Vec<u8>) {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code});
    (code, body.to_string().into_bytes())
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: &Shared) -> std::io::Result<()> {
    let head = head(&mut stream).await?;
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let authorization = head.lines().find_map(|line| {
        line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case("authorization")).map(|(_, value)| value)
    });
    let allowed =
        state.lock().unwrap().token.as_ref().is_none_or(|token| authorization == Some(&format!("Bearer {token}")));
    state.lock().unwrap().requests.push(target.clone());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let plural = path.rsplit('/').next().unwrap().to_owned();
    let fault = state.lock().unwrap().faults.get(&plural).copied();
    if fault == Some(Fault::Silent) {
        std::future::pending::<()>().await;
    }
    if let Some(Fault::Endless | Fault::EndlessError) = fault {
        return endless(stream, if fault == Some(Fault::Endless) { 200 } else { 500 }).await;
    }
    let (code, body) = match allowed {
        false => status(401, "Unauthorized", "Unauthorized"),
        true => respond(&mut state.lock().unwrap(), path, query),
    };
    let sent = if fault == Some(Fault::Broken) { &body[..body.len() / 2] } else { &body };
    let head = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(sent).await?;
    stream.shutdown().await
}

async fn endless<S: AsyncWrite + Unpin>(mut stream: S, code: u16) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let part = vec![b' '; 1 << 20];
    for _ in 0..ENDLESS / part.len() {
        stream.write_all(&part).await?;
    }
    stream.shutdown().await
}

fn respond(state: &mut State, path: &str, query: &str) -> (u16, Vec<u8>) {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let ok = |value: Value| (200, value.to_string().into_bytes());
    match parts[..] {
        ["api"] => ok(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => ok(groups(state)),
        ["api", version] => ok(resources(state, "", version)),
        ["apis", group, version] if state.groups_down.contains(&format!("{group}/{version}")) => {
            status(500, "InternalError", "the aggregated API is down")
        }
        ["apis", group, version] => ok(resources(state, group, version)),
        ["api", version, ref rest @ ..] => list(state, "", version, rest, query),
        ["apis", group, version, ref rest @ ..] => list(state, group, version, rest, query),
        _ => status(404, "NotFound", "not found"),
    }
}

fn groups(state: &State) -> Value {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for kind in state.kinds.iter().filter(|kind| !kind.group.is_empty()) {
        match groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, versions)) if versions.contains(&kind.version) => {}
            Some((_, versions)) => versions.push(kind.version.clone()),
            None => groups.push((kind.group.clone(), vec![kind.version.clone()])),
        }
    }
    let down = state.groups_down.iter().map(|name| {
        let (group, version) = name.split_once('/').unwrap();
        (group.to_owned(), vec![version.to_owned()])
    });
    let groups: Vec<Value> = groups
        .into_iter()
        .chain(down)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
                .collect();
            json!({"name": group, "versions": versions, "preferredVersion": versions[0]})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn resources(state: &State, group: &str, version: &str) -> Value {
    let own = state.kinds.iter().filter(|kind| kind.group == group && kind.version == version);
    let resources: Vec<Value> = own
        .flat_map(|kind| {
            let resource = |name: String, verbs: Value| {
                json!({"name": name, "singularName": "", "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs})
            };
            [
                resource(kind.plural.clone(), json!(["create", "delete", "get", "list", "watch"])),
                resource(format!("{}/status", kind.plural), json!(["get", "patch"])),
            ]
        })
        .collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// A page that says that there are more.
fn another_page(number: usize) -> (u16, Vec<u8>) {
    let item = json!({"metadata": {"name": format!("page-{number}"), "namespace": "shop"}});
    (200, json!({"metadata": {"continue": format!("page-{number}")}, "items": [item]}).to_string().into_bytes())
}

fn list(state: &mut State, group: &str, version: &str, rest: &[&str], query: &str) -> (u16, Vec<u8>) {
    let (namespace, plural) = match *rest {
        ["namespaces", namespace, plural] => (Some(namespace), plural),
        [plural] => (None, plural),
        _ => return status(404, "NotFound", "not found"),
    };
    let forbidden =
        || status(403, "Forbidden", &format!("{plural} is forbidden: User \"me\" cannot list resource \"{plural}\""));
    match state.faults.get(plural) {
        Some(Fault::Forbidden) => return forbidden(),
        Some(Fault::ForbiddenOutside(only)) if namespace != Some(*only) => return forbidden(),
        Some(Fault::Garbage) => return (200, b"{\"items\": \"canary-of-garbage\"}".to_vec()),
        Some(Fault::Pages) => return another_page(state.requests.len()),
        Some(Fault::Circle) => return another_page(0),
        _ => {}
    }
    let Some(kind) =
        state.kinds.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
    else {
        return status(404, "NotFound", "not found");
    };
    let kind = kind.kind.clone();
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let from = parameter("continue").map_or(0, |token| token.split('-').nth(1).unwrap().parse().unwrap());
    let gone = match state.faults.get(plural) {
        Some(Fault::Gone(times)) => *times,
        _ => 0,
    };
    if from > 0 && state.gone < gone {
        state.gone += 1;
        return status(410, "Expired", "The provided continue parameter is too old");
    }
    let all = state.objects.get(&(group.to_owned(), plural.to_owned())).cloned().unwrap_or_default();
    let inside = |object: &Value| namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace);
    let all: Vec<Value> = all.into_iter().filter(inside).collect();
    let limit = parameter("limit").map_or(usize::MAX, |limit| limit.parse().unwrap());
    let limit = if gone > 1 { limit.min(500) } else { limit };
    let page: Vec<Value> = all.iter().skip(from).take(limit).cloned().collect();
    let end = from + page.len();
    let mut metadata = json!({"resourceVersion": "4711"});
    if end < all.len() {
        metadata["continue"] = format!("after-{end}-{}", state.requests.len()).into();
        metadata["remainingItemCount"] = (all.len() - end).into();
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let body = json!({"kind": format!("{kind}List"), "apiVersion": group_version, "metadata": metadata, "items": page});
    (200, body.to_string().into_bytes())
}
