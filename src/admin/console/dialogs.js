// Questions before anything is done, and what is shown on its own.
import { el, holding, put } from './dom.js';

// Shows a dialog until somebody closes it. The focus goes back to where it was, or near.
export function open(dialog) {
  const back = holding();
  return new Promise((done) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      back();
      done();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Asks before anything is done. Answers what `act` did, or null; `act` may refuse, which is said in the dialog.
export async function confirm({ title, text, fields = [], yes, danger = false, act }) {
  const error = el('p', { class: 'refused', role: 'alert' });
  const waits = el('p', { class: 'muted', role: 'status' });
  const form = el('form', { method: 'dialog' },
    el('h2', { id: 'dialog-title' }, title),
    text && el('p', {}, text),
    fields,
    error, waits,
    el('div', { class: 'actions' },
      el('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, 'Cancel'),
      el('button', { type: 'submit', class: danger ? 'danger' : 'primary' }, yes)));
  const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  let answer = null;
  let busy = false;
  form.onsubmit = async (event) => {
    event.preventDefault();
    // The button stays a button, for whoever is at it would lose their place.
    if (busy) return;
    busy = true;
    put(error, '');
    put(waits, 'Waiting for the answer…');
    try {
      answer = (await act(new FormData(form))) ?? true;
      document.dispatchEvent(new Event('acted'));
      dialog.close();
    } catch (refused) {
      put(error, refused.message);
    }
    put(waits, '');
    busy = false;
  };
  await open(dialog);
  return answer;
}

// A labelled field of a dialog.
export function field(label, control, hint) {
  const id = `field-${control.getAttribute('name')}`;
  control.id = id;
  const hinted = hint && el('small', { id: `${id}-hint` }, hint);
  if (hinted) control.setAttribute('aria-describedby', `${id}-hint`);
  return el('div', { class: 'field' }, el('label', { for: id }, label), control, hinted);
}
