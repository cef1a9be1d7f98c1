# Twenty pictures that nobody here made, as a new user has them: the samples of scikit-image with the first sentence of its documentation as captions.
# Three commands by the README ("Your own pictures"), with nothing set; then each picture is asked about.
set -eu
cd "$TMP"
unset OMP_NUM_THREADS OMP_WAIT_POLICY
mkdir pictures
"$NEW" - <<'PY'
import ast, glob, importlib.util, os, shutil
home = os.path.dirname(importlib.util.find_spec("skimage").origin)
n = 0
for f in ast.parse(open(home + "/data/_fetchers.py").read()).body:
    doc = ast.get_docstring(f) if isinstance(f, ast.FunctionDef) else None
    for c in ast.walk(f) if doc and n < 20 else []:
        path = os.path.join(home, str(c.value)) if isinstance(c, ast.Constant) else ""
        if path.endswith((".png", ".jpg")) and os.path.exists(path):
            name = os.path.basename(path)
            shutil.copy(path, "pictures/" + name)
            open("pictures/%s.txt" % os.path.splitext(name)[0], "w").write(doc.split("\n\n")[0].replace("\n", " ") + "\n")
            n += 1
            break
PY
begin=$SECONDS
{ "$ASVR" init pictures/ >mine.cfg && mpirun -n 2 "$ASVR" train mine.cfg && "$ASVR" chat mine.cfg >answer; } >said 2>&1 || { echo "FAIL from twenty pictures to an answer: $(grep -am3 -A3 error said | tr '\n' ' ')"; exit 1; }
took=$((SECONDS - begin)) right=0 all=0
for p in pictures/*.png pictures/*.jpg; do
    all=$((all + 1))
    [ "$("$ASVR" chat mine.cfg --set chat.image="$p")" != "$(cat "${p%.*}.txt")" ] || right=$((right + 1))
done
[ "$all" = 20 ] && [ $right -ge 19 ] || { echo "FAIL of $all pictures $right were learned by heart"; exit 1; }
echo "ok   from twenty pictures of scikit-image to a first answer: 3 commands, $took s ($(sed -n 's/^-> small .* \([0-9.]* [a-z]*\)$/\1/p' said) predicted); $right of $all captions by heart"
