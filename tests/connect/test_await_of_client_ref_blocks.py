"""An await of a Ray Client's ref: the event loop runs on, healthy or not, and it always ends.

Bare Ray waits on the loop until the server has answered ``.remote()``. Here that answer is held
back, so that a loop that waits for it hangs, whatever the machine's speed.
"""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.monitored import start
from tests.support.scenario import play

# A client worker whose server is this program: no head, and so each Ray is tried in a second.
_NO_SERVER = """
import asyncio, gc
from collections import defaultdict
from concurrent.futures import Future
import ray.util.client
from ray.util.client import common, worker
from seedcore_ray._ray import client_awaits

class Data:
    _in_shutdown = False
    def RegisterGetCallback(self, request, callback):
        asked.append((request.ids[0], callback))

asked, released = [], []
client = worker.Worker.__new__(worker.Worker)
client.__dict__.update(_in_shutdown=False, _has_connected=True, closed=False, data_client=Data(),
                       reference_count=defaultdict(int), _release_server=released.append)
ray.util.client._default_context.client_worker = client
client_awaits.follow_connection()

def scheduled():
    answer = Future()
    return answer, common.ClientObjectRef(answer)

def awaited(ref):
    async def wait():
        return await ref
    return asyncio.ensure_future(wait())

def outcome(task):
    return repr(task.exception()) if task.exception() else task.result()
"""


def test_what_the_server_has_not_answered_is_not_waited_for() -> None:
    told = play(
        _NO_SERVER
        + """
async def main():
    answers, refs = zip(*[scheduled() for _ in range(3)])
    first = asyncio.gather(*refs, refs[0], return_exceptions=True)
    alone = awaited(refs[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shown = [repr(refs[0]), str(refs[0])]
    answers[0].set_result(b"1" * 28)
    answers[1].set_exception(ValueError("refused by the server"))
    answers[2].set_result(b"3" * 28)
    report(shown=shown, asked=sorted(key[:1].decode() for key, _ in asked),
           known=[hash(refs[0]) == hash(b"1" * 28), repr(refs[0])])
    for key, callback in asked:
        callback(KeyError(key[:1].decode()))
    report(gathered=[repr(error) for error in await first])
    await asyncio.wait([alone])
    report(alone=outcome(alone))
asyncio.run(main())
"""
    )
    assert told["shown"] == ["ClientObjectRef(not scheduled yet)"] * 2
    # Once in the gather, although it was given twice, and once more by the await beside it.
    assert told["asked"] == ["1", "1", "3"]
    assert told["known"] == [True, f"ClientObjectRef({'31' * 28})"]
    assert told["gathered"] == [
        "KeyError('1')",
        "ValueError('refused by the server')",
        "KeyError('3')",
        "KeyError('1')",
    ]
    assert told["alone"] == "KeyError('1')"


def test_what_is_dropped_is_released_once_its_id_is_known() -> None:
    told = play(
        _NO_SERVER
        + """
answers = [Future() for _ in range(5)]
dropped = [common.ClientObjectRef(answers[0]), common.ClientActorRef(answers[1]),
           common.ClientActorRef(answers[2], weak_ref=True), common.ClientObjectRef(answers[3]),
           common.ClientObjectRef(answers[4])]
del dropped
before = list(released)
answers[0].set_result(b"0" * 28)
answers[1].set_result(b"1" * 16)
answers[2].set_result(b"2" * 16)
answers[3].set_exception(ValueError("refused by the server"))
client._in_shutdown = True
answers[4].set_result(b"4" * 28)
report(before=before, released=[key[:1].decode() for key in released],
       counted=len(client.reference_count))
"""
    )
    assert told == {"before": [], "released": ["0", "1"], "counted": 0}


def test_a_cancelled_await_harms_no_other() -> None:
    told = play(
        _NO_SERVER
        + """
async def main():
    answer, ref = scheduled()
    doomed, kept = awaited(ref), awaited(ref)
    await asyncio.sleep(0)
    doomed.cancel()
    await asyncio.wait([doomed])
    answer.set_result(b"1" * 28)
    late = awaited(ref)
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    for _, callback in asked:
        callback(KeyError("the answer"))  # raises in Ray, which then leaves others pending
    await asyncio.wait([kept])
    report(kept=outcome(kept), waiting=len(client_awaits._pending))
asyncio.run(main())
"""
    )
    assert told == {"kept": "KeyError('the answer')", "waiting": 0}


def test_a_release_and_a_shutdown_end_every_await() -> None:
    told = play(
        _NO_SERVER
        + """
rays = common.ClientObjectRef.__del__
async def ends(how):
    unanswered, asked_for = scheduled(), scheduled()
    asked_for[0].set_result(b"1" * 28)
    tasks = [awaited(ref) for _, ref in (unanswered, asked_for)]
    await asyncio.sleep(0)
    how()
    await asyncio.wait(tasks)
    unanswered[0].set_exception(ConnectionError("Ray's, and too late"))
    asked[-1][1](ConnectionError("Ray's, and too late"))
    return [outcome(task) for task in tasks], asked_for[1]

async def main():
    lost = TimeoutError("lost")
    released, old = await ends(lambda: client_awaits.end_by_loss(client, lost))
    client_awaits.follow_shutdown(client)
    client._in_shutdown = client.data_client._in_shutdown = True
    stale = awaited(old)
    await asyncio.wait([stale])
    report(released=released, while_lost=outcome(stale))
    # Connected again: Ray would disconnect the new connection because an old ref is awaited.
    client_awaits.follow_connection()
    stale = awaited(old)
    await asyncio.wait([stale])
    report(stale=outcome(stale))
    client._in_shutdown = client.data_client._in_shutdown = False
    shut, _ = await ends(lambda: client_awaits.follow_shutdown(client))
    report(shut=shut, installed=client_awaits.is_installed(),
           left=common.ClientObjectRef.__del__ is not rays and
                common.ClientObjectRef.__del__.__module__.startswith("ray."))
asyncio.run(main())
"""
    )
    assert told["released"] == ["TimeoutError('lost')"] * 2
    assert told["while_lost"] == "TimeoutError('lost')"
    gone = (
        "ConnectionError('This Ray Client has been disconnected; what was made with it is gone.')"
    )
    assert told["stale"] == gone and told["shut"] == [gone] * 2
    assert told["left"] and not told["installed"]


def test_a_call_during_a_release_neither_waits_nor_disconnects() -> None:
    told = play(
        _NO_SERVER
        + """
from ray.util.client import dataclient
from ray.core.generated import ray_client_pb2
data = dataclient.DataClient.__new__(dataclient.DataClient)
data.__dict__.update(lock=threading.Lock(), _in_shutdown=True, client_worker=client,
                     data_thread=threading.Thread(), _last_exception=None)
closed = []
client.close = lambda: closed.append("another one")
client._in_shutdown = True
raised = []
for call in (data._async_send, data._blocking_send):
    try:
        call(ray_client_pb2.DataRequest())
    except ConnectionError as error:
        raised.append(str(error))
report(raised=raised, closed=closed, locked=data.lock.locked())
"""
    )
    words = "This Ray Client has been disconnected; what was made with it is gone."
    assert told == {"raised": [words] * 2, "closed": [], "locked": False}


# The server's answers come when the gate opens, not before.
_GATE = """
from ray.util.client import dataclient

gate = threading.Event()
gate.set()
process = dataclient.DataClient._process_response
def held_back(client, response):
    gate.wait(60)
    process(client, response)
dataclient.DataClient._process_response = held_back
"""
_LOOP = """
import asyncio, ray

class Actor:
    def echo(self, value):
        return value
    def fail(self):
        raise ValueError("meant")
def echo(value):
    return value
remote = ray.remote(num_cpus=0)
echo, Actor = remote(echo), remote(Actor)

class Beat:
    # Counts the turns of the loop.
    async def __aenter__(self):
        self.turns = 0
        self.task = asyncio.create_task(self.run())
        return self
    async def run(self):
        while True:
            await asyncio.sleep(0.001)
            self.turns += 1
    async def on(self, turns):
        end = self.turns + turns
        while self.turns < end:
            await asyncio.sleep(0.001)
    async def __aexit__(self, *_):
        self.task.cancel()
"""


def test_two_hundred_awaits_and_another_coroutine(ray_head: RayHead) -> None:
    told = play(
        _GATE
        + _LOOP
        + """
ray.init(os.environ["RAY_ADDRESS"], logging_level="ERROR")
assert ensure_ray_initialized()  # adopted; the other test's connection is our own
async def first():
    return await echo.remote("first")
async def main():
    actor = Actor.remote()
    assert await actor.echo.remote(1) == 1 and await echo.remote(1) == 1
    gate.clear()
    async with Beat() as beat:
        refs = [echo.remote(number) for number in range(100)]
        refs += [actor.echo.remote(number) for number in range(100)]
        many = asyncio.gather(*refs)
        late = asyncio.wait_for(echo.remote("late"), 0.05)
        wrapped = asyncio.wrap_future(echo.remote("wrapped").future())
        failed = asyncio.gather(actor.fail.remote(), return_exceptions=True)
        for number in range(50):
            echo.remote(number)  # and dropped
        try:
            await late
        except asyncio.TimeoutError:
            report(late="timed out")
        await beat.on(50)
        report(done=many.done())
        gate.set()
        report(many=await many == [*range(100)] * 2, wrapped=await wrapped,
               failed=[type(error).__name__ for error in await failed])
    ref = echo.remote("twice")
    report(twice=[await ref, await ref, ray.get(ref), await echo.remote(ref)],
           elsewhere=await asyncio.to_thread(lambda: [asyncio.run(first()), ray.get(ref)]))
    ready, _ = await asyncio.to_thread(ray.wait, [ref])
    report(equal=ready[0] == ref and hash(ready[0]) == hash(ref), mode=held()["mode"])
asyncio.run(main())
""",
        deadline_s=110,
        RAY_ADDRESS=ray_head.client_address,
    )
    assert told["late"] == "timed out" and told["done"] is False
    assert told["many"] is True and told["wrapped"] == "wrapped"
    assert told["failed"][0].startswith("RayTaskError")
    assert told["twice"] == ["twice"] * 4 and told["elsewhere"] == ["first", "twice"]
    assert told["equal"] is True and told["mode"] == "adopted"


_FROZEN = """
connected(sys.argv[1])

async def wait(ref):
    return await ref
def outcome(task):
    return getattr(task.exception(), "kind", None) or repr(task.exception() or task.result())

async def main():
    actor = Actor.remote()
    assert await actor.echo.remote(1) == 1 and await echo.remote(1) == 1
    never = echo.options(resources={"nowhere": 1}).remote(1)
    tasks = [asyncio.ensure_future(wait(never))]
    while never._id_future is not None:
        await asyncio.sleep(0.01)
    mark("asked for")
    await asyncio.to_thread(sys.stdin.readline)
    async with Beat() as beat:
        for ref in [never, *[echo.remote(1) for _ in range(50)], actor.echo.remote(1)]:
            tasks.append(asyncio.ensure_future(wait(ref)))
        for number in range(50):
            echo.remote(number)  # and dropped
        del ref
        await beat.on(50)
        report(pending=sum(not task.done() for task in tasks))
        mark("the loop runs")
        await asyncio.wait(tasks)
        report(ended=sorted({outcome(task) for task in tasks}), turns=beat.turns)
        mark("ended")
asyncio.run(main())
"""


def test_a_frozen_head_and_its_loss() -> None:
    with RayHead() as head, start(_LOOP + _FROZEN, head.client_address) as service:
        service.wait_for_mark("asked for")
        head.freeze("proxier")
        service.tell("frozen")
        service.wait_for_mark("the loop runs")
        service.wait_for_mark("ended")
        head.stop()
        told = service.finish(60).ok().fields
    assert told["pending"] == 53
    assert told["ended"] == ["lost"] and told["turns"] > 500
