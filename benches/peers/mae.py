"""Pre-training of masked autoencoders on the CPU, as JSON lines; the other side is `trainer mae benchmark`.

    python benches/peers/mae.py mae-vit|mae-convnext|mae-hiera [--case training_step|forward] [--threads 2] [--steps 5]

16 pictures of 224x224 and random masks. `training_step` is loss, backward and AdamW, `forward` the loss without
gradients. ViT and Hiera are those of transformers, ConvNeXt V2 is timm's encoder, dense, with the mask behind its
stem and FCMAE's decoder of one block.
"""

import argparse
import sys

import timm
import torch
from timm.models.convnext import ConvNeXtBlock
from torch import nn
from transformers import HieraConfig, HieraForPreTraining, ViTMAEConfig, ViTMAEForPreTraining

import measure

PICTURES, SIDE, CELL = 16, 224, 32
MASK_RATIO = {"mae-vit": 0.75, "mae-convnext": 0.6, "mae-hiera": 0.6}


class Fcmae(nn.Module):
    """FCMAE in its dense form: arXiv 2301.00808, with TAO's single mask."""

    def __init__(self, mask_ratio: float, width: int = 512):
        super().__init__()
        self.mask_ratio = mask_ratio
        self.encoder = timm.create_model("convnextv2_tiny", num_classes=0, global_pool="")
        del self.encoder.head
        self.proj = nn.Conv2d(768, width, 1)
        self.mask_token = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.decoder = ConvNeXtBlock(width, ls_init_value=None, use_grn=True)
        self.pred = nn.Conv2d(width, 3 * CELL * CELL, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        batch, _, height, width = images.shape
        rows, columns = height // CELL, width // CELL
        kept = int(rows * columns * (1 - self.mask_ratio))
        order = torch.rand(batch, rows * columns).argsort(dim=1)
        mask = torch.ones(batch, rows * columns).scatter_(1, order[:, :kept], 0.0)
        mask = mask.reshape(batch, 1, rows, columns)
        fine = mask.repeat_interleave(8, 2).repeat_interleave(8, 3)
        x = self.encoder.stages(self.encoder.stem(images) * (1 - fine))
        x = self.proj(x)
        x = self.decoder(x * (1 - mask) + self.mask_token * mask)
        predicted = self.pred(x).flatten(2).transpose(1, 2)
        target = images.reshape(batch, 3, rows, CELL, columns, CELL).permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        error = ((predicted - (target - mean) / (variance + 1e-6).sqrt()) ** 2).mean(-1)
        mask = mask.flatten(1)
        return (error * mask).sum() / mask.sum()


class Published(nn.Module):
    """A model of transformers, as its loss."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=images).loss


def make(name: str) -> nn.Module:
    ratio = MASK_RATIO[name]
    if name == "mae-convnext":
        return Fcmae(ratio)
    if name == "mae-vit":
        config = ViTMAEConfig(mask_ratio=ratio, norm_pix_loss=True, layer_norm_eps=1e-6)
        return Published(ViTMAEForPreTraining(config))
    tiny = {"embed_dim": 96, "num_heads": [1, 2, 4, 8], "depths": [1, 2, 7, 2]}
    decoder = {"decoder_hidden_size": 512, "decoder_depth": 8, "decoder_num_heads": 16}
    config = HieraConfig(**tiny, **decoder, num_query_pool=2, mask_ratio=ratio, normalize_pixel_loss=True)
    return Published(HieraForPreTraining(config))


def measured(name: str, case: str, layout: torch.memory_format, steps: int) -> tuple[list[float], measure.Memory]:
    images = torch.randn(PICTURES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(7))
    memory = measure.Memory()
    model = make(name).to(memory_format=layout)
    images = images.to(memory_format=layout)
    if case == "forward":
        model.eval()
        with torch.inference_mode():
            return measure.times(lambda: model(images), 0, steps), memory
    model.train()
    update = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, foreach=True)

    def run():
        update.zero_grad(set_to_none=True)
        loss = model(images)
        loss.backward()
        update.step()
        loss.item()

    return measure.times(run, 0, steps), memory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=list(MASK_RATIO))
    parser.add_argument("--case", choices=["training_step", "forward"], default="training_step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(7)
    layouts = [torch.contiguous_format]
    if options.model == "mae-convnext":
        # Convolutions: whichever layout suits the machine.
        layouts.append(torch.channels_last)
    found = [measured(options.model, options.case, layout, options.steps) for layout in layouts]
    milliseconds, memory = min(found, key=lambda one: min(one[0]))
    print(measure.line(options.case, milliseconds, memory))


if __name__ == "__main__":
    sys.exit(main())
