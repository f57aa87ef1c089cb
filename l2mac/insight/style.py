"""The page's style, light and dark.

Colour-blind readers can distinguish its colours (Okabe and Ito, 2008).
"""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --wash: #f5f6f8; --ink: #1c2127; --soft: #5a6572; --rule: #dde1e6;
  --blue: #0072b2; --sky: #56b4e9; --orange: #e69f00; --red: #c44a00; --green: #00805d;
  --quiet: #b4bcc6;
  --onfill: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --wash: #1d2126; --ink: #e7eaee; --soft: #9ba6b3; --rule: #323941;
    --blue: #4a9fdc; --sky: #93d0f7; --orange: #f0b73f; --red: #ff8a50; --green: #35c39a;
    --quiet: #5b6672;
    --onfill: #101316;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1120px; padding: 32px 24px 64px; background: var(--paper);
  color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans",
  sans-serif;
}
h1 {
  font-size: 24px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; overflow-wrap: anywhere;
}
h2 {
  font-size: 17px; margin: 40px 0 12px; font-weight: 650; padding-top: 14px;
  border-top: 1px solid var(--rule);
}
p { margin: 6px 0; }
code, .mono, .path {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
code, .mono { font-size: 12.5px; overflow-wrap: anywhere; }
.run, .note, .soft { color: var(--soft); }
.note { font-size: 12.5px; margin: 2px 0 0; }
.seal { font-size: 12.5px; color: var(--soft); margin: 10px 0 0; }
.task { margin: 14px 0 0; max-width: 76ch; overflow-wrap: anywhere; }
.outcome {
  display: flex; gap: 14px; align-items: baseline; margin: 18px 0 0; padding: 12px 16px;
  border-radius: 8px;
  background: var(--wash); border-left: 5px solid var(--quiet); flex-wrap: wrap;
}
.outcome.good { border-left-color: var(--blue); }
.outcome.bad { border-left-color: var(--red); }
.outcome strong { font-size: 16px; }
.outcome span { overflow-wrap: anywhere; }
dl.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 10px;
  margin: 14px 0 0;
}
dl.tiles div { background: var(--wash); border-radius: 8px; padding: 9px 12px; }
dl.tiles dt { font-size: 12px; color: var(--soft); }
dl.tiles dd {
  margin: 1px 0 0; font-size: 18px; font-weight: 600; font-variant-numeric: tabular-nums;
}
.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums;
}
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12px; white-space: nowrap; }
th, td { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td { overflow-wrap: break-word; }
td.n, th.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.state { white-space: nowrap; }
tr.total td { font-weight: 600; border-bottom: 0; }
tr.quiet td { color: var(--soft); }
.good-text { color: var(--blue); font-weight: 600; }
.bad-text { color: var(--red); font-weight: 600; }
details { margin: 10px 0; }
summary { cursor: pointer; color: var(--soft); font-size: 13.5px; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 28px 32px;
}
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption {
  font-size: 13px; margin: 0 0 6px; display: flex; flex-wrap: wrap; gap: 2px 14px;
  align-items: baseline;
}
figcaption strong { font-weight: 600; margin-right: 4px; }
.entry { color: var(--soft); font-size: 12px; white-space: nowrap; }
.key {
  display: inline-block; width: 11px; height: 11px; margin-right: 5px; border-radius: 2px;
  vertical-align: -1px;
}
figure:not(.wide) svg { max-width: 560px; }
.scroll > svg { min-width: 720px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text {
  font-size: 11px; fill: var(--soft); font-family: inherit; font-variant-numeric: tabular-nums;
}
svg text.path {
  font-size: 11px; fill: var(--ink); font-family: ui-monospace, Menlo, Consolas, monospace;
}
svg text.onfill { fill: var(--onfill); font-size: 12px; font-weight: 700; }
svg text.sign { font-size: 13px; font-weight: 700; }
.grid { stroke: var(--rule); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.boundary { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 2 3; }
.limit { stroke: var(--red); stroke-width: 1.5; stroke-dasharray: 6 4; }
.track { fill: var(--wash); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line.k1 { stroke: var(--blue); } .dot.k1 { fill: var(--blue); }
.line.k2 { stroke: var(--orange); stroke-dasharray: 7 3; } .dot.k2 { fill: var(--orange); }
.line.k3 { stroke: var(--green); stroke-dasharray: 2 3; } .dot.k3 { fill: var(--green); }
.line.k4 { stroke: var(--sky); stroke-dasharray: 9 3 2 3; } .dot.k4 { fill: var(--sky); }
.fill.k1, .fill.good, .fill.written { fill: var(--blue); }
.key.k1, .key.good, .key.written { background: var(--blue); }
.fill.k4fill, .fill.claimed, .fill.read { fill: var(--sky); }
.key.k4fill, .key.claimed, .key.read { background: var(--sky); }
.fill.bad, .fill.deleted, .sign.bad { fill: var(--red); }
.key.bad, .key.deleted { background: var(--red); }
.fill.broken, .fill.ran { fill: var(--orange); }
.key.broken, .key.ran { background: var(--orange); }
.fill.skip, .fill.exists { fill: var(--quiet); }
.key.skip, .key.exists { background: var(--quiet); }
.key.k2 { background: var(--orange); }
.key.k3 { background: var(--green); }
.key.k4 { background: var(--sky); }
.key.absent { border: 1px dashed var(--quiet); }
.key.exists { height: 3px; vertical-align: 3px; }
.key.read, .key.ran { height: 7px; vertical-align: 1px; }
.final { stroke: var(--ink); stroke-width: 2; }
footer { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--rule); }
footer { font-size: 12.5px; color: var(--soft); }
@media print {
  body { max-width: none; padding: 0; }
  h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
}
"""
