"""What cannot be audited is refused in one sentence, before anything long begins, and leaves nothing in the way."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.unit.cli.conftest import Frenemy

from frenemy.training import demonstration

__all__: list[str] = []


@pytest.fixture(autouse=True)
def _untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*words: object, **more: object) -> None:
        raise AssertionError("a refused command has trained a model")

    monkeypatch.setattr(demonstration, "fit", never)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--steps many", "expected --steps to be a whole number of 0 or more, got 'many'"),
        ("--threat linf:-1", "got '-1' in 'linf:-1'"),
        ("--threat linf:nan", "got 'nan' in 'linf:nan'"),
        ("--threat linf:8/0", "got '8/0' in 'linf:8/0'"),
        (
            "--eps 0.1",
            "unknown option '--eps'; it is part of the threat: --threat linf:0.1; see frenemy audit --help",
        ),
        ("--norm l2", "unknown option '--norm'; it is part of the threat: --threat linf:0.1"),
        ("--threat lnif:8/255", "unknown threat 'lnif'; did you mean 'linf'?"),
        ("--threat linf", "expected a size after 'linf'"),
        ("--data minst", "unknown data 'minst', and no folder, .npz or .csv file; did you mean 'mnist'?"),
        ("--data mnist", "put them into"),
        ("--data mnist --data-dir nowhere", "expected --data-dir to be a folder, got 'nowhere'"),
        ("--data none.npz", "got nothing at none.npz"),
        ("--losses ce,foo", "unknown loss 'foo'; known: ce,"),
        ("--losses ,", "expected --losses to be one or more words, got ','"),
        ("--attack pdg", "unknown attack 'pdg'; did you mean 'pgd'?"),
        ("--attack pgd(", "expected names of attacks, got 'pgd('"),
        ("--attack pgd(stepss=3)", "unknown setting 'stepss' of pgd; did you mean 'steps'?"),
        ("--attack pgd(steps=few)", "expected steps of pgd to be int, got 'few'"),
        ("--attack pgd(steps=-1)", "expected steps >= 0"),
        ("--attack pgd(loss=foo)", "unknown loss 'foo'"),
        ("--attack ,", "expected names of attacks, got ','"),
        (
            "--attack fgsm --restarts 2",
            "expected an attack whose restarts may be set, got fgsm; leave restarts out",
        ),
        ("--attack square --losses ce", "expected an attack that takes losses, got square"),
        (
            "--attack deepfool --threat sphere-l2:1",
            "expected an attack that can search sphere, got deepfool; these",
        ),
        ("--effort hard", "unknown effort 'hard'; did you mean 'standard'? known: quick, standard, thorough"),
        ("--objectives fiend", "unknown objective 'fiend'; did you mean 'friend'?"),
        ("--precision float16", "unknown precision 'float16'; did you mean 'bfloat16'?"),
        ("--device tpu9", "expected a device that is here, got 'tpu9'"),
        ("--device meta", "expected a device that is here, got 'meta'"),
        ("--examples 0", "expected --examples to be a whole number of 1 or more, got '0'"),
        ("--examples 10000000", "expected from 1 to 360 examples of digits, got 10000000"),
        ("--mean 0.5", "expected --mean, --std, --output and --partial with models of your own"),
        ("--mean a", "expected --mean to be numbers, got 'a'"),
        ("--model linear@0 --mean 1,2", "got 2"),
        ("--model linear@0 --std 0", "expected std to be above 0"),
        ("--resize 3", "got 'resize'"),
        ("--model nofile.safetensors", "got 'nofile.safetensors' which does not exist; check the path"),
        ("--model linaer@0", "unknown architecture 'linaer'; did you mean 'linear'?"),
        ("--model linear", "write linear:FILE.safetensors, or linear@0 for random weights"),
        ("--model digits-plain,linaer@0", "did you mean 'linear'?"),
        ("--model net.py", "say which function of it makes the model"),
        ("--model net.py:make", "expected a Python file, got 'net.py' which does not exist"),
        ("--model linear@0 --output logits", "expected the model to give 'logits'"),
        ("--steps -1 --bogus", "unknown option '--bogus'"),
    ],
)
def test_a_wrong_word_is_refused_and_forgotten(frenemy: Frenemy, words: str, said: str) -> None:
    assert said in frenemy("audit", "--out", "run", *words.split()).refusal
    short = ("--model", "linear@0", "--examples", 9, "--steps", 1, "--curve", 0, "--objectives", "enemy")
    assert frenemy("audit", "--out", "run", *short, "--quiet").code == 0


def test_mnist_that_is_not_here_says_where_to_get_it_and_where_to_put_it(
    audit: Frenemy, tmp_path: Path
) -> None:
    sentence = audit("--data", "mnist").refusal
    assert "https://" in sentence
    assert f"put them into {tmp_path}/cache/frenemy/data/mnist" in sentence


def test_demonstration_models_want_digits(frenemy: Frenemy, tmp_path: Path) -> None:
    Path("t.csv").write_text("a,b,label\n" + "".join(f"{i},{-i},{i % 2}\n" for i in range(9)))
    said = frenemy("audit", "--data", "t.csv").refusal
    assert "expected digits for the demonstration model digits-plain, got t with inputs of shape (2,)" in said


class Payload:
    """Touches a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.bin", "net.ckpt", "net.safetensors"])
def test_a_pickle_is_not_opened(audit: Frenemy, name: str) -> None:
    Path(name).write_bytes(pickle.dumps(Payload()))
    for spec in (name, f"linear:{name}"):
        assert name in audit("--model", spec).refusal
    assert not Path("touched").exists()


@pytest.mark.parametrize("left", [0, 7, 100, -1])
def test_a_truncated_file_of_weights_is_refused(audit: Frenemy, left: int) -> None:
    save_file({"layer.weight": torch.zeros(10, 64), "layer.bias": torch.zeros(10)}, "net.safetensors")
    Path("net.safetensors").write_bytes(Path("net.safetensors").read_bytes()[:left])
    assert (
        "expected a whole safetensors file, got net.safetensors"
        in audit("--model", "linear:net.safetensors").refusal
    )


@pytest.mark.parametrize("out", ["file", "file/deep", "/proc/nowhere"])
def test_a_place_that_cannot_be_written_is_refused(audit: Frenemy, out: str) -> None:
    Path("file").write_text("mine")
    said = audit("--out", out).refusal
    assert f"expected to write the run into '{out}'" in said
    assert "give another directory with --out" in said
    assert Path("file").read_text() == "mine"
