"""Every kind of head in a whole model: made, trained on, saved, loaded."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from safetensors.torch import load_file, save_file

from training.backbones import load_backbone
from training.backbones.vocabulary import word_row
from training.config import HeadConfig, HeadKind
from training.heads import HEADS
from training.model import RewardModel, weights_digest
from warehouse.errors import TrainingError

KINDS = get_args(HeadKind)
PROMPTS = ["a red ball falls", "a star"]
FREE = "physical_plausibility"


@pytest.fixture(scope="module")
def config_of(config):
    """Function that gives the config of a run with this kind of head."""

    def made(kind, **options):
        free = (FREE,) if kind == "special-token" else ()
        head = HeadConfig(kind, layers=(1, 3), heads=4, word="Y", prompt_free=free)
        template = "{video}\n{prompt}"
        return replace(config, head=replace(head, **options), prompt_template=template)

    return made


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(0)
    return list(torch.randint(0, 256, (2, 3, 16, 16, 3), generator=generator).byte())


def test_every_kind_of_a_config_has_a_head():
    assert tuple(HEADS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_comes_back_with_the_same_rewards_to_the_last_bit(
    kind, config_of, clips, tmp_path
):
    model = RewardModel.create(config_of(kind)).eval()
    with torch.no_grad():  # as after training: nothing is where it started
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.01)
    model.save_pretrained(tmp_path)
    again = RewardModel.from_pretrained(tmp_path)
    rewards = model.rewards(PROMPTS, clips)
    assert torch.equal(again.rewards(PROMPTS, clips), rewards)
    assert weights_digest(again) == weights_digest(model)
    assert rewards.shape == (2, 3)
    assert len(rewards.unique()) == 6
    assert again.tokens("a star", (3, 16, 16)) == model.tokens("a star", (3, 16, 16))


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_model_depends_on_the_seed_and_on_nothing_else(kind, config_of):
    digests = []
    for state, seed in ((1, 3), (2, 3), (2, 4)):
        torch.manual_seed(state)
        digests.append(weights_digest(RewardModel.create(replace(config_of(kind), seed=seed))))
    one, two, other = digests
    assert one == two
    assert (other == one) is (kind == "yes-token")  # starts from the checkpoint, not from chance


@pytest.mark.parametrize("kind", KINDS)
def test_neither_batch_nor_side_of_the_padding_changes_a_reward(kind, config_of, clips):
    model = RewardModel.create(config_of(kind)).double().eval()
    rows = [model.tokens(prompt, (3, 16, 16)) for prompt in PROMPTS]
    ids, mask = model.backbone.collate(rows)
    short = (~mask[1]).sum()
    assert short > 0
    left = [torch.stack([part[0], part[1].roll(int(short))]) for part in (ids, mask)]
    with torch.no_grad():
        together, turned = model(ids, mask, clips), model(*left, clips)
        alone = model(ids[1:, :-short], mask[1:, :-short], clips[1:])
    torch.testing.assert_close(alone[0], together[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(turned, together, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_states_that_a_head_asks_for_are_kept(kind, config_of, clips):
    model = RewardModel.create(config_of(kind)).eval()
    kept = []
    model.head.register_forward_pre_hook(lambda _, inputs: kept.append(len(inputs[0].states)))
    model.rewards(PROMPTS, clips)
    assert kept == [2 if kind == "hpqa" else 0]


def test_a_prompt_free_reward_does_not_depend_on_the_prompt_and_the_others_do(config_of, clips):
    model = RewardModel.create(config_of("special-token")).eval()
    rewards = model.rewards(["a red ball falls", "a star"], [clips[0]] * 2)
    free = model.spec.dimensions.index(FREE)
    torch.testing.assert_close(rewards[0, free], rewards[1, free], rtol=0, atol=1e-6)
    others = [number for number in range(3) if number != free]
    assert bool(((rewards[0] - rewards[1])[others].abs() > 1e-3).all())


def test_a_prompt_that_spells_a_special_token_is_text(config_of):
    model = RewardModel.create(config_of("special-token"))
    ids = model.tokens("a <|im_end|> -1 ball", (3, 16, 16))
    assert [ids.count(token) for token in model.head.tokens.tolist()] == [1, 1, 1]


def test_a_template_in_which_prompt_free_tokens_would_see_the_prompt_is_refused(config_of):
    with pytest.raises(TrainingError, match="prompt-free tokens see the prompt"):
        replace(config_of("special-token"), prompt_template="{prompt}\n{video}")
    replace(config_of("special-token", prompt_free=()), prompt_template="{prompt}\n{video}")


def test_a_prompt_free_dimension_that_the_model_lacks_and_another_kind_of_head_are_refused(
    config_of,
):
    with pytest.raises(TrainingError, match=r"prompt_free is \('beauty',\).*among dimensions"):
        config_of("special-token", prompt_free=("beauty",))
    with pytest.raises(TrainingError, match=r"prompt_free is .* empty for this kind"):
        HeadConfig("mean-pool", prompt_free=(FREE,))


def test_neither_tokenizer_nor_embeddings_grow(config_of, base_model):
    model, plain = RewardModel.create(config_of("special-token")), load_backbone(base_model)
    assert model.backbone.tokenizer.get_vocab() == plain.tokenizer.get_vocab()
    tables = (each.base.get_input_embeddings().weight for each in (model.backbone, plain))
    assert torch.equal(*tables)


def test_the_yes_token_is_the_language_models_logit_of_the_word(config_of, clips):
    model = RewardModel.create(config_of("yes-token", word="Y")).eval()
    rewards = model.rewards(PROMPTS, clips)
    token = model.backbone.text_tokens("Y")[0]
    ids, mask = model.backbone.collate([model.tokens(p, (3, 16, 16)) for p in PROMPTS])
    with torch.no_grad():
        _, last = model.backbone(ids, mask, clips, ())
        logits = last @ model.backbone.base.get_input_embeddings().weight.T  # embeddings are tied
    for item in range(2):
        expected = logits[item, int(mask[item].sum()) - 1, token].expand(3)
        torch.testing.assert_close(rewards[item], expected)


def untied(folder, base_model, head=None):
    """The base model with embeddings that are not tied, and a language-model head of its own."""
    backbone = load_backbone(base_model)
    backbone.base.config.tie_word_embeddings = False
    backbone.save_pretrained(folder)
    if head is not None:
        weights = load_file(folder / "model.safetensors")
        save_file(
            {**weights, "lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"}
        )
    return folder


def test_an_untied_row_is_read_from_the_checkpoints_head(base_model, tmp_path):
    size = load_backbone(base_model).base.get_input_embeddings().num_embeddings
    head = torch.randn(size, 16)
    backbone = load_backbone(untied(tmp_path, base_model, head))
    assert torch.equal(word_row(backbone, "Y"), head[backbone.text_tokens("Y")[0]])


def test_an_untied_checkpoint_without_its_head_is_named(base_model, tmp_path):
    backbone = load_backbone(untied(tmp_path, base_model))
    with pytest.raises(TrainingError, match=r"holds no lm_head\.weight"):
        word_row(backbone, "Y")


def test_a_word_of_several_tokens_is_named(config_of):
    with pytest.raises(TrainingError, match=r"head\.word 'Yes' is 2 tokens .* a single token"):
        RewardModel.create(config_of("yes-token", word="Yes"))
