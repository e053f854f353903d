"""Tamring's networks as PyTorch modules, which load what Tamring has trained:

    import tamring_torch
    net = tamring_torch.load("runs/gestures")    # or a checkpoint, or a model.safetensors
    logits = net(clips)                          # [clips, groups·3, height, width], normalised; frames of a clip adjacent
    probabilities = tamring_torch.probabilities(net, logits)

`net` is in its evaluation form; `net.train()` for the training form. `net.model` is the recipe's model section, `net.loss`
its kind of loss, and `net.classes` has the names of the classes. The parameters have the same names as in the file.

Values of 0…1 are normalised with mean 0.485 0.456 0.406 and deviation 0.229 0.224 0.225.

As a command, it prints what a file holds: tamring_torch.py FILE
"""
import sys

import tamring_file

try:
    import torch
except ImportError:
    sys.exit("tamring_torch.py: needs PyTorch: pip install torch numpy")
from torch import nn
from torch.nn import functional


def load(path, recipe=None):
    """The network of a model.safetensors, of a checkpoint or of a run, with its weights, in its evaluation form.

    `recipe`: a recipe file, for files that do not say which network they are of.
    """
    file = tamring_file.read(path, recipe)
    net = build(file.model)
    state = {}
    for name, values in file.tensors.items():
        # Published state dicts of bLVNet-TAM have the classifier under this name.
        name = name.replace("baseline_model.fc.", "new_fc.") if name.startswith("baseline_model.fc.") else name
        state[name] = torch.from_numpy(values.copy())
    counters = {name for name in net.state_dict() if name.endswith("num_batches_tracked")}
    missing, unknown = net.load_state_dict(state, strict=False)
    wrong = [f"lacks '{name}'" for name in missing if name not in counters] + [f"holds '{name}'" for name in unknown]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise tamring_file.BadFile(
            f"{file.path}: {wrong[0]}{more}, which does not fit {file.model['architecture']} of depth "
            f"{file.model['depth']}; name the recipe that it was trained with")
    net.classes, net.loss = file.classes, file.loss
    return net.eval()


def probabilities(net, logits):
    """Of each class: they sum to 1, unless the network was trained with a yes or no for each class."""
    return torch.sigmoid(logits) if net.loss == "binary" else torch.softmax(logits, -1)


def build(model):
    """A network with PyTorch's initial values, from a recipe's model section (a dictionary)."""
    model = {**tamring_file.DEFAULTS, **model}
    kinds = {
        "blvnet-tam": BigLittleNet, "blvnet": BigLittleNet, "blvnet-tsm": BigLittleNet, "tsn": FrameResNet,
        "tsm": FrameResNet, "tam": FrameResNet, "i3d": InflatedResNet,
    }
    if model["architecture"] not in kinds:
        raise tamring_file.BadFile(f"model.architecture is {model['architecture']}; it must be one of {', '.join(kinds)}")
    net = kinds[model["architecture"]](model)
    net.model = model
    net.classes, net.loss = [], "softmax"
    return net


# Modules over time. They see [clips·frames, C, H, W], the frames of a clip adjacent.


class Aggregation(nn.Module):
    """TAM: y[t] = ReLU(Σ_k w_k ⊙ x[t + k]), k from −⌊r/2⌋; a weight for each channel and tap; zero beyond the clip."""

    def __init__(self, channels, taps, suffix="", inner=None):
        super().__init__()
        self.first = -(taps // 2)
        self.taps = []
        if taps == 3:
            names = [name + suffix for name in ("prev", "curr", "next")]
            holder = self
        else:
            names = [str(tap) for tap in range(taps)]
            holder = self.blending_layers = nn.Module()
        for name in names:
            convolution = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
            if inner:
                module = nn.Module()
                module.add_module(inner, convolution)
            else:
                module = convolution
            holder.add_module(name, module)
            # In a list of Python, so that each is registered once.
            self.taps.append(convolution)

    def forward(self, x, frames):
        clips = x.unflatten(0, (-1, frames))
        total = 0
        for number, tap in enumerate(self.taps):
            weight = tap.weight.reshape(-1, 1, 1)
            total = total + weight * shifted(clips, self.first + number)
        return torch.relu(total).flatten(0, 1)


class Shift(nn.Module):
    """TSM: the first ⌊C/div⌋ channels come from the next frame, as many after them from the frame before."""

    def __init__(self, channels, division):
        super().__init__()
        self.fold = channels // division

    def forward(self, x, frames):
        clips = x.unflatten(0, (-1, frames))
        fold = self.fold
        parts = [shifted(clips[:, :, :fold], 1), shifted(clips[:, :, fold:2 * fold], -1), clips[:, :, 2 * fold:]]
        return torch.cat(parts, 2).flatten(0, 1)


def shifted(clips, offset):
    """x[t + offset] of [clips, frames, …], zero beyond the clip's ends."""
    frames = clips.shape[1]
    if abs(offset) >= frames:
        return torch.zeros_like(clips)
    if offset == 0:
        return clips
    kept = clips[:, offset:] if offset > 0 else clips[:, :offset]
    zeros = torch.zeros_like(clips[:, :abs(offset)])
    return torch.cat([kept, zeros] if offset > 0 else [zeros, kept], 1)


# bLVNet: a big-little network whose branches see odd and even frames.


class BigLittleBlock(nn.Module):
    """Bottleneck. A temporal module of its own (layer 4) is seen by conv1; `downsample` sees TAM's result too."""

    def __init__(self, inputs, planes, stride, relu=True, temporal=None):
        super().__init__()
        middle = planes // 4
        if temporal is not None:
            self.tam = temporal
        self.has_temporal = temporal is not None
        self.downsample_sees_it = isinstance(temporal, Aggregation)
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes)
        parts = [nn.AvgPool2d(3, 2, 1)] if stride != 1 else []
        if inputs != planes:
            parts += [nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)]
        self.downsample = nn.Sequential(*parts) if parts else None
        self.relu = relu

    def forward(self, x, frames=None):
        seen = self.tam(x, frames) if self.has_temporal else x
        y = torch.relu(self.bn1(self.conv1(seen)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        residual = x
        if self.downsample is not None:
            residual = self.downsample(seen if self.downsample_sees_it else x)
        y = y + residual
        return torch.relu(y) if self.relu else y


class BigLittleModule(nn.Module):
    """Layers 1 to 3: the big branch at half the resolution, the little one with fewer channels and blocks."""

    def __init__(self, inputs, planes, blocks, stride, model, temporal):
        super().__init__()
        if temporal is not None:
            self.tam = temporal
        self.has_temporal = temporal is not None
        count = blocks - 1
        self.big = nn.Sequential(*[
            BigLittleBlock(inputs if i == 0 else planes, planes, 2 if i == 0 else 1, relu=i < count - 1 or count == 1)
            for i in range(count)])
        narrow = planes // model["alpha"]
        self.little = nn.Sequential(*[
            BigLittleBlock(inputs if i == 0 else narrow, narrow, 1)
            for i in range(max(1, blocks // model["beta"] - 1))])
        self.little_e = nn.Sequential(nn.Conv2d(narrow, planes, 1, bias=False), nn.BatchNorm2d(planes))
        self.fusion = nn.Sequential(BigLittleBlock(planes, planes, stride))

    def forward(self, x, frames):
        if self.has_temporal:
            x = self.tam(x, frames)
        big, little = self.big(x[1::2]), self.little_e(self.little(x[0::2]))
        big = functional.interpolate(big, little.shape[-2:], mode="nearest")
        return self.fusion(torch.relu(big + little)).repeat_interleave(2, 0)


class BigLittleBackbone(nn.Module):
    def __init__(self, model):
        super().__init__()
        blocks = {50: [3, 4, 6, 3], 101: [4, 8, 18, 3], 152: [5, 12, 30, 3]}[model["depth"]]
        width = model["width"]
        narrow = width // model["alpha"]
        self.frames = model["groups"]

        def temporal(channels):
            if model["architecture"] == "blvnet-tam":
                return Aggregation(channels, model["blending_frames"])
            return Shift(channels, model["shift_div"]) if model["architecture"] == "blvnet-tsm" else None

        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        first = temporal(width)
        self.has_temporal = first is not None
        if first is not None:
            self.tam = first
        self.b_conv0 = nn.Conv2d(width, width, 3, 2, 1, bias=False)
        self.bn_b0 = nn.BatchNorm2d(width)
        self.l_conv0 = nn.Conv2d(width, narrow, 3, 1, 1, bias=False)
        self.bn_l0 = nn.BatchNorm2d(narrow)
        self.l_conv1 = nn.Conv2d(narrow, narrow, 3, 2, 1, bias=False)
        self.bn_l1 = nn.BatchNorm2d(narrow)
        self.l_conv2 = nn.Conv2d(narrow, width, 1, bias=False)
        self.bn_l2 = nn.BatchNorm2d(width)
        self.bl_init = nn.Conv2d(width, width, 1, bias=False)
        self.bn_bl_init = nn.BatchNorm2d(width)
        inputs = width
        for layer in (1, 2, 3):
            planes = 2 * width << layer
            module = BigLittleModule(
                inputs, planes, blocks[layer - 1], 1 if layer == 3 else 2, model, temporal(inputs))
            self.add_module(f"layer{layer}", module)
            inputs = planes
        self.layer4 = nn.ModuleList([
            BigLittleBlock(
                inputs if i == 0 else 32 * width, 32 * width, 2 if i == 0 else 1,
                temporal=temporal(inputs if i == 0 else 32 * width))
            for i in range(blocks[3])])

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.has_temporal:
            x = self.tam(x, self.frames)
        big = self.bn_b0(self.b_conv0(x[1::2]))
        little = torch.relu(self.bn_l0(self.l_conv0(x[0::2])))
        little = torch.relu(self.bn_l1(self.l_conv1(little)))
        x = torch.relu(big + self.bn_l2(self.l_conv2(little)))
        x = torch.relu(self.bn_bl_init(self.bl_init(x))).repeat_interleave(2, 0)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x, self.frames)
        x = x[::2]
        for block in self.layer4:
            x = block(x, self.frames // 2)
        return x.mean((2, 3))


class BigLittleNet(nn.Module):
    """bLVNet with TAM, with temporal shift, or with neither.

    **Source:** Fan, Chen et al., "More Is Less", NeurIPS 2019, section 3.
    """

    def __init__(self, model):
        super().__init__()
        self.frames = model["groups"]
        self.baseline_model = BigLittleBackbone(model)
        self.dropout = nn.Dropout(model["dropout"])
        self.new_fc = nn.Linear(32 * model["width"], model["classes"])

    def forward(self, clips):
        features = self.baseline_model(clips.reshape(-1, 3, *clips.shape[2:]))
        return self.new_fc(self.dropout(features)).unflatten(0, (-1, self.frames // 2)).mean(1)


# ResNets over frames: TSN, TSM, TAM; and I3D.


class ResNetBlock(nn.Module):
    """Bottleneck with the stride in its 3×3 convolution; the temporal module is in the residual branch alone."""

    def __init__(self, layers, inputs, planes, stride, shortcut, temporal=None):
        super().__init__()
        convolution, norm = layers
        if temporal is not None:
            self.tam = temporal
        self.has_temporal = temporal is not None
        self.conv1 = convolution(inputs, planes, 1)
        self.bn1 = norm(planes)
        self.conv2 = convolution(planes, planes, 3, stride)
        self.bn2 = norm(planes)
        self.conv3 = convolution(planes, 4 * planes, 1)
        self.bn3 = norm(4 * planes)
        self.downsample = None
        if shortcut:
            self.downsample = nn.Sequential(convolution(inputs, 4 * planes, 1, stride), norm(4 * planes))

    def forward(self, x, frames=None):
        y = self.tam(x, frames) if self.has_temporal else x
        y = torch.relu(self.bn1(self.conv1(y)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """What the ResNets share: four layers of bottlenecks, and the classifier."""

    BLOCKS = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}

    def __init__(self, model, layers, strides, temporal=lambda channels, block: None):
        super().__init__()
        self.frames = model["groups"]
        width = model["width"]
        inputs = width
        for layer in range(4):
            planes = width << layer
            blocks = []
            for block in range(self.BLOCKS[model["depth"]][layer]):
                stride = strides(layer) if block == 0 else 1
                blocks.append(
                    ResNetBlock(layers, inputs, planes, stride, shortcut=block == 0, temporal=temporal(inputs, block)))
                inputs = 4 * planes
            self.add_module(f"layer{layer + 1}", nn.ModuleList(blocks))
        self.dropout = nn.Dropout(model["dropout"])
        self.fc = nn.Linear(inputs, model["classes"])

    @property
    def layers(self):
        return [self.layer1, self.layer2, self.layer3, self.layer4]


def convolution2d(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def convolution3d(inputs, outputs, kernel, stride=1):
    return nn.Conv3d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class FrameResNet(ResNet):
    """A 2D ResNet over frames: TSN (no temporal module), TSM (shift) and TAM (aggregation before each block's conv1)."""

    def __init__(self, model):
        # With 23 blocks in layer 3, every second block of a layer shifts.
        every = 2 if self.BLOCKS[model["depth"]][2] >= 23 else 1

        def temporal(channels, block):
            if model["architecture"] == "tam":
                return Aggregation(channels, model["blending_frames"], "_se", "fc1")
            shifts = model["architecture"] == "tsm" and block % every == 0
            return Shift(channels, model["shift_div"]) if shifts else None

        super().__init__(
            model, (convolution2d, nn.BatchNorm2d), lambda layer: 1 if layer == 0 else 2, temporal)
        self.conv1 = nn.Conv2d(3, model["width"], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(model["width"])
        self.pooling = model["temporal_pooling"] if model["temporal_stride"] else None

    def forward(self, clips):
        frames = self.frames
        x = torch.relu(self.bn1(self.conv1(clips.reshape(-1, 3, *clips.shape[2:]))))
        x = functional.max_pool2d(x, 3, 2, 1)
        for number, layer in enumerate(self.layers):
            for block in layer:
                x = block(x, frames)
            if self.pooling and number < 3:
                x, frames = self.pool(x, frames)
        return self.fc(self.dropout(x.mean((2, 3)))).unflatten(0, (-1, frames)).mean(1)

    def pool(self, x, frames):
        """Over three frames, every second; the average counts the padding as zeros."""
        x = x.unflatten(0, (-1, frames)).transpose(1, 2)
        if self.pooling == "max":
            x = functional.max_pool3d(x, (3, 1, 1), (2, 1, 1), (1, 0, 0))
        else:
            x = functional.avg_pool3d(x, (3, 1, 1), (2, 1, 1), (1, 0, 0), count_include_pad=True)
        return x.transpose(1, 2).flatten(0, 1), x.shape[2]


class InflatedResNet(ResNet):
    """I3D on ResNet: every layer over time, height and width.

    **Source:** Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017.
    """

    def __init__(self, model):
        over_time = 2 if model["temporal_stride"] else 1
        super().__init__(
            model, (convolution3d, nn.BatchNorm3d), lambda layer: 1 if layer == 0 else (over_time, 2, 2))
        self.conv1 = nn.Conv3d(3, model["width"], (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(model["width"])

    def forward(self, clips):
        x = clips.unflatten(1, (-1, 3)).transpose(1, 2)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for layer in self.layers:
            for block in layer:
                x = block(x)
        # [clips, frames, C]
        features = x.mean((3, 4)).transpose(1, 2)
        return self.fc(self.dropout(features)).mean(1)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip().splitlines()[-1].strip())
    try:
        net = load(sys.argv[1])
    except tamring_file.BadFile as error:
        sys.exit(f"tamring_torch.py: {error}")
    print(f"{net.model['architecture']}: {sum(p.numel() for p in net.parameters())} parameters, {len(net.classes)} names")


if __name__ == "__main__":
    main()
