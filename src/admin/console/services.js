// Each service in this pod: figures with their plots, handlers, partitions, outcomes.
import { get } from './api.js';
import { badge, bytes, el, lasting, number, put, rate, show, sum, table, words } from './dom.js';
import { plot } from './plots.js';

const LATE = 60;
// So many partitions are shown unless somebody wants all.
const FEW = 10;
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

// What is plotted of a partition, and how its values are told.
const PLOTS = {
  lag_records: ['lag', number], in_flight: ['in flight', number], oldest_unsettled_seconds: ['oldest unsettled', lasting],
  settled_per_second: ['settled a second', rate],
};

// The worst first: what gives nothing, what has waited for long, what has thousands to do. Where all is well, the order of their names.
const badness = ({ waits, oldest_unsettled_seconds: age, lag_records: lag }) =>
  (waits || age === null ? 1e6 : Math.floor(age / LATE)) * 10 + Math.max(0, Math.floor(Math.log10((lag ?? 0) / 100)));

const counts = (all) => {
  const entries = Object.entries(all);
  if (entries.length === 0) return el('p', { class: 'muted' }, 'none');
  return el('ul', { class: 'counts' }, entries.map(([name, count]) =>
    el('li', {}, `${words(name)} `, el('b', {}, number(count)))));
};

// One part of a service that can be folded away. Whoever opens it wants its plots now.
const part = (title, open) => {
  const note = el('span', { class: 'muted' });
  const place = el('div');
  const ontoggle = () => document.dispatchEvent(new Event('opened'));
  return { all: el('details', { open, ontoggle }, el('summary', {}, `${title} `, note), place), note, place };
};

function make(service) {
  const id = `service-${service.name}`;
  const head = el('div', { class: 'head' });
  const tiles = TILES.map(([key, name, , , as]) => {
    const value = el('span', { class: 'value', 'data-value': key });
    const unit = el('span', { class: 'unit' });
    const drawn = plot(`${service.name}: ${name}`);
    return { row: el('div', { class: 'tile' }, el('dt', {}, name), el('dd', {}, el('div', {}, value, ' ', unit), drawn)), value, unit, drawn, as };
  });
  const [handlers, partitions, outcomes] = ['Handlers', 'Partitions', 'Outcomes'].map((title) => part(title, title === 'Handlers'));
  const card = el('article', { class: 'card', 'aria-labelledby': id, 'data-key': service.name },
    head, el('dl', { class: 'tiles' }, tiles.map(({ row }) => row)), handlers.all, partitions.all, outcomes.all);
  card.update = (now) => {
    show(head, el('h3', { id }, now.name), badge(now.state), el('span', { class: 'muted' }, `group ${now.group}`));
    TILES.forEach(([key, , read], index) => {
      const [value, unit] = read(now);
      put(tiles[index].value, value);
      put(tiles[index].unit, unit);
      if (key === 'oldest') tiles[index].value.classList.toggle('alarm', now.oldest_unsettled_seconds > LATE);
    });
    showHandlers(now, handlers);
    showPartitions(now, partitions);
    put(outcomes.note, 'since this process began');
    show(outcomes.place,
      [['Records', now.records], ['Attempts', now.attempts], ['Dedupe', now.dedupe], ['Dead letters', now.dead_letters], ['Faults', now.faults], ['Rebalances', now.rebalances]]
        .map(([name, all]) => el('div', { class: 'outcome' }, el('h4', {}, name), counts(all))));
  };
  card.draw = (columns, at, span) => {
    TILES.forEach(([, , , column], index) => tiles[index].drawn.update(columns[column], at, span, tiles[index].as));
    for (const drawn of handlers.place.querySelectorAll('.plotted')) {
      const column = columns.handlers.find(({ topic, name }) => `${topic} ${name}` === drawn.dataset.own);
      if (column) drawn.update(column.settled_per_second, at, span);
    }
  };
  card.showsPartitions = () => partitions.all.open;
  card.drawPartitions = (series) => {
    const known = new Map(series.partitions.map((one) => [`${one.topic} ${one.partition}`, one]));
    for (const drawn of partitions.place.querySelectorAll('.plotted')) {
      const [topic, partition, column] = drawn.dataset.own.split(' ');
      const columns = known.get(`${topic} ${partition}`);
      if (columns) drawn.update(columns[column], series.at_ms, spanOf(series), PLOTS[column][1]);
    }
  };
  return card;
}

function showHandlers(now, { note, place }) {
  put(note, String(now.handlers.length));
  const hasBreaker = now.handlers.some((handler) => handler.breaker);
  const columns = [{ name: 'Handler' }, { name: 'Topic' }, { name: 'Done', kind: 'n' }, { name: 'Duplicates', kind: 'n' },
    { name: 'Retries', kind: 'n' }, { name: 'Dead', kind: 'n' }, { name: 'Mean time', kind: 'n' }];
  if (hasBreaker) columns.push({ name: 'Breaker' });
  columns.push({ name: 'Done over time' });
  show(place, table(`Handlers of ${now.name}`, columns, now.handlers.map((handler) => {
    const key = `${handler.topic} ${handler.name}`;
    const cells = [handler.name, el('span', { class: 'mono' }, handler.topic), number(handler.records.done ?? 0),
      number(handler.records.duplicate ?? 0), number(retried(handler.attempts)), number(sum(handler.dead_letters)), lasting(handler.mean_seconds)];
    if (hasBreaker) cells.push(handler.breaker ? badge(handler.breaker) : '–');
    return [key, [...cells, plot(`${handler.name}: settled a second`, key)]];
  })));
}

function showPartitions(now, part) {
  const { length } = now.partitions;
  const rows = [...now.partitions].sort((a, b) => badness(b) - badness(a)).slice(0, part.isWhole ? length : FEW);
  const drawn = (one, column) => plot(`Partition ${one.partition} of ${one.topic}: ${PLOTS[column][0]}`,
    `${one.topic} ${one.partition} ${column}`, column === 'settled_per_second');
  const fold = () => {
    part.isWhole = !part.isWhole;
    showPartitions(now, part);
    document.dispatchEvent(new Event('opened'));
  };
  put(part.note, `${length} of this process`);
  show(part.place, table(`Partitions of ${now.name} in this process`, [
    { name: 'Topic' }, { name: 'Partition', kind: 'n' }, { name: 'Lag', kind: 'n' }, { name: 'Oldest', kind: 'n' }, { name: 'In flight', kind: 'n' },
    { name: 'Settled a second', kind: 'n' }, { name: 'Committed', kind: 'n' }, { name: 'End', kind: 'n' }, { name: 'Waits for' },
  ], rows.map((one) => [`${one.topic} ${one.partition}`, [
    el('span', { class: 'mono' }, one.topic), String(one.partition),
    [number(one.lag_records), drawn(one, 'lag_records')],
    [lasting(one.oldest_unsettled_seconds), drawn(one, 'oldest_unsettled_seconds')],
    [number(one.in_flight), drawn(one, 'in_flight')],
    drawn(one, 'settled_per_second'), number(one.committed), number(one.end), one.waits ?? (one.paused ? badge('paused') : ''),
  ]])), length > FEW && el('button', { type: 'button', class: 'small', 'data-key': 'fold', 'aria-expanded': String(Boolean(part.isWhole)), onclick: fold },
    part.isWhole ? `Show the worst ${FEW}` : `Show all ${length}, the worst first`));
}

export function showServices(place, services) {
  const known = new Map([...place.children].map((card) => [card.dataset.key, card]));
  services.filter(({ name }) => !known.has(name)).forEach((service) => place.append(make(service)));
  for (const card of [...place.children]) {
    const now = services.find(({ name }) => name === card.dataset.key);
    if (now) card.update(now);
    else card.remove();
  }
}

const spanOf = ({ at_ms: at }) => Math.max(at.length ? at.at(-1) - at[0] : 0, 60000);

// Only where somebody looks: a service may have many.
export async function drawPartitions(place) {
  for (const card of [...place.children].filter((card) => card.showsPartitions())) {
    const series = await get(`/series/${card.dataset.key}/partitions`);
    if (series.at_ms.length) card.drawPartitions(series);
  }
}

export function drawServices(place, series) {
  const span = spanOf(series);
  for (const card of place.children) {
    const columns = series.services.find((service) => service.name === card.dataset.key);
    if (columns && series.at_ms.length) card.draw(columns, series.at_ms, span);
  }
}
