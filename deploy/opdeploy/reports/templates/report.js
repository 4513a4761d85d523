"use strict";
// Searches and filters what the page holds: it hides and shows, and adds no value. What is asked for stands in the address's
// fragment, so that a link shows the same. ASCII only: its SHA-256 is in the page's policy.
(() => {
  const FEW = 300; // so many matches at most are opened for the reader
  const form = document.querySelector("form");
  const status = document.querySelector("[role=status]");
  let index;
  let frame;

  function entry(li, host) {
    const [kind, , roles] = li.firstElementChild.children;
    return {
      li, host, ...li.dataset, kind: kind.textContent, role: roles.textContent.split(", "),
      text: `${host} ${li.textContent}`.toLowerCase(), hidden: false,
    };
  }

  function group(details, host) {
    const entries = Array.from(details.querySelectorAll("li"), (li) => entry(li, host));
    return { details, entries, told: details.querySelector("summary span"), opened: false };
  }

  function indexed() {
    const rows = document.querySelectorAll("[aria-labelledby=servers] tbody tr");
    return Array.from(document.querySelectorAll(".host"), (section, at) => {
      const host = section.querySelector("h2").textContent;
      const groups = Array.from(section.querySelectorAll("details"), (details) => group(details, host));
      const says = Array.from(section.querySelectorAll(":scope > :not(details)"), (one) => one.textContent);
      return { host, text: says.join(" ").toLowerCase(), parts: [section, rows[at]], groups };
    });
  }

  function asked() {
    const given = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...given]) {
      if (!value.trim()) given.delete(name);
    }
    return given;
  }

  // Of several filters all must hold, and of several words every one. A host's own words have neither kind nor role.
  function fits(one, filters) {
    return filters.every(([name, value]) => {
      if (name === "q") return value.every((word) => one.text.includes(word));
      return name === "role" ? one.role?.includes(value) : one[name] === value;
    });
  }

  function sift(group, filters) {
    let found = 0;
    for (const one of group.entries) {
      const hidden = !fits(one, filters);
      if (one.hidden !== hidden) one.li.hidden = one.hidden = hidden;
      found += !hidden;
    }
    group.found = found;
    group.details.hidden = found === 0;
    group.told.textContent = filters.length ? `(${found} shown)` : "";
    return found;
  }

  // A group that was opened for its matches is closed again; what the reader opened stays.
  function open(group, wanted) {
    if (wanted && !group.details.open) group.details.open = group.opened = true;
    else if (!wanted && group.opened) group.details.open = group.opened = false;
  }

  function filter() {
    index ??= indexed();
    const given = asked();
    const filters = Array.from(given, ([name, value]) => [name, name === "q" ? value.toLowerCase().match(/\S+/g) : value]);
    let shown = 0;
    for (const host of index) {
      const found = host.groups.reduce((sum, group) => sum + sift(group, filters), 0);
      for (const part of host.parts) part.hidden = !found && !fits(host, filters);
      shown += found;
    }
    const groups = index.flatMap((host) => host.groups);
    for (const group of groups) open(group, filters.length > 0 && group.found > 0 && shown <= FEW);
    tell(given, shown, groups.reduce((sum, group) => sum + group.entries.length, 0));
  }

  function tell(given, shown, all) {
    const words = Array.from(given, ([name, value]) => {
      const field = form.elements.namedItem(name);
      return `${field.labels[0].firstChild.textContent.trim()}: ${field.selectedOptions?.[0].text ?? value}`;
    });
    const limits = words.length ? ` (${words.join(", ")})` : "";
    status.textContent = `${shown} of ${all} shown${limits}`;
    history.replaceState(null, "", `${location.href.split("#")[0]}${words.length ? `#${given}` : ""}`);
  }

  function later() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(filter);
  }

  // What the address asks for. A fragment without "=" leads to a place, as in any page.
  function recall() {
    if (!location.hash.includes("=")) return;
    form.reset();
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      const field = form.elements.namedItem(name);
      if (field) field.value = value;
    }
    later();
  }

  // A link within the page leaves the fragment to the filters.
  function lead(event) {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    const place = document.getElementById(link.hash.slice(1));
    place.scrollIntoView();
    place.focus({ preventScroll: true });
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["input", "reset"]) form.addEventListener(name, later);
  addEventListener("hashchange", recall);
  addEventListener("click", lead);
  form.hidden = false;
  recall();
})();
