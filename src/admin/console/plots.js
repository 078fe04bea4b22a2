// Small plots over the last quarter of an hour, as SVG. Each says in words what it shows.
import { el, rate } from './dom.js';

const NS = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT] = [240, 48];

function svg(tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Runs of points that are known; what is not known is a gap.
function runs(values, at, span, top) {
  const x = (time) => WIDTH - ((at[at.length - 1] - time) / span) * WIDTH;
  const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 6);
  const found = [[]];
  values.forEach((value, index) => {
    if (value === null) found.push([]);
    else found[found.length - 1].push([x(at[index]), y(value)].map((place) => place.toFixed(1)));
  });
  return found.filter((run) => run.length > 0);
}

// A plot that is brought up to date by itself; `key` is what it is looked for by. One that `says` what is now has it below.
export function plot(name, key, says) {
  const area = svg('path', { class: 'area' });
  const line = svg('path', { class: 'line' });
  const base = svg('path', { class: 'base', d: `M0 ${HEIGHT - 1}H${WIDTH}` });
  const drawn = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', class: 'plot', 'aria-label': name });
  drawn.append(base, area, line);
  const scale = el('span', { class: 'scale', 'aria-hidden': 'true' });
  const figure = el('div', { class: says ? 'plotted says' : 'plotted', 'data-own': key ?? name }, drawn, scale);
  figure.update = (values, at, span, show = rate) => {
    const known = values.filter((value) => value !== null);
    const most = Math.max(0, ...known);
    const now = known.length ? known[known.length - 1] : null;
    drawn.setAttribute('aria-label', `${name} over the last 15 minutes: now ${show(now)}, at most ${show(most)}`);
    scale.textContent = says ? show(now) : most > 0 ? `max ${show(most)}` : '';
    const parts = runs(values, at, span, most || 1);
    const lines = parts.map((run) => `M${run.map((point) => point.join(' ')).join('L')}`);
    line.setAttribute('d', lines.join(''));
    area.setAttribute('d', parts.map((run, index) =>
      `${lines[index]}V${HEIGHT - 1}H${run[0][0]}Z`).join(''));
  };
  return figure;
}
