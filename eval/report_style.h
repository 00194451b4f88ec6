/* The style of a report: light and dark by the reader's preference, one column on a phone. */
#ifndef LENS_EVAL_REPORT_STYLE_H
#define LENS_EVAL_REPORT_STYLE_H

/* c0..c5 are the colours of series (CHART_MAX_SERIES). No '&' and no '<': the page is well formed as XML too. */
#define REPORT_STYLE                                                                                                   \
    ":root{--page:#fcfcfa;--card:#fff;--ink:#1e2124;--soft:#62686f;--line:#e3e3de;--note:#8a5a00;--note-page:#fdf6e6;" \
    "--c0:#2563a8;--c1:#c4621a;--c2:#3d8651;--c3:#8254a5;--c4:#a83a52;--c5:#4f7f8c}\n"                                 \
    "@media(prefers-color-scheme:dark){:root{--page:#16181b;--card:#1d2024;--ink:#e4e5e3;--soft:#9aa1a8;"              \
    "--line:#30343a;--note:#e2b866;--note-page:#2a2417;"                                                               \
    "--c0:#74abe8;--c1:#e6955a;--c2:#78bd8a;--c3:#b896d8;--c4:#e08496;--c5:#88b8c4}}\n"                                \
    "*{box-sizing:border-box}\n"                                                                                       \
    "html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}\n"                                                     \
    "body{margin:0;background:var(--page);color:var(--ink);"                                                           \
    "font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}\n"                    \
    "main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}\n"                                                    \
    "h1{font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0 0 12px;"                        \
    "overflow-wrap:anywhere}\n"                                                                                        \
    "h2{font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-.01em;margin:0 0 20px;"                         \
    "padding-top:20px;border-top:1px solid var(--line);overflow-wrap:anywhere}\n"                                      \
    "h2 em{font-style:normal;font-weight:400;color:var(--soft);margin-left:.3em}\n"                                    \
    "h3{font-size:16px;font-weight:650;margin:36px 0 14px}\n"                                                          \
    "section{margin-top:52px}\n"                                                                                       \
    "nav{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:14.5px}\n"                                                 \
    "a{color:var(--c0);text-decoration:none}a:hover{text-decoration:underline}\n"                                      \
    "footer,.aside{color:var(--soft);font-size:14px}footer{margin-top:52px;border-top:1px solid var(--line);"          \
    "padding-top:16px}\n"                                                                                              \
    ".note{background:var(--note-page);color:var(--note);font-size:14.5px;margin:0 0 10px;padding:8px 14px;"           \
    "border-radius:6px;overflow-wrap:anywhere}.note+dl{margin-top:24px}\n" /* headline figures */                      \
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(190px,1fr));gap:22px 28px;margin:0}\n"        \
    ".figures>div{min-width:0}.figures .wide{grid-column:span 2}\n"                                                    \
    ".figures dt{color:var(--soft);font-size:13.5px;line-height:1.4}\n"                                                \
    ".figures dd{margin:0;font-size:23px;line-height:1.3;font-weight:600;letter-spacing:-.01em;"                       \
    "font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\n"                                                      \
    ".figures .wide dd{font-size:16px;line-height:1.45;padding-top:4px;font-weight:500;letter-spacing:0}\n"            \
    ".figures dd.detail,.figures .wide dd.detail{color:var(--soft);font-size:13.5px;line-height:1.4;"                  \
    "font-weight:400;letter-spacing:0;padding:0}\n" /* charts */                                                       \
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:32px 40px;"          \
    "margin-top:36px}\n"                                                                                               \
    "figure{margin:0;min-width:0}\n"                                                                                   \
    ".chart figcaption{display:flex;flex-wrap:wrap;gap:0 12px;align-items:baseline;font-size:14.5px;"                  \
    "margin-bottom:6px}\n"                                                                                             \
    ".chart b{font-weight:600}.unit{color:var(--soft)}\n"                                                              \
    ".key{color:var(--c);font-weight:500;white-space:nowrap}\n"                                                        \
    ".key::before{content:'';display:inline-block;width:.8em;height:3px;border-radius:2px;background:var(--c);"        \
    "margin-right:.4em;vertical-align:.25em}\n"                                                                        \
    "svg{display:block;width:100%;height:auto;overflow:visible}\n"                                                     \
    "svg text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}\n"                                    \
    "svg .y,svg .label{text-anchor:end}svg .x{text-anchor:middle}\n"                                                   \
    ".grid,.axis,.tick{stroke:var(--line);fill:none}.axis,.tick{stroke:var(--soft)}\n"                                 \
    ".line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"                   \
    ".line.faint{stroke-width:1;opacity:.4}.line.dots{stroke-width:9}.arms "                                           \
    "img{width:100%;image-rendering:pixelated}\n"                                                                      \
    ".area{fill:var(--c);fill-opacity:.22;stroke:var(--c);stroke-width:1.4;stroke-linejoin:round}\n"                   \
    ".mark{fill:var(--c);fill-opacity:.8}.mark:hover{fill-opacity:1}\n"                                                \
    ".hit{fill:transparent}.hit:hover{fill:var(--soft);fill-opacity:.14}\n"                                            \
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}"                       \
    ".c5{--c:var(--c5)}\n" /* samples */                                                                               \
    "img{display:block;max-width:100%;height:auto;border-radius:6px}\n"                                                \
    ".last-sheet{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:24px 40px}\n"                      \
    ".last-sheet h3{margin-top:0}.last-sheet img,.sheets img{width:100%}\n"                                            \
    ".sheets{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:18px 16px}\n"                  \
    ".last-sheet figcaption,.sheets figcaption{color:var(--soft);font-size:13.5px;margin-top:6px}\n"                   \
    ".prompts{margin:0;padding-left:2em;font-size:14.5px;line-height:1.5}.prompts li{padding:0 0 7px 4px}\n"           \
    ".prompts li::marker{color:var(--soft);font-variant-numeric:tabular-nums}\n" /* pictures with captions */          \
    ".cards{display:grid;gap:28px}\n"                                                                                  \
    "article{display:grid;grid-template-columns:240px minmax(0,1fr);gap:28px;padding-bottom:28px;"                     \
    "border-bottom:1px solid var(--line)}article:last-child{border:0}\n"                                               \
    "article figcaption{color:var(--soft);font-size:13px;margin-top:6px;"                                              \
    "overflow-wrap:anywhere}article figcaption span{white-space:nowrap;margin-left:.6em}\n"                            \
    "h4{font-size:13.5px;font-weight:500;margin:0 0 2px}h4 small{font-size:13px;font-weight:400;"                      \
    "color:var(--soft);margin-left:.4em}\n"                                                                            \
    "article p{margin:0 0 16px;max-width:68ch;overflow-wrap:anywhere}article .none{color:var(--soft)}\n" /* tables and \
                                                                                                            texts */   \
    ".scroll{overflow-x:auto;margin-top:30px}\n"                                                                       \
    "table{border-collapse:collapse;font-size:14.5px}\n"                                                               \
    "th,td{padding:7px 0 7px 24px;text-align:right;border-bottom:1px solid var(--line);"                               \
    "font-variant-numeric:tabular-nums;white-space:nowrap;font-weight:400}\n"                                          \
    "th:first-child{text-align:left;padding-left:0}thead th{color:var(--soft);font-size:13.5px}\n"                     \
    ".compared{width:100%}.compared th:first-child{white-space:normal;overflow-wrap:anywhere;min-width:9em}\n"         \
    ".kinds{width:100%}.kinds tbody th{font-weight:600}\n"                                                             \
    ".funnel{width:100%}.funnel tbody th{font-weight:600}.funnel .limit{text-align:left;color:var(--soft)}"            \
    ".funnel thead th:nth-child(2){text-align:left}.funnel .bar{width:36%}.funnel svg{height:14px}"                    \
    ".left{fill:var(--c);fill-opacity:.75}.dropped{fill:var(--c);fill-opacity:.22}\n"                                  \
    ".facts{width:100%}.facts th{color:var(--soft);width:8.5em;vertical-align:top}"                                    \
    ".facts td{text-align:left;white-space:normal;overflow-wrap:anywhere;padding-left:12px}\n"                         \
    "details{margin-top:24px}summary{cursor:pointer;font-size:14.5px;color:var(--c0)}\n"                               \
    "pre{font:13px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--card);"                  \
    "border:1px solid var(--line);border-radius:6px;padding:14px 18px;overflow-x:auto}\n"                              \
    "@media(max-width:700px){main{padding:24px 16px 48px}h1{font-size:25px}"                                           \
    ".figures{grid-template-columns:1fr 1fr;gap:18px 20px}.figures dd{font-size:20px}"                                 \
    ".last-sheet,article{grid-template-columns:minmax(0,1fr)}article{gap:14px}"                                        \
    ".sheets{grid-template-columns:1fr 1fr 1fr;gap:12px}svg text{font-size:15px}section{margin-top:40px}}\n"           \
    "@media(max-width:900px){.compared th,.compared td{padding-left:14px}.compared th:first-child{padding-left:0}}\n"  \
    "@media print{.hit,nav{display:none}section,figure,article{break-inside:avoid}}\n"

#endif
