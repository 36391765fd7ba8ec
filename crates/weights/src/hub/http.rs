//! Requests to the hub: one hop at a time, so that the token stays with the host it is meant for.

use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};

use ureq::{
    Agent, Body,
    http::{HeaderMap, Method, Request, Response, Uri},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::cache::{blob_name, is_commit};
use super::error::HubError;
use super::name::HubName;
use super::settings::{Hub, Token};
use crate::folder::read_limited;

/// From the hub over a content network to a mirror of it, and some.
const MOST_HOPS: usize = 5;

/// All certificates of the world are a quarter of a megabyte.
const MAX_CERTIFICATE_BYTES: u64 = 16 << 20;
/// What a server says that cannot continue a file where we stopped.
pub(super) const NO_SUCH_RANGE: u16 = 416;

/// Asks the endpoint of some settings for one repository.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    name: HubName,
    endpoint: Uri,
    token: Option<Token>,
    timeout: Duration,
}

/// What the hub says of a file before it sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    /// The commit that the revision means.
    pub(super) commit: String,
    /// Names the content; SHA-256 where it is 64 digits long.
    pub(super) etag: String,
    /// In bytes.
    pub(super) size: u64,
}

/// The answer to the question for a file.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is there.
    There(Announced),
    /// The repository has no such file at this commit, if the hub named one.
    Absent(Option<String>),
}

/// A file on its way.
pub(super) struct Incoming {
    /// The first byte that comes; 0 where the other side starts anew.
    pub(super) start: u64,
    /// How many bytes are to come, where that is said.
    pub(super) length: Option<u64>,
    pub(super) body: Box<dyn Read>,
}

impl Client {
    pub(super) fn new(hub: &Hub, name: &HubName) -> Result<Client, HubError> {
        let timeout = Some(hub.patience.timeout);
        let roots = hub.certificates.as_deref().map_or(Ok(RootCerts::WebPki), certificates)?;
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_send_request(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .build();
        let endpoint = hub.endpoint.parse().map_err(|_| HubError::Variable {
            variable: "HF_ENDPOINT",
            problem: "not an address".to_owned(),
        })?;
        let (token, timeout) = (hub.token.clone(), hub.patience.timeout);
        Ok(Client { agent: config.new_agent(), name: name.clone(), endpoint, token, timeout })
    }

    /// The address of a file of the repository. What names may hold needs no escape in a path.
    pub(super) fn address(&self, revision: &str, file: &str) -> String {
        let revision = revision.replace('/', "%2F");
        format!("{}/{}/resolve/{revision}/{file}", self.endpoint(), self.name.repository())
    }

    /// Asks for a file without fetching it.
    pub(super) fn ask(&self, address: &str) -> Result<Asked, HubError> {
        let mut said = Said::default();
        let mut url = parse(address)?;
        for _ in 0..=MOST_HOPS {
            let response = self.send(Method::HEAD, &url, None)?;
            let (status, headers) = (response.status().as_u16(), response.headers());
            said.listen(headers);
            match status {
                200 => return said.announced(address, Some(headers)).map(Asked::There),
                404 if !names_a_larger_lack(headers) => return Ok(Asked::Absent(said.commit)),
                300..=399 => {
                    let next = redirect(&url, headers)?;
                    // Addresses of a content network are often signed for the fetching itself.
                    if !same_origin(&next, &self.endpoint) && said.is_enough() {
                        return said.announced(address, None).map(Asked::There);
                    }
                    url = next;
                }
                _ => return Err(self.refusal(&url, status, headers)),
            }
        }
        Err(answer(&url, "too many redirects"))
    }

    /// Fetches a file from byte `start` on.
    pub(super) fn fetch(&self, address: &str, start: u64) -> Result<Incoming, HubError> {
        let mut url = parse(address)?;
        for _ in 0..=MOST_HOPS {
            let range = (start > 0).then(|| format!("bytes={start}-"));
            let response = self.send(Method::GET, &url, range)?;
            let (status, headers) = (response.status().as_u16(), response.headers());
            let start = match status {
                200 => 0,
                206 if starts_at(headers) == Some(start) => start,
                206 if start == 0 => {
                    return Err(answer(&url, "found a range of bytes, need the whole file"));
                }
                206 => return Err(HubError::Status { url: shown(&url), status: NO_SUCH_RANGE }),
                300..=399 => {
                    url = redirect(&url, headers)?;
                    continue;
                }
                _ => return Err(self.refusal(&url, status, headers)),
            };
            let length = number(headers, "content-length");
            let body = Box::new(response.into_body().into_reader());
            return Ok(Incoming { start, length, body });
        }
        Err(answer(&url, "too many redirects"))
    }

    /// An error of reading a body.
    pub(super) fn interrupted(&self, address: &str, source: io::Error) -> HubError {
        let is_late = |error: &ureq::Error| matches!(error, ureq::Error::Timeout(_));
        match source.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(error) if is_late(error) => self.late(address),
            _ => HubError::Unreachable { url: address.to_owned(), source },
        }
    }

    pub(super) fn late(&self, address: &str) -> HubError {
        HubError::TimedOut { url: address.to_owned(), seconds: self.timeout.as_secs().max(1) }
    }

    fn send(
        &self,
        method: Method,
        url: &Uri,
        range: Option<String>,
    ) -> Result<Response<Body>, HubError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            // Sizes and ranges count bytes of the file itself.
            .header("accept-encoding", "identity");
        if let Some(range) = range {
            request = request.header("range", range);
        }
        if let Some(token) = &self.token
            && same_origin(url, &self.endpoint)
        {
            request = request.header("authorization", token.header());
        }
        let request = request.body(()).map_err(|_| answer(url, "not an address"))?;
        let mut config = self.agent.configure_request(request);
        if is_loopback(url) {
            config = config.proxy(None);
        }
        self.agent.run(config.build()).map_err(|error| match error {
            ureq::Error::Timeout(_) => self.late(&shown(url)),
            ureq::Error::Protocol(error) => answer(url, &format!("no valid HTTP: {error}")),
            ureq::Error::LargeResponseHeader(..) => answer(url, "headers without an end"),
            other => HubError::Unreachable { url: shown(url), source: other.into_io() },
        })
    }

    /// What a status other than success means.
    fn refusal(&self, url: &Uri, status: u16, headers: &HeaderMap) -> HubError {
        match (text(headers, "x-error-code"), status) {
            (Some("RepoNotFound"), _) => self.no_repository(),
            (Some("RevisionNotFound"), _) => HubError::NoRevision {
                name: self.name.repository().to_owned(),
                revision: self.name.revision().to_owned(),
            },
            (_, 401 | 403) => HubError::Denied {
                url: shown(url),
                status,
                has_token: self.token.is_some(),
                page: format!("{}/{}", self.endpoint(), self.name.repository()),
            },
            _ => HubError::Status { url: shown(url), status },
        }
    }

    pub(super) fn no_repository(&self) -> HubError {
        HubError::NoRepository {
            name: self.name.to_string(),
            endpoint: self.endpoint(),
            has_token: self.token.is_some(),
        }
    }

    fn endpoint(&self) -> String {
        self.endpoint.to_string().trim_end_matches('/').to_owned()
    }
}

/// The certificates of a file that a variable of the environment names.
fn certificates(path: &Path) -> Result<RootCerts, HubError> {
    let wrong = |problem: String| HubError::Variable { variable: "SSL_CERT_FILE", problem };
    let shown = path.display();
    let text = read_limited(path, MAX_CERTIFICATE_BYTES)
        .map_err(|error| wrong(format!("{shown}: cannot be read: {error}")))?;
    let found: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(wrong(format!("{shown}: found no certificate, need a PEM file")));
    }
    Ok(RootCerts::from(found))
}

/// What the hops of one question said together; the hub speaks before those it refers to.
#[derive(Debug, Default)]
struct Said {
    commit: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
}

impl Said {
    fn listen(&mut self, headers: &HeaderMap) {
        let commit = text(headers, "x-repo-commit").filter(|commit| is_commit(commit));
        self.commit = self.commit.take().or(commit.map(str::to_owned));
        let etag = text(headers, "x-linked-etag").and_then(blob_name);
        self.etag = self.etag.take().or(etag);
        self.size = self.size.or(number(headers, "x-linked-size"));
    }

    fn is_enough(&self) -> bool {
        self.commit.is_some() && self.etag.is_some() && self.size.is_some()
    }

    /// `last` speaks for itself where it is the file.
    fn announced(self, url: &str, last: Option<&HeaderMap>) -> Result<Announced, HubError> {
        let missing = |header| HubError::Answer {
            url: url.to_owned(),
            problem: format!("found no usable `{header}` in the answer, need it to check the file"),
        };
        let own_etag = || text(last?, "etag").and_then(blob_name);
        let own_size = || number(last?, "content-length");
        Ok(Announced {
            commit: self.commit.ok_or_else(|| missing("x-repo-commit"))?,
            etag: self.etag.or_else(own_etag).ok_or_else(|| missing("etag"))?,
            size: self.size.or_else(own_size).ok_or_else(|| missing("content-length"))?,
        })
    }
}

/// A 404 for the repository or the revision, not for the file.
fn names_a_larger_lack(headers: &HeaderMap) -> bool {
    matches!(text(headers, "x-error-code"), Some("RepoNotFound" | "RevisionNotFound"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// `bytes 100-199/200` starts at 100.
fn starts_at(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, "content-range")?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

/// Where a redirect leads. From a protected connection it may not lead to a readable one.
fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, HubError> {
    let location = text(headers, "location").unwrap_or_default();
    let scheme = from.scheme_str().unwrap_or_default();
    let host = from.authority().map_or("", |authority| authority.as_str());
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        location.to_owned()
    };
    let to = absolute.parse::<Uri>().ok().filter(|to| {
        to.host().is_some_and(|host| !host.is_empty())
            && match to.scheme_str() {
                Some("https") => true,
                Some("http") => scheme == "http",
                _ => false,
            }
    });
    to.ok_or_else(|| answer(from, "found a redirect to no usable address"))
}

/// Scheme, host and port are the same.
fn same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or(if is_https(uri) { Some(443) } else { Some(80) });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    is_https(one) == is_https(other) && host(one) == host(other) && port(one) == port(other)
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// This machine needs no proxy to reach itself.
fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Without the query, which may hold a signature that opens the file to everybody.
fn shown(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme_str().unwrap_or("http"), url.path())
}

fn answer(url: &Uri, problem: &str) -> HubError {
    HubError::Answer { url: shown(url), problem: problem.to_owned() }
}

fn parse(address: &str) -> Result<Uri, HubError> {
    let wrong = || HubError::Answer { url: address.to_owned(), problem: "no address".to_owned() };
    address.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn a_redirect_never_leaves_protection() {
        let check = |from: &str, location: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("location", location.parse().unwrap());
            let found = redirect(&uri(from), &headers).ok().map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{from} {location}");
        };
        check("https://a/b", "/c?d=e", Some("https://a/c?d=e"));
        check("https://a:1/b", "https://x/c", Some("https://x/c"));
        check("https://a/b", "//x/c", Some("https://x/c"));
        check("http://a/b", "http://x/c", Some("http://x/c"));
        check("https://a/b", "http://a/b", None);
        check("https://a/b", "file:///etc/passwd", None);
        check("https://a/b", "c", None);
        check("https://a/b", "", None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (one, other, same) in [
            ("https://a/x", "https://A:443/y", true),
            ("http://a", "http://a:80/z", true),
            ("https://a", "http://a:443", false),
            ("https://a", "https://a.b", false),
            ("http://a:1", "http://a:2", false),
        ] {
            assert_eq!(same_origin(&uri(one), &uri(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let url = uri("https://user:secret@x:8/a/b?signature=secret");
        assert_eq!(shown(&url), "https://x:8/a/b");
    }
}
