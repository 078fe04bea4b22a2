// What the page asks the worker. The token is kept for this tab alone, and never stands in an address.
const KEPT = 'oncewise-token';
const BASE = '/api/v1';

// An answer that is a refusal, with all that was wrong.
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `the worker answers ${status}`);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEPT),
  keep: (text) => sessionStorage.setItem(KEPT, text),
  forget: () => sessionStorage.removeItem(KEPT),
};

export async function ask(method, path, body) {
  const mine = token.get();
  const headers = { Authorization: `Bearer ${mine}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
  } catch {
    throw new Refused(0, { error: 'the worker does not answer' });
  }
  const json = await answer.json().catch(() => null);
  // Whoever has left meanwhile sees nothing more.
  if (token.get() !== mine) throw new Refused(0, { error: 'signed out' });
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

export const get = (path) => ask('GET', path);

// Whether this worker has an endpoint, by its own description: what it has not is not offered.
let described = null;
export async function learn() {
  described = (await get('/openapi.json')).paths;
}
export const has = (method, path) => Boolean(described?.[path]?.[method.toLowerCase()]);
