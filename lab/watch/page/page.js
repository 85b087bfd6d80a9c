"use strict";
// Draws what the events say: "lab" the wiring, "view" the numbers, "gone" that there is no lab.
const WIDTH = 1280, LAYER_HEIGHT = 120, MARGIN = 26, SPARK = 120;
const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const links = new Map(); // "s1:3" -> the line out of that port and its mark
const boxes = new Map(); // node -> its box
let sparks = [], sparkOf = "", lastSeconds = 0;

const svg = (name, attributes, inside = []) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};

const put = (id, text) => { byId(id).textContent = text; };

function places(layers) {
  const at = new Map();
  layers.forEach((nodes, row) => nodes.forEach((node, index) => at.set(node, {
    x: (index + 0.5) * WIDTH / nodes.length, y: MARGIN + row * LAYER_HEIGHT,
  })));
  return at;
}

// The two directions of a cable lie side by side; the mark of a port sits near its node.
function drawDirection(node, port, here, there) {
  const length = Math.hypot(there.x - here.x, there.y - here.y) || 1;
  const across = { x: -(there.y - here.y) / length * 1.6, y: (there.x - here.x) / length * 1.6 };
  const near = Math.min(22, length / 3) / length;
  const title = svg("title", {}, [""]);
  const line = svg("line", {
    x1: here.x + across.x, y1: here.y + across.y, x2: there.x + across.x, y2: there.y + across.y,
  }, [title]);
  const mark = svg("circle", {
    cx: here.x + across.x + (there.x - here.x) * near,
    cy: here.y + across.y + (there.y - here.y) * near, r: 4,
  });
  links.set(`${node}:${port}`, { line, mark, title });
  return [line, mark];
}

function drawNode(node, at, host) {
  const [wide, high] = host ? [15, 13] : [26, 20];
  const box = svg("rect", { x: at.x - wide / 2, y: at.y - high / 2, width: wide, height: high, rx: 3 });
  boxes.set(node, box);
  const label = svg("text", { x: at.x, y: at.y }, [host ? node.slice(1) : node]);
  return svg("g", { class: host ? "host" : "switch" }, [box, label, svg("title", {}, [node])]);
}

function drawLab(lab) {
  links.clear();
  boxes.clear();
  const at = places(lab.layers);
  const lines = [], marks = [];
  for (const [a, aPort, b, bPort] of lab.cables) {
    for (const [node, port, other] of [[a, aPort, b], [b, bPort, a]]) {
      const [line, mark] = drawDirection(node, port, at.get(node), at.get(other));
      lines.push(line);
      marks.push(mark);
    }
  }
  const last = lab.layers.length - 1;
  const nodes = lab.layers.flatMap((row, layer) =>
    row.map((node) => drawNode(node, at.get(node), layer === last)));
  const height = 2 * MARGIN + last * LAYER_HEIGHT;
  byId("picture").replaceChildren(svg("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `the wiring of ${lab.topology}`,
  }, [...lines, ...nodes, ...marks]));
  put("title", `${lab.lab_id}: ${lab.topology}`);
  document.title = `${lab.topology} - lab watch`;
}

const isCongested = (link) => link.quenching > 0 || link.stopped || link.queued_cells >= 100;
const percent = (part) => `${Math.round(100 * part)} %`;

function heat(link) {
  if (link.cut) return "cut";
  const bounds = [0.01, 0.3, 0.6, 0.95];
  const reached = bounds.filter((bound) => link.utilisation >= bound).length;
  return `u${reached}`;
}

function showLinks(view) {
  const hot = new Set();
  for (const link of view.links) {
    const drawn = links.get(`${link.node}:${link.port}`);
    if (!drawn) continue;
    const congested = isCongested(link);
    if (congested) hot.add(link.node);
    drawn.line.setAttribute("class", heat(link));
    drawn.mark.setAttribute("class", congested ? (link.stopped ? "on stopped" : "on") : "");
    drawn.title.textContent = `${link.node}:${link.port} to ${link.to}:${link.to_port}, busy ` +
      `${percent(link.utilisation)}, ${link.queued_cells} cells wait`;
  }
  for (const [node, box] of boxes) box.setAttribute("class", hot.has(node) ? "hot" : "");
}

function fill(id, rows) {
  byId(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

function showTables(view) {
  const congested = view.links.filter(isCongested)
    .sort((a, b) => b.quenching - a.quenching || b.queued_cells - a.queued_cells);
  put("congested", congested.length);
  fill("ports", congested.slice(0, 14).map((link) => [
    `${link.node}:${link.port}`, link.to, whole.format(link.queued_cells), link.quenching,
    percent(link.utilisation), link.stopped ? "stopped" : "",
  ]));
  put("moving", view.streams.length);
  fill("streams", view.streams.slice(0, 20).map((stream) => [
    stream.name, stream.src, stream.dst, tenth.format(stream.mbyte_per_s),
    whole.format(stream.messages_per_s), whole.format(stream.queued_cells),
    stream.held ? "held" : "",
  ]));
}

function showSpark(view) {
  if (sparkOf !== view.lab_id + view.pass_name || view.virtual_s < lastSeconds) sparks = [];
  sparkOf = view.lab_id + view.pass_name;
  lastSeconds = view.virtual_s;
  if (view.interval_s > 0) sparks = [...sparks, view.quenches_per_s].slice(-SPARK);
  const top = Math.max(...sparks, 1);
  const points = sparks.map((value, i) => `${SPARK - sparks.length + i + 1},${29 - 28 * value / top}`);
  byId("spark").firstElementChild.setAttribute("points", points.join(" "));
}

function showView(view) {
  document.body.classList.remove("gone");
  put("state", `pass ${view.pass_name || "none yet"}, flow control ${view.flow_control}, ` +
    `virtual time ${view.virtual_s.toFixed(4)} s`);
  put("about", `${view.run || "by hand"}; dilation ${view.dilation}; every figure is in virtual time`);
  put("mbyte", tenth.format(view.mbyte_per_s));
  put("messages", whole.format(view.messages_per_s));
  put("queued", whole.format(view.queued_cells));
  put("lost", whole.format(view.lost));
  byId("lost").classList.toggle("bad", view.lost > 0);
  put("stops", whole.format(view.stops_per_s));
  put("quenches", whole.format(view.quenches_per_s));
  showLinks(view);
  showTables(view);
  showSpark(view);
}

function showGone(gone) {
  document.body.classList.add("gone");
  put("state", gone.waiting ? "no lab is standing; waiting for one" : "the lab does not stand any more");
}

const events = new EventSource("events");
events.addEventListener("lab", (event) => drawLab(JSON.parse(event.data)));
events.addEventListener("view", (event) => showView(JSON.parse(event.data)));
events.addEventListener("gone", (event) => showGone(JSON.parse(event.data)));
events.onerror = () => {
  document.body.classList.add("gone");
  put("state", "`lab watch --web` does not answer; trying again");
};
