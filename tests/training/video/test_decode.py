from pathlib import Path

import av
import numpy as np
import pytest

from training.video import FrameCache, FramePolicy, fill, frame_indices, read_clip
from warehouse.errors import TrainingError

POLICY = FramePolicy(4, 16, 16)
CLIPS = sorted((Path(__file__).parents[2] / "data" / "videos").glob("*.mp4"))


@pytest.mark.slow
@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_the_real_clips_decode_to_the_frames_a_plain_decode_gives(path):
    seen = read_clip(path, FramePolicy(3, 64, 64)).frames
    with av.open(str(path)) as container:
        plain = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert seen.shape == (3, 64, 64, 3)
    for image, index in zip(seen, frame_indices(len(plain), 3), strict=True):
        assert abs(image.mean() - plain[index].mean()) < 2


def test_frames_of_the_right_size_are_untouched(tmp_path, moving_square, write_clip):
    clip = moving_square(1)
    seen = read_clip(write_clip(tmp_path / "c.mp4", clip), FramePolicy(8, 32, 32)).frames
    assert np.abs(seen.astype(int) - clip).mean() < 8  # what H.264 loses


@pytest.mark.parametrize("sampling", [{}, {"sampling": "fps", "fps": 8.0}])
def test_a_clip_of_one_frame_is_read(tmp_path, moving_square, write_clip, sampling):
    path = write_clip(tmp_path / "one.mp4", moving_square(1, frames=1))
    seen = read_clip(path, FramePolicy(4, 16, 16, **sampling))
    assert len(seen.frames) == (1 if sampling else 4)
    assert (seen.frames == seen.frames[0]).all()
    assert set(seen.seconds) == {0.0}
    assert seen.spacing == 0


KINDS = {
    "ten-bit.mkv": ("ffv1", "yuv444p10le", (35, 51)),
    "alpha.mkv": ("ffv1", "yuva444p", (35, 51)),
    "alpha.mov": ("png", "rgba", (35, 51)),
    "alpha-ten-bit.mov": ("prores_ks", "yuva444p10le", (35, 51)),
    "odd.gif": ("gif", "rgb8", (35, 51)),
    "ten-bit.mp4": ("libx264", "yuv420p10le", (32, 48)),
    "alpha.webm": ("libvpx-vp9", "yuva420p", (32, 48)),
}


@pytest.mark.parametrize("name", KINDS)
def test_odd_sizes_alpha_and_ten_bit_are_read_in_their_colours(tmp_path, encoded, quarters, name):
    codec, pix_fmt, size = KINDS[name]
    path = encoded(tmp_path / name, quarters(3, *size), codec, pix_fmt)
    frames = read_clip(path, FramePolicy(3, *size)).frames
    assert frames.shape == (3, *size, 3)
    assert np.abs(frames.astype(int) - quarters(3, *size)).mean() < 16


def test_alpha_is_left_out_and_the_colours_beneath_stay(tmp_path, encoded, quarters):
    clear = np.concatenate([quarters(2), np.zeros((2, 32, 48, 1), np.uint8)], axis=3)
    path = encoded(tmp_path / "clear.mov", clear, "png", "rgba")
    assert (read_clip(path, FramePolicy(2, 32, 48)).frames == quarters(2)).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_clip_is_turned_as_players_turn_it(tmp_path, encoded, quarters, turned, turns):
    path = turned(encoded(tmp_path / "phone.mp4", quarters()), turns)
    upright = np.rot90(quarters(), -turns, axes=(1, 2))
    frames = read_clip(path, FramePolicy(4, *upright.shape[1:3])).frames
    assert np.abs(frames.astype(int) - upright).mean() < 16


def test_frames_of_a_variable_rate_are_taken_by_their_times(tmp_path, encoded, steps):
    times = [0, 100, 200, 1000, 1100, 3000]
    path = encoded(tmp_path / "varying.mkv", steps(6), "ffv1", "yuv444p", times=times)
    seen = read_clip(path, FramePolicy(16, 32, 32, "fps", 2.0))
    assert numbers(seen) == [0, 2, 4, 4, 4, 5]
    assert seen.seconds == pytest.approx([0, 0.6, 1.2, 1.8, 2.4, 3.0])
    plain = read_clip(path, FramePolicy(3, 32, 32))
    assert (numbers(plain), plain.seconds) == ([0, 2, 5], (0.0, 0.2, 3.0))


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.avi", "c.ts", "c.flv"])
def test_frames_stored_out_of_order_have_their_times_in_every_container(
    tmp_path, encoded, steps, name
):
    path = encoded(tmp_path / name, steps(12), options={"bf": "2"})
    seen = read_clip(path, FramePolicy(16, 32, 32, "fps", 4.0))
    assert numbers(seen) == [0, 2, 4, 6, 8, 10]
    assert seen.seconds == (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    assert seen.spacing == 0.25


def test_frames_that_vp8_hides_are_no_frames(tmp_path, encoded, steps):
    """Reference frames that are never shown: here one is made by clearing its bit."""
    whole = encoded(tmp_path / "whole.webm", steps(6), "libvpx")
    hiding = tmp_path / "hiding.webm"
    with av.open(str(whole)) as source, av.open(str(hiding), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            data = bytearray(bytes(packet))
            data[0] &= 0xEF if number == 2 else 0xFF
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            target.mux(copy)
    assert numbers(read_clip(hiding, FramePolicy(5, 32, 32))) == [0, 1, 3, 4, 5]


def test_jpegs_are_what_the_model_sees_where_the_policy_says_so(tmp_path, encoded, quarters):
    path = encoded(tmp_path / "c.mkv", quarters(2), "ffv1", "yuv444p")
    raw, jpeg = (read_clip(path, FramePolicy(2, 32, 48, store=s)).frames for s in ("raw", "jpeg"))
    assert 0 < np.abs(raw.astype(int) - jpeg).mean() < 8


def numbers(clip):
    """Which of the frames of `steps` a clip holds."""
    return [round(float(frame.mean()) / 20) for frame in clip.frames]


@pytest.mark.parametrize(
    ("name", "words"), [("none.mp4", "holds no"), ("none.mkv", "cannot be decoded")]
)
def test_a_file_of_no_frames_is_named(tmp_path, name, words):
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        container.start_encoding()
    with pytest.raises(TrainingError, match=words) as caught:
        read_clip(path, POLICY)
    assert name in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_give_frames_or_one_error(tmp_path, damaged, seed):
    """FFmpeg conceals some damage; a file's digest, kept at its import, tells it in any case."""
    path = damaged(tmp_path / "flipped.mp4", seed)
    [found] = fill(FrameCache(tmp_path / "cache", POLICY), [(str(path), None)])
    if isinstance(found, TrainingError):
        assert "flipped.mp4" in str(found)
    else:
        assert found.shape == (4, 16, 16)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, encoded):
    """Function: a clip with some of its bytes flipped."""
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
    whole = encoded(tmp_path_factory.mktemp("whole") / "w.mp4", noise).read_bytes()

    def damage(path, seed):
        rng = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(data), 12)
        data[places] ^= rng.integers(1, 256, 12, dtype=np.uint8)
        path.write_bytes(data.tobytes())
        return path

    return damage


def test_a_playlist_in_a_containers_clothes_is_not_followed(tmp_path):
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{CLIPS[0]}'\n")
    with pytest.raises(TrainingError, match="no video"):
        read_clip(path, POLICY)


def bad(tmp_path, name):
    """A file that is no good clip, by name."""
    path, whole = tmp_path / f"{name}.mp4", CLIPS[0].read_bytes()
    contents = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "page": b"<html><body>404</body></html>",
        "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
    }
    if name != "missing":
        path.write_bytes(contents[name])
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "cannot be opened"),
        ("empty", r"is empty \(0 bytes\)"),
        ("half", "cut, damaged or no video|cut or damaged"),
        ("page", "cut, damaged or no video"),
        ("playlist", "cut, damaged or no video"),
    ],
)
def test_a_bad_file_is_one_error_that_names_it(tmp_path, name, words):
    with pytest.raises(TrainingError, match=words) as caught:
        read_clip(bad(tmp_path, name), POLICY)
    assert f"{name}.mp4" in str(caught.value)


def test_a_fast_start_file_cut_in_its_frames_is_noticed(tmp_path):
    """Its header is whole and declares every frame; half of them are gone."""
    whole = tmp_path / "whole.mp4"
    with av.open(str(whole), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height = stream.width = 64
        noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
        for image in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(TrainingError, match=r"cut\.mp4"):
        read_clip(cut, POLICY)


def test_a_file_without_video_is_named(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(TrainingError, match="no video stream"):
        read_clip(path, POLICY)
