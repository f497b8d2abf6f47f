"""Odd values for any field, odd names, and regular expressions that take for ever."""

from typing import Any

NUMBERS = (
    0, 1, -1, 2, 3, 7, 100, 2**16, 2**31 - 1, 2**31, 2**40, 2**53 + 1, 2**63, 2**64, -(2**63),
    10**30, 10**400,
)  # fmt: skip
_NESTED: Any = "deep"
for _ in range(100):
    _NESTED = [_NESTED]
VALUES: tuple[Any, ...] = (
    None, True, False, "", "x", "none", "all", "auto", "pissa", "1", "\0", "\ud800", "é\n\r\t",
    "x" * 5000, "../..", "/", "/dev/zero", "~", 0.5, -0.5, 1e308, -1e308, 1e-308, 5e-324, 0.0, -0.0,
    float("nan"), float("inf"), -float("inf"), [], {}, [[]], [None], [{}], {"": None}, {"x": {}},
    [1, 2], [[0, 1]], [[1, 0]], [[0, 10**9]], [[0, 1, 2]], [[-1, 1]], [[0.0, 1.0]], ["q_proj"],
    {"q_proj": 2}, {"q_proj": -1}, {"q_proj": None}, {"q_proj": 0}, {"q_proj": float("nan")},
    _NESTED, list(range(20_000)), {str(i): i for i in range(5000)}, *NUMBERS,
)  # fmt: skip
# Names of tensors: control characters, marks of direction, endless parts, what regexes stumble on.
NAMES = (
    "", ".", "..", "...", " ", "\n", "a\nb", "\x1b[31mred", "\x00", "a\x7f", "\u202egnp", "é",
    "\U0001d562",
    "x" * 600, "x" * 100_000, "." * 2000, ".q" * 3000, "x" + ".q" * 200, "model." * 5000 + "x",
    "model." * 80 + "x", "layers." * 300, "lora_A.weight", ".lora_A.weight", "lora_A", "weight",
    "base_model.model.", "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
    "../../canary", "/etc/passwd", "%s%n{0}", "<script>alert(1)</script>", "layers.99999999999",
    "lora_" * 100, ".lora_A" * 80, "a.lora_A.weight" * 30, "hada_" * 50, "base_model.vera_A",
    "experts.up_proj", "trainable_tokens_delta", "x.trainable_tokens_delta", "lm_head",
    "__metadata__", "0", "-1", "1.2.3.4", "c_attn", "x.c_attn.lora_A.weight", "\\", "(((((", "[",
)  # fmt: skip
EXPRESSIONS = (
    "(a+)+$", "(.*)*x", "(.+)+x", "(.*.*)*x", "(.*){30}x", "(?:.*.*.*.*.*.*.*.*.*.*)x", "(.|.)*x",
    "(([a-z_.]+)*)*!", r"(\w+\.?)+!", r"(?:\w|\d|_|.)*\1", "(.?){80}.{80}", "(a|b|ab)*c" * 30,
    "(?:.|..|...)*(?<!j)", "(?:.|..|...)*(?<![jv])", r"(.|..|...)*\1\1\1(?<!j)",
    "(", ")", "[", "*", "?", "+", "{", "a{1,99999999999}", "((.{1,1000}){1,1000}){1,1000}x",
    "(" * 90 + ")" * 90, "(" * 5000 + ")" * 5000, "(?P<x>.)(?P<x>.)", "(?i)q", "(?<=.*)q", "(?R)",
    "\\", "\\1", "(?#", "(?P=x)", "\ud800", "", ".*", "x|" * 3000, "a" * 100_000, "[^\\W\\d]+" * 60,
    r"(?:(?:.*\.)*)*q_projx", "(?=(.*)*x)", "(?!(.*)*x)q_proj", "q_proj", "v_proj", r".*\.q_proj",
)  # fmt: skip
TYPES = (
    "LORA", "ADALORA", "VERA", "LOHA", "LOKR", "OFT", "BOFT", "IA3", "HRA", "FOURIERFT", "WAVEFT",
    "SHIRA", "VBLORA", "C3A", "GRALORA", "RANDLORA", "MISS", "ROAD", "DELORA", "HIRA", "LN_TUNING",
    "TRAINABLE_TOKENS", "POLY", "PROMPT_TUNING", "lora", "", "XLORA", "__class__",
)  # fmt: skip
# Fields of all types' configurations; what a seed has of its own is changed besides.
FIELDS = (
    "peft_type", "r", "lora_alpha", "alpha", "use_rslora", "use_dora", "lora_bias", "bias",
    "fan_in_fan_out", "rank_pattern", "alpha_pattern", "init_lora_weights", "target_parameters",
    "target_modules", "modules_to_save", "layer_replication", "layers_to_transform",
    "layers_pattern", "exclude_modules", "base_model_name_or_path", "revision", "task_type",
    "peft_version", "auto_mapping", "inference_mode", "trainable_token_indices", "token_indices",
    "megatron_config", "loftq_config", "corda_config", "eva_config", "use_qalora",
    "qalora_group_size", "module_dropout", "lora_dropout", "rank_dropout", "block_share", "coft",
    "eps", "oft_block_size", "use_cayley_neumann", "num_cayley_neumann_terms",
    "projection_prng_key", "save_projection", "d_initial", "vera_dropout", "feedforward_modules",
    "init_ia3_weights", "init_weights", "use_effective_conv2d", "target_r", "init_r",
    "decompose_both", "decompose_factor", "model_type", "num_attention_heads",
    "num_key_value_heads", "quantization_config", "tie_word_embeddings", "text_config",
    "_name_or_path", "runtime_config", "weight_map",
)  # fmt: skip
