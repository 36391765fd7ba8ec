//! Shards on S3 and on web servers: fetched whole into the cache, and again only when they changed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Location;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use serde::{Deserialize, Serialize};

use super::address::{Address, Server};
use crate::cache::{self, Cache, Turn};
use crate::error::DataError;
use crate::work::Meter;

/// A server that sends nothing for this long has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// What was fetched, to tell whether the server has something else by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fetched {
    etag: Option<String>,
    bytes: u64,
    /// Seconds since 1970; 0 where the server does not say.
    modified: i64,
}

impl Fetched {
    fn of(meta: &ObjectMeta) -> Fetched {
        Fetched {
            etag: meta.e_tag.clone(),
            bytes: meta.size,
            modified: meta.last_modified.timestamp().max(0),
        }
    }

    /// Whether a server that has no better mark would have changed one of these.
    fn is_telling(&self) -> bool {
        self.etag.is_some() || self.modified > 0
    }
}

/// Where the copy of a shard lies, and where it is made.
struct Copy<'a> {
    place: &'a Path,
    temporary: &'a Path,
}

/// The local copy of a shard, which `name` calls without its secrets.
pub(super) fn fetched(
    text: &str,
    name: &str,
    cache: &Cache,
    meter: &Meter,
) -> Result<PathBuf, DataError> {
    let refused = |problem| DataError::Archive { name: name.to_owned(), problem, hint: None };
    let address = Address::parse(text).map_err(refused)?;
    let needed = |problem| Cache::needed(&format!("fetching {name}"), problem);
    let folder = cache.folder("fetched").map_err(needed)?;
    let place = folder.join(format!("{}.tar", cache::key(address.identity.as_bytes())));
    let turn = Turn::wait(&place, meter).map_err(needed)?;
    let fetch = || -> Result<(), String> {
        let copy = Copy { place: &place, temporary: turn.temporary() };
        let store = store(&address).map_err(|error| explained(&error))?;
        let location = Location::from_url_path(&address.path).map_err(|error| explained(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| explained(&error))?;
        runtime.block_on(bring_up_to_date(&*store, &location, &copy, meter))
    };
    let fetched = fetch();
    // Of an error, or a stop, nothing stays but the lock.
    let _ = fs::remove_file(turn.temporary());
    fetched.map_err(|problem| refused(address.without_secrets(&problem)))?;
    Ok(place)
}

fn store(address: &Address) -> Result<Box<dyn ObjectStore>, object_store::Error> {
    // A shard may take long: only silence is a reason to give up.
    let options = ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE);
    let retry = RetryConfig { max_retries: 3, retry_timeout: SILENCE, ..RetryConfig::default() };
    match &address.server {
        Server::Web { url } => {
            let options = options.with_allow_http(true);
            let web = HttpBuilder::new().with_url(url).with_client_options(options);
            Ok(Box::new(web.with_retry(retry).build()?))
        }
        Server::S3 { bucket, endpoint, region, credentials } => {
            let is_plain = endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
            let mut s3 = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(options.with_allow_http(is_plain))
                .with_retry(retry);
            if let Some(endpoint) = endpoint {
                s3 = s3.with_endpoint(endpoint);
            }
            if let Some(region) = region {
                s3 = s3.with_region(region);
            }
            if let Some((key, secret)) = credentials {
                s3 = s3.with_access_key_id(key).with_secret_access_key(secret);
            }
            Ok(Box::new(s3.build()?))
        }
    }
}

/// Fetches what is not there, or is there in another state than on the server.
async fn bring_up_to_date(
    store: &dyn ObjectStore,
    location: &Location,
    &Copy { place, temporary }: &Copy<'_>,
    meter: &Meter,
) -> Result<(), String> {
    let record = place.with_extension("json");
    let known = known(place, &record);
    let mut options = GetOptions::default();
    match &known {
        Some(Fetched { etag: Some(etag), .. }) => options.if_none_match = Some(etag.clone()),
        Some(known) if known.is_telling() => {
            let now = store.head(location).await.map_err(|error| explained(&error))?;
            if Fetched::of(&now) == *known {
                return Ok(());
            }
        }
        _ => {}
    }
    let found = match store.get_opts(location, options).await {
        Ok(found) => found,
        Err(object_store::Error::NotModified { .. }) => return Ok(()),
        Err(error) => return Err(explained(&error)),
    };
    let fetched = Fetched::of(&found.meta);
    let local = |problem: io::Error| problem.to_string();
    // A record without its file is no harm; a file with the record of another would be.
    if record.exists() {
        fs::remove_file(&record).map_err(local)?;
    }
    let folder = place.parent().unwrap_or(Path::new("."));
    cache::check_space(folder, fetched.bytes).map_err(local)?;
    let mut file = BufWriter::new(File::create(temporary).map_err(local)?);
    let (mut pieces, mut bytes) = (found.into_stream(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| explained(&error))?;
        bytes += piece.len() as u64;
        file.write_all(&piece).and_then(|()| meter.add(piece.len() as u64)).map_err(local)?;
    }
    if bytes != fetched.bytes {
        return Err(format!(
            "found {bytes} bytes, needed the {} that were announced",
            fetched.bytes
        ));
    }
    file.into_inner().map_err(|error| local(error.into_error()))?.sync_all().map_err(local)?;
    fs::rename(temporary, place).map_err(local)?;
    let json = serde_json::to_vec(&fetched).expect("texts and numbers");
    cache::write(&record, &json).map_err(local)
}

/// What was fetched before, if it is still whole.
fn known(place: &Path, record: &Path) -> Option<Fetched> {
    let known: Fetched = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    (fs::metadata(place).ok()?.len() == known.bytes).then_some(known)
}

/// The error with its causes, each once.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.trim_end_matches([':', ' ']).to_owned()
}
