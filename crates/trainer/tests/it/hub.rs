//! Specs that name weights by their name on a hub, against a hub on this machine.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    loopback::{Loopback, Mirror, Reply, Request},
    session,
    shapes::workspace,
};

/// Nothing of the caller's hub reaches the program.
fn command(folder: &Path, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    for variable in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH"] {
        command.env_remove(variable);
    }
    command
        .current_dir(folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", endpoint)
        .args(arguments);
    command
}

#[track_caller]
fn ends_with(code: i32, output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

fn results(folder: &Path) -> String {
    fs::read_to_string(folder.join("out/evaluate/results.json")).unwrap()
}

fn is_weights(request: &Request) -> bool {
    request.method == "GET" && request.path.ends_with("model.safetensors")
}

/// Waits until part of the weights is in the cache.
#[track_caller]
fn wait_for_a_part(child: &mut Child, blobs: &Path) {
    let start = Instant::now();
    let has_part = || {
        let Ok(mut entries) = fs::read_dir(blobs) else { return false };
        entries.any(|entry| {
            let path = entry.unwrap().path();
            path.extension().is_some_and(|end| end == "incomplete")
                && fs::metadata(path).is_ok_and(|found| found.len() > 0)
        })
    };
    while !has_part() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute");
        assert!(child.try_wait().unwrap().is_none(), "ended before it was stopped");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_checkpoint_on_a_hub_is_fetched_continued_and_kept() {
    let folder = workspace();
    let folder = folder.path();
    ends_with(0, &session::run(folder, &["-e", "spec.yaml", "train.num_epochs=1"]));
    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
    let evaluate = ["clip", "evaluate", "-e", "spec.yaml"];
    ends_with(0, &session::run(folder, &[&evaluate[..], &[checkpoint]].concat()));
    let expected = results(folder);

    let model = fs::read(folder.join("out/train/clip_latest.safetensors")).unwrap();
    let mirror = Mirror::of(&[("config.json", b"{}"), ("model.safetensors", &model)]);
    let slow = mirror.clone();
    let server = Loopback::start(move |request| slowly(request, slow.answer(request)));
    let by_name = [&evaluate[..], &["evaluate.checkpoint=org/name@v1"]].concat();

    // Killed in the middle, then asked to stop, then left in peace.
    let blobs = folder.join("hf/hub/models--org--name/blobs");
    let start = || {
        let mut child = command(folder, &server.address, &by_name);
        child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut child = start();
    wait_for_a_part(&mut child, &blobs);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = start();
    let begun = server.requests().iter().filter(|one| is_weights(one)).count();
    while server.requests().iter().filter(|one| is_weights(one)).count() == begun {
        assert!(child.try_wait().unwrap().is_none(), "ended before it was stopped");
        sleep(Duration::from_millis(5));
    }
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));

    let server = Loopback::start(move |request| mirror.answer(request));
    fs::remove_file(folder.join("out/evaluate/results.json")).unwrap();
    let output = command(folder, &server.address, &by_name).output().unwrap();
    let stderr = ends_with(0, &output);
    assert!(stderr.contains("`org/name@v1` is no local path and not complete in"), "{stderr}");
    assert_eq!(results(folder), expected);
    let fetched: Vec<_> = server.requests().into_iter().filter(is_weights).collect();
    assert_eq!(fetched.len(), 1);
    assert!(fetched[0].headers.contains_key("range"), "{fetched:?}");

    // From now on without a network, and in silence.
    let output =
        command(folder, &server.address, &by_name).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let stderr = ends_with(0, &output);
    assert!(!stderr.contains("asking"), "{stderr}");
    assert_eq!(results(folder), expected);
}

#[test]
fn two_processes_fetch_a_file_once() {
    let folder = workspace();
    let folder = folder.path();
    ends_with(0, &session::run(folder, &["-e", "spec.yaml", "train.num_epochs=1"]));
    let model = fs::read(folder.join("out/train/clip_latest.safetensors")).unwrap();
    let mirror = Mirror::of(&[("model.safetensors", &model)]);
    let server = Loopback::start(move |request| {
        let reply = mirror.answer(request);
        match is_weights(request) {
            true => Reply { drip: Some((20, Duration::from_millis(50))), ..reply },
            false => reply,
        }
    });
    let children = ["results_dir=a", "results_dir=b"].map(|results| {
        let arguments =
            ["clip", "evaluate", "-e", "spec.yaml", "evaluate.checkpoint=org/name", results];
        let mut child = command(folder, &server.address, &arguments);
        child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let said = children.map(|child| ends_with(0, &child.wait_with_output().unwrap()));
    assert_eq!(server.requests().iter().filter(|one| is_weights(one)).count(), 1, "{said:?}");
}

/// Large answers in many pieces, so that there is a middle to stop in.
fn slowly(request: &Request, reply: Reply) -> Reply {
    match is_weights(request) {
        true => Reply { drip: Some((200, Duration::from_millis(50))), ..reply },
        false => reply,
    }
}

#[test]
fn training_starts_from_a_hub_and_a_local_folder_of_the_name_wins() {
    let folder = workspace();
    let folder = folder.path();
    ends_with(0, &session::run(folder, &["-e", "spec.yaml", "train.num_epochs=1"]));
    let model = fs::read(folder.join("out/train/clip_latest.safetensors")).unwrap();
    let mirror = Mirror::of(&[("model.safetensors", &model)]);
    let server = Loopback::start(move |request| mirror.answer(request));
    let train = ["-e", "spec.yaml", "train.num_epochs=1", "results_dir=hub"];
    let pretrained = "train.pretrained_model_path=org/name";
    let arguments = [&train[..], &[pretrained]].concat();
    let stderr = ends_with(0, &command(folder, &server.address, &arguments).output().unwrap());
    assert!(stderr.contains("asking http://127.0.0.1"), "{stderr}");
    assert!(folder.join("hub/train/clip_latest.safetensors").exists());

    fs::create_dir_all(folder.join("org/name")).unwrap();
    fs::write(folder.join("org/name/model.safetensors"), &model).unwrap();
    let arguments = [&train[..3], &["results_dir=local", pretrained]].concat();
    let stderr = ends_with(0, &command(folder, "http://127.0.0.1:1", &arguments).output().unwrap());
    assert!(!stderr.contains("asking"), "{stderr}");
}

#[test]
fn what_a_hub_does_not_give_ends_with_4_before_anything_is_trained() {
    let folder = workspace();
    let folder = folder.path();
    let mirror = Mirror::of(&[("config.json", b"{}")]);
    let server = Loopback::start(move |request| mirror.answer(request));
    let failure = |pretrained: &str, endpoint: &str, code: i32| {
        let pretrained = format!("train.pretrained_model_path={pretrained}");
        let arguments = ["clip", "check", "-e", "spec.yaml", &pretrained];
        let mut command = command(folder, endpoint, &arguments);
        ends_with(code, &command.env("HF_TOKEN", "hf_secret").output().unwrap())
    };
    let cases = [
        ("weights/clip", 4, "`weights/clip`: no such repository at http://127.0.0.1"),
        ("org/name", 4, "the repository does not hold `model.safetensors`"),
        ("org/name@v7", 4, "`org/name`: no revision `v7`"),
        ("hf://org", 2, "found `hf://org`, needed `hf://ORG/NAME`"),
        // A file that is not there is no name.
        ("weights/clip.safetensors", 4, "weights/clip.safetensors: not found"),
    ];
    for (pretrained, code, expected) in cases {
        let stderr = failure(pretrained, &server.address, code);
        assert!(stderr.contains(expected) && !stderr.contains("hf_secret"), "{stderr}");
    }
    let stderr = failure("org/name", "http://127.0.0.1:1", 4);
    assert!(stderr.contains("config.json: no connection"), "{stderr}");
    assert!(stderr.contains("hint: try again"), "{stderr}");
    let stderr = failure("org/name", "127.0.0.1", 4);
    assert!(stderr.contains("environment variable `HF_ENDPOINT`"), "{stderr}");

    let output = session::run(
        folder,
        &["-e", "spec.yaml", "train.resume_training_checkpoint_path=org/name"],
    );
    let stderr = ends_with(4, &output);
    assert!(stderr.contains("error: org/name: not found"), "{stderr}");
}
