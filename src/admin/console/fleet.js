// All pods of each service: who is there, what is paused, and the words that pause and resume.
import { ask, get, has } from './api.js';
import { confirm, el, field, keep, lasting, number, table, tell } from './dom.js';
import { badge } from './services.js';

const scope = ({ topic, handler }) => (handler ? `handler ${handler}` : topic ? `topic ${topic}` : 'everything');

// What stands in a service's part of the fleet: its pauses, with who and why, and its pods.
function shown(service, act) {
  const pauses = service.paused.map((pause) => el('li', {}, badge('paused'),
    ` ${scope(pause)}, by ${pause.who} since ${new Date(pause.at).toLocaleString()}${pause.reason ? `: ${pause.reason}` : ''}`));
  const columns = [{ name: 'Pod' }, { name: 'State' }, { name: 'Heard of', kind: 'n' }, { name: 'Partitions', kind: 'n' },
    { name: 'In flight', kind: 'n' }, { name: 'Oldest', kind: 'n' }, { name: 'Paused' }, { name: 'Version' }];
  const rows = service.pods.map((pod) => [el('span', { class: 'mono' }, pod.pod), badge(pod.presence === 'there' ? 'working' : pod.presence),
    `${lasting(pod.heard_seconds)} ago`, number(Object.values(pod.partitions).flat().length), number(pod.in_flight),
    lasting(pod.oldest_seconds), pod.paused.length ? String(pod.paused.length) : '', pod.version]);
  return [
    el('div', { class: 'head' }, el('h3', {}, service.service), el('span', { class: 'muted' }, `lag of all pods: ${number(service.lag)}`),
      el('span', { class: 'buttons' }, act(service))),
    pauses.length > 0 && el('ul', { class: 'plain-list' }, pauses),
    rows.length ? table(`Pods of ${service.service}`, columns, rows) : el('p', { class: 'muted' }, 'No pod has been heard of.'),
  ].filter(Boolean);
}

const heeded = (done) => `${done.pods.filter((pod) => pod.heeded).length} of ${done.pods.length} pods do as told.`;

async function pause(service) {
  const all = (service.partitions ?? []).map(({ topic }) => topic);
  const topics = [...new Set(all)].filter((topic) => !topic.endsWith('.redrive'));
  const what = el('select', { name: 'what' }, el('option', { value: '' }, 'everything'),
    topics.length > 1 && topics.map((topic) => el('option', { value: topic }, `topic ${topic}`)));
  const done = await confirm({
    title: `Pause ${service.service}?`,
    text: 'All of its pods finish what runs and begin nothing new, until somebody resumes it. Restarts do not end a pause.',
    fields: [field('What', what), field('Why', el('input', { name: 'reason', autocomplete: 'off', maxlength: '500' }), 'others will see it')],
    yes: 'Pause', danger: true,
    act: (form) => ask('POST', '/pause', { service: service.service, ...(form.get('what') && { topic: form.get('what') }), ...(form.get('reason') && { reason: form.get('reason') }) }),
  });
  if (done) tell(`${service.service} is paused: ${heeded(done)}`);
}

async function resume(service) {
  const done = await confirm({
    title: `Resume ${service.service}?`,
    text: `This takes away: ${service.paused.map(scope).join(', ')}. Work goes on at once.`,
    yes: 'Resume', act: () => ask('POST', '/resume', { service: service.service, all: true }),
  });
  if (done) tell(`${service.service} goes on: ${heeded(done)}`);
}

const buttons = (service) => [
  has('POST', '/resume') && service.paused.length > 0 && el('button', { type: 'button', 'aria-label': `Resume ${service.service}`, onclick: () => resume(service) }, 'Resume…'),
  has('POST', '/pause') && el('button', { type: 'button', 'aria-label': `Pause ${service.service}`, onclick: () => pause(service) }, 'Pause…'),
].filter(Boolean);

export async function showFleet(where) {
  const fleet = await get('/fleet');
  if (fleet.unknown) {
    where.replaceChildren(el('p', { class: 'muted' }, `Nothing is known of pods and pauses: ${fleet.unknown}`));
    return;
  }
  keep(where, fleet.services, (service) => service.service, () => el('div', { class: 'card' }), (card, service) => {
    const text = JSON.stringify(service);
    if (card.dataset.shows === text || card.contains(document.activeElement)) return;
    card.dataset.shows = text;
    card.replaceChildren(...shown(service, buttons));
  });
}
