#!/usr/bin/env python3
"""launch/scripts/site.py [OUT]: README, docs and the others below as a site in OUT (build/site), `make site`.

cmark-gfm makes HTML of a page, as GitHub has it; what is done here is to its tree: links between pages, anchors, contents, what search looks at.
The site is files alone: it opens from a disk, from any folder of a server, and fetches nothing.  A link that leads nowhere ends it with 1.
Colours are those of `asvr report` (launch/report/style.c), the rest of the looks is site.css, search is site.js over index.js.
"""
import json, os, re, shutil, subprocess, sys
import xml.etree.ElementTree as ET
from html import escape

PAGES = [                                                   # in the order of a reader
    ("Start", [("README.md", "Overview")]),
    ("Use", [("docs/CLUSTER.md", "On your cluster"), ("slurm/README.md", "Under Slurm")]),
    ("Understand", [("docs/TOUR.md", "Tour"), ("docs/MATH.md", "Mathematics"), ("docs/PARALLEL.md", "Any grid"), ("docs/REPRODUCTION.md", "Reproduction")]),
    ("Look up", [("docs/FORMATS.md", "Commands, files, formats"), ("docs/OPTIONS.md", "Configuration keys")]),
    ("Develop", [("CONTRIBUTING.md", "Contributing"), ("docs/TESTING.md", "Testing"), ("docs/PERF.md", "Performance"), ("docs/DECISIONS.md", "Decisions")]),
]
FLAT = [page for _, pages in PAGES for page in pages]
TITLE = dict(FLAT)
HEADINGS = ("h1", "h2", "h3", "h4")


def html_of(path):
    """docs/PERF.md -> PERF.html; README.md -> index.html; slurm/README.md -> slurm.html"""
    folder, name = os.path.split(path)
    if name == "README.md":
        name = folder or "index"
    return name.removesuffix(".md") + ".html"


def text(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def text_of(e):
    return " ".join("".join(e.itertext()).split())


def code_of(cell):
    """What a cell begins with, if that is code: the name that its row is about"""
    return text_of(cell[0]) if len(cell) and cell[0].tag == "code" and not cell.text else ""


def slug(words, seen):
    """GitHub's anchor of a heading; seen counts those of the page.  It has no capital, as the ids of the frame have"""
    s = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
    seen[s] = seen.get(s, -1) + 1
    return s if not seen[s] else "%s-%d" % (s, seen[s])


def tree_of(path):
    html = subprocess.run(["cmark-gfm", "-e", "table", "-e", "strikethrough", "--full-info-string", path], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout
    return ET.fromstring("<main>" + html + "</main>")


class Page:
    """One page: its tree, its anchors, its contents [(level, id, text)] and what search finds in it [(id, title, section, text, rank)]"""

    def __init__(self, path):
        self.path, self.tree, self.contents, self.entries = path, tree_of(path), [], []
        self.section, self.blocks, seen = "", 0, {}
        for e in self.tree:                                 # headings first: GitHub counts no others
            if e.tag in HEADINGS:
                e.set("id", slug(text_of(e), seen))
        for e in self.tree:
            self.read(e, seen)
        self.anchors = {e.get("id") for e in self.tree.iter() if e.get("id")}
        if not any(level > 1 for level, _, _ in self.contents):
            self.contents = self.titles()

    def titles(self):
        """The contents of a page without headings: what its paragraphs begin with; of keys (train.lr = ...) the first of each group"""
        lines, group = [], None
        for anchor, title, _, _, rank in self.entries:
            if rank == 1:
                name, is_key, _ = title.partition(" = ")
                title = name.rpartition(".")[0] if is_key else title
                if not is_key or title != group:
                    lines.append((2, anchor, title))
                group = title
        return lines

    def read(self, e, seen):
        """Gives a block an anchor and an entry"""
        if e.tag in HEADINGS:
            self.section = text_of(e) if e.tag != "h1" else ""
            self.contents.append((int(e.tag[1]), e.get("id"), text_of(e)))
            self.add(e, text_of(e), "", 0)
        elif e.tag == "table":
            for row in e.iter("tr"):
                cells = [text_of(c) for c in row]
                if row[0].tag == "td" and any(cells):
                    name, is_key, _ = code_of(row[0]).partition(" = ")              # `train.lr = 0.001` is about train.lr
                    if name:
                        row.set("id", slug(name.replace(".", "-"), seen))
                    self.add(row, " ".join(text_of(c) for c in row[0]) if name else "", "  ".join(cells), 1 if is_key else 2 if name else 3)
        elif e.tag in ("ul", "ol"):
            for item in e:
                self.add(item, "", text_of(item), 3)
        else:
            title = text_of(e[0]) if e.tag == "p" and len(e) and e[0].tag == "strong" and not e.text else ""
            if title:
                e.set("id", slug(title, seen))
            self.add(e, title.rstrip("."), text_of(e) if e.tag != "pre" else "".join(e.itertext()).strip(), 1 if title else 3)

    def add(self, e, title, words, rank):
        if not e.get("id"):
            self.blocks += 1
            e.set("id", "b%d" % self.blocks)
        self.entries.append((e.get("id"), title, "" if rank == 0 else self.section, words, rank))


class Site:
    def __init__(self, out):
        self.out, self.pages, self.files = out, {path: Page(path) for path, _ in FLAT}, {}
        self.dead = []                                      # "page: link", of all that lead nowhere

    def link(self, page, target):
        """What a link of a page is on the site; pictures and files of the tree that are linked to come along"""
        if re.match(r"[a-z]+:", target):
            return target
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page.path), path)) if path else page.path
        if path in self.pages:
            if anchor and anchor not in self.pages[path].anchors:
                self.dead.append("%s: %s (%s has no such heading)" % (page.path, target, path))
            return ("" if path == page.path else html_of(path)) + ("#" + anchor if anchor else "") or html_of(path)
        if anchor or not os.path.exists(path):
            self.dead.append("%s: %s" % (page.path, target))
            return target
        return self.carry(path)

    def carry(self, path):
        if path.endswith((".png", ".svg")):
            self.files[path] = os.path.basename(path)
            shutil.copy(path, os.path.join(self.out, self.files[path]))
        elif path not in self.files:                        # a source file is a page of its own, a folder a list of its files
            self.files[path] = "file-" + path.replace("/", "-") + ".html"
            body = ET.Element("main", {"class": "file"})
            ET.SubElement(body, "h1").text = path
            if os.path.isdir(path):
                names = ET.SubElement(body, "ul")
                for folder, _, found in sorted(os.walk(path)):
                    for f in sorted(found):
                        f = os.path.join(folder, f)
                        ET.SubElement(ET.SubElement(names, "li"), "a", {"href": self.carry(f)}).text = os.path.relpath(f, path)
            else:
                ET.SubElement(ET.SubElement(body, "pre"), "code").text = text(path)
            self.write(self.files[path], path, body, [], None)
        return self.files[path]

    def finish(self, page):
        """Rewrites the tree for the browser"""
        for e in list(page.tree.iter()):
            if e.tag == "a" and e.get("href"):
                e.set("href", self.link(page, e.get("href")))
            elif e.tag == "img":
                e.set("src", self.link(page, e.get("src")))
                e.set("loading", "lazy")
        for i, e in enumerate(list(page.tree)):
            if e.tag in HEADINGS[1:]:
                ET.SubElement(e, "a", {"class": "anchor", "href": "#" + e.get("id"), "aria-label": "link to this section"}).text = "#"
            elif e.tag == "table":                          # it scrolls, the page does not
                box = ET.Element("div", {"class": "scroll", "tabindex": "0"})
                box.append(e)
                box.tail, e.tail = e.tail, None
                page.tree[i] = box
        for e in page.tree.iter("pre"):
            e.set("tabindex", "0")                          # keys scroll it
            if e[0].get("data-meta", "").split(" ")[0] == "test":
                e.set("class", "tested")
                e.set("title", "run by make docs-test")
            e[0].attrib.pop("data-meta", None)

    def nav(self, path, contents):
        lines = []
        for group, pages in PAGES:
            lines.append("<p>%s</p><ul>" % group)
            for p, title in pages:
                lines.append('<li><a href="%s"%s>%s</a>' % (html_of(p), ' aria-current="page"' if p == path else "", escape(title)))
                if p == path and contents:
                    lines.append("<ul class=\"contents\">%s</ul>" % "".join(
                        '<li class="l%d"><a href="#%s">%s</a></li>' % (level, i, escape(words.rstrip("."))) for level, i, words in contents if level > 1))
                lines.append("</li>")
            lines.append("</ul>")
        return "\n".join(lines)

    def step(self, path, by, rel, arrow):
        """The link to the page before or behind"""
        at = [p for p, _ in FLAT].index(path) + by if path else -1
        if not 0 <= at < len(FLAT):
            return "<span></span>"
        to, title = FLAT[at]
        return '<a rel="%s" href="%s">%s</a>' % (rel, html_of(to), arrow % escape(title))

    def write(self, name, title, body, contents, path):
        """A file of the site; path is None where it is no page of ours"""
        self.save(name, TEMPLATE % {
            "title": escape("asvr" if name == "index.html" else title + " · asvr"),
            "nav": self.nav(path, contents),
            "body": ET.tostring(body, encoding="unicode", method="html"),
            "prev": self.step(path, -1, "prev", "← %s"), "next": self.step(path, +1, "next", "%s →"),
            "source": "written in <code>%s</code>" % path if path else "",
        })

    def save(self, name, text):
        with open(os.path.join(self.out, name), "w", encoding="utf-8") as f:
            f.write(text)

    def make(self):
        for page in self.pages.values():
            self.finish(page)
        for path, page in self.pages.items():
            self.write(html_of(path), TITLE[path], page.tree, page.contents, path)
        index = [[html_of(path), TITLE[path], page.entries] for path, page in self.pages.items()]
        self.save("index.js", "var INDEX = %s;\n" % json.dumps(index, ensure_ascii=False, separators=(",", ":")))
        light, dark = re.findall(r"root\{(--bg.*?)\}", text("launch/report/style.c").replace('"\n    "', ""))[:2]
        self.save("site.css", ":root{color-scheme:light dark;%s}\n@media (prefers-color-scheme:dark){:root{%s}}\n" % (light, dark) + text("launch/scripts/site.css"))
        self.save("site.js", text("launch/scripts/site.js"))


TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%(title)s</title>
<link rel="stylesheet" href="site.css">
<link rel="icon" href="data:,">
<script src="index.js" defer></script>
<script src="site.js" defer></script>
</head>
<body>
<a class="skip" href="#Content">to the text</a>
<header>
<button id="Menu" type="button" aria-label="pages" aria-expanded="false" aria-controls="Nav">☰</button>
<a class="brand" href="index.html">asvr</a>
<form id="Search" role="search" hidden><input type="search" placeholder="Search  ( / )" aria-label="search" aria-controls="Results" autocomplete="off" spellcheck="false"></form>
</header>
<div id="Results" role="listbox" aria-label="results" hidden></div>
<nav id="Nav" aria-label="pages">
%(nav)s
</nav>
<div id="Content">
%(body)s
<footer><div class="steps">%(prev)s%(next)s</div><p>%(source)s</p></footer>
</div>
</body>
</html>
"""

if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    out = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/site")
    os.makedirs(out, exist_ok=True)
    site = Site(out)
    site.make()
    for d in site.dead:
        print("site: a link that leads nowhere, in " + d, file=sys.stderr)
    print("site: %d pages, %s/index.html" % (len(site.pages), os.path.relpath(out)))
    sys.exit(1 if site.dead else 0)
