// Puts new children in a place. Who was at one of the old ones finds the same again, or the title above.
export function replace(place, ...children) {
  const label = place.contains(document.activeElement) && document.activeElement.getAttribute('aria-label');
  place.replaceChildren(...children);
  if (!label) return;
  const same = [...place.querySelectorAll('[aria-label]')].find((one) => one.getAttribute('aria-label') === label);
  (same ?? place.closest('section').querySelector('h2')).focus();
}

// Elements from data. Text is always text, never markup.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

// Puts text where it is not yet, so that nothing is announced or selected anew for no reason.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Brings the children of a list up to date: what stays keeps its element, its focus and what is open in it.
export function keep(parent, items, key, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const child = known.get(name) ?? make(item);
    child.dataset.key = name;
    known.delete(name);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  known.forEach((child) => child.remove());
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

export const sum = (counts) => Object.values(counts ?? {}).reduce((all, one) => all + one, 0);
export const words = (name) => name.replaceAll('_', ' ').replaceAll('-', ' ');

// A table with a caption, which is scrolled by itself where the page is narrow.
export function table(caption, columns, rows) {
  const head = columns.map(({ name, kind }) => el('th', { scope: 'col', class: kind }, name));
  const body = rows.map((cells) =>
    el('tr', {}, cells.map((cell, at) =>
      at === 0 ? el('th', { scope: 'row' }, cell) : el('td', { class: columns[at].kind }, cell))));
  return el('div', { class: 'scroll', role: 'region', tabindex: '0', 'aria-label': caption },
    el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)));
}

// Asks before anything is done. Answers what the form holds, or null; `act` may refuse, which is shown in the dialog.
export function confirm({ title, text, fields = [], yes, danger = false, act }) {
  return new Promise((done) => {
    const error = el('p', { class: 'refused', role: 'alert' });
    const form = el('form', { method: 'dialog' },
      el('h2', { id: 'dialog-title' }, title),
      text && el('p', {}, text),
      fields,
      error,
      el('div', { class: 'actions' },
        el('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, 'Cancel'),
        el('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, yes)));
    const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' }, form);
    let answer = null;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = form.querySelector('[type=submit]');
      button.disabled = true;
      put(error, '');
      try {
        answer = (await act(new FormData(form))) ?? true;
        dialog.close();
      } catch (refused) {
        put(error, refused.message);
      }
      button.disabled = false;
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      done(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A labelled field of a dialog.
export function field(label, control, hint) {
  const id = `field-${control.getAttribute('name')}`;
  control.id = id;
  const hinted = hint && el('small', { id: `${id}-hint` }, hint);
  if (hinted) control.setAttribute('aria-describedby', `${id}-hint`);
  return el('div', { class: 'field' }, el('label', { for: id }, label), control, hinted);
}

export const tell = (text) => put($('told'), text);
