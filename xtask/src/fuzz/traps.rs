//! Targets that do harm, to test the watch over targets.

use anyhow::Result;

use super::targets::Target;

/// All of them.
pub(super) const TRAPS: [Target; 4] = [
    Target {
        name: "panics",
        seeds: no_seeds,
        words: &[],
        repair: |_| {},
        run: |input| assert!(input.len() < 9),
    },
    Target {
        name: "hangs",
        seeds: no_seeds,
        words: &[],
        repair: |_| {},
        run: |input| while input.len() > 8 {},
    },
    Target {
        name: "hoards",
        seeds: no_seeds,
        words: &[],
        repair: |_| {},
        run: |input| {
            if input.len() > 8 {
                std::hint::black_box(vec![0_u8; 2 << 30]);
            }
        },
    },
    Target {
        name: "aborts",
        seeds: no_seeds,
        words: &[],
        repair: |_| {},
        run: |input| {
            if input.len() > 8 {
                std::process::abort()
            }
        },
    },
];

fn no_seeds() -> Result<Vec<Vec<u8>>> {
    Ok(Vec::new())
}
