"""The step benchmarks run, and compare like with like; what they measure is in their results."""

from dataclasses import replace

import pytest
import torch

from benchmarks.gpu import step as gpu
from benchmarks.ways import Ours, Reference, block, create, learn, one_by_one, together, write_base

SHAPE = replace(gpu.TINY, frames=1, pixels=16)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    write_base(folder, SHAPE)
    return folder


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_the_references_way_and_ours_with_blocks_have_equal_gradients(base):
    pairs, found = block(2, 2), []
    for way, batches in ((Reference, one_by_one), (Ours, together)):
        model = create(base, SHAPE, "fp32", checkpointing=False)
        learn(way(model), batches(model, SHAPE, pairs))
        found.append(gradient(model))
    assert torch.linalg.norm(found[0] - found[1]) < 1e-5 * torch.linalg.norm(found[0])


@pytest.mark.slow
def test_a_try_of_the_gpu_benchmark_on_a_cpu_measures_each_way(monkeypatch, capsys):
    names = ("reference pairs sdpa", "ours pairs sdpa", "ours blocks flash")
    plain = [variant for variant in gpu.VARIANTS if variant.name in names]
    monkeypatch.setattr(gpu, "VARIANTS", plain)
    monkeypatch.setattr(gpu, "TINY", SHAPE)
    monkeypatch.setattr(gpu, "WARMUP", 1)
    tried = ["--tiny", "--device", "cpu", "--repeats", "1", "--checkpointing", "yes"]
    assert gpu.main(tried) == 0
    said = capsys.readouterr().out
    assert all(f"\n{variant.name} " in said for variant in plain)
    assert len(plain) == len(names)
    assert "memory" not in said


def test_without_a_gpu_the_benchmark_says_so_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert capsys.readouterr().out.count("\n") == 1
