//! Shards with addresses: refused without the feature `s3`; with it fetched from a server on loopback.

use std::fs;

use hearth_data::DataError;
use hearth_data::cache::Cache;
use hearth_data::captions::Captions;
use hearth_data::pairs::{Missing, Pairs, Reading, Source, read_pairs};
use hearth_data::shards::ShardSource;
use hearth_data::work::Unwatched;
use tempfile::TempDir;

/// Reads the shards of a list in `folder`.
fn read(folder: &TempDir, list: &str, root: Option<&str>) -> Result<Pairs, DataError> {
    let path = folder.path().join("shards.txt");
    fs::write(&path, list).unwrap();
    read_source(folder, ShardSource::List { list: path, root: root.map(str::to_owned) })
}

fn read_source(folder: &TempDir, source: ShardSource) -> Result<Pairs, DataError> {
    let cache = Cache::at(&folder.path().join("cache"));
    let reading = Reading {
        captions: Captions::Whole,
        cache: &cache,
        missing: Missing::IsAnError,
        watch: &Unwatched,
    };
    read_pairs(&[Source::Shards(source)], &reading)
}

fn error(folder: &TempDir, list: &str) -> String {
    let error = read(folder, list, None).unwrap_err().to_string();
    error.replace(&folder.path().display().to_string(), "DIR")
}

#[cfg(not(feature = "s3"))]
#[test]
fn addresses_are_refused_without_their_secrets() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(
        error(
            &folder,
            "s3://KEY:SECRET@bucket/a.tar?endpoint=http://host\nhttps://host/b.tar?sig=TOKEN"
        ),
        "DIR/shards.txt: 2 shards cannot be read: \
         https://host/b.tar: this build reads no addresses, build it with `cargo build --release -p \
         trainer --features s3` or fetch the shards, \
         s3://bucket/a.tar: this build reads no addresses, build it with `cargo build --release -p \
         trainer --features s3` or fetch the shards"
    );
    let one = "S3://KEY:SECRET@bucket/a.tar?endpoint=http://host";
    let error = read_source(&folder, ShardSource::One(one.into())).unwrap_err().to_string();
    assert!(error.starts_with("S3://bucket/a.tar: this build"), "{error}");
    let error = read(&folder, "a.tar", Some("s3://bucket/train")).unwrap_err().to_string();
    assert!(error.contains("s3://bucket/train/a.tar: this build"), "{error}");
}

#[cfg(feature = "s3")]
mod served {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use hearth_data::shards::ShardSource;

    use super::{error, read, read_source};
    use crate::it::shards::{gzip, tar_of};

    /// What the server has under a path, and how it answers.
    #[derive(Clone, Default)]
    struct File {
        content: Vec<u8>,
        etag: Option<&'static str>,
        modified: Option<&'static str>,
        /// Ends the connection after so many bytes.
        cut: Option<usize>,
    }

    #[derive(Clone)]
    struct Server {
        port: u16,
        files: Arc<Mutex<BTreeMap<String, File>>>,
        /// Request line and answer, with the credentials that came.
        log: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        fn start() -> Server {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = Server { port, files: Arc::default(), log: Arc::default() };
            let shared = server.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let server = shared.clone();
                    thread::spawn(move || server.answer(stream.unwrap()));
                }
            });
            server
        }

        fn put(&self, path: &str, file: File) {
            self.files.lock().unwrap().insert(path.to_owned(), file);
        }

        fn log(&self) -> Vec<String> {
            std::mem::take(&mut self.log.lock().unwrap())
        }

        fn answer(&self, mut stream: TcpStream) {
            let mut lines =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let Some(request) = lines.next() else { return };
            let headers: BTreeMap<String, String> = lines
                .take_while(|line| !line.is_empty())
                .filter_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    Some((name.to_lowercase(), value.to_owned()))
                })
                .collect();
            let mut words = request.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let file = self.files.lock().unwrap().get(path).cloned();
            let same = |file: &File| {
                file.etag.is_some() && headers.get("if-none-match").map(String::as_str) == file.etag
            };
            let status = match &file {
                None => "404 Not Found",
                Some(file) if same(file) => "304 Not Modified",
                Some(_) => "200 OK",
            };
            let credentials = headers.get("authorization").map_or("", String::as_str);
            self.log
                .lock()
                .unwrap()
                .push(format!("{method} {path} {} {credentials}", &status[..3]));
            let file = file.unwrap_or_default();
            let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
            for (name, value) in [("ETag", file.etag), ("Last-Modified", file.modified)] {
                if let Some(value) = value {
                    head += &format!("{name}: {value}\r\n");
                }
            }
            let body = if status == "200 OK" { &file.content[..] } else { &[] };
            head += &format!("Content-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes());
            if method == "GET" {
                let _ = stream.write_all(&body[..file.cut.unwrap_or(body.len()).min(body.len())]);
            }
        }
    }

    fn shard(caption: &str) -> Vec<u8> {
        tar_of(&["1.jpg", &format!("1.txt={caption}")])
    }

    #[track_caller]
    fn captions(pairs: hearth_data::pairs::Pairs) -> Vec<String> {
        let key = hearth_data::random::Key::new(0);
        pairs.pairs.iter().map(|pair| pair.caption.text(&key).unwrap().into_owned()).collect()
    }

    #[test]
    fn a_shard_is_fetched_once_and_again_when_it_changed() {
        let server = Server::start();
        let marks: [(Option<&str>, Option<&str>, &str); 3] = [
            (Some("\"v1\""), None, "GET /s/a%20b.tar 304 "),
            (None, Some("Wed, 21 Oct 2015 07:28:00 GMT"), "HEAD /s/a%20b.tar 200 "),
            (None, None, "GET /s/a%20b.tar 200 "),
        ];
        for (etag, modified, second) in marks {
            let folder = tempfile::tempdir().unwrap();
            let file = File { content: shard("one"), etag, modified, cut: None };
            server.put("/s/a%20b.tar", file.clone());
            let address = format!("http://127.0.0.1:{}/s/a%20b.tar", server.port);
            let found = || captions(read(&folder, &address, None).unwrap());
            assert_eq!(found(), ["one"]);
            assert_eq!(server.log(), ["GET /s/a%20b.tar 200 "]);
            assert_eq!(found(), ["one"]);
            assert_eq!(server.log(), [second]);
            let changed = File {
                content: gzip(&shard("other")),
                etag: etag.map(|_| "\"v2\""),
                modified: modified.map(|_| "Wed, 21 Oct 2015 07:29:00 GMT"),
                cut: None,
            };
            server.put("/s/a%20b.tar", changed);
            assert_eq!(found(), ["other"], "and a compressed one is unpacked");
            server.log();
        }
    }

    #[test]
    fn lists_join_addresses_and_expand_braces() {
        let server = Server::start();
        for (name, caption) in [("/t/0.tar", "one"), ("/t/1.tar", "two")] {
            server.put(name, File { content: shard(caption), ..File::default() });
        }
        let folder = tempfile::tempdir().unwrap();
        let root = format!("http://127.0.0.1:{}/t", server.port);
        assert_eq!(captions(read(&folder, "{0..1}.tar", Some(&root)).unwrap()), ["one", "two"]);
    }

    #[test]
    fn what_fails_names_the_shard_and_no_secret_and_leaves_nothing_half() {
        let server = Server::start();
        let torn = File { content: shard("one"), cut: Some(700), ..File::default() };
        server.put("/torn.tar?sig=TOKEN", torn);
        let folder = tempfile::tempdir().unwrap();
        let host = format!("127.0.0.1:{}", server.port);
        for (path, expected) in [("none.tar?sig=TOKEN", "404"), ("torn.tar?sig=TOKEN", "")] {
            let said = error(&folder, &format!("http://me:PASSWORD@{host}/{path}"));
            let (name, _) = path.split_once('?').unwrap();
            let start = format!("DIR/shards.txt: 1 shards cannot be read: http://{host}/{name}: ");
            assert!(said.starts_with(&start) && said.contains(expected), "{said}");
            assert!(!said.contains("TOKEN") && !said.contains("PASSWORD"), "{said}");
        }
        let left = std::fs::read_dir(folder.path().join("cache/fetched")).unwrap();
        let names: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        let is_lock = |path: &std::path::PathBuf| path.extension().unwrap() == "lock";
        assert!(names.iter().all(is_lock), "{names:?}");
    }

    #[test]
    fn what_is_said_of_one_shard_holds_no_secret() {
        let server = Server::start();
        let members = ["1.jpg", "1.txt=one", "2.jpg", "3.jpg", "3.txt"];
        let file = |members: &[&str]| File { content: tar_of(members), ..File::default() };
        server.put("/a.tar?sig=TOKEN", file(&members));
        server.put("/empty.tar?sig=TOKEN", file(&["1.jpg"]));
        server.put("/broken.tar?sig=TOKEN", file(&["1.jpg", "1.json={"]));
        let folder = tempfile::tempdir().unwrap();
        let host = format!("127.0.0.1:{}", server.port);
        let read = |name: &str| {
            let address = format!("http://me:PASSWORD@{host}/{name}.tar?sig=TOKEN");
            read_source(&folder, ShardSource::One(address.into()))
        };
        let place = |name: &str| format!("http://{host}/{name}.tar");
        let warnings = read("a").unwrap().warnings;
        assert!(warnings[0].starts_with(&format!("{}: 1 samples have no caption", place("a"))));
        let error = read("empty").unwrap_err();
        let said = [error.to_string(), error.hints().concat()].concat();
        assert!(said.contains(&format!("`{}`: 1 shards, ", place("empty"))), "{said}");
        let broken = read("broken").unwrap_err().to_string();
        assert!(broken.starts_with(&format!("{}: 1 captions", place("broken"))), "{broken}");
        let all = format!("{warnings:?}{said}{broken}");
        assert!(!all.contains("TOKEN") && !all.contains("PASSWORD"), "{all}");
    }

    #[test]
    fn s3_is_asked_with_the_credentials_of_the_address() {
        let server = Server::start();
        let etag = Some("\"v1\"");
        let modified = Some("Wed, 21 Oct 2015 07:28:00 GMT");
        let file = File { content: shard("one"), etag, modified, cut: None };
        server.put("/bucket/p/a.tar", file);
        let folder = tempfile::tempdir().unwrap();
        let endpoint = format!("http://127.0.0.1:{}", server.port);
        let address = format!("s3://KEY:SE%2FCRET@bucket/p/a.tar?endpoint={endpoint}&region=eu-1");
        for status in ["200", "304"] {
            assert_eq!(captions(read(&folder, &address, None).unwrap()), ["one"]);
            let log = server.log();
            let expected = format!("GET /bucket/p/a.tar {status} AWS4-HMAC-SHA256 Credential=KEY/");
            assert!(log.len() == 1 && log[0].starts_with(&expected), "{log:?}");
            assert!(log[0].contains("/eu-1/s3/aws4_request"), "{log:?}");
        }
        let missing = address.replace("a.tar", "b.tar");
        let said = error(&folder, &missing);
        assert!(said.contains("s3://bucket/p/b.tar: "), "{said}");
        assert!(!said.contains("KEY") && !said.contains("CRET"), "{said}");
    }
}
