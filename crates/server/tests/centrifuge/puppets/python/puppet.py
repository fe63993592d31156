"""Clients of `centrifuge-python` that do as they are told. A line in is a command, {"ask", "client", "do", ...}; a line out
is its answer, {"ask", "result" | "error"}, or what a client was told, {"client", "event", ...}."""

import asyncio
import base64
import json
import sys

from centrifuge import (
    Client,
    ClientEventHandler,
    DeltaType,
    FilterNode,
    StreamPosition,
    SubscriptionEventHandler,
)

clients = {}


def say(**line):
    print(json.dumps(line), flush=True)


def read(data):
    """Data is bytes in Protobuf. Those that are no JSON are said in base64."""
    if not isinstance(data, bytes):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return {"base64": base64.b64encode(data).decode()}


def written(client, command):
    if "base64" in command:
        return base64.b64decode(command["base64"])
    data = command["data"]
    return json.dumps(data).encode() if client.is_protobuf else data


def info_of(info):
    """What others see of a client in the channel is said where there is something."""
    if not info:
        return info
    seen = {"client": info.client, "user": info.user, "conn_info": read(info.conn_info)}
    return {**seen, "chan_info": read(info.chan_info)} if info.chan_info else seen


def publication_of(publication):
    return {
        "data": read(publication.data),
        "offset": publication.offset,
        "info": info_of(publication.info),
    }


def subscribed_of(context):
    position = context.stream_position
    return {
        "recoverable": context.recoverable,
        "positioned": context.positioned,
        "position": position and {"offset": position.offset, "epoch": position.epoch},
        "was_recovering": context.was_recovering,
        "recovered": context.recovered,
        "data": read(context.data) if context.data else None,
    }


def change_of(context):
    return {"code": context.code, "reason": context.reason}


class OfSubscription(SubscriptionEventHandler):
    def __init__(self, client, channel):
        self.where = {"client": client, "channel": channel}

    async def on_subscribing(self, context):
        say(**self.where, event="subscribing", **change_of(context))

    async def on_subscribed(self, context):
        say(**self.where, event="subscribed", **subscribed_of(context))

    async def on_unsubscribed(self, context):
        say(**self.where, event="unsubscribed", **change_of(context))

    async def on_publication(self, context):
        say(**self.where, event="publication", **publication_of(context.pub))

    async def on_join(self, context):
        say(**self.where, event="join", info=info_of(context.info))

    async def on_leave(self, context):
        say(**self.where, event="leave", info=info_of(context.info))

    async def on_error(self, context):
        say(**self.where, event="subscription error", code=context.code, message=str(context.error))


class OfClient(ClientEventHandler):
    def __init__(self, client):
        self.client = client

    def say(self, event, **fields):
        say(client=self.client, event=event, **fields)

    async def on_connecting(self, context):
        self.say("connecting", **change_of(context))

    async def on_connected(self, context):
        self.say("connected", id=context.client, data=read(context.data))

    async def on_disconnected(self, context):
        self.say("disconnected", **change_of(context))

    async def on_error(self, context):
        self.say("error", code=context.code, message=str(context.error))

    async def on_subscribing(self, context):
        self.say("server subscribing", channel=context.channel)

    async def on_subscribed(self, context):
        self.say("server subscribed", channel=context.channel, **subscribed_of(context))

    async def on_unsubscribed(self, context):
        self.say("server unsubscribed", channel=context.channel)

    async def on_publication(self, context):
        self.say("server publication", channel=context.channel, **publication_of(context.pub))

    async def on_join(self, context):
        self.say("server join", channel=context.channel, info=info_of(context.info))

    async def on_leave(self, context):
        self.say("server leave", channel=context.channel, info=info_of(context.info))


def giver(tokens, **wanted):
    """Tokens are given out one after another, the last of them again and again."""
    if tokens is None:
        return None

    async def give(*_):
        say(**wanted)
        return tokens.pop(0) if len(tokens) > 1 else tokens[0]

    return give


async def create(_, command):
    name, is_protobuf = command["client"], command["encoding"] == "protobuf"
    data = command.get("data")
    path = "/connection/websocket" + ("?format=protobuf" if is_protobuf else "")
    client = Client(
        f"ws://{command['address']}{path}",
        events=OfClient(name),
        token=command.get("token", ""),
        get_token=giver(command.get("tokens"), client=name, event="token wanted"),
        data=json.dumps(data).encode() if is_protobuf and data is not None else data,
        use_protobuf=is_protobuf,
        min_reconnect_delay=0.05,
        max_reconnect_delay=0.2,
        proxy=None,
    )
    client.is_protobuf = is_protobuf
    clients[name] = client


async def subscribe(client, command):
    name, channel = command["client"], command["channel"]
    subscription = client.new_subscription(
        channel,
        events=OfSubscription(name, channel),
        token=command.get("token", ""),
        get_token=giver(
            command.get("tokens"), client=name, event="subscription token wanted", channel=channel
        ),
        join_leave=command.get("join_leave", False),
        delta=DeltaType.FOSSIL if command.get("delta") else None,
        tags_filter=FilterNode(command["filter"]) if "filter" in command else None,
        recoverable=True,
        min_resubscribe_delay=0.05,
        max_resubscribe_delay=0.2,
    )
    await subscription.subscribe()


async def unsubscribe(client, command):
    subscription = client.get_subscription(command["channel"])
    await subscription.unsubscribe()
    client.remove_subscription(subscription)


async def publish(client, command):
    await client.publish(command["channel"], written(client, command))


async def presence(client, command):
    result = await client.presence(command["channel"])
    return {id: info_of(info) for id, info in result.clients.items()}


async def presence_stats(client, command):
    result = await client.presence_stats(command["channel"])
    return {"clients": result.num_clients, "users": result.num_users}


async def history(client, command):
    since = command.get("since")
    result = await client.history(
        command["channel"],
        limit=command["limit"],
        since=since and StreamPosition(**since),
        reverse=command.get("reverse", False),
    )
    publications = [publication_of(publication) for publication in result.publications]
    return {"publications": publications, "epoch": result.epoch, "offset": result.offset}


async def rpc(client, command):
    result = await client.rpc(command["method"], written(client, command))
    return read(result.data)


COMMANDS = {
    "create": create,
    "connect": lambda client, _: client.connect(),
    "disconnect": lambda client, _: client.disconnect(),
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "presence": presence,
    "presence_stats": presence_stats,
    "history": history,
    "rpc": rpc,
}


async def obey(command):
    ask = command["ask"]
    try:
        result = await COMMANDS[command["do"]](clients.get(command["client"]), command)
        say(ask=ask, result=result)
    except Exception as error:
        say(ask=ask, error={"code": getattr(error, "code", None), "message": repr(error)})


async def main():
    lines = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks = set()
    while line := await lines.readline():
        task = asyncio.create_task(obey(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
