// Dead letters by their causes. Payloads are shown one by one, and only when somebody asks for one.
import { ask, get, has } from './api.js';
import { confirm, open } from './dialogs.js';
import { el, number, show, table, tell, when } from './dom.js';

const text = (bytes) => (bytes === null ? 'null' : typeof bytes === 'string' ? bytes : `base64: ${bytes.base64}`);
const path = (service, verb) => `/dead-letters/${encodeURIComponent(service)}/${verb}`;

// What was done, or would be, in one sentence.
function sentence({ topics, error }) {
  const all = (name) => topics.reduce((sum, one) => sum + one[name], 0);
  const done = ['redriven', 'parked', 'discarded'].filter((name) => all(name) > 0).map((name) => `${number(all(name))} ${name}`);
  const refused = topics.flatMap((one) => one.refused).map(({ count, reason }) => `${number(count)} refused: ${reason}`);
  return [done.join(', ') || 'nothing to do', ...refused, error].filter(Boolean).join('; ');
}

// Tells first what would become of the letters, then asks.
async function deal(service, group, verb, title) {
  const wish = { filter: [`group=${group.id}`] };
  let would;
  try {
    would = await ask('POST', path(service, verb), { ...wish, dry_run: true });
  } catch (refused) {
    return tell(refused.message);
  }
  const done = await confirm({
    title, text: `${group.error} This would be: ${sentence(would)}.`,
    yes: verb === 'redrive' ? 'Redrive' : 'Discard', danger: verb === 'discard',
    act: () => ask('POST', path(service, verb), wish),
  });
  if (done) tell(`Dead letters of ${service}: ${sentence(done)}.`);
}

async function reveal(service, letter, place) {
  const { letters: [whole] } = await ask('POST', path(service, 'list'), { one: [letter.place], topics: [letter.topic], payload: true });
  show(place,
    el('p', { class: 'muted' }, `Letter ${letter.place}: key`), el('pre', { tabindex: '0' }, text(whole.key)),
    el('p', { class: 'muted' }, 'Payload'), el('pre', { tabindex: '0' }, text(whole.value)));
}

async function records(service, group) {
  const { letters, more } = await ask('POST', path(service, 'list'), { filter: [`group=${group.id}`], state: 'open' });
  const place = el('div', { 'aria-live': 'polite' });
  const columns = [{ name: 'Letter' }, { name: 'Record' }, { name: 'Failed' }, { name: 'Attempts', kind: 'n' }, { name: 'Redrives', kind: 'n' }, { name: 'Error' }, { name: 'Payload' }];
  const shown = (letter) => reveal(service, letter, place).catch((refused) => show(place, el('p', { class: 'refused' }, refused.message)));
  const rows = letters.map((letter) => [`${letter.topic} ${letter.place}`, [el('span', { class: 'mono' }, letter.place), el('span', { class: 'mono' }, `${letter.topic} ${letter.partition}:${letter.offset}`),
    when(letter.last_failure), number(letter.attempts), number(letter.redrives), letter.error,
    el('button', { type: 'button', class: 'small', 'aria-label': `Show the payload of letter ${letter.place}`, onclick: () => shown(letter) }, 'Show')]]);
  const dialog = el('dialog', { class: 'wide', 'aria-labelledby': 'letters-of' },
    el('h2', { id: 'letters-of' }, group.error), table('Letters of this cause', columns, rows),
    more && el('p', { class: 'muted' }, `The first ${letters.length} of them.`), place,
    el('div', { class: 'actions' }, el('button', { type: 'button', onclick: () => dialog.close() }, 'Close')));
  return open(dialog);
}

function row(service, group) {
  const about = `${group.handler ?? 'nobody'}: ${group.error}`;
  const button = (name, does, kind) => el('button', { type: 'button', class: 'small', 'aria-label': `${name}: ${about}`, 'data-act': kind, onclick: () => does().catch((refused) => tell(refused.message)) }, name);
  return [group.id, [group.error, group.handler ?? '–', group.disposition ?? '–', number(group.count), when(group.first), when(group.last), el('div', { class: 'buttons' },
    button('Records', () => records(service, group), 'records'),
    has('POST', '/dead-letters/{service}/redrive') && button('Redrive…', () => deal(service, group, 'redrive', 'Redrive these letters?'), 'redrive'),
    has('POST', '/dead-letters/{service}/discard') && button('Discard…', () => deal(service, group, 'discard', 'Discard these letters?'), 'discard'))]];
}

const COLUMNS = [{ name: 'Error' }, { name: 'Handler' }, { name: 'Why' }, { name: 'Letters', kind: 'n' }, { name: 'First', kind: 'w' }, { name: 'Last', kind: 'w' }, { name: 'Do' }];

export async function showLetters(where, services) {
  const found = [];
  for (const service of services) found.push({ service, groups: (await get(path(service, 'groups'))).groups });
  const some = found.filter(({ groups }) => groups.length > 0);
  if (some.length === 0) return show(where, el('p', { class: 'muted' }, 'No dead letters wait for anybody.'));
  show(where, some.map(({ service, groups }) => el('div', { class: 'card', 'data-key': service }, el('div', { class: 'head' }, el('h3', {}, service)),
    table(`Dead letters of ${service}, by their causes`, COLUMNS, groups.map((group) => row(service, group))))));
}
