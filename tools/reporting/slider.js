"use strict";
// The page is complete without this script: it adds sorting, the choice of colours, and the slider between two methods.

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties || {});
  made.append(...children);
  return made;
}

// ---------------------------------------------------------------------------------------------- tables

function rankOf(row, column, better) {
  const cell = row.cells[column];
  return better === "text" ? cell.textContent : cell.dataset.value === undefined ? null : toNumber(cell.dataset.value);
}

function toNumber(text) {
  return text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
}

function compareRanks(first, second, sign) {
  const lacking = (value) => value === null || Number.isNaN(value);
  if (lacking(first) || lacking(second)) return lacking(first) - lacking(second); // what has no value stays below
  if (first === second) return 0;
  return first < second ? -sign : sign;
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const better = head.dataset.better;
    if (!better) return;
    const label = head.querySelector(".label") || make("span", { className: "label", textContent: head.textContent });
    if (!label.parentNode) head.replaceChildren(label);
    const button = make("button", { type: "button" });
    label.replaceWith(button);
    button.append(label);
    button.addEventListener("click", () => {
      const first = better === "higher" ? "descending" : "ascending"; // the best on top at the first click
      const order = head.getAttribute("aria-sort") === first ? (first === "ascending" ? "descending" : "ascending") : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, two) => compareRanks(rankOf(one, column, better), rankOf(two, column, better), sign));
      table.tBodies[0].append(...rows);
    });
  });
}

// ---------------------------------------------------------------------------------------------- colours

function addThemeButton() {
  const button = make("button", { type: "button" });
  const names = ["auto", "light", "dark"];
  let chosen = 0;
  const show = () => {
    button.textContent = `colours: ${names[chosen]}`;
    if (chosen) document.documentElement.dataset.theme = names[chosen];
    else delete document.documentElement.dataset.theme;
  };
  button.addEventListener("click", () => { chosen = (chosen + 1) % names.length; show(); });
  document.querySelector("header").append(button);
  show();
}

// ---------------------------------------------------------------------------------------------- slider

function choice(label, className, names) {
  const select = make("select", {}, ...names.map((name, index) => make("option", { value: String(index), textContent: name })));
  return [make("label", { className }, `${label} `, select), select];
}

function makeViewer(section) {
  const comparisons = [...section.querySelectorAll(".comparison")];
  const methodsOf = (comparison) => [...comparison.querySelectorAll(".panel")].map((panel) => panel.dataset.method);
  const methods = [...new Set(comparisons.flatMap(methodsOf))];
  if (methods.length < 2) return;
  const shown = methods.filter((name) => comparisons.some((one) =>
    [...one.querySelectorAll(".panel.made")].some((panel) => panel.dataset.method === name)));
  const state = { image: 0, left: methods.indexOf(shown[0]), right: methods.indexOf(shown.length > 1 ? shown[shown.length - 1] : "GT"), split: 50, zoom: 3 };
  if (state.left < 0) state.left = 0;
  if (state.right < 0) state.right = state.left ? 0 : 1;

  const [imageLabel, image] = choice("Image", "i", comparisons.map((one) => one.dataset.image));
  const [leftLabel, left] = choice("A", "a", methods);
  const [rightLabel, right] = choice("B", "b", methods);
  const [zoomLabel, zoom] = choice("Zoom", "z", ["1×", "2×", "3×", "4×", "6×", "8×"]);
  const zooms = [1, 2, 3, 4, 6, 8];
  const swap = make("button", { type: "button", textContent: "swap", title: "key x" });
  const smooth = make("button", { type: "button", textContent: "smooth", title: "interpolate between pixels, key s" });
  smooth.setAttribute("aria-pressed", "false");
  const under = make("img", { alt: "" }), over = make("img", { alt: "" });
  const bar = make("span", { className: "bar" });
  const leftName = make("span", { className: "name l" }), rightName = make("span", { className: "name r" });
  const stage = make("div", { className: "stage", tabIndex: 0 }, under, over, bar, leftName, rightName);
  stage.setAttribute("role", "slider");
  stage.setAttribute("aria-valuemin", "0");
  stage.setAttribute("aria-valuemax", "100");
  const told = make("p", { className: "told" });
  const viewer = make("div", { className: "viewer" },
    make("div", { className: "controls" }, imageLabel, leftLabel, rightLabel, swap, zoomLabel, smooth),
    make("div", { className: "scroll" }, stage), told,
    make("p", { className: "told", textContent:
      "Drag, or with the picture in focus: ← → move the line (Shift: far), ↑ ↓ other image, x swap, + − zoom, s smooth. " +
      "Click a crop below for A, with Shift for B." }));

  function panelOf(index) {
    return [...comparisons[state.image].querySelectorAll(".panel")].find((panel) => panel.dataset.method === methods[index]);
  }

  function moveLine() {
    over.style.clipPath = `inset(0 ${100 - state.split}% 0 0)`;
    bar.style.left = `${state.split}%`;
    stage.setAttribute("aria-valuenow", String(Math.round(state.split)));
  }

  function fill(target, label, panel, name) {
    target.hidden = !panel;
    if (panel) target.src = panel.querySelector("img").src;
    label.textContent = panel ? name : `${name}: not there`;
  }

  function show() {
    const first = panelOf(state.left), second = panelOf(state.right);
    fill(over, leftName, first, methods[state.left]);
    fill(under, rightName, second, methods[state.right]);
    const size = comparisons[state.image].dataset;
    stage.style.width = `${size.width * state.zoom}px`;
    stage.style.height = `${size.height * state.zoom}px`;
    stage.classList.toggle("smooth", smooth.getAttribute("aria-pressed") === "true");
    stage.setAttribute("aria-label", `${comparisons[state.image].dataset.image}: ${methods[state.left]} left, ${methods[state.right]} right`);
    const scores = (panel) => (panel ? panel.dataset.scores || "no scores" : "");
    told.textContent = `A ${methods[state.left]}: ${scores(first)}  ·  B ${methods[state.right]}: ${scores(second)}`;
    comparisons.forEach((one, index) => {
      one.hidden = index !== state.image;
      one.querySelectorAll(".panel").forEach((panel) => {
        panel.classList.toggle("left", panel === first);
        panel.classList.toggle("right", panel === second);
      });
    });
    image.value = String(state.image); left.value = String(state.left); right.value = String(state.right);
    zoom.value = String(zooms.indexOf(state.zoom));
    moveLine();
  }

  const setSplit = (value) => { state.split = Math.min(100, Math.max(0, value)); moveLine(); };
  const step = (key, by, count) => { state[key] = (state[key] + by + count) % count; show(); };
  const changeZoom = (by) => {
    state.zoom = zooms[Math.min(zooms.length - 1, Math.max(0, zooms.indexOf(state.zoom) + by))];
    show();
  };
  const doSwap = () => { [state.left, state.right] = [state.right, state.left]; show(); };
  const doSmooth = () => {
    smooth.setAttribute("aria-pressed", String(smooth.getAttribute("aria-pressed") !== "true"));
    show();
  };

  image.addEventListener("change", () => { state.image = Number(image.value); show(); });
  left.addEventListener("change", () => { state.left = Number(left.value); show(); });
  right.addEventListener("change", () => { state.right = Number(right.value); show(); });
  zoom.addEventListener("change", () => { state.zoom = zooms[Number(zoom.value)]; show(); });
  swap.addEventListener("click", doSwap);
  smooth.addEventListener("click", doSmooth);

  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    setSplit((100 * (event.clientX - box.left)) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.focus({ preventScroll: true });
    try { stage.setPointerCapture(event.pointerId); } catch { /* a pointer made by a script has no capture */ }
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 20 : 2;
    const actions = {
      ArrowLeft: () => setSplit(state.split - far), ArrowRight: () => setSplit(state.split + far),
      Home: () => setSplit(0), End: () => setSplit(100),
      ArrowUp: () => step("image", -1, comparisons.length), ArrowDown: () => step("image", 1, comparisons.length),
      x: doSwap, s: doSmooth, "+": () => changeZoom(1), "=": () => changeZoom(1), "-": () => changeZoom(-1),
    };
    if (!actions[event.key]) return;
    actions[event.key]();
    event.preventDefault();
  });
  comparisons.forEach((one) => one.querySelectorAll(".panel").forEach((panel) => panel.addEventListener("click", (event) => {
    state[event.shiftKey ? "right" : "left"] = methods.indexOf(panel.dataset.method);
    show();
  })));

  const room = section.clientWidth - 26;
  state.zoom = zooms.filter((value) => value <= 4 && value * Math.max(...comparisons.map((one) => Number(one.dataset.width))) <= room).pop() || 1;
  section.classList.add("interactive");
  section.insertBefore(viewer, comparisons[0]);
  show();
}

addThemeButton();
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll("section.crops").forEach(makeViewer);
