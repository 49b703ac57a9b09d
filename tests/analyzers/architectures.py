"""Tiny models of many architectures with random weights, made without a download, and random inputs for each."""

import torch
import transformers
from torch import Tensor, nn

from tests.analyzers.architecture import (
    IMAGE,
    IMAGE_TOKEN,
    ROWS,
    TOKENS,
    VOCABULARY,
    Architecture,
    Inputs,
    built,
    image,
    noise,
    pair,
    spread,
    text,
    tokens,
    unpadded,
)

BERT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}
LLAMA = {**BERT, "num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 2}
BART = {
    "vocab_size": VOCABULARY,
    "d_model": 8,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 12,
    "decoder_ffn_dim": 12,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
IMAGES = {
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "image_size": IMAGE,
    "patch_size": 8,
}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 12],
    "depths": [3, 2],
    "layer_type": "basic",
}
SEGFORMER = {
    "num_encoder_blocks": 2,
    "depths": [2, 3],
    "hidden_sizes": [8, 16],
    "num_attention_heads": [1, 2],
    "sr_ratios": [2, 1],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "mlp_ratios": [2, 2],
}


def detr() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(**RESNET, out_features=["stage2"]),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        d_model=8,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        num_queries=4,
    )
    model = transformers.DetrModel(config).eval()
    spread(model)
    return model


def text_with_image() -> Inputs:
    ids = tokens()
    ids[ids == IMAGE_TOKEN] = 3
    ids[:, 1:5] = IMAGE_TOKEN
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": (ids == IMAGE_TOKEN).long(),
        **image(),
    }


def clip_inputs() -> Inputs:
    ids = tokens()
    ids[:, -1] = VOCABULARY - 1
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **image()}


class Residuals(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden + torch.tanh(self.linear(self.norm(hidden)))


def sequential() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(Residuals(8) for _ in range(3))).eval()


def plain_encoder() -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    spread(model)
    return model


ALL = frozenset(range(3))
NO_CONFIGURATION = {ALL: "has no configuration, so a smaller one could not be opened again"}
FIRST = frozenset({0})

ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture(built("BertModel", **BERT), text, 3),
    "roberta": Architecture(built("RobertaModel", **BERT), text, 3),
    "distilbert": Architecture(
        built("DistilBertModel", vocab_size=VOCABULARY, dim=8, n_layers=3, n_heads=2, hidden_dim=12), text, 3
    ),
    "mpnet": Architecture(built("MPNetModel", **BERT), text, 3),
    "deberta": Architecture(
        built("DebertaModel", **BERT, relative_attention=True, pos_att_type=["c2p", "p2c"]), text, 3
    ),
    "deberta-v2": Architecture(
        built("DebertaV2Model", **BERT, relative_attention=True, pos_att_type=["c2p", "p2c"], conv_kernel_size=3),
        text,
        3,
        chained=False,
        # A convolution stands behind the first block, whichever that is, and reads what goes into it.
        refused={FIRST: "something beside the layers goes by their positions"},
    ),
    "electra": Architecture(built("ElectraModel", **BERT, embedding_size=8), text, 3),
    "modernbert": Architecture(
        built("ModernBertModel", **BERT, local_attention=4, global_attn_every_n_layers=2),
        text,
        3,
        # The first block has no norm of its own: the weights of another one's would have no place.
        refused={FIRST: "attn_norm.weight is .* and would be missing"},
    ),
    "gpt2": Architecture(
        built("GPT2Model", vocab_size=VOCABULARY, n_embd=8, n_layer=3, n_head=2, n_positions=16), text, 3
    ),
    "gpt-neox": Architecture(built("GPTNeoXModel", **BERT), text, 3),
    "opt": Architecture(
        built(
            "OPTModel",
            vocab_size=VOCABULARY,
            hidden_size=8,
            num_hidden_layers=3,
            num_attention_heads=2,
            ffn_dim=12,
            max_position_embeddings=16,
            word_embed_proj_dim=8,
        ),
        text,
        3,
    ),
    "llama": Architecture(built("LlamaForCausalLM", **LLAMA), text, 3, ("logits",)),
    "qwen2": Architecture(
        built(
            "Qwen2Model",
            **LLAMA,
            use_sliding_window=True,
            sliding_window=3,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        text,
        3,
    ),
    "mistral": Architecture(built("MistralModel", **LLAMA, sliding_window=3), text, 3),
    "mixtral": Architecture(built("MixtralModel", **LLAMA, num_local_experts=3, num_experts_per_tok=2), text, 3),
    "gemma3": Architecture(
        built(
            "Gemma3Model",
            text_config={
                **LLAMA,
                "head_dim": 4,
                "sliding_window": 3,
                "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            },
            vision_config={**IMAGES, "num_hidden_layers": 2},
            mm_tokens_per_image=4,
            image_token_index=IMAGE_TOKEN,
        ),
        text_with_image,
        5,
    ),
    "gemma3-text": Architecture(
        built(
            "Gemma3TextModel",
            **LLAMA,
            head_dim=4,
            sliding_window=3,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
        text,
        3,
    ),
    "mamba": Architecture(
        built("MambaModel", vocab_size=VOCABULARY, hidden_size=8, num_hidden_layers=3, state_size=4, expand=2),
        unpadded,
        3,
    ),
    "t5": Architecture(
        built(
            "T5Model",
            vocab_size=VOCABULARY,
            d_model=8,
            d_kv=4,
            d_ff=12,
            num_layers=2,
            num_decoder_layers=3,
            num_heads=2,
            relative_attention_num_buckets=8,
            decoder_start_token_id=0,
        ),
        pair,
        5,
        makers=frozenset({0, 2}),
        removals=((0, 2), (0, 2, 3)),
    ),
    "bart": Architecture(built("BartModel", **BART), pair, 5),
    "marian": Architecture(built("MarianModel", **BART), pair, 5),
    "whisper": Architecture(
        built(
            "WhisperModel",
            **{k: v for k, v in BART.items() if k != "max_position_embeddings"},
            num_mel_bins=4,
            max_source_positions=8,
            max_target_positions=16,
            suppress_tokens=None,
            begin_suppress_tokens=None,
        ),
        lambda: {"input_features": noise(4, 16), "decoder_input_ids": tokens(1, 4)},
        5,
    ),
    "vit": Architecture(built("ViTModel", **IMAGES), image, 3),
    "deit": Architecture(built("DeiTModel", **IMAGES), image, 3),
    "beit": Architecture(built("BeitModel", **IMAGES, use_relative_position_bias=True), image, 3),
    "swin": Architecture(
        built("SwinModel", image_size=IMAGE, patch_size=2, embed_dim=8, depths=[2, 3], num_heads=[2, 2], window_size=4),
        image,
        5,
        # Windows are shifted in every other block: only pairs, and the last block of a stage, leave the others as they are.
        removals=((2, 3), (3, 4), (1, 4)),
        refused={frozenset({0, 2, 3}): "has shift_size . and would get ."},
    ),
    "convnext": Architecture(
        built("ConvNextModel", hidden_sizes=[8, 12], depths=[2, 3], num_stages=2, patch_size=4), image, 5
    ),
    "resnet": Architecture(built("ResNetModel", **RESNET), image, 4),
    "segformer": Architecture(built("SegformerModel", **SEGFORMER), image, 5),
    "detr": Architecture(detr, image, 9),
    "yolos": Architecture(
        built(
            "YolosModel",
            **{**IMAGES, "image_size": [IMAGE, IMAGE]},
            num_detection_tokens=4,
            use_mid_position_embeddings=False,
        ),
        image,
        3,
    ),
    "yolos-mid-positions": Architecture(
        built(
            "YolosModel",
            **{**IMAGES, "image_size": [IMAGE, IMAGE]},
            num_detection_tokens=4,
            use_mid_position_embeddings=True,
        ),
        image,
        3,
        chained=False,
        # There is a table of positions between any two blocks, all in one tensor.
        refused={ALL: "mid_position_embeddings is .* and would be"},
    ),
    "clip": Architecture(
        built(
            "CLIPModel",
            text_config={**BERT, "eos_token_id": VOCABULARY - 1, "num_hidden_layers": 2},
            vision_config=IMAGES,
            projection_dim=8,
        ),
        clip_inputs,
        5,
        ("image_embeds", "text_embeds"),
        replayed=frozenset(),
    ),
    "vilt": Architecture(built("ViltModel", **{**IMAGES, **BERT}), lambda: {**text(), **image()}, 3),
    "wav2vec2": Architecture(
        built(
            "Wav2Vec2Model",
            hidden_size=8,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=12,
            conv_dim=[8, 8],
            conv_kernel=[4, 4],
            conv_stride=[4, 4],
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
        ),
        lambda: {"input_values": noise(160)},
        3,
    ),
    "ast": Architecture(
        built(
            "ASTModel",
            **{k: v for k, v in IMAGES.items() if k != "image_size"},
            num_mel_bins=8,
            max_length=24,
            frequency_stride=8,
            time_stride=8,
        ),
        lambda: {"input_values": noise(24, 8)},
        3,
    ),
    "decision-transformer": Architecture(
        built(
            "DecisionTransformerModel",
            state_dim=5,
            act_dim=2,
            hidden_size=8,
            max_ep_len=16,
            n_layer=3,
            n_head=2,
            n_positions=32,
        ),
        lambda: {
            "states": noise(4, 5),
            "actions": noise(4, 2, seed=1),
            "rewards": noise(4, 1, seed=2),
            "returns_to_go": noise(4, 1, seed=3),
            "timesteps": torch.arange(4).repeat(ROWS, 1),
            "attention_mask": torch.ones(ROWS, 4, dtype=torch.long),
        },
        3,
    ),
    "transformer-encoder": Architecture(
        plain_encoder, lambda: {"src": noise(TOKENS, 8)}, 3, (), refused=NO_CONFIGURATION
    ),
    "sequential": Architecture(sequential, lambda: {"input": noise(TOKENS, 8)}, 3, (), refused=NO_CONFIGURATION),
}
