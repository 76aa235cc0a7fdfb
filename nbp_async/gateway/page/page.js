// The gateway's page. Prompts, names and vendors' messages are other people's text: they go into the
// page as textContent alone. At most five connections are open: one event stream for all tasks, two
// for requests and two for images. The stream is only a hint: what was missed is asked for.

const PAGE = 60; // cards that are shown at first, and with each "Show more"
const LISTED = 200; // tasks of one request, the most that the gateway gives
const SILENCE = 40_000; // ms after which a stream without a byte is taken for dead
const PLACES = 15_000; // ms after which places in the queue are asked for again
const TOO_LARGE = 64e6; // bytes of references; base64 makes a third more of them
const OPEN = ["sending", "pending", "running"];
const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

let token = sessionStorage.getItem("token") ?? "";
let session = new AbortController(); // ends with the sign-out
let account = null;
let limit = PAGE;
let opened = null; // the number of the task in the dialog
const tasks = new Map(); // by number; what is not accepted yet has a fraction as its number
const cards = new Map();
const cardOf = new WeakMap(); // by its element
const references = [];
let drafted = 0;
let isListed = false; // the gateway has told which tasks there are

// ---------------------------------------------------------------- requests

class Lanes {
  constructor(count) { this.free = count; this.queue = []; }
  async run(work) {
    if (this.free > 0) this.free -= 1;
    else await new Promise((turn) => this.queue.push(turn));
    try {
      return await work();
    } finally {
      if (this.queue.length) this.queue.shift()();
      else this.free += 1;
    }
  }
}
const requests = new Lanes(2);
const pictures = new Lanes(2);

class Refusal extends Error {
  constructor(status, error, seconds) {
    super(typeof error?.message === "string" ? error.message : `The gateway answered ${status}.`);
    this.status = status;
    this.seconds = seconds;
  }
}

// A relative address, so that the gateway may have a path of its own behind a proxy.
const send = (path, options = {}) => fetch(path, {
  ...options,
  headers: { ...options.headers, Authorization: `Bearer ${token}` },
  signal: options.signal ?? session.signal,
  cache: "no-store",
});

async function ask(path, body, headers = {}) {
  const options = body === undefined ? {} : {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", ...headers },
  };
  return requests.run(async () => {
    const response = await send(path, options);
    const value = await response.json().catch(() => null);
    if (response.ok || (response.status === 409 && value?.task_id)) return value;
    const error = new Refusal(response.status, value?.error, Number(response.headers.get("Retry-After")));
    if (error.status === 401) signOut("This token is not valid.");
    throw error;
  });
}

// ---------------------------------------------------------------- tasks as the gateway has them

const newest = () => [...tasks.keys()].reduce((a, b) => Math.max(a, b), 0);
const isOpen = (task) => OPEN.includes(task.status);

// An answer may be on its way while an event tells of something later: then the event is right.
const heard = new Map();
let events = 0;

function take(task, asked = events) {
  const number = task.number = Number(task.task_id.slice("task_".length)), before = tasks.get(number);
  if ((heard.get(number) ?? 0) > asked) return;
  if (JSON.stringify(before) === JSON.stringify(task)) return;
  tasks.set(number, task);
  cards.get(number)?.stale();
  if (before && isOpen(before) && !isOpen(task)) announce(task);
  if (before?.status !== task.status) readAccountSoon();
  drawSoon();
}

async function refresh() {
  if (!account) await readAccount();
  const open = [...tasks.values()].filter((task) => isOpen(task) && task.status !== "sending");
  const first = open.reduce((least, { number }) => Math.min(least, number - 1), Math.floor(newest()));
  for (let after = `task_${isListed ? first : 0}`; after;) {
    const asked = events;
    const page = await ask(`v1/tasks?limit=${LISTED}&after=${after}`);
    page.data.forEach((task) => take(task, asked));
    after = page.next;
  }
  isListed = true;
  drawSoon();
}

async function listen(signal) {
  const silence = new AbortController();
  let timer;
  const alive = () => { clearTimeout(timer); timer = setTimeout(() => silence.abort(), SILENCE); };
  alive();
  try {
    const response = await send("v1/events", { signal: AbortSignal.any([signal, silence.signal]) });
    if (!response.ok) throw new Refusal(response.status);
    showLive(true);
    refresh().catch(() => silence.abort()); // what changed before the stream began
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const said = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = said.pop();
      said.forEach(hear);
    }
  } finally {
    clearTimeout(timer);
  }
}

function hear(event) {
  const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
  if (!data.length) return;
  const task = JSON.parse(data.join("\n"));
  heard.set(Number(task.task_id.slice("task_".length)), ++events);
  // An operator hears of everybody's tasks, and the gallery has the operator's own.
  if (account?.role !== "user" && !tasks.has(Number(task.task_id.slice(5)))) refreshSoon();
  else take(task);
}

async function follow(signal) {
  for (let wait = 250; !signal.aborted; await sleep(wait)) {
    const began = Date.now();
    await listen(signal).catch(() => {});
    if (signal.aborted) return;
    wait = Date.now() - began > 5000 ? 250 : Math.min(wait * 2, 5000);
    const note = setTimeout(() => showLive(false), 1000); // a cut that heals at once is no news
    await refresh().catch(() => showLive(false)); // so it polls for as long as there is no stream
    if (wait === 250) clearTimeout(note);
  }
}

const later = (work, ms) => {
  let timer = 0;
  return () => { timer ||= setTimeout(() => { timer = 0; if (token) work(); }, ms); };
};
const refreshSoon = later(() => refresh().catch(() => {}), 1000);
const readAccountSoon = later(() => readAccount().catch(() => {}), 700);

async function readAccount() {
  account = await ask("v1/account");
  $("name").textContent = account.name;
  $("views").hidden = account.role !== "operator";
  const budgets = Object.entries(account.budgets)
    .map(([period, most]) => `${dollars(most)} ${{ day: "a day", month: "a month" }[period] ?? "in all"}`);
  facts($("money"), [
    ["Images", account.images.toLocaleString()],
    ["Spent", dollars(account.spent_usd)],
    ["Held for open tasks", dollars(account.held_usd)],
    ["May have been billed", dollars(account.maybe_usd), account.maybe_usd > 0 && "warn"],
    ["Budget", budgets.join(", ") || "no limit"],
    account.left_usd !== null && ["Left", dollars(account.left_usd), account.left_usd < 0.25 && "bad"],
  ]);
}

// ---------------------------------------------------------------- new images

async function submit(event) {
  event.preventDefault();
  const form = $("ask"), prompt = $("prompt").value.trim();
  $("ask-error").textContent = "";
  if (!prompt) return complain($("prompt"), "Write what the image is to show.");
  if (references.reduce((sum, one) => sum + one.file.size, 0) > TOO_LARGE)
    return complain($("files"), "The references have more than 64 MB together.");
  const body = { prompt };
  if (form.elements.size.value) body.size = form.elements.size.value;
  if ($("ratio").value) body.aspect_ratio = $("ratio").value;
  if (references.length) body.image = await Promise.all(references.map(({ file }) => dataOf(file)));
  for (let left = Number($("count").value); left > 0; left -= 1) sendDraft(draft(body));
  draw();
  if (matchMedia("(max-width: 56rem)").matches) $("images").scrollIntoView(); // it is below the form
}

function complain(field, message) {
  $("ask-error").textContent = message;
  field.focus();
}

function draft(body) {
  drafted += 1;
  const task = {
    ...body, body, task_id: "", status: "sending", created: Date.now() / 1000, billing: "no",
    number: Math.floor(newest()) + drafted / (drafted + 1), // above all others, and below the next
    key: crypto.getRandomValues(new Uint32Array(4)).join("-"),
  };
  tasks.set(task.number, task);
  return task;
}

// The same key with each try: whatever became of those before, there is one task.
async function sendDraft(task) {
  const mine = session.signal;
  for (let wait = 1; tasks.get(task.number) === task && !mine.aborted; wait = Math.min(wait * 2, 30)) {
    try {
      const asked = events;
      const made = await ask("v1/images/generations/async", task.body, { "Idempotency-Key": task.key });
      forget(task);
      return take(made, asked);
    } catch (error) {
      const again = !error.status || error.status === 429 || error.status >= 500;
      if (!again) {
        forget(task);
        $("ask-error").textContent = `Not sent: ${error.message}`;
        return drawSoon();
      }
      wait = error.seconds || wait;
      task.note = error.status ? error.message : "The gateway cannot be reached.";
      cards.get(task.number)?.stale();
      drawSoon();
      await sleep(wait * 1000);
    }
  }
}

function forget(task) {
  tasks.delete(task.number);
  cards.get(task.number)?.root.remove();
  cards.delete(task.number);
}

const dataOf = (file) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
});

function addReferences(files) {
  const images = [...files].filter((file) => file.type.startsWith("image/"));
  $("ask-error").textContent = images.length < files.length ? "A reference is an image file." : "";
  for (const file of images) {
    const one = { file, root: make("li"), url: URL.createObjectURL(file) };
    const remove = button("×", () => {
      URL.revokeObjectURL(one.url);
      one.root.remove();
      references.splice(references.indexOf(one), 1);
      $("files").focus();
    });
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    one.root.append(make("img", { src: one.url, alt: file.name }), remove);
    references.push(one);
    $("references").append(one.root);
  }
}

// ---------------------------------------------------------------- what is done with a task

async function act(work) {
  const asked = events;
  try {
    take(await work(), asked);
  } catch (error) {
    if (session.signal.aborted) return;
    toast(error.status ? error.message : "The gateway cannot be reached.");
  }
}

const cancel = (task) => task.status === "sending" ? (forget(task), drawSoon()) : act(async () => {
  const path = `v1/tasks/${task.task_id}/cancel`;
  const said = await ask(path, {});
  if (said.cancel !== "out") return said;
  const price = said.may_still_cost_usd ? `, up to ${dollars(said.may_still_cost_usd)}` : "";
  $("confirm-text").textContent = `It may be billed all the same${price}, and there will be no image.`;
  return (await confirmed()) ? ask(path, { accept_price: true }) : said;
});

const confirmed = () => new Promise((resolve) => {
  $("confirm").returnValue = "no";
  $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true });
  $("confirm").showModal();
});

const retry = (task) => act(() => ask(`v1/tasks/${task.task_id}/retry`, {}));

function useAgain(task) {
  $("detail").close();
  $("prompt").value = task.prompt;
  $("ratio").value = task.aspect_ratio ?? "";
  const size = [...$("ask").elements.size].find((one) => one.value === (task.size ?? ""));
  if (size) size.checked = true;
  keepDraft();
  $("prompt").focus();
}

// ---------------------------------------------------------------- words

const dollars = (amount) => {
  const digits = amount > 0 && amount < 1 && Math.abs(amount * 100 - Math.round(amount * 100)) > 1e-6 ? 3 : 2;
  return `$${amount.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
};
const seconds = (s) => {
  const [major, minor] = s < 60 ? [`${s} s`] : s < 3600 ? [`${Math.floor(s / 60)} m`, `${s % 60} s`]
    : s < 172_800 ? [`${Math.floor(s / 3600)} h`, `${Math.floor(s % 3600 / 60)} m`] : [`${Math.floor(s / 86_400)} d`];
  return (minor ? `${major} ${minor}` : major).replaceAll(" ", "\u00a0"); // it stays on one line
};
const since = (task) => seconds(Math.max(0, Math.round(Date.now() / 1000 - task.created)));
const isBad = (task) => task.status === "failed" || task.status === "cancelled";

function stateOf(task) {
  if (task.status === "sending") return task.note ? `${task.note} It is sent again.` : "Sending";
  if (task.status === "pending") {
    const before = task.queue_position;
    return before ? `${before.toLocaleString()} before it` : before === 0 ? "Next" : "Waiting";
  }
  if (task.status === "running") return task.attempts > 1 ? `Being made, attempt ${task.attempts}` : "Being made";
  if (task.status === "completed") return task.result?.data.length ? "Done" : "Done, without a link";
  return task.status === "cancelled" ? "Cancelled" : task.error?.message ?? "Failed";
}

function moneyOf(task) {
  if (task.status === "sending") return "";
  if (isOpen(task)) return task.reserved_usd ? `holds ${dollars(task.reserved_usd)}` : "";
  const spent = task.spent_usd ? `billed ${dollars(task.spent_usd)}` : "";
  const maybe = task.maybe_usd ? `may have been billed ${dollars(task.maybe_usd)}` : "";
  const sums = [spent, maybe].filter(Boolean).join(", ");
  return sums || { no: "not billed", maybe: "may have been billed", yes: "billed" }[task.billing];
}

const shapeOf = (task) => [task.size, task.aspect_ratio].filter(Boolean).join(" · ");
const joined = (...parts) => parts.filter(Boolean).join(" · ");

let ended = [];
function announce(task) {
  if (!ended.length) setTimeout(() => {
    const done = ended.filter((one) => one.status === "completed").length, bad = ended.length - done;
    const one = ended.length === 1 ? `: ${ended[0].prompt.slice(0, 80)}` : "";
    $("said").textContent = joined(done && `${done} finished`, bad && `${bad} without an image`) + one;
    ended = [];
  }, 1200);
  ended.push(task);
}

let toastTimer;
function toast(message) {
  clearTimeout(toastTimer);
  $("toast").textContent = message;
  $("toast").hidden = false;
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 8000);
}

// ---------------------------------------------------------------- drawing

function make(tag, fields = {}, ...children) {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children.filter((child) => child || child === 0));
  return element;
}
const button = (text, onclick) => make("button", { type: "button", textContent: text, onclick });

function facts(list, rows) {
  list.replaceChildren(...rows.filter(Boolean).map(([name, value, mood]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value, className: mood || "" }))));
}

// What the gateway itself serves is asked for where the page came from, by whatever name the gateway
// calls itself in its links; what the vendor serves is at the vendor's.
function addressOf(url) {
  const ours = /\/(images\/\d+\/[0-9a-f]{43}\/[^/?#]+)$/.exec(url);
  const at = new URL(ours ? ours[1] : url, location.href);
  return /^https?:$/.test(at.protocol) ? at.href : "";
}
const linksOf = (task) => (task.result?.data ?? []).map(({ url }) => addressOf(url)).filter(Boolean);

function picture(src, alt) {
  const image = make("img", { alt, decoding: "async" });
  image.dataset.src = src;
  return image;
}

// It may have gone, or its link may have ended.
const load = (image) => image.src ? undefined : pictures.run(() => new Promise((done) => {
  image.onload = done;
  image.onerror = () => { image.replaceWith(state("The image cannot be loaded")); done(); };
  image.src = image.dataset.src;
}));
const state = (text) => make("span", { className: "state", textContent: text, dir: "auto" });

class Card {
  constructor(number) {
    this.number = number;
    this.root = $("card").content.firstElementChild.cloneNode(true);
    const find = (selector) => this.root.querySelector(selector);
    [this.face, this.paper] = [find(".face"), find(".paper")];
    [this.prompt, this.line, this.actions] = [find(".prompt"), find(".small"), find(".actions")];
    this.face.onclick = () => openDetail(number);
    this.isStale = true;
    cardOf.set(this.root, this);
  }
  get task() { return tasks.get(this.number); }
  stale() { this.isStale = true; }
  draw() {
    if (!this.isStale) return;
    this.isStale = false;
    const { task } = this;
    this.root.dataset.status = task.status;
    this.root.dataset.billing = task.billing;
    this.prompt.textContent = this.prompt.title = task.prompt;
    this.face.setAttribute("aria-label", `${stateOf(task)}: ${task.prompt.slice(0, 120)}`);
    this.root.classList.toggle("plain", !linksOf(task).length);
    this.drawPaper(task);
    this.drawLine();
    drawActions(this.actions, task, [doIt(task)]);
  }
  drawPaper(task) {
    const [src] = linksOf(task);
    if (src && this.image?.dataset.src === src) return;
    this.image = null;
    this.paper.replaceChildren();
    if (!src) return this.paper.append(state(stateOf(task)));
    this.image = picture(src, "");
    this.paper.append(this.image);
    seen.observe(this.root);
  }
  drawLine() {
    const { task } = this;
    const time = isOpen(task) && task.created ? since(task) : "";
    const money = isOpen(task) ? "" : task.status === "completed" ? dollars(task.spent_usd) : moneyOf(task);
    this.line.textContent = joined(shapeOf(task), time, money);
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
    seen.unobserve(target);
    load(cardOf.get(target).image);
  }
}, { rootMargin: "300px" });

// What can be done with a task in its state: one thing.
function doIt(task) {
  if (isOpen(task)) return button("Cancel", () => cancel(task));
  if (task.can_retry) return button("Retry", () => retry(task));
  const [href] = linksOf(task);
  return href && make("a", { href, download: task.task_id, textContent: "Save", target: "_blank", rel: "noopener" });
}

function drawActions(place, task, actions) {
  const hadFocus = place.contains(document.activeElement);
  place.replaceChildren(...actions.filter(Boolean));
  for (const one of place.children) one.setAttribute("aria-label", `${one.textContent}: ${task.prompt.slice(0, 80)}`);
  if (hadFocus) place.firstElementChild?.focus();
}

const FILTERS = { all: () => true, open: isOpen, completed: (task) => task.status === "completed", failed: isBad };
let isDrawing = false;
function drawSoon() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => { isDrawing = false; draw(); });
}

function draw() {
  const all = [...tasks.values()].sort((a, b) => b.number - a.number);
  const filter = document.querySelector("[name=filter]:checked").value;
  for (const input of document.querySelectorAll("[name=filter]"))
    input.nextElementSibling.lastElementChild.textContent = all.filter(FILTERS[input.value]).length;
  const chosen = all.filter(FILTERS[filter]), list = $("cards");
  const wanted = chosen.slice(0, limit).map(({ number }) => {
    if (!cards.has(number)) cards.set(number, new Card(number));
    return cards.get(number);
  });
  wanted.forEach((card, place) => {
    card.draw();
    if (list.children[place] !== card.root) list.insertBefore(card.root, list.children[place] ?? null);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  $("more").hidden = chosen.length <= limit;
  $("empty").hidden = chosen.length > 0 || !isListed;
  $("filters").hidden = !all.length;
  $("empty").textContent = all.length ? "Nothing here." : "No images yet. Write a prompt, and make the first one.";
  $("retry-all").hidden = all.filter((task) => task.can_retry).length < 2;
  drawOverall(all);
  if (opened !== null) drawDetail();
}

// The tasks from the oldest open one on are what is being worked on.
function drawOverall(all) {
  const oldest = all.findLast(isOpen);
  $("overall").hidden = !oldest;
  const batch = oldest ? all.filter(({ number }) => number >= oldest.number) : [];
  const count = (...states) => batch.filter((task) => states.includes(task.status)).length;
  const [done, failed, running] = [count("completed"), count("failed", "cancelled"), count("running")];
  document.title = oldest ? `${done + failed} of ${batch.length} · Images` : "Images";
  if (!oldest) return;
  const waiting = batch.length - done - failed - running;
  $("overall-text").textContent = joined(`${done} of ${batch.length} made`, running && `${running} being made`,
    waiting && `${waiting} waiting`, failed && `${failed} without an image`);
  $("bar").setAttribute("aria-valuemax", batch.length);
  $("bar").setAttribute("aria-valuenow", done + failed);
  for (const [name, share] of Object.entries({ done, failed, running }))
    $("bar").querySelector(`.${name}`).style.width = `${100 * share / batch.length}%`;
}

function openDetail(number) {
  opened = number;
  drawDetail();
  if (!$("detail").open) $("detail").showModal();
  $("detail-title").focus();
}

function drawDetail() {
  const task = tasks.get(opened), dialog = $("detail"), find = (selector) => dialog.querySelector(selector);
  if (!task) return dialog.close();
  const links = linksOf(task), paper = find(".picture");
  if (paper.dataset.shown !== `${opened} ${links}` || !links.length) {
    paper.dataset.shown = `${opened} ${links}`;
    const images = links.map((src) => picture(src, task.prompt));
    paper.replaceChildren(...images.length ? images : [state(isOpen(task) ? stateOf(task) : "No image")]);
    images.forEach(load);
  }
  $("detail-title").textContent = task.task_id ? `Task ${task.number}` : "New task";
  find(".prompt").textContent = task.prompt;
  find(".bad").textContent = isBad(task) ? stateOf(task) : "";
  const expires = task.result?.data[0]?.expires;
  facts(find("dl"), [
    ["Status", isBad(task) ? { failed: "Failed", cancelled: "Cancelled" }[task.status] : stateOf(task)],
    ["Cost", moneyOf(task) || "none yet"],
    task.created && ["Submitted", new Date(task.created * 1000).toLocaleString()],
    shapeOf(task) && ["Size", shapeOf(task)],
    task.model && ["Model", task.model],
    task.attempts && ["Attempts", task.attempts],
    expires && ["Link ends", new Date(expires * 1000).toLocaleDateString()],
  ]);
  drawActions(find(".actions"), task, [doIt(task), task.status !== "sending" && button("Use again", () => useAgain(task))]);
}

function step(by) {
  const shown = [...$("cards").children].map((root) => cardOf.get(root).number);
  const next = shown[shown.indexOf(opened) + by];
  if (next !== undefined) openDetail(next);
}

function showLive(isLive) {
  $("live").textContent = isLive ? "Live" : "Reconnecting";
  $("live").classList.toggle("off", !isLive);
}

// ---------------------------------------------------------------- the operator's view

async function readOperator() {
  if ($("operator").hidden || document.hidden) return;
  try {
    drawOperator(await ask("v1/operator"));
    $("operator-error").textContent = "";
  } catch (error) {
    $("operator-error").textContent = error.status ? error.message : "The gateway cannot be reached.";
  }
}

function drawOperator({ users, counts, in_flight, paused, problem }) {
  const pause = joined(problem, counts.paused, paused > 0 && `paused for ${seconds(Math.ceil(paused))}`);
  facts($("counts"), [
    ["Vendor", pause || "no pause", pause ? "warn" : ""],
    ...Object.entries({
      "In flight": in_flight, Waiting: counts.ready, "For later": counts.later, "Being made": counts.working,
      Made: counts.stored, "Without an image": counts.failed,
    }).map(([name, count]) => [name, count.toLocaleString()]),
  ]);
  const budget = (user) => Object.entries(user.budgets).map(([period, most]) => `${dollars(most)}/${period}`).join(" ");
  $("users").replaceChildren(...users.map((user) => make("tr", { className: user.revoked ? "soft" : "" },
    make("th", { scope: "row", textContent: user.name, dir: "auto" }),
    ...[user.revoked ? "revoked" : user.role, user.images.toLocaleString(), dollars(user.spent_usd), dollars(user.held_usd),
      dollars(user.maybe_usd), budget(user) || "no limit", user.left_usd === null ? "" : dollars(user.left_usd)]
      .map((text) => make("td", { textContent: text })))));
  const sum = (field) => users.reduce((all, user) => all + user[field], 0);
  $("sums").replaceChildren(make("tr", {}, make("th", { scope: "row", textContent: "All" }),
    ...["", sum("images").toLocaleString(), dollars(sum("spent_usd")), dollars(sum("held_usd")), dollars(sum("maybe_usd")), "", ""]
      .map((text) => make("td", { textContent: text }))));
}

function showView(name) {
  for (const one of $("views").children) {
    if (one.dataset.view === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  $("gallery").hidden = name !== "gallery";
  $("operator").hidden = name !== "operator";
  readOperator();
}

// ---------------------------------------------------------------- signing in and out

async function signIn() {
  try {
    await readAccount();
  } catch (error) {
    if (error.status === 401) return;
    const wait = error.seconds ? ` Try again in ${seconds(error.seconds)}.` : "";
    return signOut((error.status ? error.message : "The gateway cannot be reached.") + wait);
  }
  sessionStorage.setItem("token", token);
  enter();
}

// After a reload, too, and then the gateway need not be there yet.
function enter() {
  $("sign-in").hidden = true;
  $("work").hidden = false;
  $("prompt").value = sessionStorage.getItem("prompt") ?? "";
  $("prompt").focus();
  follow(session.signal);
}

function signOut(message = "") {
  session.abort();
  session = new AbortController();
  token = "";
  sessionStorage.clear();
  [account, opened, limit, isListed] = [null, null, PAGE, false];
  tasks.clear();
  cards.clear();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  $("cards").replaceChildren();
  $("references").replaceChildren();
  references.length = 0;
  $("ask").reset();
  showView("gallery");
  $("work").hidden = true;
  $("sign-in").hidden = false;
  $("token-error").textContent = message;
  $("token").focus();
}

const keepDraft = () => sessionStorage.setItem("prompt", $("prompt").value);

function wire() {
  $("sign-in").querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    token = $("token").value.trim();
    $("token").value = $("token-error").textContent = "";
    signIn();
  };
  $("sign-out").onclick = () => signOut();
  $("ask").onsubmit = submit;
  $("prompt").oninput = keepDraft;
  $("prompt").onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  };
  $("count").onchange = () => {
    $("make").textContent = $("count").value === "1" ? "Make the image" : `Make ${$("count").value} images`;
  };
  $("files").onchange = () => { addReferences($("files").files); $("files").value = ""; };
  document.onpaste = (event) => { if (event.clipboardData.files.length) addReferences(event.clipboardData.files); };
  // A file that misses the field must not open in place of the page.
  document.ondragover = (event) => { event.preventDefault(); $("drop").classList.add("over"); };
  document.ondragleave = (event) => { if (!event.relatedTarget) $("drop").classList.remove("over"); };
  document.ondrop = (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    if (token && event.dataTransfer.files.length) addReferences(event.dataTransfer.files);
  };
  $("filters").onchange = () => { limit = PAGE; draw(); };
  $("more").onclick = () => { limit += PAGE; draw(); };
  $("retry-all").onclick = () => [...tasks.values()].filter((task) => task.can_retry).forEach(retry);
  for (const one of $("views").children) one.onclick = () => showView(one.dataset.view);
  for (const one of $("detail").querySelectorAll("[data-step]")) one.onclick = () => step(Number(one.dataset.step));
  $("detail").onkeydown = ({ key }) => { if (key === "ArrowLeft" || key === "ArrowRight") step(key === "ArrowLeft" ? -1 : 1); };
  $("detail").onclick = ({ target }) => { if (target === $("detail")) $("detail").close(); };
  $("detail").onclose = () => { cards.get(opened)?.face.focus(); opened = null; };
  window.onbeforeunload = (event) => { if ([...tasks.values()].some((task) => task.status === "sending")) event.preventDefault(); };
}

wire();
setInterval(() => cards.forEach((card) => { if (card.task && isOpen(card.task)) card.drawLine(); }), 1000);
setInterval(() => { if (token && [...tasks.values()].some((task) => task.queue_position)) refreshSoon(); }, PLACES);
setInterval(readOperator, 5000);
if (token) enter();
else signOut();
