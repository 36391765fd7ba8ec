//! Every model's forward pass is captured at two batch sizes with equal sequences of operations:
//! what export needs.

use burn::{
    backend::ir::OperationIr,
    tensor::{Device, Int, Tensor},
};
use hearth_backbones::positions::Grid;
use hearth_clip::{
    model::ClipConfig,
    registry,
    vision::{Images, TowerConfig},
};

/// The same towers with little width and depth: the sequence of a block does not depend on them.
pub(crate) fn narrow(mut config: ClipConfig) -> ClipConfig {
    match &mut config.vision {
        TowerConfig::Vit(vision) => {
            vision.depth = 2;
            vision.projection = vision.projection.map(|_| 32);
        }
        TowerConfig::Naflex(vision) => vision.depth = 2,
        TowerConfig::Radio(vision) => {
            vision.trunk.depth = 2;
            vision.trunk.table_side = 16;
            (vision.head.input, vision.head.hidden, vision.head.output) = (32, 48, 32);
        }
    }
    config.text.depth = 2;
    for block in [config.vision.block_mut(), &mut config.text.block] {
        (block.width, block.num_heads, block.mlp_width) = (32, 4, 48);
    }
    config.text.projection = 32;
    config.text.vocab_size = 64;
    config
}

/// Zeros as the tower takes them.
fn images(config: &ClipConfig, batch: usize, device: &Device) -> Images {
    let zeros = |size| Tensor::<4>::zeros([batch, 3, size, size], &Device::flex());
    match &config.vision {
        TowerConfig::Vit(vision) => zeros(vision.image_size).to_device(device).into(),
        TowerConfig::Radio(vision) => zeros(vision.image_size).to_device(device).into(),
        TowerConfig::Naflex(vision) => {
            let patches = Tensor::zeros([batch, 12, vision.patch_len()], &Device::flex());
            let grids = (0..batch).map(|i| Grid { rows: 3 - i % 2, columns: 4 }).collect();
            Images::Patches(patches.to_device(device), grids)
        }
    }
}

fn operations(config: &ClipConfig, batch: usize) -> Vec<String> {
    let device = Device::capture();
    let ids = Tensor::<2, Int>::zeros([batch, config.text.context_length], &Device::flex());
    let captured = device.capture_scope(|scope| {
        let ids = ids.to_device(&device);
        let model = config.init(&device);
        let image = model.embed_images(images(config, batch, &device), false);
        let text = model.embed_texts(ids, false);
        let id = |tensor: Tensor<2>| {
            let tensor = tensor.try_into_primitive::<burn::backend::Capture>();
            tensor.expect("a captured tensor").id()
        };
        scope.complete([], [id(image), id(text)])
    });
    let captured = captured.expect("the forward pass reads nothing back");
    captured.graph.operations.iter().map(kind).collect()
}

/// Variant names, without numbers: batch 2 and 3 differ in shapes only.
fn kind(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    text.split(['{', '[']).next().unwrap_or_default().trim().to_owned()
}

#[test]
fn every_model_type_is_captured_alike_at_batch_2_and_3() {
    for name in registry::NAMES {
        let config = narrow(registry::model_type(name).expect("a listed name").config);
        let (two, three) = (operations(&config, 2), operations(&config, 3));
        assert!(two.len() > 60, "{name}: {} operations", two.len());
        assert_eq!(two, three, "{name}");
    }
}
