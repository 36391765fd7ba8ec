//! Hub names against a hub on this machine: fetching, continuing, refusing, and keeping secrets.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hearth_weights::{
    WeightsError, WeightsFile,
    hub::{Event, Hub, HubName, Patience, Token},
};

use super::{
    bytes::counting,
    loopback::{COMMIT, Loopback, Mirror, Reply, Request, etag, part_of, sha256},
};

const SECRET: &str = "hf_secretSECRETsecret";
const NAME: &str = "org/name";

fn weights() -> Vec<u8> {
    counting(&[("a", &[300, 100])])
}

fn mirror() -> Mirror {
    Mirror::of(&[
        ("config.json", b"{\"model_type\": \"clip\"}"),
        ("tokenizer.json", b"{\"version\": \"1.0\"}"),
        ("vocab.txt", b"[PAD]"),
        ("README.md", b"# not needed"),
        ("model.safetensors", &weights()),
    ])
}

fn patience() -> Patience {
    Patience { timeout: Duration::from_millis(400), attempts: 3, pause: Duration::from_millis(10) }
}

fn hub(cache: &Path, address: &str) -> Hub {
    Hub {
        cache: cache.to_owned(),
        endpoint: address.to_owned(),
        token: None,
        certificates: None,
        offline: false,
        patience: patience(),
    }
}

fn fetch(hub: &Hub, name: &str) -> Result<PathBuf, WeightsError> {
    let name = HubName::parse(name).unwrap();
    hub.fetch(&name, &mut |_| ControlFlow::Continue(()))
}

/// The error with its causes and hints; the token is in none of it.
#[track_caller]
fn refused(hub: &Hub, name: &str) -> String {
    let error = fetch(hub, name).unwrap_err();
    let said = super::bytes::message(&error, &hub.cache).replace(&hub.endpoint, "HUB");
    assert!(!format!("{said}{error:?}{hub:?}").contains(SECRET), "{said}");
    said
}

/// Files of the cache that are not where they belong, or not whole.
fn leftovers(cache: &Path) -> Vec<String> {
    let blobs = cache.join("models--org--name/blobs");
    let Ok(entries) = fs::read_dir(blobs) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("incomplete"))
        .collect()
}

fn blob(cache: &Path) -> PathBuf {
    cache.join("models--org--name/blobs").join(sha256(&weights()))
}

/// A mirror whose answers for the weights `change` may replace; `count` is 0 for the first GET.
fn mirror_but(
    change: impl Fn(&Request, usize, Reply) -> Reply + Send + Sync + 'static,
) -> Loopback {
    let (mirror, count) = (mirror(), AtomicUsize::new(0));
    Loopback::start(move |request| {
        let reply = mirror.answer(request);
        let is_weights = request.method == "GET" && request.path.ends_with("model.safetensors");
        if !is_weights {
            return reply;
        }
        change(request, count.fetch_add(1, Ordering::SeqCst), reply)
    })
}

/// `METHOD path` of every request so far.
fn asked(server: &Loopback) -> Vec<String> {
    server.requests().iter().map(|one| format!("{} {}", one.method, one.path)).collect()
}

fn ranges(server: &Loopback) -> Vec<Option<String>> {
    let gets = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "GET" && request.path.ends_with("model.safetensors"));
    gets.map(|request| request.headers.get("range").cloned()).collect()
}

#[test]
fn a_repository_is_fetched_once_in_the_layout_of_huggingface_hub() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let server = Loopback::start(move |request| mirror.answer(request));
    let hub = hub(cache.path(), &server.address);
    let path = fetch(&hub, NAME).unwrap();

    let repository = cache.path().join("models--org--name");
    assert_eq!(path, repository.join("snapshots").join(COMMIT).join("model.safetensors"));
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(&path).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(sha256(&weights())));
    let opened = WeightsFile::open(&path).unwrap();
    assert_eq!(opened.names().collect::<Vec<_>>(), ["a"]);
    assert_eq!(opened.config("config.json").unwrap().unwrap()["model_type"], "clip");
    let snapshot = path.parent().unwrap();
    assert!(snapshot.join("tokenizer.json").exists());
    // Said by tokenizer.json already, or of no use.
    assert!(!snapshot.join("vocab.txt").exists() && !snapshot.join("README.md").exists());
    assert_eq!(leftovers(cache.path()), Vec::<String>::new());

    let first = asked(&server);
    let after_the_first = first.iter().skip(1).all(|one| one.contains(COMMIT));
    assert!(first[0] == "HEAD /org/name/resolve/main/config.json" && after_the_first, "{first:#?}");

    // From now on nobody is asked, under any name of the same commit.
    for name in [NAME, &format!("{NAME}@{COMMIT}"), "hf://org/name/model.safetensors"] {
        assert_eq!(fetch(&hub, name).unwrap(), path, "{name}");
    }
    assert_eq!(asked(&server), first);
    let known = HubName::parse(NAME).unwrap();
    assert_eq!(hub.cached(&known).unwrap(), Some(path));
}

#[test]
fn weights_of_every_name_are_found_best_first() {
    let cases: &[(&[&str], &str)] = &[
        (&["pytorch_model.bin", "open_clip_model.safetensors"], "open_clip_model.safetensors"),
        (&["pytorch_model.bin", "open_clip_pytorch_model.bin"], "pytorch_model.bin"),
        (&["open_clip_pytorch_model.bin"], "open_clip_pytorch_model.bin"),
    ];
    for (held, expected) in cases {
        let cache = tempfile::tempdir().unwrap();
        let files: Vec<(&str, &[u8])> = held.iter().map(|name| (*name, &b"x"[..])).collect();
        let mirror = Mirror::of(&files);
        let server = Loopback::start(move |request| mirror.answer(request));
        let path = fetch(&hub(cache.path(), &server.address), NAME).unwrap();
        assert!(path.ends_with(expected), "{}", path.display());
        let gets = asked(&server).iter().filter(|one| one.starts_with("GET")).count();
        assert_eq!(gets, 1);
    }
}

#[test]
fn shards_come_with_their_index_and_a_file_of_a_sub_folder_with_its_neighbours() {
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let mirror = Mirror::of(&[
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", &counting(&[("a", &[2])])),
        ("model-2.safetensors", &counting(&[("b", &[3])])),
        ("sub/x.safetensors", &counting(&[("x", &[3])])),
        ("sub/config.json", b"{}"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let server = Loopback::start(move |request| mirror.answer(request));
    let hub = hub(cache.path(), &server.address);
    let path = fetch(&hub, NAME).unwrap();
    assert_eq!(WeightsFile::open(path).unwrap().names().collect::<Vec<_>>(), ["a", "b"]);

    let path = fetch(&hub, "hf://org/name@refs/pr/1/sub/x.safetensors").unwrap();
    let opened = WeightsFile::open(&path).unwrap();
    assert!(opened.config("config.json").unwrap().is_some());
    let noted = cache.path().join("models--org--name/refs/refs/pr/1");
    assert_eq!(fs::read_to_string(noted).unwrap(), COMMIT);

    // A shard that was lost is fetched again, and only that.
    fs::remove_file(
        cache.path().join(format!("models--org--name/snapshots/{COMMIT}/model-2.safetensors")),
    )
    .unwrap();
    let before = asked(&server).len();
    fetch(&hub, NAME).unwrap();
    let again = asked(&server).split_off(before);
    assert!(again.iter().all(|one| !one.starts_with("GET")), "the blob is there: {again:?}");
}

#[test]
fn an_index_cannot_name_files_elsewhere() {
    for stray in ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors"] {
        let index = format!(r#"{{"weight_map": {{"a": "{stray}"}}}}"#);
        let mirror = Mirror::of(&[("model.safetensors.index.json", index.as_bytes())]);
        let cache = tempfile::tempdir().unwrap();
        let server = Loopback::start(move |request| mirror.answer(request));
        let said = refused(&hub(cache.path(), &server.address), NAME);
        assert!(said.contains(&format!("names the shard `{stray}`")), "{said}");
        assert!(asked(&server).iter().all(|one| !one.contains(stray)));
    }
}

#[test]
fn a_killed_download_continues_where_it_ended() {
    let whole = weights();
    let cache = tempfile::tempdir().unwrap();
    let incomplete = blob(cache.path()).with_added_extension("incomplete");
    fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
    fs::write(&incomplete, &whole[..50_000]).unwrap();
    let server = mirror_but(|_, _, reply| reply);
    let path = fetch(&hub(cache.path(), &server.address), NAME).unwrap();
    assert_eq!(fs::read(path).unwrap(), whole);
    assert_eq!(ranges(&server), [Some("bytes=50000-".to_owned())]);
    assert_eq!(leftovers(cache.path()), Vec::<String>::new());
}

#[test]
fn a_connection_that_ends_early_is_continued() {
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, count, reply| match count {
        0 => Reply { cut: Some(40_000), ..reply },
        1 => Reply { cut: Some(30_000), ..reply },
        _ => reply,
    });
    let mut heard = Vec::new();
    let name = HubName::parse(NAME).unwrap();
    let path = hub(cache.path(), &server.address)
        .fetch(&name, &mut |event| {
            if let Event::Received { file: "model.safetensors", done, size } = event {
                heard.push((*done, *size));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let from = |start: u32| Some(format!("bytes={start}-"));
    assert_eq!(ranges(&server), [None, from(40_000), from(70_000)]);
    let size = weights().len() as u64;
    assert_eq!((heard[0], *heard.last().unwrap()), ((0, size), (size, size)));
    assert!(heard.is_sorted());
}

#[test]
fn a_server_without_ranges_and_a_foreign_beginning_start_anew() {
    let whole = weights();
    let left: [(&str, Vec<u8>, usize); 5] = [
        ("another range is sent", whole[..50_000].to_vec(), 2),
        ("ranges are ignored", whole[..50_000].to_vec(), 1),
        ("another file's beginning", vec![7; 50_000], 2),
        ("longer than the file", vec![7; whole.len() + 5], 1),
        ("as long as the file, but another", vec![7; whole.len()], 1),
    ];
    for (what, left, gets) in left {
        let cache = tempfile::tempdir().unwrap();
        let incomplete = blob(cache.path()).with_added_extension("incomplete");
        fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
        fs::write(&incomplete, left).unwrap();
        let server = mirror_but(move |request, _, reply| match what {
            "ranges are ignored" => {
                let whole = Request { headers: Default::default(), ..request.clone() };
                part_of(&whole, &weights()).with("etag", etag("model.safetensors", &weights()))
            }
            "another range is sent" if request.headers.contains_key("range") => {
                reply.with("content-range", "bytes 7-20/100")
            }
            _ => reply,
        });
        let path = fetch(&hub(cache.path(), &server.address), NAME).unwrap();
        assert_eq!(fs::read(path).unwrap(), whole, "{what}");
        assert_eq!(ranges(&server).len(), gets, "{what}");
    }
}

#[test]
fn what_is_not_as_announced_is_refused_and_not_kept() {
    type Change = fn(Reply) -> Reply;
    let cases: [(&str, Change); 5] = [
        ("the content has SHA-256", |mut reply| {
            reply.body[9_000] ^= 1;
            reply
        }),
        ("found 120073 bytes, need 120074 as announced", |mut reply| {
            reply.body.pop();
            reply
        }),
        ("found 120084 bytes, need 120074 as announced", |mut reply| {
            reply.body.extend([0; 10]);
            reply
        }),
        // Without a length, the end of the connection is the end of the file.
        ("found 120075 bytes, need 120074 as announced", |mut reply| {
            reply.body.extend([0; 1 << 20]);
            reply.with("transfer-encoding", "identity")
        }),
        ("found a range of bytes, need the whole file", |reply| {
            Reply { status: 206, ..reply }.with("content-range", "bytes 7-20/100")
        }),
    ];
    for (expected, change) in cases {
        let cache = tempfile::tempdir().unwrap();
        let server = mirror_but(move |_, _, reply| change(reply));
        let hub = hub(cache.path(), &server.address);
        let said = refused(&hub, NAME);
        assert!(said.contains(expected), "{said}");
        assert!(!blob(cache.path()).exists());
        if !expected.contains("range") {
            assert_eq!(leftovers(cache.path()), Vec::<String>::new(), "{expected}");
        }
        assert_eq!(hub.cached(&HubName::parse(NAME).unwrap()).unwrap(), None);
    }
}

#[test]
fn the_token_stays_with_the_host_it_is_for() {
    let cache = tempfile::tempdir().unwrap();
    let content = Loopback::start(|request| part_of(request, &weights()));
    let (mirror, elsewhere) = (mirror(), content.address.clone());
    let server = Loopback::start(move |request| {
        if request.headers.get("authorization") != Some(&format!("Bearer {SECRET}")) {
            return Reply::status(401);
        }
        if !request.path.ends_with("model.safetensors") {
            return mirror.answer(request);
        }
        // As the public hub does it for large files.
        Reply::status(302)
            .with("location", format!("{elsewhere}/blob?signature=abc"))
            .with("x-repo-commit", COMMIT)
            .with("x-linked-etag", etag("model.safetensors", &weights()))
            .with("x-linked-size", weights().len())
    });
    let token = Token::new(&format!(" {SECRET}\n"));
    let hub = Hub { token, ..hub(cache.path(), &server.address) };
    let path = fetch(&hub, NAME).unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let there = content.requests();
    assert_eq!(asked(&content), ["GET /blob?signature=abc"], "signed for fetching only");
    assert!(!there[0].headers.contains_key("authorization"), "{there:?}");
}

#[test]
fn a_redirect_on_the_same_host_is_followed_with_the_token() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let server = Loopback::start(move |request| {
        if !request.headers.contains_key("authorization") {
            return Reply::status(403);
        }
        match request.path.strip_prefix("/old/name") {
            Some(rest) => Reply::status(307).with("location", format!("/org/name{rest}")),
            None => mirror.answer(request),
        }
    });
    let hub = Hub { token: Token::new(SECRET), ..hub(cache.path(), &server.address) };
    assert!(fetch(&hub, "old/name").is_ok());
}

#[test]
fn offline_opens_no_socket_and_says_where_the_files_belong() {
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, _, reply| reply);
    let online = hub(cache.path(), &server.address);
    let offline = Hub { offline: true, ..online.clone() };
    assert_eq!(
        refused(&offline, NAME),
        "`org/name`: `model.safetensors` is not in the cache, and `HF_HUB_OFFLINE` forbids to fetch \
         it\nhint: put the files of the repository into models--org--name/snapshots/main, or name a \
         local folder\nhint: or run `hf download org/name` where there is a network and copy the \
         cache"
    );
    assert_eq!(asked(&server), Vec::<String>::new());

    // What the hint says works.
    let folder = cache.path().join("models--org--name/snapshots/main");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("model.safetensors"), weights()).unwrap();
    assert_eq!(fetch(&offline, NAME).unwrap(), folder.join("model.safetensors"));
    assert_eq!(fetch(&online, NAME).unwrap(), folder.join("model.safetensors"));
    assert_eq!(asked(&server), Vec::<String>::new());
}

/// A snapshot as `from_pretrained` leaves it: the weights, and nobody asked for more.
fn weights_alone(cache: &Path) {
    let repository = cache.join("models--org--name");
    let snapshot = repository.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    fs::write(snapshot.join("model.safetensors"), weights()).unwrap();
}

#[test]
fn what_belongs_to_cached_weights_is_asked_for_once() {
    let cache = tempfile::tempdir().unwrap();
    weights_alone(cache.path());
    let server = mirror_but(|_, _, reply| reply);
    let hub = hub(cache.path(), &server.address);
    let path = fetch(&hub, NAME).unwrap();
    assert!(path.with_file_name("tokenizer.json").exists());
    let first = asked(&server);
    assert!(!first.is_empty() && first.iter().all(|one| one.contains(COMMIT)), "{first:?}");
    assert!(first.iter().all(|one| !one.contains("model.safetensors")), "{first:?}");
    fetch(&hub, NAME).unwrap();
    assert_eq!(asked(&server), first);
}

#[test]
fn without_a_network_cached_weights_do() {
    let cache = tempfile::tempdir().unwrap();
    weights_alone(cache.path());
    let mut settled = Vec::new();
    let name = HubName::parse(NAME).unwrap();
    let path = hub(cache.path(), "http://127.0.0.1:1").fetch(&name, &mut |event| {
        if let Event::Settling { error } = event {
            settled.push(error.to_string());
        }
        ControlFlow::Continue(())
    });
    assert!(path.is_ok());
    assert_eq!(settled.len(), 1, "{settled:?}");
}

#[test]
fn refusals_are_told_apart() {
    let check = |name: &str, hub: &Hub, expected: &str| {
        assert_eq!(refused(hub, name), expected, "{name}");
    };
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, _, reply| reply);
    let mut hub = hub(cache.path(), &server.address);
    check(
        "org/other",
        &hub,
        "`org/other`: no such repository at HUB\nhint: there is no local file or folder `org/other` \
         either: check the spelling of both\nhint: a private repository needs `HF_TOKEN`",
    );
    check("org/name@v9", &hub, "`org/name`: no revision `v9`");
    check(
        "hf://org/name/x.bin",
        &hub,
        "`org/name`: the repository does not hold `x.bin`\nhint: `hf://org/name/FILE` names a file \
         of the repository",
    );
    let bare = Mirror::of(&[("config.json", b"{}")]);
    let server = Loopback::start(move |request| bare.answer(request));
    hub.endpoint.clone_from(&server.address);
    let said = refused(&hub, NAME);
    assert!(said.contains("does not hold `model.safetensors`, `model.safetensors.index"), "{said}");

    // A mirror that knows nothing but 404.
    let server = Loopback::start(|_| Reply::status(404));
    hub.endpoint.clone_from(&server.address);
    let said = refused(&hub, "org/third");
    assert!(said.starts_with("`org/third`: no such repository at HUB"), "{said}");

    for (token, status, hint) in [
        (None, 401, "hint: set `HF_TOKEN` to a token that may read the repository"),
        (Token::new(SECRET), 403, "hint: the token does not open this repository"),
    ] {
        let server = Loopback::start(move |_| Reply::status(status));
        hub = Hub { token, endpoint: server.address, ..hub };
        let said = refused(&hub, "org/gated");
        assert!(said.contains(&format!("access refused (HTTP {status})")), "{said}");
        assert!(said.contains(hint) && said.contains("HUB/org/gated"), "{said}");
    }
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    type Change = fn(Reply) -> Reply;
    let cases: [(&str, Change); 7] = [
        ("no usable `x-repo-commit`", |reply| reply.with("x-repo-commit", "../../../etc")),
        ("no usable `etag`", |reply| reply.with("etag", "\"../../x\"")),
        ("no usable `etag`", |reply| reply.with("etag", "")),
        ("found 999999999999 bytes, need at most", |reply| {
            reply.with("x-linked-size", 999_999_999_999_u64)
        }),
        ("found a redirect to no usable address", |_| {
            Reply::status(302).with("location", "file:///etc/passwd")
        }),
        ("too many redirects", |_| Reply::status(302).with("location", "/org/name/resolve/main/x")),
        ("found HTTP 418, need the file", |_| Reply::status(418)),
    ];
    for (expected, change) in cases {
        let cache = tempfile::tempdir().unwrap();
        let mirror = mirror();
        let server = Loopback::start(move |request| change(mirror.answer(request)));
        let said = refused(&hub(cache.path(), &server.address), NAME);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_file_larger_than_the_disk_is_not_begun() {
    let cache = tempfile::tempdir().unwrap();
    let mirror = mirror();
    let server = Loopback::start(move |request| {
        let reply = mirror.answer(request);
        let is_weights = request.path.ends_with("model.safetensors");
        if is_weights { reply.with("x-linked-size", u64::MAX / 2) } else { reply }
    });
    let said = refused(&hub(cache.path(), &server.address), NAME);
    assert!(said.contains("bytes of free space, `model.safetensors` needs 92233720"), "{said}");
    assert!(said.contains("hint: free some space"), "{said}");
    assert_eq!(ranges(&server), []);
}

#[test]
fn silence_and_trickles_end_after_a_few_attempts() {
    type Change = fn(Reply) -> Reply;
    let silent = Duration::from_secs(5);
    let cases: [(&str, Change); 2] = [
        ("silence", |reply| Reply { cut: Some(100), hang: Some(Duration::from_secs(5)), ..reply }),
        ("a trickle", |reply| Reply { drip: Some((120_000, Duration::from_millis(20))), ..reply }),
    ];
    for (what, change) in cases {
        let cache = tempfile::tempdir().unwrap();
        let server = mirror_but(move |_, _, reply| change(reply));
        let start = Instant::now();
        let said = refused(&hub(cache.path(), &server.address), NAME);
        assert!(said.contains("no answer for 1 s"), "{what}: {said}");
        assert!(start.elapsed() < silent, "{what}: {:?}", start.elapsed());
        assert_eq!(ranges(&server).len(), patience().attempts as usize, "{what}");
        // What came is kept for the next attempt.
        assert_eq!(leftovers(cache.path()).len(), 1, "{what}");
    }

    // Before the first byte of an answer.
    let cache = tempfile::tempdir().unwrap();
    let server = Loopback::start(move |_| {
        thread::sleep(silent);
        Reply::status(200)
    });
    let said = refused(&hub(cache.path(), &server.address), NAME);
    assert!(said.contains("no answer for 1 s"), "{said}");
}

#[test]
fn a_busy_hub_is_asked_again_and_a_missing_one_is_not() {
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, count, reply| if count < 2 { Reply::status(503) } else { reply });
    assert!(fetch(&hub(cache.path(), &server.address), NAME).is_ok());
    assert_eq!(ranges(&server).len(), 3);

    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, _, _| Reply::status(429));
    let said = refused(&hub(cache.path(), &server.address), NAME);
    assert!(said.contains("found HTTP 429"), "{said}");
    assert_eq!(ranges(&server).len(), patience().attempts as usize);

    let mut hub = hub(cache.path(), "http://127.0.0.1:1");
    hub.patience.pause = Duration::from_secs(60);
    let said = refused(&hub, "org/other");
    assert!(said.starts_with("HUB/org/other/resolve/main/config.json: no connection\n"), "{said}");
}

#[test]
fn the_listener_can_end_it_and_what_came_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, count, reply| match count {
        0 => Reply { drip: Some((10, Duration::from_millis(20))), ..reply },
        _ => reply,
    });
    let hub = hub(cache.path(), &server.address);
    let name = HubName::parse(NAME).unwrap();
    let error = hub.fetch(&name, &mut |event| match event {
        Event::Received { file: "model.safetensors", done: 30_000.., .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(error.unwrap_err().to_string(), "`org/name`: stopped before everything was fetched");
    fetch(&hub, NAME).unwrap();
    assert!(ranges(&server)[1].is_some());
}

#[test]
fn two_at_once_fetch_every_file_once() {
    let cache = tempfile::tempdir().unwrap();
    let server =
        mirror_but(|_, _, reply| Reply { drip: Some((10, Duration::from_millis(30))), ..reply });
    let hub = hub(cache.path(), &server.address);
    let barrier = Arc::new(Barrier::new(2));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (hub, barrier) = (hub.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                barrier.wait();
                let mut waited = false;
                let name = HubName::parse(NAME).unwrap();
                let path = hub.fetch(&name, &mut |event| {
                    waited |= matches!(event, Event::Waiting { file: "model.safetensors" });
                    ControlFlow::Continue(())
                });
                (fs::read(path.unwrap()).unwrap() == weights(), waited)
            })
        })
        .collect();
    let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(outcomes.iter().all(|(whole, _)| *whole));
    assert!(outcomes.iter().any(|(_, waited)| *waited), "{outcomes:?}");
    assert_eq!(ranges(&server), [None]);
}

#[test]
fn certificates_are_read_before_anybody_is_asked() {
    let cache = tempfile::tempdir().unwrap();
    let server = mirror_but(|_, _, reply| reply);
    let file = cache.path().join("ca.pem");
    for (content, expected) in [(None, "cannot be read"), (Some("x"), "found no certificate")] {
        content.iter().for_each(|content| fs::write(&file, content).unwrap());
        let certificates = Some(file.clone());
        let said = refused(&Hub { certificates, ..hub(cache.path(), &server.address) }, NAME);
        assert!(said.contains(expected) && said.contains("`SSL_CERT_FILE`: ca.pem"), "{said}");
    }
    assert_eq!(asked(&server), Vec::<String>::new());
}

#[test]
fn settings_come_from_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let home_text = home.path().display().to_string();
    let read = |variables: &[(&str, &str)]| {
        let all: Vec<(String, String)> =
            variables.iter().map(|(a, b)| ((*a).into(), b.replace("~~", &home_text))).collect();
        Hub::from_variables(&move |name| {
            all.iter().find(|(known, _)| known == name).map(|(_, value)| value.into())
        })
    };
    for (variables, cache) in [
        (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/f")], "/f/hub"),
        (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")], "/c"),
        (&[("HOME", "/h"), ("HF_HOME", "~/f"), ("HF_HUB_CACHE", "")], "/h/f/hub"),
    ] {
        assert_eq!(read(variables).unwrap().cache, Path::new(cache));
    }
    let hub = read(&[("HOME", "/h"), ("REQUESTS_CA_BUNDLE", "/ca")]).unwrap();
    assert_eq!(hub.certificates.as_deref(), Some(Path::new("/ca")));
    let hub = read(&[("HOME", "/h")]).unwrap();
    assert_eq!((hub.endpoint.as_str(), hub.offline), ("https://huggingface.co", false));
    assert!(hub.token.is_none());
    let hub = read(&[("HOME", "/h"), ("HF_ENDPOINT", "http://m:8/hf/"), ("HF_HUB_OFFLINE", "Yes")]);
    let hub = hub.unwrap();
    assert_eq!((hub.endpoint.as_str(), hub.offline), ("http://m:8/hf", true));

    fs::write(home.path().join("token"), format!("{SECRET}\n")).unwrap();
    fs::write(home.path().join("other"), "").unwrap();
    let has_token = |variables: &[(&str, &str)]| {
        let hub = read(variables).unwrap();
        assert!(!format!("{hub:?}").contains(SECRET));
        hub.token.is_some()
    };
    assert!(has_token(&[("HF_HOME", "~~")]));
    assert!(has_token(&[("HF_HOME", "/f"), ("HF_TOKEN_PATH", "~~/token")]));
    assert!(has_token(&[("HF_HOME", "/f"), ("HF_TOKEN", SECRET)]));
    assert!(!has_token(&[("HF_HOME", "/f")]));
    assert!(!has_token(&[("HF_HOME", "~~"), ("HF_TOKEN", " ")]));
    assert!(!has_token(&[("HF_HOME", "~~"), ("HF_TOKEN_PATH", "~~/other")]));

    for (variables, expected) in [
        (&[][..], "environment variable `HOME`: not set"),
        (&[("HF_HOME", "/f"), ("HF_ENDPOINT", "ftp://m")], "`HF_ENDPOINT`: need an address that"),
        (&[("HF_HOME", "/f"), ("HF_ENDPOINT", "hub")], "`HF_ENDPOINT`: need an address that"),
        (&[("HF_HOME", "/f"), ("HF_ENDPOINT", "https://u:secret@m")], "without user, password"),
        (&[("HF_HOME", "/f"), ("HF_TOKEN", "a\nsecret")], "`HF_TOKEN`: holds characters that no"),
        (&[("HF_HOME", "/f"), ("HF_HUB_DOWNLOAD_TIMEOUT", "0")], "found `0`, need whole seconds"),
    ] {
        let said = read(variables).unwrap_err().to_string();
        assert!(said.contains(expected) && !said.contains("secret"), "{said}");
    }
}
