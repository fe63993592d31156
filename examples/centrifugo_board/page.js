// The page: it shows the score as it is published, and who watches.
const user = new URLSearchParams(location.search).get('user') ?? `guest-${Math.floor(Math.random() * 1000)}`;
const element = (id) => document.getElementById(id);

const settings = await (await fetch('settings')).json();
const show = (score) => { element('score').textContent = `${score.home} : ${score.away}`; };
show(settings.score);

const centrifuge = new Centrifuge(settings.websocket, {
  getToken: async () => (await (await fetch(`token?user=${encodeURIComponent(user)}`)).json()).token,
});
centrifuge.on('connecting', () => { element('state').textContent = 'connecting'; });
centrifuge.on('disconnected', ({ reason }) => { element('state').textContent = `disconnected: ${reason}`; });

const watchers = new Set();
const count = () => { element('online').textContent = `${watchers.size} watching`; };

const board = centrifuge.newSubscription('board:match', { joinLeave: true });
board.on('publication', ({ data }) => show(data));
board.on('join', ({ info }) => { watchers.add(info.client); count(); });
board.on('leave', ({ info }) => { watchers.delete(info.client); count(); });
board.on('subscribed', async ({ recovered }) => {
  element('state').textContent = recovered ? 'back, nothing missed' : `connected as ${user}`;
  const { clients } = await board.presence();
  watchers.clear();
  Object.keys(clients).forEach((client) => watchers.add(client));
  count();
});
board.subscribe();
centrifuge.connect();

for (const button of document.querySelectorAll('button')) {
  button.onclick = () => fetch(`goal/${button.dataset.team}`, { method: 'POST' });
}
