"""The look of every report: one style sheet, light and dark, screen and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f6f7f8; --ink: #1b2126; --quiet: #5c6770; --rule: #d9dee2;
  --c0: #c8571b; --c1: #2768b0; --c2: #2f855a; --c3: #8456a5; --c4: #a67c00; --c5: #5b6770;
  --train: #2768b0; --val: #d08a00; --test: #b83280; --buffer: #9aa5ad; --bad: #c0392b;
  --land: #eef1f3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181b; --panel: #1d2327; --ink: #e8ecef; --quiet: #9dabb5; --rule: #343d43;
    --c0: #f08a4b; --c1: #6aa5ea; --c2: #5cc48d; --c3: #bd93dd; --c4: #d9b23f; --c5: #a3b0b9;
    --train: #6aa5ea; --val: #f0b03a; --test: #ec7bb4; --buffer: #74808a; --bad: #f0776a;
    --land: #20272b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main, header, footer { max-width: 1180px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 44px; }
h1 { font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.015em; margin: 0; }
h2 { font-size: 19px; line-height: 1.3; font-weight: 650; letter-spacing: -.005em; margin: 0; }
h3 { font-size: 14px; font-weight: 650; margin: 0 0 8px; }
h3.sub { margin: 26px 0 8px; } h3.sub:first-child { margin-top: 0; }
p { margin: 0 0 10px; max-width: 76ch; }
a { color: inherit; text-decoration-color: var(--quiet); text-underline-offset: 3px; }
.kicker { font-size: 12px; letter-spacing: .09em; text-transform: uppercase; margin: 0 0 6px;
  color: var(--quiet); }
.lead { font-size: 17px; color: var(--quiet); margin: 8px 0 0; }
.quiet { color: var(--quiet); }
.note { font-size: 13px; color: var(--quiet); max-width: 110ch; }
.warn { border-left: 3px solid var(--val); background: var(--panel); padding: 10px 14px;
  margin: 0 0 14px; }
.after { margin-top: 12px; }
.warn p { margin: 0; max-width: none; } .warn p + p { margin-top: 6px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr));
  margin: 26px 0 0; border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); }
.figures div { padding: 14px 16px 12px 0; }
.figures b { display: block; font-size: 23px; line-height: 1.15; font-weight: 620;
  letter-spacing: -.01em; }
.figures span { font-size: 12.5px; color: var(--quiet); }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 12px 0 0; font-size: 13px; }
nav a { color: var(--quiet); text-decoration: none; }
nav a:hover { color: var(--ink); text-decoration: underline; }
section { padding: 40px 0 0; }
section > .head { border-bottom: 1px solid var(--rule); padding-bottom: 8px;
  margin-bottom: 16px; }
section > .head p { margin: 2px 0 0; font-size: 13.5px; color: var(--quiet); max-width: 110ch; }
.grid { display: grid; gap: 26px 30px; }
.two { grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); }
.three { grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.grid > * { min-width: 0; }
.narrow { max-width: 760px; }
figure { margin: 0; }
figcaption { font-size: 12px; line-height: 1.4; color: var(--quiet); padding-top: 5px;
  overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg + .scroll, svg + h3 { margin-top: 16px; }
svg text { fill: var(--quiet); font-size: 11px; font-family: inherit; }
svg .axis { stroke: var(--rule); stroke-width: 1; }
svg .strong { fill: var(--ink); }
.picture { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated;
  background: repeating-linear-gradient(45deg, var(--panel) 0 5px, var(--rule) 5px 6px); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--rule);
  vertical-align: baseline; }
th { font-weight: 600; font-size: 12.5px; color: var(--quiet); white-space: nowrap; }
thead th { border-bottom-color: var(--quiet); }
th.n, td.n { text-align: right; white-space: nowrap; }
td:last-child, th:last-child { padding-right: 0; }
td.best { font-weight: 680; }
.id { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12px;
  overflow-wrap: anywhere; }
.bar { display: block; height: 12px; min-width: 1px; background: var(--c1); }
.barcell { width: 36%; }
.key { display: inline-block; width: 11px; height: 11px; margin: 0 6px 0 0; border-radius: 2px;
  vertical-align: -1px; }
.legend { display: flex; flex-wrap: wrap; gap: 3px 18px; font-size: 12.5px; color: var(--quiet);
  margin: 0 0 12px; }
.sample { border-bottom: 1px solid var(--rule); padding: 14px 0 16px; break-inside: avoid; }
.sample:first-child { padding-top: 0; }
.sample > p { font-size: 13px; margin: 0 0 8px; max-width: none; }
.strip { display: grid; gap: 10px; }
details { margin: 12px 0; } summary { cursor: pointer; font-size: 13.5px; color: var(--quiet); }
pre { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; margin: 8px 0;
  padding: 14px 16px; background: var(--panel); overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 0 0 14px;
  font-size: 13.5px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.compare { position: relative; --cut: 50%; user-select: none;
  background: repeating-linear-gradient(45deg, var(--panel) 0 5px, var(--rule) 5px 6px); }
.compare img { display: block; width: 100%; image-rendering: pixelated; }
.compare .over { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--cut)); }
.compare .seam { position: absolute; top: 0; bottom: 0; left: var(--cut); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 0 1px rgb(0 0 0 / .45);
  pointer-events: none; }
.compare input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; }
.compare .tag { position: absolute; top: 12px; padding: 3px 9px; font-size: 12.5px;
  color: #fff; background: rgb(0 0 0 / .62); border-radius: 3px; pointer-events: none; }
.compare .left { left: 12px; } .compare .right { right: 12px; }
footer { color: var(--quiet); font-size: 12.5px; padding-top: 44px; padding-bottom: 44px; }
@media print {
  :root { --paper: #fff; --panel: #f6f7f8; --ink: #000; --quiet: #444; --rule: #ccc; }
  body { font-size: 10.5pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  header { padding-top: 0; } nav { display: none; }
  main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  figure, table, .sample { break-inside: avoid; } .head, h3 { break-after: avoid; }
  .three { grid-template-columns: repeat(3, 1fr); }
  .figures { grid-template-columns: repeat(6, 1fr); }
  section { padding-top: 22pt; }
}
"""
