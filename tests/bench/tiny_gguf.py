"""A language model and a vision encoder of random weights, as small as llama.cpp takes them (GGUF):
    python make.py FOLDER        writes FOLDER/tiny.gguf and FOLDER/tiny-mmproj.gguf"""
import sys

import gguf
import numpy as np

WORDS = """the a an of in on and with near under over beside red blue green yellow white black grey bright dark large
small round square flat tall narrow wide dog cat house tree field road river sky cloud wall table chair window door light
shadow colour shape line edge picture scene background foreground stands lies shows fills holds crosses rests is are
. ,""".split()
WIDTH, LAYERS, HEADS, FEED = 64, 2, 4, 128
rng = np.random.default_rng(1)


def normal(*shape, scale=0.05):
    return rng.normal(0, scale, shape).astype(np.float32)


def language(path):
    letters = [chr(c) for c in range(ord("!"), ord("~") + 1)] + ["▁"]
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + letters
    first_word = len(tokens)
    tokens += [w if w in ".," else "▁" + w for w in WORDS if w not in letters]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    w = gguf.GGUFWriter(path, "llama")
    w.add_name("tiny")
    w.add_context_length(8192)
    w.add_embedding_length(WIDTH)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FEED)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(WIDTH // HEADS)
    w.add_vocab_size(len(tokens))
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([float(-i) for i in range(len(tokens))])
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(True)
    w.add_chat_template("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:")
    w.add_tensor("token_embd.weight", normal(len(tokens), WIDTH, scale=1))
    w.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    out = np.zeros((len(tokens), WIDTH), np.float32)
    out[first_word:] = normal(len(tokens) - first_word, WIDTH, scale=0.5)  # it says words, and ends now and then
    out[2] = normal(WIDTH, scale=0.5)
    w.add_tensor("output.weight", out)
    for i in range(LAYERS):
        for name, shape in {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH),
                            "attn_output": (WIDTH, WIDTH), "ffn_gate": (FEED, WIDTH), "ffn_up": (FEED, WIDTH),
                            "ffn_down": (WIDTH, FEED)}.items():
            w.add_tensor(f"blk.{i}.{name}.weight", normal(*shape))
        for name in "attn_norm", "ffn_norm":
            w.add_tensor(f"blk.{i}.{name}.weight", np.ones(WIDTH, np.float32))
    finish(w)


def vision(path):
    size, patch = 112, 14
    w = gguf.GGUFWriter(path, "clip")
    w.add_string("general.type", "mmproj")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "mlp")
    w.add_bool("clip.use_gelu", True)
    for name, value in {"image_size": size, "patch_size": patch, "embedding_length": WIDTH,
                        "feed_forward_length": FEED, "projection_dim": WIDTH, "block_count": LAYERS,
                        "attention.head_count": HEADS}.items():
        w.add_uint32("clip.vision." + name, value)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    w.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    w.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    w.add_tensor("v.patch_embd.weight", normal(WIDTH, 3, patch, patch))
    w.add_tensor("v.class_embd", normal(WIDTH))
    w.add_tensor("v.position_embd.weight", normal((size // patch) ** 2 + 1, WIDTH))
    for i in range(LAYERS):
        for name, shape in {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH),
                            "attn_out": (WIDTH, WIDTH), "ffn_up": (FEED, WIDTH), "ffn_down": (WIDTH, FEED)}.items():
            w.add_tensor(f"v.blk.{i}.{name}.weight", normal(*shape))
            w.add_tensor(f"v.blk.{i}.{name}.bias", normal(shape[0]))
        for name in "ln1", "ln2":
            w.add_tensor(f"v.blk.{i}.{name}.weight", np.ones(WIDTH, np.float32))
            w.add_tensor(f"v.blk.{i}.{name}.bias", np.zeros(WIDTH, np.float32))
    for name in "pre_ln", "post_ln":
        w.add_tensor(f"v.{name}.weight", np.ones(WIDTH, np.float32))
        w.add_tensor(f"v.{name}.bias", np.zeros(WIDTH, np.float32))
    for i in 0, 2:
        w.add_tensor(f"mm.{i}.weight", normal(WIDTH, WIDTH))
        w.add_tensor(f"mm.{i}.bias", normal(WIDTH))
    finish(w)


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


language(sys.argv[1] + "/tiny.gguf")
vision(sys.argv[1] + "/tiny-mmproj.gguf")
