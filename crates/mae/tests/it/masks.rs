//! What a masked encoder must not see, and what becomes of a picture on its way through patches.

use burn::tensor::{Device, Distribution, Tensor};
use hearth_backbones::cells::Cells;
use hearth_data::random::Key;
use hearth_mae::{
    arch::{Arch, EncoderConfig, Kind},
    autoencoder::{Autoencoder, DecoderConfig},
    fcmae::MaskMode,
    masking,
    patches::{PatchOrder, moments, normalized, patchify, unpatchify},
};
use hearth_weights::map_values;

const SIDE: usize = 96;

fn small() -> [Arch; 3] {
    [
        Arch { name: "convnext", kind: Kind::ConvNext([1, 1, 2, 1], [8, 16, 24, 32], 4) },
        Arch { name: "hiera", kind: Kind::Hiera([1, 1, 2, 1], 16, 1) },
        Arch { name: "vit", kind: Kind::Vit(2, 32, 4, 16) },
    ]
}

fn model(arch: Arch) -> Autoencoder {
    let encoder: EncoderConfig = arch.encoder(SIDE);
    let decoder = DecoderConfig { depth: 1, width: 32, num_heads: 4 };
    let model = Autoencoder::new(&encoder, decoder, &Device::flex());
    map_values(model, |parameter| {
        let mut numbers = Key::new(1).of(&parameter.name).rng();
        Some((0..parameter.len()).map(|_| 0.2 * numbers.normal() as f32).collect())
    })
}

fn pictures() -> Tensor<4> {
    Tensor::random([2, 3, SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

fn largest_difference(a: Tensor<3>, b: Tensor<3>) -> f32 {
    (a - b).abs().max().into_scalar()
}

fn cells(arch: Arch) -> Cells {
    masking::draw([SIDE / arch.cell(); 2], 0.6, &Key::new(5), 0, 2)
}

/// Pictures of which the masked cells are others.
fn others_behind(images: &Tensor<4>, cells: &Cells, side: usize) -> Tensor<4> {
    let mask = cells.mask(side, &images.device(), images.dtype()).permute([0, 3, 1, 2]);
    images.clone() * mask.clone() + pictures() * 3.0 * (mask.neg() + 1.0)
}

#[test]
fn masked_cells_do_not_matter() {
    for arch in small() {
        let (model, images, cells) = (model(arch), pictures(), cells(arch));
        let others = others_behind(&images, &cells, arch.cell());
        for mode in [MaskMode::Masked, MaskMode::Batch, MaskMode::Dense] {
            let predict = |images: Tensor<4>| model.forward(images, &cells, mode, false).patches;
            let difference = largest_difference(predict(images.clone()), predict(others.clone()));
            assert_eq!(difference, 0.0, "{} {mode:?}", arch.name);
        }
    }
}

#[test]
fn nothing_masked_is_the_dense_encoder() {
    let [convnext, ..] = small();
    let (model, images) = (model(convnext), pictures());
    let all = Cells { grid: [3, 3], visible: vec![(0..9).collect(); 2] };
    let of = |mode| model.forward(images.clone(), &all, mode, false).patches;
    let difference = largest_difference(of(MaskMode::Masked), of(MaskMode::Dense));
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn the_order_of_visible_patches_does_not_matter() {
    for arch in small() {
        let (model, images, cells) = (model(arch), pictures(), cells(arch));
        let mut sorted = cells.clone();
        sorted.visible.iter_mut().for_each(|visible| visible.sort());
        let predict =
            |cells: &Cells| model.forward(images.clone(), cells, MaskMode::Masked, false).patches;
        let difference = largest_difference(predict(&cells), predict(&sorted));
        assert!(difference < 1e-4, "{}: {difference}", arch.name);
    }
}

#[test]
fn visible_patches_are_not_judged() {
    for arch in small() {
        let (model, images, cells) = (model(arch), pictures(), cells(arch));
        let mut prediction = model.forward(images.clone(), &cells, MaskMode::Masked, false);
        let before: f32 = prediction.loss(images.clone(), true).into_scalar();
        let visible = prediction.masked.clone().neg() + 1.0;
        prediction.patches = prediction.patches.clone() + visible * 7.0;
        let after: f32 = prediction.loss(images, true).into_scalar();
        assert!((before - after).abs() < 1e-5, "{}: {before} {after}", arch.name);
    }
}

#[test]
fn patches_become_the_picture_again() {
    let images = pictures();
    for order in [PatchOrder::ChannelsFirst, PatchOrder::ChannelsLast] {
        for side in [8, 16, 32] {
            let patches = patchify(images.clone(), side, order);
            let again = unpatchify(patches, [SIDE / side; 2], order);
            assert_eq!((images.clone() - again).abs().max().into_scalar::<f32>(), 0.0);
        }
    }
    let patches = patchify(images, 16, PatchOrder::ChannelsLast);
    let (mean, deviation) = moments(normalized(patches));
    assert!(mean.abs().max().into_scalar::<f32>() < 1e-5);
    assert!((deviation - 1.0).abs().max().into_scalar::<f32>() < 1e-3);
}
