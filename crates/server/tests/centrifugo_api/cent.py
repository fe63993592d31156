"""Every method of Centrifugo's API that Fanfare has, by the library of its makers: synchronous, and one asynchronous call."""

import asyncio
import base64
import sys

import cent

URL, KEY, ANA = sys.argv[1:]
client = cent.Client(URL, KEY)


def refused(request, call, code):
    try:
        call(request)
    except cent.CentApiResponseError as error:
        assert error.code == code, error
    else:
        raise AssertionError(f"{request} is taken")


# publish
assert client.publish(cent.PublishRequest(channel="room", data={"text": "hello"})) == cent.PublishResult()
binary = base64.b64encode(b"\x00\x01\xff").decode()
client.publish(cent.PublishRequest(channel="room", data=None, b64data=binary))
first = client.publish(cent.PublishRequest(channel="kept:log", data=1, idempotency_key="once"))
again = client.publish(cent.PublishRequest(channel="kept:log", data=1, idempotency_key="once"))
assert first == again and first.offset == 1 and first.epoch
refused(cent.PublishRequest(channel="", data=1), client.publish, 107)
refused(cent.PublishRequest(channel="kept:log", data=1, skip_history=True), client.publish, 108)

for version, offset in [(5, 1), (4, 1), (6, 2)]:
    placed = client.publish(cent.PublishRequest(channel="kept:state", data=version, version=version, version_epoch="e"))
    assert placed.offset == offset, placed

# broadcast
sent = client.broadcast(cent.BroadcastRequest(channels=["room", "", "kept:log"], data="to all", tags={"a": "b"}))
assert [response.error and response.error.code for response in sent.responses] == [None, 107, None]
assert sent.responses[2].result.offset == 2

# presence
present = client.presence(cent.PresenceRequest(channel="room")).presence
assert [(key, info.client, info.user) for key, info in present.items()] == [(ANA, ANA, "ana")]
stats = client.presence_stats(cent.PresenceStatsRequest(channel="room"))
assert (stats.num_clients, stats.num_users) == (1, 1)

# history
asked = cent.HistoryRequest(channel="kept:log", limit=10, since=cent.StreamPosition(offset=1, epoch=first.epoch))
history = client.history(asked)
assert [(kept.offset, kept.data, kept.tags) for kept in history.publications] == [(2, "to all", {"a": "b"})]
assert (history.offset, history.epoch) == (2, first.epoch)
newest = client.history(cent.HistoryRequest(channel="kept:log", limit=1, reverse=True))
assert newest.publications[0].offset == 2
lost = cent.HistoryRequest(channel="kept:log", limit=1, since=cent.StreamPosition(offset=1, epoch="other"))
refused(lost, client.history, 112)
client.history_remove(cent.HistoryRemoveRequest(channel="kept:log"))
assert client.history(cent.HistoryRequest(channel="kept:log", limit=10)).publications == []

# channels and info
channels = client.channels(cent.ChannelsRequest(pattern="ro*")).channels
assert {name: info.num_clients for name, info in channels.items()} == {"room": 1}
node = client.info(cent.InfoRequest()).nodes[0]
assert node.name == "fanfare" and node.num_clients == 1 and node.process.rss > 0

# subscribe and unsubscribe
joined = cent.SubscribeRequest(user="ana", channel="kept:joined", data={"hello": "ana"}, info={"role": "guest"})
client.subscribe(joined)
client.publish(cent.PublishRequest(channel="kept:joined", data="joined"))
client.unsubscribe(cent.UnsubscribeRequest(user="ana", channel="kept:joined", client=ANA))

# batch
requests = [
    cent.PublishRequest(channel="room", data="of a batch"),
    cent.BroadcastRequest(channels=["elsewhere"], data=1),
    cent.PresenceStatsRequest(channel="room"),
]
replies = client.batch(cent.BatchRequest(requests=requests, parallel=True)).replies
assert replies[0] == cent.PublishResult()
assert replies[1].responses[0].error is None
assert replies[2].num_clients == 1

# refresh and disconnect: nobody, all of nobody, and her
client.refresh(cent.RefreshRequest(user="nobody", expired=True))
client.refresh(cent.RefreshRequest(user="ana", client=ANA, expire_at=4_000_000_000))
client.disconnect(cent.DisconnectRequest(user="nobody"))
client.disconnect(cent.DisconnectRequest(user="ana", whitelist=[ANA]))
assert client.info(cent.InfoRequest()).nodes[0].num_clients == 1
client.disconnect(cent.DisconnectRequest(user="ana", disconnect=cent.Disconnect(code=4500, reason="bye")))

# a wrong key
try:
    cent.Client(URL, "another-key-of-16-bytes").info(cent.InfoRequest())
except cent.CentUnauthorizedError:
    pass
else:
    raise AssertionError("a wrong key opens")


async def asynchronously():
    client = cent.AsyncClient(URL, KEY)
    try:
        return await client.publish(cent.PublishRequest(channel="kept:async", data=1))
    finally:
        await client.close()


assert asyncio.run(asynchronously()).offset == 1
print("done")
