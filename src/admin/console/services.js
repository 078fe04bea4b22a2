// Each service: figures with their plots, handlers, partitions, outcomes.
import { bytes, el, keep, lasting, number, put, rate, replace, sum, table, words } from './dom.js';
import { plot } from './plots.js';

const LATE = 60;
const RETRIES = ['retry', 'timed_out', 'panicked'];
export const retried = (attempts) => RETRIES.reduce((all, one) => all + (attempts[one] ?? 0), 0);

// What stands in a tile: its name, its value, what stands below it, and the column that is plotted.
const TILES = [
  ['lag', 'Lag', (now) => [number(now.lag_records), 'records'], 'lag_records', number],
  ['oldest', 'Oldest unsettled', (now) => [lasting(now.oldest_unsettled_seconds), ''], 'oldest_unsettled_seconds', lasting],
  ['throughput', 'Throughput', (now) => [rate(now.settled_per_second), 'a second'], 'settled_per_second', rate],
  ['in-flight', 'In flight', (now) => [number(now.in_flight), bytes(now.in_flight_bytes)], 'in_flight', number],
  ['retries', 'Retries', (now) => [number(retried(now.attempts)), `of ${number(sum(now.attempts))} attempts`], 'retries_per_second', rate],
  ['dead-letters', 'Dead letters', (now) => [number(sum(now.dead_letters)), 'since the start'], 'dead_letters_per_second', rate],
];

export const badge = (state) => {
  const made = el('span', { class: 'badge' });
  made.update = (now) => {
    made.dataset.is = now;
    put(made, words(now));
  };
  made.update(state);
  return made;
};

// Tables are made anew only when what they show has changed.
function refill(place, state, make) {
  const text = JSON.stringify(state);
  if (place.dataset.shows === text) return;
  place.dataset.shows = text;
  const scrolled = place.firstElementChild?.scrollLeft ?? 0;
  replace(place, make());
  place.firstElementChild.scrollLeft = scrolled;
}

const counts = (all) => {
  const entries = Object.entries(all);
  if (entries.length === 0) return el('p', { class: 'muted' }, 'none');
  return el('ul', { class: 'counts' }, entries.map(([name, count]) =>
    el('li', {}, `${words(name)} `, el('b', {}, number(count)))));
};

function make(service) {
  const id = `service-${service.name}`;
  const card = el('article', { class: 'card', 'aria-labelledby': id });
  const state = badge(service.state);
  const group = el('span', { class: 'muted' });
  const tiles = TILES.map(([key, name, , , show]) => {
    const value = el('span', { class: 'value', 'data-value': key });
    const unit = el('span', { class: 'unit' });
    const drawn = plot(`${service.name}: ${name}`);
    return { row: el('div', { class: 'tile' }, el('dt', {}, name), el('dd', {}, value, ' ', unit, drawn)), value, unit, drawn, show };
  });
  const part = (title) => {
    const note = el('span', { class: 'muted' });
    const place = el('div');
    return { all: el('details', {}, el('summary', {}, `${title} `, note), place), note, place };
  };
  const [handlers, partitions, outcomes] = ['Handlers', 'Partitions', 'Outcomes'].map(part);
  handlers.all.open = true;
  const plots = new Map();
  card.append(
    el('div', { class: 'head' }, el('h3', { id }, service.name), state, group),
    el('dl', { class: 'tiles' }, tiles.map(({ row }) => row)),
    handlers.all, partitions.all, outcomes.all);
  card.update = (now, series) => {
    state.update(now.state);
    put(group, `group ${now.group}`);
    TILES.forEach(([key, , read], index) => {
      const [value, unit] = read(now);
      put(tiles[index].value, value);
      put(tiles[index].unit, unit);
      if (key === 'oldest') tiles[index].value.classList.toggle('alarm', now.oldest_unsettled_seconds > LATE);
    });
    showHandlers(now, handlers, plots);
    showPartitions(now, partitions);
    put(outcomes.note, 'since this process began');
    refill(outcomes.place, [now.records, now.attempts, now.dedupe, now.faults, now.dead_letters, now.rebalances], () => el('div', {},
      [['Records', now.records], ['Attempts', now.attempts], ['Dedupe', now.dedupe], ['Dead letters', now.dead_letters], ['Faults', now.faults], ['Rebalances', now.rebalances]]
        .map(([name, all]) => el('div', { class: 'outcome' }, el('h4', {}, name), counts(all)))));
  };
  card.draw = (columns, at, span) => {
    TILES.forEach(([, , , column], index) => tiles[index].drawn.update(columns[column], at, span, tiles[index].show));
    for (const handler of columns.handlers) {
      plots.get(`${handler.topic} ${handler.name}`)?.update(handler.settled_per_second, at, span);
    }
  };
  return card;
}

function showHandlers(now, { note, place }, plots) {
  put(note, String(now.handlers.length));
  const hasBreaker = now.handlers.some((handler) => handler.breaker);
  refill(place, now.handlers, () => {
    const columns = [{ name: 'Handler' }, { name: 'Topic' }, { name: 'Done', kind: 'n' }, { name: 'Duplicates', kind: 'n' },
      { name: 'Retries', kind: 'n' }, { name: 'Dead', kind: 'n' }, { name: 'Mean time', kind: 'n' }];
    if (hasBreaker) columns.push({ name: 'Breaker' });
    columns.push({ name: 'Done over time' });
    return table(`Handlers of ${now.name}`, columns, now.handlers.map((handler) => {
      const key = `${handler.topic} ${handler.name}`;
      if (!plots.has(key)) plots.set(key, plot(`${handler.name}: settled a second`));
      const cells = [handler.name, el('span', { class: 'mono' }, handler.topic), number(handler.records.done ?? 0),
        number(handler.records.duplicate ?? 0), number(retried(handler.attempts)), number(sum(handler.dead_letters)), lasting(handler.mean_seconds)];
      if (hasBreaker) cells.push(handler.breaker ? badge(handler.breaker) : '–');
      return [...cells, plots.get(key)];
    }));
  });
}

function showPartitions(now, { note, place }) {
  put(note, `${now.partitions.length} of this process`);
  refill(place, now.partitions, () => table(`Partitions of ${now.name} in this process`, [
    { name: 'Topic' }, { name: 'Partition', kind: 'n' }, { name: 'End', kind: 'n' }, { name: 'Committed', kind: 'n' },
    { name: 'Lag', kind: 'n' }, { name: 'In flight', kind: 'n' }, { name: 'Oldest', kind: 'n' }, { name: 'Waits for' },
  ], now.partitions.map((one) => [
    el('span', { class: 'mono' }, one.topic), String(one.partition), number(one.end), number(one.committed), number(one.lag_records),
    number(one.in_flight), lasting(one.oldest_unsettled_seconds), one.waits ?? '',
  ])));
}

export function showServices(place, services) {
  keep(place, services, (service) => service.name, make, (card, service) => card.update(service));
}

export function drawServices(place, series) {
  const span = Math.max(series.every_seconds * 12, series.at_ms.length ? series.at_ms.at(-1) - series.at_ms[0] : 0, 60000);
  for (const card of place.children) {
    const columns = series.services.find((service) => service.name === card.dataset.key);
    if (columns && series.at_ms.length) card.draw(columns, series.at_ms, span);
  }
}
