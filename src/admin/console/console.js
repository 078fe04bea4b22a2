// The console: asks the worker every two seconds while somebody looks, and shows what it says.
import { Refused, get, has, learn, token } from './api.js';
import { $, clock, el, keep, lasting, put } from './dom.js';
import { showLetters } from './letters.js';
import { replayButtons, showReplays } from './replays.js';
import { badge, drawServices, showServices } from './services.js';

const STATUS = 2000;
const SERIES = 5000;
// What has endpoints of its own: its path, its place, and what shows it.
const PARTS = [
  ['/replays', 'replays', showReplays],
  ['/dead-letters/{service}/groups', 'letters', (where) => showLetters(where, names)],
];
const RANK = { error: 0, warning: 1, notice: 2 };
let names = [];
let turn = 0;

function summary(status, findings) {
  const worst = findings[0];
  if (!worst) {
    const oldest = Math.max(0, ...status.services.map((service) => service.oldest_unsettled_seconds));
    return oldest < 2 ? 'All is well: nothing waits.' : 'All is well: no event has waited for long.';
  }
  if (worst.severity === 'notice') return 'Somebody wants it so:';
  const worse = findings.filter(({ severity }) => severity === worst.severity);
  const names = [...new Set(worse.flatMap(({ services }) => services))].join(', ');
  return worst.severity === 'error' ? `Needs you: ${names}` : `Worth a look: ${names}`;
}

// What is said of several services in the same words is said once.
function together(services) {
  const found = new Map();
  for (const service of services) {
    for (const { severity, text } of service.findings) {
      const known = found.get(severity + text);
      if (known) known.services.push(service.name);
      else found.set(severity + text, { severity, text, services: [service.name] });
    }
  }
  return [...found.values()].sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

function showNow(status) {
  const findings = together(status.services);
  $('now').dataset.state = findings[0]?.severity ?? 'well';
  put($('summary'), summary(status, findings));
  keep($('findings'), findings, ({ services, severity, text }) => `${services} ${severity} ${text.replace(/\d+/g, '#')}`,
    ({ severity }) => el('li', {}, badge(severity), el('span')),
    (item, { services, text }) => put(item.lastElementChild, `${services.join(', ')}: ${text}`));
}

function showStatus(status) {
  names = status.services.map((service) => service.name);
  put($('pod'), status.pod);
  put($('about'), `version ${status.version}, up ${lasting(status.uptime_seconds)}`);
  put($('fresh'), `as of ${clock(status.at)}`);
  document.title = `Oncewise: ${$('summary').textContent}`;
  showNow(status);
  showServices($('services'), status.services);
}

// One part that cannot be told now does not hold up the others.
async function part(where, show) {
  try {
    await show(where);
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 401) throw error;
    delete where.dataset.shows;
    where.replaceChildren(el('p', { class: 'muted' }, `This cannot be told now: ${error.message}`));
  }
}

async function refresh() {
  showStatus(await get('/status'));
  if (turn === 0 || Date.now() - turn >= SERIES) {
    turn = Date.now();
    drawServices($('services'), await get('/series'));
    for (const [path, place, show] of PARTS) {
      if (has('GET', path)) await part($(place), show);
    }
  }
}

// A refusal for want of the token asks for it; whatever else goes wrong is said, and tried again.
async function live() {
  try {
    if (!document.hidden && !$('console').hidden) await refresh();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) return leave('The worker does not take this token any more.');
    put($('fresh'), `${error.message}; trying again`);
  }
  setTimeout(live, STATUS);
}

async function enter() {
  await learn();
  $('enter').hidden = true;
  $('console').hidden = $('leave').hidden = false;
  for (const [path, place] of PARTS) $(`${place}-section`).hidden = !has('GET', path);
  $('replay-buttons').replaceChildren(replayButtons(() => names) || '');
  turn = 0;
  live();
}

function leave(reason) {
  token.forget();
  $('console').hidden = $('leave').hidden = true;
  $('enter').hidden = false;
  for (const id of ['services', 'findings', ...PARTS.map(([, place]) => place)]) {
    delete $(id).dataset.shows;
    $(id).replaceChildren();
  }
  for (const id of ['pod', 'about', 'fresh', 'summary']) put($(id), '');
  put($('refused'), reason);
  $('token').value = '';
  $('token').focus();
}

$('enter').addEventListener('submit', async (event) => {
  event.preventDefault();
  token.keep($('token').value.trim());
  try {
    await enter();
    $('token').value = '';
    $('main').focus();
  } catch (error) {
    leave(error.status === 401 ? 'This is not the token of this worker.' : error.message);
  }
});
$('leave').addEventListener('click', () => leave(''));
document.addEventListener('visibilitychange', () => { turn = 0; });

if (token.get()) enter().catch((error) => leave(error.status === 401 ? '' : error.message));
else leave('');
