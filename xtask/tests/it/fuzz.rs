//! The fuzzer: a short run of every target, and that harm is noticed.

use std::path::Path;
use std::time::Duration;

use xtask::fuzz::targets::{self, ALL};
use xtask::fuzz::{self, Inputs, Outcome, Session};

const SEED: u64 = 1;
const MUTATIONS: u64 = 300;

fn session() -> Session {
    Session::new(Some(SEED), Duration::from_secs(30))
}

#[test]
fn seeds_and_some_mutations_do_no_harm() {
    for target in &ALL {
        let inputs = Inputs::new(&session(), target).unwrap();
        assert!(inputs.num_seeds() > 0, "{} has no seeds", target.name);
        for index in 0..inputs.num_seeds() + MUTATIONS {
            (target.run)(&inputs.at(index));
        }
        fuzz::clean(target);
    }
}

#[test]
fn an_input_follows_from_seed_target_and_number() {
    let target = targets::find("specs").unwrap();
    let inputs = |seed| Inputs::new(&Session::new(Some(seed), Duration::ZERO), target).unwrap();
    let (one, same, other) = (inputs(1), inputs(1), inputs(2));
    assert!((0..100).all(|index| one.at(index) == same.at(index)));
    assert!((50..100).any(|index| one.at(index) != other.at(index)));
}

#[test]
fn a_trap_is_noticed_and_its_input_made_again() {
    for (name, expected) in [
        ("panics", "ended by exit status: 101"),
        ("aborts", "ended by signal: 6"),
        ("hoards", "ended by signal: 6"),
        ("hangs", "took longer than 5 s"),
    ] {
        let target = targets::find(name).unwrap();
        let this = Path::new(env!("CARGO_BIN_EXE_xtask"));
        let Outcome::Failed(what, input) = fuzz::hunt(this, &session(), target).unwrap() else {
            panic!("`{name}` went unnoticed");
        };
        assert!(what.starts_with(expected), "{name}: {what}");
        assert!(input.len() > 8, "{name}: {input:?} does no harm");
    }
}

#[test]
fn an_unknown_target_is_answered_with_the_known_ones() {
    let error = targets::find("yaml").map(|_| ()).unwrap_err().to_string();
    let known = "specs, overrides, lists, tars, tokenizer, images, weights, pickles, captions, parts, \
                 hub, graphs";
    assert_eq!(error, format!("found `yaml`, needed one of {known}"));
}
