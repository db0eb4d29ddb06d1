from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.processing_utils import ProcessorMixin
from transformers.video_utils import VideoMetadata

from training.backbones import CLIP, shape_of
from training.backbones.qwen2_5_vl import Qwen25VL
from training.config import FrameConfig
from training.items import ItemSource
from training.model import RewardModel
from training.progress import silent
from training.score import Video, stream
from training.video import FrameCache, frame_indices, read_clip

VIDEOS = Path(__file__).parents[2] / "data" / "videos"
CLIPS = {  # and how many frames are taken: a divisor of their number
    VIDEOS / "example_1_A.mp4": 14,
    VIDEOS / "example_1_B.mp4": 8,
    VIDEOS / "example_2_A.mp4": 8,
    VIDEOS / "example_3_B.mp4": 10,
}
MOST = 48 * 64  # pixels of a frame


@pytest.fixture
def backbone(checkpoint_of):
    return Qwen25VL.from_pretrained(checkpoint_of("qwen2.5-vl")).eval()


@pytest.fixture
def placed(monkeypatch):
    """Function that lists the position ids (3, B, S) that a backbone gives from now on."""

    def watch(backbone):
        seen, plain = [], backbone.base.get_rope_index

        def get_rope_index(*args, **inputs):
            seen.append(plain(*args, **inputs)[0])
            return plain(*args, **inputs)

        monkeypatch.setattr(backbone.base, "get_rope_index", get_rope_index)
        return seen

    return watch


def last_state(backbone, frames, seconds):
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (2, frames, 16, 16, 3), generator=generator).byte()
    rows = [
        backbone.tokens([CLIP, text], (frames, 16, 16), "") for text in ("a star", "a red ball")
    ]
    with torch.no_grad():
        return backbone(*backbone.collate(rows), list(clips), (), seconds)[1]


@pytest.mark.parametrize(
    ("seconds", "patch"), [(None, (1, 1)), ((0.5, 0.5), (1, 1)), ((2.0, 0.125), (4, 0.25))]
)
def test_positions_along_time_are_seconds_of_each_clip(backbone, placed, seconds, patch):
    """Two frames a patch, tokens_per_second positions a second: transformers' own arithmetic."""
    seen = placed(backbone)
    last_state(backbone, 6, seconds)
    pace = backbone.base.config.vision_config.tokens_per_second
    first = 1  # after vision_start
    for item in range(2):
        steps = [first + int(pace * patch[item] * step) for step in range(3) for _ in range(4)]
        assert seen[0][0, item, 1:13].tolist() == steps


def seconds_of_transformers(metadata, grids, monkeypatch):
    """What transformers' own processor makes of videos' metadata; only its pixels need more."""
    found = {"video_grid_thw": grids, "video_metadata": metadata}
    monkeypatch.setattr(ProcessorMixin, "_process_videos", lambda *_: (dict(found), []))
    processor = object.__new__(Qwen2_5_VLProcessor)
    processor.video_processor = SimpleNamespace(temporal_patch_size=2)
    return processor._process_videos(None)[0]["second_per_grid_ts"]


def seen_by_transformers(stream, indices, step):
    """Metadata of a video of which every step-th frame is taken, and the grid of its patches."""
    taken = VideoMetadata(
        len(indices) * step, float(stream.average_rate), frames_indices=list(indices)
    )
    limits = {"factor": 8, "min_pixels": 64, "max_pixels": MOST}
    height, width = smart_resize(stream.height, stream.width, **limits)
    return taken, (len(indices) // 2, height // 4, width // 4)


@pytest.mark.parametrize("sampling", ["fps", "uniform"])
def test_positions_of_real_clips_are_those_of_transformers_own_processor(
    sampling, config, checkpoint_of, placed, monkeypatch
):
    """Four clips of other sizes, rates and lengths; fps: the very frames that it samples."""
    settings = replace(config, base_model=str(checkpoint_of("qwen2.5-vl")), frame_text="")
    found, metadata, grids = [], [], []
    for path, count in CLIPS.items():
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            total, rate = stream.frames, stream.average_rate
            if sampling == "fps":
                step = total // count
                frames = FrameConfig("fps", count, float(rate / step), MOST)
                indices = torch.arange(0, total, total / count).int().tolist()
            else:
                step = (total - 1) / (count - 1)
                frames = FrameConfig("uniform", count, most_pixels=MOST)
                indices = frame_indices(total, count)
            taken, grid = seen_by_transformers(stream, indices, step)
        model = RewardModel.create(replace(settings, frames=frames)).eval()
        found.append(read_clip(path, model.spec.frames))
        metadata.append(taken)
        grids.append(grid)
    ours = placed(model.backbone)
    clips = [torch.from_numpy(np.array(clip.frames)) for clip in found]
    prompts = ["a star", "a red ball falls", "a", "a blue square"]
    model.rewards(prompts, clips, [clip.spacing for clip in found])

    rows = [model.tokens(p, shape_of(clip)) for p, clip in zip(prompts, clips, strict=True)]
    ids, mask = model.backbone.collate(rows)
    theirs, _ = model.backbone.base.get_rope_index(
        ids,
        mm_token_type_ids=(ids == model.backbone.base.config.video_token_id).int() * 2,
        video_grid_thw=torch.tensor(grids),
        second_per_grid_ts=seconds_of_transformers(metadata, grids, monkeypatch),
        attention_mask=mask.long(),
    )
    assert torch.equal(ours[0], theirs)
    assert len({int(each[0].max()) for each in theirs.unbind(1)}) > 1


def test_training_and_scoring_tell_the_model_each_clips_seconds(
    config, checkpoint_of, media, placed, tmp_path
):
    settings = replace(config, base_model=str(checkpoint_of("qwen2.5-vl")), frame_text="")
    model = RewardModel.create(settings).eval()
    seen = placed(model.backbone)
    cache = FrameCache(tmp_path, model.spec.frames)
    source = ItemSource.build(model, media.slice(0, 1), cache, silent)
    path, prompt = media["path"][0].as_py(), media["prompt"][0].as_py()
    model(*source.batch(model, np.array([0])))
    for kept in (cache, None):
        list(stream(model, [Video(path, (prompt,))], cache=kept))
    model.rewards([prompt], [torch.from_numpy(np.array(cache.clip(path).frames))])
    trained, cached, decoded, silently = seen
    assert torch.equal(trained, cached)
    assert torch.equal(cached, decoded)
    assert not torch.equal(cached, silently)


def test_windows_and_full_attention_see_different_things(backbone):
    """The tiny model has both kinds of vision layers, as the released ones."""
    vision = backbone.base.config.vision_config
    assert list(vision.fullatt_block_indexes) == [vision.depth - 1]
    assert vision.depth > 1
