"""TCP relays in front of workers and the coordinator. They cut, delay, stall, refuse, silently drop and flip bits."""
import asyncio
import collections
import random
import re
import socket
import struct
import threading

# A worker's connection to its right neighbour names itself in ZeroMQ's greeting: g.GENERATION.RANK.INCARNATION.
IDENTITY = re.compile(rb"g\.\d+\.(\d+)\.\d+")
# Its connections to the coordinator: c. or h.RANK.INCARNATION.NUMBER.
CONNECTION = re.compile(rb"([ch])\.\d+\.\d+\.\d+")
CONNECTIONS = {b"c": "control", b"h": "heartbeat"}
DIRECTIONS = ("in", "out")


class Proxies:
    """The relays of a cluster, by rank, on a thread of their own."""

    def __init__(self, seed):
        self._seed = seed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.by_rank = {}
        self.to_coordinator = {}

    def add(self, rank, upstream, coordinator):
        """Relays to the ports `upstream`, a worker's, and `coordinator` of this machine; their own ports are what peers
        and the worker are told."""
        for relays, port in ((self.by_rank, upstream), (self.to_coordinator, coordinator)):
            relays[rank] = Proxy(self._loop, rank, port, random.Random(f"{self._seed} {rank}"))
            self.call(relays[rank].listen())

    @property
    def _all(self):
        return [*self.by_rank.values(), *self.to_coordinator.values()]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)

    def counts(self):
        return sum((proxy.counts for proxy in self._all), collections.Counter())

    def close(self):
        async def end():
            for proxy in self._all:
                await proxy.close()
            for task in asyncio.all_tasks(self._loop):
                if task is not asyncio.current_task():
                    task.cancel()

        self.call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Link:
    """One connection and its other half."""

    def __init__(self, *writers):
        self.writers = writers
        self.peer = None
        # To the coordinator: "control" or "heartbeat".
        self.connection = None
        # Set where nothing is relayed any more, not even an end; awaited until it is cut.
        self.muted = None

    def cut(self):
        for writer in self.writers:
            connection = writer.get_extra_info("socket")
            # Without lingering the other side sees a reset, as from a machine that has lost its power and come back.
            if connection is not None and not writer.transport.is_closing():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Everything here belongs to the loop's thread, but for the reading of `counts`."""

    def __init__(self, loop, rank, upstream, chance):
        self.rank = rank
        self.upstream = upstream
        self.port = 0
        self.counts = collections.Counter()
        self._loop = loop
        self._chance = chance
        self._server = None
        self._links = set()
        self._barred = set()
        self._delay = None
        self._flips = 0.0
        self._open = {direction: asyncio.Event() for direction in DIRECTIONS}
        for event in self._open.values():
            event.set()

    async def listen(self):
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    # Faults

    async def cut(self):
        """Resets every connection; new ones are taken."""
        for link in list(self._links):
            link.cut()
            self.counts["connections cut"] += 1

    async def refuse(self):
        """Resets every connection, and refuses new ones until `listen`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut()

    async def bar(self, rank):
        """As `refuse`, but only to the ring connections of one other worker."""
        self._barred.add(rank)
        for link in [link for link in self._links if link.peer == rank]:
            link.cut()

    async def stall(self, direction):
        self._open[direction].clear()

    async def delay(self, low, high):
        self._delay = (low, high)

    async def flip(self, probability):
        """The chance of a flipped bit for each piece that is relayed."""
        self._flips = probability

    async def mute(self, connection):
        """Swallows what passes over the present connection of this kind, both ways, and lets neither end know: as a
        firewall does that has forgotten it. New connections are taken."""
        for link in self._links:
            if link.connection == connection and link.muted is None:
                link.muted = asyncio.Event()
                self.counts[f"{connection} connections muted"] += 1

    async def heal(self):
        for link in [link for link in self._links if link.muted]:
            link.muted.set()
            link.cut()
        self._barred.clear()
        self._delay = None
        self._flips = 0.0
        for event in self._open.values():
            event.set()
        await self.listen()

    async def close(self):
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.cut()

    # Relaying

    async def _accept(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self._links.add(link)
        pumps = [
            asyncio.ensure_future(self._pump(link, reader, far_writer, "in")),
            asyncio.ensure_future(self._pump(link, far_reader, writer, "out")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in link.writers:
                end.close()
            self._links.discard(link)

    async def _pump(self, link, reader, writer, direction):
        seen = b""
        try:
            while data := await reader.read(65536):
                if direction == "in" and len(seen) < 512:
                    seen += data[:512]
                    match = IDENTITY.search(seen)
                    link.peer = int(match[1]) if match else None
                    match = CONNECTION.search(seen)
                    link.connection = CONNECTIONS[match[1]] if match else None
                if link.peer is not None and link.peer in self._barred:
                    self.counts["connections refused"] += 1
                    return link.cut()
                if link.muted:
                    continue
                await self._open[direction].wait()
                if self._delay:
                    await asyncio.sleep(self._chance.uniform(*self._delay))
                    self.counts["pieces delayed"] += 1
                if self._flips and self._chance.random() < self._flips:
                    data = self._flipped(data)
                writer.write(data)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        if link.muted:
            await link.muted.wait()

    def _flipped(self, data):
        changed = bytearray(data)
        changed[self._chance.randrange(len(changed))] ^= 1 << self._chance.randrange(8)
        self.counts["bits flipped"] += 1
        return bytes(changed)
