// Replays: what runs and what ran, a look at a range without running anything, and an end to one that runs.
import { ask, get, has } from './api.js';
import { confirm, field } from './dialogs.js';
import { badge, el, number, show, sum, table, tell, when, words } from './dom.js';

const SHOWN = 10;
const place = (bound) => (bound.time !== undefined ? when(bound.time) : `offset ${bound.offset}`);

function progress(replay) {
  if (!replay.parts) return '';
  const all = replay.parts.reduce((total, part) => total + part.end - part.begin, 0);
  const done = replay.parts.reduce((total, part) => total + part.at - part.begin, 0);
  const percent = all > 0 ? Math.floor((done / all) * 100) : 100;
  if (replay.state !== 'running') return `${percent} %`;
  return el('progress', { max: '100', value: String(percent), 'aria-label': `Replay ${replay.id}` });
}

const tallied = (tally) => Object.entries(tally ?? {}).filter(([, count]) => count > 0)
  .map(([name, count]) => `${words(name)} ${number(count)}`).join(', ') || 'nothing yet';

function row(replay) {
  const { order } = replay;
  const range = order ? `${place(order.from)} – ${place(order.to)}` : 'a look at a range';
  const ends = replay.state === 'running' || replay.state === 'looking';
  const cancel = ends && has('DELETE', '/replays/{id}') &&
    el('button', { type: 'button', class: 'small', 'aria-label': `Cancel replay ${replay.id}`, onclick: () => stop(replay) }, 'Cancel');
  return [replay.id, [el('span', { class: 'mono' }, replay.id), badge(replay.state), order?.service ?? '', order?.mode ?? '', range, progress(replay),
    replay.error ?? replay.why ?? tallied(replay.tally), cancel || '']];
}

async function stop(replay) {
  const done = await confirm({
    title: 'Cancel this replay?',
    text: `Replay ${replay.id} of ${replay.order?.service ?? 'a range'} ends after what runs now. It can be resumed.`,
    yes: 'Cancel the replay', danger: true,
    act: () => ask('DELETE', `/replays/${encodeURIComponent(replay.id)}`),
  });
  if (done) tell(`Replay ${replay.id} was told to stop.`);
}

// What a replay would do. Nothing runs.
async function look(services) {
  const choice = (name, values) => el('select', { name }, values.map((value) => el('option', { value }, value)));
  const fields = [
    field('Service', choice('service', services)),
    field('From', el('input', { name: 'from', required: true, value: '1h ago', autocomplete: 'off' }), 'a time such as 2026-01-31T08:00:00Z or “2h ago”, or an offset'),
    field('To', el('input', { name: 'to', required: true, value: 'now', autocomplete: 'off' }), 'not part of the range'),
    field('Partitions', el('input', { name: 'partitions', autocomplete: 'off' }), 'such as 0,3,5-7; all when empty'),
  ];
  const found = await confirm({
    title: 'What would a replay do?', text: 'A dry run reads the range and says what would become of each event. Nothing runs.',
    fields, yes: 'Look',
    act: (form) => {
      const wish = { service: form.get('service'), from: form.get('from'), to: form.get('to'), dry_run: true };
      if (form.get('partitions')) wish.partitions = form.get('partitions');
      return ask('POST', '/replays', wish);
    },
  });
  if (!found) return;
  if (!found.tally) {
    tell(`The look ${found.id} takes longer; it stands among the replays.`);
    return;
  }
  const rows = Object.entries(found.tally).filter(([, count]) => count > 0)
    .map(([name, count]) => [name, [name === 'ran' ? 'would run' : words(name), number(count)]]);
  await confirm({
    title: 'What a replay would do',
    text: rows.length ? `${number(found.in_range)} events are in the range.` : 'There are no records in the range.',
    fields: [sum(found.tally) > 0 && table('Events by what would become of them', [{ name: 'What' }, { name: 'Events', kind: 'n' }], rows),
      found.warnings.map((warning) => el('p', { class: 'muted' }, warning))].flat().filter(Boolean),
    yes: 'Close', act: () => true,
  });
}

export function replayButtons(services) {
  return has('POST', '/replays') &&
    el('button', { type: 'button', id: 'dry-run', onclick: () => look(services()) }, 'Replay: dry run…');
}

const COLUMNS = ['Replay', 'State', 'Service', 'Mode', 'Range', 'Progress', 'What became of it', 'Do'].map((name) => ({ name }));

export async function showReplays(where) {
  const { replays } = await get('/replays');
  if (replays.length === 0) return show(where, el('p', { class: 'muted' }, 'No replays in the last 30 days.'));
  const more = replays.length - SHOWN;
  show(where, el('div', { class: 'card' }, table('Replays, the latest first', COLUMNS, replays.slice(0, SHOWN).map(row)),
    more > 0 && el('p', { class: 'muted' }, `and ${more} older`)));
}
