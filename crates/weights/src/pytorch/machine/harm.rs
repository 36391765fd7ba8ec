//! Names in a pickle that give a file away.

/// Modules and functions that run programs or pieces of Python. No checkpoint needs one; a file
/// that names one is meant to do harm.
const RUNS_CODE: &[(&str, &[&str])] = &[
    ("asyncio", &[]),
    ("bdb", &[]),
    ("builtins", BUILTINS),
    ("__builtin__", BUILTINS),
    ("code", &[]),
    ("commands", &[]),
    ("ctypes", &[]),
    ("importlib", &[]),
    ("nt", &[]),
    ("os", &[]),
    ("pdb", &[]),
    ("pip", &[]),
    ("posix", &[]),
    ("pty", &[]),
    ("runpy", &[]),
    ("shutil", &[]),
    ("socket", &[]),
    ("subprocess", &[]),
    ("sys", &[]),
    ("timeit", &[]),
    ("torch.hub", &[]),
    ("webbrowser", &[]),
];
const BUILTINS: &[&str] =
    &["__import__", "breakpoint", "compile", "eval", "exec", "execfile", "input", "open"];

/// Whether a pickle that names this function would run something where Python reads it.
pub(super) fn runs_code(module: &str, name: &str) -> bool {
    let within = |known: &str| {
        module.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    RUNS_CODE
        .iter()
        .any(|(known, names)| within(known) && (names.is_empty() || names.contains(&name)))
}
