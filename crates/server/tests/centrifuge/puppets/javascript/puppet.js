// Clients of `centrifuge` that do as they are told. A line in is a command, `{"ask", "client", "do", ...}`; a line out is
// its answer, `{"ask", "result" | "error"}`, or what a client was told, `{"client", "event", ...}`.

import { createInterface } from 'node:readline';
import { Centrifuge as JsonClient } from 'centrifuge';
import { Centrifuge as ProtobufClient } from 'centrifuge/build/protobuf';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const clients = new Map();

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

// Data is bytes in Protobuf. Those that are no JSON are said in base64.
function read(data) {
  if (!(data instanceof Uint8Array)) return data ?? null;
  if (data.length === 0) return null;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch {
    return { base64: Buffer.from(data).toString('base64') };
  }
}

function written(client, command) {
  if (command.base64 !== undefined) return Buffer.from(command.base64, 'base64');
  return client.isProtobuf ? new TextEncoder().encode(JSON.stringify(command.data)) : command.data;
}

// What others see of a client in the channel is said where there is something.
const infoOf = (info) => {
  const chanInfo = info && read(info.chanInfo);
  const inChannel = chanInfo === null ? {} : { chan_info: chanInfo };
  return info && { client: info.client, user: info.user, conn_info: read(info.connInfo), ...inChannel };
};

const publicationOf = (publication) => ({
  channel: publication.channel,
  data: read(publication.data),
  offset: publication.offset ?? 0,
  info: infoOf(publication.info) ?? null,
});

const subscribedOf = (context) => ({
  channel: context.channel,
  recoverable: context.recoverable,
  positioned: context.positioned,
  position: context.streamPosition ?? null,
  was_recovering: context.wasRecovering,
  recovered: context.recovered,
  data: read(context.data),
});

const changeOf = ({ channel, code, reason }) => ({ channel, code, reason });
const visitOf = ({ channel, info }) => ({ channel, info: infoOf(info) });
const errorOf = ({ channel, error }) => ({ channel, code: error.code, message: error.message });

// What is told about a subscription, by the client itself where the server has made it.
const OF_SUBSCRIPTION = {
  subscribing: changeOf,
  subscribed: subscribedOf,
  unsubscribed: changeOf,
  publication: publicationOf,
  join: visitOf,
  leave: visitOf,
};

const OF_CLIENT = {
  connecting: changeOf,
  connected: ({ client, data }) => ({ id: client, data: read(data) }),
  disconnected: changeOf,
  error: errorOf,
  message: ({ data }) => ({ data: read(data) }),
};

function listen(source, client, events, prefix = '') {
  for (const [event, fields] of Object.entries(events)) {
    source.on(event, (context) => say({ client, event: prefix + event, ...fields(context) }));
  }
}

// Tokens are given out one after another, the last of them again and again.
function giver(tokens, wanted) {
  if (!tokens) return undefined;
  return async () => {
    say(wanted);
    return tokens.length > 1 ? tokens.shift() : tokens[0];
  };
}

const COMMANDS = {
  create(_, command) {
    const { client: name, transport, encoding, address, token, tokens } = command;
    const isProtobuf = encoding === 'protobuf';
    const scheme = transport === 'websocket' ? 'ws' : 'http';
    const endpoint = `${scheme}://${address}/connection/${transport}`;
    const client = new (isProtobuf ? ProtobufClient : JsonClient)([{ transport, endpoint }], {
      websocket: WebSocket,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      emulationEndpoint: `http://${address}/emulation`,
      token,
      getToken: giver(tokens, { client: name, event: 'token wanted' }),
      data: command.data === undefined ? undefined : written({ isProtobuf }, command),
      minReconnectDelay: 50,
      maxReconnectDelay: 200,
    });
    client.isProtobuf = isProtobuf;
    listen(client, name, OF_CLIENT);
    listen(client, name, OF_SUBSCRIPTION, 'server ');
    clients.set(name, client);
  },
  connect: (client) => client.connect(),
  disconnect: (client) => client.disconnect(),
  subscribe(client, { client: name, channel, token, tokens, join_leave: joinLeave, delta, filter }) {
    const subscription = client.newSubscription(channel, {
      token,
      getToken: giver(tokens, { client: name, event: 'subscription token wanted', channel }),
      joinLeave,
      delta: delta ? 'fossil' : undefined,
      tagsFilter: filter,
      recoverable: true,
      minResubscribeDelay: 50,
      maxResubscribeDelay: 200,
    });
    listen(subscription, name, OF_SUBSCRIPTION);
    listen(subscription, name, { error: errorOf }, 'subscription ');
    subscription.subscribe();
  },
  unsubscribe(client, { channel }) {
    const subscription = client.getSubscription(channel);
    subscription.unsubscribe();
    client.removeSubscription(subscription);
  },
  async publish(client, command) {
    await client.publish(command.channel, written(client, command));
  },
  async presence(client, { channel }) {
    const { clients } = await client.presence(channel);
    return Object.fromEntries(Object.entries(clients).map(([id, info]) => [id, infoOf(info)]));
  },
  async presence_stats(client, { channel }) {
    const { numClients, numUsers } = await client.presenceStats(channel);
    return { clients: numClients, users: numUsers };
  },
  async history(client, { channel, limit, since, reverse }) {
    const { publications, epoch, offset } = await client.history(channel, { limit, since, reverse });
    return { publications: publications.map(publicationOf), epoch, offset };
  },
  async rpc(client, command) {
    const { data } = await client.rpc(command.method, written(client, command));
    return read(data);
  },
  send: (client, command) => client.send(written(client, command)),
};

async function obey(command) {
  try {
    const result = await COMMANDS[command.do](clients.get(command.client), command);
    say({ ask: command.ask, result: result ?? null });
  } catch (error) {
    say({ ask: command.ask, error: { code: error.code ?? null, message: error.message ?? String(error) } });
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => obey(JSON.parse(line)))
  .on('close', () => process.exit(0));
