"""Tables in the layout of each benchmark, nasty answers to them, and what lmms-eval and VLMEvalKit make of those: for check_kits.py and tests/ref/kits.py."""
import ast, base64, contextlib, importlib, importlib.util, math, os, random, re, sys, types

KINDS = "TextVQA_VAL DocVQA_VAL OCRBench ChartQA_TEST MMBench_DEV_EN MME SEEDBench_IMG GQA_TestDev_Balanced MMMU_DEV_VAL AI2D_TEST RealWorldQA MMVP HallusionBench POPE MMStar".split()
OCR = ["Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition", "Handwriting Recognition", "Digit String Recognition",
       "Non-Semantic Text Recognition", "Scene Text-centric VQA", "Doc-oriented VQA", "Key Information Extraction", "Handwritten Mathematical Expression Recognition"]
MME = ["existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR", "commonsense_reasoning",
       "numerical_calculation", "text_translation", "code_reasoning"]
STAR = {"coarse perception": ["image scene and topic", "image emotion"], "math": ["geometry", "statistical reasoning"], "logical reasoning": ["common reasoning"]}
WORDS = ["red", "blue", "a dog", "the cat", "two", "none", "don't", "Coca-Cola", "35%", "1,200", "3.5", "0.35", "New York", "l'eau", "Straße", "İstanbul", "日本", "été",
         "ﬁne print", "isnt", "12", "$5.00", "yes", "no", "wont", "a b c", "e.g.", "x=2", "“quoted”", "1/2", "10 a.m.", "ten", "St. John's", "half-life", "-7", "1e3", "", "nokia",
         "the answer", "A red car", "Ｎｏｋｉａ", "12.50", ".5", "north east", "can't", "couldn't've", "U.S.A.", "it's", "what?", "Mr. A. B."]
PIXELS = base64.b64encode(b"P6 8 8 255\n" + bytes(range(192))).decode()
NAN = float("nan")


def letters(r, n=5):
    """An answer that names an option somehow, or not."""
    c, d = r.choice("ABCDE"[:n]), r.choice("ABCDEFG")
    return r.choice([c, c, c, c + ".", "(%s)" % c, c.lower(), "The answer is (%s)." % c, "The answer is %s" % c, "answer is **%s**" % c, "%s. %s" % (c, r.choice(WORDS)), "%s: because" % c, "Option %s" % c,
        "I think it is %s" % c, "Either %s or %s" % (c, d), "(%s) or (%s)" % (c, d), "A dog is %s here now" % c, "%s and not %s, so the correct choice is %s" % (c, d, d), "  %s\n" % c, "%s)" % c, "%s," % c,
        "答案是%s" % c, "정답은 %s 입니다" % c, "", " ", ".", "none of them", r.choice(WORDS), "It shows %s" % r.choice(WORDS), "Cannot determine the answer", "Z", "'%s'" % c, "%s\n\nBecause %s is wrong" % (c, d), ": %s" % c,
        "My answer is %sbc" % c, "best option is: %s!" % c, "The İ answer is %s" % c, "%s%s" % (c, d), "option because it is %s." % c, "A", "a", "b", "É %s" % c, "%sé" % c, "Failed to obtain answer via API",
        "the one with the %s in the middle of it all" % r.choice(WORDS), "%s is the one that can be seen in the picture, without any doubt at all" % c, "(%s)%s" % (c, d), "%s . %s" % (c, d), "#%s!" % c, "*%s*" % c])


def yesno(r):
    y = r.choice(["yes", "no"])
    return r.choice([y, y, y.capitalize(), y.upper(), y.capitalize() + ".", "%s, it is" % y, "Yes and no", "There is %s car" % y, "maybe", "", "y", "n", "Y.", "No, yes", " %s " % y, "y e s", "nothing", "eyes", "not", "“%s”" % y,
        "(%s)" % y, "I know", "%s!" % y, "%s-ish" % y, "The answer is %s." % y, "yes,no", "no.yes", "Nо", "yés", "%s\n%s" % (y, y), "%s\t" % y, "/%s" % y, "unknown", "1,2 %s" % y, "n.o.", "Yes;", "ye", "no1", "NO?"])


def phrase(r, right):
    a = r.choice(right) if right else ""
    return r.choice([a, a, a, a.lower(), a.upper(), a + ".", "The " + a, a + "!", "%s %s" % (a, r.choice(WORDS)), r.choice(WORDS), "", a.replace(" ", ""), a[:-1], a + "s", "  %s " % a, a.replace("'", ""), "the answer is %s" % a,
        a.replace(",", ""), a + "%", a.rstrip("%"), "\n%s\nok" % a, a.replace("-", " "), a + ", " + a, a.title(), "%s.%s" % (a, r.choice(WORDS)), "(%s)" % a, a + " / " + r.choice(WORDS), a.swapcase(), "%s\t%s" % (a, a), "[5]"])


def number(r):
    x = r.choice([r.randint(0, 30), round(r.uniform(0, 100), 2), r.randint(1000, 90000), 0, round(r.uniform(-3, 3), 3)])
    return r.choice(["%s" % x, "%s%%" % x, "{:,}".format(x), "%s" % x, "1e3", "nan", "inf", "1_000", ".5", "+3", " 7 ", "$%s" % x, "%s." % x])


def near(r, s):
    with contextlib.suppress(ValueError):
        x = float(s.rstrip("%").replace(",", ""))
        return r.choice(["%s" % (x * r.choice([1, 1, 1.04, 0.951, 1.05, 0.95, 1.06, 0.5])), s, "%g%%" % (x * r.choice([1, 100])), "%g" % (x / 100), "%s dollars" % s, "approximately %s" % s, "{:,}".format(x)])
    return phrase(r, [s])


def choices(r, row, n):
    for i, o in enumerate(r.sample([w for w in WORDS if w and w not in ("none",)], n)):
        row["ABCDEFGH"[i]] = o
    row["answer"] = "ABCDEFGH"[r.randrange(n)]


def rows(name, n, seed):
    """n rows as VLMEvalKit's table of that benchmark has them, and an answer to each."""
    r, out = random.Random("%s %d" % (name, seed)), []
    for i in range(n):
        row = {"index": i, "question": "What, \"%d\"?\n%s" % (i, r.choice(WORDS))}
        if name.startswith("TextVQA"):
            some = [r.choice(WORDS) or "x" for _ in range(2)]
            row["answer"] = [r.choice(some) if r.random() < 0.8 else r.choice(WORDS) for _ in range(10)]
            said = phrase(r, row["answer"])
        elif name.startswith("DocVQA"):
            row["answer"] = [r.choice(WORDS) or "x" for _ in range(r.randint(1, 3))]
            said = phrase(r, row["answer"])
        elif name.startswith("OCRBench"):
            row["answer"], row["category"] = [r.choice(WORDS) or "x" for _ in range(r.randint(1, 3))], OCR[i % 10]
            said = phrase(r, row["answer"])
        elif name.startswith("ChartQA"):
            row["answer"], row["split"] = r.choice([number(r).strip(), r.choice(WORDS) or "x"]), r.choice(["test_human", "test_augmented"])
            said = near(r, row["answer"])
        elif name.startswith("MMBench"):
            k = r.randint(2, 4)
            row = {"index": i // 2 + (i % 2) * 1000000, "question": row["question"], "hint": r.choice([NAN, "look"]), "category": r.choice(["color", "count"]), "l2-category": "x", "split": "dev"}
            choices(r, row, k)
            said = letters(r, k) if r.random() < 0.5 else row["answer"]
        elif name.startswith("MMVP"):
            row["question"] = "Which, %d?" % (i // 2)
            choices(r, row, 2)
            said = letters(r, 2)
        elif name.startswith("MMStar"):
            row["category"] = r.choice(list(STAR))
            row["l2-category"] = r.choice(STAR[row["category"]])
            choices(r, row, 4)
            said = letters(r, 4)
        elif name.startswith("MMMU"):
            row.update(index="validation_%s_%d" % (r.choice(["Art", "Math", "Computer_Science"]), i), split="dev" if i % 5 == 1 else "validation")
            row["l2-category"] = row["index"].rsplit("_", 1)[0][11:]
            if r.random() < 0.5:
                choices(r, row, r.randint(2, 6))
                said = letters(r, 5)
            else:
                row["answer"] = r.choice([number(r).strip(), r.choice(WORDS) or "x", "x", "['24/7', '3.5']"])
                a = near(r, row["answer"])
                said = r.choice([a, a, "So the answer is %s" % a, "x = %s" % a, "Thus %s.\nTherefore the final result is %s" % (r.choice(WORDS), a), "It could be %s, or 1,234 or -5e-3" % a, "is .", "the result is :\n%s" % a, "%s\n" % letters(r)])
        elif name.startswith("RealWorldQA"):
            if r.random() < 0.7:
                choices(r, row, r.randint(2, 4))
                said = letters(r, 4)
            else:
                row["answer"] = r.choice([w for w in WORDS if w])
                said = phrase(r, [row["answer"]])
        elif name == "MME" or name.startswith("MME_"):
            row.update(category=MME[i // 2 % 14], image_path="%s/%d.png" % (MME[i // 2 % 14], i // 28), answer=["Yes", "No"][i % 2], question="Is it? Please answer yes or no.")
            said = yesno(r) if r.random() < 0.6 else row["answer"]
        elif name.startswith("HallusionBench"):
            c = r.choice(["VD", "VS"])
            row = {"index": "hallusion_x_%s_%d_%d_%d" % (c, i // 12, i % 3, i // 3 % 4), "question": row["question"], "category": c, "l2-category": "chart", "answer": r.choice(["Yes", "No"])}
            said = yesno(r) if r.random() < 0.3 else row["answer"]
        elif name.startswith("POPE"):
            row.update(category=r.choice(["adversarial", "popular", "random", "adversarial,popular", "adversarial,popular,random"]), answer=r.choice(["Yes", "No"]))
            said = yesno(r)
        elif name.startswith("GQA"):
            row["answer"] = r.choice([w for w in WORDS if w])
            said = phrase(r, [row["answer"]])
        else:                                   # SEED, AI2D
            choices(r, row, 4)
            row["category"] = r.choice(["a", "b"])
            said = letters(r, 4)
        out.append((row, said))
    return out


def blank(x):
    return x is None or (isinstance(x, float) and math.isnan(x))


def write(path, names, lines):
    import pandas as pd
    pd.DataFrame(lines, columns=names).to_csv(path, sep="\t", index=False)


def write_tables(folder, preds, name, made):
    """NAME.tsv as pandas writes it, and the predictions as a table of the kit's names."""
    rows_ = [dict(row, image=PIXELS if i == 0 else str(made[0][0]["index"]), answer=str(row["answer"]) if isinstance(row["answer"], list) else row["answer"]) for i, (row, _) in enumerate(made)]
    names = ["index", "image"] + sorted({k for row in rows_ for k in row} - {"index", "image"}, key=lambda k: (len(k) == 1, k))
    write(os.path.join(folder, name + ".tsv"), names, [[row.get(k) for k in names] for row in rows_])
    write(os.path.join(preds, name + ".tsv"), ["index", "prediction"], [[row["index"], said] for row, said in made])


# ---- lmms-eval ----

def lmms(name, made):
    """Its metrics, by its own functions, as its evaluator calls them: answers stripped, one document at a time."""
    from lmms_eval.tasks import ConfigurableTask  # noqa: F401  (the package must be whole)
    import lmms_eval.api.metrics as metrics
    load = lambda m: importlib.import_module("lmms_eval.tasks." + m)
    mean = lambda x: sum(x) / len(x)
    said = lambda s: [s.strip()]
    args = types.SimpleNamespace(output_path=os.environ["TMP"])
    out = {}

    def gather(process, docs, aggregates, *more):
        got = {}
        for doc, s in docs:
            for k, v in process(doc, said(s)).items():
                got.setdefault(k, []).append(v)
        for k, f in aggregates.items():
            out[k] = f(got[k], *more) if k in got else NAN
    docs = [(dict(row), s) for row, s in made]
    if name.startswith("TextVQA"):
        u = load("textvqa.utils")
        gather(u.textvqa_process_results, [(dict(d, answers=list(d["answer"]), question_id=d["index"]), s) for d, s in docs], {"exact_match": mean})
    elif name.startswith("DocVQA"):
        out["anls"] = mean([metrics.anls(references=d["answer"], predictions=said(s))["anls"] for d, s in docs])
    elif name.startswith("OCRBench"):
        u = load("ocrbench.utils")
        for k in u.OCRBench_score:
            u.OCRBench_score[k] = 0
        gather(u.ocrbench_process_results, [(dict(d, dataset="HME100k" if d["category"] == OCR[-1] else "x", question_type=d["category"]), s) for d, s in docs], {"ocrbench_accuracy": u.ocrbench_aggregate_accuracy}, args)
    elif name.startswith("ChartQA"):
        u = load("chartqa.utils")
        gather(u.chartqa_process_results, [(dict(d, type="human_test" if d["split"] == "test_human" else "augmented_test"), s) for d, s in docs],
               {"relaxed_overall": mean, "relaxed_human_split": mean, "relaxed_augmented_split": mean})
    elif name.startswith("GQA") or name.startswith("AI2D"):
        if name.startswith("AI2D"):
            f = load("ai2d.utils").MultiChoiceRegexFilter(group_select=0, ignore_case=True, ignore_punctuation=True, regex_pattern="([A-Z])\\.")
            docs = [(d, s) for (d, _), s in zip(docs, f.apply([[s] for _, s in docs], [d for d, _ in docs]))]
        out["exact_match"] = mean([metrics.exact_match_hf_evaluate(references=[d["answer"]], predictions=said(s), ignore_case=True, ignore_punctuation=True)["exact_match"] for d, s in docs])
    elif name.startswith("MMBench"):
        u = load("mmbench.en_utils")
        full = [(dict({c: None for c in "ABCDE"}, **dict(d, source="x", **{"L2-category": d["l2-category"]})), s) for d, s in docs]
        got = [u.mmbench_process_results(d, said(s))["gpt_eval_score"] for d, s in full]
        out["gpt_eval_score"] = u.mmbench_evaluator.eval_result(got, eval_method="static")[0] * 100
    elif name.startswith("SEED"):
        u = load("seedbench.utils")
        gather(u.seed_process_result, [(dict(d, data_type="image", question_id=d["index"]), s) for d, s in docs], {"seed_image": u.seed_aggregation_result, "seed_all": u.seed_aggregation_result})
    elif name.startswith("MMMU"):
        u, shared = load("mmmu.utils"), load("_task_utils.mmmu_mcq_utils")
        shared.random.choice = lambda x: ""             # what it draws by chance is wrong
        opts = lambda d: [d[c] for c in "ABCDEFGH" if not blank(d.get(c))]
        gather(u.mmmu_process_results, [(dict(d, id=d["index"], options=repr(opts(d)), question_type="multiple-choice" if opts(d) else "open"), s) for d, s in docs if d["split"] == "validation"], {"mmmu_acc": u.mmmu_aggregate_results})
    elif name.startswith("RealWorldQA"):
        gather(load("realworldqa.utils").realworldqa_process_results, docs, {"exact_match": mean})
    elif name.startswith("MMVP"):
        u = load("mmvp.utils")
        gather(u.mmvp_process_results, [(dict(d, index=d["index"] + 1), s) for d, s in docs], {"mmvp_accuracy": u.mmvp_aggregate_results, "mmvp_pair_accuracy": u.mmvp_aggregate_pair_results})
    elif name.startswith("MMStar"):
        u = load("mmstar.utils")
        gather(u.mmstar_process_results, [(dict(d, l2_category=d["l2-category"]), s) for d, s in docs], {k: u.mmstar_aggregate_results for k in list(STAR) + ["average"]})
    elif name == "MME" or name.startswith("MME_"):
        u = load("mme.utils")
        gather(u.mme_process_results, [(dict(d, question_id=d["image_path"]), s) for d, s in docs], {"mme_perception_score": u.mme_aggregate_results, "mme_cognition_score": u.mme_aggregate_results})
    elif name.startswith("HallusionBench"):
        u = load("hallusion_bench.evaluate_hb")
        for m in ("aAcc", "fAcc", "qAcc"):
            part = lambda d, i: d["index"].split("_")[i]
            got = [{"category": d["category"], "subcategory": d["l2-category"], "set_id": part(d, 3), "figure_id": part(d, 4), "question_id": part(d, 5), "gt_answer": "1" if d["answer"] == "Yes" else "0",
                    "model_prediction": s.strip()} for d, s in docs]
            out[m] = u.hb_aggregation_result_intern(got, m)
    elif name.startswith("POPE"):
        u = load("pope.utils")
        gather(u.pope_process_results, [(dict(d, question_id=d["index"]), s) for d, s in docs],
               {"pope_%s" % m: getattr(u, "pope_aggregate_" + m) for m in ("accuracy", "precision", "recall", "f1_score", "yes_ratio")})
    return out


# ---- VLMEvalKit ----

def vlm_open():
    """Its files of scores, without the package around them, whose imports are a hundred: what they load and dump stays in memory."""
    import pandas as pd
    root = importlib.util.find_spec("vlmeval").submodule_search_locations[0] if "vlmeval" not in sys.modules else VLM.root
    kept = {}

    def module(name, **what):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(what)
        return sys.modules[name]

    def file(name):
        spec = importlib.util.spec_from_file_location("vlmeval." + name.replace("/", "."), os.path.join(root, name + ".py"))
        m = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(m)
        return m

    def each(f, tups, keys=(), save=None, **_):
        out = [f(**t) if isinstance(t, dict) else f(*t) for t in tups]
        kept[save] = dict(zip(keys, out))
        return out
    quiet = types.SimpleNamespace(info=lambda *_: 0, warning=lambda *_: 0)
    module("sty", fg=None)
    module("vlmeval", __path__=[root])
    smp = module("vlmeval.smp", __path__=[os.path.join(root, "smp")])
    module("vlmeval.smp.log", get_logger=lambda *_: quiet)
    module("vlmeval.smp.vlm", build_option_str=lambda c: "")
    smp.__dict__.update({k: v for k, v in file("smp/misc").__dict__.items() if not k.startswith("__")})
    smp.__dict__.update(load=lambda x: kept[x] if isinstance(x, str) else x, dump=lambda x, to: kept.__setitem__(to, x), get_logger=lambda *_: quiet, get_pred_file_format=lambda: "x", timestr=lambda: "t",
                        d2df=lambda d: d, cn_string=lambda s: False)
    match = file("utils/matching_util")
    if not hasattr(match, "_VERBOSE_ANSWER_RE"):        # the repository's of August 2026 looks for this, too, where nothing else was found
        before, verbose = match.can_infer_option, re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")

        def can_infer_option(answer, choices):
            found = before(answer, choices)
            named = None if found or "Failed to obtain answer via API" in answer else verbose.search(answer)
            return named.group(1).upper() if named and named.group(1).upper() in choices else found
        match.can_infer_option = can_infer_option
    module("vlmeval.utils", can_infer=match.can_infer, can_infer_lego=match.can_infer_lego, track_progress_rich=each)
    return types.SimpleNamespace(root=root, yorn=file("dataset/utils/yorn"), vqa=file("dataset/utils/vqa_eval"), mcq=file("dataset/utils/multiple_choice"), kept=kept)


VLM = None


def vlm(name, made):
    """Its metrics under the policy exact_matching: evaluate() of vlmeval/dataset/image_{mcq,vqa,yorn}.py, with their files left out."""
    global VLM
    import numpy as np, pandas as pd
    VLM = VLM or vlm_open()
    VLM.kept.clear()
    data = pd.DataFrame([dict(row, prediction=s) for row, s in made])
    names = {"TextVQA": "vqa_score", "ChartQA": "relaxed_accuracy", "GQA": "accuracy", "DocVQA": "anls"}
    for k, method in names.items():
        if name.startswith(k):
            res = [VLM.vqa.process_line(dict(row, answer=str(row["answer"]), prediction=s), method=method) for row, s in made]
            return {"Overall": float(np.mean(VLM.vqa.hit_calculate(res, k)) * 100)}
    if name.startswith("OCRBench"):             # OCRBench.evaluate is a method among imports of all the package
        source = open(os.path.join(VLM.root, "dataset/image_vqa.py")).read()
        tree = next(c for c in ast.parse(source).body if isinstance(c, ast.ClassDef) and c.name == "OCRBench")
        f = next(x for x in tree.body if isinstance(x, ast.FunctionDef) and x.name == "evaluate")
        f.decorator_list = []
        scope = {"load": lambda x: x, "dump": lambda *_: 0, "tqdm": lambda x: x, "get_intermediate_file_path": lambda *_: "", "str": str}
        exec(compile(ast.Module([f], []), "OCRBench", "exec"), scope)
        got = scope["evaluate"](None, data.assign(answer=[str(a) for a in data["answer"]]))
        return {k: got[k] for k in ("Final Score", "Final Score Norm", "Scene Text-centric VQA", OCR[-1])}
    if name[:3] in ("MME", "POP", "Hal"):
        data["extracted"] = [VLM.yorn.YOrN_Extraction(s) for s in data["prediction"]]
        data["score"] = data["answer"] == data["extracted"]
        if name.startswith("MME"):
            return {k: float(v) for k, v in VLM.yorn.MME_rating(data).items()}
        rating = (VLM.yorn.POPE_rating if name.startswith("POPE") else VLM.yorn.Hallusion_rating)(data)
        out, flat = {}, rating.to_dict("records")
        for line in flat:
            split = line.pop("split")
            out.update(line if split == "Overall" else {split: line})
        return out
    if name.startswith("MMBench"):
        data = VLM.mcq.mcq_circular_eval(None, data, data, 1, "r", name)
    else:
        data = VLM.mcq.mcq_vanilla_eval(None, data, data, 1, "r", name)
    if name.startswith("MMVP"):
        return {k: float(v) for k, v in VLM.mcq.report_acc_MMVP(data.reset_index()).items()}
    got = VLM.mcq.report_acc(data)
    if len(got) > 1:                            # a line for each split
        return {"split=" + line["split"]: float(line["Overall"]) for line in got.to_dict("records")}
    return {k: float(got[k][0]) for k in got if k != "split"}
