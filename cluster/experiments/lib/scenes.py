"""What happens in a clip of the physical data set: a small MuJoCo world, and a hand that acts in it.

Lengths are metres, times seconds. x goes right, y away from the camera, z up; the floor is z = 0.
"""

import math

FRAMES = 32
STEPS_PER_FRAME = 20
TIME_STEP = 0.004
FRAMES_PER_SECOND = 12.5  # 1 / (STEPS_PER_FRAME * TIME_STEP)
SIZE = 96

FIST = 0.05  # radius


def smooth(t):
    """From 0 to 1 while t goes from 0 to 1, at rest at both ends."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def along(points, t):
    """The place on the way through `points`, each leg in the same time, for t from 0 to 1."""
    legs = len(points) - 1
    leg = min(int(min(max(t, 0.0), 1.0) * legs), legs - 1)
    s = smooth(min(max(t, 0.0), 1.0) * legs - leg)
    return [a + (b - a) * s for a, b in zip(points[leg], points[leg + 1])]


class Scene:
    """A scene of one class. After `build`, `act(model, data)` is called before each step of the simulation.

    `random` is a random.Random that the clip's number has seeded: all that is drawn comes from it.
    """

    def __init__(self, random):
        self.random = random
        self.assets, self.bodies = [], []
        self.start, self.length = random.uniform(0.1, 0.7), random.uniform(1.0, 1.6)
        self.x, self.y = random.uniform(-0.15, 0.15), random.uniform(-0.1, 0.1)
        self.act = lambda model, data: None

    # What is there.

    def material(self, light=(0.15, 0.95)):
        """A new material with a random texture; its name."""
        r = self.random
        name = f"m{len(self.assets)}"
        first, second = ([r.uniform(*light) for _ in range(3)] for _ in range(2))
        kind = r.choice(["flat", "checker", "gradient"])
        mark = r.choice(["none", "cross", "edge", "random"])
        self.assets.append(
            f'<texture name="{name}" type="cube" builtin="{kind}" mark="{mark}" rgb1="{numbers(first)}"'
            f' rgb2="{numbers(second)}" markrgb="{numbers(r.uniform(*light) for _ in range(3))}" random="0.05"'
            f' width="32" height="32"/><material name="{name}" texture="{name}" specular="{r.uniform(0, 0.6):.3f}"'
            f' shininess="{r.uniform(0.1, 0.9):.3f}"/>'
        )
        return name

    def add(self, name, place, geoms, free=True):
        joint = "<freejoint/>" if free else ""
        self.bodies.append(f'<body name="{name}" pos="{numbers(place)}">{joint}{geoms}</body>')

    def thing(self, name="thing", x=None, y=None, height=0.0, kinds=("box", "cylinder"), tall=1.0, friction=0.7):
        """Something that stands on the floor, or `height` above it; half of its height."""
        r = self.random
        kind = r.choice(kinds)
        radius, half = r.uniform(0.08, 0.13), r.uniform(0.08, 0.13) * tall
        size = {"box": (radius, radius, half), "cylinder": (radius, half), "ellipsoid": (radius, radius, half)}[kind]
        self.add(
            name, (self.x if x is None else x, self.y if y is None else y, half + height),
            f'<geom type="{kind}" size="{numbers(size)}" material="{self.material()}" density="200"'
            f' friction="{friction}"/>')
        self.radius = radius
        return half

    def ball(self, name, x, y, radius):
        self.add(
            name, (x, y, radius),
            f'<geom type="sphere" size="{radius:.4f}" material="{self.material()}" density="1000" condim="6"'
            ' friction="0.8 0.005 0.0005"/>')

    def hand(self, place, solid):
        """A fist on an arm that comes from above the camera; `solid` if things feel it."""
        r = self.random
        skin = numbers(c * r.uniform(0.45, 1) for c in (0.95, 0.75, 0.62))
        mask = 'contype="1" conaffinity="1"' if solid else 'contype="0" conaffinity="0"'
        arm = (r.uniform(-0.8, 0.8), -0.9, 1.4)
        self.bodies.append(
            f'<body name="hand" mocap="true" pos="{numbers(place)}"><geom type="sphere" size="{FIST}"'
            f' rgba="{skin} 1" {mask}/><geom type="capsule" fromto="0 0 0 {numbers(arm)}" size="0.035"'
            f' rgba="{skin} 1" contype="0" conaffinity="0"/></body>')

    # What the hand does.

    def progress(self, data):
        """From 0 to 1 while the action goes on."""
        return (data.time - self.start) / self.length

    def move_hand(self, points):
        self.act = lambda model, data: data.mocap_pos.__setitem__(0, along(points, self.progress(data)))

    def carry(self, name, points, below, release=None):
        """The hand moves through `points` with `name` hanging `below` its middle, until progress is `release`."""

        def act(model, data):
            t = self.progress(data)
            place = along(points, t)
            data.mocap_pos[0] = place
            if release is None or t < release:
                joint = model.body(name).jntadr[0]
                at, speed = model.jnt_qposadr[joint], model.jnt_dofadr[joint]
                data.qpos[at : at + 3] = place[0], place[1], place[2] - below
                data.qpos[at + 3 : at + 7] = 1, 0, 0, 0
                data.qvel[speed : speed + 6] = 0

        self.act = act

    def throw(self, name, velocity):
        """`name` has this velocity, and rolls, from the start."""
        done = []

        def act(model, data):
            if done:
                return
            body = model.body(name)
            speed = model.jnt_dofadr[body.jntadr[0]]
            radius = model.geom_size[body.geomadr[0]][0]
            data.qvel[speed : speed + 3] = velocity[0], velocity[1], 0
            data.qvel[speed + 3 : speed + 6] = -velocity[1] / radius, velocity[0] / radius, 0
            done.append(True)

        self.act = act

    # The whole.

    def xml(self):
        r = self.random
        wall = [r.uniform(0.2, 0.9) for _ in range(3)]
        floor, floor2 = ([r.uniform(0.2, 0.8) for _ in range(3)] for _ in range(2))
        repeat = r.uniform(1, 5)
        for i in range(r.randrange(4)):  # things to which nothing happens
            side = r.choice((-1, 1))
            x, y = side * r.uniform(0.45, 0.8), r.uniform(0.25, 0.8)
            kind, size = r.choice((("box", (0.07, 0.07, 0.1)), ("cylinder", (0.07, 0.1)), ("sphere", (0.08,))))
            self.add(
                f"other{i}", (x, y, size[-1]),
                f'<geom type="{kind}" size="{numbers(size)}" material="{self.material()}" contype="0"'
                ' conaffinity="0"/>', free=False)
        lights = "".join(
            f'<light pos="{numbers((r.uniform(-1.5, 1.5), r.uniform(-1.5, 0.5), r.uniform(2, 3)))}"'
            f' dir="{numbers((r.uniform(-0.4, 0.4), r.uniform(-0.1, 0.5), -1))}" castshadow="{shadow}"'
            f' diffuse="{numbers([r.uniform(0.4, 0.8)] * 3)}"/>'
            for shadow in ("true", "false"))
        return f"""<mujoco>
<option timestep="{TIME_STEP}"/>
<visual><global offwidth="{SIZE}" offheight="{SIZE}" fovy="45"/><quality shadowsize="512" offsamples="0"/>
<headlight ambient="0.3 0.3 0.3" diffuse="0.2 0.2 0.2"/></visual>
<asset><texture type="skybox" builtin="gradient" rgb1="{numbers(wall)}" rgb2="{numbers(c * 0.5 for c in wall)}"
width="32" height="192"/><texture name="floor" type="2d" builtin="{r.choice(("checker", "flat", "gradient"))}"
rgb1="{numbers(floor)}" rgb2="{numbers(floor2)}" mark="{r.choice(("none", "edge", "random"))}" random="0.02"
markrgb="{numbers(r.random() for _ in range(3))}" width="64" height="64"/><material name="floor" texture="floor"
texrepeat="{repeat:.3f} {repeat:.3f}"/>{"".join(self.assets)}</asset>
<worldbody>{lights}<geom type="plane" size="6 6 0.1" material="floor" condim="6" friction="0.2 0.005 0.0005"/>
{"".join(self.bodies)}</worldbody></mujoco>"""


def numbers(values):
    return " ".join(f"{v:.4f}" for v in values)


class Camera:
    """One of five places in front of the scene, held by an unsteady hand."""

    def __init__(self, random):
        azimuth, elevation = random.choice(((0, 22), (-30, 28), (30, 28), (-15, 42), (15, 42)))
        self.azimuth = 90 + azimuth + random.uniform(-6, 6)
        self.elevation = -elevation - random.uniform(-5, 5)
        self.distance = random.uniform(1.4, 1.75)
        self.target = [random.uniform(-0.08, 0.08), random.uniform(-0.05, 0.1), random.uniform(0.15, 0.25)]
        self.sways = [(random.uniform(0, 2), random.uniform(1, 4), random.uniform(0, 2 * math.pi)) for _ in range(2)]

    def place(self, camera, time):
        """Sets an mjvCamera for `time`."""
        sway = [reach * math.sin(speed * time + phase) for reach, speed, phase in self.sways]
        camera.azimuth, camera.elevation = self.azimuth + sway[0], self.elevation + sway[1]
        camera.distance, camera.lookat[:] = self.distance, self.target


# The classes. Each function fills a scene. Those that are one another's reverse show the same frames in another order.


def push(scene, side, miss=False):
    """`side` 1 pushes right, -1 left; with `miss` the hand only pretends."""
    r = scene.random
    x = scene.x - side * 0.2
    scene.x = x
    half = scene.thing()
    reach = scene.radius + FIST
    z, y = min(half, 0.09), scene.y
    first = x - side * (reach + r.uniform(0.08, 0.2))
    if not miss:
        points = [(first, y, z), (x + side * (r.uniform(0.35, 0.5) - reach), y, z)]
    elif r.random() < 0.5:  # stops short, and goes back
        points = [(first, y, z), (x - side * (reach + 0.015), y, z), (first, y, z)]
    else:  # passes in front
        y -= reach + 0.03
        points = [(first, y, z), (x + side * (r.uniform(0.35, 0.5) - reach), y, z)]
    scene.hand(points[0], solid=True)
    scene.move_hand(points)


def lift(scene, reverse=False, drop=False, pretend=False):
    r = scene.random
    up = r.uniform(0.25, 0.4)
    starts_up = reverse or drop
    half = scene.thing(height=up if starts_up else 0)
    below = half + 0.6 * FIST
    low = (scene.x, scene.y, half + below)
    high = (scene.x + r.uniform(-0.1, 0.1), scene.y, half + below + up)
    if starts_up:
        high = (scene.x, scene.y, high[2])
    points = [high, low] if reverse else [high, high] if drop else [low, high]
    scene.hand(points[0], solid=False)
    if pretend:
        scene.move_hand(points)
    else:
        scene.carry("thing", points, below, release=r.uniform(0, 0.3) if drop else None)


def roll(scene, direction):
    """`direction` -1 comes towards the camera, 1 goes away."""
    r = scene.random
    radius = r.uniform(0.07, 0.12)
    near, far = -0.55, 0.75
    speed = r.uniform(0.35, 0.55)
    y = near + r.uniform(0, 0.2) if direction > 0 else far - r.uniform(0, 0.2)
    scene.ball("ball", scene.x + r.uniform(-0.15, 0.15), y, radius)
    scene.throw("ball", (r.uniform(-0.08, 0.08), direction * speed))


def meet(scene, hit):
    """A ball rolls into something, or passes just in front of it or behind it."""
    r = scene.random
    side = r.choice((-1, 1))
    radius = r.uniform(0.07, 0.1)
    scene.x += side * 0.08
    scene.thing(kinds=("box", "cylinder", "ellipsoid"), friction=0.2)
    reach = scene.radius * 1.2 + radius
    y = scene.y + (r.uniform(-0.04, 0.04) if hit else r.choice((-1, 1)) * (reach + r.uniform(0.03, 0.08)))
    scene.ball("ball", scene.x - side * r.uniform(0.5, 0.6), y, radius)
    scene.throw("ball", (side * r.uniform(0.5, 0.8), 0))


def door(scene, closes):
    r = scene.random
    width, height = r.uniform(0.4, 0.55), r.uniform(0.55, 0.75)
    side = r.choice((-1, 1))  # of the hinge
    swing = r.choice((-1, 1)) * math.radians(r.uniform(60, 110))
    frame = scene.material()
    scene.y += 0.15
    hinge = scene.x + side * width / 2
    posts = "".join(
        f'<geom type="box" size="{numbers(size)}" pos="{numbers(at)}" material="{frame}" contype="0" conaffinity="0"/>'
        for size, at in (
            ((0.03, 0.03, height / 2), (-width / 2 - 0.03, 0, height / 2)),
            ((0.03, 0.03, height / 2), (width / 2 + 0.03, 0, height / 2)),
            ((width / 2 + 0.06, 0.03, 0.03), (0, 0, height + 0.03)),
        ))
    scene.add("frame", (scene.x, scene.y, 0), posts, free=False)
    scene.bodies.append(
        f'<body name="door" pos="{numbers((hinge, scene.y, height / 2))}"><joint name="hinge" axis="0 0 1"/>'
        f'<geom type="box" size="{numbers((width / 2, 0.015, height / 2 - 0.01))}" pos="{-side * width / 2:.4f} 0 0"'
        f' material="{scene.material()}" contype="0" conaffinity="0"/></body>')
    ends = (swing, 0) if closes else (0, swing)
    grip = width * 0.9

    def handle(angle):
        return hinge - side * grip * math.cos(angle), scene.y - side * grip * math.sin(angle), height * 0.5

    scene.hand(handle(ends[0]), solid=False)

    def act(model, data):
        angle = ends[0] + (ends[1] - ends[0]) * smooth(scene.progress(data))
        data.joint("hinge").qpos[0] = angle
        data.joint("hinge").qvel[0] = 0
        data.mocap_pos[0] = handle(angle)

    scene.act = act


def cover(scene, reverse):
    r = scene.random
    half = scene.thing()
    side = r.choice((-1, 1))
    radius, tall = scene.radius * 1.45 + 0.01, half + 0.02
    below = tall + 0.6 * FIST
    beside, over = scene.x + side * r.uniform(0.3, 0.4), 2 * half + r.uniform(0.05, 0.12)
    points = [
        (beside, scene.y, tall + below), (beside, scene.y, over + tall + below),
        (scene.x, scene.y, over + tall + below), (scene.x, scene.y, tall + below)]
    if reverse:
        points.reverse()
    scene.add(
        "cover", (points[0][0], scene.y, tall),
        f'<geom type="cylinder" size="{numbers((radius, tall))}" material="{scene.material()}" contype="0"'
        ' conaffinity="0"/>')
    scene.hand(points[0], solid=False)
    scene.carry("cover", points, below)


def tip(scene):
    r = scene.random
    side = r.choice((-1, 1))
    scene.x -= side * 0.15
    half = scene.thing(kinds=("box",), tall=1.9)
    z = half * 1.7
    first = scene.x - side * (scene.radius + FIST + r.uniform(0.08, 0.2))
    last = scene.x + side * r.uniform(0.12, 0.22)
    scene.hand((first, scene.y, z), solid=True)
    scene.move_hand([(first, scene.y, z), (last, scene.y, z)])


CLASSES = {
    "Closing a door": lambda s: door(s, closes=True),
    "Covering [something]": lambda s: cover(s, reverse=False),
    "Dropping [something]": lambda s: lift(s, drop=True),
    "Lifting [something] up": lambda s: lift(s),
    "Lowering [something]": lambda s: lift(s, reverse=True),
    "Opening a door": lambda s: door(s, closes=False),
    "Pretending to lift [something] up": lambda s: lift(s, pretend=True),
    "Pretending to push [something]": lambda s: push(s, s.random.choice((-1, 1)), miss=True),
    "Pushing [something] from left to right": lambda s: push(s, 1),
    "Pushing [something] from right to left": lambda s: push(s, -1),
    "Rolling [something] away from the camera": lambda s: roll(s, 1),
    "Rolling [something] towards the camera": lambda s: roll(s, -1),
    "[Something] colliding with [something]": lambda s: meet(s, hit=True),
    "[Something] just missing [something]": lambda s: meet(s, hit=False),
    "Tipping [something] over": tip,
    "Uncovering [something]": lambda s: cover(s, reverse=True),
}
