"""The structure of each network, told layer by layer to a builder: `Shapes` collects the tensors, export_onnx a graph.

A builder's values are opaque but for `.channels` and `.frames`. Images are frames of clips, those of a clip adjacent.
"""
import tamring_file


def build(model, to):
    """Tells the network of a recipe's model section to the builder `to`, and returns the logits."""
    kinds = {"blvnet-tam": _big_little, "blvnet": _big_little, "blvnet-tsm": _big_little, "tsn": _res_net,
             "tsm": _res_net, "tam": _res_net, "i3d": _inflated}
    if model["architecture"] not in kinds:
        raise tamring_file.BadFile(f"model.architecture is {model['architecture']}; it must be one of {', '.join(kinds)}")
    if model["depth"] not in (50, 101, 152):
        raise tamring_file.BadFile(f"model.depth is {model['depth']}; it must be 50, 101 or 152")
    return kinds[model["architecture"]](model, to)


class Value:
    """What a layer makes: `channels` of each of `frames` images a clip, and whatever the builder keeps."""

    def __init__(self, channels, frames, kept=None):
        self.channels, self.frames, self.kept = channels, frames, kept


class Shapes:
    """Collects {name: shape} of all parameters and statistics. `aggregations` has the taps of each TAM, in order."""

    def __init__(self):
        self.tensors, self.aggregations = {}, []

    def input(self, model):
        return Value(3, model["groups"])

    def convolution(self, name, x, outputs, kernel, stride=1):
        self.tensors[name + ".weight"] = (outputs, x.channels, kernel, kernel)
        return Value(outputs, x.frames)

    def convolution3d(self, name, x, outputs, kernel, stride=(1, 1, 1)):
        self.tensors[name + ".weight"] = (outputs, x.channels, *kernel)
        return Value(outputs, (x.frames - 1) // stride[0] + 1)

    def norm(self, name, x):
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.tensors[f"{name}.{part}"] = (x.channels,)
        return x

    def aggregation(self, names, x):
        self.aggregations.append([name + ".weight" for name in names])
        for name in names:
            self.tensors[name + ".weight"] = (x.channels, 1, 1, 1)
        return x

    def temporal_pool(self, x, kind):
        return Value(x.channels, (x.frames - 1) // 2 + 1)

    def every_second(self, x, first):
        return Value(x.channels, x.frames // 2)

    def twice(self, x):
        return Value(x.channels, 2 * x.frames)

    def head(self, name, x, classes):
        self.tensors[name + ".weight"] = (classes, x.channels)
        self.tensors[name + ".bias"] = (classes,)
        return Value(classes, 1)

    def same(self, x, *_):
        return x

    relu = shift = average_pool = max_pool = max_pool3d = add = enlarge = over_time = same


def _taps(model, tam, suffix="", inner=""):
    if model["blending_frames"] == 3:
        return [f"{tam}.{tap}{suffix}{inner}" for tap in ("prev", "curr", "next")]
    return [f"{tam}.blending_layers.{tap}{inner}" for tap in range(model["blending_frames"])]


# bLVNet


def _big_little(model, to):
    width, root = model["width"], "baseline_model"
    narrow = width // model["alpha"]
    blocks = {50: [3, 4, 6, 3], 101: [4, 8, 18, 3], 152: [5, 12, 30, 3]}[model["depth"]]

    def norm(name, x, relu=True):
        x = to.norm(name, x)
        return to.relu(x) if relu else x

    def temporal(name, x):
        if model["architecture"] == "blvnet-tam":
            return to.aggregation(_taps(model, name + ".tam"), x)
        return to.shift(x, x.channels // model["shift_div"]) if model["architecture"] == "blvnet-tsm" else x

    def bottleneck(name, x, planes, stride, relu=True, seen=None):
        """`seen`: what conv1 sees instead of x; with TAM, `downsample` sees it too."""
        seen = x if seen is None else seen
        middle = planes // 4
        y = norm(f"{name}.bn1", to.convolution(f"{name}.conv1", seen, middle, 1))
        y = norm(f"{name}.bn2", to.convolution(f"{name}.conv2", y, middle, 3, stride))
        y = norm(f"{name}.bn3", to.convolution(f"{name}.conv3", y, planes, 1), relu=False)
        residual, part = x, 0
        if stride != 1 or x.channels != planes:
            residual = x if model["architecture"] == "blvnet-tsm" else seen
        if stride != 1:
            residual, part = to.average_pool(residual), 1
        if x.channels != planes:
            residual = to.convolution(f"{name}.downsample.{part}", residual, planes, 1)
            residual = norm(f"{name}.downsample.{part + 1}", residual, relu=False)
        y = to.add(y, residual)
        return to.relu(y) if relu else y

    x = norm(f"{root}.bn1", to.convolution(f"{root}.conv1", to.input(model), width, 7, 2))
    x = temporal(root, x)
    big, little = to.every_second(x, 1), to.every_second(x, 0)
    big = norm(f"{root}.bn_b0", to.convolution(f"{root}.b_conv0", big, width, 3, 2), relu=False)
    little = norm(f"{root}.bn_l0", to.convolution(f"{root}.l_conv0", little, narrow, 3))
    little = norm(f"{root}.bn_l1", to.convolution(f"{root}.l_conv1", little, narrow, 3, 2))
    little = norm(f"{root}.bn_l2", to.convolution(f"{root}.l_conv2", little, width, 1), relu=False)
    x = to.relu(to.add(big, little))
    x = to.twice(norm(f"{root}.bn_bl_init", to.convolution(f"{root}.bl_init", x, width, 1)))
    for layer in (1, 2, 3):
        name, planes, count = f"{root}.layer{layer}", 2 * width << layer, blocks[layer - 1]
        x = temporal(name, x)
        big, little = to.every_second(x, 1), to.every_second(x, 0)
        for block in range(count - 1):
            last = block == count - 2 and count > 2
            big = bottleneck(f"{name}.big.{block}", big, planes, 2 if block == 0 else 1, relu=not last)
        for block in range(max(1, count // model["beta"] - 1)):
            little = bottleneck(f"{name}.little.{block}", little, planes // model["alpha"], 1)
        little = norm(f"{name}.little_e.1", to.convolution(f"{name}.little_e.0", little, planes, 1), relu=False)
        x = to.relu(to.add(to.enlarge(big, little), little))
        x = to.twice(bottleneck(f"{name}.fusion.0", x, planes, 1 if layer == 3 else 2))
    x = to.every_second(x, 0)
    for block in range(blocks[3]):
        name = f"{root}.layer4.{block}"
        x = bottleneck(name, x, 32 * width, 2 if block == 0 else 1, seen=temporal(name, x))
    return to.head("new_fc", x, model["classes"])


# ResNet


RES_NET = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}


def _res_net(model, to):
    width, blocks = model["width"], RES_NET[model["depth"]]
    # With 23 blocks in layer 3, every second block of a layer shifts.
    every = 2 if blocks[2] >= 23 else 1
    x = to.relu(to.norm("bn1", to.convolution("conv1", to.input(model), width, 7, 2)))
    x = to.max_pool(x)
    for layer in range(4):
        planes = width << layer
        for block in range(blocks[layer]):
            name, stride = f"layer{layer + 1}.{block}", 2 if block == 0 and layer > 0 else 1
            y = x
            if model["architecture"] == "tam":
                y = to.aggregation(_taps(model, name + ".tam", "_se", ".fc1"), x)
            elif model["architecture"] == "tsm" and block % every == 0:
                y = to.shift(x, x.channels // model["shift_div"])
            y = to.relu(to.norm(f"{name}.bn1", to.convolution(f"{name}.conv1", y, planes, 1)))
            y = to.relu(to.norm(f"{name}.bn2", to.convolution(f"{name}.conv2", y, planes, 3, stride)))
            y = to.norm(f"{name}.bn3", to.convolution(f"{name}.conv3", y, 4 * planes, 1))
            if block == 0:
                x = to.convolution(f"{name}.downsample.0", x, 4 * planes, 1, stride)
                x = to.norm(f"{name}.downsample.1", x)
            x = to.relu(to.add(y, x))
        if model["temporal_stride"] and layer < 3:
            x = to.temporal_pool(x, model["temporal_pooling"])
    return to.head("fc", x, model["classes"])


def _inflated(model, to):
    width, blocks = model["width"], RES_NET[model["depth"]]
    x = to.convolution3d("conv1", to.over_time(to.input(model)), width, (3, 7, 7), (1, 2, 2))
    x = to.max_pool3d(to.relu(to.norm("bn1", x)))
    for layer in range(4):
        planes = width << layer
        for block in range(blocks[layer]):
            name = f"layer{layer + 1}.{block}"
            strided = block == 0 and layer > 0
            stride = (2 if strided and model["temporal_stride"] else 1, 2, 2) if strided else (1, 1, 1)
            y = to.relu(to.norm(f"{name}.bn1", to.convolution3d(f"{name}.conv1", x, planes, (1, 1, 1))))
            y = to.relu(to.norm(f"{name}.bn2", to.convolution3d(f"{name}.conv2", y, planes, (3, 3, 3), stride)))
            y = to.norm(f"{name}.bn3", to.convolution3d(f"{name}.conv3", y, 4 * planes, (1, 1, 1)))
            if block == 0:
                x = to.convolution3d(f"{name}.downsample.0", x, 4 * planes, (1, 1, 1), stride)
                x = to.norm(f"{name}.downsample.1", x)
            x = to.relu(to.add(y, x))
    return to.head("fc", x, model["classes"])
