"""A trace as an indented tree, for people."""

from __future__ import annotations

from typing import Any

from warehouse.wording import counted


def _built(pair_set: dict[str, Any]) -> str:
    return (
        f"digest {pair_set['digest'][:12]}, seed {pair_set['seed']},"
        f" as of {pair_set['as_of']:%Y-%m-%d %H:%M:%S} UTC"
    )


def lines(found: dict[str, Any]) -> list[str]:
    """The trace as an indented tree, for people."""
    if "upon" in found:
        return _up(found)
    model, pair_set = found["model"], found["pair_set"]
    lost = f"; not rebuildable: {found['not_rebuildable']}" if found["not_rebuildable"] else ""
    tree = [
        f"model {model['model_id']}  (run {model['run_id'][:12]})",
        f"└─ pair set {pair_set['pair_set_id']}  ({_built(pair_set)}{lost})",
    ]
    return tree + (_of_import(found) if pair_set["imported"] else _of_labels(found))


def _of_import(found: dict[str, Any]) -> list[str]:
    """What stands behind an imported set: others' judgements."""
    imported = found["pair_set"]["imported"]
    file = f"{imported['form']} file {imported['name']}, SHA-256 {imported['sha256'][:12]}"
    tree = [f"   └─ imported: {file}"]
    if "rewards" not in found:
        return tree + [
            f"      ├─ {j['dimension']}: {counted(j['judgements'], 'judgement', 'judgements')}"
            for j in found["judgements"]
        ]
    for reward in found["rewards"]:
        tree.append(
            f"      ├─ {reward['dimension']}: reward {reward['reward']:+.3f},"
            f" split {reward['split'] or 'none'}"
        )
        tree += [
            f"      │    {j['item_a']} (A), {j['item_b']} (B): {j['category']}"
            for j in found["judgements"]
            if j["dimension"] == reward["dimension"]
        ]
    return tree


def _of_labels(found: dict[str, Any]) -> list[str]:
    """What stands behind a set that was built: a consensus, and people's labels."""
    tree = [f"   └─ consensus {found['pair_set']['consensus_id'][:12]}"]
    tree += [
        f"      ├─ {c['dimension']}: {c['pass']} pass, {c['fail']} fail,"
        f" {c['undecided']} undecided ({c['method']})"
        for c in found["consensus"]
    ]
    tree.append("      └─ label events")
    if "rewards" not in found:
        tree += [
            f"         ├─ {a['annotator_id']}: {a['events']} events on {a['items']} items"
            for a in found["annotators"]
        ]
        return tree + [
            f"         └─ labelling configuration {_config(each)}: {each['events']} events of"
            f" {counted(each['annotators'], 'annotator', 'annotators')}"
            for each in found["configs"]
        ]
    for reward in found["rewards"]:
        decided = reward["label"] or "undecided"
        p_pass = "" if reward["p_pass"] is None else f", P(pass) {reward['p_pass']:.3f}"
        tree.append(
            f"         ├─ {reward['dimension']}: reward {reward['reward']:+.3f},"
            f" consensus {decided}{p_pass}, split {reward['split'] or 'none'}"
        )
        tree += [
            f"         │    {e['annotator_id']}  {e['event']} {e['value'] or ''}"
            f"  (label:{e['annotation_id']}/{reward['dimension']}/{e['revision']}, configuration"
            f" {e['project_version']}, {e['occurred_at']:%Y-%m-%d %H:%M:%S})"
            for e in reward["events"]
        ]
    return tree


def _config(row: dict[str, Any]) -> str:
    return f"{row['version']} of {row['source'][:8]}, SHA-256 {(row['config_digest'] or '')[:12]}"


def _up(found: dict[str, Any]) -> list[str]:
    """What rests on an annotator, an item or a label."""
    tree = [f"{found['upon']} {found['name']}"]
    tree += [
        f"├─ {e['dimension']}: {counted(e['events'], 'event', 'events')}, {e['event']}, on"
        f" {counted(e['items'], 'item', 'items')}, under configuration {e['version']} of"
        f" {e['source'][:8]}"
        for e in found["events"]
    ]
    tree += [
        f"├─ consensus {c['consensus_id'][:12]} ({c['method']},"
        f" {c['decided_at']:%Y-%m-%d %H:%M:%S}): {counted(c['labels'], 'label', 'labels')} on"
        f" {counted(c['items'], 'item', 'items')}"
        for c in found["consensus"]
    ]
    for each in found["pair_sets"]:
        tree.append(
            f"├─ pair set {each['pair_set_id']}: {counted(each['labels'], 'label', 'labels')} on"
            f" {counted(each['items'], 'item', 'items')},"
            f" in {counted(each['pairs'], 'pair', 'pairs')}"
        )
        tree += [
            f"│    {part['dimension']}, {part['split']}: {counted(part['items'], 'item', 'items')},"
            f" {counted(part['pairs'], 'pair', 'pairs')}"
            for part in each["parts"]
        ]
    tree += [
        f"├─ model {m['model_id']} learned from {counted(m['train_items'], 'item', 'items')} of"
        f" these, pair set {m['pair_set_id']}"
        for m in found["models"]
    ]
    tree += [f"├─ model {model} gave it rewards" for model in found.get("scored_by", ())]
    return _closed(tree)


def _closed(tree: list[str]) -> list[str]:
    """The tree with its last branch drawn as the last."""
    last = max((n for n, line in enumerate(tree) if line.startswith("├")), default=len(tree))
    ends = [line.replace("├", "└", 1).replace("│", " ", 1) for line in tree[last:]]
    return tree[:last] + ends
