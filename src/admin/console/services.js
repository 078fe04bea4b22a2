// Each service in this pod: figures with their plots, handlers, partitions, outcomes.
import { badge, bytes, el, lasting, number, put, rate, show, sum, table, words } from './dom.js';
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

const counts = (all) => {
  const entries = Object.entries(all);
  if (entries.length === 0) return el('p', { class: 'muted' }, 'none');
  return el('ul', { class: 'counts' }, entries.map(([name, count]) =>
    el('li', {}, `${words(name)} `, el('b', {}, number(count)))));
};

// One part of a service that can be folded away.
const part = (title, open) => {
  const note = el('span', { class: 'muted' });
  const place = el('div');
  return { all: el('details', { open }, el('summary', {}, `${title} `, note), place), note, place };
};

function make(service) {
  const id = `service-${service.name}`;
  const head = el('div', { class: 'head' });
  const tiles = TILES.map(([key, name, , , as]) => {
    const value = el('span', { class: 'value', 'data-value': key });
    const unit = el('span', { class: 'unit' });
    const drawn = plot(`${service.name}: ${name}`);
    return { row: el('div', { class: 'tile' }, el('dt', {}, name), el('dd', {}, value, ' ', unit, drawn)), value, unit, drawn, as };
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

function showPartitions(now, { note, place }) {
  put(note, `${now.partitions.length} of this process`);
  show(place, table(`Partitions of ${now.name} in this process`, [
    { name: 'Topic' }, { name: 'Partition', kind: 'n' }, { name: 'End', kind: 'n' }, { name: 'Committed', kind: 'n' },
    { name: 'Lag', kind: 'n' }, { name: 'In flight', kind: 'n' }, { name: 'Oldest', kind: 'n' }, { name: 'Waits for' },
  ], now.partitions.map((one) => [`${one.topic} ${one.partition}`, [
    el('span', { class: 'mono' }, one.topic), String(one.partition), number(one.end), number(one.committed), number(one.lag_records),
    number(one.in_flight), lasting(one.oldest_unsettled_seconds), one.waits ?? '',
  ]])));
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

export function drawServices(place, series) {
  const span = Math.max(series.every_seconds * 12, series.at_ms.length ? series.at_ms.at(-1) - series.at_ms[0] : 0, 60000);
  for (const card of place.children) {
    const columns = series.services.find((service) => service.name === card.dataset.key);
    if (columns && series.at_ms.length) card.draw(columns, series.at_ms, span);
  }
}
