// Elements, and how what they show is brought up to date while somebody is at them.

// Elements from data. Text is always text, never markup.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...flat(children));
  return element;
}

const flat = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

export const $ = (id) => document.getElementById(id);

// Puts text where it is not yet, so that nothing is announced or selected anew for no reason.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Makes a place show these children. What is there already stays the same element and changes only where it differs: whoever is
// at it keeps the focus, the place of a screen reader, a selection, and how far a table is scrolled.
export function show(place, ...children) {
  const back = holding();
  shape(place, [...el('div', {}, children).childNodes]);
  back();
}

// Remembers where the focus is. What it answers brings a focus that is lost back there, or as near as something is left.
export function holding() {
  const path = [];
  for (let one = document.activeElement; one && one !== document.body; one = one.parentElement) path.push(one);
  const near = (one) => (one === path[0] || one.tabIndex >= 0 ? one : one.matches('section') ? one.querySelector('h2') : null);
  return () => {
    if ((document.activeElement ?? document.body) !== document.body) return;
    path.filter((one) => one.isConnected).map(near).find(Boolean)?.focus({ preventScroll: true });
  };
}

// Children are known by their `data-key`; those without one, by their place.
function shape(parent, wanted) {
  const known = new Map(wanted.map((next) => [key(next), []]));
  for (const child of [...parent.children].filter(key)) {
    if (known.has(key(child))) known.get(key(child)).push(child);
    else child.remove();
  }
  // What stands here, or comes later, is not what it should be yet.
  let place = parent.firstChild;
  for (const next of wanted) {
    const now = key(next) ? known.get(key(next)).shift() : key(place) ? null : place;
    const stays = now?.nodeName === next.nodeName;
    if (now && now === place) place = now.nextSibling;
    else if (stays) parent.insertBefore(now, place);
    if (stays) {
      become(now, next);
    } else {
      parent.insertBefore(next, place);
      now?.remove();
    }
  }
  while (place) {
    const gone = place;
    place = gone.nextSibling;
    gone.remove();
  }
}

const key = (node) => node?.dataset?.key;

function become(now, next) {
  if (now.nodeType === Node.TEXT_NODE) return put(now, next.data);
  // Whoever drew it keeps it up to date.
  if ('own' in now.dataset) return;
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  now.onclick = next.onclick;
  shape(now, [...next.childNodes]);
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
export const number = (value) => (value === null || value === undefined ? '–' : whole.format(value));
export const rate = (value) =>
  value === null || value === undefined ? '–' : value > 0 && value < 0.05 ? '< 0.1' : fine.format(value);

// A time as people tell it.
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

export const bytes = (value) =>
  value < 1024 ? `${value} B` : value < 1048576 ? `${fine.format(value / 1024)} KiB` : `${fine.format(value / 1048576)} MiB`;

export const clock = (time) => new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const when = (time) => (time ? new Date(time).toLocaleString() : '–');

export const sum = (counts) => Object.values(counts ?? {}).reduce((all, one) => all + one, 0);
export const words = (name) => name.replaceAll('_', ' ').replaceAll('-', ' ');

// A state in a word, with its colour and its sign.
export const badge = (state) => el('span', { class: 'badge', 'data-is': state }, words(state));

// A table with a caption, which is scrolled by itself where the page is narrow. Each row is its key and its cells.
export function table(caption, columns, rows) {
  const head = columns.map(({ name, kind }) => el('th', { scope: 'col', class: kind }, name));
  const body = rows.map(([name, cells]) =>
    el('tr', { 'data-key': name }, cells.map((cell, at) =>
      at === 0 ? el('th', { scope: 'row' }, cell) : el('td', { class: columns[at].kind }, cell))));
  return el('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption, 'data-key': caption },
    el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)));
}

// Says what was done, also where the same was said before, and takes it away when it is read.
const READ = 30000;
let saying = [];
export function tell(text) {
  saying.forEach(clearTimeout);
  put($('told'), '');
  saying = [setTimeout(() => put($('told'), text), 50), setTimeout(() => put($('told'), ''), READ)];
}
