//! Joining a cluster through the socket of a program that runs as root. The token is in what is written to it, so that no user
//! of the host sees it in the list of processes.

use std::io::{Read, Write};
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::programs::pause;
use super::{PAUSE, StepError};
use crate::apply::Interrupt;
use crate::distro::Join;
use crate::host::Root;
use crate::io::AtPath;
use crate::variables::MASK;

/// How long the program is waited for that makes the socket.
const SOCKET_LIMIT: Duration = Duration::from_secs(60);
/// How long one reading waits before it is looked whether somebody wants it to stop.
const READ_LIMIT: Duration = Duration::from_millis(500);
/// The longest answer.
const MAX_ANSWER: u64 = 64 << 10;

/// Joins, and waits until that is done.
///
/// # Errors
/// Where the program is not there, refuses, or does not answer in time.
pub(super) fn join(join: &Join, root: &Root, interrupt: &Interrupt) -> Result<(), StepError> {
    let there = |path: &str| root.resolve(path).is_ok_and(|path| path.exists());
    if !there(&join.when) {
        return Ok(());
    }
    let read = |path: &String| std::fs::read_to_string(path).at("read", Path::new(path));
    let (token, config) = (read(&join.token)?, read(&join.config)?);
    let token = token.trim_end_matches('\n');
    let failed = |why: String| StepError::Program {
        what: join.what.clone(),
        program: join.socket.clone(),
        why: why.replace(token, MASK),
    };
    let address = match join.address {
        Some(address) => SocketAddr::new(address, join.port).to_string(),
        None => address(&join.server, join.port).map_err(&failed)?,
    };
    let body = json!({"name": join.name, "address": address, "token": token, "config": config}).to_string();
    let begun = Instant::now();
    let limit = Duration::from_secs(join.seconds.into());
    loop {
        let mut stream = connect(&join.socket, begun, interrupt)?.map_err(&failed)?;
        // An answer in HTTP/1.0 ends with the connection.
        let head = format!(
            "POST {} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            join.request,
            body.len()
        );
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        sent.map_err(|error| failed(format!("did not take the request: {error}")))?;
        let answer = answer(&mut stream, begun + limit, interrupt)?.map_err(&failed)?;
        match outcome(&answer) {
            Outcome::Done => return Ok(()),
            Outcome::NotYet(_) if begun.elapsed() < limit => pause(PAUSE, interrupt)?,
            Outcome::NotYet(why) | Outcome::Refused(why) => return Err(failed(format!("refused: {why}"))),
        }
    }
}

/// The address of this machine from which the cluster is reached.
fn address(server: &str, port: u16) -> Result<String, String> {
    let server = server.split_once("://").map_or(server, |(_, rest)| rest).trim_end_matches('/');
    let unreachable = |error: std::io::Error| format!("cannot tell by which address {server} is reached: {error}");
    let targets = server.to_socket_addrs().map_err(unreachable)?;
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for target in targets {
        let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // This sends nothing: it only asks the kernel for the route.
        match UdpSocket::bind(any).and_then(|socket| socket.connect(target).and_then(|()| socket.local_addr())) {
            Ok(mut local) => {
                local.set_port(port);
                return Ok(local.to_string());
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

type Tried<T> = Result<Result<T, String>, StepError>;

fn connect(socket: &str, begun: Instant, interrupt: &Interrupt) -> Tried<UnixStream> {
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                let set = stream.set_read_timeout(Some(READ_LIMIT));
                return Ok(set.map(|()| stream).map_err(|error| error.to_string()));
            }
            Err(error) if begun.elapsed() >= SOCKET_LIMIT => return Ok(Err(format!("does not answer: {error}"))),
            Err(_) => pause(PAUSE, interrupt)?,
        }
    }
}

/// All that comes until the connection ends.
fn answer(stream: &mut UnixStream, until: Instant, interrupt: &Interrupt) -> Tried<Vec<u8>> {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(Ok(all)),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
            Err(error) => return Ok(Err(format!("broke off: {error}"))),
        }
        if all.len() as u64 > MAX_ANSWER {
            return Ok(Err("has a longer answer than it can have".to_owned()));
        }
        if interrupt.is_set() {
            return Err(StepError::Interrupted);
        }
        if Instant::now() >= until {
            return Ok(Err("did not answer in time".to_owned()));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    NotYet(String),
    Refused(String),
}

/// What an answer says: its status, and the `error` of its document.
fn outcome(answer: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status: Option<u16> = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let document: Option<Value> = serde_json::from_str(body).ok();
    let field = |name: &str| document.as_ref().and_then(|document| document.get(name)?.as_str().map(str::to_owned));
    let error = field("error").filter(|error| !error.is_empty());
    match (status, error) {
        (Some(200..=299), None) if field("type").as_deref() != Some("error") => Outcome::Done,
        (Some(status), error) => {
            let why = error.unwrap_or_else(|| format!("status {status}"));
            // What microcluster says while it starts.
            if status == 503 || why.contains("not yet ready") { Outcome::NotYet(why) } else { Outcome::Refused(why) }
        }
        (None, _) => Outcome::Refused("it does not speak HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::IpAddr;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Answers one connection after another, and returns what was sent on each.
    fn serve(socket: &Path, answers: &'static [&'static str]) -> thread::JoinHandle<Vec<(String, Value)>> {
        let listener = UnixListener::bind(socket).unwrap();
        thread::spawn(move || {
            let one = |answer: &&str| {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let (mut request, mut length) = (String::new(), 0);
                reader.read_line(&mut request).unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.strip_prefix("Content-Length: ") {
                        length = value.trim().parse().unwrap();
                    }
                    if line == "\r\n" {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
                (request, serde_json::from_slice(&body).unwrap())
            };
            answers.iter().map(one).collect()
        })
    }

    fn try_it(answers: &'static [&'static str]) -> (Result<(), StepError>, Vec<(String, Value)>) {
        try_at(None, answers)
    }

    fn try_at(
        address: Option<IpAddr>,
        answers: &'static [&'static str],
    ) -> (Result<(), StepError>, Vec<(String, Value)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("token"), "canary\n").unwrap();
        std::fs::write(path("config"), "extra-sans: [\"a\"]\n").unwrap();
        std::fs::write(path("begun"), "").unwrap();
        let served = serve(&folder.path().join("socket"), answers);
        let step = Join {
            what: "join the cluster".to_owned(),
            socket: path("socket"),
            request: "/1.0/k8sd/cluster/join".to_owned(),
            name: "n2".to_owned(),
            server: "https://127.0.0.1:6400".to_owned(),
            address,
            port: 6400,
            token: path("token"),
            config: path("config"),
            when: path("begun"),
            seconds: 60,
        };
        let joined = join(&step, &Root::new(Path::new("/")).unwrap(), &Interrupt::never());
        (joined, served.join().unwrap())
    }

    #[test]
    fn the_token_goes_into_the_body_and_is_in_no_message() {
        const REFUSED: &[&str] =
            &["HTTP/1.0 400 Bad Request\r\n\r\n{\"type\":\"error\",\"error\":\"the token canary is used\"}"];
        let (joined, sent) = try_it(&["HTTP/1.0 200 OK\r\n\r\n{\"type\":\"sync\",\"error\":\"\"}"]);
        joined.unwrap();
        assert_eq!(sent[0].0, "POST /1.0/k8sd/cluster/join HTTP/1.0\r\n");
        let expected = json!({
            "name": "n2", "address": "127.0.0.1:6400", "token": "canary", "config": "extra-sans: [\"a\"]\n"
        });
        assert_eq!(sent[0].1, expected);
        let error = try_it(REFUSED).0.unwrap_err().to_string();
        assert!(error.contains("refused: the token •••• is used") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_node_has_the_address_that_it_is_given() {
        let (joined, sent) = try_at(Some("fd00::7".parse().unwrap()), &["HTTP/1.0 200 OK\r\n\r\n{}"]);
        joined.unwrap();
        assert_eq!(sent[0].1["address"], "[fd00::7]:6400");
    }

    #[test]
    fn what_is_not_ready_yet_is_asked_again() {
        let (joined, sent) = try_it(&[
            "HTTP/1.0 503 Service Unavailable\r\n\r\n",
            "HTTP/1.0 500 Error\r\n\r\n{\"type\":\"error\",\"error\":\"Database is not yet ready\"}",
            "HTTP/1.0 200 OK\r\n\r\n{}",
        ]);
        joined.unwrap();
        assert_eq!(sent.len(), 3);
    }

    #[test]
    fn answers_are_told_apart() {
        let refused = |why: &str| Outcome::Refused(why.to_owned());
        assert_eq!(outcome(b"HTTP/1.0 200 OK\r\n\r\n{\"type\":\"error\",\"error\":\"no\"}"), refused("no"));
        assert_eq!(outcome(b"HTTP/1.0 404 Not Found\r\n\r\n"), refused("status 404"));
        assert_eq!(outcome(b"hello"), refused("it does not speak HTTP"));
        assert_eq!(outcome(b""), refused("it does not speak HTTP"));
    }

    #[test]
    fn nothing_is_joined_where_nothing_was_begun() {
        let step = Join {
            what: String::new(),
            socket: "/nonexistent/socket".to_owned(),
            request: "/".to_owned(),
            name: String::new(),
            server: String::new(),
            address: None,
            port: 1,
            token: String::new(),
            config: String::new(),
            when: "/nonexistent/begun".to_owned(),
            seconds: 1,
        };
        join(&step, &Root::new(Path::new("/")).unwrap(), &Interrupt::never()).unwrap();
    }
}
