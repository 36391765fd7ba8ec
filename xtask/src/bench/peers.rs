//! The Python environment of the other side.

use std::path::{Path, PathBuf};

use crate::process;

const REQUIREMENTS: &str = "benches/peers/requirements.txt";
const ENVIRONMENT: &str = "target/peers-venv";

/// Where the other side's Python is, if there is one.
pub(super) struct Peers {
    python: Option<PathBuf>,
}

impl Peers {
    /// The one that was named, or one of our own, made now if need be. Without a network there is none;
    /// then it is said what to do, and Hearth is measured alone.
    pub(super) fn find(named: Option<&Path>) -> Peers {
        let python = named.map(Path::to_owned).or_else(|| {
            let made = make();
            if made.is_none() {
                println!(
                    "\nPyTorch is left out: its packages are not here. These commands bring them:"
                );
                commands().iter().for_each(|command| println!("  {}", command.join(" ")));
            }
            made
        });
        Peers { python }
    }

    pub(super) fn python(&self) -> Option<&Path> {
        self.python.as_deref()
    }

    /// A command line of a script of benches/peers; none without Python.
    pub(super) fn script(&self, name: &str, arguments: &[&str]) -> Option<Vec<String>> {
        let python = self.python.as_ref()?.to_string_lossy().into_owned();
        let script = format!("benches/peers/{name}.py");
        let arguments = arguments.iter().map(|&argument| argument.to_owned());
        Some([python, script].into_iter().chain(arguments).collect())
    }

    /// Python and the packages that matter, with their versions.
    pub(super) fn versions(&self) -> Option<String> {
        const PROGRAM: &str = "import platform, importlib.metadata as m\n\
            names = ['torch', 'torchvision', 'open_clip_torch', 'timm', 'transformers', 'pillow']\n\
            print('Python', platform.python_version(), *[f'{n} {m.version(n)}' for n in names], sep=', ')";
        let python = self.python.as_ref()?.to_string_lossy().into_owned();
        let command = [python, "-c".to_owned(), PROGRAM.to_owned()];
        let found = process::output(&command, &Default::default()).ok()?;
        Some(found.trim().replacen("Python, ", "Python ", 1))
    }
}

fn make() -> Option<PathBuf> {
    let python = crate::root().join(ENVIRONMENT).join("bin/python");
    let [environment, packages] = commands();
    if !python.exists() {
        process::run(environment[0], &environment[1..]).ok()?;
    }
    process::run(packages[0], &packages[1..]).ok()?;
    Some(python)
}

fn commands() -> [Vec<&'static str>; 2] {
    [
        vec!["python3", "-m", "venv", ENVIRONMENT],
        vec!["target/peers-venv/bin/python", "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS],
    ]
}
