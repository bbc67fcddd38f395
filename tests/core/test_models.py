"""Loading: what is refused and in which words, what a model says of itself, prompts with and without template."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_models import byte_tokenizer, tiny_llama
from transformers import GPT2Config, GPT2LMHeadModel, T5Config
from transformers.utils import logging as transformers_logging

from unlearn_core.errors import BadInput
from unlearn_core.models import hub, placement
from unlearn_core.models.catalogue import looks_like_path, models
from unlearn_core.models.loading import LoadedModel, linears, load, matrix_place, weights_hash
from unlearn_core.models.prompts import answer_end, encode_answer, encode_prompt, encode_text, end_ids
from unlearn_core.models.weight_files import count_parameters, tensor_shapes


def test_a_loaded_model_describes_itself(tiny: LoadedModel, tiny_folder: Path) -> None:
    assert tiny.parameters == sum(p.numel() for p in tiny_llama().parameters())
    assert tiny.layers == 2 and tiny.dtype == torch.float32 and tiny.folder == tiny_folder
    assert tiny.memory >= 4 * tiny.parameters
    assert not tiny.model.training and not any(p.requires_grad for p in tiny.model.parameters())


def test_linears_are_those_of_the_layers_without_the_head(tiny: LoadedModel) -> None:
    found = linears(tiny.model)
    assert len(found) == 2 * 7 and "lm_head" not in found
    assert {matrix_place(name)[1] for name in found} == {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}


def test_matrix_place() -> None:
    assert matrix_place("model.layers.2.mlp.up_proj") == (2, "mlp.up_proj")
    assert matrix_place("gpt_neox.layers.11.attention.dense") == (11, "attention.dense")
    with pytest.raises(ValueError):
        matrix_place("lm_head")


def test_weights_hash_is_sha256_of_names_and_bytes(tiny: LoadedModel) -> None:
    digest = hashlib.sha256()
    for name, tensor in sorted(tiny.model.named_parameters()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    assert tiny.weights_hash == digest.hexdigest()


def test_weights_hash_notices_one_changed_number() -> None:
    model = tiny_llama()
    before = weights_hash(model)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] += 1e-3
    assert weights_hash(model) != before


def test_stored_in_16_bits_loads_in_32_on_the_cpu(tmp_path: Path) -> None:
    tiny_llama().to(torch.bfloat16).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    assert load(str(tmp_path), device="cpu").dtype == torch.float32
    assert load(str(tmp_path), device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_headers_give_the_parameter_count(tiny_folder: Path) -> None:
    assert count_parameters(tiny_folder) == sum(p.numel() for p in tiny_llama().parameters())
    assert tensor_shapes(tiny_folder / "model.safetensors")["model.embed_tokens.weight"] == (260, 32)


def test_missing_folder(tmp_path: Path) -> None:
    _refused(str(tmp_path / "nowhere"), "There is no model folder")


def test_no_name() -> None:
    _refused(" ", "No model was named")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    _refused(str(tmp_path / "model.safetensors"), "is a file")


def test_folder_without_config(tmp_path: Path) -> None:
    _refused(str(tmp_path), "no config.json")


def test_only_pickled_weights(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    _refused(str(tmp_path / "m"), "only pickled weights")


def test_no_weights_at_all(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").unlink()
    _refused(str(tmp_path / "m"), "has no weights")


@pytest.mark.parametrize("content", [b"", b"not a tensor file at all", struct.pack("<Q", 2**60) + b"{}"])
def test_damaged_weights(tiny_folder: Path, tmp_path: Path, content: bytes) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(content)
    _refused(str(tmp_path / "m"), "cannot be read")


def test_weights_cut_short(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    whole = (tiny_folder / "model.safetensors").read_bytes()
    (tmp_path / "m" / "model.safetensors").write_bytes(whole[:-100])
    _refused(str(tmp_path / "m"), "cannot be read")


def test_weights_of_another_shape(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    _refused(str(tmp_path / "m"), "do not fit")


def test_weights_of_another_width_are_refused_by_name(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"vocab_size": 300}))
    _refused(str(tmp_path / "m"), "1 tensor is of another shape, model.embed_tokens.weight: (260, 32) where config.json asks for")


def test_tensors_left_out_are_told_of(tiny_folder: Path, tmp_path: Path, tiny: LoadedModel) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    loaded = load(str(tmp_path / "m"), device="cpu")
    assert loaded.layers == 1 and "9 tensors are left out, model.layers.1.input_layernorm.weight first" in loaded.notices[0]
    assert tiny.notices == ()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_library_is_silent_while_loading_and_as_before_afterwards(tiny_folder: Path, tmp_path: Path, layers: int) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tiny_folder / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
    heard, before = _Heard(), transformers_logging.get_verbosity()
    transformers_logging.add_handler(heard)
    try:
        with contextlib.suppress(BadInput):
            load(str(tmp_path / "m"), device="cpu")
    finally:
        transformers_logging.remove_handler(heard)
    assert heard.lines == [] and transformers_logging.get_verbosity() == before


def test_a_header_that_contradicts_itself_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    header["model.norm.weight"]["shape"][0] -= 1
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])
    _refused(str(tmp_path / "m"), "Something is wrong with its weights")


def test_damaged_config(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text("{")
    _refused(str(tmp_path / "m"), "cannot be read")


def test_weights_of_another_kind_than_the_config_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    T5Config(num_layers=1).save_pretrained(tmp_path / "m")
    _refused(str(tmp_path / "m"), "do not fit")


def test_a_model_without_linear_layers_is_refused(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=260, n_embd=16, n_layer=1, n_head=2, n_positions=64)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    _refused(str(tmp_path), "no linear layers")


def test_too_large_is_refused_before_loading(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_memory", lambda device: 1_000_000)
    _refused(str(tiny_folder), "does not fit into memory")


@pytest.mark.parametrize(("dtype", "device", "free", "advice"), [
    ("float32", "cpu", {"cpu": 3e9}, "Use --dtype bfloat16, close other programs, or pick a smaller model."),
    ("float32", "cpu", {"cpu": 2e9}, "Pick a smaller model, or close other programs."),
    ("bfloat16", "cpu", {"cpu": 2e9}, "Pick a smaller model, or close other programs."),
    ("auto", "cpu", {"cpu": 2e9}, "Pick a smaller model, or close other programs."),
    ("auto", "cuda", {"cuda": 2e9, "cpu": 3e9}, "Use --device cpu, close other programs, or pick a smaller model."),
    ("float32", "cuda", {"cuda": 3e9, "cpu": 9e9}, "Use --dtype bfloat16, use --device cpu, close other programs, or pick a"),
    ("auto", "cuda", {"cuda": 2e9, "cpu": 2e9}, "Pick a smaller model, or close other programs."),
])
def test_what_is_advised_would_help(monkeypatch: pytest.MonkeyPatch, dtype: str, device: str, free: dict[str, float],
                                    advice: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in free)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(placement, "free_memory", lambda place: int(free[place.type]))
    with pytest.raises(BadInput) as caught:
        placement.choose_dtype(dtype, 1_000_000_000, torch.device(device))
    assert caught.value.remedy.startswith(advice)


def test_auto_takes_16_bits_when_32_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "free_memory", lambda device: 3_500_000_000)
    assert placement.choose_dtype("auto", 1_000_000_000, torch.device("cpu")) == torch.bfloat16
    assert placement.choose_dtype("auto", 500_000_000, torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("settings", [{"device": "toaster"}, {"dtype": "int3"}])
def test_unknown_device_or_format(tiny_folder: Path, settings: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        load(str(tiny_folder), **settings)


def test_hub_model_offline_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_cached", lambda name, patterns: None)
    monkeypatch.setattr(hub, "HfApi", _NoNetwork)
    _refused("nobody/no-such-model", "cannot be reached")


@pytest.mark.parametrize(
    ("error", "words"),
    [(ConnectionError("[Errno -2] Name or service not known"), "its name cannot be looked up"),
     (TimeoutError("timed out"), "It did not answer in time."), (ConnectionRefusedError("refused"), "The connection failed")],
)
def test_why_the_hub_gave_no_answer_is_a_sentence(error: Exception, words: str) -> None:
    assert words in hub._reason(error) and "Errno" not in hub._reason(error)


@pytest.mark.parametrize(("spec", "path"), [("./here", True), ("/a/b", True), ("~/m", True), ("a/b/c", True), ("a b", True),
                                            ("Qwen/Qwen2.5-0.5B-Instruct", False), ("gpt2", False)])
def test_paths_and_hub_ids(spec: str, path: bool) -> None:
    assert looks_like_path(spec) is path


def test_catalogue_starts_with_the_built_in_model() -> None:
    listed = models()
    assert listed[0]["name"] == "demo" and len(listed) >= 6
    assert all(set(model) == {"name", "title", "summary", "parameters"} for model in listed)


def test_catalogue_imports_no_torch() -> None:
    code = "import sys, unlearn_core.models.catalogue as c; c.models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_prompt_with_template(tiny: LoadedModel) -> None:
    text = tiny.tokenizer.decode(encode_prompt(tiny.tokenizer, "Ada hat?"))
    assert text == "<s><|user|>Ada hat?<|assistant|>"
    assert tiny.tokenizer.decode(encode_answer(tiny.tokenizer, "red")) == "red</s>"


def test_prompt_without_template(tiny_plain: LoadedModel) -> None:
    tokenizer = tiny_plain.tokenizer
    assert tokenizer.decode(encode_prompt(tokenizer, "Ada hat?")) == "<s>Question: Ada hat?\nAnswer:"
    assert tokenizer.decode(encode_prompt(tokenizer, "Ada wore")) == "<s>Ada wore"
    assert tokenizer.decode(encode_answer(tokenizer, "red")) == " red</s>"


def test_running_text_starts_with_the_begin_token(tiny: LoadedModel) -> None:
    assert encode_text(tiny.tokenizer, "ab")[0] == tiny.tokenizer.bos_token_id
    assert len(encode_text(tiny.tokenizer, "ab")) == 3


def test_the_end_of_an_answer_is_the_templates_own() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = tokenizer.chat_template.replace("</s>", "<|user|>")
    assert answer_end(tokenizer) == tokenizer.convert_tokens_to_ids("<|user|>")
    assert answer_end(byte_tokenizer(chat=False)) == tokenizer.eos_token_id


def test_end_ids_join_tokenizer_and_generation_config(tiny: LoadedModel) -> None:
    assert end_ids(tiny.tokenizer, tiny.model) == {1}


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class _NoNetwork:
    def model_info(self, name: str, timeout: float) -> None:
        raise ConnectionError("no route to host")


def _refused(spec: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(spec, device="cpu")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
