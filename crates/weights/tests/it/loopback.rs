//! A hub on this machine: answers like Hugging Face's, one request per connection, and what it was asked.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What was asked; names of headers are in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body after which the connection ends, or falls silent.
    pub(crate) cut: Option<usize>,
    pub(crate) hang: Option<Duration>,
    /// Sent in this many pieces, with a pause before each.
    pub(crate) drip: Option<(usize, Duration)>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Reply {
        Reply { status, ..Reply::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A server that lives as long as the process.
pub(crate) struct Loopback {
    /// `http://127.0.0.1:PORT`
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Loopback {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Loopback { address, asked }
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
) {
    let Some(request) = read_request(&stream) else { return };
    log.lock().unwrap().push(request.clone());
    // A client that goes away early is part of some tests.
    let _ = send(&mut stream, &answer(&request), request.method == "HEAD");
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':').map(|(a, b)| (a.to_lowercase(), b.trim().into())))
        .collect();
    Some(Request { method, path, headers })
}

fn send(stream: &mut TcpStream, reply: &Reply, is_head: bool) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    let is_framed = |name: &str| name == "content-length" || name == "transfer-encoding";
    if !reply.headers.iter().any(|(name, _)| is_framed(name)) {
        head += &format!("content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
    if !is_head {
        match reply.drip {
            None => stream.write_all(body)?,
            Some((pieces, pause)) => {
                for piece in body.chunks(body.len().div_ceil(pieces).max(1)) {
                    thread::sleep(pause);
                    stream.write_all(piece)?;
                }
            }
        }
    }
    stream.flush()?;
    thread::sleep(reply.hang.unwrap_or_default());
    Ok(())
}

/// Files of one commit of `org/name`, answered as the public hub does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mirror {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Mirror {
    pub(crate) fn of(files: &[(&str, &[u8])]) -> Mirror {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        Mirror { files: files.collect() }
    }

    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let Some(rest) = request.path.strip_prefix("/org/name/resolve/") else {
            return Reply::status(401).with("x-error-code", "RepoNotFound");
        };
        let (revision, file) = rest.split_once('/').unwrap();
        if !["main", "v1", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
            return Reply::status(404).with("x-error-code", "RevisionNotFound");
        }
        match self.files.get(file) {
            Some(bytes) => part_of(request, bytes).with("etag", etag(file, bytes)),
            None => Reply::status(404).with("x-error-code", "EntryNotFound"),
        }
        .with("x-repo-commit", COMMIT)
    }
}

/// The bytes that a request asks for.
pub(crate) fn part_of(request: &Request, bytes: &[u8]) -> Reply {
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
    let Some(start) = range.and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok()) else {
        return Reply { status: 200, body: bytes.to_vec(), ..Reply::default() };
    };
    if start >= bytes.len() {
        return Reply::status(416);
    }
    let reply = Reply { status: 206, body: bytes[start..].to_vec(), ..Reply::default() };
    reply.with("content-range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
}

/// SHA-256 for large files (LFS), something shorter for others.
pub(crate) fn etag(file: &str, bytes: &[u8]) -> String {
    let digits = sha256(bytes);
    let is_large = file.ends_with(".safetensors") || file.ends_with(".bin");
    format!("\"{}\"", if is_large { &digits } else { &digits[..40] })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
