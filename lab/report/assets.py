"""Style and script of the page. They are inlined: the page fetches nothing."""

from __future__ import annotations

import json

from lab.report.palette import (
    AMBER,
    BLUE,
    GREEN,
    GRID,
    INK,
    LIGHT_TO_DARK,
    LINK,
    MUTED,
    NODE,
    SURFACE,
    VERMILION,
)

_VARIABLES = {
    "ink": INK,
    "muted": MUTED,
    "line": GRID,
    "edge": LINK,
    "surface": SURFACE,
    "soft": NODE,
    "good": GREEN,
    "bad": VERMILION,
    "mixed": AMBER,
    "link": BLUE,
}


def _variables(*, dark: bool) -> str:
    return "".join(
        f"--{name}:{LIGHT_TO_DARK[colour] if dark else colour};"
        for name, colour in _VARIABLES.items()
    )


_RULES = """
*{box-sizing:border-box}
body{margin:0;background:var(--surface);color:var(--ink);line-height:1.5;
 font:16px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:24px 24px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.25rem;margin:44px 0 8px;padding-top:12px;border-top:1px solid var(--line)}
h3{font-size:1.02rem;margin:24px 0 4px}
p,ul{max-width:92ch;margin:6px 0 10px}
.muted{color:var(--muted)}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:14px 0 0;font-size:.9rem}
a{color:var(--link)}
.banner{border:1px solid var(--line);border-left:8px solid var(--tone);padding:12px 18px;
 margin:18px 0;background:var(--soft);border-radius:4px}
.banner strong{font-size:1.15rem}
.banner p{margin:4px 0 0;max-width:none}
.good{--tone:var(--good)}.mixed{--tone:var(--mixed)}.bad{--tone:var(--bad)}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));
 gap:8px 24px;margin:16px 0}
.facts dt{font-size:.8rem;color:var(--muted)}
.facts dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:12px 0}
.plot{min-width:760px}
table{border-collapse:collapse;font-size:.88rem;min-width:min(100%,420px)}
table.scorecard{min-width:1000px;width:100%}
caption{text-align:left;color:var(--muted);font-size:.85rem;padding:0 0 6px}
th,td{text-align:left;vertical-align:top;padding:5px 14px 5px 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--muted);white-space:nowrap;border-bottom-color:var(--edge)}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.small{display:block;color:var(--muted);font-size:.8rem}
.verdict{font-weight:600;white-space:nowrap}
.verdict::before{content:"";display:inline-block;width:.7em;height:.7em;margin-right:.5em;
 border:2px solid currentColor;border-radius:50%}
.reproduced{color:var(--good)}.reproduced::before{background:currentColor}
.deviates{color:var(--bad)}.deviates::before{border-radius:0}
.unknown,.input,.reported{color:var(--muted)}
.unknown::before,.input::before,.reported::before{border-style:dotted}
.why,.long{max-width:44ch;overflow-wrap:anywhere}
.source{max-width:14ch}
.scorecard td:nth-child(2){max-width:38ch}.scorecard .why{min-width:30ch}
.gap{border-left:4px solid var(--mixed);padding:4px 12px;color:var(--muted)}
details{margin:10px 0}
summary{cursor:pointer;color:var(--link)}
@media(max-width:640px){main{padding:14px}h1{font-size:1.4rem}}
@media print{nav,.modebar{display:none}}
"""


def style() -> str:
    """The style sheet, light and dark."""
    return (
        f":root{{color-scheme:light dark;{_variables(dark=False)}}}"
        f"@media(prefers-color-scheme:dark){{:root{{{_variables(dark=True)}}}}}"
        f"@media print{{:root{{{_variables(dark=False)}}}}}{_RULES}"
    )


_DRAW = """
(function(){
 var swap=%s, wish=window.matchMedia("(prefers-color-scheme: dark)");
 function rgba(hex){return [1,3,5].map(function(i){return parseInt(hex.substr(i,2),16)}).join(",")}
 function dressed(text){
  if(!wish.matches)return text;
  Object.keys(swap).forEach(function(light){
   text=text.split('"'+light+'"').join('"'+swap[light]+'"');
   text=text.split("rgba("+rgba(light)+",").join("rgba("+rgba(swap[light])+",");
  });
  return text;
 }
 function draw(){
  document.querySelectorAll(".plot").forEach(function(place){
   var folded=place.closest("details");
   if(folded&&!folded.open)return;
   var figure=JSON.parse(dressed(place.nextElementSibling.textContent));
   figure.config={responsive:true,displaylogo:false,plotlyServerURL:"",modeBarButtonsToRemove:
    ["sendChartToCloud","lasso2d","select2d","autoScale2d"]};
   Plotly.react(place,figure);
  });
 }
 document.querySelectorAll("details").forEach(function(part){
  part.addEventListener("toggle",draw);
 });
 draw();
 wish.addEventListener("change",draw);
})();
"""


def script() -> str:
    """The script that draws every figure of the page and follows the reader's colour scheme."""
    return _DRAW % json.dumps(LIGHT_TO_DARK)
