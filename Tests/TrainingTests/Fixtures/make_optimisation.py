#!/usr/bin/env python3
"""Makes optimisation.json: what PyTorch computes with AdamW, SGD with clipping, averages, groups, and losses. Run it in
this folder, with PyTorch installed:

  python3 make_optimisation.py > optimisation.json
"""

import json

import torch

# The tensors of the tests' toy network, in the order of its layout.
SHAPES = {
    "stem.weight": [5, 3, 3, 3], "stem_norm.bias": [5], "stem_norm.weight": [5], "top.bias": [3], "top.weight": [3, 5],
}


def flat(tensors):
    return [float(x) for tensor in tensors for x in tensor.detach().flatten().float()]


def start():
    torch.manual_seed(1)
    return {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in SHAPES.items()}


def gradients(steps):
    torch.manual_seed(2)
    return [{name: torch.randn(shape) * 0.3 for name, shape in SHAPES.items()} for _ in range(steps)]


def optimise(make, clip=None, decay=None):
    parameters = start()
    optimiser = make(parameters)
    average = [p.detach().clone() for p in parameters.values()]
    after, norms = [], []
    for step in gradients(3):
        for name, p in parameters.items():
            p.grad = step[name].clone()
        if clip:
            norms.append(float(torch.nn.utils.clip_grad_norm_(parameters.values(), clip)))
        optimiser.step()
        if decay:
            average = [decay * a + (1 - decay) * p.detach() for a, p in zip(average, parameters.values())]
        after.append(flat(parameters.values()))
    return {"after": after, "norms": norms, "average": flat(average)}


def adamw(parameters):
    return torch.optim.AdamW(parameters.values(), lr=0.02, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.1)


def sgd(parameters):
    return torch.optim.SGD(parameters.values(), lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)


def groups(kind, **more):
    def make(parameters):
        top = [p for name, p in parameters.items() if name.startswith("top.")]
        norm = [p for name, p in parameters.items() if name.startswith("stem_norm")]
        rest = [parameters["stem.weight"]]
        return kind([
            {"params": top, "lr": 0.02 * 10}, {"params": norm, "weight_decay": 0}, {"params": rest},
        ], lr=0.02, weight_decay=0.1, **more)
    return make


def losses():
    torch.manual_seed(3)
    logits = (torch.randn(4, 5) * 2).double()
    labels = torch.tensor([0, 3, 3, 4])
    other, share = torch.tensor([1, 3, 0, 2]), torch.tensor([0.75, 1.0, 0.25, 0.5]).double()
    weights = torch.tensor([0.5, 1.0, 2.0, 0.25, 4.0]).double()
    one_hot = torch.nn.functional.one_hot
    mixed = share[:, None] * one_hot(labels, 5) + (1 - share[:, None]) * one_hot(other, 5)
    cases = []

    def case(targets, smoothing, weights):
        z = logits.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(
            z, targets, label_smoothing=smoothing, weight=weights, reduction="none")
        loss.sum().backward()
        cases.append({
            "mixed": targets.ndim > 1, "smoothing": smoothing, "weighted": weights is not None,
            "losses": flat([loss]), "gradient": flat([z.grad]),
        })

    for targets in (labels, mixed):
        for smoothing in (0.0, 0.1):
            for weight in (None, weights):
                case(targets, smoothing, weight)
    mean = torch.nn.functional.cross_entropy(logits, labels, weight=weights, label_smoothing=0.1)
    return {
        "logits": flat([logits]), "labels": labels.tolist(), "other": other.tolist(), "share": flat([share]),
        "weights": flat([weights]), "cases": cases, "weightedMean": float(mean),
    }


def binary():
    torch.manual_seed(4)
    logits = (torch.randn(4, 5) * 3).double()
    labels = [[0], [1, 3, 4], [], [0, 1, 2, 3, 4]]
    targets = torch.stack([torch.tensor([float(c in own) for c in range(5)]) for own in labels]).double()
    weights = torch.tensor([0.5, 1.0, 2.0, 0.25, 4.0]).double()
    cases = []
    for smoothing in (0.0, 0.1):
        for weight in (None, weights):
            z = logits.clone().requires_grad_()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                z, (1 - smoothing) * targets + smoothing / 2, weight=weight, reduction="none").mean(1)
            loss.sum().backward()
            cases.append({
                "smoothing": smoothing, "weighted": weight is not None, "losses": flat([loss]),
                "gradient": flat([z.grad]),
            })
    return {"logits": flat([logits]), "labels": labels, "weights": flat([weights]), "cases": cases}


print(json.dumps({
    "torch": torch.__version__.split("+")[0],
    "start": flat(start().values()),
    "gradients": [flat(step.values()) for step in gradients(3)],
    "adamw": optimise(adamw),
    "clipped": optimise(sgd, clip=0.5),
    "notClipped": optimise(sgd, clip=1000),
    "average": optimise(sgd, decay=0.9),
    "sgdGroups": optimise(groups(torch.optim.SGD, momentum=0.9, nesterov=True)),
    "adamwGroups": optimise(groups(torch.optim.AdamW)),
    "losses": losses(),
    "binary": binary(),
}, indent=1))
