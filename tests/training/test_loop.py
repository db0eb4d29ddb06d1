import numpy as np
import torch

from training.config import FrameConfig
from training.items import augmented


def test_augmentation_moves_and_mirrors_whole_clips_alike():
    clip = torch.randint(0, 256, (1, 3, 8, 8, 3)).byte().repeat(20, 1, 1, 1, 1)
    rng = np.random.default_rng(0)
    mirrored = augmented(clip, FrameConfig(mirror=0.5), rng)
    kinds = {bool((one == clip[0]).all()) for one in mirrored}
    assert kinds == {True, False}
    assert all((one == clip[0]).all() or (one == clip[0].flip(2)).all() for one in mirrored)
    moved = augmented(clip, FrameConfig(shift=2), rng)
    for one in moved:  # the middle of the clip is found again at one place, in all frames alike
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if (one[:, y : y + 4, x : x + 4] == clip[0, :, 2:6, 2:6]).all()
        ]
        assert places


def test_without_augmentation_frames_stay_as_they_are():
    clips = list(torch.zeros(2, 3, 8, 8, 3).byte())
    seen = augmented(clips, FrameConfig(), np.random.default_rng(0))
    assert all(one is two for one, two in zip(seen, clips, strict=True))
