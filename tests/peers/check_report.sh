# `asvr report` in a real browser (Chromium: Debian's package, or what CHROMIUM names): nothing is complained about or fetched, values appear under
# the pointer, no page is wider than its window, in light, dark and on a phone.  The pictures stay in build/peers-report for who wants to look.
set -u
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -n "$chromium" ] || { echo "skip report: there is no Chromium (apt-get install chromium)"; exit 0; }
config=$PWD/configs/tiny.cfg tables=$PWD/tests/golden/kits pictures=$PWD/build/peers-report
mkdir -p "$pictures"
cd "$TMP" || exit 1

small=(--set text.model=text.model --set data.set=shards/index.set --set data.samples=48 --set data.val_samples=14 --set train.global_batch=8 --set chat.max_new=4)
"$ASVR" pack "$config" "${small[@]}" >said 2>&1 || { cat said; exit 1; }
for lr in 1e-3 3e-3; do
    "$ASVR" train "$config" "${small[@]}" --set run.dir=run-$lr --set train.lr=$lr --set train.steps=60 --set eval.every=15 --set ckpt.best=mean --set ckpt.every=20 --set ckpt.keep=9 >said 2>&1 || { cat said; exit 1; }
done
for step in 20 40 60; do
    "$ASVR" eval "$config" "${small[@]}" --set run.dir=run-1e-3 --set eval.from=run-1e-3/ckpt/step-000000$step --set eval.tsv="$tables/POPE.tsv" >said 2>&1 || { cat said; exit 1; }
done
"$ASVR" eval "$config" "${small[@]}" --set run.dir=run-1e-3 >said 2>&1 || { cat said; exit 1; }
# What no real run of a minute has: many steps, a spike, steps that are not finite, lives, all depths.
mkdir 'long <b>&"'
awk 'BEGIN { srand(3); for (s = 1; s <= 20000; s++) {
    printf "{\"step\": %d, \"time\": %.3f, \"samples\": %d, \"tokens\": 640, \"loss\": %s, \"loss_text\": %.6g, \"loss_visual\": %.6g, \"loss_visual_depth\": [", s, 1.7e9 + s / 2, 8 * s, s % 4001 == 0 ? "null" : 1 + 3 * exp(-s / 5000) + 0.2 * rand() + 40 * (s == 9999), 1 + rand(), 3 + rand()
    for (q = 0; q < 8; q++) printf "%s%.6g", q ? ", " : "", 3 + q / 4 + exp(-s / 4000) + 0.1 * rand()
    printf "], \"grad_norm\": %.6g, \"lr\": %.6g, \"skipped\": %d, \"tokens_per_s\": %.6g, \"samples_per_s\": %.6g, \"flops_share\": 0.5, \"t_step\": 0.4, \"t_data\": %.6g, \"t_forward\": 0.1, \"t_backward\": 0.2, \"t_reduce\": 0.05, \"t_optim\": 0.03, \"t_ckpt\": 0, \"rss_mb\": 900, \"straggler\": null, \"restart\": %d, \"world\": 2, \"dp\": 2, \"tp\": 1, \"threads\": 1}\n", exp(rand()), 1e-3 * (1 - s / 20000), 0, 1e4 + 1e3 * rand(), 20 + rand(), 0.01 * rand(), (s > 7000)
} }' >'long <b>&"/run.jsonl'
"$ASVR" report run-1e-3 --out=one.html && "$ASVR" report 'long <b>&"' --out=long.html && "$ASVR" report run-1e-3 run-3e-3 'long <b>&"' --out=several.html || exit 1

# browse PAGE WIDTH HEIGHT ARGS...: its words and complaints in err
browse() { timeout 120 "$chromium" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars --user-data-dir="$TMP/profile" --host-resolver-rules='MAP * ~NOTFOUND' \
               --enable-logging=stderr --window-size="$2,$3" "${@:4}" "file://$TMP/$1" 2>err; }
# A frame is as narrow as a phone; a browser's window need not be.  What the page finds out about itself it tells its frame, and that its title.
# Each view of a page is chosen, one after the other; drawings of the others must be away.
probe='<script>addEventListener("load",function(){var n=0,shown=[],views=document.querySelectorAll("input[name=view]");for(var w=0;w<Math.max(1,views.length);w++){if(views.length)views[w].click();
    document.querySelectorAll("svg.plot").forEach(function(s){if(s.querySelector("path.m")===null)return;var f=s.parentNode.className.match(/w(\d)/),here=s.getClientRects().length>0;
    if(here===Boolean(f&&Number(f[1])!==w))n+=1000;if(!here)return;n++;
    var r=s.getBoundingClientRect();s.dispatchEvent(new PointerEvent("pointermove",{clientX:r.left+r.width/2,clientY:r.top+9}));
    var t=s.parentNode.querySelector(".tip");if(t)if(/^step\d+.*\d/.test(t.textContent))shown.push(1);s.dispatchEvent(new PointerEvent("pointerleave"))})}
    parent.postMessage("plots "+n+" shown "+shown.length+" wide "+document.documentElement.scrollWidth+" of "+innerWidth+" dark "+matchMedia("(prefers-color-scheme:dark)").matches+" views "+views.length,"*")})</script>'
bad=0
for page in one long several; do
    sed "s|</body></html>||" $page.html >probed-$page.html
    echo "$probe</body></html>" >>probed-$page.html
    for look in light dark phone first; do
        [ $page != several ] && [ $look = first ] && continue
        width=1400 scheme=1
        [ $look != phone ] || width=390
        [ $look != dark ] || scheme=0
        echo "<!DOCTYPE html><body style='margin:0'><script>addEventListener('message',function(e){document.title=e.data})</script><iframe src='probed-$page.html' style='border:0;width:${width}px;height:3000px'></iframe>" >frame.html
        browse frame.html $((width > 500 ? width : 500)) 3000 --blink-settings=preferredColorScheme=$scheme --virtual-time-budget=8000 --dump-dom >dom
        said=$(sed -n 's/.*<title>\(plots [^<]*\)<.*/\1/p' dom | head -1)
        complaints=$(grep -aE 'CONSOLE|ERR_|Refused|Uncaught' err)
        read -r _ plots _ shown _ wide _ window _ dark _ views <<<"$said"
        if [ -z "$said" ] || [ -n "$complaints" ] || [ "${plots:-0}" -lt 8 ] || [ "$views" != $([ $page = several ] && echo 2 || echo 0) ] || [ "$plots" != "$shown" ] || [ "$wide" -gt "$window" ] || [ "$dark" != "$([ $look = dark ] && echo true || echo false)" ]; then
            echo "FAIL report, $page, $look: ${said:-no answer} $complaints"
            bad=1
        fi
        sed 's/ checked="checked"//; s/id="w1"/& checked="checked"/' $page.html >first-$page.html
        sed "s|probed-$page|$([ $look = first ] && echo first-)$page|" frame.html >shot.html
        browse shot.html $((width > 500 ? width : 500)) 3000 --blink-settings=preferredColorScheme=$scheme --screenshot="$pictures/$page-$look.png" >/dev/null
        [ -s "$pictures/$page-$look.png" ] || { echo "FAIL report, $page, $look: no picture"; bad=1; }
    done
done
[ $bad = 0 ] && echo "ok report: three pages in Chromium, light, dark and 390 pixels wide, in each view: no complaint, nothing fetched, values under the pointer, no wider than the window"
exit $bad
