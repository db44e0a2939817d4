// What makes pages live. Every page works without it.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// Times

const two = (large, unit, small, smallUnit) =>
  small ? `${large} ${unit} ${small} ${smallUnit}` : `${large} ${unit}`;

function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return two(Math.floor(whole / 60), 'min', whole % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(seconds / 3600);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function ago(ms) {
  const seconds = ms / 1000;
  if (seconds < 45) return 'just now';
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return undefined; // the server's words stay true for long enough
}

function setText(element, text) {
  if (text !== undefined && element.textContent !== text) element.textContent = text;
}

function refreshTimes() {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of $$('time[data-since]')) setText(time, duration(now - Date.parse(time.dateTime)));
  for (const time of $$('time[data-ago]')) setText(time, ago(now - Date.parse(time.dateTime)));
}
setInterval(refreshTimes, 1000);

// Copy on click

document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('[data-copy]');
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    // Without https there is no clipboard: select the text instead.
    getSelection()?.selectAllChildren(button);
    return;
  }
  button.setAttribute('data-copied', '');
  setTimeout(() => button.removeAttribute('data-copied'), 1200);
});

// Search with "/"

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  $('[data-search]')?.focus();
});

// Filter while typing: the server filters, the page stays where it is.

const filter = $('form[data-filter]');
let filterTimer;
filter?.addEventListener('input', () => {
  clearTimeout(filterTimer);
  filterTimer = setTimeout(() => {
    const query = new URLSearchParams(new FormData(filter));
    if (!query.get('q')) query.delete('q');
    history.replaceState(null, '', query.size ? `?${query}` : location.pathname);
    refresh();
  }, 200);
});
filter?.addEventListener('submit', (event) => event.preventDefault());

// Refresh: fetch this page again and change what differs, so that nothing moves that did not change.

let refreshing = false;
let again = false;

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    // The first output of a build, or another attempt: the log is a new one.
    if (followsLatest && $('#log', next)?.dataset.attempt !== $('#log')?.dataset.attempt) location.reload();
    for (const fresh of $$('[data-live]', next)) {
      const old = fresh.id && document.getElementById(fresh.id);
      if (old) morph(old, fresh);
    }
    document.title = next.title;
    refreshTimes();
  } catch {
    // The next change, or the stream that comes back, tries again.
  } finally {
    refreshing = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName)
    return void old.replaceWith(fresh.cloneNode(true));
  if (old.nodeType === Node.TEXT_NODE) old.data = fresh.data;
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  // What the reader has unfolded stays so.
  const theirs = old.nodeName === 'DETAILS' ? 'open' : '';
  for (const { name } of [...old.attributes])
    if (name !== theirs && !fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (name !== theirs && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const known = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id
      ? known.get(child.id)
      : at && !at.id && at.nodeName === child.nodeName
        ? at
        : undefined;
    if (!same) {
      old.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    morph(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// Log: lines as they come, followed until the reader scrolls up.

const log = $('#log');
const follow = $('[data-follow]');
const query = new URLSearchParams(location.search);
const followsLatest = !query.has('attempt') && !query.has('line');
let following = false;
let scrolledTo = -1;

function setFollowing(on) {
  following = on;
  follow?.setAttribute('aria-pressed', String(on));
  if (on) scrollToEnd();
}

function scrollToEnd() {
  const end = log.getBoundingClientRect().bottom + scrollY - innerHeight + 60;
  scrolledTo = Math.max(0, Math.round(end));
  scrollTo({ top: scrolledTo, behavior: 'instant' });
  scrolledTo = scrollY;
}

function appendLines({ first, lines }) {
  $('[data-no-lines]', log)?.remove();
  const parts = document.createDocumentFragment();
  lines.forEach(({ html, phase }, index) => {
    const number = first + index;
    if (document.getElementById(`L${number}`)) return;
    const line = document.createElement('div');
    line.className = phase ? 'l phase' : 'l';
    line.id = `L${number}`;
    const link = document.createElement('a');
    link.href = `#L${number}`;
    link.tabIndex = -1;
    link.textContent = number;
    const code = document.createElement('code');
    code.innerHTML = html;
    line.append(link, code);
    parts.append(line);
  });
  log.append(parts);
  // A page that stays open for a whole big build must not grow for ever.
  const extra = log.childElementCount - 10000;
  if (extra > 0 && following) for (const line of [...log.children].slice(0, extra)) line.remove();
  const size = $('[data-log-size]');
  if (size) size.textContent = `${(first + lines.length - 1).toLocaleString('en-US')} lines`;
  if (following) scrollToEnd();
}

if (log?.dataset.stream && follow) {
  follow.hidden = false;
  follow.addEventListener('click', () => setFollowing(!following));
  addEventListener(
    'scroll',
    () => {
      if (following && scrollY < scrolledTo - 4) setFollowing(false);
    },
    { passive: true },
  );
  if (!location.hash) setFollowing(true);
}

// A link to a line that is not on this page: ask for the part of the log that has it.
function findLine() {
  const match = /^#L(\d+)$/.exec(location.hash);
  if (!match || !log || document.getElementById(`L${match[1]}`)) return;
  const wanted = new URLSearchParams(location.search);
  if (wanted.get('line') === match[1]) return;
  wanted.set('line', match[1]);
  location.replace(`?${wanted}#L${match[1]}`);
}
findLine();
addEventListener('hashchange', findLine);

// The stream

const address = log?.dataset.stream
  ? `${log.dataset.stream}&from=${log.dataset.from}&line=${log.dataset.nextLine}`
  : document.body.dataset.events;

if (address) {
  const source = new EventSource(address);
  const status = $('[data-connection]');
  let lost = false;
  source.addEventListener('open', () => {
    setText(status, '');
    if (lost) refresh();
    lost = false;
  });
  source.addEventListener('error', () => {
    lost = true;
    setText(status, 'Not live at the moment; trying again');
  });
  source.addEventListener('changed', () => {
    if (!document.hidden) refresh();
    else document.addEventListener('visibilitychange', refresh, { once: true });
  });
  source.addEventListener('lines', (event) => appendLines(JSON.parse(event.data)));
  source.addEventListener('end', () => {
    if (!follow) return;
    follow.hidden = true;
    following = false;
  });
  addEventListener('pagehide', () => source.close());
}

const retry = $('[data-retry-seconds]');
if (retry) setTimeout(() => location.reload(), Number(retry.dataset.retrySeconds) * 1000);

// A page that waits for something looks again at another address until that one waits no more. The
// server may start anew meanwhile: no answer is no news.

if (document.body.dataset.again) setTimeout(lookAgain, 2_000);

async function lookAgain() {
  try {
    const answer = await fetch(document.body.dataset.again, { headers: { accept: 'text/html' } });
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (answer.ok && next.body.dataset.again) history.replaceState(null, '', next.body.dataset.again);
    else if (answer.ok) return void location.replace(document.body.dataset.again);
  } catch {
    // Not there at the moment.
  }
  setTimeout(lookAgain, 2_000);
}
