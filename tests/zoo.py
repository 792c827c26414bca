"""Other people's networks, small: torchvision's, timm's and transformers', from their own code, without weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models import swin_transformer as swins
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.segmentation.fcn import FCNHead

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here asks a hub for anything; if it did, it must fail

Zoo = dict[str, Callable[[], tuple[nn.Module, Any]]]


def picture(side: int = 32, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, 3, side, side)


def _vgg(batch_norm: bool) -> nn.Module:
    net = models.VGG(models.vgg.make_layers([8, "M", 16, "M"], batch_norm), num_classes=10, init_weights=False)
    net.avgpool, net.classifier = (
        nn.AdaptiveAvgPool2d(2),
        nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    )
    return net


def _resnet(block: type[nn.Module], **kwargs: int) -> nn.Module:
    net = models.ResNet(block, [1, 1, 1, 1], num_classes=10, **kwargs)
    net.layer3 = net.layer4 = nn.Identity()  # they have most of the weights, and nothing new
    net.fc = nn.Linear(128 * block.expansion, 10)
    return net


def _fcn() -> nn.Module:
    body = models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    body.layer2 = body.layer3 = body.layer4 = nn.Identity()
    return models.segmentation.FCN(IntermediateLayerGetter(body, {"layer1": "out"}), FCNHead(64, 10))


def _swin(version: int) -> nn.Module:
    kinds = {} if version == 1 else {"block": swins.SwinTransformerBlockV2, "downsample_layer": swins.PatchMergingV2}
    return models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=10, **kinds)


TORCHVISION: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "resnet": (lambda: _resnet(models.resnet.BasicBlock), 32),
    "resnext": (lambda: _resnet(models.resnet.Bottleneck, groups=4, width_per_group=4), 16),
    "vgg": (lambda: _vgg(False), 16),
    "vgg_bn": (lambda: _vgg(True), 16),
    "squeezenet": (lambda: models.squeezenet1_1(num_classes=10), 32),
    "densenet": (lambda: models.DenseNet(8, (2, 2, 2), 16, num_classes=10), 32),
    "shufflenet": (lambda: models.ShuffleNetV2([1, 1, 1], [8, 16, 32, 64, 128], num_classes=10), 32),
    "mobilenet_v2": (
        lambda: models.MobileNetV2(10, inverted_residual_setting=[[1, 8, 1, 1], [2, 8, 2, 2]], width_mult=0.25), 16
    ),
    "mobilenet_v3": (lambda: models.mobilenet_v3_small(num_classes=10, width_mult=0.25), 32),
    "convnext": (lambda: models.ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, None, 1)], num_classes=10), 32),
    "vit": (lambda: models.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=10), 16),
    "swin": (lambda: _swin(1), 32),
    "swin_v2": (lambda: _swin(2), 32),
    "fcn": (_fcn, 32),
}  # fmt: skip


def _timm(name: str, **kwargs: Any) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=10, **kwargs)


def _bit() -> nn.Module:
    """Its convolutions standardise their weight, and so are not linear in it."""
    from timm.layers import GroupNormAct, StdConv2d
    from timm.models.resnetv2 import ResNetV2

    norm = functools.partial(GroupNormAct, num_groups=4)
    return ResNetV2((1, 1), (16, 32), num_classes=10, stem_chs=8, conv_layer=StdConv2d, norm_layer=norm)


def _mixer(residual: bool) -> nn.Module:
    from timm.models import mlp_mixer

    kinds = {"block_layer": mlp_mixer.ResBlock, "mlp_ratio": 4} if residual else {}
    return mlp_mixer.MlpMixer(10, 32, patch_size=8, num_blocks=2, embed_dim=16, **kinds)


_SMALL = {"img_size": 32, "embed_dim": 16}
TIMM: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "timm_resnet": (lambda: _timm("test_resnet"), 32),
    "timm_efficientnet": (lambda: _timm("test_efficientnet"), 32),
    "timm_convnext": (lambda: _timm("test_convnext", dims=(8, 8, 16, 16), depths=(1, 1, 1, 1)), 32),
    "timm_bit": (_bit, 32),
    "timm_vit": (lambda: _timm("test_vit", img_size=32), 32),
    "timm_mixer": (lambda: _mixer(False), 32),
    "timm_resmlp": (lambda: _mixer(True), 32),
    "timm_beit": (lambda: _timm("beit_base_patch16_224", **_SMALL, patch_size=8, depth=2, num_heads=2), 32),
    "timm_eva": (lambda: _timm("eva02_tiny_patch14_224", **_SMALL, patch_size=8, depth=2, num_heads=2), 32),
    "timm_cait": (lambda: _timm("cait_xxs24_224", **_SMALL, patch_size=8, depth=2, num_heads=2), 32),
    "timm_xcit": (lambda: _timm("xcit_nano_12_p8_224", **_SMALL, depth=2, num_heads=2), 32),
    "timm_swin_v2": (
        lambda: _timm("swinv2_tiny_window8_256", **_SMALL, window_size=4, depths=(1, 1), num_heads=(2, 4)), 32
    ),
}  # fmt: skip


def _words(config: Any, kind: str, **more: Any) -> tuple[nn.Module, Any]:
    """A transformers model of class ``kind`` and a batch of word numbers with their loss."""
    import transformers

    ids = torch.randint(3, 40, (2, 7))
    net = getattr(transformers, kind)(config)
    return net, {"input_ids": ids, "return_dict": True, **more}


def _config(name: str, **kwargs: Any) -> Any:
    import transformers

    return getattr(transformers, f"{name}Config")(**kwargs)


_BERT = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 16,
}  # fmt: skip
_PICTURE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def _gpt2() -> tuple[nn.Module, Any]:
    config = _config(
        "GPT2", vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=2
    )
    return _words(config, "GPT2LMHeadModel", use_cache=False)


def _answer() -> torch.Tensor:
    return torch.randint(3, 40, (2, 5))


def _bart() -> tuple[nn.Module, Any]:
    config = _config(
        "Bart", vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=16,
    )  # fmt: skip
    return _words(
        config, "BartForConditionalGeneration", decoder_input_ids=torch.randint(3, 40, (2, 5)), use_cache=False
    )


def _t5() -> tuple[nn.Module, Any]:
    config = _config("T5", vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    return _words(config, "T5ForConditionalGeneration", decoder_input_ids=_answer(), use_cache=False)


def _whisper() -> tuple[nn.Module, Any]:
    import transformers

    config = _config(
        "Whisper", vocab_size=40, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=8, max_source_positions=10,
        max_target_positions=16, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
        suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    sound = torch.randn(2, 8, 20)
    net = transformers.WhisperForConditionalGeneration(config)
    return net, {"input_features": sound, "decoder_input_ids": _answer(), "use_cache": False}


def _seen(name: str, kind: str, side: int = 16, **kwargs: Any) -> tuple[nn.Module, Any]:
    """A transformers model that takes pictures."""
    import transformers

    net = getattr(transformers, kind)(_config(name, **kwargs))
    return net, {"pixel_values": picture(side)}


def _wav2vec2() -> tuple[nn.Module, Any]:
    import transformers

    config = _config(
        "Wav2Vec2", **{**_PICTURE, "conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3)},
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=12,
        mask_time_prob=0.0, layerdrop=0.0,
    )  # fmt: skip
    net = transformers.Wav2Vec2ForCTC(config)
    return net, {"input_values": torch.randn(2, 200)}


TRANSFORMERS: Zoo = {
    "hf_gpt2": _gpt2,
    "hf_bert": lambda: _words(_config("Bert", **_BERT), "BertForSequenceClassification"),
    "hf_roberta": lambda: _words(_config("Roberta", **_BERT), "RobertaForMaskedLM"),
    "hf_distilbert": lambda: _words(
        _config("DistilBert", vocab_size=40, dim=16, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=16),
        "DistilBertForSequenceClassification",
    ),
    "hf_albert": lambda: _words(_config("Albert", **_BERT, embedding_size=8), "AlbertForSequenceClassification"),
    "hf_llama": lambda: _words(_config("Llama", **_BERT, num_key_value_heads=1), "LlamaForCausalLM", use_cache=False),
    "hf_qwen2": lambda: _words(_config("Qwen2", **_BERT, num_key_value_heads=1), "Qwen2ForCausalLM", use_cache=False),
    "hf_opt": lambda: _words(
        _config(
            "OPT", vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, ffn_dim=32,
            word_embed_proj_dim=16, max_position_embeddings=16,
        ),
        "OPTForCausalLM", use_cache=False,
    ),
    "hf_t5": _t5,
    "hf_bart": _bart,
    "hf_whisper": _whisper,
    "hf_wav2vec2": _wav2vec2,
    "hf_vit": lambda: _seen("ViT", "ViTForImageClassification", **_PICTURE, image_size=16, patch_size=8, num_labels=10),
    "hf_convnext": lambda: _seen(
        "ConvNext", "ConvNextForImageClassification", 32, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, num_labels=10
    ),
    "hf_segformer": lambda: _seen(
        "Segformer", "SegformerForSemanticSegmentation", 32, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16, num_labels=10,
    ),
}  # fmt: skip


def _with_picture(make: Callable[[], nn.Module], side: int) -> tuple[nn.Module, Any]:
    return make(), picture(side)


ZOO: Zoo = {name: functools.partial(_with_picture, *how) for name, how in {**TORCHVISION, **TIMM}.items()}
ZOO |= TRANSFORMERS
