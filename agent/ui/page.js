// Draws what the server sends into one `gr.HTML`, and tells the server what was pressed. No logic of a conversation is here.
// Gradio gives: element, trigger, props, watch.
const log = element.querySelector('[role="log"]');
const bar = element.querySelector('.working');

function box() {
  return document.querySelector('#message textarea');
}

function write(text) {
  const field = box();
  if (!field) return;
  Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, text);
  field.dispatchEvent(new Event('input', {bubbles: true}));
  field.focus();
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // not a secure context: a page by plain http from another machine
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  const before = button.textContent;
  button.textContent = log.dataset.copied;
  setTimeout(() => { button.textContent = before; }, 1500);
}

// A value that was typed, as JSON where it is some, else as text.
function typed(text) {
  try { return JSON.parse(text); } catch { return text; }
}

// What the form of a question has that is different, and the pairs `name=value` of its last field.
function changes(form) {
  const found = {};
  for (const field of form.querySelectorAll('input')) {
    if (field.name && field.value !== field.dataset.was) found[field.name] = typed(field.value);
    if (!field.name) {
      for (const pair of field.value.matchAll(/([a-z_]+)\s*[=:]\s*([^\s,;]+)/gi)) found[pair[1]] = typed(pair[2]);
    }
  }
  return found;
}

element.addEventListener('submit', (event) => {
  event.preventDefault();
  if (event.target.classList.contains('instead')) {
    return trigger('click', {do: 'again', item: event.target.dataset.item, text: event.target.querySelector('textarea').value});
  }
  trigger('click', {do: 'change', arguments: changes(event.target)});
});

element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button || button.type === 'submit') return;
  const article = button.closest('article');
  const said = article?.querySelector('[data-copy]')?.dataset.copy ?? '';
  const what = button.classList.contains('fact') ? 'run' : button.dataset.do;
  if (what === 'copy') return copy(said, button);
  if (what === 'change' || (what === 'edit' && button.hasAttribute('aria-controls'))) {
    const form = document.getElementById(button.getAttribute('aria-controls'));
    form.hidden = !form.hidden;
    const opener = element.querySelector(`[aria-expanded][aria-controls="${form.id}"]`);
    opener.setAttribute('aria-expanded', String(!form.hidden));
    (form.hidden ? opener : form.querySelector('input, textarea')).focus();
    return;
  }
  if (what === 'edit') {
    write(said);
    return trigger('click', {do: 'remove', item: button.dataset.item});
  }
  const data = {do: what, item: button.dataset.item, session: button.dataset.session, run: button.dataset.run};
  data.text = button.dataset.text ?? said;
  if (what === 'rename') {
    data.text = window.prompt(button.dataset.ask, button.dataset.title);
    if (data.text === null) return;
  }
  if (what === 'delete' && !window.confirm(button.dataset.ask)) return;
  trigger('click', data);
});

// A tip stands above its number, inside the window whatever scrolls or is cut off around it.
function point(event) {
  const fact = event.target.closest?.('.fact');
  const tip = fact?.querySelector('.tip');
  if (!tip) return;
  const at = fact.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - tip.offsetWidth / 2), window.innerWidth - tip.offsetWidth - 8);
  const above = at.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : at.bottom + 6}px`;
}

element.addEventListener('mouseover', point);
element.addEventListener('focusin', point);

// Pictures: asked for and drawn when they come into view, since a long conversation has many.
const DRAWN = {displayModeBar: false, responsive: true};
let plotly;
function drawer() {
  plotly ??= new Promise((done, failed) => {
    if (window.Plotly) return done(window.Plotly);
    const script = document.createElement('script');
    script.src = '/plotly.js';
    script.onload = () => done(window.Plotly);
    script.onerror = failed;
    document.head.append(script);
  });
  return plotly;
}

async function picture(section, kind, name) {
  const answer = await fetch(`/${kind}/${log.dataset.language}/${encodeURIComponent(name)}`);
  const found = answer.ok ? await answer.json() : [];
  for (const each of found) {
    let place = section.querySelector(`:scope > [data-name="${each.name}"]`);
    if (!place) {
      place = document.createElement('details');
      place.className = 'picture';
      place.open = true;
      place.dataset.name = each.name;
      place.innerHTML = '<summary></summary><div class="about"></div><div class="plot"></div><div class="numbers"></div>';
      place.querySelector('summary').textContent = each.title;
      section.append(place);
    }
    const atEnd = ended();
    const opened = place.querySelector('.numbers details')?.open;
    place.querySelector('.about').innerHTML = each.about;  // escaped by the server, as the table
    place.querySelector('.numbers').innerHTML = each.table;
    if (opened) place.querySelector('.numbers details').open = true;
    const plot = place.querySelector('.plot');
    plot.style.minHeight = `${each.figure.layout.height}px`;
    plot.setAttribute('role', 'img');
    plot.setAttribute('aria-label', `${each.title}. ${place.querySelector('.about').textContent}`);
    const Plotly = await drawer();
    await Plotly.react(plot, each.figure.data, each.figure.layout, DRAWN);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

const EVERY = 3000;  // milliseconds between two looks at a curve that grows
async function follow(section) {
  while (section.isConnected) {
    if (section.offsetParent && !document.hidden) await picture(section, 'live', log.dataset.session).catch(() => {});
    await new Promise((done) => setTimeout(done, EVERY));
  }
}

const inView = new IntersectionObserver((seen) => {
  for (const each of seen) {
    if (!each.isIntersecting) continue;
    inView.unobserve(each.target);
    picture(each.target, 'pictures', each.target.dataset.run).catch(() => {});
  }
}, {root: log, rootMargin: '1500px 0px'});  // also what lies above or below what is seen

function ended() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

// Replaces only items whose HTML is new, so that what was opened, selected or focused in the others stays.
function draw() {
  const view = props.value;
  if (!log || !view || !view.items) return;
  const mine = log.querySelectorAll('.said').length;
  const atEnd = ended() || log.dataset.session !== view.session;
  let before = null;
  for (const item of view.items) {
    let place = log.querySelector(`:scope > [data-id="${item.id}"]`);
    if (!place) {
      place = document.createElement('div');
      place.dataset.id = item.id;
    }
    if (place.shown !== item.html) {
      const opened = place.querySelector('details')?.open;
      const same = place.querySelector('details')?.className;
      place.innerHTML = item.html;
      place.shown = item.html;
      for (const section of place.querySelectorAll('.pictures')) {
        if (section.classList.contains('live')) queueMicrotask(() => follow(section));  // when it is in the page
        else inView.observe(section);
      }
      const details = place.querySelector('details');
      if (details && details.className === same) details.open = opened;
    }
    const next = before ? before.nextSibling : log.firstChild;
    if (place !== next) log.insertBefore(place, next);
    before = place;
  }
  while (before ? before.nextSibling : log.firstChild) (before ? before.nextSibling : log.firstChild).remove();
  bar.hidden = !view.status;
  bar.querySelector('span').textContent = view.status;
  if (log.dataset.session !== view.session) {
    log.dataset.session = view.session;
    const address = new URL(window.location);
    address.searchParams.set('session', view.session);
    window.history.replaceState(null, '', address);
  }
  if (atEnd || log.querySelectorAll('.said').length > mine) log.scrollTop = log.scrollHeight;  // who says something sees it
}

// The conversation takes what the rest of the window leaves.
function fit() {
  const message = document.querySelector('#message');
  if (!log || !message || !log.offsetParent) return;
  const below = message.offsetHeight + bar.offsetHeight + 28;
  log.style.height = `${Math.max(240, window.innerHeight - log.getBoundingClientRect().top - window.scrollY - below)}px`;
}

if (log) {
  new ResizeObserver(fit).observe(document.querySelector('#message') ?? element);
  new ResizeObserver(fit).observe(bar);
  window.addEventListener('resize', fit);
}
watch('value', draw);
draw();
