(() => {
  const get = (id) => document.getElementById(id);
  const fields = ["find", "model", "tag", "flag", "sort"].filter(get);
  const form = get("filter"), groupsHome = get("groups"), clear = get("clear"), count = get("count");
  const groups = [...groupsHome.querySelectorAll("details.sequence")];
  const jobs = groups.flatMap((group) => [...group.querySelectorAll("details.job")].map((element) => ({
    element, group, text: null, home: element.parentElement,
    tags: element.dataset.t.trim().split(" "), flags: element.dataset.f.split(" "), values: element.dataset.v.split(","),
  })));
  const extra = {};  // what only a link can ask for: sequence, repeat
  const order = new Map(jobs.map((job, at) => [job, at]));

  const wanted = () => {
    const facets = { ...extra };
    for (const name of fields) if (get(name).value.trim()) facets[name] = get(name).value.trim();
    return facets;
  };
  const fits = (job, facets, words) => {
    const index = (name) => String(get(name).selectedIndex - 1);
    return (!facets.model || job.element.dataset.m === index("model"))
      && (!facets.tag || job.tags.includes(index("tag")))
      && (!facets.flag || job.flags.includes(facets.flag))
      && (!facets.sequence || job.group.dataset.s === facets.sequence)
      && (!facets.repeat || job.element.dataset.r === facets.repeat)
      && (!words || (job.text ??= job.element.textContent.toLowerCase()).includes(words));
  };
  const arrange = (facets) => {
    const at = facets.sort ? get("sort").selectedIndex - 1 : -1;
    const low = at >= 0 && get("sort").selectedOptions[0].dataset.low === "1";
    const key = (job) => {
      const value = at < 0 ? "" : job.values[at];
      return value === "" || value === undefined ? Infinity : low ? Number(value) : -Number(value);
    };
    const first = new Map();
    for (const job of jobs) {
      job.key = at < 0 ? order.get(job) : key(job);
      job.element.querySelector(".at").textContent = at < 0 || job.values[at] === "" ? "" : job.values[at];
      if (!job.element.hidden) first.set(job.group, Math.min(first.get(job.group) ?? Infinity, job.key));
    }
    const sorted = [...jobs].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : order.get(a) - order.get(b)));
    for (const job of sorted) job.home.append(job.element);
    const rank = (group) => (at < 0 ? groups.indexOf(group) : first.get(group) ?? Infinity);
    for (const group of [...groups].sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0))) groupsHome.append(group);
  };
  const apply = () => {
    const facets = wanted(), words = (facets.find ?? "").toLowerCase();
    const filtered = Object.keys(facets).length > 0;
    let shown = 0;
    for (const job of jobs) {
      const fit = fits(job, facets, words);
      job.element.hidden = !fit;
      shown += fit;
    }
    arrange(facets);
    for (const group of groups) {
      group.hidden = filtered && !group.querySelector("details.job:not([hidden])");
      if (filtered !== group.classList.contains("found")) group.open = filtered;
      group.classList.toggle("found", filtered);
    }
    clear.hidden = !filtered;
    const places = [extra.sequence && `sequence ${extra.sequence}`, extra.repeat && `repeat ${extra.repeat}`].filter(Boolean).join(", ");
    count.textContent = filtered ? `${shown} of ${jobs.length}${places ? `, ${places}` : ""}` : "";
  };
  const follow = () => {
    const hash = decodeURIComponent(location.hash.slice(1).replace(/\+/g, "%20"));
    if (location.hash.startsWith("#?")) {
      const asked = new URLSearchParams(location.hash.slice(2));
      for (const name of fields) get(name).value = asked.get(name) ?? "";
      for (const name of ["sequence", "repeat"]) {
        if (asked.get(name)) extra[name] = asked.get(name); else delete extra[name];
      }
      apply();
      get("transcripts").scrollIntoView();
    } else if (hash && get(hash)) {
      let element = get(hash);
      if (element.hidden) { reset(); }
      for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
      element.scrollIntoView();
    }
  };
  const reset = () => {
    for (const name of fields) get(name).value = "";
    for (const name of Object.keys(extra)) delete extra[name];
    apply();
  };
  let timer;
  get("find").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 150); });
  for (const name of fields) if (name !== "find") get(name).addEventListener("change", apply);
  clear.addEventListener("click", reset);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {  // the same link again: its address does not change
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); follow(); }
  });
  form.hidden = false;
  if (location.hash) follow();
})();
