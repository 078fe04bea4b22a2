// The console: asks the worker again and again while somebody looks, and shows what it says.
import { Refused, get, has, learn, token } from './api.js';
import { $, badge, clock, el, lasting, put, show, tell } from './dom.js';
import { showFleet } from './fleet.js';
import { showLetters } from './letters.js';
import { replayButtons, showReplays } from './replays.js';
import { drawPartitions, drawServices, showServices } from './services.js';

const STATUS = 2000;
const SERIES = 5000;
// What has endpoints of its own: its path, its place, how often it is asked for, and what shows it. Reading letters costs the
// brokers something.
const PARTS = [
  { path: '/fleet', place: 'fleet', every: 5000, act: (where) => showFleet(where, services) },
  { path: '/replays', place: 'replays', every: 5000, act: showReplays },
  { path: '/dead-letters/{service}/groups', place: 'letters', every: 30000, act: (where) => showLetters(where, names()) },
];
const RANK = { error: 0, warning: 1, notice: 2 };
let services = [];
let drawn = 0;
const names = () => services.map(({ name }) => name);

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
  show($('findings'), findings.map(({ services, severity, text }) =>
    el('li', { 'data-key': `${services} ${severity} ${text.replace(/\d+/g, '#')}` }, badge(severity), el('span', {}, `${services.join(', ')}: ${text}`))));
}

async function showStatus() {
  const status = await get('/status');
  services = status.services;
  put($('pod'), status.pod);
  put($('about'), `version ${status.version}, up ${lasting(status.uptime_seconds)}`);
  put($('fresh'), `as of ${clock(status.at)}`);
  showNow(status);
  document.title = `Oncewise: ${$('summary').textContent}`;
  showServices($('services'), services);
  if (Date.now() - drawn < SERIES) return;
  drawn = Date.now();
  drawServices($('services'), await get('/series'));
  await drawPartitions($('services'));
}

// What cannot be told now holds up nothing else, and what was told last stays.
const untold = (error, place) =>
  put($(place), error ? `${error.message}; trying again${place === 'fresh' ? '' : '. Below is what was known last.'}` : '');

const JOBS = [
  { every: STATUS, act: showStatus, note: 'fresh', is: () => true },
  ...PARTS.map(({ path, place, every, act }) => ({
    every, note: `${place}-note`, is: () => services.length > 0 && has('GET', path),
    act: async () => { await act($(place)); untold(null, `${place}-note`); },
  })),
];

// A refusal for want of the token asks for it; whatever else goes wrong is said, and tried again.
async function run(job) {
  Object.assign(job, { busy: true, at: Date.now() });
  try {
    await job.act();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) leave('The worker does not take this token any more.');
    else if (token.get()) untold(error, job.note);
  } finally {
    job.busy = false;
  }
}

setInterval(() => {
  if (document.hidden || $('console').hidden) return;
  JOBS.filter((job) => !job.busy && job.is() && Date.now() - job.at >= job.every).forEach(run);
}, 250);

// Whatever somebody has done is to be seen at once, and so is what has changed while nobody looked.
const soon = () => { JOBS.forEach((job) => { job.at = 0; }); };
document.addEventListener('acted', soon);
document.addEventListener('opened', () => { drawn = 0; JOBS[0].at = 0; });
document.addEventListener('visibilitychange', soon);

async function enter() {
  await learn();
  $('enter').hidden = true;
  $('console').hidden = $('leave').hidden = false;
  for (const { path, place } of PARTS) $(`${place}-section`).hidden = !has('GET', path);
  $('replay-buttons').replaceChildren(replayButtons(names) || '');
  drawn = 0;
  soon();
}

function leave(reason) {
  token.forget();
  services = [];
  document.querySelector('dialog')?.close();
  $('console').hidden = $('leave').hidden = true;
  $('enter').hidden = false;
  for (const id of ['services', 'findings', ...PARTS.map(({ place }) => place)]) $(id).replaceChildren();
  for (const id of ['pod', 'about', 'fresh', 'summary', ...PARTS.map(({ place }) => `${place}-note`)]) put($(id), '');
  tell('');
  document.title = 'Oncewise';
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

if (token.get()) enter().catch((error) => leave(error.status === 401 ? '' : error.message));
else leave('');
