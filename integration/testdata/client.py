"""Uses a server as programs with Python's redis library do. usage: client.py HOST PORT"""
import sys
import threading
import time

import redis
from redis.lock import Lock

host, port = sys.argv[1], int(sys.argv[2])
r = redis.Redis(host=host, port=port, decode_responses=True, socket_timeout=30)


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


check("ping", r.ping(), True)
check("set", r.set("k", "v"), True)
check("get", r.get("k"), "v")
check("set nx", r.set("k", "w", nx=True), None)
check("set get", r.set("k", "w", get=True), "v")
check("unicode", (r.set("schlüssel", "größe"), r.get("schlüssel")), (True, "größe"))
raw = redis.Redis(host=host, port=port)
blob = bytes(range(256)) * 4096
check("blob", (raw.set("blob", blob), raw.get("blob") == blob), (True, True))
check("mset", r.mset({"a": 1, "b": 2}), True)
check("mget", r.mget("a", "nosuch", "b"), ["1", None, "2"])
check("incrbyfloat", r.incrbyfloat("a", 0.5), 1.5)
check("hset", r.hset("h", mapping={"x": "1", "y": "2"}), 2)
check("hgetall", r.hgetall("h"), {"x": "1", "y": "2"})
check("expire", (r.expire("h", 100), 0 < r.ttl("h") <= 100), (True, True))

with r.pipeline(transaction=False) as p:
    for i in range(2000):
        p.set(f"p{i}", i).get(f"p{i}")
    got = p.execute()
check("pipeline", got, [x for i in range(2000) for x in (True, str(i))])

with r.pipeline() as p:
    p.incr("n").incr("n").get("n")
    check("transaction", p.execute(), [1, 2, "2"])

try:
    r.incr("k")
    sys.exit("incr of a text did not fail")
except redis.ResponseError as e:
    check("error", str(e), "value is not an integer or out of range")

check("scan_iter", {k for k in r.scan_iter("p1*", count=10)}, {f"p{i}" for i in range(2000) if str(i).startswith("1")})


def optimistic():
    mine = redis.Redis(host=host, port=port)
    for _ in range(25):
        mine.transaction(lambda p: (p.multi, p.incr)[0]() or p.incr("watched"), "watched")


threads = [threading.Thread(target=optimistic) for _ in range(4)]
for t in threads:
    t.start()
for t in threads:
    t.join()
check("watch", r.get("watched"), "100")

s = r.pubsub()
s.subscribe("news")
s.psubscribe("w*")
check("subscribed", [s.get_message(timeout=10)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
check("publish", (r.publish("news", "1"), r.publish("weather", "2"), r.publish("nobody", "3")), (1, 1, 0))
check("messages", [s.get_message(timeout=10)["data"] for _ in range(2)], ["1", "2"])
s.close()

check("delete", r.delete("a", "b", "nosuch"), 2)
check("rename", (r.rename("k", "k2"), r.exists("k"), r.get("k2")), (True, 0, "w"))
check("wait", r.wait(2, 5000), 2)
check("info", r.info("replication")["role"], "master")
check("type", (r.type("h"), r.type("nosuch")), ("hash", "none"))
other = redis.Redis(host=host, port=port, db=5, client_name="tester")
check("database", (other.set("k", 1), other.dbsize(), other.client_getname()), (True, 1, "tester"))
check("flush", (other.flushdb(), other.dbsize()), (True, 0))



def once(number):
    return r.execute_command("BRAINER", "WITH", "ID", "python", number, "INCR", "once")


check("the same again", [once(7), once(7), once(8), once(8)], [1, 1, 2, 2])
try:
    once(7)
    sys.exit("an older number was taken")
except redis.ResponseError as e:
    check("an older number", str(e).startswith("stale request"), True)

began = time.time()
try:
    redis.Redis(host=host, port=port, socket_timeout=0.2).execute_command("WAIT", 9, 10000)
    sys.exit("WAIT for nine copies was answered")
except redis.TimeoutError:
    check("timeout", time.time() - began < 5, True)
print("all well")
