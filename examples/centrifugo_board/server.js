// The backend: it signs who its users are, counts the goals, and publishes the score.
//
// Nothing here knows which server it talks to: SERVER is its address, and the keys are those of centrifugo.json.
import { createHmac } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const server = process.env.SERVER ?? 'http://127.0.0.1:8000';
const port = Number(process.env.PORT ?? 3000);
const here = new URL('.', import.meta.url);
const config = JSON.parse(readFileSync(new URL('centrifugo.json', here)));

const files = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/page.js': ['page.js', 'text/javascript'],
  '/centrifuge.js': ['node_modules/centrifuge/dist/centrifuge.js', 'text/javascript'],
};

const score = { home: 0, away: 0 };

/** A token of a user: a JSON Web Token, for ten minutes. */
function token(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + 600, info: { name: user } };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  const signature = createHmac('sha256', config.client.token.hmac_secret_key).update(signed).digest('base64url');
  return `${signed}.${signature}`;
}

/** Calls the server's HTTP API. */
async function call(method, body) {
  const headers = { 'Content-Type': 'application/json', 'X-API-Key': config.http_api.key };
  const response = await fetch(`${server}/api/${method}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (answer.error) throw new Error(`${method}: ${answer.error.message}`);
  return answer.result;
}

async function goal(team) {
  if (!(team in score)) return 404;
  score[team] += 1;
  await call('publish', { channel: 'board:match', data: score, tags: { team } });
  return 204;
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const json = (value) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(value));
  if (request.method === 'POST' && url.pathname.startsWith('/goal/')) {
    response.writeHead(await goal(url.pathname.slice('/goal/'.length))).end();
  } else if (url.pathname === '/settings') {
    json({ websocket: `${server.replace(/^http/, 'ws')}/connection/websocket`, score });
  } else if (url.pathname === '/token') {
    json({ token: token(url.searchParams.get('user') ?? '') });
  } else if (url.pathname === '/online') {
    json(await call('presence_stats', { channel: 'board:match' }));
  } else if (url.pathname in files) {
    const [name, type] = files[url.pathname];
    response.setHeader('Content-Type', type);
    createReadStream(new URL(name, here)).on('error', () => response.writeHead(404).end()).pipe(response);
  } else {
    response.writeHead(404).end();
  }
}

createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error.message);
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
}).listen(port, '127.0.0.1', function () {
  console.log(`http://127.0.0.1:${this.address().port}`);
});
