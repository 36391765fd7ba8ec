//! Pictures cut into patches within a budget, against the processor of transformers.

use hearth_data::{
    picture::Picture,
    resize::Filter,
    transform::{PictureRecipe, ResizeMode},
};
use serde_json::Value;

use super::fixtures::root;

fn recipe(patch: u32, budget: u32) -> PictureRecipe {
    PictureRecipe {
        size: patch,
        resize: ResizeMode::PatchBudget { patch, budget },
        filter: Filter::Bilinear,
        mean: [0.5; 3],
        std: [0.5; 3],
    }
}

fn golden() -> Value {
    let text = std::fs::read_to_string(root().join("tests/golden/naflex.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect()
}

#[test]
fn grids_are_those_of_transformers() {
    let golden = golden();
    let grids = golden["grids"].as_array().unwrap();
    assert!(grids.len() > 100);
    for case in grids {
        let [width, height, patch, budget, rows, columns] = numbers(case)[..] else {
            panic!("{case}")
        };
        let found = recipe(patch, budget).grid(width, height);
        assert_eq!(found, Some([rows, columns]), "{width} x {height}, {patch}, {budget}");
    }
}

#[test]
fn patches_are_those_of_transformers() {
    for case in golden()["pictures"].as_array().unwrap() {
        let size = |name: &str| case[name].as_u64().unwrap() as u32;
        let (width, height) = (size("width"), size("height"));
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                pixels.extend((0..3).map(|c| ((7 * x + 13 * y + 50 * c + x * y) % 256) as u8));
            }
        }
        let picture = Picture { width, height, pixels };
        let recipe = recipe(8, 12);
        let grid = numbers(&case["grid"]);
        assert_eq!(recipe.grid(width, height).unwrap().to_vec(), grid);
        let expected = numbers(&case["patches"]);
        let found = recipe.apply(&picture);
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = (found * 0.5 + 0.5) * 255.0;
            assert!((found - expected as f32).abs() < 1e-3, "{width} x {height} [{i}]");
        }
    }
}
