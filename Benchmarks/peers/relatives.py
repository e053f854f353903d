"""TSN, TSM, TAM on ResNet and I3D in PyTorch, for measurements beside ours: written from ../shared/relatives.md, checked
against golden steps, with what PyTorch offers for speed (in-place ReLU, no copies but the shift's)."""

import torch
import torch.nn.functional as F
from torch import nn

from blvnet import TAM, BLVNetTAM, Tap, conv

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class TapPair(nn.Module):
    """A tap under the name that TAM on ResNet has for it."""

    def __init__(self, channels):
        super().__init__()
        self.fc1 = Tap(channels)


class NamedTAM(TAM):
    def __init__(self, channels, taps):
        nn.Module.__init__(self)
        self.taps = taps
        if taps == 3:
            self.prev_se, self.curr_se, self.next_se = TapPair(channels), TapPair(channels), TapPair(channels)
        else:
            self.blending_layers = nn.ModuleList(TapPair(channels) for _ in range(taps))

    def weights(self):
        layers = (self.prev_se, self.curr_se, self.next_se) if self.taps == 3 else self.blending_layers
        return [layer.fc1.weight.view(1, 1, -1, 1, 1) for layer in layers]

    def forward(self, x, frames):
        return super().forward(x, frames, 1, False)


class Shift(nn.Module):
    def __init__(self, channels, parts):
        super().__init__()
        self.fold = channels // parts

    def forward(self, x, frames):
        x, f = x.unflatten(0, (-1, frames)), self.fold
        out = torch.zeros_like(x)
        out[:, :-1, :f] = x[:, 1:, :f]
        out[:, 1:, f : 2 * f] = x[:, :-1, f : 2 * f]
        out[:, :, 2 * f :] = x[:, :, 2 * f :]
        return out.flatten(0, 1)


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, mixing=None):
        super().__init__()
        self.tam = mixing
        self.conv1, self.bn1 = conv(inputs, planes), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = conv(planes, 4 * planes), nn.BatchNorm2d(4 * planes)
        self.downsample = None
        if inputs != 4 * planes:
            self.downsample = nn.Sequential(conv(inputs, 4 * planes, 1, stride), nn.BatchNorm2d(4 * planes))

    def forward(self, x, frames):
        y = x if self.tam is None else self.tam(x, frames)
        y = F.relu(self.bn1(self.conv1(y)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class ResNet(nn.Module):
    def __init__(self, architecture, depth=50, width=64, groups=8, blending_frames=3, shift_div=8,
                 temporal_stride=False, temporal_pooling="max", classes=400, dropout=0.5, **_):
        super().__init__()
        self.groups, self.dropout = groups, dropout
        self.pooling = temporal_pooling if temporal_stride else None
        self.conv1, self.bn1 = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        every, inputs = 1 if BLOCKS[depth][2] < 23 else 2, width
        for layer, count in enumerate(BLOCKS[depth]):
            blocks = []
            for block in range(count):
                mixing = None
                if architecture == "tam":
                    mixing = NamedTAM(inputs, blending_frames)
                elif architecture == "tsm" and block % every == 0:
                    mixing = Shift(inputs, shift_div)
                blocks.append(Bottleneck(inputs, width << layer, 2 if layer and not block else 1, mixing))
                inputs = 4 * width << layer
            setattr(self, f"layer{layer + 1}", nn.ModuleList(blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        """x: [clips * groups, 3, height, width]."""
        frames = self.groups
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        for layer in range(1, 5):
            for block in getattr(self, f"layer{layer}"):
                x = block(x, frames)
            if self.pooling and layer < 4:
                x = x.unflatten(0, (-1, frames)).transpose(1, 2)
                pool = F.max_pool3d if self.pooling == "max" else F.avg_pool3d
                x = pool(x, (3, 1, 1), (2, 1, 1), (1, 0, 0)).transpose(1, 2).flatten(0, 1)
                frames = (frames - 1) // 2 + 1
        x = self.fc(F.dropout(x.mean((2, 3)), self.dropout, self.training))
        return x.unflatten(0, (-1, frames)).mean(1)


def conv3d(inputs, outputs, kernel=(1, 1, 1), stride=(1, 1, 1)):
    return nn.Conv3d(inputs, outputs, kernel, stride, [size // 2 for size in kernel], bias=False)


class InflatedBottleneck(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = conv3d(inputs, planes), nn.BatchNorm3d(planes)
        self.conv2, self.bn2 = conv3d(planes, planes, (3, 3, 3), stride), nn.BatchNorm3d(planes)
        self.conv3, self.bn3 = conv3d(planes, 4 * planes), nn.BatchNorm3d(4 * planes)
        self.downsample = None
        if inputs != 4 * planes:
            self.downsample = nn.Sequential(conv3d(inputs, 4 * planes, stride=stride), nn.BatchNorm3d(4 * planes))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class I3D(nn.Module):
    def __init__(self, depth=50, width=64, groups=8, temporal_stride=False, classes=400, dropout=0.5, **_):
        super().__init__()
        self.groups, self.dropout = groups, dropout
        self.conv1, self.bn1 = conv3d(3, width, (3, 7, 7), (1, 2, 2)), nn.BatchNorm3d(width)
        inputs = width
        for layer, count in enumerate(BLOCKS[depth]):
            stride = (2 if temporal_stride else 1, 2, 2) if layer else (1, 1, 1)
            blocks = []
            for block in range(count):
                blocks.append(InflatedBottleneck(inputs, width << layer, (1, 1, 1) if block else stride))
                inputs = 4 * width << layer
            setattr(self, f"layer{layer + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        """x: [clips * groups, 3, height, width]."""
        x = x.unflatten(0, (-1, self.groups)).transpose(1, 2)
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x)), inplace=True), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
        x = x.mean((3, 4)).transpose(1, 2)
        return self.fc(F.dropout(x, self.dropout, self.training)).mean(1)


def build(architecture="blvnet-tam", **model):
    """The network of a recipe's model section."""
    if architecture in ("tsn", "tsm", "tam"):
        return ResNet(architecture, **model)
    if architecture == "i3d":
        return I3D(**model)
    model.setdefault("groups", 16)
    network = BLVNetTAM(**model)
    if architecture != "blvnet-tam":
        network.baseline_model.replace_mixing(None if architecture == "blvnet" else model.get("shift_div", 8))
    return network
