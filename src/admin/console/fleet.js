// All pods of each service: how they are, what is paused, by whom and why; the buttons that pause and resume.
import { ask, get, has } from './api.js';
import { confirm, field } from './dialogs.js';
import { badge, el, lasting, number, show, table, tell, when } from './dom.js';

// What a person waits for at a button.
const WAIT = '10s';
const scope = ({ topic, handler }) => (handler ? `handler ${handler}` : topic ? `topic ${topic}` : 'everything');

// What became of a word to all pods. Whoever has not heard is named.
function heeded(done, said) {
  const { service, pods } = done;
  const silent = pods.filter((pod) => !pod.heeded).map((pod) => `${pod.pod} (heard of ${lasting(pod.heard_seconds)} ago)`);
  if (pods.length === 0) return `${service} ${said}. No pod of it has been heard of lately.`;
  const all = `${service} ${said}: ${pods.length - silent.length} of ${pods.length} pods do so.`;
  return silent.length ? `${all} No answer within ${WAIT}: ${silent.join(', ')}.` : all;
}

// A scope as a choice, and back.
const choice = (kind, name) => el('option', { value: `${kind}/${name}` }, `${kind} ${name}`);
const chosen = (value) => {
  const [kind, name] = (value ?? '').split('/');
  return name ? { [kind]: name } : {};
};

async function pause({ service }, { handlers }) {
  const names = (of) => [...new Set(handlers.map((handler) => handler[of]))];
  const what = el('select', { name: 'what' }, el('option', { value: '' }, 'everything'),
    names('topic').map((name) => choice('topic', name)), names('name').map((name) => choice('handler', name)));
  const done = await confirm({
    title: `Pause ${service}?`,
    text: 'All of its pods finish what runs, and begin nothing new until somebody resumes it. Restarts do not end a pause.',
    fields: [field('What', what), field('Why', el('input', { name: 'reason', autocomplete: 'off', maxlength: '500' }), 'Shown to whoever looks, with your address.')],
    yes: 'Pause', danger: true,
    act: (form) => ask('POST', '/pause', { service, wait: WAIT, ...chosen(form.get('what')), reason: form.get('reason').trim() || null }),
  });
  if (done) tell(heeded(done, 'is paused'));
}

async function resume({ service }, paused) {
  const { topic, handler } = paused ?? {};
  const done = await confirm({
    title: `Resume ${service}?`,
    text: `This lets ${paused ? scope(paused) : 'everything of it that is paused'} go on at once.`,
    yes: 'Resume',
    act: () => ask('POST', '/resume', { service, wait: WAIT, ...(paused ? { topic, handler } : { all: true }) }),
  });
  if (done) tell(heeded(done, done.paused.length ? 'goes on, but for what else is paused' : 'goes on'));
}

const button = (name, about, act, key) =>
  el('button', { type: 'button', class: 'small', 'data-key': key, 'aria-label': `${name} ${about}`, onclick: act }, `${name}…`);

// How a pod is, in a word, and why.
function how(pod, service) {
  if (pod.presence === 'silent') return [badge('silent')];
  const open = Object.entries(pod.breakers).map(([handler, state]) => `breaker of ${handler} ${state}`);
  const late = pod.paused.length < service.paused.length ? ['has not heard of a pause'] : [];
  const why = [...pod.trouble, ...open, ...late].join('; ');
  const state = pod.trouble.length ? 'degraded' : pod.paused.length ? 'paused' : open.length ? 'warning' : 'working';
  return [badge(state), why && ` ${why}`];
}

const COLUMNS = [{ name: 'Pod' }, { name: 'How' }, { name: 'Partitions', kind: 'n' }, { name: 'In flight', kind: 'n' },
  { name: 'Oldest', kind: 'n' }, { name: 'Heard of', kind: 'n' }, { name: 'Since', kind: 'w' }, { name: 'Version' }];

const row = (service) => (pod) => [pod.pod, [el('span', { class: 'mono' }, pod.pod), how(pod, service),
  number(Object.values(pod.partitions).flat().length), number(pod.in_flight), lasting(pod.oldest_seconds),
  `${lasting(pod.heard_seconds)} ago`, when(pod.since), pod.version]];

function card(service, here) {
  const name = service.service;
  const resumes = has('POST', '/resume');
  const holds = service.paused.length > 0 || service.pods.some((pod) => pod.paused.length > 0);
  const untold = service.lag_unknown ?? [];
  const isKnown = untold.length === 0 || service.partitions.length > 0;
  const later = service.later > 0 ? `, ${number(service.later)} to be tried later` : '';
  return el('article', { class: 'card', 'data-key': name, 'aria-label': `All pods of ${name}` },
    el('div', { class: 'head' }, el('h3', {}, name),
      el('span', { class: 'muted' }, 'lag ', el('b', { 'data-value': 'fleet-lag' }, number(isKnown ? service.lag : null)),
        isKnown && `${later}, in ${number(service.partitions.length)} ${service.partitions.length === 1 ? 'partition' : 'partitions'}${untold.length ? ', as far as is known' : ''}`),
      el('span', { class: 'buttons' },
        resumes && holds && service.paused.length !== 1 && button('Resume', name, () => resume(service), 'resume'),
        has('POST', '/pause') && here && button('Pause', name, () => pause(service, here), 'pause'))),
    untold.length > 0 && el('ul', { class: 'untold', 'data-key': 'untold' }, untold.map((why) => el('li', {}, `Not known: ${why}`))),
    service.paused.length > 0 && el('ul', { class: 'pauses', 'data-key': 'pauses' }, service.paused.map((one) => el('li', { 'data-key': one.id },
      badge('paused'), el('span', {}, `${scope(one)} by ${one.who} since ${when(one.at)}${one.reason ? `: ${one.reason}` : ''}`),
      resumes && button('Resume', `${scope(one)} of ${name}`, () => resume(service, one), 'resume')))),
    service.pods.length
      ? table(`Pods of ${name}`, COLUMNS, service.pods.map(row(service)))
      : el('p', { class: 'muted' }, 'No pod of it has been heard of lately.'));
}

// `here` are the services of this pod, which say what there is to be paused.
export async function showFleet(where, here) {
  const { unknown, trouble, services } = await get('/fleet');
  const note = unknown ?? (trouble && `What was known last: ${trouble}`);
  show(where, note && el('p', { class: 'muted' }, `Of pods and pauses nothing new is known: ${note}`),
    services.map((service) => card(service, here.find(({ name }) => name === service.service))));
}
