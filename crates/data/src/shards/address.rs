//! Addresses of shards, taken apart: which server, which path, and what must not be shown.

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) server: Server,
    /// On the server, escaped as in the address.
    pub(super) path: String,
    /// What tells it from other addresses, without credentials.
    pub(super) identity: String,
    secrets: Vec<String>,
}

/// Who has the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    Web {
        /// Without the path; a query, which may be a signature, stays.
        url: String,
    },
    S3 {
        bucket: String,
        endpoint: Option<String>,
        region: Option<String>,
        /// Key and secret of the address; without them those of the environment count.
        credentials: Option<(String, String)>,
    },
}

impl Address {
    /// `http(s)://[user:password@]host/path[?query]` or
    /// `s3://[key:secret@]bucket/path[?endpoint=..][&region=..]`.
    pub(super) fn parse(text: &str) -> Result<Address, String> {
        let (scheme, rest) = text.split_once("://").ok_or("found no `://` in the address")?;
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => s3(rest),
            scheme => web(scheme, rest),
        }
    }

    /// A text of others, such as an error, without the secrets of this address.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let long = self.secrets.iter().filter(|secret| secret.len() > 2);
        long.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

fn web(scheme: &str, rest: &str) -> Result<Address, String> {
    let (before, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
    let (authority, path) = before.split_once('/').unwrap_or((before, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || path.is_empty() {
        return Err("found no host or no path in the address".to_owned());
    }
    let tail = query.map_or_else(String::new, |query| format!("?{query}"));
    let mut secrets: Vec<String> = query.iter().map(|&query| query.to_owned()).collect();
    secrets.extend(query.into_iter().flat_map(|query| query.split('&')).map(str::to_owned));
    if let Some((user, _)) = authority.rsplit_once('@') {
        secrets.push(user.to_owned());
        secrets.extend(user.split(':').map(str::to_owned));
    }
    Ok(Address {
        server: Server::Web { url: format!("{scheme}://{authority}/{tail}") },
        path: path.to_owned(),
        identity: format!("{scheme}://{host}/{path}{tail}"),
        secrets,
    })
}

fn s3(rest: &str) -> Result<Address, String> {
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A secret may hold a slash, so the credentials end at the last `@`.
    let (credentials, place) = match before.rsplit_once('@') {
        None => (None, before),
        Some((credentials, place)) => {
            let (key, secret) = credentials
                .split_once(':')
                .ok_or("found `@` without `key:secret` in front of it")?;
            (Some((key, secret)), place)
        }
    };
    let (bucket, path) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() || path.is_empty() {
        return Err("found no bucket or no path in the address".to_owned());
    }
    let (mut endpoint, mut region) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("endpoint", value)) => endpoint = Some(unescaped(value)),
            Some(("region", value)) => region = Some(unescaped(value)),
            _ => {
                let name = pair.split('=').next().unwrap_or_default();
                return Err(format!("found `{name}` behind `?`, needed `endpoint=` or `region=`"));
            }
        }
    }
    let mut secrets = Vec::new();
    for part in credentials.iter().flat_map(|(key, secret)| [secret, key]) {
        secrets.push((*part).to_owned());
        secrets.push(unescaped(part));
    }
    Ok(Address {
        identity: format!("s3://{bucket}/{path}?{}", endpoint.as_deref().unwrap_or_default()),
        server: Server::S3 {
            bucket: bucket.to_owned(),
            endpoint,
            region,
            credentials: credentials.map(|(key, secret)| (unescaped(key), unescaped(secret))),
        },
        path: path.to_owned(),
        secrets,
    })
}

/// `%2F` becomes `/`; what is no such escape stays.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digit =
            |offset: usize| bytes.get(at + offset).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                found.push((16 * high + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                found.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&found).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_s3_as_tao_writes_it() {
        let text = "s3://KEY:SEC/RE%2BT@bucket/a/b.tar?endpoint=http%3A%2F%2Fhost:9000&region=eu-1";
        let address = Address::parse(text).unwrap();
        let Server::S3 { bucket, endpoint, region, credentials } = &address.server else {
            panic!("{address:?}")
        };
        assert_eq!((bucket.as_str(), address.path.as_str()), ("bucket", "a/b.tar"));
        assert_eq!(endpoint.as_deref(), Some("http://host:9000"));
        assert_eq!(region.as_deref(), Some("eu-1"));
        assert_eq!(*credentials, Some(("KEY".to_owned(), "SEC/RE+T".to_owned())));
        assert_eq!(address.identity, "s3://bucket/a/b.tar?http://host:9000");
        let said = address.without_secrets("KEY SEC/RE%2BT SEC/RE+T bucket");
        assert_eq!(said, "*** *** *** bucket");
        let plain = Address::parse("s3://bucket/b.tar").unwrap();
        assert!(matches!(plain.server, Server::S3 { credentials: None, endpoint: None, .. }));
    }

    #[test]
    fn an_address_of_a_web_server() {
        let address = Address::parse("https://me:pass@host:1/a/b.tar?sig=TOKEN&x=1").unwrap();
        let url = "https://me:pass@host:1/?sig=TOKEN&x=1".to_owned();
        assert_eq!(address.server, Server::Web { url });
        assert_eq!(address.path, "a/b.tar");
        assert_eq!(address.identity, "https://host:1/a/b.tar?sig=TOKEN&x=1");
        let said = address.without_secrets("GET https://me:pass@host:1/a/b.tar?sig=TOKEN&x=1");
        assert!(!said.contains("pass") && !said.contains("TOKEN"), "{said}");
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (text, expected) in [
            ("s3://bucket", "no path"),
            ("s3:///a.tar", "no bucket"),
            ("s3://x@bucket/a.tar", "without `key:secret`"),
            ("s3://bucket/a.tar?endpont=x", "found `endpont`"),
            ("http://host", "no path"),
            ("https:///a.tar", "no host"),
        ] {
            let problem = Address::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
