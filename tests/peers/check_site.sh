# `make site` in a real browser (Chromium: Debian's package, or what CHROMIUM names), opened from the disk: nothing is complained about or fetched, no page
# is wider than its window, search finds keys, headings and sentences, and goes there by keys alone.  No link of any page leads nowhere.
# Pictures stay in build/peers-site for who wants to look.
set -u
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
command -v cmark-gfm >/dev/null || { echo "skip site: there is no cmark-gfm (launch/scripts/setup.sh site)"; exit 0; }
pictures=$PWD/build/peers-site
mkdir -p "$pictures"
launch/scripts/site.py "$TMP/site" >"$TMP/said" 2>&1 || { echo "FAIL site: $(cat "$TMP/said")"; exit 1; }
cd "$TMP" || exit 1

# ---- links ----
"$NEW" - site <<'PY' || exit 1
import os, sys
from html.parser import HTMLParser

class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.outside = set(), [], []
        self.feed(open(path).read())
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if "id" in a:
            assert a["id"] not in self.ids, a["id"]
            self.ids.add(a["id"])
        for name in ("href", "src"):
            if name in a:
                (self.outside if "://" in a[name] else self.links).append((tag, a[name]))

folder = sys.argv[1]
pages = {f: Page(os.path.join(folder, f)) for f in sorted(os.listdir(folder)) if f.endswith(".html")}
bad, n = [], 0
for name, page in pages.items():
    bad += ["%s fetches %s" % (name, u) for tag, u in page.outside if tag != "a"]
    for _, link in page.links:
        n += 1
        path, _, anchor = link.partition("#")
        if link.startswith("data:") or path and not path.endswith(".html") and os.path.exists(os.path.join(folder, path)):
            continue
        to = pages.get(path or name)
        if to is None or anchor and anchor not in to.ids:
            bad.append("%s: %s" % (name, link))
for line in bad:
    print("FAIL site, a link:", line)
print("ok site: %d links of %d pages lead somewhere" % (n, len(pages)) if not bad and n > 500 else "FAIL site: %d bad of %d links" % (len(bad), n))
sys.exit(bool(bad))
PY
[ -n "$chromium" ] || { echo "skip site: there is no Chromium (apt-get install chromium)"; exit 0; }

# browse PAGE WIDTH HEIGHT ARGS...: its words and complaints in err
browse() { timeout 120 "$chromium" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --user-data-dir="$TMP/profile" --host-resolver-rules='MAP * ~NOTFOUND' \
               --enable-logging=stderr --window-size="$2,$3" "${@:4}" "file://$TMP/$1" 2>err; }
# Each page tells its frame what it finds out about itself; the frame collects it as its title.
cat >probe <<'E2'
<script>addEventListener("load",function(){
var q=document.querySelector("#Search input"),box=document.getElementById("Results");
function ask(t){q.value=t;q.dispatchEvent(new Event("input"));var a=box.querySelectorAll("a");return a.length?a[0].getAttribute("href")+"*"+a.length+(box.querySelector("mark")?"":"!unmarked"):"none"}
function key(k){q.dispatchEvent(new KeyboardEvent("keydown",{key:k,bubbles:true,cancelable:true}))}
document.dispatchEvent(new KeyboardEvent("keydown",{key:"/",cancelable:true}));
var focus=document.activeElement===q,key1=ask("ckpt.asyn"),head=ask("exit codes"),text=ask("hyperslab muon zzz"),word=ask("grad_norm clipping");
ask("train.l");key("ArrowDown");key("ArrowUp");key("ArrowUp");key("ArrowDown");
var chosen=box.querySelectorAll("a[aria-selected=true]").length===1?box.querySelector("a[aria-selected=true]").getAttribute("href"):"several";
parent.postMessage("["+location.pathname.split("/").pop()+location.hash+" wide "+document.documentElement.scrollWidth+" of "+innerWidth+" dark "+matchMedia("(prefers-color-scheme:dark)").matches+
" focus "+focus+" "+[key1,head,text,word].join(" ")+" chosen "+chosen+" contents "+document.querySelectorAll(".contents a").length+"]","*");
if(location.pathname.endsWith("index.html")){ask("ckpt.asyn");key("Enter")}else{key("Escape");if(!box.hidden)parent.postMessage("[open]","*")}
})</script>
E2
cp -r site probed
for f in probed/*.html; do sed -i -e "/<\/body>/{r probe
d}" "$f"; done
bad=0
pages=$(cd site && ls ./*.html | grep -v /file- | cut -c3-)
for look in light dark phone; do
    width=1440 scheme=1
    [ $look != phone ] || width=390
    [ $look != dark ] || scheme=0
    { echo "<!DOCTYPE html><body style='margin:0'><script>addEventListener('message',function(e){document.title+=e.data})</script>"
      for p in $pages; do echo "<iframe src='probed/$p' style='border:0;width:${width}px;height:900px'></iframe>"; done; } >frame.html
    browse frame.html 1440 900 --blink-settings=preferredColorScheme=$scheme --virtual-time-budget=15000 --dump-dom >dom
    sed -n 's/.*<title>\([^<]*\)<.*/\1/p' dom | head -1 | tr ']' '\n' | sed 's/^\[//' | grep . >told
    complaints=$(grep -aE 'CONSOLE|ERR_|Refused|Uncaught' err)
    for p in $pages; do grep -q "^$p wide" told || { echo "FAIL site, $p, $look: no answer"; bad=1; }; done
    wrong=$(awk -v dark=$([ $look = dark ] && echo true || echo false) '
        !($2 == "wide" && $3 <= $5 && $7 == dark && $9 == "true" && $10 ~ /^OPTIONS\.html#ckpt-async\*/ && $11 ~ /^FORMATS\.html#exit-codes\*/ && $12 == "none" &&
          $13 ~ /^FORMATS\.html#grad_norm\*/ && $10 $11 $13 !~ /!/ && $15 ~ /^OPTIONS\.html#train-l/ && $17 > 0)' told)
    [ -z "$wrong$complaints" ] || { echo "FAIL site, $look: $wrong $complaints"; bad=1; }
    grep -q '^OPTIONS.html#ckpt-async ' told || { echo "FAIL site, $look: Enter does not go to what was found"; bad=1; }
    for p in index FORMATS; do
        echo "<!DOCTYPE html><body style='margin:0'><iframe src='site/$p.html' style='border:0;width:${width}px;height:1600px'></iframe>" >shot.html
        browse shot.html $((width > 500 ? width : 500)) 1600 --blink-settings=preferredColorScheme=$scheme --screenshot="$pictures/$p-$look.png" >/dev/null
        [ -s "$pictures/$p-$look.png" ] || { echo "FAIL site, $p, $look: no picture"; bad=1; }
    done
done
[ $bad = 0 ] && echo "ok site: $(wc -w <<<"$pages") pages in Chromium, light, dark and 390 pixels wide: no complaint, nothing fetched, no wider than the window; search finds a key, a heading, a row, and Enter goes there"
exit $bad
