"use strict";
// The page is complete without this script: it adds sorting, the choice of colours, and the slider between two methods.

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const better = head.dataset.sort, label = head.querySelector(".label");
    if (!better) return;
    const button = make("button", { type: "button" });
    label.replaceWith(button);
    button.append(label);
    const read = ({ cells }) => better === "text" ? cells[column].textContent
      : Number((cells[column].dataset.sort || "nan").replace("inf", "Infinity"));
    button.addEventListener("click", () => {
      const orders = better === "higher" ? ["descending", "ascending"] : ["ascending", "descending"]; // the best on top first
      const order = orders[Number(head.getAttribute("aria-sort") === orders[0])];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((one, two) => {
        const first = read(one), second = read(two); // what has no value stays below
        return Number.isNaN(first) - Number.isNaN(second) || sign * (Number(first > second) - Number(first < second));
      }));
    });
  });
}

function addThemeButton() {
  const names = ["auto", "light", "dark"], button = make("button", { type: "button" });
  const kept = (() => { try { return sessionStorage; } catch { return {}; } })(); // a live page reloads itself
  const show = (theme) => {
    kept.theme = document.documentElement.dataset.theme = theme;
    button.textContent = `colours: ${theme}`;
  };
  button.addEventListener("click", () => show(names[(names.indexOf(kept.theme) + 1) % names.length]));
  show(names.includes(kept.theme) ? kept.theme : names[0]);
  document.querySelector("header").append(button);
}

function makeViewer(section) {
  const crops = [...section.querySelectorAll(".comparison")];
  const methods = [...new Set([...section.querySelectorAll(".panel")].map((panel) => panel.dataset.method))];
  if (methods.length < 2) return;

  const controls = make("div", { className: "controls" });
  const addChoice = (label, className, names) => {
    const select = make("select", {}, ...names.map((name) => make("option", { textContent: name, value: name })));
    controls.append(make("label", { className }, `${label} `, select));
    select.addEventListener("change", show);
    return select;
  };
  const addButton = (textContent, title, act) => {
    controls.append(make("button", { type: "button", textContent, title }));
    controls.lastChild.addEventListener("click", act);
    return controls.lastChild;
  };
  const swap = () => { [left.selectedIndex, right.selectedIndex] = [right.selectedIndex, left.selectedIndex]; show(); };
  const toggleSmooth = () => { smooth.setAttribute("aria-pressed", stage.classList.toggle("smooth")); };
  const image = addChoice("Image", "", crops.map((crop) => crop.dataset.image));
  const left = addChoice("A", "a", methods), right = addChoice("B", "b", methods);
  addButton("swap", "key x", swap);
  const zoom = addChoice("Zoom", "", ["1×", "1.5×", "2×", "3×", "4×", "6×", "8×"]);
  const smooth = addButton("smooth", "interpolate between pixels, key s", toggleSmooth);

  const under = make("img", { alt: "" }), over = make("img", { alt: "" }), bar = make("span", { className: "bar" });
  const leftName = make("span", { className: "name l" }), rightName = make("span", { className: "name r" });
  const stage = make("div", { className: "stage", tabIndex: 0, role: "slider", ariaValueMin: 0, ariaValueMax: 100 },
    under, over, bar, leftName, rightName);
  const told = make("p", { className: "told" });
  const help = "Drag, or with the picture in focus: ← → move the line (Shift: far), ↑ ↓ other image, x swap, + − zoom, s smooth. " +
    "Click a picture below for A, with Shift for B.";
  let split = 50;

  function moveLine(value) {
    split = Math.min(100, Math.max(0, value));
    over.style.clipPath = `inset(0 ${100 - split}% 0 0)`;
    bar.style.left = `${split}%`;
    stage.ariaValueNow = Math.round(split);
  }

  function fill(picture, label, method, crop) {
    const panel = [...crop.querySelectorAll(".panel")].find((one) => one.dataset.method === method);
    picture.hidden = !panel;
    if (panel) picture.src = panel.querySelector("img").src;
    label.textContent = panel ? method : `${method}: not there`;
    return panel;
  }

  function show() {
    const crop = crops[image.selectedIndex], factor = parseFloat(zoom.value);
    const first = fill(over, leftName, left.value, crop), second = fill(under, rightName, right.value, crop);
    stage.style.width = `${crop.dataset.width * factor}px`;
    stage.style.height = `${crop.dataset.height * factor}px`;
    stage.ariaLabel = `${image.value}: ${left.value} left, ${right.value} right`;
    told.textContent = [first, second].filter((panel) => panel?.dataset.scores)
      .map((panel) => `${panel.dataset.method}: ${panel.dataset.scores}`).join("  ·  ");
    section.querySelectorAll(".panel").forEach((panel) => {
      panel.classList.toggle("left", panel === first);
      panel.classList.toggle("right", panel === second);
    });
  }

  const stepImage = (by) => { image.selectedIndex = (image.selectedIndex + by + crops.length) % crops.length; show(); };
  const stepZoom = (by) => { zoom.selectedIndex = Math.min(zoom.length - 1, Math.max(0, zoom.selectedIndex + by)); show(); };
  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    moveLine((100 * (event.clientX - box.left)) / box.width);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.focus({ preventScroll: true });
    try { stage.setPointerCapture(event.pointerId); } catch { /* a pointer made by a script has no capture */ }
    drag(event);
  });
  stage.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
  stage.addEventListener("keydown", (event) => {
    const far = event.shiftKey ? 20 : 2;
    const actions = {
      ArrowLeft: () => moveLine(split - far), ArrowRight: () => moveLine(split + far), Home: () => moveLine(0), End: () => moveLine(100),
      ArrowUp: () => stepImage(-1), ArrowDown: () => stepImage(1), x: swap, s: toggleSmooth,
      "+": () => stepZoom(1), "=": () => stepZoom(1), "-": () => stepZoom(-1),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    actions[event.key]();
    event.preventDefault();
  });
  crops.forEach((crop, index) => crop.querySelectorAll(".panel").forEach((panel) => panel.addEventListener("click", (event) => {
    image.selectedIndex = index;
    (event.shiftKey ? right : left).value = panel.dataset.method;
    show();
    stage.scrollIntoView({ block: "nearest" });
  })));

  [left.value, right.value] = [section.dataset.a, section.dataset.b];
  const fits = (factor) => crops.every(({ dataset: { width, height } }) =>
    factor * width <= section.clientWidth - 26 && factor * height <= 0.7 * innerHeight);
  zoom.selectedIndex = Math.max(0, [...zoom.options].findLastIndex(({ value }) => parseFloat(value) <= 4 && fits(parseFloat(value))));
  section.classList.add("interactive");
  crops[0].before(make("div", { className: "viewer" }, controls, make("div", { className: "scroll" }, stage), told,
    make("p", { className: "told", textContent: help })));
  smooth.setAttribute("aria-pressed", false);
  moveLine(50);
  show();
}

addThemeButton();
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".gallery").forEach(makeViewer);
