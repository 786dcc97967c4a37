// The playground: a column a model, each a conversation of its own from the first branch on. Everything that a model
// says is put in as text.
(() => {
  const form = document.getElementById("play");
  if (!form) return;
  const columns = document.getElementById("columns"), stop = document.getElementById("play-stop");
  const said = document.getElementById("said");
  const running = new Set();
  let open = [];

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const button = (text, act) => {
    const element = make("button", text);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  };
  function tell(text, level) {
    said.replaceChildren(make("p", text, level));
  }
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const number = (name) => (form.elements[name].value === "" ? undefined : Number(form.elements[name].value));
  const parameters = () => ({ temperature: number("temperature"), top_p: number("top_p"), max_tokens: number("max_tokens") });
  const memory = () => (form.elements.remember.checked ? form.elements.memory.value : undefined);
  const messages = (column) => [...(column.system ? [{ role: "system", content: column.system }] : []), ...column.said];

  function addColumn(model, before) {
    const column = { model, system: form.elements.system.value, said: before ? [...before] : [], box: make("section", "", "column") };
    column.box.setAttribute("aria-label", `${model}, ${open.length + 1}`);
    column.box.append(make("h2", model));
    column.turns = make("div");
    column.box.append(column.turns);
    columns.append(column.box);
    open.push(column);
    for (const message of column.said) showMessage(column, message);
    return column;
  }
  function showMessage(column, message) {
    const element = make("div", message.content, message.role === "user" ? "prompt" : "reply");
    element.dir = "auto";
    column.turns.append(element);
  }

  // One reply's place below its prompt. `given`: the conversation that it replies to.
  function addReply(column) {
    const place = { column, given: messages(column), text: { reasoning: "", reply: "" }, began: performance.now(), first: null, seed: null };
    place.box = make("article", "", "talk");
    place.fold = make("details", "", "reasoning");
    place.fold.hidden = true;
    place.fold.append(make("summary", "Reasoning"), make("div", "", "text"));
    place.reply = make("div", "", "reply");
    place.reply.dir = "auto";
    place.facts = make("p", "waiting for the model", "facts");
    place.actions = make("p", "", "actions");
    place.box.append(place.fold, place.reply, place.facts, place.actions);
    column.turns.append(place.box);
    return place;
  }
  function hear(place, told) {
    if (told.seed !== undefined && told.seed !== null) place.seed = told.seed;
    if (told.part) {
      place.first ??= (performance.now() - place.began) / 1000;
      place.text[told.part] += told.text;
      place.fold.hidden = !place.text.reasoning;
      place.fold.querySelector(".text").textContent = place.text.reasoning;
      place.reply.textContent = place.text.reply;
      place.facts.textContent = `first text after ${place.first.toFixed(2)} s`;
    } else if (told.error) {
      end(place, told.error);
      place.facts.classList.add("failure");
    } else if (told.end) {
      const speed = told.end.tokens_per_s === null ? "" : `, ${told.end.tokens_per_s.toFixed(1)} tokens/s`;
      const first = place.first === null ? "no text" : `first text after ${place.first.toFixed(2)} s`;
      end(place, `${first}${speed}, ${told.end.reply_tokens} tokens, ${told.end.finish_reason}, seed ${told.end.seed}`);
    }
  }
  function end(place, words) {
    place.done = true;
    place.facts.textContent = words;
    const { column } = place;
    const before = place.given.filter((each) => each.role !== "system");
    const whole = [...before, { role: "assistant", content: place.text.reply }];
    column.said = place.text.reply ? whole : before.slice(0, -1);
    place.actions.replaceChildren(
      button("Again, same seed", () => ask([again(place, place.seed)])),
      button("Again, any seed", () => ask([again(place, null)])),
      button("Branch", () => { addColumn(column.model, whole); tell("A column goes on from that reply; the next prompt goes to all columns."); }),
      button("Rendered prompt", () => rendered(place)),
      button("Copy curl", () => copy(curl(place))),
      button("Keep", () => keepForm(place)),
    );
  }
  function again(place, seed) {
    const fresh = addReply(place.column);
    fresh.given = place.given;
    return { place: fresh, seed };
  }

  async function ask(wanted) {
    const controller = new AbortController();
    const places = wanted.map((each) => each.place);
    const body = {
      asks: wanted.map(({ place, seed }) => ({ model: place.column.model, messages: place.given, ...(seed === null || seed === undefined ? {} : { seed }) })),
      parameters: parameters(),
      memory: memory(),
    };
    running.add(controller);
    stop.disabled = false;
    try {
      const answer = await fetch(form.dataset.ask, {
        method: "POST",
        headers: { "content-type": "application/json", "nightjar-request": "1" },
        body: JSON.stringify(body),
        signal: controller.signal,
      });
      if (!answer.ok) throw new Error((await answer.json()).error.message);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const events = (rest + value).split("\n\n");
        rest = events.pop();
        for (const event of events) {
          if (!event.startsWith("data: ")) continue;
          const told = JSON.parse(event.slice(6));
          if (told.closing) throw new Error("The server is ending.");
          hear(places[told.index], told);
        }
      }
      finish(places, "The connection was lost.");
    } catch (error) {
      finish(places, controller.signal.aborted ? "stopped" : String(error.message ?? error));
    } finally {
      running.delete(controller);
      stop.disabled = running.size === 0;
    }
  }
  function finish(places, words) {
    for (const place of places) if (!place.done) end(place, words);
  }

  async function rendered(place) {
    const answer = await fetch(form.dataset.template, {
      method: "POST",
      headers: { "content-type": "application/json", "nightjar-request": "1" },
      body: JSON.stringify({ model: place.column.model, messages: place.given }),
    });
    const told = await answer.json();
    const fold = make("details", "", "reasoning");
    fold.open = true;
    const text = make("pre", told.prompt ?? told.error?.message ?? "It cannot be had.", "text");
    text.tabIndex = 0;
    fold.append(make("summary", memory() === undefined ? "Rendered prompt" : "Rendered prompt, without the memory's facts"), text);
    place.box.append(fold);
  }
  function curl(place) {
    const own = Object.fromEntries(Object.entries(parameters()).filter(([, value]) => value !== undefined));
    const body = { model: place.column.model, messages: place.given, ...own, ...(place.seed === null ? {} : { seed: place.seed }) };
    const address = quoted(location.origin + form.dataset.curl);
    const remembers = memory() === undefined ? "" : ` -H ${quoted(`nightjar-memory: ${memory()}`)}`;
    return `curl ${address} -H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json'${remembers} -d ${quoted(JSON.stringify(body))}`;
  }
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied.", "info");
    } catch { tell(text, "info"); }
  }
  function keepForm(place) {
    const box = make("form", "", "asked");
    const field = (label, name, value) => {
      const wrapped = make("label", `${label} `), input = make("input");
      Object.assign(input, { name, value, required: true, pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,99}" });
      wrapped.append(input);
      return wrapped;
    };
    const tick = make("label", "", "tick"), check = make("input");
    check.type = "checkbox";
    tick.append(check, " with this reply as the reference");
    const submit = make("button", "Keep it");
    box.append(field("Suite", "suite", "playground"), field("Sequence", "sequence", `play-${Date.now().toString(36)}`), tick, submit);
    box.addEventListener("submit", async (event) => {
      event.preventDefault();
      const fields = new URLSearchParams({
        suite: box.elements.suite.value, sequence: box.elements.sequence.value,
        messages: JSON.stringify(place.given), reference: check.checked ? place.text.reply : "",
      });
      const answer = await fetch(form.dataset.keep, { method: "POST", headers: { "nightjar-request": "1", "content-type": "application/x-www-form-urlencoded" }, body: fields });
      const told = await answer.json();
      tell(told.said ?? told.error.message, answer.ok ? "info" : "warning");
      if (answer.ok) box.remove();
    });
    place.box.append(box);
    box.elements.suite.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("input[name=model]:checked")].map((each) => each.value);
    if (!chosen.length) return tell("Choose a model.", "warning");
    if (chosen.length > Number(form.dataset.most)) return tell(`At most ${form.dataset.most} models at once.`, "warning");
    for (const model of chosen) if (!open.some((column) => column.model === model)) addColumn(model);
    const all = open.filter((column) => chosen.includes(column.model)).slice(0, Number(form.dataset.most));
    const prompt = { role: "user", content: form.elements.prompt.value };
    const wanted = all.map((column) => {
      column.said.push(prompt);
      showMessage(column, prompt);
      return { place: addReply(column), seed: number("seed") ?? null };
    });
    said.replaceChildren();
    ask(wanted);
  });
  stop.addEventListener("click", () => { for (const controller of running) controller.abort(); });
  document.getElementById("play-new").addEventListener("click", () => {
    for (const controller of running) controller.abort();
    columns.replaceChildren();
    open = [];
    said.replaceChildren();
  });
  addEventListener("pagehide", () => { for (const controller of running) controller.abort(); });
})();
