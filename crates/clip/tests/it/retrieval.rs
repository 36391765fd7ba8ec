//! Retrieval over a hundred thousand pairs at flat memory.

use burn::tensor::Device;
use hearth_clip::retrieval::{Pairs, metrics};

const PAIRS: usize = 100_000;
const WIDTH: usize = 16;

/// Values between -1 and 1, as good as random (splitmix64).
fn noise(i: usize) -> f32 {
    let mut z = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn rows(offset: f32) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..PAIRS * WIDTH).map(|i| noise(i) + offset * noise(i + 7)).collect();
    for row in rows.chunks_mut(WIDTH) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    rows
}

#[test]
fn a_hundred_thousand_pairs_need_no_matrix_of_all_similarities() {
    let pairs = Pairs { width: WIDTH, images: rows(0.0), texts: rows(0.1) };
    let before = peak();
    let metrics = metrics(&pairs, &Device::flex());
    let grown = peak() - before;
    // The whole matrix would be 40,000 MB.
    assert!(grown < 150.0, "grew by {grown} MB");
    let recall = metrics.iter().find(|(name, _)| name == "t2i_R@1").unwrap().1;
    assert!(recall > 0.5, "{metrics:?}");
}

/// Megabytes of VmHWM; 0 where the system does not tell.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) * 1024.0 / 1e6
}
