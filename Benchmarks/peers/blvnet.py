"""bLVNet-TAM in PyTorch, for measurements beside ours: written from the paper and its state-dict names, checked against
golden steps. Frame pairs are indexed, never copied, so that it is as fast as PyTorch allows."""

import torch
import torch.nn.functional as F
from torch import nn

BLOCKS = {50: (3, 4, 6, 3), 101: (4, 8, 18, 3), 152: (5, 12, 30, 3)}


def conv(inputs, outputs, kernel=1, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Tap(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 1, 1, 1) * 0.1)


class TAM(nn.Module):
    """Depthwise over time. `pairs`: each frame of the input stands for two."""

    def __init__(self, channels, taps):
        super().__init__()
        self.taps = taps
        if taps == 3:
            self.prev, self.curr, self.next = Tap(channels), Tap(channels), Tap(channels)
        else:
            self.blending_layers = nn.ModuleList(Tap(channels) for _ in range(taps))

    def weights(self):
        layers = (self.prev, self.curr, self.next) if self.taps == 3 else self.blending_layers
        return [layer.weight.view(1, 1, -1, 1, 1) for layer in layers]

    def at(self, x, frames, phase, step, repeat):
        """Results at frames phase, phase + step, … of `frames`; x is [N, frames / repeat, C, H, W]."""
        total = None
        for k, weight in enumerate(self.weights()):
            shift = k - self.taps // 2
            times = range(phase, frames, step)
            inside = [i for i, t in enumerate(times) if 0 <= t + shift < frames]
            if not inside:
                continue
            first, last = inside[0], inside[-1]
            source = (times[first] + shift) // repeat
            part = x[:, source : source + (last - first) * step // repeat + 1 : max(1, step // repeat)] * weight
            part = F.pad(part, (0, 0) * 3 + (first, len(times) - 1 - last))
            total = part if total is None else total + part
        return F.relu(total).flatten(0, 1)

    def forward(self, x, frames, repeat, split):
        x = x.unflatten(0, (-1, frames // repeat))
        if split:
            return self.at(x, frames, 1, 2, repeat), self.at(x, frames, 0, 2, repeat)
        return self.at(x, frames, 0, 1, repeat)


class Mixing(nn.Module):
    """What bLVNet's relatives have in a TAM's place: nothing, or a shift of 1/parts of the channels each way."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def forward(self, x, frames, repeat, split):
        if self.parts is None and repeat == 2:
            return x, x
        x = x.unflatten(0, (-1, frames // repeat))
        if repeat == 2:
            x = x.repeat_interleave(2, 1)
        if self.parts is not None:
            fold = x.shape[2] // self.parts
            out = torch.zeros_like(x)
            out[:, :-1, :fold] = x[:, 1:, :fold]
            out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
            out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
            x = out
        return (x[:, 1::2].flatten(0, 1), x[:, ::2].flatten(0, 1)) if split else x.flatten(0, 1)


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, relu=True, taps=None):
        super().__init__()
        middle = planes // 4
        if taps:
            self.tam = TAM(inputs, taps)
        self.conv1, self.bn1 = conv(inputs, middle), nn.BatchNorm2d(middle)
        self.conv2, self.bn2 = conv(middle, middle, 3, stride), nn.BatchNorm2d(middle)
        self.conv3, self.bn3 = conv(middle, planes), nn.BatchNorm2d(planes)
        parts = [nn.AvgPool2d(3, 2, 1)] if stride != 1 else []
        if inputs != planes:
            parts += [conv(inputs, planes), nn.BatchNorm2d(planes)]
        self.downsample = nn.Sequential(*parts) if parts else None
        self.relu = relu

    def forward(self, x, frames=0):
        seen = self.tam(x, frames, 1, False) if hasattr(self, "tam") else x
        y = F.relu(self.bn1(self.conv1(seen)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        # A shift is in the residual branch alone.
        passed = x if isinstance(getattr(self, "tam", None), Mixing) else seen
        y = self.bn3(self.conv3(y)) + (self.downsample(passed) if self.downsample else x)
        return F.relu(y, inplace=True) if self.relu else y


class BigLittle(nn.Module):
    def __init__(self, inputs, outputs, blocks, stride, alpha, beta, taps):
        super().__init__()
        self.tam = TAM(inputs, taps)
        count = blocks - 1
        self.big = nn.Sequential(*(
            Bottleneck(inputs if i == 0 else outputs, outputs, 2 if i == 0 else 1, not (i == count - 1 and count > 1))
            for i in range(count)))
        count = max(1, blocks // beta - 1)
        narrow = outputs // alpha
        self.little = nn.Sequential(*(Bottleneck(inputs if i == 0 else narrow, narrow, 1) for i in range(count)))
        self.little_e = nn.Sequential(conv(narrow, outputs), nn.BatchNorm2d(outputs))
        self.fusion = nn.Sequential(Bottleneck(outputs, outputs, stride))

    def forward(self, x, frames):
        big, little = self.tam(x, frames, 2, True)
        big, little = self.big(big), self.little_e(self.little(little))
        return self.fusion(F.relu(little + F.interpolate(big, size=little.shape[-2:]), inplace=True))


class Backbone(nn.Module):
    def __init__(self, depth, width, alpha, beta, taps):
        super().__init__()
        narrow, blocks = width // alpha, BLOCKS[depth]
        self.conv1, self.bn1, self.tam = conv(3, width, 7, 2), nn.BatchNorm2d(width), TAM(width, taps)
        self.b_conv0, self.bn_b0 = conv(width, width, 3, 2), nn.BatchNorm2d(width)
        self.l_conv0, self.bn_l0 = conv(width, narrow, 3), nn.BatchNorm2d(narrow)
        self.l_conv1, self.bn_l1 = conv(narrow, narrow, 3, 2), nn.BatchNorm2d(narrow)
        self.l_conv2, self.bn_l2 = conv(narrow, width), nn.BatchNorm2d(width)
        self.bl_init, self.bn_bl_init = conv(width, width), nn.BatchNorm2d(width)
        self.layer1 = BigLittle(width, 4 * width, blocks[0], 2, alpha, beta, taps)
        self.layer2 = BigLittle(4 * width, 8 * width, blocks[1], 2, alpha, beta, taps)
        self.layer3 = BigLittle(8 * width, 16 * width, blocks[2], 1, alpha, beta, taps)
        self.layer4 = nn.ModuleList(
            Bottleneck((16 if i == 0 else 32) * width, 32 * width, 2 if i == 0 else 1, taps=taps)
            for i in range(blocks[3]))

    def replace_mixing(self, parts):
        """Leaves every TAM out, or puts a temporal shift of 1/parts of the channels in its place."""
        for module in self.modules():
            if isinstance(getattr(module, "tam", None), TAM):
                module.tam = Mixing(parts)

    def forward(self, x, frames):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        big, little = self.tam(x, frames, 1, True)
        big = self.bn_b0(self.b_conv0(big))
        little = F.relu(self.bn_l0(self.l_conv0(little)), inplace=True)
        little = F.relu(self.bn_l1(self.l_conv1(little)), inplace=True)
        x = F.relu(self.bn_l2(self.l_conv2(little)) + big, inplace=True)
        x = F.relu(self.bn_bl_init(self.bl_init(x)), inplace=True)
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x, frames)
        for block in self.layer4:
            x = block(x, frames // 2)
        return x


class BLVNetTAM(nn.Module):
    def __init__(self, depth=50, width=64, groups=16, alpha=2, beta=4, blending_frames=3, classes=400, dropout=0.5,
                 **_):
        super().__init__()
        self.groups, self.dropout = groups, dropout
        self.baseline_model = Backbone(depth, width, alpha, beta, blending_frames)
        self.new_fc = nn.Linear(32 * width, classes)

    def forward(self, x):
        """x: [clips * groups, 3, height, width]."""
        x = self.baseline_model(x, self.groups).mean((2, 3))
        x = self.new_fc(F.dropout(x, self.dropout, self.training))
        return x.unflatten(0, (-1, self.groups // 2)).mean(1)
