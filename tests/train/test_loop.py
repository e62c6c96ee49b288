"""The loop: the loss falls, same seed gives same loss, a killed run goes on as if nothing had happened."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dff.model.network import load_depth_network
from dff.train import checkpoint, export
from dff.train.__main__ import main
from dff.train.config import TrainConfig
from dff.train.distributed import World
from dff.train.loop import RunOptions, half_precision, train

HERE = World(0, 1, torch.device("cpu"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(config: TrainConfig, out: Path, **options: object) -> list[dict[str, str]]:
    out.mkdir(exist_ok=True)
    train(config, RunOptions(out=out, **options), HERE, say=lambda text: None)  # type: ignore[arg-type]
    return rows(out / "train.csv")


def test_loss_falls_and_files_appear(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, steps=20, log_every=5)
    found = run(config, tmp_path / "run")
    losses = [float(row["total"]) for row in found]
    assert losses[-1] < 0.8 * losses[0]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "checkpoint.safetensors",
        "train.csv",
        "validation.csv",
        "validation.png",
    }
    scores = rows(tmp_path / "run" / "validation.csv")
    assert 0 < float(scores[-1]["mae_5"]) < 0.5
    assert int(scores[-1]["samples"]) == 20 * config.source.batch


def test_same_seed_same_loss(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, steps=3, log_every=1)
    first, again, other = (
        [row["total"] for row in run(config, tmp_path / name, seed=seed)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first != other


def state(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / checkpoint.NAME)[0]


def test_resume_is_exact(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, log_every=1)
    whole = run(config, tmp_path / "whole", steps=5)
    run(config, tmp_path / "parts", steps=3)
    parts = run(config, tmp_path / "parts", steps=5, resume=True)
    assert [row["total"] for row in parts] == [row["total"] for row in whole]
    one, other = state(tmp_path / "whole"), state(tmp_path / "parts")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(name.startswith("optimiser/") for name in one)


def test_resume_tells_changed_settings_and_drops_lines_beyond_the_checkpoint(
    config: TrainConfig, tmp_path: Path
) -> None:
    run(config, tmp_path, steps=2)
    with (tmp_path / "train.csv").open("a") as file:
        file.write("3,6,1,0,1,1,1,1,1,1,1\n")  # written after the checkpoint, before the kill
    told: list[str] = []
    same = RunOptions(out=tmp_path, steps=2, resume=True)
    train(config, same, HERE, say=told.append)
    assert not any("settings" in line for line in told)
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["2"]
    changed = replace(config, optimiser=replace(config.optimiser, lr=1e-4))
    train(changed, same, HERE, say=told.append)
    assert told[-1] == "resumed with other settings than before: optimiser.lr"


def test_stopping_early_and_decaying_last(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, log_every=1)
    folder = tmp_path / "run"
    run(config, folder, steps=1000, stop_after_s=0.0)
    assert len(rows(folder / "train.csv")) == 1
    found = run(config, folder, resume=True, decay=True)
    rates = [float(row["lr"]) for row in found[1:]]
    assert len(rates) == config.optimiser.decay // config.source.batch
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.3 * config.optimiser.lr
    assert len(run(config, folder, resume=True)) == len(found)  # it had ended


def test_steps_without_finite_gradient_are_skipped_and_then_refused(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dff.train.depth_task as task

    def broken(*arguments: object) -> dict[str, torch.Tensor]:
        parts = real_loss(*arguments)  # type: ignore[arg-type]
        return parts | {"total": parts["total"] * float("nan")}

    real_loss = task.depth_loss
    monkeypatch.setattr(task, "depth_loss", broken)
    run(config, tmp_path / "short", steps=2)
    monkeypatch.undo()
    tensors = state(tmp_path / "short")
    assert all(bool(value.isfinite().all()) for value in tensors.values())
    assert not any(name.startswith("optimiser/") for name in tensors)
    monkeypatch.setattr(task, "depth_loss", broken)
    with pytest.raises(ValueError, match="no finite gradient in 20 steps"):
        run(config, tmp_path / "long", steps=30)


def test_exported_weights_load_and_predict(config: TrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "run", steps=3)
    out = tmp_path / "net.safetensors"
    assert export.main([str(tmp_path / "run" / checkpoint.NAME), str(out), "--commit", "abc"]) == 0
    network = load_depth_network(out)
    with torch.inference_mode():
        u = network(torch.rand(1, 3, 3, 40, 40), torch.tensor([[0, 0.5, 1.0]])).u
    assert u.shape == (1, 40, 40)
    averaged = checkpoint.part(state(tmp_path / "run"), "averaged/")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, averaged[name], atol=1e-3, rtol=1e-3)
    assert export.main([str(tmp_path / "run" / checkpoint.NAME), str(out)]) == 2  # it exists


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "nothing"], "train: no recipe 'nothing'"),
        (["--dataset", "debug", "--resume"], "no checkpoint to resume"),
        (["--dataset", "debug", "--data", "nowhere"], "no such photographs"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_a_run_begins_with_given_weights(config: TrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path / "first", steps=2)
    out = tmp_path / "first.safetensors"
    assert export.main([str(tmp_path / "first" / checkpoint.NAME), str(out), "--no-half"]) == 0
    run(config, tmp_path / "second", steps=0, weights=(str(out),), seed=5)
    begun, left = (checkpoint.part(state(tmp_path / name), "averaged/") for name in ("second", "first"))
    for name, value in begun.items():
        torch.testing.assert_close(value, left[name])
    with pytest.raises(ValueError, match="does not fit"):
        run(replace(config, size="tiny"), tmp_path / "third", steps=1, weights=(str(out),))


def test_a_run_is_not_overwritten(
    config: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(config, tmp_path, steps=1)
    assert main(["--dataset", "debug", "--out", str(tmp_path)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_another_network_is_refused_on_resume(config: TrainConfig, tmp_path: Path) -> None:
    run(config, tmp_path, steps=1)
    with pytest.raises(ValueError, match="made by another network"):
        run(replace(config, size="tiny"), tmp_path, steps=2, resume=True)


@pytest.mark.parametrize(
    ("asked", "known_to_the_processor", "half"),
    [
        ("float32", True, False),
        ("bfloat16", False, True),
        ("auto", True, False),
        ("native", False, False),
        ("native", True, True),
    ],
)
def test_half_precision_on_a_processor(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, asked: str, known_to_the_processor: bool, half: bool
) -> None:
    monkeypatch.setattr("dff.train.loop.computes_in_half", lambda device: known_to_the_processor)
    context = half_precision(replace(config, precision=asked), torch.device("cpu"))  # type: ignore[arg-type]
    with context():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if half else torch.float32)


def test_one_part_alone_is_trained(config: TrainConfig, tmp_path: Path) -> None:
    whole = run(replace(config, steps=2), tmp_path / "whole")
    assert len(whole) > 0
    export.main([str(tmp_path / "whole" / checkpoint.NAME), str(tmp_path / "start.safetensors")])
    alone = replace(config, steps=2, only="uncertainty")
    run(alone, tmp_path / "alone", weights=(str(tmp_path / "start.safetensors"),))
    export.main([str(tmp_path / "alone" / checkpoint.NAME), str(tmp_path / "end.safetensors")])
    before, after = (
        load_depth_network(tmp_path / f"{name}.safetensors").state_dict() for name in ("start", "end")
    )
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"uncertainty"}


def test_a_part_that_is_not_there_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only 'spread': no such part of the network; choose from stem, "):
        run(replace(config, only="spread"), tmp_path / "run")
