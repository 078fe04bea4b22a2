// The console: asks the worker every two seconds while somebody looks, and shows what it says.
import { Refused, get, has, learn, token } from './api.js';
import { $, clock, el, keep, lasting, put } from './dom.js';
import { replayButtons, showReplays } from './replays.js';
import { badge, drawServices, showServices } from './services.js';

const STATUS = 2000;
const SERIES = 5000;
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
  const services = [...new Set(findings.filter(({ severity }) => severity === worst.severity).map(({ service }) => service))];
  return worst.severity === 'error' ? `Needs you: ${services.join(', ')}` : `Worth a look: ${services.join(', ')}`;
}

function showNow(status) {
  const findings = status.services
    .flatMap((service) => service.findings.map((finding) => ({ ...finding, service: service.name })))
    .sort((a, b) => RANK[a.severity] - RANK[b.severity]);
  $('now').dataset.state = findings[0]?.severity ?? 'well';
  put($('summary'), summary(status, findings));
  keep($('findings'), findings, (finding) => `${finding.service} ${finding.severity} ${finding.text.replace(/\d+/g, '#')}`,
    ({ severity }) => el('li', {}, badge(severity), el('span')),
    (item, finding) => put(item.lastElementChild, `${finding.service}: ${finding.text}`));
}

function showStatus(status) {
  names = status.services.map((service) => service.name);
  put($('pod'), status.pod);
  put($('about'), `version ${status.version}, up ${lasting(status.uptime_seconds)}`);
  put($('fresh'), `as of ${clock(status.at)}`);
  document.title = `Oncewise: ${$('summary').textContent}`;
  showNow(status);
  showServices($('services'), status.services, () => []);
}

async function refresh() {
  showStatus(await get('/status'));
  if (turn === 0 || Date.now() - turn >= SERIES) {
    turn = Date.now();
    drawServices($('services'), await get('/series'));
    if (has('GET', '/replays')) await showReplays($('replays'));
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
  $('replays-section').hidden = !has('GET', '/replays');
  $('replay-buttons').replaceChildren(replayButtons(() => names) || '');
  turn = 0;
  live();
}

function leave(reason) {
  token.forget();
  $('console').hidden = $('leave').hidden = true;
  $('enter').hidden = false;
  for (const id of ['services', 'findings', 'replays']) $(id).replaceChildren();
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
